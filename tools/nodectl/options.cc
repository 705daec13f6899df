// See options.h.
#include "tools/nodectl/options.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace noded::nodectl {
namespace {

class Parser {
public:
    Parser(std::span<const Option> options, std::span<const std::string> arguments, Order order)
        : options_(options), arguments_(arguments), order_(order) {}

    Result<ParsedArguments> run() {
        while (next_ < arguments_.size()) {
            const std::string& argument = arguments_[next_++];
            if (argument == "--") break;
            if (argument.starts_with("--")) {
                TRY_STATUS(long_option(argument));
            } else if (argument.size() > 1 && argument[0] == '-') {
                TRY_STATUS(letters(argument));
            } else {
                parsed_.positional.push_back(argument);
                if (order_ == Order::stops_early) break;
            }
            if (parsed_.help) return std::move(parsed_);
        }
        parsed_.positional.insert(parsed_.positional.end(), arguments_.begin() + next_,
                                  arguments_.end());
        return std::move(parsed_);
    }

private:
    Status long_option(const std::string& argument) {
        const size_t equals = argument.find('=');
        const std::string_view name =
            std::string_view(argument).substr(2, equals == std::string::npos ? equals : equals - 2);
        for (const Option& option : options_) {
            if (name != option.name) continue;
            if (equals != std::string::npos) return store(option, argument.substr(equals + 1));
            if (is_flag(option)) return store(option, "true");
            if (next_ == arguments_.size())
                return fail("flag needs an argument: --" + std::string(name));
            return store(option, arguments_[next_++]);
        }
        if (name == "help") {
            parsed_.help = true;
            return {};
        }
        return fail("unknown flag: --" + std::string(name));
    }

    /// "-it", "-e X", "-eX", "-e=X".
    Status letters(const std::string& argument) {
        for (size_t i = 1; i < argument.size(); i++) {
            const Option* option = find_letter(argument[i]);
            if (option == nullptr && argument[i] == 'h') {
                parsed_.help = true;
                return {};
            }
            if (option == nullptr) {
                return fail(std::string("unknown shorthand flag: '") + argument[i] + "' in " +
                            argument);
            }
            std::string_view rest = std::string_view(argument).substr(i + 1);
            if (rest.starts_with('=')) return store(*option, std::string(rest.substr(1)));
            if (is_flag(*option)) {
                TRY_STATUS(store(*option, "true"));
                continue;
            }
            if (!rest.empty()) return store(*option, std::string(rest));
            if (next_ == arguments_.size()) {
                return fail(std::string("flag needs an argument: '") + argument[i] + "' in " +
                            argument);
            }
            return store(*option, arguments_[next_++]);
        }
        return {};
    }

    const Option* find_letter(char letter) const {
        for (const Option& option : options_) {
            if (option.letter == letter) return &option;
        }
        return nullptr;
    }

    static bool is_flag(const Option& option) {
        return std::holds_alternative<bool*>(option.target);
    }

    static std::unexpected<Error> invalid(const Option& option, const std::string& value,
                                          const std::string& why) {
        std::string spelling = option.letter != 0 ? std::string("-") + option.letter + ", " : "";
        return invalid_argument(value, spelling + "--" + option.name, why);
    }

    /// Go's ParseBool.
    static std::optional<bool> parse_flag(std::string_view text) {
        constexpr std::string_view kTrue[] = {"1", "t", "T", "true", "TRUE", "True"};
        constexpr std::string_view kFalse[] = {"0", "f", "F", "false", "FALSE", "False"};
        if (std::ranges::find(kTrue, text) != std::end(kTrue)) return true;
        if (std::ranges::find(kFalse, text) != std::end(kFalse)) return false;
        return std::nullopt;
    }

    static Status store(const Option& option, const std::string& value) {
        if (auto* flag = std::get_if<bool*>(&option.target)) {
            const auto parsed = parse_flag(value);
            if (!parsed)
                return invalid(option, value,
                               "strconv.ParseBool: parsing \"" + value + "\": invalid syntax");
            **flag = *parsed;
        } else if (auto* text = std::get_if<std::string*>(&option.target)) {
            **text = value;
        } else if (auto* maybe = std::get_if<std::optional<std::string>*>(&option.target)) {
            **maybe = value;
        } else if (auto* list = std::get_if<std::vector<std::string>*>(&option.target)) {
            (*list)->push_back(value);
        } else {
            auto number = parse_integer(value);
            if (std::string_view(option.value_name) == "uint16") number = as_uint16(value, number);
            if (!number) return invalid(option, value, number.error().message);
            *std::get<std::optional<int64_t>*>(option.target) = *number;
        }
        return {};
    }

    static Result<int64_t> as_uint16(const std::string& text, const Result<int64_t>& number) {
        const bool range = number && *number > UINT16_MAX;
        if (number && *number >= 0 && !range && !text.starts_with('+')) return number;
        return fail("strconv.ParseUint: parsing \"" + text + "\": " +
                    (range ? "value out of range" : "invalid syntax"));
    }

    std::span<const Option> options_;
    std::span<const std::string> arguments_;
    Order order_;
    size_t next_ = 0;
    ParsedArguments parsed_;
};

}  // namespace

std::unexpected<Error> invalid_argument(const std::string& value, const std::string& spelling,
                                        const std::string& why) {
    return fail("invalid argument \"" + value + "\" for \"" + spelling + "\" flag: " + why);
}

Result<int64_t> parse_integer(const std::string& text) {
    std::string_view digits = text;
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    int base = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) base = 16;
    else if (digits.starts_with("0b") || digits.starts_with("0B")) base = 2;
    else if (digits.size() > 1 && digits[0] == '0') base = 8;
    if (base == 16 || base == 2) digits.remove_prefix(2);
    if (base == 8) digits.remove_prefix(digits[1] == 'o' || digits[1] == 'O' ? 2 : 1);
    const std::string signed_text = (negative ? "-" : "") + std::string(digits);
    int64_t number = 0;
    const char* end = signed_text.data() + signed_text.size();
    const auto [stop, error] = std::from_chars(signed_text.data(), end, number, base);
    if (!digits.empty() && digits[0] != '-' && stop == end && error == std::errc()) return number;
    return fail("strconv.ParseInt: parsing \"" + text + "\": " +
                (stop == end && error == std::errc::result_out_of_range ? "value out of range"
                                                                        : "invalid syntax"));
}

Result<ParsedArguments> parse_options(std::span<const Option> options,
                                      std::span<const std::string> arguments, Order order) {
    return Parser(options, arguments, order).run();
}

std::vector<const Option*> shown_options(std::span<const Option> options) {
    std::vector<const Option*> shown;
    for (const Option& option : options)
        if (option.help != nullptr) shown.push_back(&option);
    std::ranges::stable_sort(shown, {},
                             [](const Option* at) { return std::string_view(at->name); });
    return shown;
}

std::string describe_options(std::span<const Option> options) {
    std::vector<std::pair<std::string, const char*>> lines;
    size_t width = 0;
    const auto add = [&](std::string left, const char* help) {
        width = std::max(width, left.size());
        lines.emplace_back(std::move(left), help);
    };
    for (const Option* option : shown_options(options)) {
        std::string left = option->letter != 0 ? std::string("  -") + option->letter + ", --"
                                               : std::string("      --");
        left += option->name;
        if (!std::holds_alternative<bool*>(option->target))
            left += std::string(" ") + option->value_name;
        add(std::move(left), option->help);
    }
    add("      --help", "Print usage");
    std::string out;
    for (const auto& [left, help] : lines) {
        out += left + std::string(width + 3 - left.size(), ' ') + help + "\n";
    }
    return out;
}

}  // namespace noded::nodectl

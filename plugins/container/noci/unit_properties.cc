// Configurations in systemd's words: systemd.resource-control(5) and org.freedesktop.systemd1(5).
// What it has no word for is set in the cgroup's files alone. See systemd.h.
#include <algorithm>
#include <charconv>
#include <sstream>

#include "plugins/container/noci/cgroups.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/device_rules.h"
#include "plugins/container/noci/systemd.h"
#include "plugins/container/weights.h"

namespace noded::noci {
namespace {

constexpr uint64_t kInfinity = UINT64_MAX;
constexpr uint64_t kDefaultPeriod = 100'000;
constexpr uint64_t kPercent = 10'000;  ///< of a second, in microseconds
constexpr uint64_t kQuotaMax = UINT64_MAX / 2'000'000;  ///< more is as good as none

using Properties = std::vector<UnitProperty>;

uint64_t or_infinity(int64_t value) { return value < 0 ? kInfinity : uint64_t(value); }

/// Microseconds of CPU time in each second, up to a whole percent.
uint64_t quota_per_second(uint64_t quota, uint64_t period) {
    const uint64_t exact = std::min(quota, kQuotaMax) * 1'000'000 / period;
    return (exact + kPercent - 1) / kPercent * kPercent;
}

void add_quota(int64_t quota, uint64_t period, Properties& out) {
    if (period != 0) out.push_back({"CPUQuotaPeriodUSec", period});
    if (quota == 0 && period == 0) return;
    out.push_back({"CPUQuotaPerSecUSec",
                   quota > 0 ? quota_per_second(uint64_t(quota),
                                                period != 0 ? period : kDefaultPeriod)
                             : kInfinity});
}

/// "0-3" as bytes, the first CPU is the first byte's lowest bit.
Status add_set(const char* name, const std::string& list, Properties& out) {
    if (list.empty()) return {};
    const auto bits = parse_bits(list);
    if (!bits) return fail("\"" + list + "\" is no list of numbers like 0-3,7");
    std::vector<uint8_t> bytes;
    for (const uint64_t word : *bits)
        for (int i = 0; i < 8; ++i) bytes.push_back(uint8_t(word >> (8 * i)));
    while (!bytes.empty() && bytes.back() == 0) bytes.pop_back();
    out.push_back({name, std::move(bytes)});
    return {};
}

void add_memory(const JsonView& in, bool pure_v2, Properties& out) {
    const int64_t limit = in["limit"].integer();
    int64_t both = in["swap"].integer();
    if (limit != 0) out.push_back({pure_v2 ? "MemoryMax" : "MemoryLimit", or_infinity(limit)});
    if (!pure_v2) return;
    if (const int64_t low = in["reservation"].integer(); low != 0)
        out.push_back({"MemoryLow", or_infinity(low)});
    // v2 counts swap alone. What does not fit is refused where the files are written.
    if (limit == -1 && both == 0) both = -1;
    if (both == -1) out.push_back({"MemorySwapMax", kInfinity});
    else if (limit > 0 && both >= limit)
        out.push_back({"MemorySwapMax", uint64_t(both - limit)});
}

Status add_cpu(const JsonView& in, bool pure_v2, Properties& out) {
    const uint64_t shares = in["shares"].u64();
    // A weight of none is systemd's word for idle.
    if (pure_v2 && in["idle"].integer() == 1) out.push_back({"CPUWeight", uint64_t{0}});
    else if (shares != 0 && pure_v2)
        out.push_back({"CPUWeight", container::weight_of_shares(shares)});
    else if (shares != 0) out.push_back({"CPUShares", std::clamp<uint64_t>(shares, 2, 262144)});
    add_quota(in["quota"].integer(), in["period"].u64(), out);
    TRY_STATUS(add_set("AllowedCPUs", in["cpus"].text(), out));
    return add_set("AllowedMemoryNodes", in["mems"].text(), out);
}

/// A file of v2 that systemd has a word for.
Status add_unified(const std::string& file, const std::string& text, Properties& out) {
    struct Word {
        const char* file;
        const char* name;
    };
    constexpr Word numbers[] = {
        {"cpu.weight", "CPUWeight"}, {"memory.high", "MemoryHigh"},
        {"memory.low", "MemoryLow"}, {"memory.min", "MemoryMin"},
        {"memory.max", "MemoryMax"}, {"memory.swap.max", "MemorySwapMax"},
        {"pids.max", "TasksMax"}};
    std::istringstream words(text);
    std::string first, second;
    words >> first >> second;
    const auto number = [](const std::string& word) {
        return word == "max" ? kInfinity : strtoull(word.c_str(), nullptr, 10);
    };
    for (const Word& word : numbers)
        if (file == word.file) {
            // No task at all is nothing that systemd takes.
            const uint64_t value = number(first);
            out.push_back({word.name, file == "pids.max" && value == 0 ? 1 : value});
        }
    if (file == "cpu.idle" && first == "1") out.push_back({"CPUWeight", uint64_t{0}});
    if (file == "cpu.max")
        add_quota(first == "max" ? 0 : int64_t(number(first)),
                  second.empty() ? kDefaultPeriod : number(second), out);
    if (file == "cpuset.cpus") return add_set("AllowedCPUs", first, out);
    if (file == "cpuset.mems") return add_set("AllowedMemoryNodes", first, out);
    return {};
}

/// Its list has what is allowed only, and no "any major".
void add_devices(const std::vector<DeviceLine>& lines, Properties& out) {
    std::vector<DeviceAllow> allowed;
    bool is_strict = true;
    for (const DeviceLine& line : lines) {
        if (line.text == "a") {
            allowed.clear();
            is_strict = !line.allow;
            continue;
        }
        const size_t colon = line.text.find(':'), space = line.text.rfind(' ');
        const std::string type = line.text[0] == 'b' ? "block" : "char";
        const std::string major = line.text.substr(2, colon - 2);
        const std::string minor = line.text.substr(colon + 1, space - colon - 1);
        const std::string path =
            minor != "*" ? "/dev/" + type + "/" + major + ":" + minor : type + "-" + major;
        if (major == "*" && minor != "*") continue;
        if (line.allow) allowed.emplace_back(path, line.text.substr(space + 1));
        else std::erase_if(allowed, [&](const DeviceAllow& had) { return had.first == path; });
    }
    if (!is_strict) allowed.clear();
    // An empty list takes away what was there.
    out.push_back({"DeviceAllow", std::vector<DeviceAllow>()});
    out.push_back({"DevicePolicy", std::string(is_strict ? "strict" : "auto")});
    if (!allowed.empty()) out.push_back({"DeviceAllow", std::move(allowed)});
}

/// The text of a value as GVariant writes it: 'text', true, 5, "uint64 5", ['a', 'b'].
class ValueReader {
public:
    explicit ValueReader(const std::string& text) : text_(text) {}

    std::optional<UnitValue> read() {
        skip();
        std::optional<UnitValue> value;
        if (peek() == '\'' || peek() == '"') value = text();
        else if (peek() == '[') value = list();
        else value = word();
        skip();
        return at_ == text_.size() ? value : std::nullopt;
    }

private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void skip() {
        while (peek() == ' ') ++at_;
    }
    std::optional<std::string> text() {
        const char quote = text_[at_++];
        std::string out;
        for (; peek() != quote; ++at_) {
            if (peek() == '\\') ++at_;
            if (at_ >= text_.size()) return std::nullopt;
            out += text_[at_];
        }
        ++at_;
        return out;
    }
    std::optional<UnitValue> list() {
        std::vector<std::string> out;
        do {
            ++at_;
            skip();
            if (peek() == ']' && out.empty()) break;
            if (peek() != '\'' && peek() != '"') return std::nullopt;
            const auto item = text();
            if (!item) return std::nullopt;
            out.push_back(*item);
            skip();
        } while (peek() == ',');
        if (peek() != ']') return std::nullopt;
        ++at_;
        return out;
    }
    template <typename T>
    std::optional<UnitValue> number(const std::string& digits) {
        T value = 0;
        const char* end = digits.data() + digits.size();
        const auto [stop, error] = std::from_chars(digits.data(), end, value);
        if (error != std::errc() || stop != end) return std::nullopt;
        return value;
    }
    std::string next_word() {
        const size_t from = at_;
        while (at_ < text_.size() && text_[at_] != ' ') ++at_;
        std::string out = text_.substr(from, at_ - from);
        skip();
        return out;
    }
    std::optional<UnitValue> word() {
        const std::string first = next_word();
        if (first == "true" || first == "false") return first == "true";
        if (first == "int32") return number<int32_t>(next_word());
        if (first == "uint32") return number<uint32_t>(next_word());
        if (first == "int64") return number<int64_t>(next_word());
        if (first == "uint64") return number<uint64_t>(next_word());
        return number<int32_t>(first);
    }

    const std::string& text_;
    size_t at_ = 0;
};

/// Seconds are systemd's words to people; programs say microseconds.
std::optional<UnitValue> in_microseconds(const UnitValue& value) {
    const auto scaled = [](const auto& number) -> std::optional<UnitValue> {
        if constexpr (std::is_integral_v<std::decay_t<decltype(number)>> &&
                      !std::is_same_v<std::decay_t<decltype(number)>, bool>)
            return uint64_t(number) * 1'000'000;
        else
            return std::nullopt;
    };
    return std::visit(scaled, value);
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Result<UnitProperty> annotated(std::string name, const std::string& text) {
    const auto wrong = [&](const char* what) {
        return fail("annotation org.systemd.property." + name + "=" + text + ": " + what);
    };
    if (name.size() < 3 || !std::ranges::all_of(name, is_letter))
        return wrong("the name of a property has three letters at least, and nothing else");
    auto value = ValueReader(text).read();
    if (!value) return wrong("no value: 'text', true, 5, uint64 5 and ['a', 'b'] are some");
    const bool is_seconds = name.size() > 3 && name.ends_with("Sec") &&
                            name[name.size() - 4] >= 'a' && name[name.size() - 4] <= 'z';
    if (!is_seconds) return UnitProperty{name, std::move(*value)};
    value = in_microseconds(*value);
    if (!value) return wrong("not a number");
    return UnitProperty{name.substr(0, name.size() - 3) + "USec", std::move(*value)};
}

}  // namespace

UnitNames unit_names(const std::string& cgroup) {
    const size_t last = cgroup.rfind('/');
    const std::string above = cgroup.substr(0, last);
    return {cgroup.substr(last + 1),
            above.empty() ? "-.slice" : above.substr(above.rfind('/') + 1)};
}

Result<std::vector<UnitProperty>> new_unit_properties(
    const UnitNames& names, const std::string& id, pid_t pid, bool pure_v2,
    const std::vector<std::pair<std::string, std::string>>& annotations) {
    const bool is_scope = names.unit.ends_with(".scope");
    Properties out = {{"Description", "noci container " + id}};
    if (is_scope) {
        out.push_back({"Slice", names.slice});
        out.push_back({"Delegate", true});
        out.push_back({"PIDs", std::vector<uint32_t>{uint32_t(pid)}});
    } else {
        out.push_back({"Wants", std::vector<std::string>{names.slice}});
    }
    for (const char* name : {"MemoryAccounting", "CPUAccounting", "TasksAccounting"})
        out.push_back({name, true});
    out.push_back({pure_v2 ? "IOAccounting" : "BlockIOAccounting", true});
    out.push_back({"DefaultDependencies", false});
    const std::string prefix = "org.systemd.property.";
    for (const auto& [key, value] : annotations)
        if (key.starts_with(prefix))
            out.push_back(TRY(annotated(key.substr(prefix.size()), value)));
    return out;
}

Result<std::vector<UnitProperty>> resource_properties(const Json& resources, bool pure_v2,
                                                      bool devices) {
    std::string error;
    const JsonView in(&resources, "linux.resources", &error);
    Properties out;
    if (devices) add_devices(TRY(device_lines(in["devices"])), out);
    add_memory(in["memory"], pure_v2, out);
    TRY_STATUS(add_cpu(in["cpu"], pure_v2, out));
    if (const uint64_t weight = in["blockIO"]["weight"].u64(); weight != 0 && !pure_v2)
        out.push_back({"BlockIOWeight", weight});
    if (const JsonView limit = in["pids"]["limit"]; limit) {
        const int64_t pids = limit.integer();
        out.push_back({"TasksMax", pids < 0 ? kInfinity : uint64_t(std::max<int64_t>(pids, 1))});
    }
    if (pure_v2)
        for (const auto& [file, value] : in["unified"].members())
            TRY_STATUS(add_unified(file, value.text(), out));
    if (!error.empty()) return fail(error);
    return out;
}

void round_quota(Json& resources) {
    if (!resources.is_object() || !resources.contains("cpu")) return;
    Json& cpu = resources["cpu"];
    std::string error;
    const JsonView in(&cpu, "linux.resources.cpu", &error);
    const int64_t quota = in["quota"].integer();
    const uint64_t period = in["period"].u64() != 0 ? in["period"].u64() : kDefaultPeriod;
    if (quota <= 0 || uint64_t(quota) > kQuotaMax || !error.empty()) return;
    const uint64_t rounded = quota_per_second(uint64_t(quota), period);
    cpu["quota"] = int64_t(rounded * period / 1'000'000);
}

}  // namespace noded::noci

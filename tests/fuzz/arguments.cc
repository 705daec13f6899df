// Command lines and the small texts in them: options, filters, detach keys, times, sizes, image
// references, image configurations and Dockerfile instructions.
#include "agent/base/check.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/reference.h"
#include "tests/fuzz/input.h"
#include "tools/nodectl/detach_keys.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/filters.h"
#include "tools/nodectl/options.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> words;
    while (!text.empty()) {
        const size_t end = text.find('\n');
        words.emplace_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return words;
}

template <typename T>
void expect_sentence(const Result<T>& result) {
    if (!result) CHECK(!result.error().message.empty());
}

void command_line(const std::vector<std::string>& words, Order order) {
    bool flag = false;
    std::string text;
    std::optional<std::string> maybe;
    std::optional<int64_t> number;
    std::vector<std::string> list;
    const Option options[] = {{'d', "detach", &flag, "", "help"},
                              {'n', "name", &text, "string", "help"},
                              {0, "format", &maybe, "string", "help"},
                              {'t', "time", &number, "int", "help"},
                              {'e', "env", &list, "list", "help"}};
    const auto parsed = parse_options(options, words, order);
    expect_sentence(parsed);
    if (parsed) CHECK(parsed->positional.size() <= words.size());
}

void small_texts(const std::string& text) {
    [[maybe_unused]] auto duration = parse_duration(text);
    [[maybe_unused]] auto unix_time = parse_unix_time(text);
    [[maybe_unused]] auto number = parse_number(text);
    if (const auto time = parse_time(text, 1'700'000'000 * kSecondNs)) {
        CHECK(parse_time(rfc3339_fixed(*time), 0) == *time);
        [[maybe_unused]] auto local = local_time(*time);
    }
    expect_sentence(parse_detach_keys(text));
    short_id(text);
}

void events(const std::vector<std::string>& words) {
    auto filter = EventFilter::parse(words);
    expect_sentence(filter);
    if (!filter) return;
    ShownEvent event;
    event.name = "ContainerStarted";
    event.plugin = "container";
    event.payload = Json::parse(words.empty() ? "" : words.back(), nullptr, false);
    if (event.payload.is_discarded()) event.payload = nullptr;
    filter->matches(event);
    event_line(event, true);
    to_line(event_json(event));
}

}  // namespace
}  // namespace noded::nodectl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace noded;
    fuzz::Input input(data, size);
    const uint8_t choice = input.number();
    const std::string text = input.rest_text();
    const std::vector<std::string> words = nodectl::split(text);
    switch (choice % 5) {
        case 0: nodectl::command_line(words, nodectl::Order::anywhere); break;
        case 1: nodectl::command_line(words, nodectl::Order::stops_early); break;
        case 2:
            for (const std::string& word : words) nodectl::small_texts(word);
            break;
        case 3: nodectl::events(words); break;
        case 4: {
            nodectl::expect_sentence(image::parse_reference(text));
            nodectl::expect_sentence(image::parse_image_config(text));
            break;
        }
    }
    return 0;
}

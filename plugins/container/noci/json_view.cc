// See json_view.h.
#include "plugins/container/noci/json_view.h"

#include <fcntl.h>
#include <strings.h>
#include <unistd.h>

#include <cstring>

#include "agent/base/fd.h"

namespace noded::noci {
namespace {

/// As it is written, else without regard to case: who writes these files was often read by programs
/// that look no closer.
const Json* find_member(const Json& object, const char* key) {
    const auto exact = object.find(key);
    if (exact != object.end()) return &*exact;
    for (auto at = object.begin(); at != object.end(); ++at)
        if (at.key().size() == strlen(key) && strcasecmp(at.key().c_str(), key) == 0)
            return &at.value();
    return nullptr;
}

}  // namespace

const Json& JsonView::json() const {
    static const Json none;
    return value_ != nullptr ? *value_ : none;
}

void JsonView::wrong(const std::string& what) const {
    if (error_->empty()) *error_ = path_ + (path_.ends_with(':') ? " " : ": ") + what;
}

bool JsonView::is(bool right, const char* wanted) const {
    if (value_ == nullptr) return false;
    if (!right)
        wrong(std::string("cannot unmarshal ") + value_->type_name() + ", " + wanted +
              " is expected");
    return right;
}

JsonView JsonView::operator[](const char* key) const {
    const std::string path = path_.ends_with(':') ? path_ + " " + key : path_ + "." + key;
    if (!is(value_ != nullptr && value_->is_object(), "an object")) return {nullptr, path, error_};
    return {find_member(*value_, key), path, error_};
}

std::vector<JsonView> JsonView::items() const {
    std::vector<JsonView> found;
    if (!is(value_ != nullptr && value_->is_array(), "a list")) return found;
    found.reserve(value_->size());
    for (size_t i = 0; i < value_->size(); ++i)
        found.push_back({&(*value_)[i], path_ + "[" + std::to_string(i) + "]", error_});
    return found;
}

std::vector<std::pair<std::string, JsonView>> JsonView::members() const {
    std::vector<std::pair<std::string, JsonView>> found;
    if (!is(value_ != nullptr && value_->is_object(), "an object")) return found;
    for (auto at = value_->begin(); at != value_->end(); ++at)
        found.emplace_back(at.key(), JsonView(&at.value(), path_ + "." + at.key(), error_));
    return found;
}

std::string JsonView::text() const {
    if (!is(value_ != nullptr && value_->is_string(), "a string")) return {};
    std::string text = value_->get<std::string>();
    if (text.find('\0') == std::string::npos) return text;
    wrong("contains a null byte");
    return {};
}

bool JsonView::flag() const {
    return is(value_ != nullptr && value_->is_boolean(), "true or false") && value_->get<bool>();
}

int64_t JsonView::number(int64_t least) const {
    if (!is(value_ != nullptr && value_->is_number_integer(), "an integer")) return 0;
    if (value_->is_number_unsigned() &&
        value_->get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max())) {
        // What means "no limit" in some writers' hands.
        return std::numeric_limits<int64_t>::max();
    }
    const int64_t value = value_->get<int64_t>();
    if (value < least) wrong("is negative");
    return value;
}

uint32_t JsonView::u32() const {
    const int64_t value = number(0);
    if (value > int64_t{0xffffffff}) wrong("is larger than 4294967295");
    return uint32_t(value);
}

uint64_t JsonView::u64() const {
    if (!is(value_ != nullptr && value_->is_number_integer(), "an integer")) return 0;
    if (value_->is_number_unsigned()) return value_->get<uint64_t>();
    return uint64_t(number(0));
}

double JsonView::real() const {
    return is(value_ != nullptr && value_->is_number(), "a number") ? value_->get<double>() : 0;
}

std::vector<std::string> JsonView::texts() const {
    std::vector<std::string> found;
    if (value_ == nullptr) return found;
    for (const JsonView& item : items()) found.push_back(item.text());
    return found;
}

Result<std::string> read_all(int fd, const std::string& name, size_t bytes_max) {
    std::string text;
    char buffer[16 << 10];
    for (;;) {
        const ssize_t count = read(fd, buffer, sizeof buffer);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(errno, "read " + name);
        if (count == 0) return text;
        text.append(buffer, size_t(count));
        if (text.size() > bytes_max)
            return fail(name + " is longer than " + std::to_string(bytes_max) + " bytes");
    }
}

Result<std::string> read_whole(const std::string& path, size_t bytes_max) {
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "open " + path);
    return read_all(file.get(), path, bytes_max);
}

Result<Json> parse_json(const std::string& text, const std::string& name) {
    // Deep nesting is refused before the parser, whose destructor would recurse.
    Json json = Json::parse(
        text, [](int depth, Json::parse_event_t, Json&) { return depth < 64; }, false);
    if (json.is_discarded()) return fail(name + " is not valid JSON");
    return json;
}

Result<Json> read_json(const std::string& path, size_t bytes_max) {
    return parse_json(TRY(read_whole(path, bytes_max)), path);
}

Status write_file(const std::string& path, std::string_view text) {
    const Fd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "open " + path);
    ssize_t count;
    do {
        count = write(file.get(), text.data(), text.size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return fail_errno(errno, "write \"" + std::string(text) + "\" to " + path);
    return {};
}

}  // namespace noded::noci

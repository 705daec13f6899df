// Images as this plugin sees them, see image_view.h.
#include "plugins/container/image_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/check.h"

namespace noded::container {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kDigestPrefix = "sha256:";

const Json& member(const Json& object, const char* key) {
    static const Json none;
    if (!object.is_object()) return none;
    const auto found = object.find(key);
    return found == object.end() ? none : *found;
}

std::string string_of(const Json& value) {
    return value.is_string() ? value.get<std::string>() : std::string();
}

std::vector<std::string> strings_of(const Json& value) {
    std::vector<std::string> strings;
    if (!value.is_array()) return strings;
    for (const Json& item : value)
        if (item.is_string()) strings.push_back(item.get<std::string>());
    return strings;
}

std::vector<std::string> keys_of(const Json& value) {
    std::vector<std::string> keys;
    if (!value.is_object()) return keys;
    for (const auto& [key, nothing] : value.items()) keys.push_back(key);
    return keys;
}

/// The forms under which the same image may be named: as storage writes names, without docker's
/// default registry, and with a tag.
std::string familiar(std::string_view reference) {
    for (std::string_view prefix : {"docker.io/library/", "index.docker.io/library/", "docker.io/",
                                    "index.docker.io/", "library/"})
        if (reference.starts_with(prefix)) {
            reference.remove_prefix(prefix.size());
            break;
        }
    std::string name(reference);
    const size_t slash = name.rfind('/');
    const size_t colon = name.rfind(':');
    const bool tagged = colon != std::string::npos && (slash == std::string::npos || colon > slash);
    if (!tagged && name.find('@') == std::string::npos) name += ":latest";
    return name;
}

bool is_hex(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Go's nanoseconds; what is no sensible time is the default.
uint32_t milliseconds_of(const Json& value) {
    const int64_t ns = value.is_number_integer() ? value.get<int64_t>() : 0;
    return ns < 1'000'000 ? 0 : uint32_t(std::min<int64_t>(ns / 1'000'000, UINT32_MAX));
}

HealthCheck health_of(const Json& value) {
    HealthCheck out;
    out.test = strings_of(member(value, "Test"));
    out.interval_ms = milliseconds_of(member(value, "Interval"));
    out.timeout_ms = milliseconds_of(member(value, "Timeout"));
    out.start_period_ms = milliseconds_of(member(value, "StartPeriod"));
    out.start_interval_ms = milliseconds_of(member(value, "StartInterval"));
    const Json& retries = member(value, "Retries");
    if (retries.is_number_unsigned())
        out.retries = uint32_t(std::min<uint64_t>(retries.get<uint64_t>(), UINT32_MAX));
    return out;
}

}  // namespace

ImageConfig ImageConfig::parse(const std::string& text) {
    const Json document = Json::parse(text, nullptr, false);
    const Json& config = member(document, "config");
    ImageConfig out;
    out.env = strings_of(member(config, "Env"));
    out.command = strings_of(member(config, "Cmd"));
    out.entrypoint = strings_of(member(config, "Entrypoint"));
    out.working_dir = string_of(member(config, "WorkingDir"));
    out.user = string_of(member(config, "User"));
    out.stop_signal = string_of(member(config, "StopSignal"));
    out.health = health_of(member(config, "Healthcheck"));
    out.volumes = keys_of(member(config, "Volumes"));
    out.exposed_ports = keys_of(member(config, "ExposedPorts"));
    const Json& labels = member(config, "Labels");
    if (labels.is_object())
        for (const auto& [key, value] : labels.items())
            out.labels.emplace_back(key, string_of(value));
    return out;
}

Status check_image_reference(std::string_view reference) {
    const auto is_allowed = [](unsigned char c) {
        return isalnum(c) != 0 || std::string_view("._-:/@[]").find(c) != std::string_view::npos;
    };
    const auto is_upper = [](unsigned char c) { return c >= 'A' && c <= 'Z'; };
    const std::string name = familiar(reference);
    const size_t slash = name.find('/');
    const std::string_view first = std::string_view(name).substr(0, slash);
    // Where a domain stands in front, only what follows it must be lower-case.
    const bool domain =
        slash != std::string::npos && (first.find_first_of(".:") != std::string_view::npos ||
                                       std::ranges::any_of(first, is_upper));
    const std::string_view path = std::string_view(name).substr(domain ? slash + 1 : 0);
    const std::string_view repository = path.substr(0, path.find_first_of(":@"));
    if (repository.empty() || !std::ranges::all_of(name, is_allowed))
        return fail("invalid reference format");
    if (std::ranges::any_of(repository, is_upper))
        return fail("invalid reference format: repository name (" +
                    std::string(domain || slash != std::string::npos ? "" : "library/") +
                    std::string(repository) + ") must be lowercase");
    return {};
}

void Images::add(Image image, const std::vector<std::string>& names) {
    CHECK(!image.id.empty());
    const std::string id = image.id;
    by_id_.insert_or_assign(id, std::move(image));
    for (const std::string& name : names) id_by_name_[name] = id;
}

void Images::tag(const std::string& id, const std::string& name) { id_by_name_[name] = id; }

void Images::untag(const std::string& id, const std::string& name) {
    const auto found = id_by_name_.find(name);
    if (found != id_by_name_.end() && found->second == id) id_by_name_.erase(found);
}

void Images::remove(const std::string& id) {
    by_id_.erase(id);
    std::erase_if(id_by_name_, [&](const auto& entry) { return entry.second == id; });
}

const Image* Images::find(std::string_view reference, bool& ambiguous) const {
    ambiguous = false;
    if (reference.empty()) return nullptr;
    for (const std::string& name : {std::string(reference), familiar(reference)})
        if (const auto found = id_by_name_.find(name); found != id_by_name_.end())
            if (const auto image = by_id_.find(found->second); image != by_id_.end())
                return &image->second;
    if (reference.starts_with(kDigestPrefix)) reference.remove_prefix(kDigestPrefix.size());
    return is_hex(reference) ? find_by_prefix(reference, ambiguous) : nullptr;
}

const Image* Images::find_by_prefix(std::string_view hex, bool& ambiguous) const {
    const std::string prefix = std::string(kDigestPrefix) + std::string(hex);
    const auto first = by_id_.lower_bound(prefix);
    if (first == by_id_.end() || !first->first.starts_with(prefix)) return nullptr;
    const auto second = std::next(first);
    ambiguous = second != by_id_.end() && second->first.starts_with(prefix);
    return ambiguous ? nullptr : &first->second;
}

std::vector<std::string> Images::names_of(const std::string& id) const {
    std::vector<std::string> names;
    for (const auto& [name, of] : id_by_name_)
        if (of == id) names.push_back(name);
    return names;
}

}  // namespace noded::container

// See event_line.h.
#include "tools/nodectl/event_line.h"

#include <algorithm>
#include <cstdio>

#include "tools/nodectl/table.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

constexpr std::string_view kKeys[] = {"container", "daemon", "event", "image",
                                      "label",     "plugin", "scope", "type"};
constexpr size_t kValueWidth = 64;

/// A text member, or "".
std::string text_of(const Json& object, const char* name) {
    if (!object.is_object()) return "";
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

bool is_id(const std::string& text) {
    const bool digest = text.starts_with("sha256:");
    const std::string_view digits = std::string_view(text).substr(digest ? 7 : 0);
    return digits.size() == 64 &&
           digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string shown_value(const Json& value, bool truncate) {
    std::string text = value.is_string() ? value.get<std::string>() : to_line(value);
    if (truncate && is_id(text)) return short_id(text);
    if (truncate) text = ellipsis(text, kValueWidth);
    // A line stays one line, and nothing in it moves the cursor of a terminal.
    const bool plain = !text.empty() && std::ranges::none_of(text, [](unsigned char c) {
        return c <= ' ' || c == 0x7F || c == '"' || c == '=';
    });
    return plain || !value.is_string() ? text : to_line(Json(text));
}

namespace {

/// Empty members say nothing, but an exit code of zero does.
bool worth_showing(const std::string& key, const Json& value) {
    if (key == "exitCode") return true;
    if (value.is_number()) return value != 0;
    if (value.is_boolean()) return value.get<bool>();
    return !value.empty();
}

void append_members(std::string& line, const Json& object, bool truncate) {
    for (const auto& item : object.items()) {
        const Json& value = item.value();
        if (!worth_showing(item.key(), value)) continue;
        const bool texts = value.is_array() && value[0].is_string();
        if (value.is_structured() && !texts) {
            // What a user looks for in a spec.
            const std::string image = text_of(value, "imageName");
            if (!image.empty()) line += " image=" + shown_value(Json(image), truncate);
            continue;
        }
        line += " " + item.key() + "=" + shown_value(value, truncate);
    }
}

}  // namespace

std::string type_name(const std::string& name, uint64_t type) {
    if (!name.empty()) return name;
    char text[24];
    snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(type));
    return text;
}

std::string event_type(const ShownEvent& event) { return type_name(event.name, event.type); }

std::string sender_text(const ShownSender& sender) {
    std::string text = sender.command;
    // A client's words are a stranger's.
    if (!sender.client.empty()) {
        const std::string quoted = to_line(Json(sender.client));
        text += " from " + quoted.substr(1, quoted.size() - 2);
    }
    if (sender.pid != 0)
        text += ", uid " + std::to_string(sender.uid) + ", pid " + std::to_string(sender.pid);
    return text;
}

Json sender_json(const ShownSender& sender) {
    return {{"type", sender.command},
            {"client", sender.client},
            {"uid", sender.uid},
            {"gid", sender.gid},
            {"pid", sender.pid}};
}

Json event_json(const ShownEvent& event) {
    Json json = {
        {"seq", event.seq},
        {"time", event.time_ns / kSecondNs},
        {"timeNano", event.time_ns},
        {"type", event_type(event)},
        {"plugin", event.plugin},
        {"commandId", event.command_id},
        {"causeSeq", event.cause_seq},
        {"payload", event.payload},
    };
    if (event.sender) json["command"] = sender_json(*event.sender);
    return json;
}

std::string event_line(const ShownEvent& event, bool truncate) {
    std::string line = rfc3339_fixed(event.time_ns) + " " + std::to_string(event.seq) + " " +
                       (event.plugin.empty() ? "-" : event.plugin) + " " + event_type(event);
    if (event.payload.is_object()) append_members(line, event.payload, truncate);
    if (event.sender) line += " (" + sender_text(*event.sender) + ")";
    return line;
}

Result<EventFilter> EventFilter::parse(const std::vector<std::string>& arguments) {
    EventFilter result;
    result.filters_ = TRY(Filters::parse(arguments, kKeys));
    return result;
}

/// "app" is "app:latest", and an id goes without its algorithm.
static bool is_named(const std::string& text, const std::string& wanted) {
    return text == wanted || text == wanted + ":latest" || text + ":latest" == wanted ||
           text == "sha256:" + wanted;
}

void EventFilter::learn(const std::string& id, const std::string& name, const std::string& image,
                        const std::string& image_id) {
    for (const std::string& wanted : filters_.of("container")) {
        if (wanted == name) ids_.insert(id);
    }
    for (const std::string& wanted : filters_.of("image")) {
        if (is_named(image, wanted) || is_named(image_id, wanted)) of_images_.emplace(id, wanted);
    }
}

bool EventFilter::matches_container(const ShownEvent& event, const std::string& wanted) const {
    for (const char* member : {"id", "containerId"}) {
        const std::string id = text_of(event.payload, member);
        if (id.empty()) continue;
        if (ids_.contains(id) || (wanted.size() >= 4 && id.starts_with(wanted))) return true;
    }
    return text_of(event.payload, "name") == wanted;
}

bool EventFilter::matches_image(const ShownEvent& event, const std::string& wanted) const {
    for (const char* member : {"id", "containerId"})
        if (of_images_.contains({text_of(event.payload, member), wanted})) return true;
    for (const char* member : {"reference", "name", "id"})
        if (const std::string text = text_of(event.payload, member);
            !text.empty() && event.plugin != "container" && is_named(text, wanted))
            return true;
    const auto names =
        event.payload.is_object() ? event.payload.find("names") : event.payload.end();
    if (names == event.payload.end() || !names->is_array()) return false;
    return std::ranges::any_of(*names, [&](const Json& one) {
        return one.is_string() && is_named(one.get<std::string>(), wanted);
    });
}

bool EventFilter::matches(const ShownEvent& event) {
    const std::string id = text_of(event.payload, "id");
    const std::string name = text_of(event.payload, "name");
    const auto spec = event.payload.is_object() ? event.payload.find("spec") : event.payload.end();
    const bool has_spec = event.payload.is_object() && spec != event.payload.end();
    if (event.plugin == "container" && !id.empty() && (has_spec || !name.empty()))
        learn(id, name, has_spec ? text_of(*spec, "imageName") : "",
              has_spec ? text_of(*spec, "imageId") : "");
    const auto is_image = [&](const std::string& wanted) { return matches_image(event, wanted); };
    // Docker's types are those of objects.
    const auto is_type = [&](const std::string& wanted) {
        return wanted == event_type(event) ||
               (wanted == "container" && event.plugin == "container") ||
               (wanted == "image" && event.plugin == "storage" && event.name.starts_with("Image"));
    };
    const auto is_plugin = [&](const std::string& wanted) { return wanted == event.plugin; };
    const auto is_container = [&](const std::string& wanted) {
        return matches_container(event, wanted);
    };
    return filters_.any("type", is_type) && filters_.any("plugin", is_plugin) &&
           filters_.any("container", is_container) && filters_.any("image", is_image);
}

}  // namespace noded::nodectl

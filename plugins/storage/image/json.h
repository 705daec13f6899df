// JSON from strangers: parsed without exceptions, with a bound on nesting (nlohmann-json prints
// recursively, so a megabyte of brackets would run through the stack). Private to image_config.cc
// and load.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {

using Json = nlohmann::json;

inline bool nested_too_deep(std::string_view text) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (quoted) {
            if (c == '\\') ++i;
            else if (c == '"') quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{') {
            if (++depth > limits::json_depth_max) return true;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return false;
}

/// `what` is the subject of the error sentence: "manifest.json".
inline Result<Json> parse_json(std::string_view text, const std::string& what) {
    if (nested_too_deep(text))
        return fail(what + " is nested more than " + std::to_string(limits::json_depth_max) +
                    " levels deep");
    Json value = Json::parse(text, nullptr, false);
    if (value.is_discarded()) return fail(what + " is not valid JSON");
    return value;
}

/// The member `key` of `object`, or null where it is absent or `object` is none.
inline const Json& json_member(const Json& object, const char* key) {
    static const Json null;
    if (!object.is_object()) return null;
    auto found = object.find(key);
    return found == object.end() ? null : *found;
}

/// The text of a string value, empty for anything else.
inline std::string json_text(const Json& value) {
    return value.is_string() ? value.get_ref<const std::string&>() : std::string();
}

}  // namespace noded::image

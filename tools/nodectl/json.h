// Json: the documents that nodectl prints and evaluates templates over. Keys keep their order, as
// docker's do.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace noded::nodectl {

using Json = nlohmann::ordered_json;

/// One line; bytes that are not UTF-8 become U+FFFD, since labels and arguments may hold anything.
inline std::string to_line(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// As `inspect` prints it, indented by four.
inline std::string to_pretty(const Json& value) {
    return value.dump(4, ' ', false, Json::error_handler_t::replace);
}

}  // namespace noded::nodectl

// The functions that a template can call, and how values look as text. Pure. Called by template.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "agent/base/result.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

bool is_template_function(std::string_view name);

/// The error is the end of a sentence: "wrong number of args for upper".
Result<Json> call_template_function(std::string_view name, std::span<const Json> arguments);

/// Go's %v: "text", "3", "[a b]", "map[k:v]", "<no value>".
std::string to_text(const Json& value);

/// How docker shows the null of a field, whose type in docker's own structs it knows: a pointer is
/// "<nil>", a map "map[]", a list "[]". Without a field it is to_text.
std::string null_text(std::string_view field);
/// A field that docker's structs have, and its JSON leaves out when it is not set.
bool may_be_absent(std::string_view field);

/// False for nothing, false, zero and empty.
bool is_true(const Json& value);

/// "string", "int", "bool", "slice", "map"; for messages.
const char* type_name(const Json& value);

}  // namespace noded::nodectl

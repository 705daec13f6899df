// Names of containers: which ones are allowed, and how one is made up. Pure; called by decide.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "agent/base/ids.h"
#include "agent/base/result.h"

namespace noded::container {

/// Without the leading slash that docker's clients may send; the error is docker's sentence.
Result<std::string> check_name(std::string_view name);

/// adjective_noun from the bytes of `id`; with a number behind if that is `taken`.
std::string make_name(const CommandId& id, const std::function<bool(const std::string&)>& taken);

}  // namespace noded::container

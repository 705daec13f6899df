// The version of nodectl.
#pragma once

namespace noded::nodectl {

constexpr const char* kVersion = "0.1.0";

}  // namespace noded::nodectl

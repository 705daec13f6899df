// The version of noded and its tools.
#pragma once

namespace noded {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace noded

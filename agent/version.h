// The version of noded and the commit that it was built from (stamped by tools/bazel/workspace_status).
#pragma once

namespace noded {

inline constexpr char kVersion[] = "0.1.0";
inline constexpr char kGitCommit[] = "unknown";

}  // namespace noded

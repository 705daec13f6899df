// Reads a launch spec in place: every string of a Launch points into the bytes that were decoded,
// which must therefore outlive it. No allocation, no C++ library: used by the shim, and by the
// tests against the encoder.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plugins/container/shim/launch.h"

namespace noded::launch {

/// A NULL-terminated list of strings, in the form that execve takes.
template <size_t Max>
struct TextList {
    uint32_t count = 0;
    const char* items[Max + 1] = {};
};

struct Mount {
    const char* type;
    const char* source;
    const char* target;
    const char* options;
};

struct Pair {
    const char* first;
    const char* second;
};

/// Small members first: they share a page, and pages of lists that stay empty are never touched.
struct Launch {
    const char* id = nullptr;
    const char* upper = nullptr;
    const char* work = nullptr;
    const char* rootfs = nullptr;
    const char* hostname = nullptr;
    const char* domainname = nullptr;
    const char* cwd = "/";
    const char* user = "";
    const char* netns = nullptr;
    const char* cgroup_v2 = nullptr;
    const char* log = nullptr;
    const char* runtime = nullptr;
    const void* seccomp = nullptr;  ///< sock_filter array, 8-byte aligned
    uint32_t seccomp_count = 0;     ///< instructions
    uint32_t flags = 0;
    uint32_t namespaces = 0;
    uint32_t stop_signal = 15;
    int32_t oom_score_adj = 0;
    Window window = {0, 0};
    LogLimits log_limits = {0, 0, 0};
    uint64_t capabilities = 0;
    uint64_t shm_bytes = 64 << 20;
    uint32_t rlimit_count = 0;
    uint32_t mount_count = 0;
    uint32_t cgroup_count = 0;
    uint32_t sysctl_count = 0;
    uint32_t join_count = 0;
    uint32_t id_map_count = 0;
    Rlimit rlimits[rlimits_max];
    Pair cgroups[cgroups_max];  ///< folder, name
    Pair sysctls[sysctls_max];  ///< path, value
    Pair joins[joins_max];      ///< kind of namespace, path
    IdMap id_maps[id_maps_max];
    TextList<hidden_paths_max> masked;
    TextList<hidden_paths_max> read_only;
    TextList<groups_added_max> groups;
    Mount mounts[mounts_max];
    TextList<lowers_max> lowers;
    TextList<arguments_max> arguments;
    TextList<environment_max + 4> environment;  ///< room for the four variables that the shim adds

    bool has(Flag flag) const { return (flags & flag) != 0; }
};

/// CLONE_NEW* of "pid", "ipc" and so on; 0 if there is no such kind.
uint32_t namespace_flag(const char* kind);

/// Fills `out`, which must be freshly constructed. Returns nullptr, or a sentence that says what is
/// wrong. `bytes` must be 8-byte aligned.
const char* decode(const void* bytes, size_t size, Launch* out);

/// What a container needs beyond what an exec needs; nullptr or a sentence.
const char* check_container(const Launch& launch);

}  // namespace noded::launch

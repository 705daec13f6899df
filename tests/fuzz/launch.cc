// A launch specification as the shim decodes it: every string ends inside of the bytes, or a
// sentence says why not.
#include <cstring>
#include <memory>

#include "agent/base/check.h"
#include "plugins/container/shim/launch_decode.h"
#include "tests/fuzz/input.h"

namespace noded {
namespace {

/// Touches every byte of a string.
void touch(const char* text) {
    if (text != nullptr) CHECK(strlen(text) < SIZE_MAX);
}

template <size_t Max>
void touch_all(const launch::TextList<Max>& list) {
    CHECK(list.count <= Max);
    for (uint32_t i = 0; i < list.count; ++i) {
        CHECK(list.items[i] != nullptr);
        touch(list.items[i]);
    }
    CHECK(list.items[list.count] == nullptr);
}

void touch_all(const launch::Launch& launch) {
    for (const char* text :
         {launch.id, launch.upper, launch.work, launch.rootfs, launch.hostname, launch.cwd,
          launch.user, launch.netns, launch.cgroup_v2, launch.log, launch.runtime})
        touch(text);
    touch_all(launch.masked);
    touch_all(launch.read_only);
    touch_all(launch.lowers);
    touch_all(launch.arguments);
    touch_all(launch.environment);
    CHECK(launch.mount_count <= launch::mounts_max && launch.cgroup_count <= launch::cgroups_max);
    CHECK(launch.sysctl_count <= launch::sysctls_max);
    CHECK(launch.rlimit_count <= launch::rlimits_max);
    for (uint32_t i = 0; i < launch.mount_count; ++i) {
        const launch::Mount& mount = launch.mounts[i];
        for (const char* text : {mount.type, mount.source, mount.target, mount.options})
            touch(text);
    }
    for (uint32_t i = 0; i < launch.cgroup_count; ++i) {
        touch(launch.cgroups[i].first);
        touch(launch.cgroups[i].second);
    }
    for (uint32_t i = 0; i < launch.sysctl_count; ++i) {
        touch(launch.sysctls[i].first);
        touch(launch.sysctls[i].second);
    }
    uint8_t sum = 0;
    for (size_t i = 0; i < launch.seccomp_count * size_t{8}; ++i)
        sum += static_cast<const uint8_t*>(launch.seccomp)[i];
    CHECK(sum <= 255);
}

}  // namespace
}  // namespace noded

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace noded;
    // Exactly as many bytes as came, on words, so that a read past the end is seen.
    const std::unique_ptr<uint8_t[]> bytes(new uint8_t[size]);
    if (size > 0) memcpy(bytes.get(), data, size);
    const auto launch = std::make_unique<launch::Launch>();
    if (const char* wrong = launch::decode(bytes.get(), size, launch.get())) {
        CHECK(strlen(wrong) > 0);
        return 0;
    }
    touch_all(*launch);
    if (const char* wrong = launch::check_container(*launch)) CHECK(strlen(wrong) > 0);
    return 0;
}

// The launch spec: what the encoder writes the decoder reads, and nothing else.
#include <gtest/gtest.h>

#include <memory>

#include "plugins/container/shim/launch_decode.h"
#include "plugins/container/shim/launch_encode.h"

namespace noded {
namespace {

LaunchSpec example() {
    LaunchSpec spec;
    spec.id = "c1";
    spec.arguments = {"sh", "-c", "true"};
    spec.environment = {"A=1", "B="};
    spec.lowers = {"/l/2", "/l/1"};
    spec.upper = "/u";
    spec.work = "/w";
    spec.user = "alice:staff";
    spec.cwd = "/srv";
    spec.tty = true;
    spec.rows = 24;
    spec.columns = 80;
    spec.capabilities = default_capabilities();
    spec.seccomp = Buffer(16, 7);
    spec.rlimits = {{7, 0, 100, 200}};
    spec.mounts = {{"bind", "/src", "/dst", "ro"}};
    spec.sysctls = {{"net/ipv4/ip_forward", "1"}};
    spec.namespaces = default_namespaces();
    spec.cgroups_v1 = {{"/sys/fs/cgroup/memory/x", "memory"}};
    spec.masked_paths = {"/proc/kcore"};
    spec.log_folder = "/log";
    spec.log_limits = {1 << 20, 3, 0};
    spec.runtime_dir = "/run/c1";
    return spec;
}

const char* decode(const Buffer& bytes, launch::Launch* out) {
    return launch::decode(bytes.data(), bytes.size(), out);
}

TEST(LaunchSpec, decoder_reads_what_the_encoder_wrote) {
    const Buffer bytes = *launch_encode(example());
    const auto launch = std::make_unique<launch::Launch>();
    ASSERT_EQ(decode(bytes, launch.get()), nullptr);
    ASSERT_EQ(launch::check_container(*launch), nullptr);
    EXPECT_STREQ(launch->id, "c1");
    ASSERT_EQ(launch->arguments.count, 3u);
    EXPECT_STREQ(launch->arguments.items[2], "true");
    EXPECT_EQ(launch->arguments.items[3], nullptr);
    EXPECT_STREQ(launch->environment.items[1], "B=");
    EXPECT_STREQ(launch->lowers.items[0], "/l/2");
    EXPECT_STREQ(launch->user, "alice:staff");
    EXPECT_TRUE(launch->has(launch::flag_tty));
    EXPECT_FALSE(launch->has(launch::flag_open_stdin));
    EXPECT_EQ(launch->window.columns, 80);
    EXPECT_EQ(launch->seccomp_count, 2u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(launch->seccomp) % 8, 0u);
    EXPECT_EQ(launch->rlimits[0].hard, 200u);
    EXPECT_STREQ(launch->mounts[0].target, "/dst");
    EXPECT_STREQ(launch->cgroups[0].second, "memory");
    EXPECT_STREQ(launch->sysctls[0].second, "1");
    EXPECT_STREQ(launch->runtime, "/run/c1");
    EXPECT_EQ(launch->capabilities, 0xa80425fbull);
}

TEST(LaunchSpec, every_truncation_is_refused) {
    const Buffer bytes = *launch_encode(example());
    for (size_t size = 0; size < bytes.size(); ++size) {
        const auto launch = std::make_unique<launch::Launch>();
        EXPECT_NE(launch::decode(bytes.data(), size, launch.get()), nullptr) << size;
    }
}

TEST(LaunchSpec, no_flipped_byte_reads_outside_the_spec) {
    const Buffer bytes = *launch_encode(example());
    for (size_t at = 0; at < bytes.size(); ++at) {
        Buffer damaged = bytes;
        damaged[at] ^= 0xff;
        damaged.shrink_to_fit();  // so that a reader that leaves it is seen by a memory checker
        const auto launch = std::make_unique<launch::Launch>();
        if (decode(damaged, launch.get()) != nullptr) continue;
        for (uint32_t i = 0; i < launch->arguments.count; ++i) {
            const char* text = launch->arguments.items[i];
            EXPECT_GE(text, reinterpret_cast<const char*>(damaged.data()));
            EXPECT_LE(text + strlen(text),
                      reinterpret_cast<const char*>(damaged.data()) + damaged.size());
        }
    }
}

TEST(LaunchSpec, limits_are_refused_with_a_sentence) {
    LaunchSpec many = example();
    many.lowers.assign(launch::lowers_max + 1, "/l");
    EXPECT_EQ(launch_encode(many).error().message, "a layer occurs more than 256 times");
    LaunchSpec relative = example();
    relative.cwd = "srv";
    EXPECT_EQ(launch_encode(relative).error().message,
              "the working directory is not an absolute path: srv");
    LaunchSpec nul = example();
    nul.arguments.push_back(std::string("a\0b", 3));
    EXPECT_EQ(launch_encode(nul).error().message, "an argument contains a NUL byte");
    LaunchSpec none = example();
    none.arguments.clear();
    EXPECT_EQ(launch_encode(none).error().message, "no command was given");
    LaunchSpec long_argument = example();
    long_argument.arguments.push_back(std::string(launch::text_bytes_max, 'x'));
    EXPECT_FALSE(launch_encode(long_argument).has_value());
}

TEST(LaunchSpec, a_container_needs_a_rootfs_and_a_mount_namespace) {
    LaunchSpec spec = example();
    spec.lowers.clear();
    const Buffer no_root = *launch_encode(spec);
    auto launch = std::make_unique<launch::Launch>();
    ASSERT_EQ(decode(no_root, launch.get()), nullptr);
    EXPECT_STREQ(launch::check_container(*launch),
                 "the launch spec needs either a rootfs or layers");
    spec = example();
    spec.namespaces = 0;
    const Buffer no_namespace = *launch_encode(spec);
    launch = std::make_unique<launch::Launch>();
    ASSERT_EQ(decode(no_namespace, launch.get()), nullptr);
    EXPECT_STREQ(launch::check_container(*launch), "the launch spec has no mount namespace");
}

}  // namespace
}  // namespace noded

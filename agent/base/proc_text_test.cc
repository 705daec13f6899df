// The kernel's lines, as it was seen on machines, and what is cut or strange.
#include "agent/base/proc_text.h"

#include <gtest/gtest.h>

namespace noded {
namespace {

using Views = std::vector<std::string_view>;

TEST(ProcText, words_are_between_separators) {
    EXPECT_EQ(split("a,,b", ','), (Views{"a", "", "b"}));
    EXPECT_EQ(split("", ','), Views{""});
    EXPECT_TRUE(has_word("cpu,cpuacct", "cpuacct"));
    EXPECT_FALSE(has_word("cpuacct,cpuset", "cpu"));
    EXPECT_FALSE(has_word("", "cpu"));
}

TEST(ProcText, a_mount) {
    const auto mount = parse_mount_line(
        "24 21 8:1 /sub /mnt/a\\040b ro,nosuid shared:9 master:1 - xfs /dev/sda1 rw,noquota");
    ASSERT_TRUE(mount);
    EXPECT_EQ(mount->root, "/sub");
    EXPECT_EQ(unescape_mount(mount->place), "/mnt/a b");
    EXPECT_EQ(mount->options, "ro,nosuid");
    EXPECT_EQ(mount->tags, (Views{"shared:9", "master:1"}));
    EXPECT_EQ(mount->type, "xfs");
    EXPECT_EQ(mount->source, "/dev/sda1");
    EXPECT_EQ(mount->super_options, "rw,noquota");
}

TEST(ProcText, a_mount_of_no_source_and_without_peers) {
    const auto mount = parse_mount_line("24 21 0:9 / /x rw - tmpfs  rw");
    ASSERT_TRUE(mount);
    EXPECT_EQ(mount->tags, Views{});
    EXPECT_EQ(mount->source, "");
    EXPECT_EQ(mount->super_options, "rw");
}

TEST(ProcText, what_is_no_mount) {
    EXPECT_FALSE(parse_mount_line(""));
    EXPECT_FALSE(parse_mount_line("24 21 0:9 / /x rw"));
    EXPECT_FALSE(parse_mount_line("24 21 0:9 / /x - tmpfs tmpfs rw"));
    EXPECT_FALSE(parse_mount_line("24 21 0:9 / /x rw - tmpfs tmpfs"));
    EXPECT_EQ(unescape_mount("/a\\04"), "/a\\04");
    EXPECT_EQ(unescape_mount("/a\\09x"), "/a\\09x");
}

TEST(ProcText, a_group) {
    const auto v1 = parse_cgroup_line("4:cpu,cpuacct:/noded/1:2");
    ASSERT_TRUE(v1);
    EXPECT_EQ(v1->controllers, "cpu,cpuacct");
    EXPECT_EQ(v1->path, "/noded/1:2");
    EXPECT_EQ(parse_cgroup_line("0::/")->controllers, "");
    EXPECT_FALSE(parse_cgroup_line("0:"));
    EXPECT_FALSE(parse_cgroup_line("nonsense"));
}

TEST(ProcText, the_start_time_is_field_22_whatever_the_name_holds) {
    EXPECT_EQ(start_time_of("7 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0\n"), 777u);
    EXPECT_EQ(start_time_of(""), 0u);
    EXPECT_EQ(start_time_of("7 (a)"), 0u);
}

}  // namespace
}  // namespace noded

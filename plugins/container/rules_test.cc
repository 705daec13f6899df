// The pure rules below decide: signals, names, env, images, cgroup mounts.
#include <gtest/gtest.h>

#include <algorithm>

#include "plugins/container/cgroup.h"
#include "plugins/container/image_view.h"
#include "plugins/container/limits.h"
#include "plugins/container/names.h"
#include "plugins/container/signals.h"
#include "plugins/container/spec.h"
#include "plugins/container/state.h"

namespace noded::container {
namespace {

TEST(Signals, names_numbers_and_real_time_signals_are_read) {
    for (const char* text : {"SIGTERM", "sigterm", "TERM", "term", "15"})
        EXPECT_EQ(*parse_signal(text), 15) << text;
    EXPECT_EQ(*parse_signal("SIGRTMIN"), 34);
    EXPECT_EQ(*parse_signal("rtmin+3"), 37);
    EXPECT_EQ(*parse_signal("SIGRTMAX-1"), 63);
    EXPECT_EQ(*parse_signal("64"), 64);
    EXPECT_EQ(*parse_signal("SIGSYS"), 31);
}

TEST(Signals, what_is_no_signal_is_refused_with_dockers_sentence) {
    for (const char* text :
         {"", "0", "65", "-1", "9x", "SIG", "SIGFOO", "RTMIN+31", "RTMAX-31", "RTMIN+"})
        EXPECT_FALSE(parse_signal(text)) << text;
    EXPECT_EQ(parse_signal("SIGFOO").error().message, "Invalid signal: SIGFOO");
}

TEST(Names, made_up_names_differ_by_id_and_take_a_number_when_taken) {
    CommandId id;
    id.bytes[0] = 3;
    EXPECT_EQ(make_name(id, [](const std::string&) { return false; }), "apt_acorn");
    std::vector<std::string> had = {"apt_acorn", "apt_acorn2"};
    const auto taken = [&](const std::string& name) { return std::ranges::count(had, name) > 0; };
    EXPECT_EQ(make_name(id, taken), "apt_acorn3");
    EXPECT_TRUE(check_name(make_name(id, taken)));
}

TEST(Names, too_long_a_name_is_refused) {
    EXPECT_TRUE(check_name(std::string(limits::name_bytes_max, 'a')));
    EXPECT_FALSE(check_name(std::string(limits::name_bytes_max + 1, 'a')));
}

TEST(Env, later_wins_in_the_place_of_the_first_and_a_bare_name_removes) {
    const std::vector<std::string> merged =
        merge_env({"A=1", "B=2", "C=3"}, {"B=", "D=4", "A", "E", "D=5"});
    EXPECT_EQ(merged, (std::vector<std::string>{"B=", "C=3", "D=5"}));
}

TEST(Texts, a_zero_byte_and_a_sum_over_the_limit_are_refused) {
    EXPECT_FALSE(check_text(std::string_view("a\0b", 3), 10, "x"));
    EXPECT_TRUE(check_strings({"abc", "def"}, 2, 8, "x"));
    EXPECT_FALSE(check_strings({"abc", "defg"}, 2, 8, "x"));
    EXPECT_FALSE(check_strings({"a", "b", "c"}, 2, 100, "x"));
}

TEST(Images, a_config_of_wrong_types_gives_empty_defaults) {
    for (const char* json :
         {"", "[]", "{\"config\":7}", "{\"config\":{\"Env\":{},\"Cmd\":\"sh\",\"Labels\":[]}}"}) {
        const ImageConfig config = ImageConfig::parse(json);
        EXPECT_TRUE(config.env.empty() && config.command.empty() && config.labels.empty()) << json;
    }
}

TEST(Images, a_name_is_found_in_all_its_forms) {
    Images images;
    images.add({.id = "sha256:ab12"}, {"busybox:latest", "host:5000/x:v1", "a/b:latest"});
    bool ambiguous = false;
    for (const char* name :
         {"busybox", "busybox:latest", "docker.io/library/busybox", "docker.io/a/b",
          "host:5000/x:v1", "sha256:ab12", "ab12", "ab", "sha256:ab"})
        EXPECT_NE(images.find(name, ambiguous), nullptr) << name;
    for (const char* name : {"busybox:v2", "host:5000/x", "AB", "", "sha256:", "b12"})
        EXPECT_EQ(images.find(name, ambiguous), nullptr) << name;
}

TEST(Containers, a_prefix_of_an_id_must_fit_one_only) {
    State state;
    state.by_id["aa1"].id = "aa1";
    state.by_id["aa2"].id = "aa2";
    state.by_id["bb"].id = "bb";
    state.by_name["aa"] = "bb";
    EXPECT_EQ((*state.find("aa"))->id, "bb") << "a name comes before a prefix";
    EXPECT_EQ((*state.find("/aa"))->id, "bb");
    EXPECT_EQ((*state.find("aa1"))->id, "aa1");
    EXPECT_EQ(state.find("a").error().code, int(NODED_REJECT_INVALID));
    EXPECT_EQ(state.find("").error().code, int(NODED_REJECT_NOT_FOUND));
    EXPECT_EQ(state.find("zz").error().message, "No such container: zz");
}

TEST(Cgroups, each_controller_is_found_where_it_is_mounted) {
    const auto found = parse_hierarchies(
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "32 31 0:29 / /cg/cpu rw shared:1 - cgroup cgroup rw,cpu,cpuacct\n"
        "34 31 0:31 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
        "40 31 0:37 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n"
        "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n"
        "42 31 0:38 / /again rw - cgroup2 cgroup2 rw\n");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].name, "cpu,cpuacct");
    EXPECT_EQ(found[0].mount, "/cg/cpu");
    EXPECT_EQ(found[1].name, "");
    EXPECT_EQ(found[1].mount, "/cg/unified");
}

}  // namespace
}  // namespace noded::container

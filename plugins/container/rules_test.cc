// The pure rules below decide: signals, names, env, images, cgroup mounts.
#include <gtest/gtest.h>

#include <algorithm>

#include "plugins/container/sys_fake.h"
#include "plugins/container/options.h"
#include "plugins/container/cgroup.h"
#include "plugins/container/image_view.h"
#include "plugins/container/limits.h"
#include "plugins/container/names.h"
#include "plugins/container/propagation.h"
#include "plugins/container/signals.h"
#include "plugins/container/spec.h"
#include "plugins/container/state.h"
#include "plugins/container/weights.h"

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
    ASSERT_EQ(found.size(), 3u);
    EXPECT_EQ(found[0].name, "cpu,cpuacct");
    EXPECT_EQ(found[0].mount, "/cg/cpu");
    EXPECT_EQ(found[1].name, "cpuset");
    EXPECT_NE(found[1].on_demand, "");
    EXPECT_EQ(found[2].name, "");
    EXPECT_EQ(found[2].mount, "/cg/unified");
}

TEST(CgroupRules, weights_of_v1_and_v2_have_the_same_default) {
    EXPECT_EQ(weight_of_shares(2), 1u);
    EXPECT_EQ(weight_of_shares(3), 2u);
    EXPECT_EQ(weight_of_shares(1024), 100u);
    EXPECT_EQ(weight_of_shares(260000), 9929u);
    EXPECT_EQ(weight_of_shares(262144), 10000u);
    EXPECT_EQ(weight_of_shares(UINT64_MAX), 10000u);
    EXPECT_EQ(weight_of_block(10), 1u);
    EXPECT_EQ(weight_of_block(1000), 10000u);
    EXPECT_EQ(weight_of_block(5), 1u);
}

TEST(CgroupRules, lists_of_cpus_are_compared_as_sets) {
    for (const char* asked : {"", "0", "0-3", "2,0", "3-4", "0-5", "8", "1-2,8-9"})
        EXPECT_TRUE(is_within(asked, "0-3,4-5,8-9")) << asked;
    for (const char* asked : {"6", "0-6", "3-8", "10", "0,99", "8-18446744073709551615",
                              "99999999999999999999"})
        EXPECT_FALSE(is_within(asked, "0-3,4-5,8-9")) << asked;
    EXPECT_TRUE(ranges_of("x").empty());
    EXPECT_EQ(ranges_of("0-2,4\n"), (std::vector<std::pair<uint64_t, uint64_t>>{{0, 2}, {4, 4}}));
}

/// FakeSys has cpu, devices and cpuset as v1, and a v2 tree without controllers.
struct Limits : testing::Test {
    Limits() : cgroups(sys, "/state", warnings) {}
    std::string group(const std::string& mount, const std::string& ending = "") {
        for (const std::string& node : sys->folders_in(mount + "/noded"))
            if (node.ends_with(ending)) return mount + "/noded/" + node + "/c1";
        return "";
    }
    std::string written(const std::string& path) { return sys->files[path]; }

    std::shared_ptr<FakeSys> sys = std::make_shared<FakeSys>();
    std::vector<std::string> warnings;
    Cgroups cgroups;
};

TEST_F(Limits, cpus_become_a_quota_of_the_v1_controller) {
    ASSERT_TRUE(cgroups.create("c1", {}));
    const std::string folder = group("/cg/cpu");
    for (const char* file : {"/cpu.cfs_period_us", "/cpu.cfs_quota_us", "/cpu.shares"})
        sys->files[folder + file] = "";
    Resources asked;
    asked.nano_cpus = 1'500'000'000;
    asked.cpu_shares = 512;
    const auto limited = cgroups.limit("c1", asked);
    ASSERT_TRUE(limited) << limited.error().message;
    EXPECT_EQ(written(folder + "/cpu.cfs_quota_us"), "150000\n");
    EXPECT_EQ(written(folder + "/cpu.shares"), "512\n");
}

TEST_F(Limits, one_that_the_host_cannot_enforce_is_refused) {
    ASSERT_TRUE(cgroups.create("c1", {}));
    Resources asked;
    asked.memory_bytes = 64 << 20;
    const auto limited = cgroups.limit("c1", asked);
    ASSERT_FALSE(limited);
    EXPECT_NE(limited.error().message.find("this host cannot limit memory"), std::string::npos)
        << limited.error().message;
}

TEST_F(Limits, a_v2_group_takes_them_in_its_own_words) {
    ASSERT_TRUE(cgroups.create("c1", {}));
    const std::string folder = group("/cg/unified");
    for (const char* file : {"/memory.max", "/memory.swap.max", "/pids.max", "/io.max"})
        sys->files[folder + file] = "";
    sys->devices["/dev/vda"] = {'b', 254, 0};
    Resources asked;
    asked.memory_bytes = 64 << 20;
    asked.memory_swap_bytes = 96 << 20;
    asked.pids_limit = 7;
    asked.rates.push_back({"/dev/vda", schema::RateKind::WRITE_IOPS, 100});
    const auto limited = cgroups.limit("c1", asked);
    ASSERT_TRUE(limited) << limited.error().message;
    EXPECT_EQ(written(folder + "/memory.max"), "67108864\n");
    EXPECT_EQ(written(folder + "/memory.swap.max"), "33554432\n");
    EXPECT_EQ(written(folder + "/pids.max"), "7\n");
    EXPECT_EQ(written(folder + "/io.max"), "254:0 wiops=100\n");
}

/// A kernel with v2 alone takes any list, and gives all CPUs to a group whose own are not there.
TEST(LimitsOfV2, cpus_that_the_host_does_not_have_are_refused) {
    auto sys = std::make_shared<FakeSys>();
    sys->files["/proc/self/mountinfo"] = "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n";
    sys->files["/cg/unified/cpuset.cpus.effective"] = "0-3,6\n";
    sys->files["/cg/unified/cpuset.mems.effective"] = "0\n";
    std::vector<std::string> warnings;
    Cgroups cgroups(sys, "/state", warnings);
    ASSERT_TRUE(cgroups.create("c1", {.cpuset = true}));
    const std::string folder =
        "/cg/unified/noded/" + sys->folders_in("/cg/unified/noded").at(0) + "/c1";
    for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) sys->files[folder + file] = "";
    const auto ask = [&](const char* cpus, const char* mems) {
        Resources asked;
        asked.cpuset_cpus = cpus;
        asked.cpuset_mems = mems;
        const auto limited = cgroups.limit("c1", asked);
        return limited ? std::string("taken") : limited.error().message;
    };
    for (const char* cpus : {"0", "0-3", "6,1-2", "6-6", "3,0"}) EXPECT_EQ(ask(cpus, ""), "taken");
    EXPECT_EQ(sys->files[folder + "/cpuset.cpus"], "0\n0-3\n6,1-2\n6-6\n3,0\n");
    EXPECT_EQ(sys->files[folder + "/cpuset.mems"], "") << "what was not asked for is left";
    for (const char* cpus : {"4", "2-4", "0,5", "3-6", "7"})
        EXPECT_EQ(ask(cpus, ""), "Requested CPUs are not available - requested " +
                                     std::string(cpus) + ", available: 0-3,6");
    EXPECT_EQ(ask("", "1"),
              "Requested memory nodes are not available - requested 1, available: 0");
    EXPECT_EQ(ask("", "0"), "taken");
}

TEST_F(Limits, devices_of_its_own_are_a_list_of_its_own) {
    sys->devices["/dev/fuse"] = {'c', 10, 229};
    ASSERT_TRUE(cgroups.create("c1", {.cpuset = false, .devices = true}));
    Options options;
    options.devices = {{"/dev/fuse", "/dev/fuse", "rw"}};
    options.device_rules = {"c 13:* r"};
    ASSERT_TRUE(cgroups.allow("c1", options));
    const std::string folder = group("/cg/devices", "-devices");
    EXPECT_TRUE(written(folder + "/devices.allow").ends_with("c 10:229 rw\nc 13:* r\n"));
    EXPECT_EQ(written(folder + "/devices.deny"), "a\n");
    options.devices = {{"/dev/none", "/dev/none", "rw"}};
    EXPECT_FALSE(cgroups.allow("c1", options));
    ASSERT_TRUE(cgroups.remove("c1"));
    EXPECT_TRUE(sys->traces_of("c1").empty());
}

TEST(Capabilities, all_on_one_side_leaves_the_exceptions_to_the_other) {
    Options options;
    options.cap_add = {"ALL"};
    options.cap_drop = {"CAP_SYS_ADMIN"};
    EXPECT_EQ(capabilities_of(options), capability_bits("all") & ~capability_bits("sys_admin"));
    options = {};
    options.cap_drop = {"all"};
    options.cap_add = {"net_admin"};
    EXPECT_EQ(capabilities_of(options), uint64_t{1} << 12);
    EXPECT_EQ(capability_bits("FLY"), 0u);
}

TEST(RestartPolicy, waits_double_up_to_the_longest_and_begin_anew_after_a_run_that_lasted) {
    const RestartPolicy policy{schema::RestartKind::ALWAYS, 0, 0, 0};
    EXPECT_EQ(restart_delay_ms(policy, {.exit_code = 1}), 100u);
    EXPECT_EQ(restart_delay_ms(policy, {.restarts = 1, .last_delay_ms = 100}), 200u);
    EXPECT_EQ(restart_delay_ms(policy, {.restarts = 9, .last_delay_ms = 51'200}), 60'000u);
    EXPECT_EQ(restart_delay_ms(policy, {.restarts = 9, .last_delay_ms = 60'000}), 60'000u);
    EXPECT_EQ(restart_delay_ms(policy, {.lasted_ns = 10'000'000'000, .last_delay_ms = 60'000}),
              100u);
    EXPECT_EQ(restart_delay_ms(policy, {.stopped_by_user = true}), std::nullopt);
}

TEST(RestartPolicy, on_failure_tries_so_often_and_never_after_success) {
    const RestartPolicy policy{schema::RestartKind::ON_FAILURE, 2, 10, 15};
    EXPECT_EQ(restart_delay_ms(policy, {.exit_code = 0}), std::nullopt);
    EXPECT_EQ(restart_delay_ms(policy, {.exit_code = 1, .restarts = 1, .last_delay_ms = 10}), 15u);
    EXPECT_EQ(restart_delay_ms(policy, {.exit_code = 1, .restarts = 2}), std::nullopt);
}

TEST(Propagation, is_judged_by_the_mount_that_holds_the_source) {
    const auto asked = [&](const std::string& source, const std::string& options,
                           const std::string& line) {
        const Status status = check_peers({"bind", source, "/m", options}, line);
        return status ? "" : status.error().message;
    };
    const std::string shared = "33 32 0:8 / /over rw shared:9 - tmpfs t rw";
    const std::string slave = "31 22 0:6 / /s rw master:4 - tmpfs t rw";
    const std::string own = "30 22 0:5 / /a\\040b rw - tmpfs t rw";
    EXPECT_EQ(asked("/over/x", "rbind,rshared", shared), "");
    EXPECT_EQ(asked("/over/x", "rbind,shared", shared), "");
    EXPECT_EQ(asked("/s", "rbind,rslave", slave), "");
    EXPECT_EQ(asked("/s", "rbind,rshared", slave),
              "path /s is mounted on /s but it is not a shared mount");
    EXPECT_EQ(asked("/link", "ro,slave", own),
              "path /link is mounted on /a b but it is not a shared or slave mount");
    EXPECT_TRUE(wants_peers({"bind", "/a", "/b", "ro,rslave"}));
    EXPECT_FALSE(wants_peers({"bind", "/a", "/b", "rbind,rprivate"}));
    EXPECT_FALSE(wants_peers({"tmpfs", "", "/b", "rslave"}));
}

TEST(HealthCheck, so_many_failures_in_a_row_make_unhealthy_and_one_success_heals) {
    const HealthCheck check{.test = {"CMD", "x"}, .retries = 2};
    Health health{HealthStatus::STARTING, 0};
    health = judge(check, health, false, 0);
    EXPECT_EQ(health, (Health{HealthStatus::STARTING, 1}));
    health = judge(check, health, false, 0);
    EXPECT_EQ(health, (Health{HealthStatus::UNHEALTHY, 2}));
    EXPECT_EQ(judge(check, health, true, 0), (Health{HealthStatus::HEALTHY, 0}));
}

TEST(HealthCheck, failures_of_the_start_period_do_not_count_until_it_was_healthy_once) {
    const HealthCheck check{.test = {"CMD", "x"}, .start_period_ms = 1000, .retries = 1};
    const Health starting{HealthStatus::STARTING, 0};
    EXPECT_EQ(judge(check, starting, false, 999'999'999), starting);
    EXPECT_EQ(judge(check, starting, false, 1'000'000'000).status, HealthStatus::UNHEALTHY);
    EXPECT_EQ(judge(check, {HealthStatus::HEALTHY, 0}, false, 1).status, HealthStatus::UNHEALTHY);
}

}  // namespace
}  // namespace noded::container

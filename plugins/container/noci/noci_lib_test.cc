#include <gtest/gtest.h>
#include <linux/sched.h>
#include <sys/mount.h>

#include "plugins/container/noci/command.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/container.h"
#include "plugins/container/noci/plan_builder.h"
#include "plugins/container/noci/seccomp.h"

namespace noded::noci {
namespace {

constexpr const char* kGood = R"({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
    "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
    "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}})";

Json good() { return Json::parse(kGood); }

std::string error_of(const Json& json) {
    const auto config = parse_config(json.dump(), "/bundle");
    return config ? "" : config.error().message;
}

/// The one step that a mount becomes.
Step step_of(const Json& mount, Status* status = nullptr) {
    Json json = good();
    json["mounts"] = Json::array({mount});
    Config config = parse_config(json.dump(), "/bundle").value();
    config.devices.clear();
    PlanBuilder builder;
    const Status added = add_mounts(config, "/bundle", Cgroups(), builder);
    if (status != nullptr) *status = added;
    if (!added) return {};
    const ListAt at = builder.plan.steps;
    const Buffer bytes = builder.finish().value();
    Step step;
    std::memcpy(&step, bytes.data() + at.offset, sizeof step);
    return step;
}

TEST(NociConfig, a_relative_root_is_below_the_bundle) {
    const auto config = parse_config(kGood, "/bundle");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->rootfs, "/bundle/rootfs");
    EXPECT_NE(config->find(CLONE_NEWPID), nullptr);
    EXPECT_EQ(config->find(CLONE_NEWNET), nullptr);
}

TEST(NociConfig, what_has_another_type_is_named_by_its_path) {
    Json json = good();
    json["process"]["args"] = "sh";
    EXPECT_EQ(error_of(json),
              "config.json: process.args: cannot unmarshal string, a list is expected");
    json = good();
    json["process"]["args"] = {"sh", 3};
    EXPECT_EQ(error_of(json),
              "config.json: process.args[1]: cannot unmarshal number, a string is expected");
    json = good();
    json["process"]["user"]["uid"] = -1;
    EXPECT_EQ(error_of(json), "config.json: process.user.uid: is negative");
    EXPECT_EQ(parse_config("[", "/").error().message, "config.json is not valid JSON");
    EXPECT_EQ(parse_config("null", "/").error().message, "config cannot be null");
}

TEST(NociConfig, null_is_absent) {
    Json json = good();
    json["process"]["capabilities"] = nullptr;
    json["mounts"] = nullptr;
    json["linux"]["resources"] = nullptr;
    EXPECT_EQ(error_of(json), "");
}

TEST(NociConfig, names_may_be_in_any_case) {
    Json json = good();
    json["Process"] = json["process"];
    json["Process"]["CWD"] = "/elsewhere";
    json["Process"].erase("cwd");
    json.erase("process");
    const auto config = parse_config(json.dump(), "/");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->process.cwd, "/elsewhere");
    json["process"] = json["Process"];
    json["process"]["cwd"] = "/here";
    EXPECT_EQ(parse_config(json.dump(), "/")->process.cwd, "/here")
        << "as it is written comes first";
}

TEST(NociConfig, types_of_limits_are_looked_at_before_one_is_set) {
    Json json = good();
    const auto said = [&](const char* pointer, Json value) {
        Json copy = json;
        copy[Json::json_pointer(std::string("/linux/resources/") + pointer)] = std::move(value);
        return error_of(copy);
    };
    EXPECT_EQ(said("memory/limit", 1), "");
    EXPECT_EQ(said("memory", "x"),
              "config.json: linux.resources.memory: cannot unmarshal string, an object is "
              "expected");
    EXPECT_NE(said("pids/limit", "x").find("linux.resources.pids.limit: "), std::string::npos);
    EXPECT_NE(said("cpu/shares", -1).find("is negative"), std::string::npos);
    EXPECT_NE(said("hugepageLimits", Json::array({{{"pageSize", 2}}})).find("[0].pageSize"),
              std::string::npos);
    EXPECT_NE(said("unified", {{"memory.max", 1}}).find("unified.memory.max"), std::string::npos);
    EXPECT_EQ(check_resources(Json::array(), "resources:").error().message,
              "resources: cannot unmarshal array, an object is expected");
}

TEST(NociConfig, a_deadline_is_what_the_kernel_can_keep) {
    const auto said = [](const char* scheduler) {
        Json json = good();
        json["process"]["scheduler"] = Json::parse(scheduler);
        json["process"]["scheduler"]["policy"] = "SCHED_DEADLINE";
        const std::string error = error_of(json);
        const size_t at = error.find("` ");
        return at == std::string::npos ? error : error.substr(at + 2);
    };
    EXPECT_EQ(said(R"({"deadline": 20000})"), "requires `runtime`");
    EXPECT_EQ(said(R"({"runtime": 20000})"), "requires `deadline`");
    EXPECT_EQ(said(R"({"runtime": 0, "deadline": 20000})"), "runtime must be greater than 0");
    EXPECT_EQ(said(R"({"runtime": 9, "deadline": 20000})").find("runtime (9) must be between"), 0u);
    EXPECT_EQ(said(R"({"runtime": 30000, "deadline": 20000})"),
              "runtime (30000) must be <= deadline (20000)");
    EXPECT_EQ(said(R"({"runtime": 10000, "deadline": 20000, "period": 10000})"),
              "deadline (20000) must be <= period (10000)");
    EXPECT_EQ(said(R"({"runtime": 10000, "deadline": 20000, "period": 20000})"), "");
}

TEST(NociConfig, lists_of_numbers_become_bits) {
    Json json = good();
    json["process"]["execCPUAffinity"] = {{"initial", "0,2-3"}, {"final", "64"}};
    const auto config = parse_config(json.dump(), "/bundle");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->process.affinity_first, std::vector<uint64_t>{13});
    EXPECT_EQ(config->process.affinity, (std::vector<uint64_t>{0, 1}));
    for (const char* wrong : {"x", "3-1", "1-", "-1", "0,,1", "0-9876543210", "8192"}) {
        json["process"]["execCPUAffinity"] = {{"initial", wrong}};
        EXPECT_NE(error_of(json).find("invalid initial CPU affinity"), std::string::npos) << wrong;
    }
}

TEST(NociConfig, a_memory_policy_has_the_nodes_that_its_mode_wants) {
    Json json = good();
    json["linux"]["memoryPolicy"] = {
        {"mode", "MPOL_BIND"}, {"nodes", "0-1"}, {"flags", {"MPOL_F_STATIC_NODES"}}};
    const auto config = parse_config(json.dump(), "/bundle");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->memory_policy->mode, 2 | 1 << 15);
    EXPECT_EQ(config->memory_policy->nodes, std::vector<uint64_t>{3});
    json["linux"]["memoryPolicy"] = {{"mode", "MPOL_DEFAULT"}, {"nodes", "0-7"}};
    EXPECT_NE(error_of(json).find("mode requires 0 nodes but got 8"), std::string::npos);
    json["linux"]["memoryPolicy"] = Json::object();
    EXPECT_NE(error_of(json).find("invalid memory policy mode"), std::string::npos);
}

TEST(NociConfig, network_devices_keep_their_names_or_get_others) {
    Json json = good();
    json["linux"]["netDevices"] = {{"eth1", {{"name", "lan"}}}, {"eth2", Json::object()}};
    const auto config = parse_config(json.dump(), "/bundle");
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->net_devices.size(), 2u);
    EXPECT_EQ(config->net_devices[0].name, "lan");
    EXPECT_EQ(config->net_devices[1].name, "eth2");
    json["linux"]["netDevices"]["eth2"] = {{"name", "lan"}};
    EXPECT_NE(error_of(json).find("two network devices are called lan"), std::string::npos);
    for (const char* wrong : {"a/b", "a b", "a:1", "..", "sixteen-letters-"}) {
        json["linux"]["netDevices"] = {{"eth1", {{"name", wrong}}}};
        EXPECT_NE(error_of(json).find("invalid network device name"), std::string::npos) << wrong;
    }
}

TEST(NociCgroups, systemds_names_are_folders) {
    const auto path = [](const std::string& text) {
        const auto found = systemd_cgroup_path(text, "id");
        return found ? *found : found.error().message;
    };
    EXPECT_EQ(path(""), "/system.slice/noci-id.scope");
    EXPECT_EQ(path("a-b.slice:docker:one"), "/a.slice/a-b.slice/docker-one.scope");
    EXPECT_EQ(path("::one"), "/system.slice/one.scope");
    EXPECT_EQ(path("-.slice:p:one"), "/p-one.scope");
    EXPECT_EQ(path("a.slice::b.slice"), "/a.slice/b.slice");
    EXPECT_EQ(path("a:b:c"), "invalid slice name: a");
    EXPECT_EQ(path("a--b.slice:b:c"), "invalid slice name: a--b.slice");
    EXPECT_NE(path("/a/b").find("expected cgroupsPath to be of format"), std::string::npos);
}

TEST(NociConfig, conflicts_are_told_without_the_kernel) {
    Json json = good();
    json["linux"]["namespaces"].push_back({{"type", "pid"}});
    EXPECT_NE(error_of(json).find("duplicated ns \"pid\""), std::string::npos);
    json = good();
    json["process"]["cwd"] = "x";
    EXPECT_EQ(error_of(json), "Cwd must be an absolute path");
    json = good();
    json["hooks"]["poststop"] = Json::array({{{"path", "relative"}}});
    EXPECT_NE(error_of(json).find("absolute path"), std::string::npos);
    json = good();
    json["process"]["rlimits"] = Json::array({{{"type", "RLIMIT_NOSUCH"}}});
    EXPECT_NE(error_of(json).find("RLIMIT_NOSUCH"), std::string::npos);
}

TEST(NociConfig, sysctls_are_known_in_both_notations) {
    Json json = good();
    json["linux"]["sysctl"] = {{"net.ipv4.conf.eth0/1.x", "1"}, {"net/ipv4/conf/eth0.1/x", "2"}};
    const auto config = parse_config(json.dump(), "/");
    ASSERT_TRUE(config);
    EXPECT_EQ(config->sysctls[0].first, "net/ipv4/conf/eth0.1/x");
    EXPECT_EQ(config->sysctls[1].first, "net/ipv4/conf/eth0.1/x");
}

TEST(NociMounts, later_options_win) {
    const Step step =
        step_of({{"destination", "/x"},
                 {"source", "/y"},
                 {"options", {"rbind", "ro", "nosuid", "rw", "rro", "rnodev", "rdev"}}});
    EXPECT_EQ(step.kind, StepKind::bind);
    EXPECT_EQ(step.recursive, 1u);
    EXPECT_EQ(step.attributes, uint64_t{MOUNT_ATTR_NOSUID});
    EXPECT_EQ(step.attributes_cleared, uint64_t{MOUNT_ATTR_RDONLY});
    EXPECT_EQ(step.below_set, uint64_t{MOUNT_ATTR_RDONLY});
    EXPECT_EQ(step.below_cleared, uint64_t{MOUNT_ATTR_NODEV});
}

TEST(NociMounts, a_read_only_tmpfs_is_written_first) {
    const Step step = step_of({{"destination", "/x"},
                               {"type", "tmpfs"},
                               {"source", "tmpfs"},
                               {"options", {"ro", "size=1m", "tmpcopyup"}}});
    EXPECT_EQ(step.kind, StepKind::file_system);
    EXPECT_EQ(step.read_only_late, 1u);
    EXPECT_EQ(step.copy_up, 1u);
    EXPECT_EQ(step.inherits_mode, 1u);
}

TEST(NociMounts, what_cannot_be_is_refused) {
    Status status;
    // Engines list the options of a file system for a bind, too.
    step_of({{"destination", "/x"}, {"source", "/y"}, {"options", {"bind", "size=1"}}}, &status);
    EXPECT_TRUE(status);
    step_of({{"destination", "/x"}, {"type", "tmpfs"}, {"options", {"idmap"}}}, &status);
    EXPECT_NE(status.error().message.find("only supported for bind-mounts"), std::string::npos);
    step_of({{"destination", "/../"}, {"type", "tmpfs"}}, &status);
    EXPECT_FALSE(status);
}

TEST(NociSeccomp, notification_needs_a_listener_and_no_write) {
    Json seccomp = {{"defaultAction", "SCMP_ACT_ALLOW"},
                    {"syscalls", Json::array({{{"names", Json::array({"mkdir"})},
                                               {"action", "SCMP_ACT_NOTIFY"}}})}};
    EXPECT_FALSE(compile_seccomp(seccomp, 0));
    seccomp["listenerPath"] = "/x";
    EXPECT_TRUE(compile_seccomp(seccomp, 0));
    seccomp["syscalls"][0]["names"] = Json::array({"write"});
    EXPECT_FALSE(compile_seccomp(seccomp, 0));
    seccomp["flags"] = Json::array({"NOSUCH"});
    EXPECT_EQ(compile_seccomp(seccomp, 0).error().message, "seccomp flag \"NOSUCH\" not known");
}

TEST(NociSeccomp, a_process_waits_in_a_call_that_its_filter_allows) {
    const auto wait_call = [](const Json& more, const char* others = "SCMP_ACT_ALLOW") {
        Json seccomp = {{"defaultAction", others}, {"listenerPath", "/x"}};
        seccomp["syscalls"] = Json::array({{{"names", Json::array({"mkdir"})},
                                            {"action", "SCMP_ACT_NOTIFY"}}});
        for (const Json& rule : more) seccomp["syscalls"].push_back(rule);
        return compile_seccomp(seccomp, 0).value().wait;
    };
    const auto rule = [](const char* name, const char* action) {
        return Json{{"names", Json::array({name})}, {"action", action}};
    };
    const Json forbidden = rule("futex", "SCMP_ACT_ERRNO");
    EXPECT_EQ(wait_call(Json::array()), FilteredWait::futex);
    EXPECT_EQ(wait_call(Json::array({forbidden})), FilteredWait::read);
    EXPECT_EQ(wait_call(Json::array({forbidden, rule("read", "SCMP_ACT_NOTIFY")})),
              FilteredWait::none);
    EXPECT_EQ(wait_call(Json::array(), "SCMP_ACT_ERRNO"), FilteredWait::none);
    EXPECT_EQ(wait_call(Json::array({rule("read", "SCMP_ACT_ALLOW")}), "SCMP_ACT_ERRNO"),
              FilteredWait::read);
    Json some = rule("futex", "SCMP_ACT_ALLOW");
    some["args"] = Json::array({{{"index", 1}, {"value", 0}, {"op", "SCMP_CMP_EQ"}}});
    EXPECT_EQ(wait_call(Json::array({some}), "SCMP_ACT_ERRNO"), FilteredWait::none)
        << "not of every kind";
    EXPECT_EQ(compile_seccomp(Json{{"defaultAction", "SCMP_ACT_ALLOW"}}, 0).value().wait,
              FilteredWait::none);
}

TEST(NociNames, signals_capabilities_ids_and_paths) {
    EXPECT_EQ(signal_number("KILL"), 9);
    EXPECT_EQ(signal_number("sigterm"), 15);
    EXPECT_EQ(signal_number("10"), 10);
    EXPECT_EQ(signal_number("nosuch"), std::nullopt);
    EXPECT_EQ(capability_number("CAP_SYS_ADMIN"), 21u);
    EXPECT_EQ(clean_path("/a/../../b//c/."), "/b/c");
    for (const char* bad : {"", ".", "..", "a/b", "a b", "\xc3\xa4"}) EXPECT_FALSE(check_id(bad));
    EXPECT_TRUE(check_id("a.B-c_d+9"));
}

TEST(NociFlags, are_read_as_go_reads_them) {
    bool force = false;
    std::string bundle;
    std::vector<std::string> env;
    const Flag flags[] = {{"force,f", &force, ""}, {"bundle,b", &bundle, ""}, {"env,e", &env, ""}};
    std::vector<std::string> rest;
    bool help = false;
    const std::vector<std::string> words = {"-bundle=/x", "id", "--force", "-e", "A=b", "--", "-f"};
    ASSERT_TRUE(parse_flags(flags, words, false, &rest, &help));
    EXPECT_EQ(bundle, "/x");
    EXPECT_TRUE(force);
    EXPECT_EQ(env, std::vector<std::string>{"A=b"});
    EXPECT_EQ(rest, (std::vector<std::string>{"id", "-f"}));
    rest.clear();
    ASSERT_TRUE(parse_flags(flags, words, true, &rest, &help));
    EXPECT_EQ(rest.size(), 6u);
    const std::vector<std::string> wrong = {"--nosuch"};
    EXPECT_EQ(parse_flags(flags, wrong, false, &rest, &help).error().message,
              "flag provided but not defined: -nosuch");
}

}  // namespace
}  // namespace noded::noci

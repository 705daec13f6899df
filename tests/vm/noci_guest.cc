// noci on a kernel that has cgroup v2 alone: which groups it makes, which files its limits go to,
// and whom they belong to. Runs inside the guest that vm_test.cc boots.
#include "tests/integration/noci_fixture.h"

namespace noded::test {
namespace {

constexpr const char* kTop = "/sys/fs/cgroup";

class NociCgroup2 : public Noci {
protected:
    std::string group() const { return std::string(kTop) + "/" + id_; }
    std::string value(const std::string& file) const {
        return trimmed(read_text(group() + "/" + file));
    }
    void sleeper() {
        command("sleep 1000");
        const Ran ran = detached({"run", "-d", "--bundle", bundle_, id_});
        ASSERT_EQ(ran.exit_code, 0) << ran.err;
    }
    std::string inside(const std::string& script) {
        const Ran ran = noci({"exec", id_, "sh", "-euc", script});
        return ran.exit_code == 0 ? trimmed(ran.out) : "failed: " + ran.err;
    }
    void make_tree_writable() {
        for (Json& mount : config_["mounts"])
            if (mount["type"] == "cgroup") mount["options"] = {"nosuid", "noexec", "nodev", "rw"};
    }
};

TEST_F(NociCgroup2, limits_go_to_their_files) {
    config_["linux"]["resources"]["memory"] = {{"limit", 33554432}, {"reservation", 16777216}};
    config_["linux"]["resources"]["cpu"] = {
        {"shares", 512}, {"quota", 500000}, {"period", 1000000}};
    config_["linux"]["resources"]["pids"] = {{"limit", 20}};
    config_["linux"]["resources"]["unified"] = {{"memory.high", "31457280"}};
    sleeper();
    EXPECT_EQ(value("memory.max"), "33554432");
    EXPECT_EQ(value("memory.low"), "16777216");
    EXPECT_EQ(value("memory.high"), "31457280");
    EXPECT_EQ(value("cpu.weight"), "59");
    EXPECT_EQ(value("cpu.max"), "500000 1000000");
    EXPECT_EQ(value("pids.max"), "20");
    EXPECT_EQ(value("cgroup.controllers"),
              trimmed(read_text(std::string(kTop) + "/cgroup.controllers")));
    ASSERT_EQ(noci({"update", "--cpu-share", "1024", "--pids-limit", "30", "--memory", "64M", id_})
                  .exit_code, 0);
    EXPECT_EQ(value("cpu.weight"), "100");
    EXPECT_EQ(value("pids.max"), "30");
    EXPECT_EQ(value("memory.max"), "67108864");
    ASSERT_EQ(noci({"update", "--cpu-quota", "-1", id_}).exit_code, 0);
    EXPECT_EQ(value("cpu.max"), "max 1000000");
    const Json stats = Json::parse(noci({"events", "--stats", id_}).out, nullptr, false);
    EXPECT_EQ(stats["data"]["memory"]["usage"]["limit"], 67108864);
    EXPECT_EQ(stats["data"]["pids"]["limit"], 30);
}

TEST_F(NociCgroup2, what_idles_may_have_shares_for_later) {
    config_["linux"]["resources"]["cpu"] = {{"idle", 1}, {"shares", 512}};
    sleeper();
    EXPECT_EQ(value("cpu.idle"), "1");
    ASSERT_EQ(noci({"update", "--cpu-idle", "1", "--cpu-share", "1024", id_}).exit_code, 0);
    EXPECT_EQ(value("cpu.idle"), "1");
    ASSERT_EQ(noci({"update", "--cpu-idle", "0", "--cpu-share", "512", id_}).exit_code, 0);
    EXPECT_EQ(value("cpu.idle"), "0");
    EXPECT_EQ(value("cpu.weight"), "59");
}

TEST_F(NociCgroup2, what_cannot_be_is_refused_and_leaves_nothing) {
    sleeper();
    const Ran swap = noci({"update", "--memory-swap", "96468992", id_});
    EXPECT_EQ(swap.exit_code, 1);
    EXPECT_NE(swap.err.find("unable to set swap limit without memory limit"), std::string::npos)
        << swap.err;
    const Ran small = noci({"update", "-r", "-", id_},
                           R"({"memory": {"limit": 1024, "checkBeforeUpdate": true}})");
    EXPECT_NE(small.err.find("rejecting memory limit"), std::string::npos) << small.err;
    const Ran unknown = noci({"update", "-r", "-", id_}, R"({"unified": {"nosuch.max": "1"}})");
    EXPECT_NE(unknown.err.find("controller \\\"nosuch\\\" not available"), std::string::npos)
        << unknown.err;
    const Ran missing = noci({"update", "-r", "-", id_}, R"({"unified": {"memory.nosuch": "1"}})");
    EXPECT_NE(missing.err.find("memory.nosuch\\\": no such file"), std::string::npos)
        << missing.err;
    EXPECT_EQ(state()["status"], "running");
}

/// A group with processes has no controllers to give.
TEST_F(NociCgroup2, without_a_path_it_is_beside_its_callers_group) {
    const std::string outer = group() + "-outer";
    fs::create_directories(outer + "/inner");
    config_["linux"]["cgroupsPath"] = "";
    config_["linux"]["resources"]["pids"]["limit"] = 20;
    Json& spaces = config_["linux"]["namespaces"];
    for (size_t i = 0; i < spaces.size(); ++i)
        if (spaces[i]["type"] == "cgroup") spaces.erase(i--);
    command("cat /proc/self/cgroup");
    const Ran ran = run_program({"/bin/sh", "-c",
                                 "echo $$ > " + outer + "/inner/cgroup.procs; exec " + program() +
                                     " --root " + root_ + " run --bundle " + bundle_ + " " + id_});
    EXPECT_EQ(ran.out, "0::/" + id_ + "-outer/" + id_ + "\n") << ran.err;
    EXPECT_EQ(rmdir((outer + "/inner").c_str()), 0);
    EXPECT_EQ(rmdir(outer.c_str()), 0);
}

TEST_F(NociCgroup2, exec_follows_a_container_that_has_handed_controllers_on) {
    make_tree_writable();
    sleeper();
    EXPECT_EQ(inside("cat /proc/self/cgroup"), "0::/");
    EXPECT_EQ(inside("mkdir /sys/fs/cgroup/foo; echo 1 > /sys/fs/cgroup/foo/cgroup.procs"), "");
    EXPECT_EQ(inside("cat /proc/self/cgroup"), "0::/") << "its own group still takes processes";
    EXPECT_EQ(inside("echo $$ > /sys/fs/cgroup/foo/cgroup.procs;"
                     "echo +memory > /sys/fs/cgroup/cgroup.subtree_control"), "");
    EXPECT_EQ(inside("cat /proc/self/cgroup"), "0::/foo");
    const Ran above = noci({"exec", "--cgroup", "/", id_, "true"});
    EXPECT_EQ(above.exit_code, 255);
    EXPECT_NE(above.err.find(" to cgroups: "), std::string::npos) << above.err;
    EXPECT_NE(above.err.find("device or resource busy"), std::string::npos) << above.err;
    EXPECT_EQ(noci({"delete", "--force", id_}).exit_code, 0);
    EXPECT_FALSE(fs::exists(group()));
}

TEST_F(NociCgroup2, who_may_write_to_the_tree_owns_it) {
    config_["linux"]["namespaces"].push_back({{"type", "user"}});
    const Json map = Json{{{"containerID", 0}, {"hostID", 100000}, {"size", 65536}}};
    config_["linux"]["uidMappings"] = config_["linux"]["gidMappings"] = map;
    for (const char* folder : {"/mnt", "/dev/shm", "/dev/pts", "/dev/mqueue"})
        fs::create_directories(bundle_ + "/rootfs" + folder);
    const std::string script = "stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs";
    const Ran read_only = run(script);
    EXPECT_EQ(read_only.out, "65534\n65534\n") << read_only.err;
    make_tree_writable();
    const Ran writable = run(script + "; mkdir /sys/fs/cgroup/mine && echo made");
    EXPECT_EQ(writable.out, "0\n0\nmade\n") << writable.err;
    Json& spaces = config_["linux"]["namespaces"];
    for (size_t i = 0; i < spaces.size(); ++i)
        if (spaces[i]["type"] == "cgroup") spaces.erase(i--);
    const Ran shared = run(script);
    EXPECT_EQ(shared.out, "65534\n65534\n") << shared.err;
}

TEST_F(NociCgroup2, devices_are_those_of_the_rules) {
    config_["linux"]["devices"] =
        Json{{{"path", "/dev/disk"}, {"type", "b"}, {"major", 98}, {"minor", 0}}};
    const std::string script =
        "head -c 1 /dev/disk >/dev/null 2>&1 && echo read; true 2>/dev/null >> /dev/disk && "
        "echo write; echo x > /dev/null && echo usual";
    EXPECT_EQ(run(script).out, "usual\n");
    config_["linux"]["resources"]["devices"].push_back(
        {{"allow", true}, {"type", "b"}, {"major", 98}, {"minor", 0}, {"access", "r"}});
    const Ran ran = run(script);
    EXPECT_EQ(ran.out, "read\nusual\n") << ran.err;
}

TEST_F(NociCgroup2, a_paused_container_is_resumed_and_killed) {
    sleeper();
    ASSERT_EQ(noci({"pause", id_}).exit_code, 0);
    EXPECT_EQ(value("cgroup.freeze"), "1");
    EXPECT_EQ(state()["status"], "paused");
    EXPECT_EQ(noci({"exec", id_, "true"}).exit_code, 255);
    ASSERT_EQ(noci({"resume", id_}).exit_code, 0);
    EXPECT_EQ(inside("echo goes on"), "goes on");
    ASSERT_EQ(noci({"pause", id_}).exit_code, 0);
    ASSERT_EQ(noci({"kill", id_, "KILL"}).exit_code, 0);
    EXPECT_TRUE(wait_for("stopped"));
    EXPECT_EQ(noci({"delete", id_}).exit_code, 0);
}

}  // namespace
}  // namespace noded::test

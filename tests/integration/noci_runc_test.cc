// noci beside runc, on the same bundle and with the same command lines: exit codes, what a process
// sees of its container, and the names in what is printed. Skipped where there is no runc
// (ops/packages has it).
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kRunc = "/usr/sbin/runc";

class BesideRunc : public ::testing::Test {
protected:
    void SetUp() override {
        if (!fs::exists(kRunc)) GTEST_SKIP() << "there is no runc";
        char name[] = "/tmp/noded-test-noci-runc-XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        base_ = name;
        fs::create_directories(base_ + "/bundle/rootfs");
        fs::copy_file("plugins/container/noci/noci", base_ + "/noci");
        ASSERT_EQ(run_program({"ops/busybox-rootfs", base_ + "/rootfs.tar"}).exit_code, 0);
        ASSERT_EQ(run_program({"/usr/bin/tar", "-xf", base_ + "/rootfs.tar", "-C",
                               base_ + "/bundle/rootfs"}).exit_code, 0);
        ASSERT_EQ(run_program({kRunc, "spec", "--bundle", base_ + "/bundle"}).exit_code, 0);
        std::ifstream in(base_ + "/bundle/config.json");
        config_ = Json::parse(in, nullptr, false);
        config_["process"]["terminal"] = false;
        config_["linux"]["cgroupsPath"] = "/noci-test-side-" + std::to_string(getpid());
    }
    void TearDown() override {
        if (base_.empty()) return;
        both("$R delete --force c");
        fs::remove_all(base_);
    }

    void command(const std::string& script) {
        config_["process"]["args"] = {"/bin/sh", "-c", script};
        std::ofstream(base_ + "/bundle/config.json") << config_.dump();
    }

    struct Both {
        Ran runc, noci;
    };
    /// $R is the runtime with a root of its own; the folder is the bundle.
    Both both(const std::string& script) {
        return {one("runc", std::string(kRunc) + " --root " + base_ + "/root-runc", script),
                one("noci", base_ + "/noci --root " + base_ + "/root-noci", script)};
    }
    void expect_same(const std::string& script) {
        const Both ran = both(script);
        EXPECT_EQ(ran.noci.exit_code, ran.runc.exit_code) << script << "\n" << ran.noci.err;
        EXPECT_EQ(ran.noci.out, ran.runc.out) << script << "\n" << ran.noci.err;
    }

    std::string base_;
    Json config_;

private:
    /// Each side has a cgroup of its own: noci refuses one in which runc has processes.
    Ran one(const std::string& side, const std::string& runtime, const std::string& script) {
        return run_program(
            {"/bin/sh", "-c",
             "cd " + base_ + "/bundle; sed -i s:/noci-test-[a-z]*-:/noci-test-" + side +
                 "-: config.json; R='" + runtime +
                 "'; start() { $R run -d c </dev/null >/dev/null 2>&1; }; "
                 "is() { for i in $(seq 500); do $R state c | grep -q \"\\\"$1\\\"\" && return; "
                 "sleep 0.02; done; }; " + script});
    }
};

std::set<std::string> keys(const Json& object) {
    std::set<std::string> names;
    for (const auto& item : object.items()) names.insert(item.key());
    return names;
}

TEST_F(BesideRunc, exit_codes_are_the_same) {
    command("exit 7");
    for (const char* script :
         {"$R run c", "$R run", "$R run a/b", "$R run --nosuch c", "$R --nosuch", "$R nosuch",
          "$R state nosuch", "$R kill nosuch", "$R delete nosuch", "$R delete --force nosuch",
          "$R exec nosuch true", "$R start nosuch", "$R pause nosuch", "$R events nosuch",
          "$R update --pids-limit 3 nosuch", "$R ps nosuch", "$R --version >/dev/null",
          "$R help >/dev/null", "$R run --help >/dev/null", "$R --log-format nosuch list"}) {
        const Both ran = both(script);
        EXPECT_EQ(ran.noci.exit_code, ran.runc.exit_code) << script << "\n" << ran.noci.err;
    }
    config_["process"]["args"] = {"nosuch"};
    std::ofstream(base_ + "/bundle/config.json") << config_.dump();
    const Both ran = both("$R run c");
    EXPECT_EQ(ran.noci.exit_code, ran.runc.exit_code);
}

TEST_F(BesideRunc, a_life_has_the_same_stations) {
    command("sleep 1000");
    const std::string say = " >/dev/null 2>&1; echo $?; ";
    expect_same("$R create c </dev/null >/dev/null 2>&1; echo $?; is created; $R start c" + say +
                "$R start c" + say + "$R create c" + say + "$R delete c" + say +
                "$R exec c sh -c 'exit 3'" + say + "$R exec c nosuch" + say + "$R pause c" + say +
                "is paused; $R pause c" + say + "$R exec c true" + say + "$R resume c" + say +
                "$R resume c" + say + "$R kill c NOSUCH" + say + "$R kill c KILL" + say +
                "is stopped; $R kill c KILL" + say + "$R exec c true" + say + "$R start c" + say +
                "$R delete c" + say + "$R delete c" + say);
}

TEST_F(BesideRunc, state_list_and_events_have_the_same_names) {
    config_["annotations"] = {{"a", "b"}};
    command("sleep 1000");
    ASSERT_EQ(both("start").noci.exit_code, 0);
    const auto parsed = [&](const std::string& script) {
        const Both ran = both(script);
        return std::pair(Json::parse(ran.runc.out, nullptr, false),
                         Json::parse(ran.noci.out, nullptr, false));
    };
    const auto [state, our_state] = parsed("$R state c");
    EXPECT_EQ(keys(our_state), keys(state));
    const auto [list, our_list] = parsed("$R list -f json");
    ASSERT_EQ(our_list.size(), list.size());
    EXPECT_EQ(keys(our_list[0]), keys(list[0]));
    const auto [event, our_event] = parsed("$R events --stats c");
    EXPECT_EQ(keys(our_event), keys(event));
    // runc leaves a cache of no bytes out.
    std::set<std::string> memory = keys(event["data"]["memory"]);
    memory.insert("cache");
    EXPECT_EQ(keys(our_event["data"]["memory"]), memory);
    EXPECT_EQ(keys(our_event["data"]["cpu"]), keys(event["data"]["cpu"]));
    expect_same("$R list | head -1 | tr -s ' '; $R list -q; $R ps c | head -1; "
                "$R ps -f json c | tr -d '0-9\\n'");
    expect_same("$R delete --force c; $R list -q; $R list -f json; $R list | wc -l");
}

TEST_F(BesideRunc, a_process_sees_the_same_container) {
    config_["linux"]["resources"]["pids"] = {{"limit", 33}};
    command("id; pwd; env | sort; umask; ulimit -n; hostname; ls -l /dev | cut -c1-50; "
            "ls /dev/pts /dev/mqueue; "
            "cut -d' ' -f2-4 /proc/mounts | grep -vE '^/(proc|sys)/' | sort; "
            "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status; ls /proc/self/fd; "
            "cat /proc/self/oom_score_adj; cat /sys/fs/cgroup/pids/pids.max /proc/self/uid_map; "
            "cat /proc/timer_list | wc -l; ls /proc/acpi /sys/firmware | wc -l; "
            "touch /x /proc/sys/kernel/hostname 2>/dev/null; echo $?");
    expect_same("$R run c | sed 's/runc/noci/'");
    command("sleep 1000");
    expect_same("start; $R exec -e A=b --cwd /tmp -u 1000:1000 -g 7 c "
                "sh -c 'id; pwd; env | sort; grep Cap /proc/self/status'; $R delete -f c");
}

TEST_F(BesideRunc, limits_go_to_the_same_files) {
    config_["linux"]["resources"] = {
        {"memory", {{"limit", 67108864}, {"reservation", 33554432}}},
        {"cpu", {{"shares", 512}, {"quota", 50000}, {"period", 100000}}},
        {"pids", {{"limit", 44}}}};
    command("sleep 1000");
    const std::string folder = "/noci-test-*-" + std::to_string(getpid());
    const std::string look =
        "for f in memory/@/memory.limit_in_bytes memory/@/memory.soft_limit_in_bytes "
        "cpu/@/cpu.shares cpu/@/cpu.cfs_quota_us cpu/@/cpu.cfs_period_us pids/@/pids.max; do "
        "cat /sys/fs/cgroup/$(echo $f | sed 's:/@/:" + folder + "/:'); done 2>/dev/null; ";
    expect_same("start; " + look + "$R update --memory 134217728 --cpu-share 256 --cpu-quota 20000 "
                "--pids-limit 55 c; echo $?; " + look + "$R update --memory nosuch c; echo $?; "
                "$R delete --force c");
}

}  // namespace
}  // namespace noded::test

// noci --systemd-cgroup where systemd is the first process: each container is a unit of systemd's
// for as long as it is there, with the limits that its cgroup has. Runs inside the guest that
// vm_test.cc boots, as a service of that systemd.
#include <map>
#include <sstream>

#include "tests/integration/noci_fixture.h"

namespace noded::test {
namespace {

class NociSystemd : public Noci {
protected:
    void SetUp() override {
        Noci::SetUp();
        unit_ = "noci-" + id_ + ".scope";
        config_["linux"]["cgroupsPath"] = "system.slice:noci:" + id_;
    }
    void TearDown() override {
        Noci::TearDown();
        EXPECT_EQ(shown()["LoadState"], "not-found") << "a unit is left";
        EXPECT_FALSE(fs::exists(group())) << "a cgroup is left";
    }
    std::string group() const { return "/sys/fs/cgroup/system.slice/" + unit_; }
    std::string value(const std::string& file) const {
        return trimmed(read_text(group() + "/" + file));
    }
    Ran systemd(std::vector<std::string> words) const {
        words.insert(words.begin(), "/usr/bin/systemctl");
        return run_program(words);
    }
    /// All properties in one question: a program takes long to start in the guest.
    using Shown = std::map<std::string, std::string>;
    Shown shown() const {
        Shown all;
        std::istringstream lines(systemd({"show", unit_}).out);
        for (std::string line; std::getline(lines, line);) {
            const size_t equals = line.find('=');
            if (equals == std::string::npos) continue;
            std::string& value = all[line.substr(0, equals)];
            value += (value.empty() ? "" : "\n") + line.substr(equals + 1);
        }
        return all;
    }
    Ran started() {
        command("sleep 1000");
        return detached_by_systemd({"run", "-d", "--bundle", bundle_, id_});
    }
    Ran detached_by_systemd(const std::vector<std::string>& words) {
        std::vector<std::string> all = {"--systemd-cgroup"};
        all.insert(all.end(), words.begin(), words.end());
        return detached(all);
    }

    std::string unit_;
};

TEST_F(NociSystemd, a_container_is_a_scope_until_it_is_deleted) {
    const Ran ran = started();
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(ran.err, "");
    Shown unit = shown();
    EXPECT_EQ(unit["ActiveState"], "active");
    EXPECT_EQ(unit["Slice"], "system.slice");
    EXPECT_EQ(unit["Delegate"], "yes");
    EXPECT_EQ(unit["ControlGroup"], "/system.slice/" + unit_);
    const std::string pid = std::to_string(state().value("pid", 0));
    EXPECT_EQ(value("cgroup.procs"), pid) << "somebody else is in it";
    const std::string status = systemd({"status", "--no-pager", unit_}).out;
    EXPECT_NE(status.find("noci container " + id_), std::string::npos) << status;
    EXPECT_NE(status.find(pid + " sleep 1000"), std::string::npos) << status;
    EXPECT_EQ(noci({"exec", id_, "true"}).exit_code, 0);
    EXPECT_EQ(noci({"pause", id_}).exit_code, 0);
    EXPECT_EQ(noci({"resume", id_}).exit_code, 0);
    EXPECT_EQ(noci({"delete", "--force", id_}).exit_code, 0);
    EXPECT_EQ(shown()["LoadState"], "not-found");
}

TEST_F(NociSystemd, created_started_killed_deleted) {
    command("sleep 1000");
    ASSERT_EQ(detached_by_systemd({"create", "--bundle", bundle_, id_}).exit_code, 0);
    EXPECT_EQ(shown()["ActiveState"], "active");
    ASSERT_EQ(noci({"start", id_}).exit_code, 0);
    ASSERT_EQ(noci({"kill", id_, "KILL"}).exit_code, 0);
    EXPECT_TRUE(wait_for("stopped"));
    const Ran deleted = noci({"delete", id_});
    EXPECT_EQ(deleted.exit_code, 0) << deleted.err;
    EXPECT_EQ(deleted.err, "");
}

/// The scope ends by itself at any moment of the deletion.
TEST_F(NociSystemd, deleted_again_and_again_without_a_word) {
    for (int i = 0; i < 5; ++i) {
        const Ran ran = started();
        ASSERT_EQ(ran.exit_code, 0) << ran.err;
        const Ran deleted = noci({"delete", "--force", id_});
        EXPECT_EQ(deleted.exit_code, 0) << deleted.err;
        EXPECT_EQ(deleted.err, "");
    }
}

TEST_F(NociSystemd, in_the_foreground_the_scope_ends_with_the_process) {
    command("cat /proc/1/cgroup; exit 3");
    Json& spaces = config_["linux"]["namespaces"];
    for (size_t i = 0; i < spaces.size(); ++i)
        if (spaces[i]["type"] == "cgroup") spaces.erase(i--);
    write_config();
    const Ran ran = noci({"--systemd-cgroup", "run", "--bundle", bundle_, id_});
    EXPECT_EQ(ran.exit_code, 3) << ran.err;
    EXPECT_EQ(ran.out, "0::/system.slice/" + unit_ + "\n");
}

TEST_F(NociSystemd, limits_are_systemds_and_the_kernels) {
    config_["linux"]["resources"]["memory"] = {
        {"limit", 33554432}, {"reservation", 16777216}, {"swap", 67108864}};
    config_["linux"]["resources"]["cpu"] = {
        {"shares", 512}, {"quota", 500500}, {"period", 1000000}};
    config_["linux"]["resources"]["pids"] = {{"limit", 20}};
    config_["linux"]["resources"]["unified"] = {{"memory.high", "31457280"}};
    const Ran ran = started();
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    const auto both = [&](const std::string& when) {
        SCOPED_TRACE(when);
        EXPECT_EQ(value("memory.max"), "33554432");
        EXPECT_EQ(value("memory.low"), "16777216");
        EXPECT_EQ(value("memory.high"), "31457280");
        EXPECT_EQ(value("cpu.weight"), "59");
        EXPECT_EQ(value("cpu.max"), "510000 1000000") << "a whole percent";
        EXPECT_EQ(value("pids.max"), "20");
        Shown unit = shown();
        EXPECT_EQ(unit["MemoryMax"], "33554432");
        EXPECT_EQ(unit["MemoryLow"], "16777216");
        EXPECT_EQ(unit["MemoryHigh"], "31457280");
        EXPECT_EQ(unit["MemorySwapMax"], "33554432");
        EXPECT_EQ(unit["CPUWeight"], "59");
        EXPECT_EQ(unit["CPUQuotaPerSecUSec"], "510ms");
        EXPECT_EQ(unit["TasksMax"], "20");
    };
    both("after the start");
    ASSERT_EQ(systemd({"daemon-reload"}).exit_code, 0);
    both("after systemd was loaded anew");
    ASSERT_EQ(noci({"update", "--pids-limit", "30", "--memory", "64M", "--memory-swap", "64M",
                    "--cpu-quota", "250000", id_})
                  .exit_code, 0);
    Shown unit = shown();
    EXPECT_EQ(unit["MemoryMax"], "67108864");
    EXPECT_EQ(value("memory.max"), "67108864");
    EXPECT_EQ(unit["TasksMax"], "30");
    EXPECT_EQ(unit["CPUQuotaPerSecUSec"], "250ms") << "of the period that is in force";
    EXPECT_EQ(value("cpu.max"), "250000 1000000");
    EXPECT_EQ(unit["CPUWeight"], "59");
    ASSERT_EQ(noci({"update", "--pids-limit", "-1", id_}).exit_code, 0);
    EXPECT_EQ(shown()["TasksMax"], "infinity");
}

TEST_F(NociSystemd, devices_are_in_its_list) {
    config_["linux"]["resources"]["devices"].push_back(
        {{"allow", true}, {"type", "b"}, {"major", 98}, {"minor", 0}, {"access", "r"}});
    config_["linux"]["devices"] =
        Json{{{"path", "/dev/disk"}, {"type", "b"}, {"major", 98}, {"minor", 0}}};
    ASSERT_EQ(started().exit_code, 0);
    Shown unit = shown();
    EXPECT_EQ(unit["DevicePolicy"], "strict");
    const std::string list = unit["DeviceAllow"];
    EXPECT_NE(list.find("/dev/block/98:0 r"), std::string::npos) << list;
    EXPECT_NE(list.find("char-136 rwm"), std::string::npos) << list;
    const std::string script =
        "head -c 1 /dev/disk >/dev/null && echo read; true 2>/dev/null >> /dev/disk && "
        "echo write; echo x > /dev/null && echo usual";
    const Ran ran = noci({"exec", id_, "sh", "-c", script});
    EXPECT_EQ(ran.out, "read\nusual\n") << ran.err;
}

TEST_F(NociSystemd, a_slice_of_a_name_with_dashes_is_below_others) {
    config_["linux"]["cgroupsPath"] = "guest-noci.slice:noci:" + id_;
    const Ran ran = started();
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(shown()["ControlGroup"], "/guest.slice/guest-noci.slice/" + unit_);
    EXPECT_TRUE(fs::exists("/sys/fs/cgroup/guest.slice/guest-noci.slice/" + unit_));
    EXPECT_EQ(noci({"delete", "--force", id_}).exit_code, 0);
    EXPECT_FALSE(fs::exists("/sys/fs/cgroup/guest.slice/guest-noci.slice/" + unit_));
}

TEST_F(NociSystemd, annotations_are_properties) {
    config_["annotations"] = {{"org.systemd.property.TimeoutStopSec", "7"},
                              {"org.systemd.property.CollectMode", "'inactive-or-failed'"}};
    const Ran ran = started();
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    Shown unit = shown();
    EXPECT_EQ(unit["TimeoutStopUSec"], "7s");
    EXPECT_EQ(unit["CollectMode"], "inactive-or-failed");
    EXPECT_EQ(noci({"delete", "--force", id_}).exit_code, 0);
    config_["annotations"] = {{"org.systemd.property.TimeoutStopSec", "soon"}};
    const Ran unread = started();
    EXPECT_EQ(unread.exit_code, 1);
    EXPECT_NE(unread.err.find("org.systemd.property.TimeoutStopSec=soon"), std::string::npos)
        << unread.err;
    config_["annotations"] = {{"org.systemd.property.NoSuchThing", "true"}};
    const Ran unknown = started();
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_NE(unknown.err.find("unable to start unit"), std::string::npos) << unknown.err;
}

TEST_F(NociSystemd, a_start_that_fails_leaves_no_unit) {
    config_["process"]["args"] = {"nosuch"};
    write_config();
    const Ran ran = noci({"--systemd-cgroup", "run", "--bundle", bundle_, id_});
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_NE(ran.err.find("executable file not found"), std::string::npos) << ran.err;
}

TEST_F(NociSystemd, the_unit_of_another_is_left_alone) {
    ASSERT_EQ(started().exit_code, 0);
    const std::string other = id_ + "-other";
    const Ran same = detached_by_systemd({"run", "-d", "--bundle", bundle_, other});
    EXPECT_EQ(same.exit_code, 1);
    config_["linux"]["cgroupsPath"] = "guest-noci.slice:noci:" + id_;
    write_config();
    const Ran elsewhere = detached_by_systemd({"run", "-d", "--bundle", bundle_, other});
    EXPECT_EQ(elsewhere.exit_code, 1);
    EXPECT_NE(elsewhere.err.find("unable to start unit"), std::string::npos) << elsewhere.err;
    EXPECT_EQ(shown()["ActiveState"], "active");
    EXPECT_EQ(state()["status"], "running");
}

TEST_F(NociSystemd, what_is_no_name_of_a_unit_is_refused) {
    for (const char* path :
         {"/a/b", "a:b", "x:noci:y", "-x.slice:noci:y", "system.slice:noci:a/b"}) {
        config_["linux"]["cgroupsPath"] = path;
        const Ran ran = started();
        EXPECT_EQ(ran.exit_code, 1) << path;
        EXPECT_NE(ran.err, "") << path;
    }
}

}  // namespace
}  // namespace noded::test

// What a container shares with another one or with the host: --ipc, --pid, --uts, --cgroup-parent.
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

struct ShareTest : SharedNodeTest {
    static std::string id_of(const std::string& name) {
        return node->ok({"inspect", "--format", "{{.Id}}", name});
    }
    static Ran run(std::vector<std::string> options, const std::string& script) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "sh", "-c", script});
        return node->nodectl(all);
    }
    static void expect_refused(const std::vector<std::string>& options, const std::string& why) {
        const Ran ran = run(options, "true");
        EXPECT_EQ(ran.exit_code, 125) << options[0];
        EXPECT_NE(ran.err.find(why), std::string::npos) << ran.err;
    }
};

TEST_F(ShareTest, ipc_of_another_container_comes_with_its_shared_memory) {
    node->ok({"run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sh", "-c",
              "echo shared > /dev/shm/file; readlink /proc/self/ns/ipc; exec sleep 1000"});
    const std::string donor = id_of("donor");
    ASSERT_TRUE(eventually([] { return node->ok({"logs", "donor"}).starts_with("ipc:"); }));
    node->ok({"run", "-d", "--name", "guest", "--ipc", "container:donor", "busybox", "sh", "-c",
              "cat /dev/shm/file; readlink /proc/self/ns/ipc; exec sleep 1000"});
    ASSERT_TRUE(eventually([] {
        return node->ok({"logs", "guest"}) == "shared\n" + node->ok({"logs", "donor"});
    }));
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.IpcMode}}", "donor"}), "shareable");
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.IpcMode}}", "guest"}),
              "container:" + donor);
    // One that shares may be shared in its turn.
    EXPECT_EQ(run({"--ipc", "container:guest"}, "cat /dev/shm/file").out, "shared\n");
    node->ok({"kill", "donor"});
    node->ok({"wait", "donor"});
    // It has what it has; only another start would need the donor.
    EXPECT_EQ(node->ok({"exec", "guest", "cat", "/dev/shm/file"}), "shared");
    node->ok({"stop", "-t", "0", "guest"});
    const Ran again = node->nodectl({"start", "-a", "guest"});
    EXPECT_EQ(again.exit_code, 125);
    EXPECT_NE(again.err.find("can't join IPC of container " + donor + ": container " + donor +
                             " is not running"),
              std::string::npos)
        << again.err;
    node->ok({"rm", "-f", "donor", "guest"});
}

TEST_F(ShareTest, processes_of_another_container_are_seen_and_end_with_it) {
    node->ok({"run", "-d", "--name", "first", "busybox", "sleep", "1234"});
    const std::string first = id_of("first");
    const Ran ran = run({"--pid", "container:first"}, "tr '\\0' ' ' < /proc/1/cmdline");
    EXPECT_EQ(ran.out, "sleep 1234 ") << ran.err;
    node->ok({"run", "-d", "--name", "second", "--pid", "container:" + first.substr(0, 12),
              "busybox", "sleep", "1000"});
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.PidMode}}", "second"}),
              "container:" + first);
    EXPECT_EQ(node->ok({"exec", "second", "readlink", "/proc/self/ns/pid"}),
              node->ok({"exec", "first", "readlink", "/proc/self/ns/pid"}));
    node->ok({"kill", "first"});
    EXPECT_EQ(node->ok({"wait", "second"}), "137");
    const Ran again = node->nodectl({"start", "second"});
    EXPECT_EQ(again.exit_code, 1);
    EXPECT_NE(again.err.find("container " + first + " is not running"), std::string::npos)
        << again.err;
    node->ok({"rm", "first"});
    EXPECT_NE(node->nodectl({"start", "second"}).err.find("No such container: " + first),
              std::string::npos);
    node->ok({"rm", "second"});
}

TEST_F(ShareTest, after_a_restart_of_noded_the_other_one_is_still_found) {
    node->ok({"run", "-d", "--name", "old", "--ipc", "shareable", "busybox", "sleep", "1000"});
    node->kill();
    node->start();
    EXPECT_EQ(run({"--ipc", "container:old", "--pid", "container:old"}, "echo in").out, "in\n");
    node->ok({"rm", "-f", "old"});
}

TEST_F(ShareTest, what_cannot_be_shared_is_refused_in_dockers_words) {
    node->ok({"run", "-d", "--name", "alone", "busybox", "sleep", "1000"});
    node->ok({"create", "--name", "asleep", "--ipc", "shareable", "busybox", "true"});
    const std::string alone = id_of("alone");
    const std::string asleep = id_of("asleep");
    expect_refused({"--ipc", "container:nope"}, "No such container: nope");
    expect_refused({"--pid", "container:nope"}, "No such container: nope");
    expect_refused({"--ipc", "container:alone"},
                   "can't join IPC of container " + alone + ": non-shareable IPC (hint: use "
                   "IpcMode:shareable for the donor container)");
    expect_refused({"--ipc", "container:asleep"}, "container " + asleep + " is not running");
    expect_refused({"--pid", "container:asleep"}, "container " + asleep + " is not running");
    expect_refused({"--ipc", "bogus"}, "Invalid IPC mode: bogus");
    expect_refused({"--pid", "bogus"}, "--pid: invalid PID mode");
    expect_refused({"--pid", "container:"}, "--pid: invalid PID mode");
    expect_refused({"--uts", "bogus"}, "--uts: invalid UTS mode");
    expect_refused({"--cgroupns", "bogus"}, "--cgroupns: invalid CGROUP mode");
    expect_refused({"--uts", "host", "-h", "x"},
                   "conflicting options: hostname and the UTS mode");
    node->ok({"rm", "-f", "alone", "asleep"});
}

TEST_F(ShareTest, without_ipc_there_is_no_shared_memory_to_mount) {
    EXPECT_EQ(run({"--ipc", "none"}, "ls -d /dev/shm 2>&1; readlink /proc/self/ns/ipc | cut -c1-4")
                  .out,
              "ls: /dev/shm: No such file or directory\nipc:\n");
    EXPECT_EQ(run({"--ipc", "none", "--tmpfs", "/dev/shm"}, "stat -f -c %T /dev/shm").out,
              "tmpfs\n");
    EXPECT_EQ(run({"--ipc", "host"}, "grep -c ' /dev/shm ' /proc/mounts").out, "1\n");
}

TEST_F(ShareTest, the_hosts_names_are_seen_with_uts_host) {
    char name[256] = {};
    ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
    EXPECT_EQ(run({"--uts", "host"}, "hostname").out, std::string(name) + "\n");
    EXPECT_EQ(
        node->nodectl({"run", "--uts", "host", "--name", "names", "busybox", "true"}).exit_code, 0);
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.UTSMode}}", "names"}), "host");
    node->ok({"rm", "names"});
}

/// The parents that a test made, in every hierarchy.
struct Parent {
    explicit Parent(std::string path) : path(std::move(path)) {}
    ~Parent() {
        for (const auto& mount : mounts())
            for (std::filesystem::path at = mount + path; at.string().size() > mount.size();
                 at = at.parent_path())
                rmdir(at.c_str());
    }
    static std::vector<std::string> mounts() {
        std::vector<std::string> found;
        std::ifstream lines("/proc/self/mountinfo");
        for (std::string line; std::getline(lines, line);) {
            std::istringstream words(line);
            std::string place;
            for (int i = 0; i < 5; ++i) words >> place;
            if (line.find(" - cgroup") != std::string::npos) found.push_back(place);
        }
        return found;
    }
    std::string path;
};

TEST_F(ShareTest, cgroups_stand_below_the_parent_and_only_the_parent_stays) {
    const Parent parent("/noded-test-" + std::to_string(getpid()) + "/deep");
    node->ok({"run", "-d", "--name", "below", "--cgroupns", "host", "--cgroup-parent",
              parent.path.substr(1) + "/../deep", "-m", "64m", "--cpuset-cpus", "0", "--pids-limit",
              "50", "busybox", "sleep", "1000"});
    const std::string place = parent.path + "/" + id_of("below");
    EXPECT_NE(node->ok({"exec", "below", "cat", "/proc/self/cgroup"}).find(":" + place),
              std::string::npos);
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.HostConfig.CgroupParent}}", "below"}),
              parent.path.substr(1) + "/../deep");
    // The list of devices and the limits are there, too.
    EXPECT_EQ(node->nodectl({"exec", "below", "sh", "-c", "mknod /x b 1 0 && cat /x"}).exit_code,
              1);
    EXPECT_NE(node->ok({"top", "below"}).find("sleep"), std::string::npos);
    node->ok({"pause", "below"});
    node->ok({"unpause", "below"});
    node->ok({"update", "-m", "32m", "--memory-swap", "64m", "below"});
    node->kill();
    node->start();
    EXPECT_EQ(node->ok({"exec", "below", "echo", "on"}), "on");
    // An init system makes groups below its own.
    for (const std::string& mount : Parent::mounts())
        if (std::filesystem::exists(mount + place))
            std::filesystem::create_directories(mount + place + "/a/b/c");
    node->ok({"rm", "-f", "below"});
    for (const std::string& mount : Parent::mounts())
        EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(mount + place); })) << mount;
}

/// Something mounted on one of the groups of a container, which then cannot be removed.
struct HeldGroup {
    explicit HeldGroup(const std::string& place) {
        for (const std::string& mount : Parent::mounts()) {
            path = mount + place;
            if (std::filesystem::exists(path)) break;
        }
        EXPECT_EQ(mount("none", path.c_str(), "tmpfs", 0, "size=4k"), 0) << path;
    }
    ~HeldGroup() { umount2(path.c_str(), MNT_DETACH); }
    std::string path;
};

TEST_F(ShareTest, a_group_below_a_parent_goes_although_noded_was_killed_before_it_was_removed) {
    const Parent parent("/noded-test-" + std::to_string(getpid()) + "/killed");
    node->ok({"run", "-d", "--rm", "--name", "below", "--cgroup-parent", parent.path, "busybox",
              "sleep", "1000"});
    const std::string place = parent.path + "/" + id_of("below");
    {
        const HeldGroup held(place);
        node->ok({"kill", "below"});
        ASSERT_TRUE(eventually([] { return node->ok({"ps", "-aq"}).empty(); }, 60));
        node->kill();
        ASSERT_TRUE(std::filesystem::exists(held.path));
    }
    node->start();
    for (const std::string& mount : Parent::mounts())
        EXPECT_TRUE(eventually([&] { return !std::filesystem::exists(mount + place); }, 60))
            << mount;
}

}  // namespace
}  // namespace noded::test

// What run and create take of the host, looked at from inside the container, on the real kernel.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

struct OptionsTest : SharedNodeTest {
    static Ran run(std::vector<std::string> options, const std::string& script) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "sh", "-c", script});
        return node->nodectl(all);
    }
};

TEST_F(OptionsTest, rights_and_limits_of_a_process_are_those_that_were_asked_for) {
    const Ran ran = run({"--cap-drop", "ALL", "--cap-add", "net_admin", "--ulimit", "nofile=64:128",
                         "--security-opt", "no-new-privileges", "--security-opt",
                         "seccomp=unconfined", "--oom-score-adj", "321", "--sysctl",
                         "net.ipv4.ip_unprivileged_port_start=77", "--shm-size", "2m"},
                        "grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'; "
                        "ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; "
                        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; "
                        "df -k /dev/shm | tail -1 | awk '{print $2}'");
    EXPECT_EQ(ran.out,
              "CapEff:0000000000001000\nNoNewPrivs:1\nSeccomp:0\n64\n128\n321\n77\n2048\n")
        << ran.err;
}

TEST_F(OptionsTest, system_paths_are_open_on_request) {
    const std::string count = "grep -c ' /proc/' /proc/mounts; head -c 0 /proc/keys && echo keys; "
                              "grep CapEff /proc/self/status";
    const Ran usual = run({}, count);
    const Ran open = run({"--security-opt", "systempaths=unconfined"}, count);
    EXPECT_FALSE(usual.out.starts_with("0\n")) << usual.out;
    EXPECT_TRUE(open.out.starts_with("0\n")) << open.out;
    EXPECT_EQ(open.out.substr(open.out.find("CapEff")), usual.out.substr(usual.out.find("CapEff")));
    node->ok({"create", "--name", "open", "--security-opt", "systempaths=unconfined", "busybox",
              "true"});
    EXPECT_EQ(node->ok({"inspect", "-f", "{{json .HostConfig.MaskedPaths}} "
                                         "{{json .HostConfig.ReadonlyPaths}}", "open"}),
              "[] []");
    const Ran other = run({"--security-opt", "systempaths=closed"}, "true");
    EXPECT_NE(other.err.find("Invalid --security-opt: \"systempaths=closed\""), std::string::npos);
}

TEST_F(OptionsTest, file_systems_are_mounted_as_asked) {
    const std::string folder = node->dir() + "/shared";
    std::filesystem::create_directories(folder);
    std::ofstream(folder + "/file") << "inside" << std::flush;
    const std::string missing = node->dir() + "/made/for/it";
    const Ran ran = run({"--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", "-v",
                         folder + ":/rw", "-v", folder + ":/ro:ro", "-v", missing + ":/made",
                         "--mount", "type=tmpfs,target=/small,tmpfs-size=64k"},
                        "cat /ro/file; echo; touch /x 2>/dev/null || echo root-ro; "
                        "touch /ro/x 2>/dev/null || echo ro; echo new > /rw/new; "
                        "touch /scratch/x && echo scratch; touch /made/x; "
                        "dd if=/dev/zero of=/small/x bs=1k count=100 2>/dev/null || echo full");
    EXPECT_EQ(ran.out, "inside\nroot-ro\nro\nscratch\nfull\n") << ran.err;
    EXPECT_EQ(read_text(folder + "/new"), "new\n");
    EXPECT_TRUE(std::filesystem::exists(missing + "/x"));
    const Ran absent = run({"--mount", "type=bind,source=/no/such/place,target=/x"}, "true");
    EXPECT_EQ(absent.exit_code, 125);
    EXPECT_NE(absent.err.find("/no/such/place"), std::string::npos) << absent.err;
}

TEST_F(OptionsTest, namespaces_of_the_host_are_shared_on_request) {
    const auto own = [](const char* name) {
        return std::filesystem::read_symlink(std::string("/proc/self/ns/") + name).string();
    };
    const Ran ran = run({"--ipc", "host", "--pid", "host", "--uts", "host"},
                        "for n in ipc pid uts; do readlink /proc/self/ns/$n; done");
    EXPECT_EQ(ran.out, own("ipc") + "\n" + own("pid") + "\n" + own("uts") + "\n") << ran.err;
    const Ran apart = run({}, "for n in ipc pid uts; do readlink /proc/self/ns/$n; done");
    EXPECT_EQ(apart.out.find(own("ipc")), std::string::npos);
    EXPECT_EQ(apart.out.find(own("pid")), std::string::npos);
    EXPECT_EQ(apart.out.find(own("uts")), std::string::npos);
}

TEST_F(OptionsTest, a_device_is_there_and_only_with_its_rights) {
    const std::string look =
        "head -c 0 /dev/given && echo read; (true > /dev/given) 2>/dev/null || echo no-write";
    // Without that right the host itself may refuse to read its messages, whatever the cgroup says.
    const Ran ran = run({"--cap-add", "SYSLOG", "--device", "/dev/kmsg:/dev/given:r"}, look);
    EXPECT_EQ(ran.out, "read\nno-write\n") << ran.err;
    EXPECT_EQ(run({}, "ls /dev/given 2>/dev/null || echo none").out, "none\n");
    const Ran none = run({"--device", "/dev/no-such"}, "true");
    EXPECT_EQ(none.exit_code, 125);
}

TEST_F(OptionsTest, limits_stand_in_the_cgroup_and_in_inspect) {
    node->ok({"run", "-d", "--name", "lim", "-m", "64m", "--memory-reservation", "32m", "--cpus",
              "0.5", "-c", "300", "--pids-limit", "9", "--cpuset-cpus", "0", "busybox", "sleep",
              "1000"});
    EXPECT_EQ(node->ok({"inspect", "--format",
                        "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} "
                        "{{.HostConfig.PidsLimit}} {{.HostConfig.CpusetCpus}}",
                        "lim"}),
              "67108864 500000000 9 0");
    EXPECT_EQ(trimmed(node->nodectl({"exec", "lim", "sh", "-c",
                                     "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes "
                                     "memory.max 2>/dev/null | head -1; cat pids/pids.max pids.max "
                                     "2>/dev/null | head -1; grep Cpus_allowed_list "
                                     "/proc/self/status | cut -f2"})
                          .out),
              "67108864\n9\n0");
    node->ok({"rm", "-f", "lim"});
}

TEST_F(OptionsTest, a_memory_limit_kills_and_is_told) {
    const Ran ran =
        node->nodectl({"run", "--name", "fat", "-m", "16m", "busybox", "tail", "/dev/zero"});
    EXPECT_EQ(ran.exit_code, 137) << ran.err;
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.OOMKilled}}", "fat"}), "true");
    node->ok({"rm", "fat"});
}

TEST_F(OptionsTest, what_cannot_be_is_refused_with_a_sentence_and_125) {
    const std::vector<std::vector<std::string>> wrong = {
        {"-m", "abc"},          {"-m", "1k"},
        {"--cpus", "x"},        {"--cpus", "-1"},
        {"-c", "many"},
        {"--cap-add", "FLY"},   {"--ulimit", "nofile"},
        {"--ulimit", "x=1"},    {"-v", "name:/x"},
        {"-v", "/a:x"},         {"--mount", "type=bind,source=/a"},
        {"--tmpfs", "rel"},     {"--security-opt", "what"},
        {"--sysctl", "a=b"},    {"--shm-size", "-1"},
        {"--ipc", "container:x"}, {"--device", "rel"},
        {"--device-read-bps", "/dev/null"}, {"--oom-score-adj", "5000"},
        {"--blkio-weight", "5"}, {"--cpuset-cpus", "a"}};
    for (const auto& options : wrong) {
        const Ran ran = run(options, "true");
        EXPECT_EQ(ran.exit_code, 125) << options[0] << " " << options[1] << ": " << ran.err;
        EXPECT_FALSE(ran.err.empty()) << options[0];
    }
    const Ran ran = run({"--cpuset-cpus", "99"}, "true");
    EXPECT_NE(ran.err.find("Requested CPUs are not available - requested 99"), std::string::npos)
        << ran.err;
}

TEST_F(OptionsTest, a_seccomp_profile_of_the_users_is_obeyed_and_a_malformed_one_refused) {
    const std::string file = node->dir() + "/profile.json";
    const auto run = [&](const std::string& profile) {
        std::ofstream(file) << profile;
        return node->nodectl({"run", "--rm", "--security-opt", "seccomp=" + file, "busybox",
                              "mkdir", "/x"});
    };
    const Ran denied = run(R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat", "of_another_machine"], "action": "SCMP_ACT_ERRNO",
         "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}}]})");
    EXPECT_EQ(denied.exit_code, 1);
    EXPECT_NE(denied.err.find("Operation not permitted"), std::string::npos) << denied.err;
    EXPECT_EQ(run(R"({"defaultAction": "SCMP_ACT_ALLOW"})").exit_code, 0);
    const std::string allowed = R"({"defaultAction": "SCMP_ACT_ALLOW"})";
    for (const std::string& wrong :
         {std::string("{"), std::string("[]"), std::string("\0\1", 2), allowed + std::string(1, 0),
          std::string(R"({"defaultAction": "ALLOW"})"),
          std::string(R"({"defaultAction": "SCMP_ACT_ALLOW",
                         "syscalls": [{"action": "SCMP_ACT_LOG"}]})")}) {
        const Ran refused = run(wrong);
        EXPECT_EQ(refused.exit_code, 125) << wrong;
        EXPECT_NE(refused.err.find("Decoding seccomp profile failed"), std::string::npos)
            << refused.err;
    }
}

TEST_F(OptionsTest, groups_domain_name_and_device_rules_are_those_that_were_asked_for) {
    EXPECT_EQ(node->ok({"run", "--rm", "--group-add", "2000", "busybox", "id", "-G"}), "0 2000");
    const Ran nobody =
        node->nodectl({"run", "--rm", "--group-add", "no-such", "busybox", "id", "-G"});
    EXPECT_NE(nobody.err.find("unable to find group no-such"), std::string::npos) << nobody.err;
    EXPECT_EQ(node->ok({"run", "--rm", "--domainname", "example.org", "busybox", "cat",
                        "/proc/sys/kernel/domainname"}),
              "example.org");
    EXPECT_EQ(node->nodectl({"run", "--rm", "--device-cgroup-rule", "c 13:* rw", "busybox",
                             "true"}).exit_code, 0);
    const Ran rule =
        node->nodectl({"run", "--rm", "--device-cgroup-rule", "13 rw", "busybox", "true"});
    EXPECT_NE(rule.err.find("invalid device cgroup format '13 rw'"), std::string::npos);
}

TEST_F(OptionsTest, a_privileged_container_may_mount_and_sees_the_devices_of_the_host) {
    EXPECT_NE(node->nodectl({"run", "--rm", "busybox", "mount", "-t", "tmpfs", "t", "/tmp"})
                  .exit_code, 0);
    EXPECT_EQ(node->ok({"run", "--rm", "--privileged", "busybox", "sh", "-c",
                        "mount -t tmpfs t /tmp && test -w /proc/sys/kernel && echo may"}),
              "may");
    EXPECT_EQ(node->ok({"run", "--rm", "--privileged", "busybox", "sh", "-c",
                        "test -e /dev/kmsg && grep -q ' /sys sysfs rw' /proc/mounts && echo has"}),
              "has");
}

}  // namespace
}  // namespace noded::test

// The shim on the real kernel: containers on a busybox layer, driven over the control socket as
// noded does it. Needs root.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "plugins/container/shim/log_frames.h"
#include "plugins/container/shim/test_box.h"

namespace noded {
namespace {

constexpr uint32_t attach_output = attach_stdout | attach_stderr;
constexpr uint32_t attach_all = attach_output | attach_stdin;
namespace fs = std::filesystem;

using Words = std::vector<std::string>;

/// Runs a script and returns its standard output.
std::string output_of(ShimBox& box, const LaunchSpec& spec) {
    EXPECT_EQ(box.run(spec), 0) << box.logged(2);
    return box.logged(1);
}
std::string output_of(const std::string& script) {
    ShimBox box;
    return output_of(box, box.spec(script));
}

TEST(ShimRun, exit_code_reaches_noded_and_the_record) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("exit 42")), 42);
    const auto record = read_exit_record(box.runtime());
    ASSERT_TRUE(record.has_value()) << record.error().message;
    EXPECT_EQ(record->record.exit.code, 42);
    EXPECT_EQ(record->record.state, ShimState::exited);
    EXPECT_STREQ(record->record.id, "0123456789ab");
}

TEST(ShimRun, a_record_with_any_bit_flipped_or_any_byte_missing_is_none) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("exit 42")), 42);
    std::ifstream file(box.runtime() + "/" + exit_record_name, std::ios::binary);
    std::string content(std::istreambuf_iterator<char>(file), {});
    ASSERT_TRUE(parse_exit_record("exit", content));
    for (size_t bit = 0; bit < content.size() * 8; ++bit) {
        content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << bit % 8));
        EXPECT_FALSE(parse_exit_record("exit", content)) << "bit " << bit;
        content[bit / 8] = static_cast<char>(content[bit / 8] ^ (1 << bit % 8));
    }
    for (size_t size = 0; size < content.size(); ++size)
        EXPECT_FALSE(parse_exit_record("exit", content.substr(0, size))) << size << " bytes";
    EXPECT_FALSE(parse_exit_record("exit", content + "x"));
    // As a shim of an earlier installation left it.
    const uint32_t plain = exit_record_version_plain;
    memcpy(content.data() + sizeof(uint32_t), &plain, sizeof plain);
    content.resize(exit_record_plain_bytes);
    const auto record = parse_exit_record("exit", content);
    ASSERT_TRUE(record) << record.error().message;
    EXPECT_EQ(record->record.exit.code, 42);
}

TEST(ShimRun, streams_are_kept_apart_in_the_log) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("echo to out; echo to err >&2")), 0);
    EXPECT_EQ(box.logged(1), "to out\n");
    EXPECT_EQ(box.logged(2), "to err\n");
}

TEST(ShimRun, large_output_is_complete) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("seq 1 200000")), 0);
    const std::string log = box.logged(1);
    EXPECT_EQ(log.size(), 1288895u);
    EXPECT_TRUE(log.ends_with("\n199999\n200000\n"));
}

TEST(ShimRun, spec_too_large_for_a_packet_travels_in_a_memfd) {
    ShimBox box;
    LaunchSpec spec = box.spec("echo ${#BIG}");
    spec.environment = {"BIG=" + std::string(100'000, 'x'), "ALSO=" + std::string(100'000, 'y')};
    EXPECT_EQ(output_of(box, spec), "100000\n");
}

TEST(ShimRun, log_of_a_second_start_goes_on_behind_the_first_and_a_torn_tail) {
    ShimBox first;
    EXPECT_EQ(first.run(first.spec("echo one")), 0);
    std::ofstream(first.log_segments().at(0), std::ios::app) << "torn";
    first.release();
    ASSERT_TRUE(first.wait_shim_gone());
    first.spawn();
    const StartedReply started = first.start(first.spec("echo two"));
    EXPECT_EQ(started.log_position, sizeof(LogBlock) + sizeof(LogHeader) + 4);
    EXPECT_EQ(first.wait_exit().code, 0);
    EXPECT_EQ(first.logged(1), "one\ntwo\n");
}

TEST(ShimLog, rotation_keeps_the_newest_segments_and_goes_on_after_another_start) {
    ShimBox box;
    LaunchSpec spec = box.spec("seq 1 100000");
    spec.log_limits = {log_block_bytes, 3, 0};
    EXPECT_EQ(box.run(spec), 0);
    EXPECT_EQ(box.log_segments().size(), 3u);
    const std::string log = box.logged(1);
    EXPECT_LT(log.size(), 3u * log_block_bytes);
    EXPECT_GT(log.size(), log_block_bytes);
    EXPECT_TRUE(log.ends_with("\n99999\n100000\n"));
    box.release();
    ASSERT_TRUE(box.wait_shim_gone());
    box.spawn();
    spec.arguments = {"echo", "again"};
    EXPECT_EQ(box.run(spec), 0);
    EXPECT_TRUE(box.logged(1).ends_with("\n100000\nagain\n"));
    EXPECT_LE(box.log_segments().size(), 3u);
}

TEST(ShimLog, a_full_disk_does_not_stop_the_container_and_what_was_lost_is_counted) {
    ShimBox box;
    const LaunchSpec spec = box.spec(
        "trap 'echo end; exit' TERM; seq 1 100000; : > /written; while :; do sleep 0.02; done");
    ASSERT_EQ(mount("log", spec.log_folder.c_str(), "tmpfs", 0, "size=96k"), 0);
    box.start(spec);
    const std::string written = box.scratch("upper") + "/written";
    for (int tries = 0; tries < 500 && !std::filesystem::exists(written); ++tries) usleep(10'000);
    EXPECT_LT(box.logged(1).size(), 96u << 10);
    ASSERT_EQ(mount("log", spec.log_folder.c_str(), "tmpfs", MS_REMOUNT, "size=1m"), 0);
    box.signal(SIGTERM);
    EXPECT_EQ(box.wait_exit().code, 0);
    const std::string log = box.logged(1);
    EXPECT_TRUE(log.ends_with("end\n"));
    uint64_t lost = 0;
    const std::string notes = box.logged(0);
    for (size_t at = 0; at < notes.size(); at += sizeof lost) {
        uint64_t count;
        memcpy(&count, notes.data() + at, sizeof count);
        lost += count;
    }
    EXPECT_EQ(log.size() - 4 + lost, 588895u);
    EXPECT_EQ(umount2(spec.log_folder.c_str(), MNT_DETACH), 0);
}

TEST(ShimLog, lines_without_end_rotate_like_any) {
    ShimBox box;
    LaunchSpec spec = box.spec("head -c 50000000 /dev/zero; echo end");
    spec.log_limits = {4 * log_block_bytes, 3, 0};
    EXPECT_EQ(box.run(spec), 0);
    const std::string log = box.logged(1);
    EXPECT_EQ(log.find_first_not_of('\0'), log.size() - 4);
    EXPECT_LT(log.size(), 12u * log_block_bytes);
    EXPECT_GT(log.size(), 7u * log_block_bytes);
}

TEST(ShimLog, each_block_says_how_many_lines_and_bytes_came_before) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("seq 1 50000")), 0);
    std::ifstream file(box.log_segments().at(0));
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    uint64_t lines = 0, written = 0;
    size_t blocks = 0;
    for (size_t at = 0; at < bytes.size(); at += log_block_bytes, ++blocks) {
        const std::string_view part = std::string_view(bytes).substr(at, log_block_bytes);
        LogBlock block;
        memcpy(&block, part.data(), sizeof block);
        ASSERT_TRUE(log_block_valid(block, at));
        EXPECT_EQ(block.lines, lines + ((block.open & 2) != 0 ? 1 : 0));
        EXPECT_EQ(block.bytes, written);
        LogFrame frame;
        size_t next = sizeof block;
        while (log_next(part, &next, &frame) == LogStep::frame) {
            lines += log_newlines(frame.bytes);
            written += frame.bytes.size();
        }
    }
    EXPECT_GT(blocks, 3u);
    EXPECT_EQ(lines, 50000u);
}

TEST(ShimFailure, unknown_command_is_127_in_dockers_words) {
    ShimBox box;
    EXPECT_EQ(box.run_failing(box.spec(Words{"foo"})),
              std::pair(127, std::string("exec: \"foo\": executable file not found in $PATH")));
    EXPECT_EQ(read_exit_record(box.runtime())->message,
              "exec: \"foo\": executable file not found in $PATH");
}

TEST(ShimFailure, missing_path_is_127) {
    ShimBox box;
    EXPECT_EQ(
        box.run_failing(box.spec(Words{"/nowhere/x"})),
        std::pair(127,
                  std::string("exec: \"/nowhere/x\": stat /nowhere/x: no such file or directory")));
}

TEST(ShimFailure, what_is_not_executable_is_126) {
    ShimBox file;
    file.file("etc/plain", "text");
    EXPECT_EQ(file.run_failing(file.spec(Words{"/etc/plain"})),
              std::pair(126, std::string("exec: \"/etc/plain\": permission denied")));
    ShimBox folder;
    EXPECT_EQ(folder.run_failing(folder.spec(Words{"/etc"})),
              std::pair(126, std::string("exec: \"/etc\": is a directory")));
    ShimBox format;
    chmod(format.file("bin/strange", "no program").c_str(), 0755);
    EXPECT_EQ(format.run_failing(format.spec(Words{"/bin/strange"})),
              std::pair(126, std::string("exec /bin/strange: exec format error")));
}

TEST(ShimFailure, unknown_user_and_group_are_named) {
    ShimBox user;
    LaunchSpec spec = user.spec("true");
    spec.user = "bob";
    EXPECT_EQ(
        user.run_failing(spec),
        std::pair(125, std::string("unable to find user bob: no matching entries in passwd file")));
    ShimBox group;
    spec = group.spec("true");
    spec.user = "alice:nobody";
    EXPECT_EQ(
        group.run_failing(spec),
        std::pair(125,
                  std::string("unable to find group nobody: no matching entries in group file")));
}

TEST(ShimRootfs, layers_whose_names_are_too_long_for_one_option_are_mounted_by_path) {
    ShimBox box;
    const std::string folder = box.scratch(std::string(200, 'd'));
    std::filesystem::create_directory(folder);
    LaunchSpec spec = box.spec("exit 7");
    spec.lowers = {folder + "/" + std::string(100, 'e')};
    std::filesystem::create_directory_symlink(box.layer(), spec.lowers[0]);
    EXPECT_EQ(box.run(spec), 7);
}

TEST(ShimFailure, missing_layer_is_named_and_the_shim_can_be_released) {
    ShimBox box;
    LaunchSpec spec = box.spec("true");
    spec.lowers = {"/nowhere"};
    const auto [code, sentence] = box.run_failing(spec);
    EXPECT_EQ(code, 125);
    EXPECT_NE(sentence.find("mount overlay on " + box.scratch("upper") + ": E"), std::string::npos)
        << sentence;
    EXPECT_EQ(read_exit_record(box.runtime())->record.state, ShimState::start_failed);
    box.release();
    EXPECT_TRUE(box.wait_shim_gone());
}

TEST(ShimFailure, malformed_spec_is_a_failed_start_not_a_dead_shim) {
    ShimBox box;
    LaunchSpec spec = box.spec("true");
    spec.log_folder.clear();
    EXPECT_EQ(box.run_failing(spec),
              std::pair(125, std::string("the launch spec has no folder for the log")));
    EXPECT_EQ(box.status().state, ShimState::start_failed);
}

TEST(ShimConfinement, process_is_pid_1_of_its_own_namespaces) {
    ShimBox box;
    EXPECT_EQ(
        output_of(
            box,
            box.spec(
                "echo $$; hostname; cat /proc/sys/kernel/hostname; echo /proc/[0-9]*")),
        "1\nbox\nbox\n/proc/1\n");
}

TEST(ShimConfinement, loopback_is_up_and_nothing_else_is_there) {
    EXPECT_EQ(output_of("cat /sys/class/net/lo/flags; ls /sys/class/net"), "0x9\nlo\n");
}

TEST(ShimConfinement, capabilities_and_seccomp_are_dockers) {
    ShimBox box;
    const std::string status = output_of(box, box.spec(Words{"cat", "/proc/self/status"}));
    EXPECT_NE(status.find("CapEff:\t00000000a80425fb\n"), std::string::npos) << status;
    EXPECT_NE(status.find("CapPrm:\t00000000a80425fb\n"), std::string::npos);
    EXPECT_NE(status.find("CapBnd:\t00000000a80425fb\n"), std::string::npos);
    EXPECT_NE(status.find("CapInh:\t0000000000000000\n"), std::string::npos);
    EXPECT_NE(status.find("CapAmb:\t0000000000000000\n"), std::string::npos);
    EXPECT_NE(status.find("Seccomp:\t2\n"), std::string::npos);
    EXPECT_NE(status.find("NoNewPrivs:\t0\n"), std::string::npos);
    EXPECT_NE(status.find("SigBlk:\t0000000000000000\n"), std::string::npos);
    EXPECT_NE(status.find("SigIgn:\t0000000000000000\n"), std::string::npos);
}

TEST(ShimConfinement, no_new_privileges_is_set_on_request) {
    ShimBox box;
    LaunchSpec spec = box.spec("grep -e NoNew -e Seccomp: /proc/self/status");
    spec.no_new_privs = true;
    EXPECT_EQ(output_of(box, spec), "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST(ShimConfinement, seccomp_refuses_new_namespaces_and_mounts) {
    EXPECT_EQ(
        output_of(
            "unshare -m true 2>/dev/null; echo $?; mount -t tmpfs x /tmp 2>/dev/null; echo $?"),
        "1\n1\n");
}

TEST(ShimConfinement, plain_user_has_names_groups_home_and_no_capabilities) {
    ShimBox box;
    LaunchSpec spec =
        box.spec("id; echo $HOME; grep CapEff /proc/self/status; grep CapPrm /proc/self/status");
    spec.user = "alice";
    EXPECT_EQ(
        output_of(box, spec),
        "uid=1000(alice) gid=1001(alice) groups=50(staff),63(audio),1001(alice)\n/home/alice\n"
        "CapEff:\t0000000000000000\nCapPrm:\t0000000000000000\n");
}

TEST(ShimConfinement, numeric_user_and_explicit_group) {
    ShimBox box;
    LaunchSpec spec = box.spec("id -u; id -g; id -G; echo $HOME");
    spec.user = "4711:staff";
    EXPECT_EQ(output_of(box, spec), "4711\n50\n50\n/\n");
}

TEST(ShimConfinement, plain_user_can_open_dev_stdout_again) {
    ShimBox box;
    LaunchSpec spec = box.spec("echo again >/dev/stdout; echo wrong >/dev/stderr");
    spec.user = "alice";
    EXPECT_EQ(output_of(box, spec), "again\n");
    EXPECT_EQ(box.logged(2), "wrong\n");
}

TEST(ShimConfinement, masked_paths_are_empty_and_read_only_paths_refuse) {
    const std::string out = output_of(
        "stat -c %t:%T /proc/interrupts; cat /proc/interrupts /proc/timer_list 2>/dev/null | wc "
        "-c; ls -A /sys/firmware | wc -l;"
        "(echo 1 >/proc/sys/kernel/sysrq) 2>/dev/null; echo $?; (echo b >/proc/sysrq-trigger) "
        "2>/dev/null; echo $?;"
        "mkdir /sys/x 2>/dev/null; echo $?");
    // The mask itself is a device: 1:3 is /dev/null.
    EXPECT_TRUE(out.starts_with("1:3\n0\n0\n")) << out;
    EXPECT_TRUE(out.ends_with("\n1\n1\n1\n") || out.ends_with("\n1\n1\n127\n")) << out;
}

TEST(ShimConfinement, devices_and_links_are_the_usual_ones) {
    const std::string out = output_of(
        "ls /dev | grep -v console; readlink /dev/stdin; readlink /dev/ptmx; stat -c '%a %t:%T' "
        "/dev/null /dev/tty; head -c 3 /dev/zero | wc -c;"
        "stat -f -c %T /dev/shm; grep ' /dev/mqueue ' /proc/mounts | wc -l; touch /dev/shm/x && "
        "echo writable");
    EXPECT_EQ(out,
              "core\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nur"
              "andom\nzero\n"
              "/proc/self/fd/0\npts/ptmx\n666 1:3\n666 5:0\n3\ntmpfs\n1\nwritable\n");
}

TEST(ShimConfinement, writes_go_to_the_upper_folder_only) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("echo changed >/etc/passwd; echo new >/tmp/new")), 0);
    EXPECT_EQ(read_file(box.scratch("upper") + "/tmp/new"), "new\n");
    EXPECT_TRUE(read_file(box.layer() + "/etc/passwd").starts_with("root:"));
}

TEST(ShimConfinement, read_only_rootfs_refuses_writes_but_not_its_tmpfs) {
    ShimBox box;
    LaunchSpec spec =
        box.spec("(echo x >/etc/x) 2>/dev/null || echo refused; echo y >/scratch/y && echo kept");
    spec.read_only_rootfs = true;
    spec.mounts = {{"tmpfs", "", "/scratch", "size=1m,mode=1777,nosuid"}};
    EXPECT_EQ(output_of(box, spec), "refused\nkept\n");
}

TEST(ShimConfinement, bind_mounts_make_their_targets_and_may_be_read_only) {
    ShimBox box;
    fs::create_directory(box.scratch("data"));
    std::ofstream(box.scratch("data") + "/f") << "from outside\n";
    std::ofstream(box.scratch("hosts")) << "127.0.0.1 box\n";
    LaunchSpec spec = box.spec(
        "cat /mnt/deep/data/f /etc/hosts; (echo x >/mnt/deep/data/g) 2>/dev/null || echo refused");
    spec.mounts = {{"bind", box.scratch("data"), "/mnt/deep/data", "ro"},
                   {"bind", box.scratch("hosts"), "/etc/hosts", ""}};
    EXPECT_EQ(output_of(box, spec), "from outside\n127.0.0.1 box\nrefused\n");
}

TEST(ShimConfinement, the_source_of_a_bind_mount_is_made_only_if_that_is_wanted) {
    ShimBox box;
    LaunchSpec spec = box.spec("echo x >/m/f");
    const std::string source = box.scratch("not/there/yet");
    spec.mounts = {{"bind", source, "/m", "rbind"}};
    EXPECT_EQ(box.run_failing(spec),
              std::pair(125, "invalid mount config for type \"bind\": bind source path does not "
                             "exist: " + source));
    EXPECT_FALSE(fs::exists(box.scratch("not")));
    ShimBox wanted;
    spec = wanted.spec("echo x >/m/f");
    spec.mounts = {{"bind", wanted.scratch("not/there/yet"), "/m", "rbind,make"}};
    EXPECT_EQ(wanted.run(spec), 0);
    EXPECT_TRUE(fs::exists(wanted.scratch("not/there/yet/f")));
}

TEST(ShimConfinement, working_folder_is_made_and_entered) {
    ShimBox box;
    LaunchSpec spec = box.spec("pwd");
    spec.cwd = "/made/for/it";
    EXPECT_EQ(output_of(box, spec), "/made/for/it\n");
}

TEST(ShimConfinement, resource_limits_apply) {
    ShimBox box;
    LaunchSpec spec = box.spec("ulimit -n");
    spec.rlimits = {{7, 0, 77, 88}};
    EXPECT_EQ(output_of(box, spec), "77\n");
}

TEST(ShimConfinement, environment_gets_its_defaults) {
    ShimBox box;
    LaunchSpec spec = box.spec(Words{"env"});
    spec.environment = {"A=b"};
    EXPECT_EQ(output_of(box, spec),
              "A=b\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/"
              "bin\nHOSTNAME=box\nHOME=/root\n");
}

TEST(ShimConfinement, nothing_of_the_host_is_open_in_the_container) {
    ShimBox box;  // ls itself is process 1 here and has the folder open as 3
    EXPECT_EQ(output_of(box, box.spec(Words{"ls", "/proc/1/fd"})), "0\n1\n2\n3\n");
}

TEST(ShimConfinement, host_network_and_pinned_network_namespaces) {
    ShimBox host;
    LaunchSpec spec = host.spec("readlink /proc/self/ns/net");
    spec.namespaces &= ~0x40000000u;  // CLONE_NEWNET
    EXPECT_EQ(output_of(host, spec), fs::read_symlink("/proc/self/ns/net").string() + "\n");
    ShimBox pinned;
    spec = pinned.spec("readlink /proc/self/ns/net");
    spec.namespaces &= ~0x40000000u;
    spec.netns = "/proc/self/ns/net";
    EXPECT_EQ(output_of(pinned, spec), fs::read_symlink("/proc/self/ns/net").string() + "\n");
}

TEST(ShimConfinement, nothing_of_the_host_is_mounted) {
    for (const auto& [spare, given] : {std::pair(true, true), {true, false}, {false, true}}) {
        ShimBox box(false);
        box.spawn(given);  // the namespace that a spare begins with
        LaunchSpec spec = box.spec(
            "cut -d' ' -f5 /proc/self/mountinfo | grep -v -e ^/proc -e ^/sys | sort; ls "
            "/../../../..");
        // Without an IPC namespace of its own the spare does not fit, and everything is made on the
        // spot.
        if (!spare) spec.namespaces &= ~0x08000000u;
        EXPECT_EQ(output_of(box, spec),
                  "/\n/dev\n/dev/mqueue\n/dev/pts\n/dev/"
                  "shm\nbin\ndev\netc\nhome\nproc\nroot\nsys\ntmp\n");
    }
}

/// The classic way out of a root: a new root below the current folder, then up as far as it goes.
/// True if that ends at `root`.
bool climbing_ends_at(int pid, const struct stat& root) {
    const Fd mounts(
        open(("/proc/" + std::to_string(pid) + "/ns/mnt").c_str(), O_RDONLY | O_CLOEXEC));
    const pid_t child = fork();
    if (child == 0) {
        struct stat here = {};
        if (setns(mounts.get(), CLONE_NEWNS) != 0 || mkdir("/jail", 0755) != 0 ||
            chroot("/jail") != 0)
            _exit(2);
        for (int i = 0; i < 10; ++i)
            if (chdir("..") != 0) _exit(3);
        stat(".", &here);
        _exit(here.st_dev == root.st_dev && here.st_ino == root.st_ino ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    return status == 0;
}

TEST(ShimConfinement, no_root_lies_below_the_rootfs) {
    for (const bool spare : {true, false}) {
        ShimBox box;
        LaunchSpec spec = box.spec("sleep 100");
        if (!spare) spec.namespaces &= ~0x08000000u;
        const StartedReply started = box.start(spec);
        struct stat root;
        ASSERT_EQ(stat(("/proc/" + std::to_string(started.pid) + "/root/").c_str(), &root), 0);
        EXPECT_TRUE(climbing_ends_at(started.pid, root));
    }
}

/// A cgroup of one test, gone with it.
class TestCgroup {
public:
    explicit TestCgroup(const std::string& hierarchy)
        : path_("/sys/fs/cgroup/" + hierarchy + "/noded-shim-test-" + std::to_string(getpid())) {
        mkdir(path_.c_str(), 0755);
    }
    ~TestCgroup() {
        // Busy until the last process has been reaped.
        for (int i = 0; i < 200 && rmdir(path_.c_str()) != 0; ++i) usleep(10'000);
        EXPECT_FALSE(fs::exists(path_));
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

TEST(ShimCgroup, v1_and_v2_groups_are_joined_and_shown_read_only) {
    if (!fs::exists("/sys/fs/cgroup/memory") || !fs::exists("/sys/fs/cgroup/unified"))
        GTEST_SKIP();
    const TestCgroup memory("memory"), unified("unified");
    {
        ShimBox box;
        LaunchSpec spec = box.spec(
            "grep -o -e :memory:.* -e ^0:.* /proc/self/cgroup;"
            "read first </sys/fs/cgroup/memory/tasks; echo $first;"
            "read first </sys/fs/cgroup/unified/cgroup.procs; echo $first; (echo 1 "
            ">/sys/fs/cgroup/memory/tasks) 2>/dev/null || echo refused;"
            "mkdir /sys/fs/cgroup/x 2>/dev/null || echo refused; sleep 100");
        spec.cgroups_v1 = {{memory.path(), "memory"}};
        spec.cgroup_v2 = unified.path();
        AttachEnd end;
        box.start(spec, &end, attach_output | attach_from_start);
        const AttachedOutput& output = end.read_until(
            [](const AttachedOutput& seen) { return seen.out.ends_with("refused\nrefused\n"); });
        EXPECT_EQ(output.out, ":memory:/\n0::/\n1\n1\nrefused\nrefused\n");
        AttachEnd exec_end;
        box.exec(box.process("e", "grep -o -e :memory:.* -e ^0:.* /proc/self/cgroup"), &exec_end,
                 attach_output);
        EXPECT_EQ(exec_end.read_all().out, ":memory:/\n0::/\n");
        box.signal(SIGKILL);
        EXPECT_EQ(box.wait_exit().code, 137);
    }
}

TEST(ShimCgroup, out_of_memory_kill_is_told_from_a_kill) {
    if (!fs::exists("/sys/fs/cgroup/memory")) GTEST_SKIP();
    const TestCgroup memory("memory");
    std::ofstream(memory.path() + "/memory.limit_in_bytes") << (8 << 20);
    {
        ShimBox box;
        LaunchSpec spec =
            box.spec(Words{"dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"});
        spec.cgroups_v1 = {{memory.path(), ""}};
        box.start(spec);
        const ExitReply exit = box.wait_exit();
        EXPECT_EQ(exit.code, 137);
        EXPECT_EQ(exit.signal, SIGKILL);
        EXPECT_EQ(exit.oom, 1u);
    }
}

constexpr int descriptors_tried = 48;

/// A box whose layer has links that lead to a folder of the host, through any descriptor of a host
/// folder that a child may have inherited.
struct EscapeBox {
    ShimBox box;

    EscapeBox() {
        fs::create_directory(box.scratch("marker"));
        fs::copy_file("/bin/busybox", box.scratch("marker/outside"));
        fs::create_directory(box.layer() + "/links");
        for (int fd = 0; fd < descriptors_tried; ++fd)
            fs::create_symlink(way_out(fd), box.layer() + link(fd));
    }
    static std::string link(int fd) { return "/links/" + std::to_string(fd); }
    std::string way_out(int fd) const {
        std::string path = "/proc/self/fd/" + std::to_string(fd);
        for (int i = 0; i < 12; ++i) path += "/..";
        return path + box.scratch("marker");
    }
    /// Every link is a folder of PATH.
    static std::vector<std::string> environment() {
        std::string path = "PATH=/bin";
        for (int fd = 0; fd < descriptors_tried; ++fd) path += ":" + link(fd);
        return {path};
    }
};

class ShimEscape : public testing::Test {
protected:
    void SetUp() override {
        if (!fs::exists("/sys/fs/cgroup/unified")) GTEST_SKIP();
        cgroup_.emplace("unified");
    }
    std::optional<TestCgroup> cgroup_;
};

TEST_F(ShimEscape, entrypoint_does_not_reach_the_host_through_a_descriptor) {
    EscapeBox escape;
    LaunchSpec spec = escape.box.spec(Words{"outside", "true"});
    spec.cgroup_v2 = cgroup_->path();
    spec.environment = escape.environment();
    EXPECT_EQ(escape.box.run_failing(spec).first, 127);
}

TEST_F(ShimEscape, working_folder_does_not_reach_the_host_through_a_descriptor) {
    for (int fd = 3; fd < descriptors_tried; ++fd) {
        EscapeBox escape;
        LaunchSpec spec = escape.box.spec("exit 0");
        spec.cgroup_v2 = cgroup_->path();
        spec.cwd = escape.link(fd);
        EXPECT_EQ(escape.box.run_failing(spec).first, 125) << fd;
    }
}

TEST_F(ShimEscape, exec_does_not_reach_the_host_through_a_descriptor) {
    EscapeBox escape;
    ShimBox& box = escape.box;
    LaunchSpec spec = box.spec("sleep 100");
    spec.cgroup_v2 = cgroup_->path();
    box.start(spec);
    ProcessSpec command = box.process("command", "");
    command.arguments = {"outside", "true"};
    command.environment = escape.environment();
    EXPECT_EQ(box.exec(command, nullptr, 0).first, ControlType::exec_failed);
    for (int fd = 0; fd < descriptors_tried; ++fd) {
        ProcessSpec process = box.process("cwd" + std::to_string(fd), "exit 0");
        process.cwd = escape.link(fd);
        EXPECT_EQ(box.exec(process, nullptr, 0).first, ControlType::exec_failed) << fd;
    }
}

TEST_F(ShimEscape, dev_null_that_is_not_the_device_is_refused) {
    EscapeBox escape;
    ShimBox& box = escape.box;
    LaunchSpec spec = box.spec("sleep 100");
    spec.cgroup_v2 = cgroup_->path();
    const StartedReply started = box.start(spec);
    const std::string null = "/proc/" + std::to_string(started.pid) + "/root/dev/null";
    const auto refused = [&](const std::string& id) {
        return box.exec(box.process(id, "exit 0"), nullptr, 0).first == ControlType::exec_failed;
    };
    EXPECT_FALSE(refused("before"));
    for (int fd = 0; fd < descriptors_tried; ++fd) {
        fs::remove(null);
        fs::create_symlink(escape.way_out(fd) + "/outside", null);
        EXPECT_TRUE(refused("link" + std::to_string(fd))) << fd;
    }
    fs::remove(null);
    fs::create_symlink("zero", null);
    EXPECT_TRUE(refused("another_device_by_a_link"));
    fs::remove(null);
    std::ofstream(null) << "a file";
    EXPECT_TRUE(refused("file"));
}

TEST(ShimHostile, proc_that_is_a_link_is_refused) {
    ShimBox box;
    fs::remove(box.layer() + "/proc");
    fs::create_symlink("/tmp", box.layer() + "/proc");
    EXPECT_EQ(box.run_failing(box.spec("true")),
              std::pair(125, std::string("the image has something else than a folder at /proc")));
}

TEST(ShimHostile, dev_that_leads_out_is_refused_and_the_host_untouched) {
    ShimBox box;
    fs::remove(box.layer() + "/dev");
    fs::create_symlink("../../..", box.layer() + "/dev");
    EXPECT_EQ(box.run_failing(box.spec("true")).second,
              "the image has something else than a folder at /dev");
    struct stat null;
    ASSERT_EQ(stat("/dev/null", &null), 0);
    EXPECT_TRUE(S_ISCHR(null.st_mode));
}

TEST(ShimHostile, mount_targets_that_climb_out_stay_inside) {
    ShimBox box;
    fs::create_directory(box.scratch("data"));
    std::ofstream(box.scratch("data") + "/f") << "inside\n";
    fs::create_symlink("../../../../../../escape", box.layer() + "/link");
    fs::create_directory(box.layer() + "/escape");
    LaunchSpec spec = box.spec("cat /escape/sub/f");
    spec.mounts = {{"bind", box.scratch("data"), "/link/sub", ""}};
    EXPECT_EQ(output_of(box, spec), "inside\n");
    EXPECT_FALSE(fs::exists("/escape"));
}

TEST(ShimHostile, passwd_that_is_a_pipe_or_huge_does_not_hang_the_start) {
    ShimBox pipe;
    fs::remove(pipe.layer() + "/etc/passwd");
    ASSERT_EQ(mkfifo((pipe.layer() + "/etc/passwd").c_str(), 0644), 0);
    EXPECT_EQ(pipe.run(pipe.spec("true")), 0);
    ShimBox huge;
    ASSERT_EQ(truncate((huge.layer() + "/etc/passwd").c_str(), 2 << 20), 0);
    EXPECT_EQ(huge.run_failing(huge.spec("true")).second, "read /etc/passwd: EFBIG");
}

TEST(ShimHostile, working_folder_through_a_link_is_made_inside) {
    ShimBox box;
    fs::create_symlink("/../../outside-of-it", box.layer() + "/w");
    fs::create_directory(box.layer() + "/outside-of-it");
    LaunchSpec spec = box.spec("pwd -P");
    spec.cwd = "/w/new";
    EXPECT_EQ(output_of(box, spec), "/outside-of-it/new\n");
    EXPECT_FALSE(fs::exists("/outside-of-it"));
}

TEST(ShimHostile, shim_cannot_be_overwritten_through_a_process_that_runs_it) {
    ShimBox box;
    const std::string exe = "/proc/" + std::to_string(box.shim_pid()) + "/exe";
    const Fd found(open(exe.c_str(), O_PATH | O_CLOEXEC));
    ASSERT_TRUE(found.valid());
    // While a shim runs, its file is busy for writers anyway; what counts is the mount by which it
    // can be reached afterwards.
    struct statvfs info;
    ASSERT_EQ(fstatvfs(found.get(), &info), 0);
    EXPECT_NE(info.f_flag & ST_RDONLY, 0u);
}

TEST(ShimHostile, script_whose_interpreter_is_the_shim_harms_nothing) {
    ShimBox box;
    chmod(box.file("bin/evil", "#!/proc/self/exe\n").c_str(), 0755);
    EXPECT_EQ(box.run(box.spec(Words{"/bin/evil"})), 1);
}

/// The mount table names neither the folder nor anything below it; others mount meanwhile.
bool is_unmounted(const std::string& folder) {
    return read_file("/proc/self/mountinfo").find(folder) == std::string::npos;
}

size_t count_own_descriptors() {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator()));
}

TEST(ShimLeak, nothing_is_left_after_release) {
    const size_t descriptors = count_own_descriptors();
    std::string folder;
    {
        ShimBox box;
        folder = box.scratch("");
        box.start(box.spec("echo x; sleep 100"));
        EXPECT_TRUE(is_unmounted(folder));  // not even while it runs
        AttachEnd end;
        box.exec(box.process("e", "exec sleep 100"), &end, attach_output);
        box.signal(SIGKILL);
        box.wait_exit();
        // The overlay is gone as soon as the exit is told: its work folder can be taken away.
        box.release();
        ASSERT_TRUE(box.wait_shim_gone());
        EXPECT_TRUE(fs::is_empty(box.runtime()));
        std::error_code failed;
        fs::remove_all(box.scratch("work"), failed);
        EXPECT_FALSE(failed) << failed.message();
    }
    EXPECT_TRUE(is_unmounted(folder));
    EXPECT_EQ(count_own_descriptors(), descriptors);
    EXPECT_FALSE(fs::exists(folder));
}

TEST(ShimRun, a_volatile_rootfs_is_mounted_as_such) {
    ShimBox box;
    LaunchSpec spec = box.spec("echo kept > /file; cat /file");
    spec.volatile_rootfs = true;
    EXPECT_EQ(box.run(spec), 0);
    EXPECT_EQ(read_file(box.scratch("upper") + "/file"), "kept\n");
    // The kernel's mark that this upper folder was never synced (overlayfs.rst, "Volatile mount").
    EXPECT_TRUE(fs::exists(box.scratch("work") + "/work/incompat/volatile"));
}

TEST(ShimLeak, a_shim_stays_small) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    const std::string status = read_file("/proc/" + std::to_string(box.shim_pid()) + "/status");
    const size_t at = status.find("VmRSS:");
    ASSERT_NE(at, std::string::npos);
    EXPECT_LT(std::stoul(status.substr(at + 6)), 400u) << status;
}

}  // namespace
}  // namespace noded

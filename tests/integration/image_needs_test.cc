// Small things that images rely on, and images that are not as they should be: streams that any
// user may open, users and their homes, root file systems that lack things or try to lead
// elsewhere.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

struct ImageNeeds : SharedNodeTest {
    static Ran run(std::vector<std::string> options, const std::string& script,
                   const std::string& image = "busybox") {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {image, "sh", "-c", script});
        return node->nodectl(all);
    }
    /// busybox's root file system after `change`, which runs in it, as an image.
    static void make_image(const std::string& name, const std::string& change) {
        const std::string folder = node->dir() + "/image";
        const std::string tar = node->dir() + "/image.tar";
        const Ran made = run_program(
            {"/bin/sh", "-ec",
             "mkdir " + folder + "; cd " + folder + "; tar xf " + node->dir() + "/busybox.tar; " +
                 change + "; tar cf " + tar + " --numeric-owner ."});
        ASSERT_EQ(made.exit_code, 0) << made.err;
        node->ok({"image", "import", tar, name});
        fs::remove_all(folder);
        fs::remove(tar);
    }
};

TEST_F(ImageNeeds, any_user_may_have_any_port_and_ping_in_a_network_of_its_own) {
    const std::string show = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                             "/proc/sys/net/ipv4/ping_group_range";
    const std::string open = "0\n0\t2147483647\n";
    EXPECT_EQ(run({}, show).out, open);
    EXPECT_EQ(run({"--privileged"}, show).out, open);
    EXPECT_EQ(run({"--sysctl", "net.ipv4.ip_unprivileged_port_start=7"}, show).out,
              "7\n0\t2147483647\n");
    EXPECT_EQ(run({"--network", "host"}, show).out,
              read_text("/proc/sys/net/ipv4/ip_unprivileged_port_start") +
                  read_text("/proc/sys/net/ipv4/ping_group_range"));
    const Ran bound = run({"-u", "1000"}, "nc -l -p 80 & for i in $(seq 100); do "
                                          "netstat -tln | grep -q ':80 ' && echo bound && break; "
                                          "sleep 0.1; done; kill $!");
    EXPECT_EQ(bound.out, "bound\n") << bound.err;
}

TEST_F(ImageNeeds, in_the_network_of_the_host_a_container_has_its_name) {
    char name[256] = {};
    ASSERT_EQ(gethostname(name, sizeof name - 1), 0);
    const std::string show = "hostname; echo $HOSTNAME; cat /etc/hostname";
    const std::string host(name);
    EXPECT_EQ(run({"--network", "host"}, show).out, host + "\n" + host + "\n" + host + "\n");
    EXPECT_EQ(run({"--network", "host", "-h", "own"}, show).out, "own\nown\nown\n");
}

TEST_F(ImageNeeds, standard_streams_can_be_opened_again_by_any_user) {
    const std::string script = "echo out > /dev/stdout; echo err > /dev/stderr; "
                               "echo fd > /dev/fd/1; ls -l /dev/fd > /dev/null && echo listed";
    for (const char* user : {"0", "1000", "1000:1000", "nobody"}) {
        const Ran ran = run({"-u", user}, script);
        EXPECT_EQ(ran.out, "out\nfd\nlisted\n") << user << ran.err;
        EXPECT_EQ(ran.err, "err\n") << user;
        const Ran terminal = run({"-t", "-u", user}, script);
        EXPECT_EQ(terminal.out, "out\r\nerr\r\nfd\r\nlisted\r\n") << user << terminal.err;
        const Ran input = node->nodectl({"run", "--rm", "-i", "-u", user, "busybox", "sh", "-c",
                                         "cat /dev/stdin"},
                                        "given");
        EXPECT_EQ(input.out, "given") << user << input.err;
    }
    node->ok({"run", "-d", "--name", "up", "busybox", "sleep", "1000"});
    for (const char* user : {"0", "1000", "nobody"}) {
        const Ran ran = node->nodectl({"exec", "-u", user, "up", "sh", "-c", script});
        EXPECT_EQ(ran.out, "out\nfd\nlisted\n") << user << ran.err;
        const Ran terminal = node->nodectl({"exec", "-t", "-u", user, "up", "sh", "-c", script});
        EXPECT_EQ(terminal.out, "out\r\nerr\r\nfd\r\nlisted\r\n") << user << terminal.err;
    }
    node->ok({"rm", "-f", "up"});
}

TEST_F(ImageNeeds, detached_output_of_any_user_is_in_the_log) {
    node->ok({"run", "-d", "--name", "log", "-u", "1000", "busybox", "sh", "-c",
              "echo a > /dev/stdout; echo b >> /dev/stderr"});
    node->ok({"wait", "log"});
    const Ran logs = node->nodectl({"logs", "log"});
    EXPECT_EQ(logs.out, "a\n");
    EXPECT_EQ(logs.err, "b\n");
    node->ok({"rm", "log"});
}

TEST_F(ImageNeeds, environment_and_groups_are_dockers) {
    const Ran ran = run({"-h", "name"}, "echo $HOME $HOSTNAME $PATH; echo ${TERM-none}");
    EXPECT_EQ(ran.out,
              "/root name /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nnone\n");
    EXPECT_EQ(run({"-t"}, "echo $TERM").out, "xterm\r\n");
    EXPECT_EQ(run({"-u", "4242"}, "echo $HOME; id -u; id -g").out, "/\n4242\n0\n");
    EXPECT_EQ(run({"-e", "HOME=/x"}, "echo $HOME").out, "/x\n");
    make_image("users", "echo 'app:x:500:501::/srv/app:/bin/sh' >> etc/passwd; "
                        "echo 'extra:x:77:app' >> etc/group; echo 'more:x:78:' >> etc/group");
    EXPECT_EQ(run({"-u", "app"}, "echo $HOME; id -u; id -g; id -G", "users").out,
              "/srv/app\n500\n501\n501 77\n");
    EXPECT_EQ(run({"-u", "500"}, "echo $HOME; id -G", "users").out, "/srv/app\n501 77\n");
    EXPECT_EQ(run({"-u", "app:more"}, "id -g; id -G", "users").out, "78\n78\n");
    EXPECT_EQ(run({"-u", "app", "--group-add", "more", "--group-add", "99"}, "id -G", "users").out,
              "501 77 78 99\n");
    node->ok({"rmi", "users"});
}

TEST_F(ImageNeeds, names_are_looked_up_in_files_that_the_image_need_not_have) {
    const std::string look =
        "cat /etc/hostname; head -1 /etc/hosts; cmp /etc/resolv.conf - && echo same";
    for (std::vector<std::string> more : {std::vector<std::string>{}, {"--ipc", "host"},
                                          {"--read-only"}, {"-u", "1000"}}) {
        std::vector<std::string> all = {"run", "--rm", "-i", "-h", "named"};
        all.insert(all.end(), more.begin(), more.end());
        all.insert(all.end(), {"busybox", "sh", "-c", look});
        const Ran ran = node->nodectl(all, read_text("/etc/resolv.conf"));
        EXPECT_EQ(ran.out, "named\n127.0.0.1\tlocalhost\nsame\n") << ran.err;
    }
    EXPECT_EQ(run({"--network", "host"}, "cat /etc/hosts").out, read_text("/etc/hosts"));
    // An image's own are covered, and the container's changes are its own.
    make_image("own", "echo mine > etc/hosts; ln -s /tmp/elsewhere etc/resolv.conf");
    EXPECT_EQ(run({}, "head -1 /etc/hosts; echo x >> /etc/hosts && tail -1 /etc/hosts", "own").out,
              "127.0.0.1\tlocalhost\nx\n");
    node->ok({"rmi", "own"});
    node->ok({"run", "--name", "clean", "busybox", "true"});
    EXPECT_EQ(node->ok({"diff", "clean"}), "");
    EXPECT_EQ(run({"-v", "/etc/passwd:/etc/hosts:ro"}, "cat /etc/hosts").out,
              read_text("/etc/passwd"));
    node->ok({"rm", "clean"});
}

TEST_F(ImageNeeds, a_root_without_its_folders_gets_them) {
    make_image("bare", "rm -rf proc sys dev tmp var home");
    const Ran ran = run({}, "ls -d /proc/1 /sys/class /dev/null", "bare");
    EXPECT_EQ(ran.out, "/dev/null\n/proc/1\n/sys/class\n") << ran.err;
    node->ok({"rmi", "bare"});
}

TEST_F(ImageNeeds, a_root_without_the_command_says_so) {
    make_image("empty", "rm -rf bin");
    const Ran ran = node->nodectl({"run", "--rm", "empty", "sh"});
    EXPECT_EQ(ran.exit_code, 127);
    EXPECT_NE(ran.err.find("exec: \"sh\": executable file not found in $PATH"), std::string::npos)
        << ran.err;
    EXPECT_EQ(node->nodectl({"run", "--rm", "empty", "/bin/sh"}).exit_code, 127);
    node->ok({"rmi", "empty"});
}

TEST_F(ImageNeeds, kernel_file_systems_go_on_real_folders_only) {
    for (const char* name : {"dev", "proc", "sys"}) {
        for (const char* instead : {"ln -s /etc", "ln -s ../../../../etc", "touch"}) {
            make_image("odd", "rm -rf " + std::string(name) + "; " + instead + " " + name);
            const Ran ran = run({}, "true", "odd");
            EXPECT_EQ(ran.exit_code, 125) << name << instead;
            EXPECT_NE(ran.err.find("the image has something else than a folder at /" +
                                   std::string(name)),
                      std::string::npos)
                << ran.err;
            node->ok({"rmi", "odd"});
        }
    }
}

TEST_F(ImageNeeds, links_in_the_way_of_mounts_lead_nowhere_else) {
    const std::string outside = node->dir() + "/outside";
    const std::string given = node->dir() + "/given";
    for (const std::string& folder : {outside, given}) fs::create_directories(folder);
    std::ofstream(given + "/file") << "given";
    make_image("links", "ln -s " + outside + " abs; ln -s ../../../../../../.." + outside +
                            " rel; ln -s /proc/self/cwd magic; ln -s loop loop; mkdir real; "
                            "ln -s /real in; ln -s ../../../../real up");
    for (const char* target : {"/in", "/up", "/in/deep/er", "/up/deep", "/in/../up"}) {
        const Ran ran = run({"-v", given + ":" + target}, std::string("cat ") + target + "/file",
                            "links");
        EXPECT_EQ(ran.out, "given") << target << ran.err;
        EXPECT_TRUE(fs::is_empty(outside)) << target;
    }
    // What such a link names is not there yet, so it is made: in the container, as docker does it.
    for (const char* target : {"/abs", "/rel", "/abs/x", "/rel/x"}) {
        const Ran ran = run({"-v", given + ":" + target}, std::string("cat ") + target + "/file",
                            "links");
        EXPECT_EQ(ran.out, "given") << target << ran.err;
        EXPECT_TRUE(fs::is_empty(outside)) << target;
    }
    for (const char* target : {"/magic/x", "/loop", "/loop/x"}) {
        const Ran ran = run({"-v", given + ":" + target}, "true", "links");
        EXPECT_EQ(ran.exit_code, 125) << target << ran.out;
        EXPECT_TRUE(fs::is_empty(outside)) << target;
    }
    for (const char* folder : {"/abs/made", "/rel/made"}) {
        const Ran ran = run({"-w", folder}, "pwd", "links");
        EXPECT_EQ(ran.out, outside + "/made\n") << ran.err;
        EXPECT_TRUE(fs::is_empty(outside)) << folder;
    }
    node->ok({"rmi", "links"});
    for (const std::string& folder : {outside, given}) fs::remove_all(folder);
}

TEST_F(ImageNeeds, what_floods_closes_or_forks_is_still_ended) {
    // Closes its streams and stays.
    node->ok({"run", "-d", "--name", "silent", "busybox", "sh", "-c",
              "exec <&- >&- 2>&-; sleep 1000"});
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Status}}", "silent"}), "running");
    EXPECT_EQ(node->ok({"exec", "silent", "echo", "here"}), "here");
    // Forks as fast as it may, and ignores what it is asked.
    node->ok({"run", "-d", "--name", "wild", "--pids-limit", "50", "busybox", "sh", "-c",
              "trap '' TERM; f() { while :; do f & done 2>/dev/null; }; f"});
    EXPECT_EQ(node->nodectl({"stop", "-t", "1", "wild"}).exit_code, 0);
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Running}}", "wild"}), "false");
    // Nothing of that delays others.
    EXPECT_EQ(run({}, "echo fine").out, "fine\n");
    node->ok({"rm", "-f", "silent", "wild"});
}

TEST_F(ImageNeeds, a_line_without_an_end_is_bounded) {
    constexpr const char* kLimits[] = {"max-size=1m", "max-file=2"};
    node->ok({"run", "-d", "--name", "line", "--log-opt", kLimits[0], "--log-opt", kLimits[1],
              "busybox", "sh", "-c", "dd if=/dev/zero bs=1M count=1000 2>/dev/null"});
    EXPECT_EQ(node->ok({"wait", "line"}), "0");
    uint64_t bytes = 0;
    for (const auto& file :
         fs::directory_iterator(node->ok({"inspect", "--format", "{{.LogPath}}", "line"})))
        bytes += fs::file_size(file.path());
    EXPECT_LT(bytes, 4u << 20);
    EXPECT_EQ(node->nodectl({"logs", "--tail", "1", "line"}).exit_code, 0);
    node->ok({"rm", "line"});
}

TEST_F(ImageNeeds, a_terminal_that_goes_away_leaves_the_container) {
    {
        Running client(node->command({"run", "-it", "--name", "tty", "busybox", "sh", "-c",
                                      "echo up; while :; do echo tick; sleep 0.1; done"}));
        (void)client.read_until("up", 1);
    }
    // Without a terminal -it is refused; with -i alone the client is killed while it is attached.
    Running client(node->command({"run", "-i", "--name", "left", "busybox", "sh", "-c",
                                  "echo up; while :; do echo tick; sleep 0.1; done"}));
    ASSERT_TRUE(client.read_until("up"));
    ASSERT_EQ(::kill(client.pid(), SIGKILL), 0);
    (void)client.wait();
    EXPECT_EQ(node->ok({"inspect", "--format", "{{.State.Status}}", "left"}), "running");
    EXPECT_EQ(node->ok({"exec", "left", "echo", "on"}), "on");
    node->nodectl({"rm", "-f", "tty"});
    node->ok({"rm", "-f", "left"});
}

TEST_F(ImageNeeds, what_every_container_has_is_added_when_it_starts_and_is_not_its_own) {
    node->ok({"create", "--name", "own", "-e", "A=1", "-e", "NODED_TEST_UNSET", "busybox", "sh",
              "-c", "echo $A $HOSTNAME $PATH; readlink /etc/mtab; grep -c ' / ' /etc/mtab"});
    EXPECT_EQ(node->ok({"inspect", "-f", "{{json .Config.Env}} {{json .SizeRw}}", "own"}),
              "[\"A=1\"] null");
    EXPECT_NE(node->ok({"inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "own"}).find(" "),
              std::string::npos);
    const std::string id = node->ok({"inspect", "-f", "{{.Id}}", "own"});
    EXPECT_EQ(node->ok({"start", "-a", "own"}),
              "1 " + id.substr(0, 12) +
                  " /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                  "/proc/mounts\n1");
    EXPECT_EQ(node->ok({"diff", "own"}), "");
}

TEST_F(ImageNeeds, an_empty_command_is_found_nowhere) {
    const Ran ran = node->nodectl({"run", "--rm", "busybox", ""});
    EXPECT_EQ(ran.exit_code, 127);
    EXPECT_NE(ran.err.find("exec: \"\": executable file not found in $PATH"), std::string::npos)
        << ran.err;
}

}  // namespace
}  // namespace noded::test

// nodectl --host ssh://…: through a real ssh and a real sshd, which listens on the loopback for
// this test alone, with keys and settings of its own. Neither knows what root's own ssh knows.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <utility>

#include "tests/integration/on_terminal.h"
#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceSeconds = 60;   // a login costs some computing
constexpr const char* kPath = "/usr/sbin:/usr/bin:/sbin:/bin";

class SshTest : public SharedNodeTest {
protected:
    static void SetUpTestSuite() {
        SharedNodeTest::SetUpTestSuite();
        fs::create_directories(at("bin"));
        for (const char* key : {"host", "user", "stranger"}) {
            const Ran made = run_program({"/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                                          "-C", key, "-f", at(key)});
            ASSERT_EQ(made.exit_code, 0) << made.err;
        }
        fs::copy_file(at("user.pub"), at("authorized"));
        fs::create_symlink(built("tools/nodectl/nodectl"), at("bin/nodectl"));
        begin_sshd();
        write_config("config", at("user"), at("known"));
    }
    static void TearDownTestSuite() {
        if (sshd != nullptr) {
            kill(sshd->pid(), SIGTERM);
            sshd->wait();
        }
        delete sshd;
        sshd = nullptr;
        SharedNodeTest::TearDownTestSuite();
    }
    void TearDown() override {
        SharedNodeTest::TearDown();
        if (sshd == nullptr) return;
        // Each login has a process there, and that one a nodectl.
        EXPECT_TRUE(eventually(
            [] { return children_of(sshd->pid(), "sshd").empty() && nobody_dials(); },
            kPatienceSeconds));
    }
    static bool nobody_dials() {
        const std::string host = "unix:" + node->runtime_dir() + "/noded.sock";
        std::error_code gone;   // a process may end meanwhile
        for (const auto& entry : fs::directory_iterator("/proc", gone)) {
            const std::string words = read_text(entry.path() / "cmdline");
            if (says(words, host) && says(words, "dial-stdio")) return false;
        }
        return true;
    }

    static std::string at(const std::string& name) { return node->dir() + "/ssh/" + name; }

    /// Without PAM, which asks for more of the machine than a login with a key; but it is what lets
    /// in a root without a password.
    static bool root_is_locked() { return says("\n" + read_text("/etc/shadow"), "\nroot:!"); }

    static void begin_sshd() {
        // In /run it wants an empty folder: in a mount namespace of its own nobody else sees it.
        const std::string line =
            "mount -t tmpfs -o mode=755 none /run && mkdir /run/sshd && "
            "exec /usr/sbin/sshd -D -e -f " + at("sshd_config") + " 2>&1";
        for (int tries = 0; tries < 50; ++tries) {
            port = 20000 + (getpid() * 11 + tries * 137) % 20000;
            std::ofstream(at("sshd_config"))
                << "ListenAddress 127.0.0.1:" << port << "\nHostKey " << at("host")
                << "\nAuthorizedKeysFile " << at("authorized") << "\nPidFile none\nStrictModes no\n"
                << "UsePAM " << (root_is_locked() ? "yes" : "no") << "\nUseDNS no\n"
                << "PermitRootLogin prohibit-password\nPasswordAuthentication no\n"
                << "KbdInteractiveAuthentication no\n"
                << "MaxStartups 100\nSetEnv PATH=" << at("bin") << ":" << kPath << "\n";
            sshd = new Running({"/usr/bin/unshare", "-m", "/bin/sh", "-c", line});
            // It ends where somebody else has the port.
            if (sshd->read_until("Server listening on", kPatienceSeconds)) return;
            delete std::exchange(sshd, nullptr);
        }
        FAIL() << "no port is free";
    }

    /// What stands in a user's ~/.ssh/config; and an ssh that reads it.
    static void write_config(const std::string& name, const std::string& key,
                             const std::string& known_hosts) {
        std::ofstream(at("known")) << "[127.0.0.1]:" << port << " " << read_text(at("host.pub"));
        std::ofstream(at(name)) << "Host *\nIdentityFile " << key << "\nIdentitiesOnly yes\n"
                                << "UserKnownHostsFile " << known_hosts
                                << "\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n"
                                << "Host box\nHostName 127.0.0.1\nPort " << port
                                << "\nUser root\nHostKeyAlias [127.0.0.1]:" << port << "\n";
        fs::create_directories(at(name + "-bin"));
        std::ofstream(at(name + "-bin/ssh"))
            << "#!/bin/sh\nexec /usr/bin/ssh -F " << at(name) << " \"$@\"\n";
        chmod(at(name + "-bin/ssh").c_str(), 0755);
    }

    static std::string host() {
        return "ssh://root@127.0.0.1:" + std::to_string(port) + node->runtime_dir() + "/noded.sock";
    }
    static std::vector<std::string> far(std::vector<std::string> words,
                                        const std::string& to = host(),
                                        const std::string& config = "config") {
        words.insert(words.begin(), {"/usr/bin/env", "-i", "PATH=" + at(config + "-bin:") + kPath,
                                     built("tools/nodectl/nodectl"), "--host", to});
        return words;
    }
    static std::string ok(const std::vector<std::string>& words, const std::string& input = "") {
        const Ran ran = run_program(far(words), input);
        EXPECT_EQ(ran.exit_code, 0) << words[0] << ": " << ran.err;
        return trimmed(ran.out);
    }

    inline static Running* sshd = nullptr;
    inline static int port = 0;
};

TEST_F(SshTest, containers_are_run_and_executed_in_with_their_streams_and_codes) {
    const Ran ran = run_program(far({"run", "-i", "--name", "first", "busybox", "sh", "-c",
                                     "cat; echo err >&2; exit 7"}),
                                "typed\n");
    EXPECT_EQ(ran.exit_code, 7);
    EXPECT_EQ(ran.out, "typed\n");
    EXPECT_EQ(ran.err, "err\n");
    EXPECT_EQ(ok({"ps", "-a", "--format", "{{.Names}} {{.State}}"}), "first exited");
    ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    const Ran exec = run_program(far({"exec", "-i", "box", "sh", "-c", "wc -c; exit 3"}),
                                 std::string(3 << 20, 'x'));
    EXPECT_EQ(exec.exit_code, 3) << exec.err;
    EXPECT_EQ(trimmed(exec.out), std::to_string(3 << 20));
    EXPECT_EQ(run_program(far({"exec", "box", "nothing"})).exit_code, 127);
}

TEST_F(SshTest, one_is_attached_to_and_its_output_followed) {
    node->ok({"run", "-d", "-i", "--name", "box", "busybox", "sh", "-c",
              "echo begun; while read line; do echo got $line; [ $line = end ] && exit 5; done"});
    Running follower(far({"logs", "-f", "box"}));
    ASSERT_TRUE(follower.read_until("begun", kPatienceSeconds));
    Running attached(far({"attach", "box"}));
    attached.write("one\n");
    ASSERT_TRUE(attached.read_until("got one", kPatienceSeconds));
    ASSERT_TRUE(follower.read_until("got one", kPatienceSeconds));
    attached.write("end\n");
    const Ran left = attached.wait();
    EXPECT_EQ(left.exit_code, 5) << left.err;
    EXPECT_TRUE(follower.read_until("got end", kPatienceSeconds));
    EXPECT_EQ(follower.wait().exit_code, 0);
}

TEST_F(SshTest, a_terminal_works_as_if_it_was_here) {
    std::vector<std::string> words = far({"run", "-it", "--rm", "busybox", "sh"});
    OnTerminal run({words.begin() + 3, words.end()}, {words[2], "TERM=xterm"}, 31, 117);
    run.type("stty size; echo $((40 + 2))-here; exit 4\n");
    ASSERT_TRUE(run.has_drawn("42-here")) << run.drawn();
    EXPECT_TRUE(says(run.drawn(), "31 117")) << run.drawn();
    EXPECT_EQ(run.exit_code(kPatienceSeconds), 4);
}

TEST_F(SshTest, files_go_both_ways) {
    std::string much(6 << 20, 'm');
    for (size_t i = 0; i < much.size(); i += 4096) much[i] = char('a' + i / 4096 % 26);
    std::ofstream(at("much")) << much;
    node->ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    ok({"cp", at("much"), "box:/much"});
    ok({"cp", "box:/much", at("back")});
    EXPECT_TRUE(read_text(at("back")) == much);
    EXPECT_EQ(run_program(far({"cp", "box:/nothing", at("back")})).err,
              "Error: Could not find the file /nothing in container box\n");
}

TEST_F(SshTest, a_host_may_be_one_of_sshs_own_configuration) {
    node->ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    const std::string short_name = "ssh://box" + node->runtime_dir() + "/noded.sock";
    EXPECT_EQ(trimmed(run_program(far({"ps", "--format", "{{.Names}}"}, short_name)).out), "box");
    std::vector<std::string> words = far({"ps", "--format", "{{.Names}}"});
    words[4] = "NODECTL_HOST=" + short_name;
    std::swap(words[3], words[4]);
    words.erase(words.begin() + 5);
    EXPECT_EQ(trimmed(run_program(words).out), "box");
}

TEST_F(SshTest, who_is_not_let_in_is_told_why) {
    const auto expect = [](const std::vector<std::string>& words, const std::string& sentence) {
        const Ran ran = run_program(words);
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_TRUE(says(ran.err, sentence)) << ran.err;
        EXPECT_TRUE(says(ran.err, "Error: cannot reach noded: connect to ssh://")) << ran.err;
    };
    write_config("strange", at("stranger"), at("known"));
    expect(far({"ps"}, host(), "strange"), "Permission denied (publickey");
    std::ofstream(at("nobody"));
    write_config("unknown", at("user"), at("nobody"));
    expect(far({"ps"}, host(), "unknown"), "Host key verification failed");
    expect(far({"ps"}, "ssh://root@127.0.0.1:" + std::to_string(port) + "/no/such.sock"),
           "connect to unix:/no/such.sock: ENOENT");
    expect(far({"ps"}, "ssh://root@127.0.0.1:1"), "Connection refused");
    fs::rename(at("bin/nodectl"), at("bin/other"));
    expect(far({"ps"}), "not found");
    fs::rename(at("bin/other"), at("bin/nodectl"));
}

TEST_F(SshTest, a_connection_that_breaks_is_told_and_leaves_nothing) {
    node->ok({"run", "-d", "-i", "--name", "box", "busybox", "sh", "-c", "echo begun; sleep 1000"});
    Running follower(far({"logs", "-f", "box"}));
    ASSERT_TRUE(follower.read_until("begun", kPatienceSeconds));
    Running exec(far({"exec", "box", "sh", "-c", "echo begun; sleep 1000"}));
    ASSERT_TRUE(exec.read_until("begun", kPatienceSeconds));
    for (const std::string& pid : children_of(sshd->pid(), "sshd")) kill(stoi(pid), SIGKILL);
    for (Running* one : {&follower, &exec}) {
        const Ran ran = one->wait();
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_TRUE(says(ran.err, "Error: ")) << ran.err;
    }
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Status}}", "box"}), "running");
    Running left(far({"logs", "-f", "box"}));
    ASSERT_TRUE(left.read_until("begun", kPatienceSeconds));
    kill(left.pid(), SIGKILL);
    left.wait();   // and TearDown looks that nothing of it is left there
}

}  // namespace
}  // namespace noded::test

// A node that is asked from another machine: nodectl over TLS and over ssh's streams, with all that
// needs descriptors locally; those who have no business there; and what is left when a side goes
// away.
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

constexpr const char* kKeys = "\x10\x11";  // ctrl-p, ctrl-q

class RemoteTest : public SharedNodeTest {
protected:
    static void SetUpTestSuite() {
        SharedNodeTest::SetUpTestSuite();
        fs::create_directory(keys());
        for (const char* authority : {"ca", "other"}) {
            openssl({"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                     "-nodes", "-keyout", key(authority) + "-key.pem", "-out",
                     key(authority) + ".pem", "-days", "2", "-subj", "/CN=authority"});
        }
        certify("node", "ca", "IP:127.0.0.1");
        certify("alice", "ca", "DNS:alice");
        certify("mallory", "other", "DNS:mallory");
        certify("elsewhere", "ca", "DNS:elsewhere");
        certify("expired", "ca", "IP:127.0.0.1", "-1");
        begin_serving("node");
    }
    static void TearDownTestSuite() {
        stop_serving();
        SharedNodeTest::TearDownTestSuite();
    }
    void TearDown() override {
        SharedNodeTest::TearDown();
        // Each connection had a process at this end, and its own programs.
        EXPECT_TRUE(eventually([] { return carriers().empty(); }, 30));
    }

    static std::string keys() { return node->dir() + "/keys"; }
    static std::string key(const std::string& name) { return keys() + "/" + name; }
    static void openssl(std::vector<std::string> words) {
        words.insert(words.begin(), "/usr/bin/openssl");
        const Ran ran = run_program(words);
        ASSERT_EQ(ran.exit_code, 0) << ran.err;
    }
    static void certify(const std::string& name, const std::string& authority,
                        const std::string& place, const std::string& days = "2") {
        openssl({"req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                 key(name) + "-key.pem", "-out", key(name) + ".req", "-subj", "/CN=" + name,
                 "-addext", "subjectAltName=" + place});
        openssl({"x509", "-req", "-in", key(name) + ".req", "-CA", key(authority) + ".pem",
                 "-CAkey", key(authority) + "-key.pem", "-CAcreateserial", "-days", days,
                 "-copy_extensions", "copy", "-out", key(name) + ".pem"});
        chmod((key(name) + "-key.pem").c_str(), 0600);
    }
    static void begin_serving(const std::string& certificate) {
        // A port that is free: who takes it first listens, all others end. What it says comes on
        // the stream that is read.
        for (int tries = 0; tries < 50; ++tries) {
            port = 20000 + (getpid() * 7 + tries * 131) % 20000;
            std::vector<std::string> words =
                node->command({"serve", "--tlscacert", key("ca") + ".pem", "--tlscert",
                               key(certificate) + ".pem", "--tlskey",
                               key(certificate) + "-key.pem", host()});
            words.insert(words.begin(), {"/bin/sh", "-c", "exec \"$@\" 2>&1", "sh"});
            served = new Running(words);
            if (served->read_until("listening on", 30)) return;
            delete std::exchange(served, nullptr);
        }
        FAIL() << "no port is free";
    }
    static void stop_serving() {
        if (served == nullptr) return;
        kill(served->pid(), SIGTERM);
        served->wait();
        delete served;
    }
    /// Whether a signal would not simply end this process.
    static bool takes(pid_t pid, int number) {
        const std::string status = read_text("/proc/" + std::to_string(pid) + "/status");
        unsigned long taken = 0;
        for (const std::string mask : {"SigBlk:\t", "SigCgt:\t"})
            if (const size_t at = status.find(mask); at != std::string::npos)
                taken |= strtoul(status.c_str() + at + mask.size(), nullptr, 16);
        return (taken >> (number - 1) & 1) != 0;
    }
    static std::vector<std::string> carriers() {
        return children_of(served->pid(), "nodectl-tls");
    }
    static std::string host() { return "tcp://127.0.0.1:" + std::to_string(port); }

    /// nodectl as `who`, on another machine.
    static std::vector<std::string> far(const std::vector<std::string>& words,
                                        const std::string& who = "alice") {
        std::vector<std::string> all = {built("tools/nodectl/nodectl"), "--host", host(),
                                        "--tlscacert", key("ca") + ".pem", "--tlscert",
                                        key(who) + ".pem", "--tlskey", key(who) + "-key.pem"};
        all.insert(all.end(), words.begin(), words.end());
        return all;
    }
    static Ran from_afar(const std::vector<std::string>& words, const std::string& input = "") {
        return run_program(far(words), input);
    }
    static std::string ok(const std::vector<std::string>& words, const std::string& input = "") {
        const Ran ran = from_afar(words, input);
        EXPECT_EQ(ran.exit_code, 0) << words[0] << ": " << ran.err;
        return trimmed(ran.out);
    }
    static std::vector<std::string> environment() { return {"TERM=xterm", "PATH=/usr/bin:/bin"}; }

    inline static Running* served = nullptr;
    inline static int port = 0;
};

TEST_F(RemoteTest, containers_are_run_and_executed_in_with_their_streams_and_codes) {
    const Ran ran = from_afar({"run", "-i", "--name", "far", "busybox", "sh", "-c",
                               "cat; echo err >&2; exit 7"},
                              "typed\n");
    EXPECT_EQ(ran.exit_code, 7);
    EXPECT_EQ(ran.out, "typed\n");
    EXPECT_EQ(ran.err, "err\n");
    EXPECT_EQ(ok({"ps", "-a", "--format", "{{.Names}} {{.State}}"}), "far exited");
    ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    const Ran exec = from_afar({"exec", "-i", "box", "sh", "-c", "wc -c; exit 3"},
                               std::string(3 << 20, 'x'));
    EXPECT_EQ(exec.exit_code, 3) << exec.err;
    EXPECT_EQ(trimmed(exec.out), std::to_string(3 << 20));
    EXPECT_EQ(ok({"exec", "box", "sh", "-c", "yes | head -c 5000000"}).size(), 5'000'000u - 1);
    EXPECT_EQ(from_afar({"exec", "box", "nothing"}).exit_code, 127);
    EXPECT_TRUE(says(ok({"top", "box", "-o", "pid,args"}), "sleep 1000"));
    EXPECT_EQ(ok({"--at", "1", "ps", "-aq"}), "");
    EXPECT_TRUE(says(ok({"stats", "--no-stream", "--format", "{{.Name}}"}), "box"));
}

TEST_F(RemoteTest, a_terminal_works_as_if_it_was_here) {
    OnTerminal run(far({"run", "-it", "--name", "box", "busybox", "sh"}), environment(), 31, 117);
    run.type("stty size; echo $((40 + 2))-here\n");
    ASSERT_TRUE(run.has_drawn("42-here")) << run.drawn();
    EXPECT_TRUE(says(run.drawn(), "31 117")) << run.drawn();
    run.forget();
    run.resize(40, 100);
    EXPECT_TRUE(eventually(
        [&] {
            run.type("stty size\n");
            return says(run.drawn(), "40 100");
        },
        30));
    run.type(kKeys);
    EXPECT_EQ(run.exit_code(30), 0);
    OnTerminal back(far({"attach", "box"}), environment());
    back.type("echo $((6 * 7))-again; exit 5\n");
    EXPECT_TRUE(back.has_drawn("42-again")) << back.drawn();
    EXPECT_EQ(back.exit_code(30), 5);
    OnTerminal gone(far({"start", "-ai", "box"}), environment());
    gone.type("echo $((40 + 3))-there\n");
    ASSERT_TRUE(gone.has_drawn("43-there")) << gone.drawn();
    gone.go_away();
    EXPECT_EQ(gone.exit_code(30), 128 + SIGHUP);
    EXPECT_EQ(ok({"inspect", "-f", "{{.State.Status}}", "box"}), "running");
}

TEST_F(RemoteTest, signals_go_to_the_container) {
    Running run(
        far({"run", "--name", "sig", "busybox", "sh", "-c",
             "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.05; done"}));
    ASSERT_TRUE(run.read_until("ready", 30));
    // Output may come before the answer that the container was accepted, and signals are taken
    // after it.
    ASSERT_TRUE(eventually([&] { return takes(run.pid(), SIGTERM); }, 60));
    kill(run.pid(), SIGTERM);
    EXPECT_TRUE(run.read_until("got TERM", 60));
    EXPECT_EQ(run.wait().exit_code, 9);
}

TEST_F(RemoteTest, files_go_both_ways) {
    const std::string here = node->dir() + "/here";
    fs::create_directories(here + "/tree/deep");
    std::string much(6 << 20, 'm');
    for (size_t i = 0; i < much.size(); i += 4096) much[i] = char('a' + i / 4096 % 26);
    std::ofstream(here + "/tree/deep/much") << much;
    fs::create_symlink("deep/much", here + "/tree/link");
    ok({"run", "-d", "--name", "box", "busybox", "sleep", "1000"});
    ok({"cp", here + "/tree", "box:/copied"});
    EXPECT_EQ(ok({"exec", "box", "readlink", "/copied/link"}), "deep/much");
    ok({"cp", "box:/copied/deep/much", here + "/back"});
    EXPECT_TRUE(read_text(here + "/back") == much);
    const Ran tar = from_afar({"cp", "box:/copied/deep", "-"});
    EXPECT_EQ(tar.exit_code, 0) << tar.err;
    EXPECT_GT(tar.out.size(), much.size());
    EXPECT_EQ(from_afar({"cp", "-", "box:/tmp"}, tar.out).exit_code, 0);
    EXPECT_EQ(ok({"exec", "box", "cmp", "/tmp/deep/much", "/copied/deep/much"}), "");
    EXPECT_EQ(from_afar({"cp", "box:/nothing", here}).err,
              "Error: Could not find the file /nothing in container box\n");
    EXPECT_TRUE(says(ok({"diff", "box"}), "A /copied/link"));
    ok({"export", "-o", here + "/root.tar", "box"});
    EXPECT_GT(fs::file_size(here + "/root.tar"), much.size());
    // An archive is read where the node is.
    ok({"image", "import", "-m", "from afar", "-c", "CMD echo imported", here + "/root.tar",
        "far:1"});
    EXPECT_EQ(ok({"run", "--rm", "far:1"}), "imported");
    EXPECT_GT(from_afar({"save", "far:1"}).out.size(), much.size());
    EXPECT_EQ(from_afar({"import", "-", "far:2"}, read_text(here + "/root.tar")).exit_code, 0);
    EXPECT_TRUE(says(from_afar({"load"}, "no archive").err, "Error: ")) << "its words come along";
    ok({"rmi", "far:1", "far:2"});
    fs::remove_all(here);
}

TEST_F(RemoteTest, logs_are_read_and_followed) {
    ok({"run", "-d", "--name", "talks", "-l", "team=x", "busybox", "sh", "-c",
        "echo out; echo err >&2; until test -e /stop; do sleep 0.05; done; echo last; exit 1"});
    EXPECT_TRUE(eventually([] { return says(from_afar({"logs", "talks"}).err, "err"); }, 30));
    EXPECT_EQ(from_afar({"logs", "talks"}).out, "out\n");
    EXPECT_TRUE(says(ok({"logs", "--selector", "team=x"}), "talks"));
    Running follower(far({"logs", "-f", "--tail", "1", "talks"}));
    ASSERT_TRUE(node->ok({"exec", "talks", "touch", "/stop"}).empty());
    EXPECT_TRUE(follower.read_until("last", 30));
    EXPECT_EQ(follower.wait().exit_code, 0);
    EXPECT_EQ(from_afar({"logs", "nobody"}).exit_code, 1);
    EXPECT_EQ(from_afar({"logs", "nobody"}).err, "Error: No such container: nobody\n");
    EXPECT_EQ(from_afar({"logs"}).exit_code, 1);
    // Who goes away takes the program there along.
    ok({"run", "-d", "--name", "long", "busybox", "sleep", "1000"});
    Running left(far({"logs", "-f", "long"}));
    ASSERT_TRUE(eventually([] { return !carriers().empty(); }, 30));
    kill(left.pid(), SIGKILL);
    left.wait();
    EXPECT_TRUE(eventually([] { return carriers().empty(); }, 30));
}

TEST_F(RemoteTest, only_whom_the_authority_knows_is_let_in) {
    const Ran stranger = run_program(far({"ps"}, "mallory"));
    EXPECT_EQ(stranger.exit_code, 1);
    EXPECT_TRUE(says(stranger.err, "cannot reach noded: connect to " + host())) << stranger.err;
    std::vector<std::string> wrong = far({"ps"});
    wrong[4] = key("other") + ".pem";
    EXPECT_TRUE(says(run_program(wrong).err, "certificate is not accepted"))
        << run_program(wrong).err;
    wrong = far({"ps"});
    wrong[2] = "tcp://localhost:" + std::to_string(port);
    EXPECT_TRUE(says(run_program(wrong).err, "certificate is not accepted"))
        << run_program(wrong).err << ": its certificate is of 127.0.0.1";
    wrong = far({"ps"});
    wrong[6] = key("nothing") + ".pem";
    EXPECT_TRUE(says(run_program(wrong).err, "read the certificate " + wrong[6] + ": ENOENT"));
    wrong = far({"ps"});
    wrong[2] = "ssh://alice:hunter2@node1";
    const Ran with_password = run_program(wrong);
    EXPECT_TRUE(says(with_password.err, "no password is written here")) << with_password.err;
    EXPECT_FALSE(says(with_password.err, "hunter2")) << with_password.err;
    chmod((key("elsewhere") + "-key.pem").c_str(), 0644);
    EXPECT_TRUE(says(run_program(far({"ps"}, "elsewhere")).err, "chmod 600"));
    // Without TLS at all.
    const Ran plain = run_program(
        {"/usr/bin/python3", "-c",
         "import socket\n"
         "s = socket.create_connection(('127.0.0.1', " + std::to_string(port) + "))\n"
         "s.settimeout(60)\n"
         "s.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n')\n"
         "try:\n"
         "    while s.recv(4096): pass\n"
         "except ConnectionResetError: pass\n"});
    EXPECT_EQ(plain.exit_code, 0) << plain.err;
    EXPECT_EQ(ok({"ps", "-q"}), "");
    EXPECT_TRUE(says(run_program({built("tools/nodectl/nodectl"), "--host", "http://x", "ps"}).err,
                     "unix:PATH, tcp://HOST[:PORT] or ssh://[USER@]HOST"));
}

TEST_F(RemoteTest, the_program_that_has_tls_is_found_where_it_is_installed) {
    const std::string prefix = node->dir() + "/prefix";
    for (const char* folder : {"/bin", "/libexec/noded"}) fs::create_directories(prefix + folder);
    std::vector<std::string> ps = far({"ps"});
    const std::vector<std::string> serve = {prefix + "/bin/nodectl", "serve"};
    fs::copy_file(ps[0], prefix + "/bin/nodectl");
    ps[0] = serve[0];
    for (const auto& words : {ps, serve}) {
        const Ran missing = run_program(words);
        EXPECT_EQ(missing.exit_code, 1);
        EXPECT_TRUE(says(missing.err, "needs the program nodectl-tls")) << missing.err;
        EXPECT_TRUE(says(missing.err, prefix + "/libexec/noded/nodectl-tls")) << missing.err;
    }
    // What needs no TLS does not miss it.
    EXPECT_EQ(run_program({ps[0], "serve", "--help"}).exit_code, 0);
    EXPECT_EQ(run_program({ps[0], "--host", host(), "ps", "--nonsense"}).exit_code, 125);
    for (const char* place : {"/libexec/noded/nodectl-tls", "/bin/nodectl-tls"}) {
        fs::copy_file(built("tools/nodectl/nodectl-tls"), prefix + place);
        const Ran found = run_program(ps);
        EXPECT_EQ(found.exit_code, 0) << place << ": " << found.err;
        fs::remove(prefix + place);
    }
    fs::remove_all(prefix);
}

TEST_F(RemoteTest, a_stream_outlives_noded_and_its_end_is_known) {
    Running run(far({"run", "--name", "lives", "busybox", "sh", "-c",
                     "echo ready; until test -e /stop; do sleep 0.05; done; echo last; exit 6"}));
    ASSERT_TRUE(run.read_until("ready", 30));
    node->kill();
    node->start();
    node->ok({"exec", "lives", "touch", "/stop"});
    const Ran ran = run.wait();
    EXPECT_EQ(ran.exit_code, 6) << ran.err;
    EXPECT_TRUE(says(ran.out, "last")) << ran.out;
}

TEST_F(RemoteTest, a_door_that_closes_ends_the_clients_and_not_the_containers) {
    Running run(far({"run", "--name", "stays", "busybox", "sh", "-c", "echo ready; sleep 1000"}));
    ASSERT_TRUE(run.read_until("ready", 30));
    stop_serving();
    const Ran ran = run.wait();
    EXPECT_NE(ran.exit_code, 0);
    EXPECT_FALSE(ran.err.empty());
    EXPECT_EQ(node->ok({"inspect", "-f", "{{.State.Status}}", "stays"}), "running");
    EXPECT_EQ(from_afar({"ps"}).exit_code, 1);
    begin_serving("node");
    EXPECT_EQ(ok({"ps", "--format", "{{.Names}}"}), "stays");
}

TEST_F(RemoteTest, certificates_that_are_no_good_are_told_apart) {
    const auto said = [](std::vector<std::string> words) {
        const Ran ran = run_program(words);
        EXPECT_EQ(ran.exit_code, 1);
        return ran.err;
    };
    const std::string late = said(far({"ps"}, "expired"));
    EXPECT_TRUE(says(late, "certificate expired")) << late;
    const std::string strange = said(far({"ps"}, "mallory"));
    EXPECT_TRUE(says(strange, "unknown CA")) << strange;
    std::vector<std::string> mixed = far({"ps"});
    mixed[8] = key("node") + "-key.pem";
    EXPECT_TRUE(says(said(mixed), "it belongs to another certificate")) << said(mixed);
    std::vector<std::string> nonsense = far({"ps"});
    nonsense[6] = key("alice") + ".req";
    EXPECT_TRUE(says(said(nonsense), "read the certificate " + nonsense[6] + ": "))
        << said(nonsense);
    std::vector<std::string> nobody = far({"ps"});
    nobody[2] = "tcp://127.0.0.1:1";
    EXPECT_TRUE(says(said(nobody), "connect to 127.0.0.1:1: ECONNREFUSED")) << said(nobody);
    stop_serving();
    begin_serving("expired");
    const std::string old_node = said(far({"ps"}));
    EXPECT_TRUE(says(old_node, "certificate has expired")) << old_node;
    stop_serving();
    begin_serving("node");
}

TEST_F(RemoteTest, what_was_under_way_when_the_door_died_ends_with_a_sentence) {
    ok({"run", "-d", "-i", "--name", "box", "busybox", "sh", "-c",
        "dd if=/dev/zero of=/much bs=1M count=32 2>/dev/null; echo ready; sleep 1000"});
    Running follower(far({"logs", "-f", "box"}));
    Running attached(far({"attach", "box"}));
    ASSERT_TRUE(follower.read_until("ready", 60));
    Running execs(far({"exec", "-i", "box", "sh", "-c", "echo ready; cat"}));
    ASSERT_TRUE(execs.read_until("ready", 60));
    Running copies(far({"cp", "box:/much", "-"}));
    ASSERT_TRUE(copies.read_until("much", 60));   // and then it waits: nobody reads
    Running runs(far({"run", "--name", "runs", "busybox", "sh", "-c", "echo ready; sleep 1000"}));
    ASSERT_TRUE(runs.read_until("ready", 60));
    kill(served->pid(), SIGKILL);
    served->wait();
    delete served;
    Running* const all[] = {&follower, &attached, &execs, &copies, &runs};
    for (size_t i = 0; i < std::size(all); ++i) {
        const Ran ran = all[i]->wait();
        EXPECT_EQ(ran.exit_code, all[i] == &runs ? 125 : 1) << i << ": " << ran.err;
        EXPECT_TRUE(says(ran.err, "Error: ")) << i << ": " << ran.err;
    }
    EXPECT_EQ(node->ok({"ps", "-q"}).size(), 2 * 12u + 1);
    begin_serving("node");
}

TEST_F(RemoteTest, ssh_carries_it_too) {
    // What sshd does with the command that it is given: a shell there reads it.
    const std::string bin = node->dir() + "/bin";
    fs::create_directory(bin);
    std::ofstream(bin + "/ssh") << "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift\n"
                                   "[ \"$1\" = there ] || { echo no such host >&2; exit 255; }\n"
                                   "shift\nexec sh -c \"$*\"\n";
    chmod((bin + "/ssh").c_str(), 0755);
    fs::create_symlink(built("tools/nodectl/nodectl"), bin + "/nodectl");
    const auto ssh = [&](std::vector<std::string> words, const std::string& input = "",
                         const std::string& name = "there") {
        const std::string to = "ssh://me@" + name + node->runtime_dir() + "/noded.sock";
        words.insert(words.begin(),
                     {"/usr/bin/env", "PATH=" + bin + ":/usr/bin:/bin", "nodectl", "--host", to});
        return run_program(words, input);
    };
    const Ran ran =
        ssh({"run", "-i", "--name", "box", "busybox", "sh", "-c", "cat; exit 4"}, "in\n");
    EXPECT_EQ(ran.exit_code, 4) << ran.err;
    EXPECT_EQ(ran.out, "in\n");
    EXPECT_EQ(ssh({"logs", "box"}).out, "in\n");
    EXPECT_EQ(ssh({"cp", "box:/etc/passwd", "-"}).exit_code, 0);
    const Ran nowhere = ssh({"ps"}, "", "nowhere");
    EXPECT_EQ(nowhere.exit_code, 1);
    EXPECT_TRUE(says(nowhere.err, "no such host")) << nowhere.err;
    EXPECT_TRUE(says(nowhere.err, "ssh ended")) << nowhere.err;
}

}  // namespace
}  // namespace noded::test

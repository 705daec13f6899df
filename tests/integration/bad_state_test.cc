// Trouble around noded: no daemon, a socket that is not one's own, a state directory that is taken,
// full or damaged. Each is told in a sentence, and nothing is lost.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "tests/integration/test_node.h"
#include "tools/nodectl/session.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// A noded that is expected to end by itself, with the node's directories or others.
Ran try_noded(const TestNode& node, const Words& more = {}) {
    Words argv = {built("agent/noded"), "--state-dir",   node.state_dir(),
                  "--runtime-dir",      node.runtime_dir(), "--plugin-dir",
                  node.plugin_dir(),    "--libexec-dir", node.dir() + "/libexec"};
    argv.insert(argv.end(), more.begin(), more.end());
    return run_program(argv);
}

// -------------------------------------------------------------------------------------- the socket

TEST(NoDaemon, is_told_with_the_socket_and_each_verbs_own_code) {
    TestNode node;
    const std::string where = "cannot reach noded: connect to unix:" + node.runtime_dir() +
                              "/noded.sock: ";
    const auto refused = [&](const char* why) {
        for (const auto& [words, code] : {std::pair<Words, int>{{"ps"}, 1},
                                          {{"images"}, 1},
                                          {{"run", "busybox", "true"}, 125},
                                          {{"create", "busybox", "true"}, 125},
                                          {{"exec", "cc", "true"}, 1},
                                          {{"events", "-f"}, 1},
                                          {{"image", "import", "/dev/null", "x"}, 1},
                                          {{"logs", "-f", "cc"}, 1},
                                          {{"info"}, 1}}) {
            const Ran ran = node.nodectl(words);
            EXPECT_EQ(ran.exit_code, code) << words[0] << ran.err;
            EXPECT_TRUE(says(ran.err, where + why)) << words[0] << ran.err;
            EXPECT_TRUE(says(ran.err, ": is noded running?")) << words[0] << ran.err;
            EXPECT_EQ(ran.out, "") << words[0];
        }
    };
    refused("ENOENT");
    node.start();
    node.kill();
    // The kernel keeps the socket until it has taken the ring apart, just after the end.
    EXPECT_TRUE(eventually([&] { return says(node.nodectl({"ps"}).err, "ECONNREFUSED"); }));
    refused("ECONNREFUSED");
    node.start();
    node.import_busybox();
    EXPECT_EQ(node.ok({"run", "--rm", "busybox", "echo", "fine"}), "fine");
}

TEST(NoDaemon, a_client_whose_noded_goes_away_says_so) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "deaf", "busybox", "sh", "-c", "trap '' TERM; sleep 1000"});
    Running stopping(node.command({"stop", "-t", "1000", "deaf"}));
    sleep_ms(200);
    node.kill();
    const Ran ran = stopping.wait();
    node.start();
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_TRUE(says(ran.err, "lost the connection to noded at unix:" + node.runtime_dir()))
        << ran.err;
}

/// nodectl as nobody, from a place that nobody can reach.
Ran as_nobody(const TestNode& node, const Words& words, const char* gid) {
    const std::string copy = node.dir() + "/nodectl";
    if (!fs::exists(copy)) fs::copy_file(built("tools/nodectl/nodectl"), copy);
    chmod(node.dir().c_str(), 0755);
    Words argv = {"/usr/bin/setpriv", "--reuid", "65534", "--regid", gid, "--clear-groups"};
    const Words command = node.command(words);
    argv.push_back(copy);
    argv.insert(argv.end(), command.begin() + 1, command.end());
    return run_program(argv);
}

TEST(Socket, a_user_who_may_not_open_it_is_told_what_is_needed) {
    TestNode node;
    node.start();
    for (const Words& words : {Words{"ps"}, Words{"info"}}) {
        const Ran ran = as_nobody(node, words, "65534");
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_TRUE(says(ran.err, "EACCES")) << ran.err;
        EXPECT_TRUE(says(ran.err, "write permission on the socket is needed, and it is owned by "
                                  "uid 0 and gid 0"))
            << ran.err;
    }
    EXPECT_EQ(as_nobody(node, {"run", "busybox", "true"}, "65534").exit_code, 125);
    EXPECT_EQ(node.ok({"ps", "-q"}), "");
}

TEST(Socket, the_group_of_the_configuration_may_open_it) {
    TestNode node;
    std::ofstream(node.dir() + "/config.json") << R"({"socketGroup": "nogroup"})";
    node.start({"--config", node.dir() + "/config.json"});
    node.import_busybox();
    EXPECT_EQ(as_nobody(node, {"ps", "-q"}, "65534").exit_code, 0);
    EXPECT_EQ(as_nobody(node, {"run", "--name", "cc", "busybox", "echo", "hi"}, "65534").out,
              "hi\n");
    EXPECT_EQ(as_nobody(node, {"logs", "cc"}, "65534").out, "hi\n");
    EXPECT_EQ(as_nobody(node, {"create", "--name", "new", "busybox", "true"}, "65534").exit_code,
              0);
    EXPECT_EQ(as_nobody(node, {"logs", "new"}, "65534").exit_code, 0);
    EXPECT_EQ(as_nobody(node, {"ps", "-q"}, "65533").exit_code, 1);
}

// -----------------------------------------------------------------------------------------
// start-up

TEST(StateDirectory, that_belongs_to_another_noded_is_left_alone) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "up", "busybox", "sleep", "1000"});
    const std::string other = node.dir() + "/other";
    const Ran same_state = try_noded(node, {"--runtime-dir", other});
    EXPECT_EQ(same_state.exit_code, 1);
    EXPECT_TRUE(says(same_state.err, "the state directory " + node.state_dir() +
                                         " belongs to another noded that is running"))
        << same_state.err;
    const Ran same_socket = try_noded(node, {"--state-dir", other});
    EXPECT_EQ(same_socket.exit_code, 1);
    EXPECT_TRUE(says(same_socket.err, "another")) << same_socket.err;
    EXPECT_TRUE(says(same_socket.err, node.runtime_dir())) << same_socket.err;
    EXPECT_EQ(node.ok({"exec", "up", "echo", "fine"}), "fine");
    EXPECT_EQ(node.ok({"events", "-o", "json", "--filter", "type=ContainerExited"}), "");
}

TEST(Configuration, of_a_plugin_bounds_it_and_what_is_wrong_with_it_is_told) {
    TestNode node;
    const std::string file = node.dir() + "/config.json";
    const auto reason = [&](const char* settings) {
        std::ofstream(file) << "{\"plugins\": {\"storage\": " << settings << "}}";
        node.start({"--config", file});
        std::string told = node.ok({"plugin", "inspect", "--format", "{{.Reason}}", "storage"});
        node.stop();
        return told;
    };
    EXPECT_EQ(reason(R"({"entriesmax": 100})"),
              "the configuration sets plugins.storage.entriesmax, which it does not know");
    EXPECT_EQ(reason(R"({"entriesMax": "many"})"),
              "its init failed: entriesMax in the configuration takes a number from 100 to "
              "2147483647, not \"many\"");
    EXPECT_EQ(reason(R"({"entriesMax": 100})"), "");
    node.start({"--config", file});
    const std::string root = node.dir() + "/root.tar";
    ASSERT_EQ(run_program({"/bin/sh", "-c",
                           "mkdir " + node.dir() + "/r && cd " + node.dir() +
                               "/r && seq 150 | xargs touch && tar cf " + root + " ."})
                  .exit_code,
              0);
    const Ran ran = node.nodectl({"image", "import", root, "many"});
    EXPECT_EQ(ran.exit_code, 1);
    EXPECT_TRUE(says(ran.err, "it has more than 100 entries (entriesMax; at ")) << ran.err;
}

TEST(Configuration, that_is_wrong_is_refused_with_what_is_wrong) {
    TestNode node;
    const std::string file = node.dir() + "/config.json";
    const std::pair<const char*, const char*> kBad[] = {
        {"{", "is not a JSON object: byte 2 is wrong"},
        {R"({"archive": tsue})", "is not a JSON object: byte 14 is wrong"},
        {"[]", "is not a JSON object"},
        {R"({"statedir": "/x"})", "has an unknown key: statedir"},
        {R"({"stateDir": 7})", "has a value of the wrong type for stateDir"},
        {R"({"logSegmentBytes": 4096})", "logSegmentBytes must be"},
        {R"({"logBytesMax": 1000000})", "logBytesMax must be at least 33554432"},
        {R"({"logAgeMax": 7})", "logAgeMax must be at least a minute"},
        {R"({"logAgeMax": "7w"})", "has a value of the wrong type for logAgeMax"},
        {R"({"archive": "maybe"})", "has a value of the wrong type for archive"},
        {R"({"archive": true, "archiveBytesMax": 1000000})", "archiveBytesMax must be at least"},
        {R"({"plugins": {"storage": 7}})", "has a value of the wrong type for plugins"},
        {R"({"plugins": {"storage": {"a": {}}}})", "has a value of the wrong type for plugins"},
        {R"({"logLevel": "loud"})", "\"loud\" is not a log level"},
    };
    for (const auto& [text, sentence] : kBad) {
        std::ofstream(file) << text;
        const Ran ran = try_noded(node, {"--config", file});
        EXPECT_EQ(ran.exit_code, 2) << text;
        EXPECT_TRUE(says(ran.err, sentence)) << text << "\n" << ran.err;
    }
    EXPECT_TRUE(says(try_noded(node, {"--config", "/no/such"}).err, "/no/such: ENOENT"));
    EXPECT_EQ(try_noded(node, {"--state-dir", "relative"}).exit_code, 2);
    EXPECT_EQ(try_noded(node, {"--no-such-flag"}).exit_code, 2);
    EXPECT_EQ(try_noded(node, {"--state-dir"}).exit_code, 2);
    EXPECT_TRUE(fs::is_empty(node.state_dir()));
}

// --------------------------------------------------------------------------------------------- the
// log

std::map<std::string, std::string> content_of(const std::string& dir) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(dir))
        files[entry.path().filename()] = read_text(entry.path());
    return files;
}

void flip_bit(const std::string& path, uint64_t byte) {
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    char value = 0;
    ASSERT_EQ(pread(file, &value, 1, static_cast<off_t>(byte)), 1);
    value = static_cast<char>(value ^ 0x10);
    ASSERT_EQ(pwrite(file, &value, 1, static_cast<off_t>(byte)), 1);
    close(file);
}

TEST(Log, with_a_flipped_bit_is_refused_with_its_place_and_not_touched) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "up", "busybox", "sleep", "1000"});
    for (int i = 0; i < 5; ++i) node.ok({"tag", "busybox", "name" + std::to_string(i)});
    node.kill();
    const std::string segment = node.state_dir() + "/log/segment-0000000000000001";
    // Segment header, its padding, the first batch's header, a record, its padding, a later batch.
    for (const uint64_t byte : {20, 3000, 4096 + 40, 4096 + 100, 4096 + 4000, 3 * 4096 + 90}) {
        flip_bit(segment, byte);
        const auto before = content_of(node.state_dir() + "/log");
        const Ran ran = try_noded(node);
        EXPECT_EQ(ran.exit_code, 1) << byte;
        EXPECT_TRUE(says(ran.err, "log segment-0000000000000001 at byte ")) << byte << ran.err;
        EXPECT_TRUE(says(ran.err, "the file was left as it is")) << byte << ran.err;
        EXPECT_TRUE(before == content_of(node.state_dir() + "/log")) << byte;
        flip_bit(segment, byte);
    }
    node.start();
    EXPECT_EQ(node.ok({"exec", "up", "echo", "fine"}), "fine");
}

// ------------------------------------------------------------------------------------------ a full
// disk

/// A small file system, unmounted last.
struct SmallDisk {
    explicit SmallDisk(const char* options) {
        EXPECT_NE(mkdtemp(dir.data()), nullptr);
        EXPECT_EQ(mount("tmpfs", dir.c_str(), "tmpfs", 0, options), 0);
    }
    ~SmallDisk() {
        umount2(dir.c_str(), MNT_DETACH);
        rmdir(dir.c_str());
    }
    /// Takes all the room there is.
    void fill() {
        const int file = open((dir + "/filler").c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        const std::string block(4096, 'x');
        while (write(file, block.data(), block.size()) > 0) {
        }
        close(file);
    }
    void make_room() { unlink((dir + "/filler").c_str()); }

    std::string dir = "/tmp/noded-disk-XXXXXX";
};

/// A node with its state on that disk, and segments that fit there; the arguments that start it.
Words start_on(TestNode& node, const SmallDisk& disk) {
    std::ofstream(node.dir() + "/config.json") << R"({"logSegmentBytes": 8388608})";
    const Words where = {"--config", node.dir() + "/config.json", "--state-dir", disk.dir};
    node.start(where);
    node.import_busybox();
    return where;
}

/// Tags and untags until that is refused; the sentence, or empty if that never happens.
std::string exhaust_log(const TestNode& node) {
    nodectl::Session session("unix:" + node.runtime_dir() + "/noded.sock");
    if (const Status connected = session.connect(); !connected) return connected.error().message;
    for (int i = 0; i < 20'000; ++i) {
        nodectl::Payload<schema::TagImage> tag;
        tag.root.setSource("busybox");
        tag.root.setTarget("again");
        nodectl::Payload<schema::RemoveImage> untag;
        untag.root.setReference("again");
        const auto caused = session.wait_caused(
            i % 2 == 0 ? session.submit(nodectl::mint_command_id(), tag)
                       : session.submit(nodectl::mint_command_id(), untag));
        if (!caused) return caused.error().message;
    }
    return {};
}

TEST(FullDisk, refuses_commands_while_containers_and_reads_go_on_and_recovers) {
    SmallDisk disk("size=64m,mode=0711");
    TestNode node;
    const Words where = start_on(node, disk);
    const std::string id = node.ok({"run", "-d", "--name", "up", "busybox", "sh", "-c",
                                    "i=0; while :; do sleep 0.05; seq 1000; i=$((i+1)); "
                                    "echo $i > /dev/shm/beat; done"});
    disk.fill();
    const std::string refusal = exhaust_log(node);
    EXPECT_TRUE(says(refusal, "the node takes no commands now: ")) << refusal;
    EXPECT_TRUE(says(refusal, "ENOSPC")) << refusal;
    EXPECT_TRUE(says(refusal, "free disk space in the state directory")) << refusal;
    // As a user sees it.
    for (const auto& [words, code] : {std::pair<Words, int>{{"run", "busybox", "true"}, 125},
                                      {{"create", "busybox", "true"}, 125},
                                      {{"tag", "busybox", "x"}, 1},
                                      {{"kill", "up"}, 1},
                                      {{"rm", "-f", "up"}, 1},
                                      {{"image", "import", node.dir() + "/busybox.tar", "y"}, 1}}) {
        const Ran ran = node.nodectl(words);
        EXPECT_EQ(ran.exit_code, code) << words[0] << ran.err;
        EXPECT_TRUE(says(ran.err, "free disk space in the state directory")) << words[0] << ran.err;
    }
    // Reads and containers go on.
    EXPECT_EQ(node.ok({"ps", "-f", "name=up", "--format", "{{.Names}} {{.State}}"}), "up running");
    EXPECT_EQ(node.ok({"images", "-f", "reference=busybox", "--format", "{{.Repository}}"}),
              "busybox");
    EXPECT_TRUE(says(node.ok({"top", "up"}), "while :"));
    EXPECT_TRUE(says(node.ok({"events", "-o", "json", "--since", "1", "--filter",
                              "type=ContainerStarted"}),
                     "ContainerStarted"));
    const std::string pid = node.ok({"inspect", "-f", "{{.State.Pid}}", "up"});
    const std::string beat = "/proc/" + pid + "/root/dev/shm/beat";
    // Also past the point where a pipe that nobody reads would be full.
    for (int i = 0; i < 40; ++i) {
        const std::string last = read_text(beat);
        ASSERT_TRUE(eventually([&] { return read_text(beat) != last; })) << i;
    }
    EXPECT_EQ(node.nodectl({"logs", "--tail", "1", "up"}).exit_code, 0);
    disk.make_room();
    EXPECT_TRUE(eventually([&] { return node.nodectl({"tag", "busybox", "z"}).exit_code == 0; }));
    EXPECT_EQ(node.ok({"run", "--rm", "busybox", "echo", "fine"}), "fine");
    EXPECT_EQ(node.ok({"exec", "up", "echo", "fine"}), "fine");
    const size_t logged = node.ok({"logs", "up"}).size();
    EXPECT_TRUE(eventually([&] { return node.ok({"logs", "up"}).size() > logged; }));
    node.kill();
    node.start(where);
    EXPECT_EQ(node.ok({"inspect", "-f", "{{.State.Pid}}", "up"}), pid);
    node.ok({"rm", "-f", "up"});
    EXPECT_TRUE(eventually([&] {
        return !fs::exists(disk.dir + "/plugins/container/" + id) &&
               !fs::exists(disk.dir + "/plugins/storage/rootfs/" + id);
    }));
}

TEST(FullDisk, an_exit_that_happens_then_is_recorded_when_there_is_room) {
    SmallDisk disk("size=64m,mode=0711");
    TestNode node;
    start_on(node, disk);
    const std::string id = node.ok({"run", "-d", "--name", "cc", "busybox", "sh", "-c",
                                    "while [ ! -e /dev/shm/end ]; do sleep 0.05; done; exit 5"});
    const std::string pid = node.ok({"inspect", "-f", "{{.State.Pid}}", "cc"});
    disk.fill();
    EXPECT_TRUE(says(exhaust_log(node), "ENOSPC"));
    Running waiter(node.command({"wait", "cc"}));
    std::ofstream("/proc/" + pid + "/root/dev/shm/end") << "now";
    EXPECT_TRUE(eventually([&] { return !fs::exists("/proc/" + pid); }));
    sleep_ms(1500);
    EXPECT_EQ(node.ok({"inspect", "-f", "{{.State.Status}}", "cc"}), "running");
    disk.make_room();
    ASSERT_TRUE(waiter.read_until("5\n"));
    EXPECT_EQ(node.ok({"inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "cc"}),
              "exited 5");
    node.ok({"rm", "cc"});
}

TEST(FullDisk, an_import_that_does_not_fit_leaves_nothing_and_says_so) {
    SmallDisk disk("size=48m,mode=0711");
    TestNode node;
    const Words where = start_on(node, disk);
    const std::string big = node.dir() + "/big";
    fs::create_directory(big);
    std::ofstream(big + "/file") << std::string(60 << 20, 'x');
    const std::string tar = node.dir() + "/big.tar";
    ASSERT_EQ(run_program({"/bin/tar", "cf", tar, "-C", big, "."}).exit_code, 0);
    for (int i = 0; i < 2; ++i) {
        const Ran ran = node.nodectl({"image", "import", tar, "big"});
        EXPECT_EQ(ran.exit_code, 1);
        EXPECT_TRUE(says(ran.err, "ENOSPC")) << ran.err;
        EXPECT_TRUE(says(ran.err, "file")) << ran.err;
    }
    EXPECT_EQ(node.ok({"images", "--format", "{{.Repository}}"}), "busybox");
    for (const auto& [sub, count] : {std::pair("layers", 1), {"blobs/sha256", 1}}) {
        const fs::directory_iterator at(disk.dir + "/plugins/storage/" + sub);
        EXPECT_EQ(std::distance(at, {}), count) << sub;
    }
    EXPECT_EQ(node.ok({"run", "--rm", "busybox", "echo", "fine"}), "fine");
    node.stop();
    node.start(where);
    EXPECT_EQ(node.ok({"run", "--rm", "busybox", "echo", "fine"}), "fine");
}

}  // namespace
}  // namespace noded::test

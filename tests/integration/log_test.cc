// The log of a real noded under faults: killed again and again under load, with flipped bits in
// every region of every kind of file, read by logdump while it is written. logdump and noded agree.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <thread>

#include "tests/integration/test_node.h"
#include "tools/nodectl/session.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

Ran logdump(const TestNode& node, Words words, const std::string& directory = "") {
    words.insert(words.begin(), built("tools/logdump/logdump"));
    if (words[1] != "verify" && words[1] != "cut") {
        words.insert(words.end(), {"--plugin-dir", node.plugin_dir()});
    }
    words.push_back(directory.empty() ? node.state_dir() : directory);
    return run_program(words);
}

// ----------------------------------------------------------------------- kill -9 under load

/// A client that tags and untags names of its own, connecting again whenever noded is gone. What
/// was acknowledged is remembered with its seq.
class Client {
public:
    Client(std::string address, std::string name)
        : address_(std::move(address)), name_(std::move(name)), thread_([this] { run(); }) {}
    ~Client() { finish(); }
    void finish() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }
    /// Command id to the seq of its event; only after finish().
    const std::map<std::string, uint64_t>& acknowledged() const { return acknowledged_; }
    /// Why it gave up; only after finish().
    const std::string& rejected() const { return rejected_; }
    /// It got no answer, though its connection stood.
    bool stuck() const { return stuck_; }
    /// How many were acknowledged.
    size_t count() const { return count_acknowledged_; }

private:
    using Answer = capnp::Response<schema::Node::SubmitResults>;
    static constexpr int kPatienceSeconds = 10;

    void run() {
        while (!stop_) {
            nodectl::Session session(address_);
            if (!session.connect()) {
                usleep(500);
                continue;
            }
            while (!stop_ && submit(session)) {
            }
        }
    }

    /// False if the connection is gone. The command is sent again then, with the same id.
    bool submit(nodectl::Session& session) {
        if (!pending_) {
            id_ = nodectl::mint_command_id();
            ++count_;
        }
        pending_ = true;
        const std::string name = name_ + ":" + std::to_string(count_ / 2);
        nodectl::Payload<schema::TagImage> tag;
        tag.root.setSource("busybox");
        tag.root.setTarget(name);
        nodectl::Payload<schema::RemoveImage> untag;
        untag.root.setReference(name);
        const auto sent = std::chrono::steady_clock::now();
        const auto answer = session.wait<Answer>(session.port().getTimer().timeoutAfter(
            kPatienceSeconds * kj::SECONDS,
            kj::Promise<Answer>(count_ % 2 == 0 ? session.submit(id_, tag)
                                                : session.submit(id_, untag))));
        if (!answer) {
            const auto waited = std::chrono::steady_clock::now() - sent;
            if (waited >= std::chrono::seconds(kPatienceSeconds)) stuck_ = stop_ = true;
            return false;
        }
        if (!answer->getOutcome().isAccepted()) {
            rejected_ = answer->getOutcome().getRejected().getMessage().cStr();
            stop_ = true;
            return false;
        }
        pending_ = false;
        acknowledged_[to_hex(id_.bytes)] = answer->getOutcome().getAccepted().getFirstSeq();
        ++count_acknowledged_;
        return true;
    }

    const std::string address_;
    const std::string name_;
    CommandId id_;
    bool pending_ = false;
    uint64_t count_ = 1;
    std::map<std::string, uint64_t> acknowledged_;
    std::string rejected_;
    std::atomic<bool> stop_ = false;
    std::atomic<bool> stuck_ = false;
    std::atomic<size_t> count_acknowledged_ = 0;
    std::thread thread_;
};

/// Command ids of the tags and untags in the log, each with its seq; a second one is a failure.
std::map<std::string, uint64_t> commands_in_log(const TestNode& node) {
    const Ran ran = logdump(node, {"print", "-o", "json"});
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    std::map<std::string, uint64_t> found;
    uint64_t expected = 1;
    std::istringstream lines(ran.out);
    for (std::string line; std::getline(lines, line);) {
        const auto event = nlohmann::json::parse(line);
        EXPECT_EQ(event["seq"], expected++) << "the log has a gap";
        if (event["type"] != "ImageTagged" && event["type"] != "ImageUntagged") continue;
        EXPECT_TRUE(found.emplace(event["commandId"], event["seq"]).second)
            << event["commandId"] << " was decided twice";
    }
    return found;
}

TEST(Kills, lose_no_acknowledged_command_and_decide_none_twice) {
    const char* given = getenv("NODED_KILLS");
    const int kills = given != nullptr ? atoi(given) : 200;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(45);
    int made = 0;
    std::mt19937 random(std::random_device{}());
    TestNode node;
    node.start();
    node.import_busybox();
    std::map<std::string, uint64_t> acknowledged;
    {
        std::vector<std::unique_ptr<Client>> clients;
        for (const char* name : {"aa", "bb", "cc", "dd"}) {
            clients.push_back(std::make_unique<Client>(
                "unix:" + node.runtime_dir() + "/noded.sock", name));
        }
        for (; made < kills && std::chrono::steady_clock::now() < end; ++made) {
            usleep(static_cast<useconds_t>(random() % 60'000));
            // A machine that is busy gives the clients more time.
            const auto has_some = [&](const auto& client) {
                return client->stuck() || client->count() > static_cast<size_t>(made / 2);
            };
            eventually([&] { return std::ranges::all_of(clients, has_some); }, 30);
            node.kill();
            node.start();
            if (testing::Test::HasFatalFailure()) return;
        }
        for (const auto& client : clients) {
            client->finish();
            EXPECT_FALSE(client->stuck()) << "no answer from noded: " << node.diagnostics();
            EXPECT_EQ(client->rejected(), "");
            EXPECT_GT(client->acknowledged().size(), static_cast<size_t>(made / 2));
            acknowledged.insert(client->acknowledged().begin(), client->acknowledged().end());
        }
    }
    node.kill();
    const auto logged = commands_in_log(node);
    for (const auto& [id, seq] : acknowledged) {
        const auto found = logged.find(id);
        ASSERT_NE(found, logged.end()) << id << " was acknowledged at seq " << seq;
        ASSERT_EQ(found->second, seq);
    }
    // At most one per client was under way at each kill, and it was sent again.
    EXPECT_LE(logged.size(), acknowledged.size() + 4);
    const Ran verified = logdump(node, {"verify"});
    EXPECT_EQ(verified.exit_code, 0) << verified.err;
    printf("%d kills, %zu acknowledged commands\n", made, acknowledged.size());
}

// ------------------------------------------------------------------------ a live directory

TEST(Logdump, reads_beside_a_noded_that_writes_and_finds_no_damage) {
    TestNode node;
    node.start();
    node.import_busybox();
    Client client("unix:" + node.runtime_dir() + "/noded.sock", "live");
    for (int i = 0; i < 15; ++i) {
        const Ran verified = logdump(node, {"verify"});
        ASSERT_EQ(verified.exit_code, 0) << verified.out << verified.err;
        const Ran printed = logdump(node, {"print"});
        ASSERT_EQ(printed.exit_code, 0) << printed.err;
        const Ran refused = logdump(node, {"cut", "--at", "segment-0000000000000001:8192"});
        EXPECT_EQ(refused.exit_code, 1);
        EXPECT_TRUE(says(refused.err, "stop it first")) << refused.err;
    }
}

// ---------------------------------------------------------------------------- flipped bits

void flip_bit(const std::string& path, uint64_t byte) {
    const int file = open(path.c_str(), O_RDWR | O_CLOEXEC);
    char value = 0;
    ASSERT_EQ(pread(file, &value, 1, static_cast<off_t>(byte)), 1) << path;
    value = static_cast<char>(value ^ 0x10);
    ASSERT_EQ(pwrite(file, &value, 1, static_cast<off_t>(byte)), 1);
    close(file);
}

std::string content_of(const std::string& path) { return read_text(path); }

/// noded on the node's directories, which is expected to refuse.
Ran try_noded(const TestNode& node) {
    return run_program({built("agent/noded"), "--state-dir", node.state_dir(), "--runtime-dir",
                        node.runtime_dir(), "--plugin-dir", node.plugin_dir(), "--libexec-dir",
                        node.dir() + "/libexec"});
}

/// A log of some tags, killed: one segment, no snapshot.
void fill(TestNode& node) {
    node.start();
    node.import_busybox();
    for (int i = 0; i < 6; ++i) node.ok({"tag", "busybox", "name" + std::to_string(i)});
}

struct Region {
    const char* name;
    uint64_t byte;
    const char* place;   ///< that both must name
};

constexpr char kSegment[] = "segment-0000000000000001";

TEST(FlippedBit, in_a_segment_is_refused_by_noded_and_found_by_logdump) {
    TestNode node;
    fill(node);
    node.kill();
    const std::string segment = node.state_dir() + "/log/" + kSegment;
    const std::string before = content_of(segment);
    for (const Region& region : {Region{"segment header", 24, "0"},
                                 {"padding of the segment header", 3000, "0"},
                                 {"batch header", 4096 + 33, "4096"},
                                 {"mask", 4096 + 40, "4096"},
                                 {"record header", 4096 + 70, "4096"},
                                 {"command id", 4096 + 64 + 40, "4096"},
                                 {"payload", 4096 + 64 + 80, "4096"},
                                 {"padding of a batch", 8191, "4096"},
                                 {"what was never written", 2'000'000, "2000"}}) {
        flip_bit(segment, region.byte);
        const Ran ran = try_noded(node);
        EXPECT_EQ(ran.exit_code, 1) << region.name;
        const std::string place = std::string(kSegment) + " at byte " + region.place;
        EXPECT_TRUE(says(ran.err, place) || says(region.name, "never")) << region.name << ran.err;
        const Ran verified = logdump(node, {"verify"});
        EXPECT_EQ(verified.exit_code, 3) << region.name << verified.out;
        EXPECT_TRUE(says(verified.err, "damaged: " + std::string(kSegment) + " at byte "))
            << region.name << verified.err;
        flip_bit(segment, region.byte);
        ASSERT_TRUE(content_of(segment) == before) << region.name;
    }
    EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
}

TEST(FlippedBit, in_a_segment_that_is_prepared_is_refused_and_in_what_means_nothing_is_not) {
    TestNode node;
    fill(node);
    const std::string second = "segment-0000000000000002";
    const std::string prepared = node.state_dir() + "/log/" + second;
    ASSERT_TRUE(eventually([&] { return fs::exists(prepared); }));
    node.kill();
    for (const uint64_t byte : {uint64_t{0}, uint64_t{4096 + 70}, fs::file_size(prepared) - 1}) {
        flip_bit(prepared, byte);
        const Ran ran = try_noded(node);
        EXPECT_EQ(ran.exit_code, 1) << byte;
        EXPECT_TRUE(says(ran.err, "log " + second + " at byte ")) << byte << ran.err;
        const Ran verified = logdump(node, {"verify"});
        EXPECT_EQ(verified.exit_code, 3) << byte << verified.out;
        EXPECT_TRUE(says(verified.err, "damaged: " + second + " at byte ")) << verified.err;
        flip_bit(prepared, byte);
    }
    // What a crash left, and a segment that waits for reuse.
    for (const char* name : {"segment.recycled", "segment-0000000000000003.unfinished",
                             "snapshot-0000000000000001.unfinished"}) {
        std::ofstream(node.state_dir() + "/log/" + name) << std::string(8192, '\x10');
    }
    EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
    node.start();
    EXPECT_TRUE(says(node.ok({"images", "--format", "{{.Repository}}"}), "name5"));
    node.ok({"tag", "busybox", "after"});
    EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
}

TEST(FlippedBit, in_the_file_that_ties_runtime_and_state_directory_is_refused_with_its_name) {
    TestNode node;
    node.start();
    node.kill();
    const std::string path = node.runtime_dir() + "/state-dir";
    flip_bit(path, 3);
    const Ran ran = try_noded(node);
    EXPECT_EQ(ran.exit_code, 1) << ran.err;
    EXPECT_TRUE(says(ran.err, "belongs to the node with the state directory ")) << ran.err;
    EXPECT_TRUE(says(ran.err, "(" + path + " says it)")) << ran.err;
    flip_bit(path, 3);
    node.start();
}

/// Of a container that ends while noded is away, and its shim after it: only the record tells how.
std::string end_told_by_record(TestNode& node, const std::function<void(std::string)>& damage) {
    node.ok({"run", "-d", "--name", "cc", "busybox", "sh", "-c",
             "while [ ! -e /dev/shm/end ]; do sleep 0.02; done; exit 5"});
    const std::string pid = node.ok({"inspect", "-f", "{{.State.Pid}}", "cc"});
    const std::string started =
        node.ok({"events", "-o", "json", "--filter", "type=ContainerStarted"});
    const pid_t shim = nlohmann::json::parse(
        started.substr(started.rfind('\n') + 1))["payload"]["shimPid"];   // the newest
    node.kill();
    std::ofstream("/proc/" + pid + "/root/dev/shm/end") << "now";
    std::string record;
    EXPECT_TRUE(eventually([&] {
        for (const auto& entry : fs::recursive_directory_iterator(node.runtime_dir()))
            if (entry.path().filename() == "exit") record = entry.path();
        return !record.empty();
    }));
    damage(record);
    kill(shim, SIGKILL);
    EXPECT_TRUE(eventually([&] { return !fs::exists("/proc/" + std::to_string(shim)); }));
    node.start();
    const std::string code = node.ok({"inspect", "-f", "{{.State.ExitCode}}", "cc"});
    node.ok({"rm", "cc"});
    return code;
}

TEST(FlippedBit, in_the_record_of_a_containers_end_is_told_and_no_end_is_made_up) {
    TestNode node;
    node.start();
    node.import_busybox();
    const auto by_the_page = [](const std::string& record) {
        return run_program({"/usr/bin/env", "python3", built("tools/examples/read_files.py"),
                            "exit", record});
    };
    const std::string told = end_told_by_record(node, [&](const std::string& record) {
        const Ran read = by_the_page(record);
        ASSERT_EQ(read.exit_code, 0) << read.err;
        const auto end = nlohmann::json::parse(read.out);
        EXPECT_EQ(end["code"], 5);
        EXPECT_EQ(end["state"], 4);
        EXPECT_EQ(std::string(end["id"]).size(), 64u);
        EXPECT_GE(end["endedNs"], end["startedNs"]);
    });
    EXPECT_EQ(told, "5");
    EXPECT_FALSE(says(node.diagnostics(), "does not match"));
    const std::string code = end_told_by_record(node, [&](const std::string& record) {
        flip_bit(record, 168);   // where the exit code stands
        EXPECT_EQ(by_the_page(record).err,
                  "read_files: the record's checksum is not as the page says\n");
    });
    EXPECT_EQ(code, "255");
    EXPECT_TRUE(says(node.diagnostics(), "/exit does not match")) << node.diagnostics();
}

TEST(FlippedBit, in_a_snapshot_is_passed_over_by_noded_and_found_by_logdump) {
    TestNode node;
    fill(node);
    node.stop();
    std::string snapshot;
    for (const auto& entry : fs::directory_iterator(node.state_dir() + "/log")) {
        const std::string name = entry.path().filename();
        if (name.starts_with("snapshot-")) snapshot = name;
    }
    ASSERT_FALSE(snapshot.empty());
    const std::string path = node.state_dir() + "/log/" + snapshot;
    for (const Region& region : {Region{"header", 17, "at byte 0"},
                                 {"rest of the header's block", 2000, "at byte 0"},
                                 {"size of a section's name", 4096, "at byte 4"},
                                 {"name of a section", 4096 + 17, "at byte 4"},
                                 {"data of a section", 4096 + 40, "at byte 4"},
                                 {"end", fs::file_size(path) - 1, "at byte 4096"}}) {
        flip_bit(path, region.byte);
        const Ran verified = logdump(node, {"verify"});
        EXPECT_EQ(verified.exit_code, 3) << region.name;
        EXPECT_TRUE(says(verified.err, "damaged: " + snapshot + " " + region.place))
            << region.name << verified.err;
        node.start();
        EXPECT_TRUE(says(node.diagnostics(), snapshot + " is passed over: " + region.place))
            << region.name << node.diagnostics();
        EXPECT_TRUE(says(node.ok({"images", "--format", "{{.Repository}}"}), "name5"));
        node.kill();
        flip_bit(path, region.byte);
    }
    EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
}

// --------------------------------------------------------------------------------- cutting

TEST(Cut, is_made_only_where_told_and_keeps_what_it_takes) {
    TestNode node;
    fill(node);
    node.kill();
    const std::string segment = node.state_dir() + "/log/" + kSegment;
    const uint64_t size = fs::file_size(segment);
    // The batch of the last tag but one.
    const std::string sound = logdump(node, {"verify"}).out;
    const uint64_t end = std::stoull(sound.substr(sound.find("up to byte ") + 11));
    const uint64_t batch = end - 2 * 4096;
    flip_bit(segment, batch + 100);
    const std::string damaged = content_of(segment);
    const std::string place = std::string(kSegment) + ":" + std::to_string(batch);
    const Ran asked = logdump(node, {"cut"});
    EXPECT_EQ(asked.exit_code, 3);
    EXPECT_TRUE(says(asked.err, "logdump cut --at " + place)) << asked.err;
    EXPECT_TRUE(says(asked.err, "1 events can still be read")) << asked.err;
    EXPECT_EQ(logdump(node, {"cut", "--at", std::string(kSegment) + ":4096"}).exit_code, 2);
    EXPECT_TRUE(content_of(segment) == damaged) << "nothing was changed so far";
    const Ran cut = logdump(node, {"cut", "--at", place});
    ASSERT_EQ(cut.exit_code, 0) << cut.err;
    const std::string kept =
        node.state_dir() + "/log.cut-1/" + kSegment + ".from-" + std::to_string(batch);
    EXPECT_TRUE(content_of(kept) == damaged.substr(batch));
    EXPECT_EQ(fs::file_size(segment), size);
    EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
    node.start();
    const std::string images = node.ok({"images", "--format", "{{.Repository}}"});
    EXPECT_TRUE(says(images, "name3")) << images;
    EXPECT_FALSE(says(images, "name4")) << images;
    node.ok({"tag", "busybox", "again"});
}

/// A log whose oldest segments are archives: tags until there are two, then killed.
void fill_with_archives(TestNode& node) {
    const std::string config = node.dir() + "/config";
    std::ofstream(config)
        << R"({"logBytesMax": 33554432, "archive": true, "snapshotEveryEvents": 50})";
    node.start({"--config", config});
    node.import_busybox();
    const std::string large(60'000, 'x');
    const std::string third = node.state_dir() + "/log/segment-0000000000000003";
    bool was_there = false;
    for (int i = 0; i < 600 && !(was_there && !fs::exists(third)); ++i) {
        was_there = was_there || fs::exists(third);
        // Where snapshots are slow, commands are refused for a moment.
        const auto done = [&](const Words& words) {
            return eventually([&] { return node.nodectl(words).exit_code == 0; }, 30);
        };
        ASSERT_TRUE(done({"create", "--name", "large", "--label", "a=" + large, "--env",
                          "A=" + large, "busybox", "true", large}));
        ASSERT_TRUE(done({"rm", "large"}));
    }
    ASSERT_FALSE(fs::exists(third));
    node.kill();
}

/// Names of the archives, oldest first; not of one that the kill left unfinished.
Words archives_of(const TestNode& node) {
    Words names;
    for (const auto& entry : fs::directory_iterator(node.state_dir() + "/log/archive"))
        if (entry.path().extension() == ".zst") names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
}

TEST(Logdump, reads_archives_on_a_copy_and_in_place_alike_and_changes_nothing) {
    TestNode node;
    fill_with_archives(node);
    ASSERT_GE(archives_of(node).size(), 3u);
    const std::string copy = node.dir() + "/copy";
    ASSERT_EQ(run_program({"/bin/cp", "-a", node.state_dir() + "/log", copy}).exit_code, 0);
    const std::string sums = "cd '" + copy + "' && find . -type f | sort | xargs sha256sum";
    const std::string before = run_program({"/bin/sh", "-c", sums}).out;
    for (const char* how : {"verify", "print", "export", "hash"}) {
        const Ran in_place = logdump(node, {how});
        EXPECT_EQ(in_place.exit_code, 0) << how << in_place.err;
        const Ran on_copy = logdump(node, {how}, copy);
        EXPECT_EQ(on_copy.exit_code, 0) << how << on_copy.err;
        EXPECT_TRUE(in_place.out == on_copy.out) << how;
        EXPECT_FALSE(on_copy.out.empty()) << how;
    }
    EXPECT_EQ(logdump(node, {"hash"}).out, logdump(node, {"hash", "--no-snapshot"}).out);
    EXPECT_TRUE(logdump(node, {"print"}).out.find(" 1 ") != std::string::npos);
    EXPECT_EQ(run_program({"/bin/sh", "-c", sums}).out, before);
}

TEST(Cut, of_damage_in_an_archive_alone_is_refused_with_what_to_do) {
    TestNode node;
    fill_with_archives(node);
    const std::string name = archives_of(node)[1];
    const std::string path = node.state_dir() + "/log/archive/" + name;
    flip_bit(path, fs::file_size(path) / 2);
    const Ran asked = logdump(node, {"cut"});
    EXPECT_EQ(asked.exit_code, 1) << asked.err;
    EXPECT_TRUE(says(asked.err, "no cut can mend this: archive/" + name + " at byte "))
        << asked.err;
    EXPECT_TRUE(says(asked.err, "restore the archive from a copy")) << asked.err;
    node.start();
    node.ok({"tag", "busybox", "fine"});
}

std::string number_behind(const std::string& text, const std::string& words) {
    const size_t at = text.find(words);
    if (at == std::string::npos) return "";
    return std::to_string(std::stoull(text.substr(at + words.size())));
}

/// Name of the oldest segment that is in the log: those before are archives alone.
std::string oldest_segment(const TestNode& node) {
    std::string oldest = "~";
    for (const auto& entry : fs::directory_iterator(node.state_dir() + "/log")) {
        const std::string name = entry.path().filename();
        if (name.starts_with("segment-")) oldest = std::min(oldest, name);
    }
    return oldest;
}

/// Where the second batch of a segment begins: behind the first, whose size is in its header.
uint64_t second_batch(const std::string& path) {
    return 4096 + *reinterpret_cast<const uint32_t*>(content_of(path).data() + 4096 + 32);
}

TEST(Cut, of_a_log_whose_newest_segments_are_missing_says_how_noded_goes_on_without_them) {
    TestNode node;
    fill(node);
    node.stop();   // writes a snapshot
    const std::string folder = node.state_dir() + "/log/";
    std::string newest;
    for (const auto& file : fs::directory_iterator(folder))
        if (says(file.path(), "snapshot-")) newest = file.path().filename();
    ASSERT_NE(newest, "");
    const std::string newer = "snapshot-00000000000fffff";
    fs::copy_file(folder + newest, folder + newer);
    const Ran cut = logdump(node, {"cut"});
    EXPECT_EQ(cut.exit_code, 1);
    EXPECT_TRUE(says(cut.err, "newer is " + newer + ". Restore the segments")) << cut.err;
    const Ran refused = try_noded(node);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_TRUE(says(refused.err, "but there is " + newer)) << refused.err;
    fs::rename(folder + newer, node.dir() + "/" + newer);
    node.start();
}

/// A state directory with a copy of a log whose oldest segment is damaged behind its first batch:
/// a cut copies and overwrites a tail, and moves what follows.
struct Damaged {
    Damaged(const TestNode& node, const std::string& name) : dir(node.dir() + "/" + name) {
        fs::create_directory(dir);
        fs::copy(node.state_dir() + "/log", dir + "/log", fs::copy_options::recursive);
    }
    ~Damaged() { fs::remove_all(dir); }

    /// A file of the log, or what begins at `from` in it, wherever a cut has put it.
    bool is_kept(const std::string& name, const std::string& content, uint64_t from = 0) const {
        const std::string inner = name.substr(name.rfind('/') + 1);
        if (from == 0 && fs::exists(dir + "/log/" + name))
            return content_of(dir + "/log/" + name) == content;
        for (const auto& entry : fs::directory_iterator(dir)) {
            const std::string path = entry.path().string() + "/" + inner +
                                     (from != 0 ? ".from-" + std::to_string(from) : "");
            if (fs::exists(path) && content_of(path) == content) return true;
        }
        return false;
    }
    const std::string dir;
};

TEST(Cut, that_is_killed_on_the_way_loses_nothing_and_can_be_made_again) {
    TestNode node;
    fill_with_archives(node);
    const std::string log = node.state_dir() + "/log/";
    const std::string oldest = oldest_segment(node);
    const uint64_t batch = second_batch(log + oldest);
    flip_bit(log + oldest, batch + 100);
    const std::string tail = content_of(log + oldest).substr(batch);
    const std::string place = oldest + ":" + std::to_string(batch);
    const std::string last =
        number_behind(logdump(node, {"cut"}).err, "leaves the events up to seq ");
    std::map<std::string, std::string> others;
    for (const auto& entry : fs::recursive_directory_iterator(log)) {
        const std::string name = entry.path().string().substr(log.size());
        if (entry.is_regular_file() && name != oldest) others[name] = content_of(entry.path());
    }
    const auto begun = std::chrono::steady_clock::now();
    ASSERT_EQ(logdump(node, {"cut", "--at", place}, Damaged(node, "whole").dir).exit_code, 0);
    const auto takes = std::chrono::steady_clock::now() - begun;
    constexpr int kTrials = 12;
    int killed = 0;
    for (int i = 0; i < kTrials; ++i) {
        const Damaged trial(node, "trial");
        Running cutting({built("tools/logdump/logdump"), "cut", "--at", place, trial.dir});
        std::this_thread::sleep_for(takes * i / kTrials);
        ::kill(cutting.pid(), SIGKILL);
        killed += cutting.wait().exit_code == 128 + SIGKILL;
        const Ran asked = logdump(node, {"cut"}, trial.dir);
        if (asked.exit_code == 3) {
            EXPECT_TRUE(says(asked.err, "--at " + place)) << asked.err;
            const Ran again = logdump(node, {"cut", "--at", place}, trial.dir);
            EXPECT_EQ(again.exit_code, 0) << again.err;
        }
        const Ran verified = logdump(node, {"verify"}, trial.dir);
        EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
        EXPECT_TRUE(says(verified.out, " to " + last + "\n")) << verified.out;
        EXPECT_TRUE(trial.is_kept(oldest, tail, batch));
        for (const auto& [name, content] : others)
            EXPECT_TRUE(trial.is_kept(name, content)) << name;
    }
    EXPECT_GT(killed, 0);
}

TEST(Logdump, refuses_moments_that_cannot_be) {
    TestNode node;
    fill(node);
    const std::pair<std::vector<std::string>, int> kBad[] = {
        {{"print", "--since", "5", "--until", "3"}, 2}, {{"export", "--from", "5", "--to", "3"}, 2},
        {{"print", "--since", "bogus"}, 2},             {{"hash", "--at", "bogus"}, 2},
        {{"hash", "--at", "0"}, 1},                     {{"hash", "--at", "99999"}, 1},
    };
    for (const auto& [words, exit_code] : kBad) {
        const Ran ran = logdump(node, words);
        EXPECT_EQ(ran.exit_code, exit_code) << words[0] << ran.err;
        EXPECT_EQ(ran.out, "") << words[0];
        EXPECT_NE(ran.err, "") << words[0];
    }
    EXPECT_EQ(logdump(node, {"print", "--since", "3", "--until", "3"}).exit_code, 0);
}

TEST(Cut, beside_archives_takes_those_of_what_is_cut_and_leaves_the_others) {
    TestNode node;
    fill_with_archives(node);
    const Words archives = archives_of(node);
    const std::string oldest = oldest_segment(node);
    const std::string path = node.state_dir() + "/log/" + oldest;
    flip_bit(path, second_batch(path) + 100);
    const Ran asked = logdump(node, {"cut"});
    ASSERT_EQ(asked.exit_code, 3) << asked.err;
    const std::string at = asked.err.substr(asked.err.find("--at ") + 5);
    const std::string place = at.substr(0, at.find(' '));
    EXPECT_TRUE(place.starts_with(oldest + ":")) << asked.err;
    const std::string last = number_behind(asked.err, "leaves the events up to seq ");
    const Ran cut = logdump(node, {"cut", "--at", place});
    ASSERT_EQ(cut.exit_code, 0) << cut.err;
    const Words left = archives_of(node);
    for (const std::string& name : archives) {
        const bool goes = name.substr(0, oldest.size()) >= oldest;
        EXPECT_EQ(std::ranges::count(left, name), goes ? 0 : 1) << name;
        EXPECT_EQ(fs::exists(node.state_dir() + "/log.cut-1/" + name), goes) << name;
    }
    EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
    node.start();
    EXPECT_EQ(node.ok({"info", "--format", "{{.OldestSeq}}"}), "1");
    const Ran history = node.nodectl({"events", "--since", "1", "--until", last});
    EXPECT_EQ(history.exit_code, 0) << history.err;
    EXPECT_EQ(std::ranges::count(history.out, '\n'), std::stoll(last));
    node.ok({"tag", "busybox", "again"});
}

TEST(Cut, that_would_leave_archives_alone_says_how_a_segment_is_made_of_one) {
    TestNode node;
    fill_with_archives(node);
    const std::string oldest = oldest_segment(node);
    flip_bit(node.state_dir() + "/log/" + oldest, 20);
    const Ran refused = logdump(node, {"cut", "--at", oldest + ":0"});
    EXPECT_EQ(refused.exit_code, 1) << refused.err;
    EXPECT_TRUE(says(refused.err, "would leave archives alone")) << refused.err;
    const std::string mend = refused.err.substr(refused.err.find("zstd -dc "));
    EXPECT_EQ(run_program({"/bin/sh", "-c", "cd '" + node.state_dir() + "/log' && " + mend})
                  .exit_code,
              0);
    // What was unpacked is that segment, from its own archive, or the one before.
    const Ran verified = logdump(node, {"verify"});
    if (verified.exit_code != 0) {
        const Ran cut = logdump(node, {"cut", "--at", oldest + ":0"});
        ASSERT_EQ(cut.exit_code, 0) << cut.err;
        EXPECT_EQ(logdump(node, {"verify"}).exit_code, 0);
    }
    node.start();
    EXPECT_EQ(node.ok({"info", "--format", "{{.OldestSeq}}"}), "1");
    node.ok({"tag", "busybox", "again"});
}

}  // namespace
}  // namespace noded::test

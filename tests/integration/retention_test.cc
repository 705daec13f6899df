// A small limit of bytes under many commands: the disk use is never above it, the history begins
// where the node says, and nothing that is kept has a gap, also over restarts and kills; with
// archives it goes back to the first event.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/integration/test_node.h"
#include "tools/nodectl/session.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kBytesMax = 32 << 20;

bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Bytes that the files of the log really take.
uint64_t disk_use(const std::string& directory) {
    uint64_t bytes = 0;
    std::error_code gone;   // files come and go meanwhile
    for (fs::recursive_directory_iterator at(directory, gone), end; at != end;
         at.increment(gone)) {
        struct stat info;
        if (stat(at->path().c_str(), &info) == 0 && S_ISREG(info.st_mode))
            bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    }
    return bytes;
}

/// Looks again and again until its end.
class Watch {
public:
    explicit Watch(std::string directory) : directory_(std::move(directory)) {}
    ~Watch() { end(); }
    uint64_t end() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
        return most_;
    }

private:
    void run() {
        while (!stop_) {
            most_ = std::max(most_, disk_use(directory_));
            sleep_ms(5);
        }
    }
    const std::string directory_;
    uint64_t most_ = 0;
    std::atomic<bool> stop_ = false;
    std::thread thread_{[this] { run(); }};
};

void flip_bit(const std::string& path, uint64_t byte) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    const auto at = static_cast<std::streamoff>(byte);
    const char value = static_cast<char>(file.seekg(at).get() ^ 0x10);
    file.seekp(at).put(value);
}

/// 32 bits of a file, little-endian.
uint64_t read_number(const std::string& path, uint64_t byte) {
    std::ifstream file(path, std::ios::binary);
    uint32_t value = 0;
    file.seekg(static_cast<std::streamoff>(byte));
    file.read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
}

class Retention : public ::testing::Test {
protected:
    void start_with(const std::string& settings) {
        const std::string config = node_.dir() + "/config";
        std::ofstream(config) << "{\"logBytesMax\": " << kBytesMax
                              << ", \"snapshotEveryEvents\": 100000" << settings << "}\n";
        where_ = {"--config", config};
        node_.start(where_);
        node_.import_busybox();
    }

    /// So many tags and untags, some outstanding at once; how many were refused.
    size_t load(int commands) {
        constexpr int kOutstanding = 4;
        nodectl::Session session("unix:" + node_.runtime_dir() + "/noded.sock");
        const Status connected = session.connect();
        EXPECT_TRUE(connected);
        size_t refused = 0;
        for (int i = 0; i < commands; i += kOutstanding) {
            std::vector<kj::Promise<capnp::Response<schema::Node::SubmitResults>>> under_way;
            for (int k = 0; k < kOutstanding; ++k) {
                const std::string name = "load:" + std::to_string(k);
                nodectl::Payload<schema::TagImage> tag;
                tag.root.setSource("busybox");
                tag.root.setTarget(name);
                nodectl::Payload<schema::RemoveImage> untag;
                untag.root.setReference(name);
                const CommandId id = nodectl::mint_command_id();
                under_way.push_back((i / kOutstanding) % 2 == 0 ? session.submit(id, tag)
                                                                : session.submit(id, untag));
            }
            for (auto& one : under_way) {
                const auto answer = session.wait(kj::mv(one));
                if (!answer || !answer->getOutcome().isAccepted()) {
                    ++refused;
                    if (answer)
                        refusal_ = answer->getOutcome().getRejected().getMessage().cStr();
                }
            }
        }
        return refused;
    }

    uint64_t info(const std::string& member) {
        return std::stoull(node_.ok({"info", "--format", "{{." + member + "}}"}));
    }

    /// Reads all that is there; checks that it has no gap and begins and ends where it should.
    void expect_history_without_gaps() {
        const uint64_t oldest = info("OldestSeq");
        const Ran events = node_.nodectl({"events", "-o", "json", "--since", "1"});
        ASSERT_EQ(events.exit_code, 0) << events.err;
        uint64_t expected = oldest;
        std::istringstream lines(events.out);
        for (std::string line; std::getline(lines, line); ++expected)
            ASSERT_EQ(nlohmann::json::parse(line)["seq"], expected);
        EXPECT_EQ(expected, info("DurableSeq") + 1);
        const std::string begins = "the history begins with seq " + std::to_string(oldest) + " at ";
        EXPECT_EQ(says(events.err, begins), oldest > 1) << events.err;
        const Ran verified = verify();
        EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
    }

    std::string archive_dir() const { return node_.state_dir() + "/log/archive"; }
    /// Names of the archives, oldest first; of what is being made, too.
    std::vector<std::string> archives() const {
        std::vector<std::string> names;
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(archive_dir(), none))
            names.push_back(entry.path().filename());
        std::ranges::sort(names);
        return names;
    }
    bool is_archiving() const {
        return std::ranges::any_of(archives(), [](const std::string& name) {
            return name.ends_with(".unfinished");
        });
    }
    Ran verify() const {
        return run_program({built("tools/logdump/logdump"), "verify", node_.state_dir()});
    }

    TestNode node_;
    std::vector<std::string> where_;
    std::string refusal_;
};

TEST_F(Retention, disk_use_stays_below_the_limit_and_history_begins_where_promised) {
    start_with("");
    node_.ok({"run", "-d", "--name", "up", "busybox", "sleep", "1000"});
    Watch watch(node_.state_dir() + "/log");
    for (int round = 0; round < 3; ++round) {
        const size_t refused = load(20'000);
        EXPECT_LT(refused, 2000u) << refusal_;
        if (refused > 0) EXPECT_TRUE(says(refusal_, "logBytesMax")) << refusal_;
        if (HasFatalFailure()) return;
        if (round == 1) node_.kill();
        if (round == 2) node_.stop();
        if (round > 0) node_.start(where_);
    }
    EXPECT_LE(watch.end(), kBytesMax);
    EXPECT_LE(info("LogBytes"), kBytesMax);
    EXPECT_EQ(info("LogBytesMax"), kBytesMax);
    EXPECT_GT(info("OldestSeq"), 1u) << "what was written is more than the limit";
    expect_history_without_gaps();
    const Ran by_time = node_.nodectl({"events", "--since", "1h", "--until", "1"});
    EXPECT_TRUE(says(by_time.err, "the history begins with seq ")) << by_time.err;
    EXPECT_EQ(node_.ok({"exec", "up", "echo", "fine"}), "fine");
    node_.ok({"rm", "-f", "up"});
}

TEST_F(Retention, archives_hold_the_history_from_the_first_event_over_kills_and_restarts) {
    start_with(", \"archive\": true");
    Watch watch(node_.state_dir() + "/log");
    load(16'000);
    int killed_at_it = 0;
    for (int round = 0; round < 4; ++round) {
        std::thread client([this] { load(6'000); });
        const bool at_it = eventually([this] { return is_archiving(); }, 3);
        node_.kill();
        client.join();
        if (at_it) ++killed_at_it;
        node_.start(where_);
        EXPECT_TRUE(eventually([this] { return !is_archiving(); }));
    }
    EXPECT_GT(killed_at_it, 0);
    // How much a round wrote before the kill is up to the machine.
    for (int tries = 0; tries < 30 && archives().size() <= 5; ++tries) load(4'000);
    EXPECT_GT(archives().size(), 5u);
    EXPECT_EQ(info("OldestSeq"), 1u);
    EXPECT_EQ(info("ArchiveOldestSeq"), 1u);
    EXPECT_GT(info("ArchiveBytes"), 0u);
    EXPECT_LE(info("LogBytes"), kBytesMax);
    EXPECT_LE(watch.end() - disk_use(archive_dir()), kBytesMax) << "archives have a limit apart";
    expect_history_without_gaps();
    const std::string one = node_.ok({"events", "-o", "json", "--since", "500", "--until", "500"});
    EXPECT_EQ(nlohmann::json::parse(one)["seq"], 500);
    node_.stop();
    node_.start(where_);
    expect_history_without_gaps();
}

TEST_F(Retention, flipped_bit_in_an_archive_is_told_and_keeps_nothing_else_from_working) {
    start_with(", \"archive\": true");
    const std::string third = node_.state_dir() + "/log/segment-0000000000000003";
    for (int i = 0; i < 20 && (i == 0 || fs::exists(third)); ++i) load(4'000);
    ASSERT_FALSE(fs::exists(third));
    ASSERT_GE(archives().size(), 3u);
    ASSERT_TRUE(eventually([this] { return !is_archiving(); }));
    const std::string name = archives()[1];
    const std::string path = archive_dir() + "/" + name;
    const uint64_t behind = std::stoull(name.substr(42, 16), nullptr, 16) + 1;
    const std::string place = "archive/" + name + " at byte ";
    node_.kill();
    const uint64_t header = read_number(path, 92);
    for (const auto& [region, byte] :
         {std::pair<const char*, uint64_t>{"magic of the skippable frame", 1},
          {"header", 33},
          {"zeros of the header", 110},
          {"table of frames", 128 + 13},
          {"behind the table", header - 1},
          {"header of a frame", header + 5},
          {"end", fs::file_size(path) - 1},
          {"frames", fs::file_size(path) / 2}}) {   // this one stays
        flip_bit(path, byte);
        const Ran verified = verify();
        EXPECT_EQ(verified.exit_code, 3) << region << verified.out;
        EXPECT_TRUE(says(verified.err, "damaged: " + place)) << region << verified.err;
        const Ran printed = run_program({built("tools/logdump/logdump"), "print", "--plugin-dir",
                                         node_.plugin_dir(), node_.state_dir()});
        EXPECT_EQ(printed.exit_code, 3) << region;
        EXPECT_TRUE(says(printed.err, place)) << region << printed.err;
        const Ran python = run_program({"/usr/bin/env", "python3",
                                        built("tools/examples/read_log.py"),
                                        node_.state_dir() + "/log"});
        EXPECT_NE(python.exit_code, 0) << region;
        EXPECT_TRUE(says(python.err, name)) << region << python.err;
        if (region != std::string("frames")) flip_bit(path, byte);
    }
    node_.start(where_);
    const Ran events = node_.nodectl({"events", "--since", "1"});
    EXPECT_NE(events.exit_code, 0);
    EXPECT_TRUE(says(events.err, place)) << events.err;
    const Ran later = node_.nodectl({"events", "--since", std::to_string(behind)});
    EXPECT_EQ(later.exit_code, 0) << later.err;
    EXPECT_EQ(load(100), 0u) << refusal_;
    const Ran verified = verify();
    EXPECT_EQ(verified.exit_code, 3) << verified.out;
    EXPECT_TRUE(says(verified.err, place)) << verified.err;
    node_.stop();
    fs::remove(path);
    fs::remove(archive_dir() + "/" + archives()[0]);
    node_.start(where_);
    EXPECT_EQ(info("OldestSeq"), behind);
    expect_history_without_gaps();
    const uint64_t durable = info("DurableSeq");
    node_.stop();
    const Ran python = run_program(
        {"/usr/bin/env", "python3", built("tools/examples/read_log.py"),
         node_.state_dir() + "/log"});
    EXPECT_EQ(python.exit_code, 0) << python.err;
    EXPECT_TRUE(python.out.starts_with(std::to_string(behind) + " "));
    EXPECT_EQ(static_cast<uint64_t>(std::ranges::count(python.out, '\n')), durable - behind + 1);
    node_.start(where_);
}

/// A state that is large for its history: the environment of every container.
TEST_F(Retention, a_limit_below_three_snapshots_is_told_by_a_start_with_what_to_set_it_to) {
    where_ = {"--log-bytes-max", std::to_string(kBytesMax)};
    node_.start(where_);
    node_.import_busybox();
    const std::string value(100'000, 'x');
    for (int i = 0; i < 120; ++i)
        node_.ok({"create", "-e", "A=" + value, "busybox", "true"});
    EXPECT_FALSE(says(node_.diagnostics(), "three times"));
    node_.stop();   // writes a snapshot
    node_.start(where_);
    const std::string said = node_.diagnostics();
    const size_t at = said.find("retention: logBytesMax is 33554432 bytes, less than three times");
    ASSERT_NE(at, std::string::npos) << said;
    const std::string remedy = "set logBytesMax to at least ";
    const size_t number = said.find(remedy, at);
    ASSERT_NE(number, std::string::npos) << said;
    node_.stop();
    where_ = {"--log-bytes-max", std::to_string(std::stoull(said.substr(number + remedy.size())))};
    node_.start(where_);
    EXPECT_FALSE(says(node_.diagnostics().substr(said.size()), "three times"));
}

TEST_F(Retention, a_limit_lowered_below_what_is_there_is_reached_without_a_refusal) {
    where_ = {"--log-bytes-max", "1073741824"};
    node_.start(where_);
    node_.import_busybox();
    load(6'000);   // the second segment, of 64 MiB, is the open one
    ASSERT_GT(info("LogBytes"), kBytesMax);
    node_.stop();
    where_ = {"--log-bytes-max", std::to_string(kBytesMax)};
    node_.start(where_);
    EXPECT_EQ(load(4'000), 0u) << refusal_;
    EXPECT_TRUE(eventually([this] { return info("LogBytes") <= kBytesMax; }, 30));
    expect_history_without_gaps();
}

}  // namespace
}  // namespace noded::test

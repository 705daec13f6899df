// A small limit of bytes under many commands: the disk use is never above it, the history begins
// where the node says, and nothing that is kept has a gap, also over restarts and kills.
#include <gtest/gtest.h>
#include <sys/stat.h>

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
        const Ran verified =
            run_program({built("tools/logdump/logdump"), "verify", node_.state_dir()});
        EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
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

}  // namespace
}  // namespace noded::test

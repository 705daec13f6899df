// Who asks for the past by the RPC itself: what a reader refuses, how many there may be, and that
// none outlives its client or its node.
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include "agent/limits.h"
#include "tests/integration/test_node.h"
#include "tools/nodectl/session.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;
using nodectl::Session;

bool says(const Error& error, const std::string& part) {
    return error.message.find(part) != std::string::npos;
}

/// Processes that read the past of the node with this state directory.
size_t readers(const std::string& state_dir) {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string line = read_text(entry.path() / "cmdline");
        count += line.starts_with(std::string("noded\0past", 10)) &&
                 line.find(state_dir) != std::string::npos;
    }
    return count;
}

struct PastRpc : ::testing::Test {
    void SetUp() override {
        node.start();
        node.import_busybox();
        address = "unix:" + node.runtime_dir() + "/noded.sock";
        last = std::stoull(node.ok({"info", "--format", "{{.DurableSeq}}"}));
    }
    nodectl::Bound now() const { return {last, std::nullopt}; }

    TestNode node;
    std::string address;
    uint64_t last = 0;
};

TEST_F(PastRpc, a_reader_refuses_what_changes_something_or_needs_a_descriptor) {
    Session session(address, now());
    ASSERT_TRUE(session.connect());
    nodectl::Payload<schema::TagImage> command;
    command.root.setSource("busybox");
    command.root.setTarget("changed:1");
    const Status changed =
        session.wait_accepted(session.submit(nodectl::mint_command_id(), command));
    ASSERT_FALSE(changed);
    EXPECT_TRUE(says(changed.error(), "the past cannot be changed")) << changed.error().message;
    nodectl::Payload<schema::Container::LogFileParams> params;
    params.root.setContainer("any");
    const auto streamed = session.wait(
        session.call_with_stream<schema::Container>("container", "logFile", params, Fd()));
    ASSERT_FALSE(streamed);
    EXPECT_TRUE(says(streamed.error(), "not in the log")) << streamed.error().message;
    const auto again = session.wait(session.node().pastRequest().send());
    ASSERT_FALSE(again);
    EXPECT_TRUE(says(again.error(), "this is the past already")) << again.error().message;
    EXPECT_EQ(std::to_string(last), node.ok({"info", "--format", "{{.DurableSeq}}"}));
}

/// A client of the past, in a thread of its own: KJ has one loop per thread.
class Reader {
public:
    Reader(const std::string& address, nodectl::Bound at)
        : thread_([this, address, at] {
              Session session(address, at);
              connected_.set_value(session.connect());
              leave_.get_future().wait();
          }) {}
    ~Reader() {
        leave_.set_value();
        thread_.join();
    }
    Status connected() { return connected_.get_future().get(); }

private:
    std::promise<Status> connected_;
    std::promise<void> leave_;
    std::thread thread_;
};

TEST_F(PastRpc, only_so_many_read_the_past_at_once_and_the_node_goes_on) {
    {
        std::vector<std::unique_ptr<Reader>> all;
        for (size_t i = 0; i < limits::past_readers_max; ++i) {
            all.push_back(std::make_unique<Reader>(address, now()));
            ASSERT_TRUE(all.back()->connected());
        }
        EXPECT_EQ(readers(node.state_dir()), limits::past_readers_max);
        Reader one_more(address, now());
        const Status refused = one_more.connected();
        ASSERT_FALSE(refused);
        EXPECT_TRUE(says(refused.error(), "others read the past")) << refused.error().message;
        EXPECT_EQ(node.ok({"run", "--rm", "busybox", "echo", "on"}), "on");
    }
    EXPECT_TRUE(eventually([&] { return readers(node.state_dir()) == 0; }));
    EXPECT_EQ(node.ok({"--at", std::to_string(last), "ps", "-aq"}), "");
}

TEST_F(PastRpc, readers_end_with_the_node) {
    Reader reader(address, now());
    ASSERT_TRUE(reader.connected());
    node.kill();
    EXPECT_TRUE(eventually([&] { return readers(node.state_dir()) == 0; }));
    node.start();
    Reader another(address, now());
    ASSERT_TRUE(another.connected());
    node.stop();
    EXPECT_TRUE(eventually([&] { return readers(node.state_dir()) == 0; }));
}

/// What is mounted meanwhile is not kept busy by a reader, and its own mounts are seen by nobody.
TEST_F(PastRpc, a_reader_has_its_mounts_to_itself) {
    const std::string before = mounts_below(node.dir());
    Reader reader(address, now());
    ASSERT_TRUE(reader.connected());
    EXPECT_EQ(mounts_below(node.dir()), before);
    EXPECT_TRUE(fs::exists(node.state_dir() + "/plugins/storage"));
}

}  // namespace
}  // namespace noded::test

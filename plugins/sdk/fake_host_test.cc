// The fake host against a small plugin: what it promises to the tests of real plugins must be true
// itself.
#include "plugins/sdk/fake_host.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include "plugins/sdk/plugin.h"
#include "plugins/sdk/transcript.h"
#include "schemas/container.capnp.h"

namespace noded::sdk {
namespace {

using schema::ContainerExited;
using schema::ContainerRemoved;
using schema::ContainerStarted;
using schema::KillContainer;
using schema::StartContainer;

/// Starts things: StartContainer → ContainerStarted, then by way of the offload lane
/// ContainerExited.
class Starter {
public:
    static std::expected<std::unique_ptr<Starter>, std::string> create(Host host) {
        const auto limit = host.setting_number("limit", 5, 1, 10);
        if (!limit) return std::unexpected(limit.error());
        return std::make_unique<Starter>(host);
    }
    explicit Starter(Host host) : host_(host) {}

    void decide(const noded_command& command, Decision& out) const {
        if (command.origin == NODED_ORIGIN_PROPOSAL) return out.emit_proposed(command);
        if (command.type == capnp::typeId<KillContainer>()) {
            Message<ContainerRemoved> undeclared;
            return out.emit(undeclared);
        }
        Reading<StartContainer> start(command.payload);
        if (start->getContainer() == "clock") host_.monotonic_ns();
        if (start->getContainer() == "no") return out.reject(NODED_REJECT_CONFLICT, "no means no");
        Message<ContainerStarted> event;
        event->setId(start->getContainer());
        out.emit(event);
    }
    void fold(const noded_event& event) {
        if (event.type == capnp::typeId<ContainerStarted>()) ++started_;
        if (event.type == capnp::typeId<ContainerExited>()) ++exited_;
    }
    void react(const noded_event& event) {
        if (event.type != capnp::typeId<ContainerStarted>()) return;
        const Cause cause = Cause::of(event);
        host_.offload([] {}, [this, cause] {
            Message<ContainerExited> exited;
            exited->setExitCode(uint32_t(host_.monotonic_ns() / 1'000'000'000));
            host_.propose(exited, cause);
        });
    }
    void reconcile() {
        Message<ContainerExited> lost;
        lost->setLost(true);
        for (int i = exited_; i < started_; ++i) host_.propose(lost, Cause{});
    }
    void save(const Sink& sink) const {
        const uint64_t words[] = {uint64_t(started_), uint64_t(exited_)};
        sink.write({reinterpret_cast<const uint8_t*>(words), sizeof words});
    }
    bool load(noded_bytes bytes) {
        started_ = bytes.data[0];
        exited_ = bytes.data[8];
        return bytes.size == 16;
    }
    void stop() {}
    const noded_plugin_rpc* rpc();
    void call(const noded_call& call) {
        if (call.method == 1) {
            waiting_ = call.token;
            host_.start_timer(5'000'000'000, [](void* self, void*) noexcept {
                auto& starter = *static_cast<Starter*>(self);
                starter.host_.refuse(starter.waiting_, NODED_REJECT_BUSY, "too late");
            }, nullptr);
            watch_ = host_.watch(call.fd_owned, POLLIN, [](void* self, void*, uint32_t) noexcept {
                auto& starter = *static_cast<Starter*>(self);
                starter.host_.unwatch(starter.watch_);
                Message<ContainerExited> results;
                starter.host_.respond(starter.waiting_, results);
            }, nullptr);
            fd_ = Fd(call.fd_owned);
        }
    }
    void cancelled(uint64_t) { ++cancels_; }
    Host& host() { return host_; }

private:
    Host host_;
    int started_ = 0;
    int exited_ = 0;
    int cancels_ = 0;
    uint64_t waiting_ = 0;
    uint64_t watch_ = 0;
    Fd fd_;
};

const char* const kMethods[] = {"never", "wait"};
const noded_plugin_rpc kRpc = rpc_table<Starter>(7, kMethods, 2);
const noded_plugin_rpc* Starter::rpc() { return &kRpc; }

const char* const kExtensions[] = {NODED_EXT_EVENTS, NODED_EXT_TIMER, NODED_EXT_OFFLOAD,
                                   NODED_EXT_FD, NODED_EXT_RPC, NODED_EXT_SETTINGS, nullptr};
const noded_type kCommands[] = {type_of<StartContainer>("StartContainer"),
                                type_of<KillContainer>("KillContainer")};
const noded_type kEvents[] = {type_of<ContainerStarted>("ContainerStarted"),
                              type_of<ContainerExited>("ContainerExited")};
const noded_descriptor kDescriptor = {
    sizeof(noded_descriptor), NODED_ABI_MAJOR, NODED_ABI_MINOR, 0, "starter", "1.0.0", "starts",
    kExtensions, nullptr, {kCommands, 2}, {kEvents, 2}, {kEvents, 2}, {nullptr, 0}};
const noded_plugin kTable = plugin_table<Starter>(&kDescriptor);

class FakeHostTest : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(host.load(&kTable), "");
        host.know<StartContainer>();
        host.know<ContainerStarted>();
        host.know<ContainerExited>();
    }
    FakeHost::Outcome start(const char* name, CommandId id = {}) {
        return host.command<StartContainer>([&](auto root) { root.setContainer(name); }, {id});
    }
    FakeHost host;
};

TEST_F(FakeHostTest, a_command_runs_until_all_that_follows_from_it_is_an_event) {
    const auto outcome = start("a");
    EXPECT_TRUE(outcome.accepted);
    EXPECT_EQ(outcome.last_seq, 1u);
    ASSERT_EQ(host.events().size(), 2u);
    EXPECT_EQ(host.events()[1].name, "ContainerExited");
    EXPECT_EQ(host.events()[1].cause_seq, 1u);
    EXPECT_EQ(host.events()[1].command_id, outcome.id);
}

TEST_F(FakeHostTest, a_rejection_has_code_and_sentence_and_no_event) {
    const auto outcome = start("no");
    EXPECT_FALSE(outcome.accepted);
    EXPECT_EQ(outcome.code, NODED_REJECT_CONFLICT);
    EXPECT_EQ(outcome.message, "no means no");
    EXPECT_TRUE(host.events().empty());
}

TEST_F(FakeHostTest, a_command_id_is_decided_once) {
    const auto first = start("a");
    const auto again = start("a", first.id);
    EXPECT_TRUE(again.retried);
    EXPECT_EQ(again.first_seq, first.first_seq);
    EXPECT_EQ(host.count<ContainerStarted>(), 1u);
}

TEST_F(FakeHostTest, an_undeclared_event_is_refused_and_counted) {
    host.command<KillContainer>([](auto) {});
    EXPECT_TRUE(host.events().empty());
    EXPECT_EQ(host.undeclared_events(), 1u);
}

TEST_F(FakeHostTest, a_crash_before_react_is_finished_by_reconcile) {
    host.hold_reactions(true);
    start("a");
    EXPECT_EQ(host.events().size(), 1u);
    host.hold_offload(true);
    host.restart();
    EXPECT_EQ(host.describe(host.events().back()),
              "ContainerExited (run = 0, exitCode = 0, signal = 0, oomKilled = false, "
              "exitedNs = 0, lost = true)");
    EXPECT_EQ(host.snapshot_trouble("starter"), "");
    host.restart_from_snapshot();
    EXPECT_EQ(host.count<ContainerExited>(), 1u);
}

TEST_F(FakeHostTest, held_work_waits_for_the_test_and_time_for_advance) {
    host.hold_offload(true);
    start("a");
    host.advance(3'000'000'000);
    EXPECT_EQ(host.count<ContainerExited>(), 0u);
    EXPECT_TRUE(host.run_offload());
    EXPECT_FALSE(host.run_offload());
    EXPECT_EQ(Reading<ContainerExited>(host.last<ContainerExited>()->bytes())->getExitCode(), 3u);
}

TEST_F(FakeHostTest, a_call_is_answered_when_its_descriptor_is_ready) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const uint64_t token = host.call("starter", "wait", {}, Fd(ends[0]));
    EXPECT_EQ(host.poll_fds(), 0);
    EXPECT_EQ(host.answer(token), nullptr);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    EXPECT_EQ(host.poll_fds(), 1);
    ASSERT_NE(host.answer(token), nullptr);
    EXPECT_FALSE(host.answer(token)->refused);
    host.advance(10'000'000'000);  // the late refusal is ignored
    EXPECT_FALSE(host.answer(token)->refused);
    EXPECT_EQ(host.open_calls(), 0u);
    close(ends[1]);
}

TEST_F(FakeHostTest, a_host_call_from_decide_aborts) {
    EXPECT_DEATH(start("clock"), "another context");
}

TEST_F(FakeHostTest, a_setting_that_is_no_number_in_its_range_keeps_the_plugin_from_loading) {
    for (const char* value : {"11", "0", "-1", "5x", ""}) {
        FakeHost other;
        other.set("starter.limit", value);
        EXPECT_EQ(other.load(&kTable),
                  std::string("limit in the configuration takes a number from 1 to 10, not \"") +
                      value + "\"");
    }
    FakeHost other;
    other.set("starter.limit", "10");
    EXPECT_EQ(other.load(&kTable), "");
    FakeHost third;
    third.set("starter.limits", "10");
    EXPECT_EQ(third.load(&kTable),
              "the configuration sets plugins.starter.limits, which it does not know");
}

TEST_F(FakeHostTest, a_transcript_shows_what_happened_instead_of_what_was_expected) {
    const std::string text =
        "# A remark stays.\n> StartContainer (container = \"no\")\nrejected DENIED: stale\n\n"
        "> StartContainer (container = 3)\n";
    const std::string happened = run_transcript(host, text);
    EXPECT_TRUE(happened.starts_with("# A remark stays.\n> StartContainer (container = \"no\")\n"
                                     "rejected CONFLICT: no means no\n\n"))
        << happened;
    EXPECT_NE(happened.find("\nerror: "), std::string::npos) << happened;
    FakeHost second;
    ASSERT_EQ(second.load(&kTable), "");
    second.know<StartContainer>();
    EXPECT_EQ(run_transcript(second, happened), happened);
}

}  // namespace
}  // namespace noded::sdk

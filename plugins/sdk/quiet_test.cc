// Quiet in virtual time: a plugin that puts off what it is told, and starts that disturb it.
#include "plugins/sdk/quiet.h"

#include <gtest/gtest.h>

#include "plugins/sdk/fake_host.h"
#include "plugins/sdk/plugin.h"
#include "schemas/container.capnp.h"

namespace noded::sdk {
namespace {

using schema::ContainerStarted;
using schema::StartContainer;

constexpr size_t kMax = 3;
std::string done;  ///< the names of what was done, in its order

/// StartContainer "start" disturbs; any other name is put off.
class PutsOff {
public:
    static std::expected<std::unique_ptr<PutsOff>, std::string> create(Host host) {
        return std::make_unique<PutsOff>(host);
    }
    explicit PutsOff(Host host) : quiet_(host, kMax) {}

    void decide(const noded_command& command, Decision& out) const {
        Reading<StartContainer> start(command.payload);
        Message<ContainerStarted> event;
        event->setId(start->getContainer());
        out.emit(event);
    }
    void fold(const noded_event&) {}
    void react(const noded_event& event) {
        const std::string name = Reading<ContainerStarted>(event.payload)->getId().cStr();
        if (name == "start") quiet_.disturb();
        else if (name == "stop") quiet_.stop();
        else quiet_.put_off([name] { done += name; });
    }
    void reconcile() {}
    void save(const Sink&) const {}
    bool load(noded_bytes) { return true; }
    void stop() { quiet_.stop(); }
    const noded_plugin_rpc* rpc() { return nullptr; }

private:
    Quiet quiet_;
};

const char* const kExtensions[] = {NODED_EXT_EVENTS, NODED_EXT_TIMER, nullptr};
const noded_type kCommands[] = {type_of<StartContainer>("StartContainer")};
const noded_type kEvents[] = {type_of<ContainerStarted>("ContainerStarted")};
const noded_descriptor kDescriptor = {
    sizeof(noded_descriptor), NODED_ABI_MAJOR, NODED_ABI_MINOR, 0, "quiet", "1.0.0", "puts off",
    kExtensions, nullptr, {kCommands, 1}, {kEvents, 1}, {kEvents, 1}, {nullptr, 0}};
const noded_plugin kTable = plugin_table<PutsOff>(&kDescriptor);

class QuietTest : public testing::Test {
protected:
    void SetUp() override {
        done.clear();
        ASSERT_EQ(host.load(&kTable), "");
        host.know<StartContainer>();
        host.know<ContainerStarted>();
    }
    void tell(const char* name) {
        host.command<StartContainer>([&](auto root) { root.setContainer(name); });
    }
    FakeHost host;
};

TEST_F(QuietTest, what_is_put_off_is_done_when_no_start_came_for_a_while) {
    tell("start");
    tell("a");
    host.advance(Quiet::quiet_ns - 1);
    tell("start");
    host.advance(Quiet::quiet_ns - 1);
    EXPECT_EQ(done, "");
    host.advance(1);
    EXPECT_EQ(done, "a");
}

TEST_F(QuietTest, when_it_is_quiet_already_it_is_done_in_the_next_turn) {
    tell("a");
    EXPECT_EQ(done, "");
    host.advance(0);
    EXPECT_EQ(done, "a");
}

TEST_F(QuietTest, things_are_done_one_by_one_so_that_a_start_comes_between_them) {
    tell("start");
    tell("a");
    tell("b");
    host.advance(Quiet::quiet_ns);
    EXPECT_EQ(done, "a");
    tell("start");
    host.advance(Quiet::quiet_ns - 1);
    EXPECT_EQ(done, "a");
    host.advance(1);
    EXPECT_EQ(done, "ab");
}

TEST_F(QuietTest, of_more_than_a_few_the_oldest_are_done_at_once) {
    tell("start");
    for (const char* name : {"a", "b", "c", "d", "e"}) tell(name);
    host.advance(0);
    EXPECT_EQ(done, "ab");
}

TEST_F(QuietTest, starts_without_end_hold_nothing_up_for_longer_than_a_second) {
    tell("start");
    tell("a");
    for (int64_t waited = 0; waited < Quiet::longest_ns; waited += Quiet::quiet_ns / 2) {
        EXPECT_EQ(done, "");
        tell("start");
        host.advance(Quiet::quiet_ns / 2);
    }
    EXPECT_EQ(done, "a");
}

TEST_F(QuietTest, after_a_stop_nothing_is_done) {
    tell("start");
    tell("a");
    tell("stop");
    host.advance(Quiet::longest_ns);
    EXPECT_EQ(done, "");
}

}  // namespace
}  // namespace noded::sdk

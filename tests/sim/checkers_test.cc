// Each checker over durable events and over the machine, given what it must not let pass: one that
// cannot fail proves nothing. What only whole nodes can do wrong is in the canaries of sim_test.
#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <set>

#include "agent/log/sender.h"
#include "plugins/sdk/message.h"
#include "schemas/container.capnp.h"
#include "tests/sim/history.h"
#include "tests/sim/kernel.h"

namespace noded::sim {
namespace {

const std::string kContainer(64, 'a');

/// A history that is told of events; what it says of them is the world's failure.
struct Checkers : testing::Test {
    World world{1};
    History history{world, "node"};
    uint64_t seq = 0;

    /// The next event of a container; `command` is the last byte of its command's id.
    template <typename T>
    log::Record tell(uint8_t command, std::function<void(typename T::Builder)> fill = {}) {
        sdk::Message<T> message;
        message->setId(kContainer.c_str());
        if (fill) fill(*message);
        log::Record event;
        event.seq = ++seq;
        event.type = capnp::typeId<T>();
        event.command_id.bytes[31] = command;
        const noded_bytes flat = message.flat();
        payloads_.emplace_back(flat.data, flat.data + flat.size);
        event.payload = payloads_.back();
        if (command != 0 && sent_.insert(command).second)
            event.sender = log::encode_sender({event.type, 0, 0, 1, "test"},
                                              senders_.emplace_back());
        history.durable(event);
        return event;
    }
    template <typename T>
    log::Record tell_run(uint8_t command, uint32_t run) {
        return tell<T>(command, [run](auto to) { to.setRun(run); });
    }
    log::Record create() { return tell<schema::ContainerRequested>(1); }

    std::string said() const { return world.failure(); }

private:
    std::list<Buffer> payloads_;
    std::set<uint8_t> sent_;
    std::list<log::EncodedSender> senders_;
};

TEST_F(Checkers, a_life_as_it_should_be_is_let_pass) {
    for (const log::Record& event :
         {create(), tell_run<schema::ContainerStartRequested>(2, 1),
          tell_run<schema::ContainerStarted>(2, 1), tell_run<schema::ContainerExited>(0, 1)})
        history.published(event);
    EXPECT_EQ(said(), "");
}

TEST_F(Checkers, an_event_that_changed_is_caught) {
    create();
    log::Record event = tell_run<schema::ContainerStartRequested>(2, 1);
    history.durable(event);
    EXPECT_EQ(said(), "");
    event.time_ns = 7;
    history.durable(event);
    EXPECT_EQ(said(), "node: event 2 was durable and has changed");
}

TEST_F(Checkers, a_gap_is_caught) {
    create();
    ++seq;
    tell_run<schema::ContainerStartRequested>(2, 1);
    EXPECT_EQ(said(), "node: event 3 follows event 1");
}

TEST_F(Checkers, a_second_intent_is_caught) {
    create();
    create();
    EXPECT_EQ(said(), "node: a second intent create/" + kContainer);
}

TEST_F(Checkers, an_outcome_without_an_intent_is_caught) {
    tell_run<schema::ContainerExited>(0, 1);
    EXPECT_EQ(said(), "node: an outcome without intent: run/" + kContainer + "/1");
}

TEST_F(Checkers, a_second_outcome_is_caught) {
    tell_run<schema::ContainerStartRequested>(2, 1);
    tell_run<schema::ContainerStartFailed>(2, 1);
    EXPECT_EQ(said(), "");
    tell_run<schema::ContainerStartFailed>(2, 1);
    EXPECT_EQ(said(), "node: a second outcome of start/" + kContainer + "/1");
}

TEST_F(Checkers, an_intent_without_an_outcome_is_caught_at_rest) {
    tell_run<schema::ContainerStartRequested>(2, 1);
    history.check_outcomes([](const std::string&) { return true; });
    EXPECT_EQ(said(), "node: the intent start/" + kContainer + "/1 has no outcome");
}

TEST_F(Checkers, a_run_without_an_end_whose_process_is_gone_is_caught_at_rest) {
    tell_run<schema::ContainerStartRequested>(2, 1);
    tell_run<schema::ContainerStarted>(2, 1);
    history.check_outcomes([](const std::string&) { return true; });
    EXPECT_EQ(said(), "");
    history.check_outcomes([](const std::string&) { return false; });
    EXPECT_EQ(said(), "node: the intent run/" + kContainer + "/1 has no outcome");
}

TEST_F(Checkers, a_command_whose_sender_is_not_told_is_caught) {
    World other{1};
    History apart(other, "node");
    log::Record event = tell_run<schema::ContainerStartRequested>(2, 1);
    event.sender = {};
    apart.durable(event);
    EXPECT_EQ(other.failure(), "node: event 1 does not tell who sent its command");
}

TEST_F(Checkers, a_command_whose_sender_is_told_again_is_caught) {
    log::Record event = tell_run<schema::ContainerStartRequested>(2, 1);
    event.seq = ++seq;
    history.durable(event);
    EXPECT_EQ(said(), "node: event 2 tells of a sender again");
}

TEST_F(Checkers, a_publication_before_the_sync_is_caught) {
    log::Record event = create();
    ++event.seq;
    history.published(event);
    EXPECT_EQ(said(), "node: event 2 was published before it was durable");
}

TEST_F(Checkers, a_publication_that_was_left_out_is_caught) {
    history.published(create());
    EXPECT_EQ(said(), "");
    tell_run<schema::ContainerStartRequested>(2, 1);
    history.published(tell_run<schema::ContainerStartFailed>(2, 1));
    EXPECT_EQ(said(), "node: publication 3 follows 1");
}

TEST_F(Checkers, a_publication_of_something_else_is_caught) {
    log::Record event = create();
    event.time_ns = 7;
    history.published(event);
    EXPECT_EQ(said(), "node: publication 1 is not what the log has");
}

TEST_F(Checkers, an_effect_before_its_intent_is_caught) {
    const KernelFaults none;
    Kernel kernel(world, history, none);
    create();
    kernel.check_effect("rootfs/" + kContainer, "a rootfs");
    EXPECT_EQ(said(), "");
    kernel.check_effect("start/" + kContainer + "/1", "a start");
    EXPECT_EQ(said(), "a start before start/" + kContainer + "/1 was durable");
}

TEST_F(Checkers, what_belongs_to_no_container_is_caught_at_rest) {
    const KernelFaults none;
    Kernel kernel(world, history, none);
    create();
    kernel.folders.insert("/node/runtime/" + kContainer);
    kernel.disk.rootfs[kContainer];
    kernel.check_at_rest();
    EXPECT_EQ(said(), "");
    const std::string other(64, 'b');
    kernel.disk.rootfs[other];
    kernel.check_at_rest();
    EXPECT_EQ(said(), "the rootfs of " + other + " belongs to no container");
    World again{1};
    Kernel folders(again, history, none);
    folders.folders.insert("/node/runtime/" + other);
    folders.check_at_rest();
    EXPECT_EQ(again.failure(), "the folder /node/runtime/" + other + " belongs to no container");
}

}  // namespace
}  // namespace noded::sim

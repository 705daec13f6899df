// What the host enforces while a plugin runs: declared events only, phases, quotas, no contact
// after it was stopped.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/limits.h"

namespace noded::host {
namespace {

constexpr uint64_t kCommand = 0x8000000000000001;
constexpr uint64_t kEvent = 0x8000000000000002;
constexpr uint64_t kForeign = 0x8000000000000003;

/// A reactor in which nothing completes by itself.
struct StillReactor final : reactor::Reactor, Clock {
    Clock& clock() override { return *this; }
    int64_t realtime_ns() const override { return 7; }
    int64_t monotonic_ns() const override { return now_ns += look_ns; }
    void read(int, std::span<uint8_t>, uint64_t, reactor::Completion&) override {}
    void write(int, Bytes, uint64_t, bool, reactor::Completion&) override {}
    void send_message(int, const msghdr*, reactor::Completion&) override {}
    void receive_message(int, msghdr*, reactor::Completion&) override {}
    void accept(int, reactor::Completion&) override {}
    void poll(int, uint32_t, bool, reactor::Completion&) override {}
    void timer(int64_t, reactor::Completion& done) override { timers.push_back(&done); }
    void cancel(reactor::Completion& operation) override { cancelled.push_back(&operation); }
    bool offload(std::function<int32_t()>, reactor::Completion&) override { return false; }
    void at_turn_end(reactor::TurnEnd&) override {}
    void run_again() override { again = true; }
    bool is_behind() override { return behind; }

    mutable int64_t now_ns = 7;
    int64_t look_ns = 0;   ///< passes with each look at the clock
    bool again = false;
    bool behind = false;
    std::vector<reactor::Completion*> timers;
    std::vector<reactor::Completion*> cancelled;
};

/// A log in memory; every sync is done at once.
struct MemoryLog final : log::Log {
    uint64_t oldest_seq() const override { return 1; }
    uint64_t next_seq() const override { return seqs + 1; }
    uint64_t durable_seq() const override { return seqs; }
    void append(const log::Record&) override { ++seqs; }
    bool fits(size_t, size_t) const override { return true; }
    Status ensure_room(size_t, size_t) override {
        return full ? Status(fail_errno(ENOSPC, "make room in the log")) : Status();
    }
    void sync(log::SyncDone& done) override { done.synced({}, seqs); }
    bool sync_under_way() const override { return false; }
    Status read(uint64_t first, const log::EachRecord& each) override {
        if (damaged) return fail("log segment-1 at byte 4096: a bit is wrong");
        log::Record event;
        event.type = kEvent;
        for (event.seq = first; event.seq <= seqs; ++event.seq) {
            ++read_in_line;
            if (!each(event)) break;
        }
        return {};
    }
    bool read_aside(uint64_t first, log::StretchDone& done) override {
        if (!has_lane || asked != nullptr || first > seqs) return false;
        asked = &done;
        asked_from = first;
        return true;
    }
    /// What was asked for aside is there.
    void bring(uint64_t events = 8192) {
        log::StretchDone* const done = std::exchange(asked, nullptr);
        if (damaged) return done->stretch_read(fail("the lane cannot read"));
        log::Stretch stretch;
        log::Record event;
        event.type = kEvent;
        for (event.seq = asked_from; event.seq <= seqs && event.seq < asked_from + events;
             ++event.seq)
            stretch.records.push_back(event);
        stretch.to_end = event.seq == seqs + 1;
        done->stretch_read(std::move(stretch));
    }
    Result<uint64_t> seq_at(int64_t) override { return 1; }
    uint64_t seqs = 0;
    bool full = false;
    bool damaged = false;
    bool has_lane = false;
    uint64_t read_in_line = 0;
    log::StretchDone* asked = nullptr;
    uint64_t asked_from = 0;
};

struct NoTopics final : TopicSink, core::Publisher {
    bool publish_sample(const std::string&, Bytes) override { return true; }
    void publish(const core::Event&) override {}
};

// -------------------------------------------------------------------------------------------
// a plugin

/// What the plugin does wrong, and what became of it.
struct Behaviour {
    const noded_host* host = nullptr;
    bool call_host_in_decide = false;
    bool propose_foreign_in_react = false;
    size_t propose_when_called = 0;
    size_t refused = 0;
    int folds = 0;
    int reacts = 0;
    int fired = 0;
    int destroyed = 0;
    bool rpc_lacks_a_name = false;
    uint64_t token = 0;
    std::string speed;   ///< a setting, read in init
    std::function<void()> when_called;
} behaviour;

const noded_ext_events* events() {
    return static_cast<const noded_ext_events*>(
        behaviour.host->get_extension(behaviour.host, NODED_EXT_EVENTS));
}
const noded_ext_timer* timers() {
    return static_cast<const noded_ext_timer*>(
        behaviour.host->get_extension(behaviour.host, NODED_EXT_TIMER));
}

void decide(void*, const noded_command*, const noded_decision* out) noexcept {
    if (behaviour.call_host_in_decide) events()->propose(behaviour.host, kEvent, {}, 0, nullptr);
    out->emit(out, kEvent, {});
}
void fold(void*, const noded_event*) noexcept { ++behaviour.folds; }
void react(void*, const noded_event*) noexcept {
    ++behaviour.reacts;
    if (!behaviour.propose_foreign_in_react) return;
    for (uint64_t i = 0; i <= limits::plugin_undeclared_events_max; ++i) {
        EXPECT_EQ(events()->propose(behaviour.host, kForeign, {}, 1, nullptr), -1);
    }
}
void fire(void*, void*) noexcept { ++behaviour.fired; }
void call(void*, const noded_call* call) noexcept {
    behaviour.token = call->token;
    if (behaviour.when_called) behaviour.when_called();
    for (size_t i = 0; i < behaviour.propose_when_called; ++i)
        if (events()->propose(behaviour.host, kEvent, {}, 1, nullptr) != 0) ++behaviour.refused;
}
const char* const kMethods[] = {"ask"};
const noded_plugin_rpc kRpc = {sizeof kRpc, 1, 0, kMethods, call, nullptr};
const char* const kNameless[] = {nullptr};
const noded_plugin_rpc kNamelessRpc = {sizeof kRpc, 1, 0, kNameless, call, nullptr};

const char* const kExtensions[] = {NODED_EXT_EVENTS, NODED_EXT_TIMER, NODED_EXT_RPC,
                                   NODED_EXT_SETTINGS, NODED_EXT_TOPIC, nullptr};
const noded_type kCommands[] = {{kCommand, "DoIt"}};
const noded_type kEvents[] = {{kEvent, "ItWasDone"}};
const noded_descriptor kDescriptor = {sizeof kDescriptor,
                                      NODED_ABI_MAJOR,
                                      NODED_ABI_MINOR,
                                      0,
                                      "doer",
                                      "1.0.0",
                                      "does it",
                                      kExtensions,
                                      nullptr,
                                      {kCommands, 1},
                                      {kEvents, 1},
                                      {kEvents, 1},
                                      {}};
const noded_plugin kPlugin = {
    sizeof kPlugin, 0, &kDescriptor,
    [](const noded_host* host) noexcept -> void* {
        behaviour.host = host;
        const char* const speed = static_cast<const noded_ext_settings*>(
            host->get_extension(host, NODED_EXT_SETTINGS))->text(host, "speed");
        behaviour.speed = speed != nullptr ? speed : "unset";
        return &behaviour;
    },
    decide, fold, react,
    [](void*) noexcept {},
    [](void*, const noded_sink*) noexcept {},
    [](void*, noded_bytes) noexcept { return 1; },
    [](void*) noexcept {},
    [](void*) noexcept { ++behaviour.destroyed; },
    [](void*, const char* id) noexcept -> const void* {
        if (strcmp(id, NODED_EXT_RPC) != 0) return nullptr;
        return behaviour.rpc_lacks_a_name ? &kNamelessRpc : &kRpc;
    }};

struct Contract : testing::Test {
    Contract() {
        behaviour = {};
        host.connect(pipeline, log);
        host.load_static(kPlugin, "doer");
        host.reconcile();
    }
    ~Contract() override { std::filesystem::remove_all(dir); }

    core::Reply command() {
        core::Reply reply;
        core::Command command;
        command.id.bytes[0] = ++last_id;
        command.type = kCommand;
        pipeline.submit(std::move(command), [&](const core::Reply& told) { reply = told; });
        pipeline.turn_end();
        return reply;
    }

    std::string dir = testing::TempDir() + "/noded-contract-" + std::to_string(getpid());
    bool made = std::filesystem::create_directories(dir);
    StillReactor reactor;
    NoTopics topics;
    MemoryLog log;
    Host host{reactor, topics, {dir, dir, dir, dir}};
    core::Pipeline pipeline{host, log, topics};
    uint8_t last_id = 0;
};

TEST_F(Contract, topics_below_a_word_that_is_nobody_elses_can_be_owned) {
    const auto* topic = static_cast<const noded_ext_topic*>(
        behaviour.host->get_extension(behaviour.host, NODED_EXT_TOPIC));
    behaviour.when_called = [topic] {
        const noded_host* host = behaviour.host;
        EXPECT_EQ(topic->publish_as(host, "log/x", {}), -1) << "not before it is owned";
        EXPECT_EQ(topic->own(host, "log"), 0);
        EXPECT_EQ(topic->own(host, "log"), 0) << "again";
        EXPECT_EQ(topic->publish_as(host, "log/x", {}), 0);
        EXPECT_EQ(topic->publish_as(host, "json/log@5/x", {}), 0);
        EXPECT_EQ(topic->publish_as(host, "logs/x", {}), -1);
        EXPECT_EQ(topic->publish_as(host, "doer/x", {}), 0);
        for (const char* word : {"event", "json", "", "Log", "a/b"})
            EXPECT_EQ(topic->own(host, word), -1) << word;
        EXPECT_EQ(topic->own(host, nullptr), -1);
    };
    host.call("doer", 0, {}, {}, Fd(), [](CallResult) {});
    EXPECT_TRUE(host.has_topics_for("log/x"));
    EXPECT_TRUE(host.has_topics_for("json/lo"));
    EXPECT_FALSE(host.has_topics_for("logs/x"));
}

TEST_F(Contract, a_command_goes_through_decide_fold_and_react_of_its_owner) {
    EXPECT_TRUE(command().accepted);
    EXPECT_EQ(behaviour.folds, 1);
    EXPECT_EQ(behaviour.reacts, 1);
}

TEST_F(Contract, an_extension_that_the_descriptor_does_not_require_is_not_there) {
    EXPECT_EQ(behaviour.host->get_extension(behaviour.host, NODED_EXT_PATHS), nullptr);
    EXPECT_NE(behaviour.host->get_extension(behaviour.host, NODED_EXT_TIMER), nullptr);
}

TEST_F(Contract, undeclared_events_are_refused_and_too_many_stop_the_plugin) {
    behaviour.propose_foreign_in_react = true;
    EXPECT_TRUE(command().accepted);
    const Instance& instance = *host.instances()[0];
    EXPECT_EQ(instance.status, Instance::Status::stopped);
    EXPECT_NE(instance.reason.find("did not declare"), std::string::npos);
    EXPECT_EQ(log.seqs, 1u);
    const core::Reply after = command();
    EXPECT_FALSE(after.accepted);
    EXPECT_NE(after.rejection.message.find("plugin doer is stopped"), std::string::npos);
}

TEST_F(Contract, proposals_wait_on_a_full_disk_and_too_many_stop_the_plugin) {
    log.full = true;
    behaviour.propose_when_called = limits::plugin_proposals_queued_max;
    host.call("doer", 0, {}, {}, Fd(), [](CallResult) {});
    pipeline.turn_end();
    EXPECT_EQ(behaviour.refused, 0u);
    EXPECT_EQ(host.instances()[0]->status, Instance::Status::loaded);
    behaviour.propose_when_called = 2;
    host.call("doer", 0, {}, {}, Fd(), [](CallResult) {});
    EXPECT_EQ(behaviour.refused, 2u);
    EXPECT_EQ(host.instances()[0]->status, Instance::Status::stopped);
    EXPECT_NE(host.instances()[0]->reason.find("65536 of its proposals wait for the log"),
              std::string::npos);
    EXPECT_FALSE(command().accepted);
}

TEST_F(Contract, proposals_that_waited_are_decided_when_there_is_room) {
    log.full = true;
    behaviour.propose_when_called = 100;
    host.call("doer", 0, {}, {}, Fd(), [](CallResult) {});
    pipeline.turn_end();
    EXPECT_EQ(log.seqs, 0u);
    log.full = false;
    pipeline.turn_end();
    EXPECT_EQ(log.seqs, 100u);
    EXPECT_EQ(host.instances()[0]->proposals_queued, 0u);
}

TEST_F(Contract, a_host_call_in_pure_aborts_and_names_the_plugin) {
    behaviour.call_host_in_decide = true;
    EXPECT_DEATH(command(), "plugin doer called events.propose in \\[pure\\]");
}

TEST_F(Contract, a_host_call_from_outside_of_any_call_aborts) {
    EXPECT_DEATH(timers()->start(behaviour.host, 1, fire, nullptr), "outside of any call");
}

TEST_F(Contract, an_event_of_a_client_and_a_command_of_nobody_are_rejected) {
    core::Reply reply;
    for (const uint64_t type : {kEvent, kForeign}) {
        core::Command command;
        command.id.bytes[1] = static_cast<uint8_t>(type);
        command.type = type;
        pipeline.submit(std::move(command), [&](const core::Reply& told) { reply = told; });
        pipeline.turn_end();
        EXPECT_FALSE(reply.accepted);
    }
    EXPECT_EQ(log.seqs, 0u);
}

TEST_F(Contract, a_call_is_answered_once_and_a_stopped_plugin_leaves_none_waiting) {
    int answers = 0;
    core::Rejection rejection;
    host.call("doer", 0, {}, {}, Fd(), [&](CallResult result) {
        ++answers;
        rejection = result.rejection;
    });
    behaviour.propose_foreign_in_react = true;
    command();
    EXPECT_EQ(answers, 1);
    EXPECT_NE(rejection.message.find("is stopped"), std::string::npos);
    host.call("doer", 0, {}, {}, Fd(), [&](CallResult result) { rejection = result.rejection; });
    EXPECT_EQ(rejection.message,
              "plugin doer is stopped: it proposed more than 16 events that it did not declare");
    host.call("doer", 9, {}, {}, Fd(), [&](CallResult) { ++answers; });
    EXPECT_EQ(answers, 2);
}

TEST_F(Contract, a_plugin_reads_its_own_settings_and_is_refused_with_one_it_did_not_ask_for) {
    EXPECT_EQ(behaviour.speed, "unset");
    Host other(reactor, topics, {dir, dir, dir, dir});
    core::Pipeline its_pipeline(other, log, topics);
    other.connect(its_pipeline, log);
    other.configure({{"doer", {{"speed", "9"}}}, {"another", {{"speed", "1"}}}});
    other.load_static(kPlugin, "doer");
    EXPECT_EQ(behaviour.speed, "9");
    EXPECT_TRUE(other.instances()[0]->loaded());

    Host third(reactor, topics, {dir, dir, dir, dir});
    core::Pipeline pipeline_of_third(third, log, topics);
    third.connect(pipeline_of_third, log);
    third.configure({{"doer", {{"sped", "9"}}}});
    third.load_static(kPlugin, "doer");
    EXPECT_EQ(third.instances()[0]->reason,
              "the configuration sets plugins.doer.sped, which it does not know");
    EXPECT_EQ(behaviour.destroyed, 1);
}

TEST_F(Contract, a_plugin_that_is_refused_after_its_init_is_destroyed) {
    behaviour.rpc_lacks_a_name = true;
    Host other(reactor, topics, {dir, dir, dir, dir});
    other.load_static(kPlugin, "doer");
    EXPECT_EQ(other.instances()[0]->reason,
              "its rpc table lacks a function or the name of a method");
    EXPECT_EQ(behaviour.destroyed, 1);
}

/// A node that runs, with a history, to which the plugin comes.
struct LatePlugin : testing::Test {
    LatePlugin() {
        behaviour = {};
        host.connect(pipeline, log);
        host.load_directory(nullptr);
        host.reconcile();
    }
    ~LatePlugin() override { std::filesystem::remove_all(dir); }
    Instance::Status status() const { return host.instances()[0]->status; }
    std::string asked() {
        std::string answer;
        host.call("doer", 0, {}, {}, Fd(),
                  [&](CallResult result) { answer = result.rejection.message; });
        return answer;
    }

    std::string dir = testing::TempDir() + "/noded-late-" + std::to_string(getpid());
    bool made = std::filesystem::create_directories(dir);
    StillReactor reactor;
    NoTopics topics;
    MemoryLog log;
    Host host{reactor, topics, {dir, dir, dir, dir}};
    core::Pipeline pipeline{host, log, topics};
};

TEST_F(LatePlugin, folds_a_long_history_in_slices_and_is_asked_when_it_is_at_its_end) {
    log.seqs = 2 * limits::late_slice_events_max + 5;
    host.load_late(kPlugin, "doer");
    EXPECT_EQ(status(), Instance::Status::loading);
    EXPECT_EQ(behaviour.folds, int(limits::late_slice_events_max));
    EXPECT_TRUE(host.is_folding_late());
    EXPECT_EQ(asked(),
              "plugin doer is loading: it folds the history before it can be asked; try again");
    core::Command command;
    command.id.bytes[0] = 1;
    command.type = kCommand;
    core::Reply reply;
    pipeline.submit(command, [&](const core::Reply& told) { reply = told; });
    pipeline.turn_end();
    EXPECT_EQ(reply.rejection.message.substr(0, 22), "plugin doer is loading");
    host.load_late(kPlugin, "again");
    EXPECT_EQ(host.instances()[1]->status, Instance::Status::refused);
    log.seqs += 2;   // the node goes on
    host.fold_late();
    EXPECT_EQ(status(), Instance::Status::loading);
    host.fold_late();
    EXPECT_EQ(status(), Instance::Status::loaded);
    EXPECT_EQ(uint64_t(behaviour.folds), log.seqs);
    EXPECT_EQ(host.instances()[0]->folded_seq, log.seqs);
    EXPECT_FALSE(host.is_folding_late());
    EXPECT_EQ(host.loaded_late(), 1u);
    EXPECT_EQ(behaviour.reacts, 0);
    pipeline.submit(command, [&](const core::Reply& told) { reply = told; });
    pipeline.turn_end();
    EXPECT_TRUE(reply.accepted);
    EXPECT_EQ(uint64_t(behaviour.folds), log.seqs);
    host.fold_late();
    EXPECT_EQ(uint64_t(behaviour.folds), log.seqs) << "once each";
}

TEST_F(LatePlugin, with_a_short_history_is_loaded_at_once) {
    log.seqs = 7;
    host.load_late(kPlugin, "doer");
    EXPECT_EQ(status(), Instance::Status::loaded);
    EXPECT_EQ(behaviour.folds, 7);
}

TEST_F(LatePlugin, whose_history_cannot_be_read_is_stopped_and_says_where_it_is_damaged) {
    log.seqs = 7;
    log.damaged = true;
    host.load_late(kPlugin, "doer");
    EXPECT_EQ(status(), Instance::Status::stopped);
    EXPECT_EQ(asked(), "plugin doer is stopped: its events could not be replayed: log segment-1 "
                       "at byte 4096: a bit is wrong");
    EXPECT_FALSE(host.is_folding_late());
}

TEST_F(LatePlugin, whose_history_is_long_has_it_read_aside_a_stretch_ahead) {
    log.has_lane = true;
    log.seqs = 50'000;
    host.load_late(kPlugin, "doer");
    ASSERT_NE(log.asked, nullptr);
    EXPECT_EQ(log.asked_from, 1u);
    host.fold_late();
    EXPECT_EQ(behaviour.folds, 0) << "the disk is not waited for";
    EXPECT_FALSE(reactor.again) << "nor asked again and again";
    log.bring();
    host.fold_late();
    EXPECT_EQ(behaviour.folds, 8192);
    ASSERT_NE(log.asked, nullptr);
    EXPECT_EQ(log.asked_from, 8193u) << "the next one is read while this one is folded";
    while (log.asked != nullptr) {
        log.bring();
        log.seqs += 10;   // the node goes on
        host.fold_late();
    }
    host.fold_late();
    EXPECT_EQ(status(), Instance::Status::loaded);
    EXPECT_EQ(uint64_t(behaviour.folds), log.seqs) << "once each";
    EXPECT_LE(log.read_in_line, limits::late_in_line_events_max);
}

TEST_F(LatePlugin, folds_for_no_longer_than_a_slice_per_turn) {
    log.has_lane = true;
    log.seqs = 8192;
    reactor.look_ns = limits::late_slice_ns / 10;   // ten looks at the clock make a slice
    host.load_late(kPlugin, "doer");
    log.bring();
    for (int turn = 1; turn <= 5; ++turn) {
        reactor.again = false;
        host.fold_late();
        EXPECT_EQ(behaviour.folds, turn * 640);
        EXPECT_TRUE(reactor.again);
    }
}

TEST_F(LatePlugin, lets_others_go_first_but_comes_to_its_end) {
    log.seqs = limits::late_slice_events_max + 7;
    reactor.behind = true;
    host.load_late(kPlugin, "doer");
    const int first_slice = behaviour.folds;
    EXPECT_EQ(status(), Instance::Status::loading);
    for (size_t turn = 1; turn < limits::late_turns_waited_max; ++turn) {
        reactor.again = false;
        host.fold_late();
        EXPECT_TRUE(reactor.again);
    }
    EXPECT_EQ(behaviour.folds, first_slice);
    host.fold_late();
    EXPECT_EQ(behaviour.folds, first_slice + 7);
    EXPECT_EQ(status(), Instance::Status::loaded);
}

TEST_F(LatePlugin, whose_history_cannot_be_read_aside_has_it_read_in_line) {
    log.has_lane = true;
    log.seqs = 50'000;
    host.load_late(kPlugin, "doer");
    log.damaged = true;
    log.bring();
    log.damaged = false;   // the segment went into the archive meanwhile
    while (host.is_folding_late()) host.fold_late();
    EXPECT_EQ(status(), Instance::Status::loaded);
    EXPECT_EQ(behaviour.folds, 50'000);
}

TEST_F(LatePlugin, is_not_told_what_was_read_for_another_one) {
    log.has_lane = true;
    log.seqs = 50'000;
    host.load_late(kPlugin, "doer");
    host.stop();
    log.bring();
    EXPECT_EQ(behaviour.folds, 0);
}

TEST_F(Contract, a_second_plugin_with_the_same_id_is_refused) {
    host.load_static(kPlugin, "again");
    EXPECT_EQ(host.instances()[1]->status, Instance::Status::refused);
    EXPECT_EQ(host.instances()[1]->reason,
              "a plugin named doer is loaded already; restart noded to load another version of it");
}

}  // namespace
}  // namespace noded::host

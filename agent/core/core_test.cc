#include <gtest/gtest.h>

#include <cstring>
#include <deque>

#include "agent/base/check.h"
#include "agent/core/pipeline.h"
#include "agent/core/replay.h"
#include "agent/log/sender.h"

namespace noded::core {
namespace {

/// A log in memory whose syncs complete when the test says so.
class MemoryLog final : public log::Log {
public:
    uint64_t oldest_seq() const override { return 1; }
    uint64_t next_seq() const override { return records.size() + 1; }
    uint64_t durable_seq() const override { return durable; }
    void append(const log::Record& record) override {
        CHECK(record.seq == next_seq());
        payloads.emplace_back(record.payload.begin(), record.payload.end());
        records.push_back(record);
        records.back().payload = payloads.back();
        payloads.emplace_back(record.sender.begin(), record.sender.end());
        records.back().sender = payloads.back();
    }
    bool fits(size_t, size_t) const override { return true; }
    Status ensure_room(size_t, size_t) override {
        ++asked_for_room;
        if (full) return fail_errno(ENOSPC, "create the next segment");
        return {};
    }
    void sync(log::SyncDone& done) override {
        CHECK(waiting == nullptr);
        waiting = &done;
        ++syncs;
    }
    bool sync_under_way() const override { return waiting != nullptr; }
    Status read(uint64_t first, const log::EachRecord& each) override {
        for (uint64_t seq = first; seq <= durable; ++seq) {
            if (!each(records[seq - 1])) break;
        }
        return {};
    }
    Result<uint64_t> seq_at(int64_t) override { return 1; }

    void complete_sync() {
        CHECK(waiting != nullptr);
        durable = records.size();
        std::exchange(waiting, nullptr)->synced({}, durable);
    }

    std::vector<log::Record> records;
    std::deque<Buffer> payloads;
    uint64_t durable = 0;
    int syncs = 0;
    bool full = false;
    int asked_for_room = 0;
    log::SyncDone* waiting = nullptr;
};

constexpr uint64_t kAdd = 1;
constexpr uint64_t kAdded = 2;

/// Adds numbers; refuses zero and whatever would make the sum exceed 100. Writes down what happens.
class Adder final : public Domain {
public:
    explicit Adder(std::vector<std::string>& trace) : trace_(trace) {}

    void decide(const Command& command, Decision& decision) override {
        uint64_t value = 0;
        memcpy(&value, command.payload.data(), sizeof value);
        decision.emit(kAdded, command.payload);
        if (value == 0) return decision.reject({1, "zero changes nothing"});
        if (sum + value > 100) decision.reject({5, "the sum would exceed 100"});
    }
    void fold(const Event& event) override {
        uint64_t value = 0;
        memcpy(&value, event.payload.data(), sizeof value);
        sum += value;
        trace_.push_back("fold " + std::to_string(event.seq));
    }
    void react(const Event& event) override {
        trace_.push_back("react " + std::to_string(event.seq));
    }

    uint64_t sum = 0;

private:
    std::vector<std::string>& trace_;
};

struct PipelineTest : testing::Test, Publisher {
    void publish(const Event& event) override {
        trace.push_back("publish " + std::to_string(event.seq));
    }

    void add(uint64_t value, uint8_t id) {
        Command command;
        command.id.bytes.fill(id);
        command.type = kAdd;
        command.payload.resize(8);
        memcpy(command.payload.data(), &value, 8);
        pipeline.submit(std::move(command), [this](const Reply& reply) {
            last = reply;
            trace.push_back(reply.accepted ? "reply " + std::to_string(reply.first_seq)
                                           : "reject " + reply.rejection.message);
        });
    }

    std::vector<std::string> trace;
    Reply last;
    MemoryLog log;
    Adder adder{trace};
    Pipeline pipeline{adder, log, *this};
};

using Trace = std::vector<std::string>;

TEST_F(PipelineTest, nothing_is_observable_before_the_sync_completed) {
    add(7, 1);
    pipeline.turn_end();
    pipeline.when_durable([this] { trace.push_back("read"); });
    EXPECT_EQ(trace, (Trace{"fold 1"}));
    log.complete_sync();
    EXPECT_EQ(trace, (Trace{"fold 1", "reply 1", "react 1", "publish 1", "read"}));
}

TEST_F(PipelineTest, what_queued_in_one_turn_is_one_batch_with_one_sync) {
    for (uint8_t i = 1; i <= 10; ++i) add(i, i);
    pipeline.turn_end();
    add(11, 11);
    pipeline.turn_end();
    EXPECT_EQ(log.syncs, 1);
    log.complete_sync();
    pipeline.turn_end();
    EXPECT_EQ(log.syncs, 2);
    log.complete_sync();
    EXPECT_EQ(adder.sum, 66u);
}

TEST_F(PipelineTest, a_command_is_decided_against_what_was_folded_before_it_in_the_same_batch) {
    add(60, 1);
    add(60, 2);
    pipeline.turn_end();
    log.complete_sync();
    EXPECT_EQ(log.records.size(), 1u);
    EXPECT_EQ(last.rejection.message, "the sum would exceed 100");
    EXPECT_EQ(adder.sum, 60u);
}

TEST_F(PipelineTest, a_rejection_leaves_no_event_and_needs_no_sync) {
    add(0, 1);
    pipeline.turn_end();
    EXPECT_EQ(trace, (Trace{"reject zero changes nothing"}));
    EXPECT_EQ(log.syncs, 0);
    EXPECT_TRUE(pipeline.quiescent());
}

TEST_F(PipelineTest, a_retry_is_answered_with_the_seq_of_then_and_decided_once) {
    add(5, 9);
    add(5, 9);
    pipeline.turn_end();
    log.complete_sync();
    EXPECT_EQ(adder.sum, 5u);
    EXPECT_TRUE(last.retried);
    EXPECT_EQ(last.first_seq, 1u);
}

TEST_F(PipelineTest, command_ids_survive_replay_and_the_snapshot) {
    add(5, 9);
    pipeline.turn_end();
    log.complete_sync();

    Adder again{trace};
    Pipeline replayed{again, log, *this};
    ASSERT_TRUE(replay(log, 1, replayed.core(), again));
    Pipeline loaded{again, log, *this};
    ASSERT_TRUE(loaded.core().load(pipeline.core().save()));
    for (Pipeline* restarted : {&replayed, &loaded}) {
        Command retry;
        retry.id.bytes.fill(9);
        retry.payload.resize(8, 1);
        Reply reply;
        restarted->submit(std::move(retry), [&](const Reply& told) { reply = told; });
        restarted->turn_end();
        EXPECT_TRUE(reply.retried);
        EXPECT_EQ(reply.first_seq, 1u);
    }
    EXPECT_EQ(again.sum, 5u);
}

TEST_F(PipelineTest, a_command_that_a_plugin_repeats_is_decided_once_also_after_replay) {
    const auto reaction = [] {
        Command command;
        command.id.bytes.fill(7);
        command.cause_seq = 1;
        command.payload.resize(8, 0);
        command.payload[0] = 4;
        return command;
    };
    add(1, 1);
    Reply reply;
    for (const bool repeated : {false, true}) {
        pipeline.submit(reaction(), [&](const Reply& told) { reply = told; });
        pipeline.turn_end();
        if (!repeated) log.complete_sync();
        EXPECT_EQ(reply.retried, repeated);
    }
    EXPECT_EQ(adder.sum, 5u);

    Core again(adder);
    for (const log::Record& record : log.records) {
        Event event{};
        event.seq = record.seq;
        event.cause_seq = record.cause_seq;
        event.command_id = record.command_id;
        again.remember(event);
    }
    Batch batch;
    again.step(reaction(), [&](const Reply& told) { reply = told; }, log.next_seq(), batch);
    EXPECT_TRUE(batch.events.empty());
}

TEST(CoreMemory, an_outcome_right_behind_its_decision_is_no_part_of_it) {
    std::vector<std::string> trace;
    Adder adder{trace};
    Core replayed(adder), loaded(adder);
    Event event{};
    event.command_id.bytes.fill(7);
    event.seq = 5;
    event.time_ns = 100;
    replayed.remember(event);
    ASSERT_TRUE(loaded.load(replayed.save()).has_value());
    event.seq = 6;
    event.time_ns = 200;
    replayed.remember(event);
    loaded.remember(event);
    EXPECT_EQ(replayed.save(), loaded.save());
}

TEST_F(PipelineTest, the_first_event_tells_which_command_it_was_and_who_sent_it) {
    Command command;
    command.id.bytes.fill(3);
    command.type = kAdd;
    command.payload = {2, 0, 0, 0, 0, 0, 0, 0};
    command.uid = 1000;
    command.pid = 77;
    command.client = "a test";
    pipeline.submit(command, {});
    command.id.bytes.fill(4);
    command.origin = Command::Origin::proposal;
    command.cause_seq = 1;
    pipeline.submit(command, {});
    pipeline.turn_end();
    log.complete_sync();
    const log::Sender sender = log::decode_sender(log.records[0].sender);
    EXPECT_EQ(sender.command_type, kAdd);
    EXPECT_EQ(sender.uid, 1000u);
    EXPECT_EQ(sender.pid, 77u);
    EXPECT_EQ(sender.client, "a test");
    ASSERT_EQ(log.records.size(), 2u);
    EXPECT_TRUE(log.records[1].sender.empty()) << "nobody sent what is proposed";
}

TEST_F(PipelineTest, a_command_whose_id_is_zeros_is_refused_and_is_no_retry) {
    Command observed;   // what a plugin found at its start has no command at its root
    observed.origin = Command::Origin::proposal;
    observed.payload = {3, 0, 0, 0, 0, 0, 0, 0};
    pipeline.submit(observed, {});
    pipeline.turn_end();
    log.complete_sync();
    add(5, 0);
    pipeline.turn_end();
    EXPECT_FALSE(last.accepted);
    EXPECT_FALSE(last.retried);
    EXPECT_EQ(last.rejection.message, kNoCommandId);
    EXPECT_EQ(adder.sum, 3u);
}

TEST_F(PipelineTest, a_full_disk_refuses_commands_and_keeps_proposals_waiting) {
    log.full = true;
    add(1, 1);
    Command outcome;
    outcome.origin = Command::Origin::proposal;
    outcome.cause_seq = 1;
    outcome.payload.resize(8, 0);
    outcome.payload[0] = 3;
    pipeline.submit(std::move(outcome), {});
    pipeline.turn_end();
    EXPECT_NE(last.rejection.message.find("ENOSPC"), std::string::npos);
    EXPECT_TRUE(pipeline.has_work());
    log.full = false;
    pipeline.turn_end();
    log.complete_sync();
    EXPECT_EQ(adder.sum, 3u);
}

TEST_F(PipelineTest, full_disk_is_tried_once_per_turn_and_all_are_refused) {
    log.full = true;
    log.asked_for_room = 0;
    for (uint8_t i = 1; i <= 5; ++i) add(i, i);
    pipeline.turn_end();
    EXPECT_EQ(log.asked_for_room, 1);
    EXPECT_FALSE(pipeline.has_work());
    EXPECT_NE(last.rejection.message.find("ENOSPC"), std::string::npos);
    log.full = false;
    add(6, 1);
    pipeline.turn_end();
    log.complete_sync();
    EXPECT_EQ(adder.sum, 6u) << "the next turn tries again";
}

TEST_F(PipelineTest, an_event_keeps_its_payload_until_it_was_published) {
    for (uint8_t i = 1; i <= 5; ++i) add(i, i);
    pipeline.turn_end();
    log.complete_sync();
    for (const log::Record& record : log.records) EXPECT_EQ(record.payload[0], record.seq);
}

}  // namespace
}  // namespace noded::core

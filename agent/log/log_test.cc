// The log in use: batches, segments, reading, release, full disks.
#include <algorithm>
#include <cerrno>

#include "agent/log/beside.h"
#include "agent/log/recovery.h"
#include "agent/log/segment.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

TEST(Log, begins_empty_and_with_seq_one) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log->next_seq(), 1u);
    EXPECT_EQ(log->oldest_seq(), 1u);
    EXPECT_EQ(log->durable_seq(), 0u);
    EXPECT_TRUE(log.read(1).empty());
    EXPECT_EQ(log.notice, "");
}

TEST(Log, of_default_size_starts_with_a_small_segment) {
    MemStorage storage;
    TestLog log(storage, {});
    ASSERT_TRUE(log.open());
    EXPECT_LE(storage.bytes(segment_name(1)).size(), 8u << 20);
    log.write(8);
    EXPECT_EQ(storage.bytes(segment_name(2)).size(), limits::log_segment_bytes)
        << "the next one is made in the background, before it is needed";
}

TEST(Log, record_is_durable_when_sync_says_so_and_not_before) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    log.append(16);
    log.append(24);
    log.start_sync();
    EXPECT_TRUE(log->sync_under_way());
    EXPECT_FALSE(log.result);
    EXPECT_EQ(log->durable_seq(), 0u);
    EXPECT_TRUE(log.read(1).empty());
    storage.run();
    EXPECT_TRUE(log.result);
    EXPECT_FALSE(log->sync_under_way());
    EXPECT_EQ(log->durable_seq(), 2u);
    EXPECT_EQ(log.durable_seq, 2u);
    EXPECT_EQ(log.read(1).size(), 2u);
}

TEST(Log, appends_while_a_sync_is_under_way_form_the_next_batch) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    log.append(16);
    log.start_sync();
    log.append(8);
    ASSERT_TRUE(storage.run_one());
    EXPECT_EQ(log->durable_seq(), 1u);
    log.start_sync();
    storage.run();
    EXPECT_EQ(log->durable_seq(), 2u);
    EXPECT_EQ(log.read(1)[2], payload_of(2, 8));
}

TEST(Log, holds_after_reopening_what_was_written_before) {
    MemStorage storage;
    TestLog log(storage);
    for (uint64_t round = 0; round < 20; ++round) {
        ASSERT_TRUE(log.open()) << round;
        EXPECT_EQ(log.notice, "");
        EXPECT_EQ(log->next_seq(), round + 1);
        log.write(round * 200);
        log.close();
    }
    ASSERT_TRUE(log.open());
    const auto payloads = log.read(1);
    ASSERT_EQ(payloads.size(), 20u);
    for (const auto& [seq, payload] : payloads)
        EXPECT_EQ(payload, payload_of(seq, (seq - 1) * 200));
}

TEST(Log, rolls_over_to_the_segment_that_was_prepared) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 10; ++i) log.write(3000);
    EXPECT_TRUE(storage.exists(segment_name(4)));
    EXPECT_TRUE(storage.exists(segment_name(5))) << "prepared";
    EXPECT_FALSE(storage.exists(segment_name(6)));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 10u);
    EXPECT_EQ(log.read(7).begin()->first, 7u);
}

TEST(Log, reads_pages_from_anywhere) {
    MemStorage storage;
    TestLog log(storage, {4 << 20, kTestLogId});
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 3000; ++i) log.write(2000 + i % 16 * 8);
    for (int reopened = 0; reopened < 2; ++reopened) {
        for (uint64_t first = 1; first <= 3000; first += 97) {
            std::vector<uint64_t> seqs;
            const Status status = log->read(first, [&](const Record& record) {
                seqs.push_back(record.seq);
                return seqs.size() < 10;
            });
            ASSERT_TRUE(status) << status.error().message;
            ASSERT_EQ(seqs.front(), first);
            ASSERT_EQ(seqs.size(), std::min<uint64_t>(10, 3001 - first));
        }
        ASSERT_TRUE(log.open());
    }
    EXPECT_TRUE(log.read(3001).empty());
}

/// Counts what is read of the files below.
class CountingStorage final : public Storage {
public:
    explicit CountingStorage(MemStorage& below) : below_(below) {}
    uint64_t bytes_read = 0;

    Result<std::vector<std::string>> list() override { return below_.list(); }
    Result<std::vector<FileSize>> sizes() override { return below_.sizes(); }
    void limit(const Space& space) override { below_.limit(space); }
    Result<std::unique_ptr<File>> open(const std::string& name) override {
        return std::make_unique<Counted>(*this, TRY(below_.open(name)));
    }
    Result<std::unique_ptr<File>> create_zeroed(const std::string& name, uint64_t bytes) override {
        return below_.create_zeroed(name, bytes);
    }
    Status rename(const std::string& from, const std::string& to) override {
        return below_.rename(from, to);
    }
    Status remove(const std::string& name) override { return below_.remove(name); }
    Status release(const std::string& name, const std::string& keep_as) override {
        return below_.release(name, keep_as);
    }
    Status sync_names() override { return below_.sync_names(); }
    bool prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                        WriteDone& done) override {
        return below_.prepare_zeroed(name, bytes, reuse, done);
    }
    bool aside(std::function<Status(Storage&)> work, WriteDone& done) override {
        return below_.aside([this, work = std::move(work)](Storage&) { return work(*this); }, done);
    }

private:
    struct Counted final : File {
        Counted(CountingStorage& s, std::unique_ptr<File> f) : storage(s), below(std::move(f)) {}
        uint64_t size() const override { return below->size(); }
        void write_durable(uint64_t offset, Bytes data, WriteDone& done) override {
            below->write_durable(offset, data, done);
        }
        Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) override {
            storage.bytes_read += into.size();
            return below->read_at(offset, into);
        }
        Status write_now(uint64_t offset, Bytes data) override {
            return below->write_now(offset, data);
        }
        CountingStorage& storage;
        std::unique_ptr<File> below;
    };
    MemStorage& below_;
};

/// Sixteen segments of 4 MiB and one that is open.
void fill_sixteen_segments(MemStorage& storage, const LogOptions& options) {
    TestLog log(storage, options);
    ASSERT_TRUE(log.open());
    while (!storage.exists(segment_name(18))) log.write(64 << 10);
}

TEST(LogBeside, ends_where_it_is_told_also_within_a_batch) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    log.write(8);
    for (int i = 0; i < 3; ++i) log.append(8);
    log.start_sync();
    storage.run();
    for (const uint64_t last : {1, 2, 3, 4}) {
        const auto beside = open_log_beside(storage, last);
        ASSERT_TRUE(beside) << beside.error().message;
        uint64_t read = 0;
        EXPECT_TRUE((*beside)->read(1, [&](const Record& record) { return read = record.seq; }));
        EXPECT_EQ(read, last);
    }
}

TEST(LogStart, reads_headers_of_sealed_segments_and_bodies_once) {
    MemStorage memory;
    const LogOptions options{4 << 20, kTestLogId};
    fill_sixteen_segments(memory, options);
    CountingStorage storage(memory);
    std::string notice;
    auto opened = open_log(storage, &notice, options);
    ASSERT_TRUE(opened) << opened.error().message;
    // The open segment, the prepared one, and the headers of the others.
    EXPECT_LE(storage.bytes_read, (2u * 4 << 20) + (1u << 20));
    storage.bytes_read = 0;
    ASSERT_TRUE((*opened)->read(1, [](const Record&) { return true; }));
    EXPECT_LE(storage.bytes_read, 17u * (4 << 20) * 17 / 16) << "each byte once";
    memory.run();
}

TEST(LogRead, begins_near_what_is_asked_for) {
    MemStorage memory;
    const LogOptions options{4 << 20, kTestLogId};
    fill_sixteen_segments(memory, options);
    CountingStorage storage(memory);
    std::string notice;
    auto opened = open_log(storage, &notice, options);
    ASSERT_TRUE(opened);
    Log& log = **opened;
    const uint64_t wanted = log.next_seq() / 2 + 20;
    for (int reading = 0; reading < 2; ++reading) {
        storage.bytes_read = 0;
        uint64_t found = 0;
        ASSERT_TRUE(log.read(wanted, [&](const Record& r) { return found = r.seq, false; }));
        EXPECT_EQ(found, wanted);
        // The first time through the segment, from then on by its index.
        EXPECT_LE(storage.bytes_read, reading == 0 ? 5u << 20 : 2u << 20);
    }
    memory.run();
}

/// Keeps the stretches that it is told.
struct Stretches final : StretchDone {
    std::vector<Result<Stretch>> told;
    void stretch_read(Result<Stretch> stretch) override { told.push_back(std::move(stretch)); }
};

TEST(LogAside, tells_stretch_by_stretch_what_read_tells) {
    MemStorage storage;
    TestLog log(storage, small_segments(64));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 200; ++i) log.write(static_cast<size_t>(i % 17) * 200);
    Stretches stretches;
    std::map<uint64_t, Buffer> payloads;
    uint64_t first = 1;
    while (first <= 200) {
        ASSERT_TRUE(log->read_aside(first, stretches));
        EXPECT_FALSE(log->read_aside(first, stretches)) << "one at a time";
        log.append(8);   // the node goes on
        log.start_sync();
        storage.run();
        ASSERT_TRUE(stretches.told.back()) << stretches.told.back().error().message;
        for (const Record& record : stretches.told.back()->records) {
            EXPECT_EQ(record.seq, first++);
            EXPECT_EQ(record.time_ns, record_of(record.seq, {}).time_ns);
            payloads[record.seq] = Buffer(record.payload.begin(), record.payload.end());
        }
    }
    EXPECT_GT(stretches.told.size(), 3u) << "one ends with its segment at the latest";
    for (size_t i = 0; i + 1 < stretches.told.size(); ++i)
        EXPECT_FALSE(stretches.told[i]->to_end);
    EXPECT_TRUE(stretches.told.back()->to_end);
    auto expected = log.read(1);
    expected.erase(expected.lower_bound(first), expected.end());
    EXPECT_EQ(payloads, expected);
    EXPECT_FALSE(log->read_aside(log->next_seq(), stretches)) << "there is nothing";
}

TEST(LogAside, holds_no_more_than_its_limits_and_reads_nothing_twice) {
    MemStorage memory;
    CountingStorage storage(memory);
    std::string notice;
    auto log = open_log(storage, &notice, {64 << 20, kTestLogId});
    ASSERT_TRUE(log);
    struct Synced final : SyncDone {
        void synced(Status, uint64_t) override {}
    } done;
    constexpr uint64_t kRecords = 6007;
    const Buffer payload = payload_of(1, 2000);
    for (uint64_t seq = 1; seq <= kRecords; ++seq) {
        (*log)->append(record_of(seq, payload));
        if (seq % 16 != 0 && seq != kRecords) continue;
        (*log)->sync(done);
        memory.run();
    }
    storage.bytes_read = 0;
    Stretches stretches;
    for (uint64_t first = 1; first <= kRecords;) {
        ASSERT_TRUE((*log)->read_aside(first, stretches));
        memory.run();
        ASSERT_TRUE(stretches.told.back());
        const auto& records = stretches.told.back()->records;
        EXPECT_LE(records.size() * payload.size(), limits::log_stretch_bytes_max);
        first = records.back().seq + 1;
    }
    EXPECT_LE(stretches.told.size(), 8u);
    EXPECT_LT(storage.bytes_read, 2 * kRecords * payload.size());
}

TEST(LogAside, damage_is_told_with_its_place) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    log.write(104);
    storage.bytes(segment_name(1))[kBlock + 200] ^= 1;
    Stretches stretches;
    ASSERT_TRUE(log->read_aside(1, stretches));
    storage.run();
    ASSERT_FALSE(stretches.told[0]);
    EXPECT_EQ(stretches.told[0].error().message.substr(0, 46),
              "log segment-0000000000000001 at byte 4096: the");
}

TEST(LogSeqAt, finds_the_first_event_that_is_not_older) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(*log->seq_at(0), 1u) << "an empty log: the next event";
    for (int i = 0; i < 20; ++i) log.write(3000);   // times are 1,000,001 and on
    ASSERT_TRUE(log->release_before(6));
    for (int reopened = 0; reopened < 2; ++reopened) {
        EXPECT_EQ(*log->seq_at(0), 4u) << "the oldest there is";
        for (uint64_t seq = 4; seq <= 20; ++seq) {
            EXPECT_EQ(*log->seq_at(1'000'000 + static_cast<int64_t>(seq)), seq);
        }
        EXPECT_EQ(*log->seq_at(1'000'021), 21u);
        std::vector<uint64_t> aside;
        for (uint64_t seq = 4; seq <= 21; ++seq)
            log->seq_at_aside(1'000'000 + static_cast<int64_t>(seq),
                              [&aside](Result<uint64_t> found) { aside.push_back(*found); });
        storage.run();
        std::ranges::sort(aside);
        ASSERT_EQ(aside.size(), 18u);
        for (uint64_t seq = 4; seq <= 21; ++seq) EXPECT_EQ(aside[seq - 4], seq);
        ASSERT_TRUE(log.open());
    }
}

TEST(LogSeqAt, finds_a_step_up_where_the_clock_was_set_back) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    std::vector<int64_t> times{0};
    for (uint64_t seq = 1; seq <= 40; ++seq) {
        times.push_back(static_cast<int64_t>(seq % 10 * 100));
        Buffer payload = payload_of(seq, 1600);
        Record record = record_of(seq, payload);
        record.time_ns = times.back();
        log->append(record);
        log.start_sync();
        storage.run();
    }
    for (int64_t time = 1; time <= 900; time += 50) {
        const uint64_t seq = *log->seq_at(time);
        ASSERT_TRUE(seq >= 1 && seq <= 41) << seq;
        if (seq <= 40) {
            EXPECT_GE(times[seq], time);
        }
        if (seq > 1) {
            EXPECT_LT(times[seq - 1], time);
        }
    }
}

TEST(Log, takes_the_largest_payload_and_the_fullest_batch) {
    MemStorage storage;
    TestLog log(storage, {});
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 3; ++i) log.append(limits::log_payload_bytes_max);
    EXPECT_FALSE(log->fits(limits::log_payload_bytes_max));
    log.start_sync();
    for (size_t i = 0; i < limits::log_batch_records_max; ++i) log.append(size_t{8});
    EXPECT_FALSE(log->fits(0));
    storage.run();
    log.start_sync();
    storage.run();
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 3 + limits::log_batch_records_max);
}

TEST(LogDeathTest, refuses_misuse) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    EXPECT_DEATH(log.start_sync(), "empty");
    EXPECT_DEATH(log->append(record_of(5, {})), "dense in seq");
    log.append(8);
    log.start_sync();
    log.append(8);
    EXPECT_DEATH(log.start_sync(), "one sync at a time");
}

TEST(LogRelease, removes_whole_segments_that_a_snapshot_covers) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 10; ++i) log.write(3000);
    ASSERT_TRUE(log->release_before(6));
    storage.run();
    EXPECT_FALSE(storage.exists(segment_name(1)));
    EXPECT_TRUE(storage.exists(segment_name(2))) << "it holds event 6";
    EXPECT_EQ(log->oldest_seq(), 4u);
    const Status status = log->read(3, [](const Record&) { return true; });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().message, "event 3 is no longer in the log, the oldest is 4");
    ASSERT_TRUE(log->release_before(1000)) << "the open segment always stays";
    EXPECT_EQ(log->oldest_seq(), 10u);
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log->oldest_seq(), 10u);
    EXPECT_EQ(log->next_seq(), 11u);
    EXPECT_EQ(log.read(10).size(), 1u);
}

TEST(LogRelease, the_end_of_the_log_stays_until_what_follows_it_is_durable) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    while (log->newest_segment() < 2) log.write(3000);
    const uint64_t last = log->durable_seq();
    while (log->newest_segment() < 3) {
        log.append(3000);
        log.start_sync();
        if (log->newest_segment() < 3) storage.run();
    }
    EXPECT_EQ(log->kept(0)[1].last_seq, 0u) << "not sealed yet";
    ASSERT_TRUE(log->release_before(log->durable_seq() + 1));
    EXPECT_TRUE(storage.exists(segment_name(2)));
    storage.run();
    EXPECT_GT(log->kept(0)[0].last_seq, last);
    ASSERT_TRUE(log->release_before(log->durable_seq() + 1));
    EXPECT_FALSE(storage.exists(segment_name(2)));
}

TEST(LogRelease, that_the_power_took_back_leaves_a_log_that_opens_and_is_whole) {
    for (const bool back : {false, true}) {
        MemStorage storage;
        TestLog log(storage, small_segments(4));
        ASSERT_TRUE(log.open());
        for (int i = 0; i < 10; ++i) log.write(3000);
        const auto before = log.read(1);
        ASSERT_TRUE(log->release_before(6));
        EXPECT_FALSE(storage.exists(segment_name(1)));
        EXPECT_TRUE(storage.exists("segment.recycled"));
        storage.crash([](size_t) { return true; });
        storage.lose_names([&](const std::string&) { return back; });
        EXPECT_EQ(storage.exists("segment.recycled"), !back);
        ASSERT_TRUE(log.open_and_replay());
        EXPECT_EQ(log->oldest_seq(), back ? 1u : 4u);
        const auto after = log.read(log->oldest_seq());
        EXPECT_TRUE(std::equal(before.find(log->oldest_seq()), before.end(), after.begin(),
                               after.end()));
        log.write(3000);
    }
}

TEST(LogRelease, that_was_synced_is_for_good) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 10; ++i) log.write(3000);
    ASSERT_TRUE(log->release_before(6));
    ASSERT_TRUE(storage.sync_names());
    storage.crash([](size_t) { return true; });
    storage.lose_names([](const std::string&) { return true; });
    EXPECT_FALSE(storage.exists(segment_name(1)));
    EXPECT_EQ(storage.met().names_back, 0u);
}

TEST(LogRelease, space_of_released_segments_is_used_again) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    // Room for five segments, and a log that is written through thirty.
    storage.set_capacity(5 * 4 * kBlock);
    for (uint64_t i = 0; i < 90; ++i) {
        ASSERT_TRUE(log->ensure_room(3000)) << i;
        const uint64_t seq = log.write(3000);
        if (seq > 3) {
            ASSERT_TRUE(log->release_before(seq - 2));
        }
        storage.run();
        if (i % 7 == 0) {
            ASSERT_TRUE(log.open()) << i;
        }
    }
    EXPECT_EQ(log.read(log->oldest_seq()).rbegin()->first, 90u);
}

TEST(LogRoom, full_disk_is_told_before_anything_is_written_and_passes) {
    MemStorage storage;
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    storage.set_capacity(2 * 4 * kBlock);
    for (int i = 0; i < 6; ++i) {
        ASSERT_TRUE(log->ensure_room(3000)) << i;
        log.write(3000);
    }
    const auto before = image_of(storage);
    const Status status = log->ensure_room(3000);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, ENOSPC);
    EXPECT_EQ(
        status.error().message,
        "make room in the log: create segment-0000000000000003: ENOSPC (No space left on device)");
    log.append(3000);
    log.start_sync();
    ASSERT_FALSE(log.result);
    EXPECT_EQ(log.result.error().code, ENOSPC);
    EXPECT_FALSE(log->sync_under_way());
    EXPECT_EQ(image_of(storage), before);

    storage.set_capacity(UINT64_MAX);
    ASSERT_TRUE(log->ensure_room(0, 0));
    log.start_sync();
    storage.run();
    ASSERT_TRUE(log.result) << "the batch stayed, and went out when there was room";
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 7u);
}

TEST(LogRoom, full_disk_gets_smaller_segments_until_it_is_really_full) {
    MemStorage storage;
    const LogOptions options{16 << 20, kTestLogId};
    TestLog log(storage, options);
    ASSERT_TRUE(log.open());
    // The first segment, a whole one, and less than half of another.
    const size_t first = storage.bytes(segment_name(1)).size();
    storage.set_capacity(first + (16 << 20) + (7 << 20));
    uint64_t seq = 0;
    while (log->ensure_room(512 << 10)) seq = log.write(512 << 10);
    EXPECT_EQ(storage.bytes(segment_name(2)).size(), 16u << 20);
    EXPECT_EQ(storage.bytes(segment_name(3)).size(), 4u << 20);
    EXPECT_EQ(storage.bytes(segment_name(4)).size(), 2u << 20);
    EXPECT_FALSE(storage.exists(segment_name(5)));
    EXPECT_EQ(log->ensure_room(512 << 10).error().code, ENOSPC);
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), seq);
    EXPECT_FALSE(log->ensure_room(512 << 10));
    storage.set_capacity(UINT64_MAX);
    ASSERT_TRUE(log->ensure_room(512 << 10));
    log.write(512 << 10);
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), seq + 1);
}

TEST(LogRoom, limit_of_bytes_is_told_before_anything_is_written_and_passes) {
    MemStorage storage;
    storage.limit({4 * 4 * kBlock, 4 * kBlock});
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    uint64_t seq = 0;
    while (log->ensure_room(3000)) seq = log.write(3000);
    EXPECT_EQ(seq, 9u) << "three segments, the fourth's room is reserved";
    EXPECT_EQ(log->ensure_room(3000).error().code, EDQUOT);
    EXPECT_TRUE(log->lacks_space());
    ASSERT_TRUE(log->release_before(seq));
    ASSERT_TRUE(log->ensure_room(3000));
    log.write(3000);
    EXPECT_FALSE(log->lacks_space());
}

TEST(LogRoom, is_made_in_line_when_nothing_was_prepared) {
    MemStorage storage;
    storage.refuse_preparations(true);
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(log->ensure_room(3000));
        log.write(3000);
    }
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 10u);
}

TEST(LogRoom, made_in_line_and_prepared_at_once_is_no_conflict) {
    MemStorage storage;
    TestLog log(storage, small_segments(2));
    ASSERT_TRUE(log.open());
    for (int i = 0; i < 40; ++i) {
        // The preparation falls behind by a few segments, and finds its own used and even released.
        storage.hold_preparations(i % 8 != 0);
        ASSERT_TRUE(log->ensure_room(3000)) << i;
        log.write(3000);
        ASSERT_TRUE(log->release_before(log->durable_seq()));
    }
    storage.hold_preparations(false);
    storage.run();
    ASSERT_TRUE(log->release_before(40));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log->oldest_seq(), 40u);
    EXPECT_EQ(log.read(40).size(), 1u);
}

TEST(LogRoom, more_than_a_batch_is_refused_as_too_large) {
    MemStorage storage;
    TestLog log(storage, small_segments(8));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log->ensure_room(8 * kBlock).error().code, EMSGSIZE);
    EXPECT_EQ(log->ensure_room(0, limits::log_batch_records_max + 1).error().code, EMSGSIZE);
    EXPECT_EQ(log->ensure_room(SIZE_MAX).error().code, EMSGSIZE);
    EXPECT_TRUE(log->ensure_room(6 * kBlock));
}

TEST(Log, failed_write_is_final) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    log.write(8);
    storage.fail_next_write(EIO);
    log.append(8);
    log.start_sync();
    storage.run();
    ASSERT_FALSE(log.result);
    EXPECT_EQ(log.result.error().code, EIO);
    EXPECT_EQ(log.durable_seq, 1u);
    EXPECT_DEATH(log.append(8), "nothing can follow a failed write");
}

TEST(Log, nonsense_options_are_refused) {
    MemStorage storage;
    std::string notice;
    EXPECT_FALSE(open_log(storage, &notice, {kBlock, 1}));
    EXPECT_FALSE(open_log(storage, &notice, {3 * kBlock + 1, 1}));
}

TEST(Log, larger_segments_than_before_may_be_configured) {
    MemStorage storage;
    TestLog small(storage, small_segments(4));
    ASSERT_TRUE(small.open());
    for (int i = 0; i < 4; ++i) small.write(3000);
    small.close();
    TestLog large(storage, small_segments(32));
    ASSERT_TRUE(large.open());
    large.write(20 * kBlock);
    ASSERT_TRUE(large.open());
    EXPECT_EQ(large.read(1).size(), 5u);
}

TEST(LogRecovery, without_repair_changes_nothing_and_tells_of_a_torn_tail) {
    MemStorage storage;
    TestLog log(storage);
    ASSERT_TRUE(log.open());
    log.write(8);
    log.append(2000);
    log.start_sync();
    storage.crash([](size_t sector) { return sector == 0; });
    log.close();
    const auto before = image_of(storage);
    std::string notice;
    const auto recovered = recover(storage, Repair::no, &notice);
    ASSERT_TRUE(recovered);
    EXPECT_EQ(recovered->next_seq, 2u);
    EXPECT_EQ(
        notice,
        "log segment-0000000000000001: a torn write of 4096 bytes at byte 8192 is left alone");
    EXPECT_EQ(image_of(storage), before);
}

}  // namespace
}  // namespace noded::log

// The log on real files through the real reactor, on a disk and on tmpfs, and killed at any moment.
#include "agent/log/storage_file.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "agent/base/fd.h"
#include "agent/log/segment.h"
#include "agent/log/beside.h"
#include "agent/log/snapshot.h"
#include "agent/log/test_log.h"
#include "agent/reactor/uring_reactor.h"

namespace noded::log {
namespace {

constexpr uint64_t kBlocks = 16;

/// A log on real files; the reactor runs until what was asked for is done.
class LogOnDisk final : public SyncDone {
public:
    Status open(const std::string& directory, const LogOptions& options) {
        reactor = TRY(reactor::UringReactor::create());
        storage = TRY(open_file_storage(*reactor, directory));
        log = TRY(open_log(*storage, &notice, options));
        return {};
    }
    ~LogOnDisk() {
        if (reactor) reactor->stop();
        log.reset();
        storage.reset();
    }

    void append(size_t payload_bytes) {
        const uint64_t seq = log->next_seq();
        log->append(record_of(seq, payload_of(seq, payload_bytes)));
    }
    void sync() {
        log->sync(*this);
        reactor->run_until([this] { return !log->sync_under_way(); });
    }
    void synced(Status status, uint64_t durable_seq) override {
        EXPECT_TRUE(status) << status.error().message;
        durable = durable_seq;
    }
    /// Reads all of it and checks every payload; returns how many records there are.
    uint64_t check(const std::function<size_t(uint64_t seq)>& payload_bytes) {
        uint64_t records = 0;
        const Status status = log->read(log->oldest_seq(), [&](const Record& record) {
            const Buffer expected = payload_of(record.seq, payload_bytes(record.seq));
            EXPECT_TRUE(std::ranges::equal(record.payload, expected)) << record.seq;
            return ++records, true;
        });
        EXPECT_TRUE(status) << status.error().message;
        return records;
    }

    std::unique_ptr<reactor::UringReactor> reactor;
    std::unique_ptr<Storage> storage;
    std::unique_ptr<Log> log;
    std::string notice;
    uint64_t durable = 0;
};

class StorageFile : public testing::TestWithParam<const char*> {
protected:
    void SetUp() override {
        std::string pattern = std::string(GetParam()) + "/noded-log-XXXXXX";
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        base = pattern;
        directory = base + "/log";
    }
    void TearDown() override { std::filesystem::remove_all(base); }

    std::string base;
    std::string directory;
};

size_t size_of(uint64_t seq) { return seq % 500 * kWordSize; }

TEST_P(StorageFile, log_holds_after_reopening_what_was_written) {
    for (uint64_t round = 0; round < 3; ++round) {
        LogOnDisk disk;
        const Status opened = disk.open(directory, small_segments(kBlocks));
        ASSERT_TRUE(opened) << opened.error().message;
        EXPECT_EQ(disk.notice, "");
        EXPECT_EQ(disk.check(size_of), round * 300);
        for (int i = 0; i < 100; ++i) {
            for (int j = 0; j < 3; ++j) disk.append(size_of(disk.log->next_seq()));
            disk.sync();
        }
        EXPECT_EQ(disk.durable, round * 300 + 300);
        EXPECT_EQ(disk.check(size_of), round * 300 + 300);
    }
}

TEST_P(StorageFile, released_segments_make_room_for_ever) {
    constexpr size_t segments = 64;
    constexpr uint64_t records_per_segment = kBlocks - 1;
    LogOnDisk disk;
    ASSERT_TRUE(disk.open(directory, small_segments(kBlocks)));
    for (uint64_t seq = 1; seq <= 2 * segments * records_per_segment; ++seq) {
        ASSERT_TRUE(disk.log->ensure_room(3000)) << seq;
        disk.append(3000);
        disk.sync();
        if (seq % 50 != 0) continue;
        ASSERT_TRUE(disk.log->release_before(seq - 20));
        ASSERT_TRUE(disk.storage->sync_names());
    }
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        bytes += entry.file_size();
    EXPECT_LE(bytes, segments * kBlocks * kBlock);
    EXPECT_EQ(disk.check([](uint64_t) { return 3000; }),
              disk.log->next_seq() - disk.log->oldest_seq());
}

TEST_P(StorageFile, next_segment_is_prepared_in_the_background) {
    LogOnDisk disk;
    ASSERT_TRUE(disk.open(directory, small_segments(kBlocks)));
    disk.append(8);
    disk.sync();
    const std::string next = directory + "/" + segment_name(2);
    for (int turns = 0; turns < 1000 && !std::filesystem::exists(next); ++turns) usleep(1000);
    EXPECT_EQ(std::filesystem::file_size(next), kBlocks * kBlock);
    struct stat info;
    ASSERT_EQ(stat(next.c_str(), &info), 0);
    EXPECT_GE(static_cast<uint64_t>(info.st_blocks) * 512, kBlocks * kBlock)
        << "its zeros are really written";
}

TEST_P(StorageFile, directory_in_use_is_refused) {
    LogOnDisk disk;
    ASSERT_TRUE(disk.open(directory, small_segments(kBlocks)));
    const auto second = open_file_storage(*disk.reactor, directory);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EWOULDBLOCK);
    EXPECT_EQ(second.error().message.find("lock " + directory), 0u) << second.error().message;
    EXPECT_TRUE(open_file_storage_read_only(directory)) << "reading goes on beside it";
}

TEST_P(StorageFile, read_only_reads_and_changes_nothing) {
    {
        LogOnDisk disk;
        ASSERT_TRUE(disk.open(directory, small_segments(kBlocks)));
        for (int i = 0; i < 50; ++i) {
            disk.append(2000);
            disk.sync();
        }
    }
    auto storage = open_file_storage_read_only(directory);
    ASSERT_TRUE(storage) << storage.error().message;
    const auto log = open_log_beside(**storage, 50);
    ASSERT_TRUE(log) << log.error().message;
    uint64_t records = 0;
    const Status read = (*log)->read(11, [&](const Record&) { return ++records, true; });
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_EQ(records, 40u);
    EXPECT_EQ((*storage)->remove(segment_name(1)).error().code, EROFS);
    EXPECT_EQ((*storage)->rename(segment_name(1), "x").error().code, EROFS);
    EXPECT_EQ((*storage)->release(segment_name(1), "").error().code, EROFS);
    EXPECT_EQ((*storage)->create_zeroed("x", 0).error().code, EROFS);
}

TEST_P(StorageFile, snapshot_survives_on_disk) {
    LogOnDisk disk;
    ASSERT_TRUE(disk.open(directory, small_segments(kBlocks)));
    disk.append(8);
    disk.sync();
    const Buffer state = payload_of(1, (5 << 20) + 3);
    const SnapshotSection sections[] = {{"container", state}};
    const Status written = write_snapshot(*disk.storage, 1, sections);
    ASSERT_TRUE(written) << written.error().message;
    std::string notice;
    const auto loaded = load_newest_snapshot(*disk.storage, &notice);
    ASSERT_TRUE(loaded) << loaded.error().message;
    ASSERT_TRUE(*loaded) << notice;
    EXPECT_EQ((*loaded)->find("container")->data, state);
}

TEST_P(StorageFile, flipped_bit_is_refused_with_file_and_position) {
    {
        LogOnDisk disk;
        ASSERT_TRUE(disk.open(directory, small_segments(kBlocks)));
        for (int i = 0; i < 3; ++i) {
            disk.append(3000);
            disk.sync();
        }
    }
    {
        std::fstream file(directory + "/" + segment_name(1),
                          std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(2 * kBlock + 1000);
        file.put('\0');
    }
    LogOnDisk disk;
    const Status status = disk.open(directory, small_segments(kBlocks));
    ASSERT_FALSE(status);
    EXPECT_NE(status.error().message.find("log segment-0000000000000001 at byte 8192: "),
              std::string::npos)
        << status.error().message;
}

/// Writes for ever and reports each acknowledged seq; runs in a process that is killed.
[[noreturn]] void write_until_killed(const std::string& directory, int report) {
    LogOnDisk disk;
    if (!disk.open(directory, small_segments(kBlocks))) _exit(1);
    for (;;) {
        for (uint64_t i = 0; i < 1 + disk.log->next_seq() % 3; ++i) {
            if (disk.log->fits(size_of(disk.log->next_seq())))
                disk.append(size_of(disk.log->next_seq()));
        }
        disk.sync();
        if (disk.durable > 40 && !disk.log->release_before(disk.durable - 40)) _exit(2);
        if (write(report, &disk.durable, sizeof disk.durable) != sizeof disk.durable) _exit(3);
    }
}

TEST_P(StorageFile, nothing_acknowledged_is_lost_when_the_writer_is_killed_at_any_moment) {
    uint64_t acknowledged = 0;
    for (int round = 0; round < 12; ++round) {
        int ends[2];
        ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
        const Fd reading(ends[0]);
        Fd reporting(ends[1]);
        const pid_t pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) write_until_killed(directory, reporting.get());
        reporting.reset();
        usleep(3000 + round * 5000);
        ASSERT_EQ(kill(pid, SIGKILL), 0);
        int how = 0;
        ASSERT_EQ(waitpid(pid, &how, 0), pid);
        ASSERT_TRUE(WIFSIGNALED(how)) << "it ended by itself: " << WEXITSTATUS(how);
        for (uint64_t seq; read(reading.get(), &seq, sizeof seq) == sizeof seq;) acknowledged = seq;

        LogOnDisk disk;
        const Status opened = disk.open(directory, small_segments(kBlocks));
        ASSERT_TRUE(opened) << opened.error().message;
        EXPECT_GE(disk.log->durable_seq(), acknowledged);
        EXPECT_EQ(disk.check(size_of), disk.log->next_seq() - disk.log->oldest_seq());
    }
    EXPECT_GT(acknowledged, 40u);
}

INSTANTIATE_TEST_SUITE_P(On, StorageFile, testing::Values("/tmp", "/dev/shm"),
                         [](const auto& info) {
                             return std::string(info.param) == "/tmp" ? "disk" : "tmpfs";
                         });

}  // namespace
}  // namespace noded::log

// Old logs are tests for ever: what nodeds of all formats wrote is read today, and what one writes
// today is what was kept, byte for byte but for what zstd makes of it.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "agent/base/crc32c.h"
#include "agent/log/archive.h"
#include "agent/log/segment.h"
#include "agent/log/sender.h"
#include "agent/log/snapshot.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

constexpr char kOldest[] = "format-1/";
constexpr char kNewest[] = "format-2/";

/// The tests run in the root of the sources.
Buffer kept(const std::string& name) {
    std::ifstream file("agent/log/testdata/" + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return Buffer(std::istreambuf_iterator<char>(file), {});
}

constexpr size_t kSizes[] = {16, 0, 2000, 2400, 5000, 8, 3000};

/// The seqs of events that begin a command, and what its sender says of itself.
std::string client_of(uint64_t seq) {
    return seq == 1 ? "nodectl run" : seq == 5 ? std::string(64, 'x') : seq == 6 ? "" : "-";
}

Buffer payload_kept(uint64_t seq) {
    return seq == 4 ? Buffer(kSizes[3]) : payload_of(seq, kSizes[seq - 1]);   // needs a mask
}

void append(TestLog& log, uint64_t seq) {
    const Buffer payload = payload_kept(seq);
    EncodedSender encoded;
    const std::string client = client_of(seq);
    Record record = record_of(seq, payload);
    if (client != "-")
        record.sender =
            encode_sender({0xC0DE0000 + seq, 1000, 100, uint32_t(seq), client}, encoded);
    log->append(record);
}

/// What the kept files hold: the archive of a segment, a sealed one and an open one, a prepared
/// one, a masked batch, senders, a snapshot.
void write_what_is_kept(MemStorage& storage) {
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    for (uint64_t seq = 1; seq <= std::size(kSizes); ++seq) {
        append(log, seq);
        if (seq == 2 || seq == 3) continue;   // one batch with the fourth
        log.start_sync();
        storage.run();
    }
    log.close();
    ASSERT_TRUE(make_archive(storage, 1, 4));
    ASSERT_TRUE(storage.remove(segment_name(1)));
    const Buffer state = payload_of(6, 100);
    const SnapshotSection sections[] = {{"container", state}, {"stats", {}}};
    ASSERT_TRUE(write_snapshot(storage, 6, sections));
}

const std::vector<std::string> kOldestNames{segment_name(1), segment_name(2), segment_name(3),
                                            segment_name(4), numbered_name(kSnapshotPrefix, 6)};
const std::vector<std::string> kNewestNames{archive_file({1, 1, 4}), segment_name(2),
                                            segment_name(3), segment_name(4),
                                            numbered_name(kSnapshotPrefix, 6)};

/// For whoever begins a new format: the files as they are written today.
void write_outputs(const std::string& name, const Buffer& bytes) {
    const char* const folder = getenv("TEST_UNDECLARED_OUTPUTS_DIR");
    if (folder == nullptr) return;
    std::string flat = name;
    std::ranges::replace(flat, '/', '+');
    std::ofstream(std::string(folder) + "/" + flat, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

/// What an archive holds, which is the same whatever zstd made of it.
Buffer unpacked(MemStorage& storage) {
    auto archive = Archive::open(storage, kNewestNames[0], {1, 1, 4});
    EXPECT_TRUE(archive) << archive.error().message;
    if (!archive) return {};
    Buffer segment((*archive)->size());
    EXPECT_EQ((*archive)->read_at(0, segment), segment.size());
    return segment;
}

TEST(LogFormat, written_today_equals_the_one_that_was_kept) {
    MemStorage storage, old;
    write_what_is_kept(storage);
    EXPECT_EQ(*storage.list(), kNewestNames);
    for (const std::string& name : kNewestNames) write_outputs(name, storage.bytes(name));
    for (const std::string& name : kNewestNames) {
        if (is_in_archive(name)) continue;
        EXPECT_TRUE(storage.bytes(name) == kept(kNewest + name)) << name;
    }
    old.put(kNewestNames[0], kept(kNewest + kNewestNames[0]));
    EXPECT_EQ(unpacked(storage), unpacked(old));
}

void expect_what_was_kept(const std::string& folder, const std::vector<std::string>& names,
                          bool with_senders) {
    MemStorage storage;
    for (const std::string& name : names) storage.put(name, kept(folder + name));
    TestLog log(storage, small_segments(4));
    const Status opened = log.open();
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(log.notice, "");
    const auto payloads = log.read(1);
    ASSERT_EQ(payloads.size(), std::size(kSizes));
    for (const auto& [seq, payload] : payloads) EXPECT_EQ(payload, payload_kept(seq)) << seq;
    EXPECT_TRUE(log->read(1, [&](const Record& record) {
        const std::string client = client_of(record.seq);
        EXPECT_EQ(record.sender.empty(), !with_senders || client == "-") << record.seq;
        if (record.sender.empty()) return true;
        EXPECT_EQ(decode_sender(record.sender).client, client);
        return true;
    }));
    std::string notice;
    const auto snapshot = load_newest_snapshot(storage, &notice);
    ASSERT_TRUE(snapshot);
    ASSERT_TRUE(*snapshot) << notice;
    EXPECT_EQ((*snapshot)->seq, 6u);
    EXPECT_EQ((*snapshot)->find("container")->data, payload_of(6, 100));
    EXPECT_TRUE((*snapshot)->find("stats")->data.empty());
}

TEST(LogFormat, one_is_read_for_ever) { expect_what_was_kept(kOldest, kOldestNames, false); }

TEST(LogFormat, two_is_read_for_ever_with_senders_and_an_archive) {
    expect_what_was_kept(kNewest, kNewestNames, true);
}

TEST(LogFormat, one_is_gone_on_with_in_a_new_segment) {
    MemStorage storage;
    for (const std::string& name : kOldestNames) storage.put(name, kept(kOldest + name));
    const Buffer open_then = storage.bytes(segment_name(3));
    {
        TestLog log(storage, small_segments(4));
        ASSERT_TRUE(log.open());
        log.write(8);
        log.close();
    }
    EXPECT_EQ(storage.bytes(segment_name(3)), open_then);
    SegmentHeader header;
    memcpy(&header, storage.bytes(segment_name(4)).data(), sizeof header);
    EXPECT_EQ(header.version, kFormatVersion);
    EXPECT_EQ(header.first_seq, 8u);
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    EXPECT_EQ(log.read(1).size(), 8u);
}

TEST(LogFormat, a_newer_one_is_refused_with_a_sentence) {
    MemStorage storage;
    for (const std::string& name : kOldestNames) storage.put(name, kept(kOldest + name));
    Buffer& segment = storage.bytes(segment_name(1));
    segment[8] = kFormatVersion + 1;
    const uint32_t crc = crc32c(Bytes(segment).first(kHeaderCrcBytes));
    memcpy(segment.data() + kHeaderCrcBytes, &crc, sizeof crc);
    TestLog log(storage, small_segments(4));
    const Status opened = log.open();
    ASSERT_FALSE(opened);
    EXPECT_NE(opened.error().message.find("format 3 was written by another noded"),
              std::string::npos)
        << opened.error().message;
}

}  // namespace
}  // namespace noded::log

// Old logs are tests for ever: what a noded of format 1 wrote is read today, and written today byte
// for byte.
#include <fstream>
#include <iterator>

#include "agent/log/segment.h"
#include "agent/log/snapshot.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

/// The tests run in the root of the sources.
Buffer kept(const std::string& name) {
    std::ifstream file("agent/log/testdata/format-1/" + name, std::ios::binary);
    EXPECT_TRUE(file) << name;
    return Buffer(std::istreambuf_iterator<char>(file), {});
}

/// What the kept files hold: two sealed segments and an open one, a masked batch, a snapshot.
void write_what_is_kept(MemStorage& storage) {
    TestLog log(storage, small_segments(4));
    ASSERT_TRUE(log.open());
    log.write(16);
    log.append(0);
    log.append(2000);
    log.append(Buffer(2400));  // zeros: this batch needs a mask
    log.start_sync();
    storage.run();
    log.write(5000);
    log.write(8);
    log.write(3000);
    log.close();
    const Buffer state = payload_of(6, 100);
    const SnapshotSection sections[] = {{"container", state}, {"stats", {}}};
    ASSERT_TRUE(write_snapshot(storage, 6, sections));
}

const std::vector<std::string> kNames{segment_name(1), segment_name(2), segment_name(3),
                                      segment_name(4), numbered_name(kSnapshotPrefix, 6)};

TEST(LogFormat, written_today_equals_the_one_that_was_kept) {
    MemStorage storage;
    write_what_is_kept(storage);
    EXPECT_EQ(*storage.list(), kNames);
    for (const std::string& name : kNames) EXPECT_TRUE(storage.bytes(name) == kept(name)) << name;
}

TEST(LogFormat, one_is_read_for_ever) {
    MemStorage storage;
    for (const std::string& name : kNames) storage.put(name, kept(name));
    TestLog log(storage, small_segments(4));
    const Status opened = log.open();
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(log.notice, "");
    const auto payloads = log.read(1);
    ASSERT_EQ(payloads.size(), 7u);
    const size_t sizes[] = {16, 0, 2000, 2400, 5000, 8, 3000};
    for (const auto& [seq, payload] : payloads) {
        EXPECT_EQ(payload, seq == 4 ? Buffer(2400) : payload_of(seq, sizes[seq - 1])) << seq;
    }
    std::string notice;
    const auto snapshot = load_newest_snapshot(storage, &notice);
    ASSERT_TRUE(snapshot);
    ASSERT_TRUE(*snapshot) << notice;
    EXPECT_EQ((*snapshot)->seq, 6u);
    EXPECT_EQ((*snapshot)->find("container")->data, payload_of(6, 100));
    EXPECT_TRUE((*snapshot)->find("stats")->data.empty());
}

}  // namespace
}  // namespace noded::log

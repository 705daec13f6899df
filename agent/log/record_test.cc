// Records and batches as bytes.
#include "agent/log/record.h"

#include "agent/log/batch.h"
#include "agent/log/segment.h"
#include "agent/log/sender.h"
#include "agent/log/test_log.h"

namespace noded::log {
namespace {

TEST(LogRecord, survives_the_round_trip) {
    for (const size_t bytes : {size_t{0}, size_t{8}, size_t{264}, limits::log_payload_bytes_max}) {
        const Buffer payload = payload_of(7, bytes);
        Buffer encoded(record_bytes(bytes));
        ASSERT_EQ(encode_record(record_of(7, payload), encoded), encoded.size());
        Record record;
        const auto size = decode_record(encoded, record);
        ASSERT_TRUE(size) << size.error().message;
        EXPECT_EQ(*size, encoded.size());
        EXPECT_EQ(record.seq, 7u);
        EXPECT_EQ(record.time_ns, record_of(7, {}).time_ns);
        EXPECT_EQ(record.command_id, record_of(7, {}).command_id);
        EXPECT_TRUE(std::equal(payload.begin(), payload.end(), record.payload.begin(),
                               record.payload.end()));
    }
}

TEST(LogRecord, with_any_bit_flipped_or_any_byte_missing_is_refused) {
    Buffer encoded(record_bytes(24));
    encode_record(record_of(3, payload_of(3, 24)), encoded);
    Record record;
    for (size_t bit = 0; bit < encoded.size() * 8; ++bit) {
        encoded[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        EXPECT_FALSE(decode_record(encoded, record)) << "bit " << bit;
        encoded[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
    for (size_t size = 0; size < encoded.size(); ++size) {
        EXPECT_FALSE(decode_record(Bytes(encoded).first(size), record)) << size << " bytes";
    }
    EXPECT_TRUE(decode_record(encoded, record));
}

/// What stands with the first event of a command that somebody sent.
Record record_with_sender(uint64_t seq, Bytes payload, const Sender& sender,
                          EncodedSender& encoded) {
    Record record = record_of(seq, payload);
    record.sender = encode_sender(sender, encoded);
    return record;
}

TEST(LogRecord, tells_who_sent_the_command) {
    const std::string longest(limits::command_client_bytes_max, 'x');
    for (const std::string& client : {std::string(), std::string("nodectl run"), longest}) {
        EncodedSender encoded_sender;
        const Sender sender{0xC0DE, 1000, 100, 4242, client};
        const Buffer payload = payload_of(5, 264);
        const Record written = record_with_sender(5, payload, sender, encoded_sender);
        Buffer encoded(record_bytes(written.sender.size() + payload.size()));
        ASSERT_EQ(encode_record(written, encoded), encoded.size());
        Record record;
        const auto size = decode_record(encoded, record);
        ASSERT_TRUE(size) << size.error().message;
        EXPECT_EQ(*size, encoded.size());
        EXPECT_EQ(Buffer(record.payload.begin(), record.payload.end()), payload);
        const Sender read = decode_sender(record.sender);
        EXPECT_EQ(read.command_type, sender.command_type);
        EXPECT_EQ(read.uid, sender.uid);
        EXPECT_EQ(read.gid, sender.gid);
        EXPECT_EQ(read.pid, sender.pid);
        EXPECT_EQ(read.client, client);
    }
}

TEST(LogRecord, with_a_sender_and_any_bit_flipped_or_any_byte_missing_is_refused) {
    EncodedSender encoded_sender;
    const Buffer payload = payload_of(3, 24);
    const Record written =
        record_with_sender(3, payload, {1, 2, 3, 4, "nodectl rm"}, encoded_sender);
    Buffer encoded(record_bytes(written.sender.size() + payload.size()));
    encode_record(written, encoded);
    Record record;
    for (size_t bit = 0; bit < encoded.size() * 8; ++bit) {
        encoded[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
        EXPECT_FALSE(decode_record(encoded, record)) << "bit " << bit;
        encoded[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    }
    for (size_t size = 0; size < encoded.size(); ++size) {
        EXPECT_FALSE(decode_record(Bytes(encoded).first(size), record)) << size << " bytes";
    }
    EXPECT_TRUE(decode_record(encoded, record));
}

TEST(LogRecordDeathTest, of_an_impossible_size_is_a_bug) {
    Buffer into(2 << 20);
    EXPECT_DEATH(encode_record(record_of(1, Buffer(7)), into), "whole number of words");
    EXPECT_DEATH(encode_record(record_of(1, Buffer(limits::log_payload_bytes_max + 8)), into),
                 "payload");
}

/// What the mask is for: whatever is in a payload, no sector looks as if it had never been written.
void expect_every_sector_is_told_from_an_unwritten_one(Bytes payload) {
    BatchBuffer batch(64 * kBlock);
    batch.append(record_of(1, payload));
    const Bytes sealed = batch.seal({kTestLogId, 1}, nullptr);
    for (size_t at = 0; at < sealed.size(); at += kSector) {
        EXPECT_EQ(words_unlike(sealed.data() + at, 0), 2u) << "sector at byte " << at;
    }
    Buffer copy(sealed.begin(), sealed.end());
    BatchHeader header;
    std::string why;
    ASSERT_EQ(parse_batch_header(copy, {kTestLogId, 1}, copy.size(), header, why),
              HeaderState::valid)
        << why;
    ASSERT_TRUE(open_batch(copy, header));
    Record record;
    ASSERT_TRUE(decode_record(Bytes(copy).subspan(sizeof header), record));
    EXPECT_TRUE(
        std::equal(payload.begin(), payload.end(), record.payload.begin(), record.payload.end()));
}

TEST(LogBatch, of_zeros_has_no_sector_of_zeros) {
    expect_every_sector_is_told_from_an_unwritten_one(Buffer(5 * kBlock));
}

TEST(LogBatch, with_a_single_bit_per_sector_has_two_words_in_each) {
    Buffer payload(5 * kBlock);
    for (size_t at = 0; at < payload.size(); at += kSector) payload[at] = 0x10;
    expect_every_sector_is_told_from_an_unwritten_one(payload);
}

TEST(LogBatch, whose_payload_imitates_the_masks_gets_another_one) {
    // Sectors that are all one mask word each, for the first hundred masks: each of them is ruled
    // out in turn.
    Buffer payload(128 * kSector + kBlock);
    uint64_t mask = 0;
    for (size_t sector = 0; sector < 100; ++sector) {
        for (size_t word = 0; word < kSector / 8; ++word) {
            memcpy(payload.data() + sector * kSector + word * 8 + (kSector - 136), &mask, 8);
        }
        mask = mask * 6364136223846793005u + 1442695040888963407u;
    }
    expect_every_sector_is_told_from_an_unwritten_one(payload);
}

}  // namespace
}  // namespace noded::log

// Frames over a socket pair: cut anywhere, glued together, too large, and with descriptors.
#include "ipc/rpc/frames.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <string>

namespace noded::rpc {
namespace {

using capnp::word;

class FramesTest : public testing::Test {
protected:
    void SetUp() override {
        std::array<int, 2> ends;
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()),
                  0);
        near.reset(ends[0]);
        far.reset(ends[1]);
    }

    // A message of one segment that holds `value` over and over.
    static void add(FrameWriter& writer, uint64_t value, size_t words = 4,
                    std::vector<int> fds = {}) {
        std::vector<uint64_t> content(words, value);
        const auto segment = kj::arrayPtr(reinterpret_cast<const word*>(content.data()), words);
        ASSERT_TRUE(writer.add(kj::arrayPtr(fds.data(), fds.size()), kj::arrayPtr(&segment, 1)));
    }

    // What one recvmsg(2) brings.
    Status receive_once() {
        msghdr message;
        reader.prepare(message);
        const ssize_t count = recvmsg(far.get(), &message, MSG_CMSG_CLOEXEC);
        if (count < 0) return fail_errno(errno, "receive");
        return reader.received(message, static_cast<size_t>(count));
    }

    // All messages that are whole by now, as their first value and the sizes of the files they
    // carry.
    std::string taken() {
        std::string all;
        for (;;) {
            auto message = reader.next();
            if (!message) return all + "error: " + message.error().message;
            if (message->get() == nullptr) return all;
            all += std::to_string(
                *reinterpret_cast<const uint64_t*>((*message)->reader().getSegment(0).begin()));
            for (const kj::AutoCloseFd& fd : (*message)->getAttachedFds()) {
                struct stat info;
                EXPECT_EQ(fstat(fd.get(), &info), 0);
                all += "+" + std::to_string(info.st_size);
            }
            all += " ";
        }
    }

    // A file by whose size it is recognized.
    static Fd file_of(off_t size) {
        Fd fd(memfd_create("frames", MFD_CLOEXEC));
        EXPECT_EQ(ftruncate(fd.get(), size), 0);
        return fd;
    }

    Fd near, far;
    FrameReader reader;
};

TEST_F(FramesTest, messages_that_arrive_together_are_taken_one_by_one) {
    FrameWriter writer;
    for (uint64_t value = 1; value <= 3; ++value) add(writer, value);
    ASSERT_TRUE(writer.flush(near.get()).value());
    ASSERT_TRUE(receive_once());
    EXPECT_EQ(taken(), "1 2 3 ");
    EXPECT_FALSE(reader.within_message());
}

TEST_F(FramesTest, message_cut_at_every_byte_arrives_whole) {
    std::vector<uint64_t> content(3, 7);
    const std::array segments{kj::arrayPtr(reinterpret_cast<const word*>(content.data()), 1),
                              kj::arrayPtr(reinterpret_cast<const word*>(content.data()), 2)};
    const auto bytes = capnp::messageToFlatArray(kj::arrayPtr(segments.data(), segments.size()));
    const size_t size = bytes.asBytes().size();
    for (size_t cut = 1; cut < size; ++cut) {
        ASSERT_EQ(send(near.get(), bytes.asBytes().begin(), cut, 0), static_cast<ssize_t>(cut));
        ASSERT_TRUE(receive_once());
        ASSERT_EQ(taken(), "");
        ASSERT_TRUE(reader.within_message());
        ASSERT_EQ(send(near.get(), bytes.asBytes().begin() + cut, size - cut, 0),
                  static_cast<ssize_t>(size - cut));
        ASSERT_TRUE(receive_once());
        ASSERT_EQ(taken(), "7 ") << cut;
    }
}

TEST_F(FramesTest, descriptors_stay_with_their_message_among_glued_ones) {
    const Fd one = file_of(11), two = file_of(22), three = file_of(33);
    FrameWriter writer;
    add(writer, 1);
    add(writer, 2);
    add(writer, 3, 4, {one.get(), two.get()});
    add(writer, 4);
    add(writer, 5, 4, {three.get()});
    add(writer, 6, 4, {one.get()});
    add(writer, 7);
    ASSERT_TRUE(writer.flush(near.get()).value());
    std::string all;
    while (receive_once()) all += taken();
    EXPECT_EQ(all, "1 2 3+11+22 4 5+33 6+11 7 ");
}

TEST_F(FramesTest, large_message_keeps_its_descriptors_and_its_successor_too) {
    const Fd one = file_of(11), two = file_of(22);
    FrameWriter writer;
    add(writer, 1);
    add(writer, 2, 100'000, {one.get()});
    add(writer, 3, 4, {two.get()});
    std::string all;
    for (bool done = false; !done;) {
        done = writer.flush(near.get()).value();
        while (receive_once()) all += taken();
    }
    EXPECT_EQ(all, "1 2+11 3+22 ");
    EXPECT_EQ(writer.pending(), 0u);
}

TEST_F(FramesTest, message_over_the_limit_is_refused_before_its_content_arrives) {
    const std::array<uint32_t, 2> header{0, limits::rpc_message_bytes_max / 8};
    ASSERT_EQ(send(near.get(), header.data(), sizeof header, 0), 8);
    ASSERT_TRUE(receive_once());
    EXPECT_EQ(taken(), "error: receive a message of 8388616 bytes: the limit is 8388608");
}

TEST_F(FramesTest, message_that_no_peer_takes_is_not_sent_and_disturbs_none) {
    FrameWriter writer;
    add(writer, 1);
    const std::vector<uint64_t> content(limits::rpc_message_bytes_max / 8);
    const auto segment =
        kj::arrayPtr(reinterpret_cast<const word*>(content.data()), content.size());
    const Status added = writer.add(nullptr, kj::arrayPtr(&segment, 1));
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().message, "send a message of 8388616 bytes: the limit is 8388608");
    add(writer, 2);
    ASSERT_TRUE(writer.flush(near.get()).value());
    ASSERT_TRUE(receive_once());
    EXPECT_EQ(taken(), "1 2 ");
}

TEST_F(FramesTest, too_many_segments_are_refused) {
    const std::array<uint32_t, 2> header{512, 1};
    ASSERT_EQ(send(near.get(), header.data(), sizeof header, 0), 8);
    ASSERT_TRUE(receive_once());
    EXPECT_EQ(taken(), "error: receive a message of 513 segments: at most 512 are taken");
}

TEST_F(FramesTest, descriptors_without_messages_end_the_stream_and_are_closed) {
    const Fd file = file_of(11);
    const std::array<uint32_t, 2> header{0, 4};
    Status received = {};
    for (int i = 0; i < 32 && received; ++i) {
        // One byte of the message each time, with a descriptor.
        char control[CMSG_SPACE(sizeof(int))] = {};
        iovec piece{const_cast<char*>(reinterpret_cast<const char*>(header.data())) + i % 8, 1};
        msghdr message{.msg_iov = &piece,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control};
        cmsghdr* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        const int fd = file.get();
        memcpy(CMSG_DATA(part), &fd, sizeof fd);
        ASSERT_EQ(sendmsg(near.get(), &message, 0), 1);
        received = receive_once();
    }
    EXPECT_FALSE(received);
}

TEST_F(FramesTest, load_counts_messages_until_they_are_released) {
    FrameWriter writer;
    add(writer, 1);
    ASSERT_TRUE(writer.flush(near.get()).value());
    ASSERT_TRUE(receive_once());
    {
        auto message = reader.next();
        ASSERT_TRUE(message && message->get() != nullptr);
        EXPECT_EQ(reader.load().messages, 1u);
        EXPECT_EQ(reader.load().bytes, 40u);
    }
    EXPECT_EQ(reader.load().messages, 0u);
    EXPECT_EQ(reader.load().bytes, 0u);
}

}  // namespace
}  // namespace noded::rpc

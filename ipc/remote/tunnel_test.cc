// Tests of Tunnel and of its link: two tunnels over a pair of sockets, each in a thread of its own,
// between two ends that speak frames of RPC.
#include "ipc/remote/tunnel.h"

#include <capnp/message.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <thread>

namespace noded::remote {
namespace {

constexpr std::chrono::seconds kPatience{30};

struct Pair {
    Fd one, other;
};

Pair make_pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {Fd(ends[0]), Fd(ends[1])};
}

std::unique_ptr<Link> link_over(Fd socket) {
    Fd again(dup(socket.get()));
    return plain_link(std::move(socket), std::move(again));
}

/// A client's end and noded's, with all that is between them.
class TunnelTest : public testing::Test {
protected:
    TunnelTest() {
        signal(SIGPIPE, SIG_IGN);
        Pair wire = make_pair();
        Pair left = make_pair();
        Pair right = make_pair();
        client = std::move(left.one);
        node = std::move(right.one);
        carry(left_, Tunnel::Side::client, std::move(wire.one), std::move(left.other));
        carry(right_, Tunnel::Side::node, std::move(wire.other), std::move(right.other));
    }
    ~TunnelTest() override {
        client.reset();
        node.reset();
        left_.join();
        right_.join();
    }

    void carry(std::thread& thread, Tunnel::Side side, Fd wire, Fd rpc) {
        thread = std::thread([this, side, wire = std::move(wire), rpc = std::move(rpc)]() mutable {
            const auto link = link_over(std::move(wire));
            Tunnel tunnel(*link, side, std::move(rpc));
            const Status carried = tunnel.run();
            if (!carried) trouble = carried.error().message;
            if (!tunnel.link_ended()) hang_up(*link, std::chrono::steady_clock::now() + kPatience);
        });
    }

    /// A message with this text in it.
    static void say(const Fd& from, const std::string& text, const std::vector<int>& fds) {
        capnp::MallocMessageBuilder message;
        auto data = message.initRoot<capnp::AnyPointer>();
        data.setAs<capnp::Text>(text.c_str());
        rpc::FrameWriter writer;
        ASSERT_TRUE(writer.add({fds.data(), fds.size()}, message.getSegmentsForOutput()));
        for (;;) {
            const auto flushed = writer.flush(from.get());
            ASSERT_TRUE(flushed);
            if (*flushed) return;
            pollfd ready{from.get(), POLLOUT, 0};
            poll(&ready, 1, -1);
        }
    }

    struct Heard {
        std::string text;
        std::vector<Fd> fds;
    };
    static Heard hear(const Fd& at, rpc::FrameReader& reader) {
        for (;;) {
            auto next = reader.next();
            if (!next) return {"error: " + next.error().message, {}};
            if (next->get() != nullptr) {
                Heard heard;
                heard.text = (*next)->getBody().getAs<capnp::Text>().cStr();
                for (const auto& fd : (*next)->getAttachedFds())
                    heard.fds.emplace_back(dup(fd.get()));
                return heard;
            }
            msghdr message;
            reader.prepare(message);
            const ssize_t got = recvmsg(at.get(), &message, MSG_CMSG_CLOEXEC);
            if (got <= 0) return {"the end", {}};
            EXPECT_TRUE(reader.received(message, size_t(got)));
        }
    }

    static std::string read_all(const Fd& from) {
        std::string all;
        char chunk[4096];
        for (ssize_t got = 0; (got = read(from.get(), chunk, sizeof chunk)) > 0;)
            all.append(chunk, size_t(got));
        return all;
    }
    static void write_all(const Fd& to, std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t sent = send(to.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            ASSERT_GT(sent, 0);
            bytes.remove_prefix(size_t(sent));
        }
    }

    /// A stream from the client's side to the node's.
    Pair stream() {
        Pair pair = make_pair();
        say(client, "a stream", {pair.other.get()});
        Heard heard = hear(node, at_node);
        EXPECT_EQ(heard.text, "a stream");
        EXPECT_EQ(heard.fds.size(), 1u);
        return {std::move(pair.one), std::move(heard.fds.at(0))};
    }

    Fd client, node;
    rpc::FrameReader at_client, at_node;
    std::string trouble;

private:
    std::thread left_, right_;
};

TEST_F(TunnelTest, messages_go_both_ways_whole_and_in_order) {
    const std::string large(3 << 20, 'x');
    std::thread speaker([&] {
        for (int i = 0; i < 100; ++i) say(client, "message " + std::to_string(i), {});
        say(client, large, {});
    });
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(hear(node, at_node).text, "message " + std::to_string(i));
    EXPECT_EQ(hear(node, at_node).text, large);
    speaker.join();
    say(node, "answer", {});
    EXPECT_EQ(hear(client, at_client).text, "answer");
}

TEST_F(TunnelTest, a_socket_arrives_with_its_message_and_carries_both_ways) {
    say(client, "before", {});
    Pair pair = make_pair();
    say(client, "with", {pair.other.get()});
    say(client, "after", {});
    pair.other.reset();
    EXPECT_TRUE(hear(node, at_node).fds.empty());
    Heard heard = hear(node, at_node);
    ASSERT_EQ(heard.text, "with");
    ASSERT_EQ(heard.fds.size(), 1u);
    EXPECT_TRUE(hear(node, at_node).fds.empty());
    write_all(pair.one, "to the node");
    shutdown(pair.one.get(), SHUT_WR);
    EXPECT_EQ(read_all(heard.fds[0]), "to the node");
    write_all(heard.fds[0], "and back, after the end of the other half");
    heard.fds.clear();
    EXPECT_EQ(read_all(pair.one), "and back, after the end of the other half");
}

TEST_F(TunnelTest, a_stream_that_nobody_reads_holds_up_nothing_else) {
    Pair slow = stream();
    Pair quick = stream();
    std::thread writer([&] {
        const std::string much(8 << 20, 's');
        for (std::string_view rest = much; !rest.empty();) {
            const ssize_t sent = send(slow.one.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
            if (sent <= 0) return;
            rest.remove_prefix(size_t(sent));
        }
        shutdown(slow.one.get(), SHUT_WR);
    });
    for (int i = 0; i < 50; ++i) {
        write_all(quick.one, "ping");
        char got[4];
        ASSERT_EQ(recv(quick.other.get(), got, sizeof got, MSG_WAITALL), 4);
        say(client, "still here", {});
        EXPECT_EQ(hear(node, at_node).text, "still here");
    }
    EXPECT_EQ(read_all(slow.other).size(), size_t(8 << 20));
    writer.join();
}

TEST_F(TunnelTest, a_pipe_that_breaks_there_breaks_here) {
    Pair pair = stream();
    pair.other.reset();
    const std::string piece(4096, 'p');
    for (ssize_t sent = 1; sent > 0;)
        sent = send(pair.one.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    EXPECT_TRUE(errno == EPIPE || errno == ECONNRESET) << errno;   // as bytes were read or not
}

TEST_F(TunnelTest, streams_outlive_the_connection_that_they_came_with) {
    Pair pair = stream();
    node.reset();
    EXPECT_EQ(hear(client, at_client).text, "the end");
    client.reset();
    write_all(pair.one, "still");
    char got[5];
    EXPECT_EQ(recv(pair.other.get(), got, sizeof got, MSG_WAITALL), 5);
    write_all(pair.other, "here");
    pair.other.reset();
    EXPECT_EQ(read_all(pair.one), "here");
}

TEST_F(TunnelTest, what_was_said_before_the_end_arrives) {
    Pair pair = stream();
    const std::string last(200 << 10, 'l');
    std::thread speaker([&] {
        write_all(pair.one, last);
        say(client, "goodbye", {});
        pair.one.reset();
        client.reset();
    });
    EXPECT_EQ(hear(node, at_node).text, "goodbye");
    EXPECT_EQ(read_all(pair.other), last);
    EXPECT_EQ(hear(node, at_node).text, "the end");
    speaker.join();
}

TEST_F(TunnelTest, what_is_no_socket_arrives_closed) {
    say(client, "a file", {STDIN_FILENO});
    Heard heard = hear(node, at_node);
    ASSERT_EQ(heard.fds.size(), 1u);
    EXPECT_EQ(read_all(heard.fds[0]), "");
}

/// What one side makes of bytes that no tunnel would send.
std::string refusal(const std::string& bytes) {
    Pair wire = make_pair();
    Pair rpc = make_pair();
    EXPECT_EQ(write(wire.other.get(), bytes.data(), bytes.size()), ssize_t(bytes.size()));
    const auto link = link_over(std::move(wire.one));
    Tunnel tunnel(*link, Tunnel::Side::node, std::move(rpc.one));
    const Status carried = tunnel.run();
    return carried ? "nothing" : carried.error().message;
}

std::string bytes_of(std::vector<uint32_t> numbers) {
    return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof numbers[0]};
}

TEST(TunnelFrames, bytes_of_a_stranger_are_refused) {
    const auto kind = [](FrameKind of) { return static_cast<uint32_t>(of); };
    EXPECT_EQ(refusal(bytes_of({1, 0x7fffffff, kind(FrameKind::data)})),
              "a frame of the other side is too long");
    EXPECT_EQ(refusal(bytes_of({0, 0, 77})), "a frame of the other side has the unknown kind 77");
    EXPECT_EQ(refusal(bytes_of({0, 4, kind(FrameKind::message), 99})),
              "a message of the other side is cut");
    EXPECT_EQ(refusal(bytes_of({0, 8, kind(FrameKind::message), 1, 12})),
              "a message of the other side is empty");
    // A table of segments that is longer than the message.
    EXPECT_NE(refusal(bytes_of({0, 12, kind(FrameKind::message), 0, 400, 400})), "nothing");
}

TEST(TunnelFrames, a_stranger_says_no_hello) {
    Pair wire = make_pair();
    const std::string http = "GET / HTTP/1.1\r\nHost: node\r\n\r\n";
    ASSERT_EQ(write(wire.other.get(), http.data(), http.size()), ssize_t(http.size()));
    const auto link = link_over(std::move(wire.one));
    const auto hello = hear_hello(*link, std::chrono::steady_clock::now() + kPatience);
    ASSERT_FALSE(hello);
    EXPECT_EQ(hello.error().message,
              "what answers there does not speak noded's protocol for other machines");
}

TEST(TunnelFrames, a_hello_says_what_is_wanted) {
    Pair wire = make_pair();
    const auto one = link_over(std::move(wire.one));
    const auto other = link_over(std::move(wire.other));
    const Deadline deadline = std::chrono::steady_clock::now() + kPatience;
    ASSERT_TRUE(say_hello(*one, {true, {"logs", "", "with blank"}}, deadline));
    const auto heard = hear_hello(*other, deadline);
    ASSERT_TRUE(heard) << heard.error().message;
    EXPECT_TRUE(heard->run);
    EXPECT_EQ(heard->words, (std::vector<std::string>{"logs", "", "with blank"}));
    ASSERT_TRUE(answer_hello(*other, "not today", deadline));
    EXPECT_EQ(hear_answer(*one, deadline).error().message, "not today");
}

}  // namespace
}  // namespace noded::remote

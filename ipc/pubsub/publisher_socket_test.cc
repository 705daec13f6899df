// PublisherSocket against real subscribers: who is served, who misses what, and who is told.
#include "ipc/pubsub/publisher_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <zmq.h>

namespace noded::ipc {
namespace {

class Subscriber {
public:
    Subscriber(const std::string& endpoint, int queue_messages_max)
        : Subscriber(queue_messages_max) {
        connect(endpoint);
    }
    ~Subscriber() {
        zmq_close(socket_);
        zmq_ctx_term(context_);
    }
    void subscribe(const std::string& prefix) {
        zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, prefix.data(), prefix.size());
    }
    void unsubscribe(const std::string& prefix) {
        zmq_setsockopt(socket_, ZMQ_UNSUBSCRIBE, prefix.data(), prefix.size());
    }
    /// "topic=payload", the payload cut; empty when nothing came in time.
    std::string receive(int timeout_ms = 10'000) {
        zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
        std::string text;
        for (int more = 1; more != 0;) {
            char part[64];
            const int size = zmq_recv(socket_, part, sizeof part, 0);
            if (size < 0) return "";
            text += text.empty() ? "" : "=";
            text.append(part, std::min<size_t>(size, sizeof part));
            size_t length = sizeof more;
            zmq_getsockopt(socket_, ZMQ_RCVMORE, &more, &length);
        }
        return text;
    }

protected:
    explicit Subscriber(int queue_messages_max)
        : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_SUB)) {
        zmq_setsockopt(socket_, ZMQ_RCVHWM, &queue_messages_max, sizeof queue_messages_max);
    }
    void connect(const std::string& endpoint) {
        EXPECT_EQ(zmq_connect(socket_, endpoint.c_str()), 0);
    }

    void* context_;
    void* socket_;
};

struct Pair {
    Pair() {
        EXPECT_EQ(zmq_curve_keypair(known, secret), 0);
    }
    char known[41], secret[41];
};

/// A subscriber at tcp://; `server` is what it takes for the publisher's key, nullptr: no CURVE.
class FarSubscriber : public Subscriber {
public:
    FarSubscriber(const std::string& endpoint, const char* server, const Pair& own)
        : Subscriber(1000) {
        if (server != nullptr) {
            zmq_setsockopt(socket_, ZMQ_CURVE_SERVERKEY, server, 41);
            zmq_setsockopt(socket_, ZMQ_CURVE_PUBLICKEY, own.known, 41);
            zmq_setsockopt(socket_, ZMQ_CURVE_SECRETKEY, own.secret, 41);
        }
        connect(endpoint);
    }
};

class PublisherTest : public testing::Test {
protected:
    PublisherTest() {
        EXPECT_NE(mkdtemp(folder_.data()), nullptr);
        endpoint = "ipc://" + folder_ + "/socket";
    }
    ~PublisherTest() override {
        publisher.reset();
        unlink((folder_ + "/socket").c_str());
        rmdir(folder_.c_str());
    }
    void open(const PublisherSocket::Options& options) {
        auto bound = PublisherSocket::bind(endpoint, options);
        ASSERT_TRUE(bound) << bound.error().message;
        publisher = std::move(*bound);
    }
    /// Drains until so many subscriptions were taken in or refused.
    PublisherSocket::Drained drain(size_t count) {
        PublisherSocket::Drained all;
        for (int tries = 0; tries < 1000; ++tries) {
            auto some = publisher->drain();
            for (auto& prefix : some.subscribed) all.subscribed.push_back(std::move(prefix));
            for (auto& prefix : some.refused) all.refused.push_back(std::move(prefix));
            all.changed |= some.changed;
            if (all.subscribed.size() + all.refused.size() >= count) break;
            pollfd readable{publisher->fd(), POLLIN, 0};
            poll(&readable, 1, 10);
        }
        return all;
    }

    std::string folder_ = "/tmp/noded-test-XXXXXX";
    std::string endpoint;
    std::unique_ptr<PublisherSocket> publisher;
};

TEST_F(PublisherTest, a_prefix_takes_all_topics_that_begin_with_it) {
    open({.queue_messages_max = 10, .prefixes_max = 10, .prefix_bytes_max = 20});
    EXPECT_FALSE(publisher->wanted("a/b"));
    Subscriber one(endpoint, 10), two(endpoint, 10);
    one.subscribe("a/");
    EXPECT_TRUE(drain(1).changed);
    EXPECT_TRUE(publisher->wanted("a/b"));
    EXPECT_TRUE(publisher->wanted("a/"));
    EXPECT_FALSE(publisher->wanted("a"));
    EXPECT_FALSE(publisher->wanted("b/a/"));
    two.subscribe("a/");
    const auto again = drain(1);
    EXPECT_FALSE(again.changed);
    EXPECT_EQ(again.subscribed.size(), 1u) << "a second subscriber is seen, too";
    EXPECT_TRUE(publisher->send("a/b", as_bytes("hello")));
    EXPECT_EQ(one.receive(), "a/b=hello");
    EXPECT_EQ(two.receive(), "a/b=hello");
    one.unsubscribe("a/");
    two.unsubscribe("a/");
    for (int tries = 0; tries < 1000 && publisher->wanted("a/b"); ++tries) {
        publisher->drain();
        usleep(10'000);
    }
    EXPECT_FALSE(publisher->wanted("a/b"));
}

TEST_F(PublisherTest, a_subscriber_that_never_reads_loses_alone_and_the_sender_is_told) {
    open({.queue_messages_max = 4, .prefixes_max = 10, .prefix_bytes_max = 20});
    Subscriber reads(endpoint, 4), sleeps(endpoint, 1);
    reads.subscribe("t");
    sleeps.subscribe("t");
    drain(2);
    const std::string filler(100'000, '.');
    int missed = 0;
    for (int i = 0; i < 200; ++i) {
        const std::string text = std::to_string(i) + " " + filler;
        if (!publisher->send("t", as_bytes(text))) ++missed;
        ASSERT_EQ(reads.receive().substr(0, 2 + std::to_string(i).size()),
                  "t=" + std::to_string(i));
    }
    EXPECT_GE(missed, 1);
    int had = 0;
    for (const int once = 200; had < 200 && !sleeps.receive(once).empty();) ++had;
    EXPECT_GE(had, 1) << "what was queued is still there";
    EXPECT_LT(had, 200);
    EXPECT_TRUE(publisher->send("t", as_bytes("again")));
    EXPECT_EQ(sleeps.receive(), "t=again") << "who reads again is served again";
}

TEST_F(PublisherTest, too_many_and_too_long_subscriptions_are_refused_and_the_others_stay) {
    open({.queue_messages_max = 10, .prefixes_max = 3, .prefix_bytes_max = 8});
    Subscriber one(endpoint, 10);
    for (const char* prefix : {"a", "b", "c", "d", "a"}) one.subscribe(prefix);
    const auto drained = drain(5);
    EXPECT_EQ(drained.subscribed.size(), 4u);
    ASSERT_EQ(drained.refused.size(), 1u);
    EXPECT_EQ(drained.refused[0], "d");
    EXPECT_EQ(publisher->prefixes().size(), 3u);
    const std::string longer(300, 'l');
    one.subscribe(longer);
    EXPECT_EQ(drain(1).refused, std::vector<std::string>{longer}) << "all of it, to be answered";
    EXPECT_TRUE(publisher->send(longer, as_bytes("no")));
    EXPECT_EQ(one.receive(), longer.substr(0, 64) + "=no");
    // What is told to one that was refused reaches it.
    EXPECT_TRUE(publisher->send("d", as_bytes("no")));
    EXPECT_EQ(one.receive(), "d=no");
}

/// Works at the door until `text` was said, or nothing was for ten seconds. All that was said.
std::string hear(PublisherSocket& publisher, const std::string& text) {
    std::string said;
    for (int i = 0; i < 1000 && said.find(text) == std::string::npos; ++i) {
        for (const std::string& sentence : publisher.guard()) said += sentence + "\n";
        publisher.drain();
        usleep(10'000);
    }
    return said;
}

TEST_F(PublisherTest, at_tcp_those_whose_key_is_known_are_let_in_and_nobody_else) {
    const Pair server, friendly, stranger, other;
    publisher.reset();
    auto bound = PublisherSocket::bind(
        endpoint,
        {.queue_messages_max = 1000,
         .prefixes_max = 100,
         .prefix_bytes_max = 100,
         .curve = PublisherSocket::Curve{"tcp://127.0.0.1:0", server.secret, {friendly.known}}});
    ASSERT_TRUE(bound) << bound.error().message;
    publisher = std::move(*bound);
    const std::string far = publisher->tcp_endpoint();
    ASSERT_TRUE(far.starts_with("tcp://127.0.0.1:")) << far;
    EXPECT_EQ(publisher->guard_fds().size(), 2u);
    EXPECT_EQ(*PublisherSocket::public_key(server.secret), server.known);
    EXPECT_FALSE(PublisherSocket::public_key("short"));

    FarSubscriber good(far, server.known, friendly);
    Subscriber near(endpoint, 1000);
    good.subscribe("a");
    near.subscribe("a");
    for (int i = 0, seen = 0; i < 1000 && seen < 2; ++i) {
        publisher->guard();
        seen += static_cast<int>(publisher->drain().subscribed.size());
        usleep(10'000);
    }
    ASSERT_TRUE(publisher->wanted("a"));
    const uint8_t payload[] = {'x'};
    EXPECT_TRUE(publisher->send("a", payload));
    EXPECT_EQ(good.receive(), "a=x");
    EXPECT_EQ(near.receive(), "a=x") << "ipc:// needs no key";

    FarSubscriber unknown(far, server.known, stranger);
    unknown.subscribe("b");
    const std::string refused = hear(*publisher, "was not let in");
    EXPECT_NE(refused.find(std::string("with the public key ") + stranger.known),
              std::string::npos) << refused;
    FarSubscriber mistaken(far, other.known, friendly);
    mistaken.subscribe("c");
    EXPECT_NE(hear(*publisher, "another public key").find("publishKeyFile"), std::string::npos);
    FarSubscriber plain(far, nullptr, friendly);
    plain.subscribe("d");
    const std::string without = hear(*publisher, "with CURVE");
    EXPECT_NE(without.find("needed there"), std::string::npos) << without;
    publisher->drain();
    for (const char* topic : {"b", "c", "d"}) EXPECT_FALSE(publisher->wanted(topic)) << topic;
}

TEST_F(PublisherTest, a_key_that_is_none_and_a_taken_port_are_told) {
    const Pair server;
    const auto tried = [&](const std::string& at, const std::string& key) {
        auto bound = PublisherSocket::bind(
            endpoint + "2", {.queue_messages_max = 1000,
                             .prefixes_max = 100,
                             .prefix_bytes_max = 100,
                             .curve = PublisherSocket::Curve{at, key, {}}});
        unlink((endpoint.substr(6) + "2").c_str());
        return bound ? std::string() : bound.error().message;
    };
    EXPECT_NE(tried("tcp://127.0.0.1:0", "nonsense").find("nodectl keygen"), std::string::npos);
    EXPECT_NE(tried("tcp://nowhere.invalid:1", server.secret).find("bind the publish socket to"),
              std::string::npos);
}

}  // namespace
}  // namespace noded::ipc

// The transport against the real kernel: our server on its reactor in one thread, our client and
// KJ's own in another.
#include <capnp/rpc-twoparty.h>
#include <kj/async-unix.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <functional>
#include <future>
#include <string>
#include <thread>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "agent/reactor/uring_reactor.h"
#include "ipc/rpc/client.h"
#include "ipc/rpc/echo.h"
#include "ipc/rpc/plain_calls.h"
#include "ipc/rpc/server.h"

namespace noded::rpc {
namespace {

using test::Echo;

// A server on a reactor of its own, in a thread of its own, until destroyed.
class EchoDaemon {
public:
    explicit EchoDaemon(const std::string& path) {
        std::promise<void> listening;
        auto ready = listening.get_future();
        thread_ = std::thread([this, path, &listening] { run(path, listening); });
        ready.wait();
    }
    ~EchoDaemon() {
        stopping_ = true;
        reactor_->wake();
        thread_.join();
    }
    size_t connections() const { return connections_; }

private:
    // The reactor's view of the number of connections, kept where the test's thread can see it.
    struct Counter final : reactor::TurnEnd {
        void turn_end() override { *seen = server->connections(); }
        RpcServer* server = nullptr;
        std::atomic<size_t>* seen = nullptr;
    };

    void run(const std::string& path, std::promise<void>& listening) {
        auto reactor = reactor::UringReactor::create();
        CHECK(reactor.has_value());
        reactor_ = reactor->get();
        auto socket = listen_unix(path, 0600, 512);
        CHECK(socket.has_value());
        const PlainMethods plain(capnp::Schema::from<Echo>());
        RpcServer server(*reactor_, std::move(*socket), [&plain](const PeerCredentials& peer) {
            return serve(kj::heap<test::EchoServer>(peer), plain);
        });
        Counter counter;
        counter.server = &server;
        counter.seen = &connections_;
        reactor_->at_turn_end(counter);
        listening.set_value();
        reactor_->run_until([&] { return stopping_.load(); });
        reactor_->stop();
    }

    std::atomic<bool> stopping_ = false;
    std::atomic<size_t> connections_ = 0;
    reactor::UringReactor* reactor_ = nullptr;
    std::thread thread_;
};

class RpcTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = "/tmp/rpc-test-XXXXXX";
        folder = mkdtemp(pattern.data());
        path = folder + "/echo.sock";
        daemon = std::make_unique<EchoDaemon>(path);
    }
    void TearDown() override {
        daemon.reset();
        std::filesystem::remove_all(folder);
    }
    std::unique_ptr<Client> connect() {
        auto client = Client::connect("unix:" + path);
        CHECK_MSG(client.has_value(), "connect");
        return std::move(*client);
    }
    void expect_connections(size_t count) {
        for (int i = 0; i < 2000 && daemon->connections() != count; ++i) usleep(1000);
        EXPECT_EQ(daemon->connections(), count);
    }

    std::string folder, path;
    std::unique_ptr<EchoDaemon> daemon;
};

std::string bytes_of(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 4096);
    return bytes;
}

kj::Promise<std::string> echo(Echo::Client& server, std::string_view text) {
    auto request = server.echoRequest(capnp::MessageSize{text.size() / 8 + 16, 0});
    request.setData(kj::arrayPtr(reinterpret_cast<const kj::byte*>(text.data()), text.size()));
    return request.send().then([](capnp::Response<Echo::EchoResults>&& response) {
        const auto data = response.getData();
        return std::string(reinterpret_cast<const char*>(data.begin()), data.size());
    });
}

// Calls of both kinds of client, with and without descriptors between them, in every order of
// sizes.
void expect_echoes_and_descriptors(Echo::Client server, kj::WaitScope& scope) {
    for (const size_t size :
         {0ul, 1ul, 100ul, 16'000ul, 16'384ul, 70'000ul, 1ul << 20, 5ul << 20}) {
        const std::string text = bytes_of(size);
        EXPECT_EQ(wait_for(echo(server, text), scope).value_or("failed"), text) << size;
    }
    std::vector<kj::Promise<std::string>> echoes;
    std::vector<kj::Promise<capnp::Response<Echo::ReadFromResults>>> reads;
    for (int i = 0; i < 64; ++i) {
        echoes.push_back(echo(server, bytes_of(static_cast<size_t>(i) * 97)));
        auto request = server.readFromRequest();
        request.setSource(kj::heap<test::Descriptor>(test::file_with("file " + std::to_string(i))));
        reads.push_back(request.send());
    }
    for (size_t i = 0; i < echoes.size(); ++i) {
        EXPECT_EQ(wait_for(kj::mv(echoes[i]), scope).value_or("failed"), bytes_of(i * 97)) << i;
        auto read = wait_for(kj::mv(reads[i]), scope);
        ASSERT_TRUE(read) << i << ": " << read.error().message;
        EXPECT_EQ(std::string(read->getText().cStr()), "file " + std::to_string(i));
    }
    std::vector<kj::Promise<capnp::Response<Echo::OpenResults>>> opens;
    for (int i = 0; i < 64; ++i) {
        auto request = server.openRequest();
        request.setText(kj::str("opened ", i));
        opens.push_back(request.send());
    }
    for (size_t i = 0; i < opens.size(); ++i) {
        auto opened = wait_for(kj::mv(opens[i]), scope);
        ASSERT_TRUE(opened) << opened.error().message;
        const auto fd = opened->getSource().getFd().wait(scope);
        EXPECT_EQ(test::text_in(KJ_ASSERT_NONNULL(fd)), "opened " + std::to_string(i));
    }
}

TEST_F(RpcTest, our_client_calls_and_passes_descriptors_both_ways) {
    auto client = connect();
    expect_echoes_and_descriptors(client->bootstrap().castAs<Echo>(), client->wait_scope());
}

TEST_F(RpcTest, stock_kj_client_calls_and_passes_descriptors_both_ways) {
    auto io = kj::setupAsyncIo();
    auto fd = connect_unix(path);
    ASSERT_TRUE(fd);
    auto stream = io.lowLevelProvider->wrapUnixSocketFd(
        fd->release(), kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP);
    capnp::TwoPartyClient client(*stream, 4);
    expect_echoes_and_descriptors(client.bootstrap().castAs<Echo>(), io.waitScope);
}

TEST_F(RpcTest, answers_with_descriptors_that_wait_together_are_all_seen) {
    auto client = connect();
    auto server = client->bootstrap().castAs<Echo>();
    ASSERT_EQ(client->wait(echo(server, "hello")).value_or("failed"), "hello");
    std::vector<kj::Promise<capnp::Response<Echo::OpenResults>>> opens;
    for (int i = 0; i < 8; ++i) {
        auto request = server.openRequest();
        request.setText(kj::str("opened ", i));
        opens.push_back(request.send());
    }
    // The calls leave, and the answers are all there before the client looks.
    client->wait_scope().poll();
    usleep(50'000);
    for (size_t i = 0; i < opens.size(); ++i) {
        auto opened = client->wait(kj::mv(opens[i]));
        ASSERT_TRUE(opened) << opened.error().message;
        const auto fd = opened->getSource().getFd().wait(client->wait_scope());
        EXPECT_EQ(test::text_in(KJ_ASSERT_NONNULL(fd)), "opened " + std::to_string(i));
    }
}

TEST_F(RpcTest, answer_with_a_capability_is_called_before_it_is_there_a_plain_one_never) {
    auto client = connect();
    auto server = client->bootstrap().castAs<Echo>();
    auto opening = server.openRequest();
    opening.setText("on its way");
    // The descriptor is no Echo, and says so itself.
    auto called = client->wait(opening.send().getSource().castAs<Echo>().hangRequest().send());
    ASSERT_FALSE(called);
    EXPECT_NE(called.error().message.find("a descriptor has no methods"), std::string::npos)
        << called.error().message;
    auto plain = server.typelessRequest(capnp::typeId<Echo>(), 0, nullptr).send();
    called = client->wait(capnp::Capability::Client(plain.getPointerField(0).asCap())
                              .castAs<Echo>().hangRequest().send());
    ASSERT_FALSE(called);
    EXPECT_NE(called.error().message.find("no capabilit"), std::string::npos)
        << called.error().message;
    EXPECT_EQ(client->wait(echo(server, "hello")).value_or("failed"), "hello");
}

TEST_F(RpcTest, server_knows_who_calls) {
    auto client = connect();
    auto me = client->wait(client->bootstrap().castAs<Echo>().whoAmIRequest().send());
    ASSERT_TRUE(me) << me.error().message;
    EXPECT_EQ(me->getUid(), getuid());
    EXPECT_EQ(me->getGid(), getgid());
    EXPECT_EQ(me->getPid(), getpid());
}

TEST_F(RpcTest, sixty_four_calls_outstanding_all_return_their_own) {
    auto client = connect();
    auto server = client->bootstrap().castAs<Echo>();
    for (int round = 0; round < 50; ++round) {
        std::vector<kj::Promise<std::string>> calls;
        for (int i = 0; i < 64; ++i) calls.push_back(echo(server, std::to_string(round * 64 + i)));
        for (int i = 0; i < 64; ++i) {
            ASSERT_EQ(client->wait(kj::mv(calls[static_cast<size_t>(i)])).value_or("failed"),
                      std::to_string(round * 64 + i));
        }
    }
}

TEST_F(RpcTest, megabytes_outstanding_in_both_directions_do_not_deadlock) {
    auto client = connect();
    auto server = client->bootstrap().castAs<Echo>();
    const std::string text = bytes_of(1 << 20);
    std::vector<kj::Promise<std::string>> calls;
    for (int i = 0; i < 16; ++i) calls.push_back(echo(server, text));
    for (auto& call : calls) EXPECT_TRUE(client->wait(kj::mv(call)).value_or("failed") == text);
}

TEST_F(RpcTest, five_hundred_connections_in_a_row_leave_nothing_behind) {
    auto descriptors = [] {
        size_t count = 0;
        for ([[maybe_unused]] const auto& each :
             std::filesystem::directory_iterator("/proc/self/fd"))
            ++count;
        return count;
    };
    connect();
    expect_connections(0);
    const size_t before = descriptors();
    for (int i = 0; i < 500; ++i) {
        auto client = connect();
        auto server = client->bootstrap().castAs<Echo>();
        ASSERT_EQ(client->wait(echo(server, "hello")).value_or("failed"), "hello");
    }
    expect_connections(0);
    // A connection counts as gone just before its socket is closed.
    for (int i = 0; i < 1000 && descriptors() > before; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_LE(descriptors(), before);
}

TEST_F(RpcTest, client_killed_in_the_middle_of_a_call_disturbs_nobody) {
    auto survivor = connect();
    auto server = survivor->bootstrap().castAs<Echo>();
    ASSERT_TRUE(survivor->wait(echo(server, "before")));
    std::array<int, 2> ready;
    ASSERT_EQ(pipe(ready.data()), 0);
    const pid_t child = fork();
    if (child == 0) {
        // The parent's loop is this thread's loop here too; a raw connection with half a message
        // needs none.
        auto fd = connect_unix(path);
        const uint32_t half[] = {0, 1000, 7, 7};
        [[maybe_unused]] ssize_t written = write(fd->get(), half, sizeof half);
        written = write(ready[1], "x", 1);
        pause();
        _exit(0);
    }
    char byte;
    ASSERT_EQ(read(ready[0], &byte, 1), 1);
    expect_connections(2);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    expect_connections(1);
    EXPECT_EQ(survivor->wait(echo(server, "after")).value_or("failed"), "after");
    close(ready[0]);
    close(ready[1]);
}

TEST_F(RpcTest, client_that_leaves_while_its_calls_hang_is_forgotten) {
    {
        auto client = connect();
        auto server = client->bootstrap().castAs<Echo>();
        auto hanging = server.hangRequest().send();
        ASSERT_EQ(client->wait(echo(server, "hello")).value_or("failed"), "hello");
        expect_connections(1);
    }
    expect_connections(0);
}

TEST_F(RpcTest, message_over_the_limit_ends_its_connection_with_the_reason) {
    // KJ has one loop per thread, so the neighbour is a connection without one.
    const auto neighbour = connect_unix(path);
    const auto peer = connect_unix(path);
    ASSERT_TRUE(neighbour && peer);
    expect_connections(2);
    const uint32_t header[] = {0, limits::rpc_message_bytes_max / 8};
    ASSERT_EQ(send(peer->get(), header, sizeof header, MSG_NOSIGNAL), 8);
    std::string said;
    char part[4096];
    for (ssize_t size; (size = recv(peer->get(), part, sizeof part, 0)) > 0;)
        said.append(part, static_cast<size_t>(size));
    EXPECT_NE(said.find("the limit is 8388608"), std::string::npos) << said;
    expect_connections(1);
}

TEST_F(RpcTest, call_or_answer_over_the_limit_is_an_error_of_that_call_alone) {
    auto client = connect();
    auto server = client->bootstrap().castAs<Echo>();
    const auto call = client->wait(echo(server, bytes_of(limits::rpc_message_bytes_max)));
    ASSERT_FALSE(call);
    EXPECT_NE(call.error().message.find("the limit is 8388608"), std::string::npos)
        << call.error().message;
    const auto answer = client->wait(server.floodRequest().send());
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("the limit is 8388608"), std::string::npos)
        << answer.error().message;
    EXPECT_EQ(client->wait(echo(server, "still here")).value_or("failed"), "still here");
}

TEST_F(RpcTest, too_many_calls_under_way_end_their_connection_with_the_reason) {
    auto client = connect();
    auto server = client->bootstrap().castAs<Echo>();
    std::vector<kj::Promise<void>> hanging;
    for (size_t i = 0; i < limits::rpc_calls_per_connection_max + 8; ++i) {
        hanging.push_back(server.hangRequest().send().ignoreResult());
    }
    const auto answer = client->wait(kj::mv(hanging.back()));
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().message.find("are under way on this connection"), std::string::npos)
        << answer.error().message;
}

TEST_F(RpcTest, bytes_that_are_no_message_end_their_connection) {
    auto fd = connect_unix(path);
    ASSERT_TRUE(fd);
    const std::string garbage(4096, '\xff');
    ASSERT_EQ(send(fd->get(), garbage.data(), garbage.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(garbage.size()));
    char reply[4096];
    while (recv(fd->get(), reply, sizeof reply, 0) > 0) {
    }
    expect_connections(0);
}

TEST_F(RpcTest, peer_that_does_not_read_its_replies_is_not_read_from) {
    auto fd = connect_unix(path);
    ASSERT_TRUE(fd);
    // Bootstrap messages, each with a fresh number: each is answered, and no answer is read.
    size_t sent = 0;
    uint32_t question = 0;
    for (int quiet = 0; quiet < 100;) {
        capnp::MallocMessageBuilder message;
        message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(question++);
        const auto words = capnp::messageToFlatArray(message);
        const auto bytes = words.asBytes();
        size_t done = 0;
        while (done < bytes.size() && quiet < 100) {
            const ssize_t count = send(fd->get(), bytes.begin() + done, bytes.size() - done,
                                       MSG_DONTWAIT | MSG_NOSIGNAL);
            if (count < 0) {
                ASSERT_EQ(errno, EAGAIN) << "the server waits, it does not hang up";
                ++quiet;
                usleep(1000);
            } else {
                quiet = 0;
                done += static_cast<size_t>(count);
            }
        }
        sent += done;
        ASSERT_LT(sent, 4u << 20) << "the server takes requests without end";
    }
}

TEST(RpcStream, destroyed_while_reading_and_writing_it_closes_its_socket) {
    auto reactor = reactor::UringReactor::create();
    ASSERT_TRUE(reactor);
    TurnSender sender(**reactor);
    std::array<int, 2> ends;
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const Fd peer(ends[1]);
    auto stream = kj::heap<Stream>(**reactor, sender, Fd(ends[0]));
    auto reading = stream->receive();
    // More than the socket takes, so that a part is left when the stream goes.
    capnp::MallocMessageBuilder message;
    message.initRoot<capnp::AnyPointer>().initAs<capnp::Data>(4 << 20);
    ASSERT_TRUE(stream->send(nullptr, message.getSegmentsForOutput()));
    auto writing = stream->end();
    EXPECT_FALSE(reading.poll((*reactor)->wait_scope()));
    EXPECT_FALSE(writing.poll((*reactor)->wait_scope()));
    reading = nullptr;
    writing = nullptr;
    stream = nullptr;
    (*reactor)->wait_scope().poll();
    std::string sink(1 << 20, '\0');
    size_t arrived = 0;
    ssize_t count = 0;
    while ((count = recv(peer.get(), sink.data(), sink.size(), MSG_DONTWAIT)) > 0) {
        arrived += static_cast<size_t>(count);
    }
    EXPECT_EQ(count, 0) << "end of file, not a socket that stays open";
    EXPECT_GT(arrived, 0u);
    EXPECT_LT(arrived, 4u << 20);
    // stop() has nothing left to end: the descriptor went with the last operation.
    EXPECT_LT(fcntl(ends[0], F_GETFD), 0);
}

TEST(RpcStream, what_was_written_last_arrives_although_the_stream_goes_at_once) {
    auto reactor = reactor::UringReactor::create();
    ASSERT_TRUE(reactor);
    TurnSender sender(**reactor);
    std::array<int, 2> ends;
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    const Fd peer(ends[1]);
    {
        Stream stream(**reactor, sender, Fd(ends[0]));
        capnp::MallocMessageBuilder message;
        message.initRoot<capnp::AnyPointer>().setAs<capnp::Text>("farewell");
        ASSERT_TRUE(stream.send(nullptr, message.getSegmentsForOutput()));
    }
    char bytes[256];
    EXPECT_GT(recv(peer.get(), bytes, sizeof bytes, MSG_DONTWAIT), 16);
}

TEST(RpcConnect, errors_say_what_to_do) {
    std::string pattern = "/tmp/rpc-test-XXXXXX";
    const std::string folder = mkdtemp(pattern.data());
    const std::string path = folder + "/noded.sock";
    EXPECT_EQ(
        Client::connect("unix:" + path).error().message,
        "connect to unix:" + path + ": ENOENT (No such file or directory): is noded running?");
    {
        const auto gone = listen_unix(path, 0600, 8);
        ASSERT_TRUE(gone);
    }
    EXPECT_EQ(Client::connect("unix:" + path).error().message,
              "connect to unix:" + path + ": ECONNREFUSED (Connection refused): is noded running?");
    EXPECT_FALSE(Client::connect("tcp:127.0.0.1:1"));
    EXPECT_FALSE(Client::connect("unix:" + std::string(200, 'x')));
    std::filesystem::remove_all(folder);
}

TEST(RpcConnect, socket_that_the_user_may_not_open_names_its_owner) {
    std::string pattern = "/tmp/rpc-test-XXXXXX";
    const std::string folder = mkdtemp(pattern.data());
    chmod(folder.c_str(), 0755);
    const std::string path = folder + "/noded.sock";
    const auto listening = listen_unix(path, 0600, 8);
    ASSERT_TRUE(listening);
    const pid_t child = fork();
    if (child == 0) {
        if (setresuid(65534, 65534, 65534) < 0) _exit(3);
        const auto refused = connect_unix(path);
        const std::string expected =
            "connect to unix:" + path +
            ": EACCES (Permission denied): write permission on the socket is needed, "
            "and it is owned by uid 0 and gid 0";
        _exit(!refused && refused.error().message == expected ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    std::filesystem::remove_all(folder);
}

TEST(RpcListen, replaces_a_dead_socket_but_neither_a_live_one_nor_a_file) {
    std::string pattern = "/tmp/rpc-test-XXXXXX";
    const std::string folder = mkdtemp(pattern.data());
    const std::string path = folder + "/noded.sock";
    { ASSERT_TRUE(listen_unix(path, 0600, 8)); }
    const auto live = listen_unix(path, 0660, 8);
    ASSERT_TRUE(live) << live.error().message;
    struct stat info;
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0660u);
    const auto second = listen_unix(path, 0600, 8);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EADDRINUSE);
    const std::string file = folder + "/file";
    close(open(file.c_str(), O_CREAT | O_WRONLY, 0600));
    EXPECT_EQ(listen_unix(file, 0600, 8).error().code, EEXIST);
    EXPECT_TRUE(std::filesystem::exists(file));
    std::filesystem::remove_all(folder);
}

TEST(RpcListen, waits_for_one_that_is_just_ending) {
    std::string pattern = "/tmp/rpc-test-XXXXXX";
    const std::string folder = mkdtemp(pattern.data());
    const std::string path = folder + "/noded.sock";
    auto before = listen_unix(path, 0600, 8);
    ASSERT_TRUE(before);
    std::thread ending([&] {
        usleep(100'000);
        before->reset();
    });
    const auto next = listen_unix(path, 0600, 8);
    EXPECT_TRUE(next) << next.error().message;
    ending.join();
    std::filesystem::remove_all(folder);
}

/// A noded that is killed just after an answer: epoll tells of both at once.
TEST(RpcClient, end_of_the_stream_that_came_with_the_last_bytes_is_seen) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    Fd far(ends[1]);
    auto client = Client::over(Fd(ends[0]));
    ASSERT_TRUE(client);
    auto answered = (*client)->bootstrap().whenResolved();
    (*client)->wait_scope().poll();   // the request is on its way, the wait for bytes has begun
    const uint64_t half_a_frame = 0;
    ASSERT_EQ(write(far.get(), &half_a_frame, 4), 4);
    far.reset();
    auto late = (*client)->event_port().getTimer().afterDelay(5 * kj::SECONDS).then([] {
        ADD_FAILURE() << "the client waits for what cannot come";
    });
    const auto result = (*client)->wait(answered.exclusiveJoin(kj::mv(late)));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ECONNRESET) << result.error().message;
}

}  // namespace
}  // namespace noded::rpc

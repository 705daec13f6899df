// See tunnel.h.
#include "ipc/remote/tunnel.h"

#include <capnp/serialize.h>
#include <fcntl.h>
#include <kj/exception.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace noded::remote {

namespace {

constexpr std::string_view kProtocol = "noded-remote 1";
constexpr size_t kChunkBytes = 64 << 10;
/// Nothing is read from sockets here while so much waits for the link.
constexpr size_t kBacklogBytes = 1 << 20;
/// And nothing from the link while so much waits for who speaks RPC here.
constexpr size_t kRpcBacklogBytes = 2 * limits::rpc_message_bytes_max;
constexpr size_t kHelloBytesMax = 64 << 10;
constexpr size_t kFrameBytesMax = limits::rpc_message_bytes_max + 4096;

/// In the byte order of the machine, which is the same on all that noded runs on.
struct FrameHead {
    uint32_t channel;
    uint32_t length;
    FrameKind kind;
};
static_assert(sizeof(FrameHead) == 12);

std::string frame(FrameKind kind, uint32_t channel, std::string_view bytes) {
    const FrameHead head{channel, static_cast<uint32_t>(bytes.size()), kind};
    std::string out(reinterpret_cast<const char*>(&head), sizeof head);
    return out += bytes;
}

template <typename T>
std::string_view raw(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

uint32_t number_at(std::string_view bytes, size_t at = 0) {
    uint32_t number = 0;
    if (bytes.size() >= at + sizeof number) memcpy(&number, bytes.data() + at, sizeof number);
    return number;
}

bool is_socket(int fd) {
    struct stat info {};
    return fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

Result<std::string> hear_words(Link& link, Deadline deadline) {
    FrameHead head{};
    TRY_STATUS(receive_all(link, {reinterpret_cast<char*>(&head), sizeof head}, deadline));
    if (head.kind != FrameKind::hello || head.channel != 0 || head.length > kHelloBytesMax)
        return fail("what answers there does not speak noded's protocol for other machines");
    std::string body(head.length, '\0');
    TRY_STATUS(receive_all(link, body, deadline));
    return body;
}

}  // namespace

Status say_hello(Link& link, const Hello& hello, Deadline deadline) {
    std::string body(kProtocol);
    body += '\0';
    body += hello.run ? "run" : "rpc";
    body += '\0';
    for (const std::string& word : hello.words) (body += word) += '\0';
    if (body.size() > kHelloBytesMax) return fail("the command line is too long");
    return send_all(link, frame(FrameKind::hello, 0, body), deadline);
}

Result<Hello> hear_hello(Link& link, Deadline deadline) {
    const std::string body = TRY(hear_words(link, deadline));
    std::vector<std::string> words;
    for (size_t at = 0; at < body.size();) {
        const size_t end = std::min(body.find('\0', at), body.size());
        words.push_back(body.substr(at, end - at));
        at = end + 1;
    }
    if (words.size() < 2 || words[0] != kProtocol || (words[1] != "rpc" && words[1] != "run"))
        return fail("the other machine's nodectl is of another version");
    return Hello{words[1] == "run", {words.begin() + 2, words.end()}};
}

Status answer_hello(Link& link, const std::string& trouble, Deadline deadline) {
    return send_all(link, frame(FrameKind::hello, 0, trouble), deadline);
}

Status hear_answer(Link& link, Deadline deadline) {
    const std::string trouble = TRY(hear_words(link, deadline));
    if (!trouble.empty()) return fail(trouble);
    return {};
}

Tunnel::Tunnel(Link& link, Side side, Fd rpc)
    : link_(link),
      rpc_(std::move(rpc)),
      // Those of one side are odd. The first ones are a program's.
      next_channel_(side == Side::client ? 11 : 10),
      rpc_ended_(!rpc_.valid()) {}

void Tunnel::add_stream(uint32_t channel, Fd socket) {
    streams_[channel].socket = std::move(socket);
}

// ---------------------------------------------------------------- the loop

/// What was said here has been handed on, and nobody here says more.
bool Tunnel::is_through() const {
    if (link_ended_) return true;
    const bool all_said = std::ranges::all_of(
        streams_, [](const auto& one) { return one.second.local_ended; });
    return rpc_ended_ && all_said && out_sent_ == out_.size();
}

void Tunnel::add_polls(std::vector<pollfd>& list) const {
    const bool room = out_.size() - out_sent_ < kBacklogBytes;
    const auto add = [&](int fd, bool reads, bool writes) {
        const short events = short((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
        if (events != 0) list.push_back({fd, events, 0});
    };
    if (!rpc_ended_) add(rpc_.get(), room, writer_.pending() > 0);
    for (const auto& [channel, stream] : streams_)
        add(stream.socket.get(), room && !stream.local_ended && stream.window > 0,
            !stream.pending.empty());
}

void Tunnel::wait() {
    std::vector<pollfd> list;
    const bool hears = writer_.pending() < kRpcBacklogBytes;
    link_.watch(hears, out_sent_ < out_.size(), list);
    add_polls(list);
    poll(list.data(), list.size(), hears && link_.holds_more() ? 0 : -1);
}

Status Tunnel::run() {
    while (!is_through()) {
        wait();
        if (writer_.pending() < kRpcBacklogBytes) TRY_STATUS(receive_from_link());
        TRY_STATUS(serve_local());
        send_to_link();
    }
    linger();
    return {};
}

/// Everything that may be ready is tried: what is not says so.
Status Tunnel::serve_local() {
    const bool room = out_.size() - out_sent_ < kBacklogBytes;
    if (!rpc_ended_) write_rpc();
    if (!rpc_ended_ && room) TRY_STATUS(read_rpc());
    for (auto& [channel, stream] : streams_) {
        write_stream(channel, stream);
        if (room && !stream.local_ended && stream.window > 0) read_stream(channel, stream);
    }
    std::erase_if(streams_, [](const auto& one) {
        const Stream& stream = one.second;
        return stream.local_ended && (stream.broken || stream.peer_ended) &&
               stream.pending.empty();
    });
    return {};
}

/// The other side is gone: what it had said still arrives, where somebody takes it.
void Tunnel::linger() {
    const Deadline deadline = std::chrono::steady_clock::now() + linger_max;
    while (link_ended_) {
        std::vector<pollfd> list;
        if (!rpc_ended_) write_rpc();
        if (!rpc_ended_ && writer_.pending() > 0) list.push_back({rpc_.get(), POLLOUT, 0});
        for (auto& [channel, stream] : streams_) {
            write_stream(channel, stream);
            if (!stream.pending.empty()) list.push_back({stream.socket.get(), POLLOUT, 0});
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            deadline - std::chrono::steady_clock::now());
        if (list.empty() || left.count() <= 0) return;
        poll(list.data(), list.size(), static_cast<int>(left.count()));
    }
}

// ---------------------------------------------------------------- the link

void Tunnel::put(FrameKind kind, uint32_t channel, std::string_view bytes) {
    out_ += frame(kind, channel, bytes);
}

void Tunnel::send_to_link() {
    while (!link_ended_ && out_sent_ < out_.size()) {
        const auto sent = link_.send(std::string_view(out_).substr(out_sent_));
        if (!sent) link_ended_ = true;
        if (!sent || *sent == 0) break;
        out_sent_ += *sent;
    }
    if (out_sent_ == out_.size() || out_sent_ > kBacklogBytes) {
        out_.erase(0, out_sent_);
        out_sent_ = 0;
    }
}

Status Tunnel::receive_from_link() {
    char chunk[kChunkBytes];
    do {
        const auto got = link_.receive(chunk);
        if (got && !*got) return {};
        if (!got || **got == 0) {
            link_ended_ = true;
            return {};
        }
        in_.append(chunk, **got);
        TRY_STATUS(take_frames());
    } while (link_.holds_more());
    return {};
}

Status Tunnel::take_frames() {
    size_t at = 0;
    while (in_.size() - at >= sizeof(FrameHead)) {
        FrameHead head;
        memcpy(&head, in_.data() + at, sizeof head);
        if (head.length > kFrameBytesMax) return fail("a frame of the other side is too long");
        if (in_.size() - at - sizeof head < head.length) break;
        const std::string_view body = std::string_view(in_).substr(at + sizeof head, head.length);
        TRY_STATUS(take_frame(head.kind, head.channel, body));
        at += sizeof head + head.length;
    }
    in_.erase(0, at);
    return {};
}

Status Tunnel::take_frame(FrameKind kind, uint32_t channel, std::string_view body) {
    if (kind == FrameKind::message) return take_message(body);
    if (kind == FrameKind::data) return take_data(channel, body);
    if (kind == FrameKind::end && channel == 0) {
        // The other side's connection has ended; its streams go on, and what it said last arrives.
        rpc_peer_ended_ = true;
        return {};
    }
    if (kind != FrameKind::end && kind != FrameKind::broken && kind != FrameKind::window)
        return fail("a frame of the other side has the unknown kind " +
                    std::to_string(static_cast<uint32_t>(kind)));
    const auto found = streams_.find(channel);
    if (found == streams_.end()) return {};
    Stream& stream = found->second;
    if (kind == FrameKind::end) {
        stream.peer_ended = true;
        if (stream.pending.empty()) shutdown(stream.socket.get(), SHUT_WR);
    } else if (kind == FrameKind::broken) {
        // Who writes here learns it as if its reader were here.
        shutdown(stream.socket.get(), SHUT_RD);
        stream.local_ended = true;
    } else if (const uint32_t more = number_at(body); more <= window_bytes - stream.window) {
        stream.window += more;
    } else {
        return fail("the other side gives a stream more room than there is");
    }
    return {};
}

Status Tunnel::take_data(uint32_t channel, std::string_view body) {
    const auto found = streams_.find(channel);
    if (found == streams_.end() || found->second.broken) return {};
    Stream& stream = found->second;
    if (body.size() > window_bytes - stream.pending.size() || stream.peer_ended)
        return fail("the other side sends more of a stream than it may");
    stream.pending += body;
    return {};
}

/// Both ends of a pair: one becomes the channel's, the other is given. Invalid: there are too many,
/// or no descriptors left.
Fd Tunnel::new_stream(uint32_t channel) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return {};
    Fd near(ends[0]);
    Fd far(ends[1]);
    // Without a channel it is closed at once: its user sees the end of a stream.
    if (channel == 0 || streams_.size() >= streams_max || streams_.contains(channel)) return far;
    streams_[channel].socket = std::move(near);
    return far;
}

/// "COUNT CHANNEL... MESSAGE", in 32-bit numbers.
Status Tunnel::take_message(std::string_view body) {
    const uint32_t count = number_at(body);
    const size_t begin = sizeof(uint32_t) * (size_t(count) + 1);
    if (count > limits::rpc_fds_per_message_max || body.size() < begin ||
        (body.size() - begin) % sizeof(capnp::word) != 0)
        return fail("a message of the other side is cut");
    std::vector<Fd> sockets;
    std::vector<int> numbers;
    for (uint32_t i = 0; i < count; ++i) {
        sockets.push_back(new_stream(number_at(body, sizeof(uint32_t) * (i + 1))));
        if (!sockets.back().valid()) return fail_errno(EMFILE, "make a pair of sockets");
        numbers.push_back(sockets.back().get());
    }
    auto words = kj::heapArray<capnp::word>((body.size() - begin) / sizeof(capnp::word));
    memcpy(words.begin(), body.data() + begin, body.size() - begin);
    Status added;
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
                     capnp::FlatArrayMessageReader reader(words);
                     std::vector<kj::ArrayPtr<const capnp::word>> segments;
                     for (unsigned id = 0;; ++id) {
                         const auto segment = reader.getSegment(id);
                         if (segment.begin() == nullptr) break;
                         segments.push_back(segment);
                     }
                     if (segments.empty()) added = fail("a message of the other side is empty");
                     else
                         added = writer_.add({numbers.data(), numbers.size()},
                                             {segments.data(), segments.size()});
                 }))
        return fail(exception->getDescription().cStr());
    return added;
}

// ---------------------------------------------------------------- sockets here

void Tunnel::end_rpc() {
    if (rpc_ended_) return;
    rpc_ended_ = true;
    put(FrameKind::end, 0, {});
    shutdown(rpc_.get(), SHUT_RDWR);
}

void Tunnel::write_rpc() {
    if (writer_.pending() > 0 && !writer_.flush(rpc_.get())) end_rpc();
    if (rpc_peer_ended_ && writer_.pending() == 0) shutdown(rpc_.get(), SHUT_RDWR);
}

Status Tunnel::read_rpc() {
    msghdr message;
    reader_.prepare(message);
    const ssize_t count = recvmsg(rpc_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {};
    if (count <= 0) return end_rpc(), Status();
    TRY_STATUS(reader_.received(message, static_cast<size_t>(count)));
    for (;;) {
        auto next = TRY(reader_.next());
        if (next.get() == nullptr) return {};
        forward(*next);
    }
}

void Tunnel::forward(rpc::ReceivedMessage& message) {
    std::string body;
    const auto sockets = message.getAttachedFds();
    body += raw(static_cast<uint32_t>(sockets.size()));
    for (const kj::AutoCloseFd& one : sockets) {
        const bool travels = is_socket(one.get()) && streams_.size() < streams_max;
        const uint32_t channel = travels ? next_channel_ : 0;
        body += raw(channel);
        if (!travels) continue;
        next_channel_ += 2;
        add_stream(channel, Fd(fcntl(one.get(), F_DUPFD_CLOEXEC, 0)));
    }
    std::vector<kj::ArrayPtr<const capnp::word>> segments;
    for (unsigned id = 0;; ++id) {
        const auto segment = message.reader().getSegment(id);
        if (segment.begin() == nullptr) break;
        segments.push_back(segment);
    }
    const auto words = capnp::messageToFlatArray(
        kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>(segments.data(), segments.size()));
    const auto bytes = words.asBytes();
    body.append(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    put(FrameKind::message, 0, body);
}

void Tunnel::read_stream(uint32_t channel, Stream& stream) {
    char chunk[kChunkBytes];
    const size_t room = std::min<size_t>(sizeof chunk, stream.window);
    const ssize_t got = recv(stream.socket.get(), chunk, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        stream.local_ended = true;
        put(FrameKind::end, channel, {});
        return;
    }
    stream.window -= static_cast<uint32_t>(got);
    put(FrameKind::data, channel, {chunk, static_cast<size_t>(got)});
}

void Tunnel::write_stream(uint32_t channel, Stream& stream) {
    if (stream.pending.empty()) return;
    const ssize_t sent = send(stream.socket.get(), stream.pending.data(), stream.pending.size(),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) {
        stream.broken = true;
        stream.pending.clear();
        put(FrameKind::broken, channel, {});
        return;
    }
    stream.pending.erase(0, static_cast<size_t>(sent));
    stream.taken += static_cast<uint32_t>(sent);
    if (stream.taken >= window_bytes / 2) {
        put(FrameKind::window, channel, raw(stream.taken));
        stream.taken = 0;
    }
    if (stream.pending.empty() && stream.peer_ended) shutdown(stream.socket.get(), SHUT_WR);
}

// ---------------------------------------------------------------- programs

void hang_up(Link& link, Deadline deadline) {
    link.end();
    char chunk[kChunkBytes];
    for (;;) {
        const auto got = link.receive(chunk);
        if (!got || (*got && **got == 0)) return;
        if (!*got && !wait_for(link, false, deadline)) return;
    }
}

Status say_exit(Link& link, int status, Deadline deadline) {
    const auto code = static_cast<uint32_t>(status);
    return send_all(link, frame(FrameKind::exit, 0, raw(code)), deadline);
}

namespace {

Status write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t written = write(fd, bytes.data(), bytes.size());
        if (written < 0 && errno != EINTR) return fail_errno(errno, "write what the node says");
        if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
    }
    return {};
}

/// A piece, or the end.
Status send_input(Link& link, Fd& input, uint32_t& window) {
    constexpr Deadline never = Deadline::max();
    char chunk[kChunkBytes];
    const ssize_t got = read(input.get(), chunk, std::min<size_t>(sizeof chunk, window));
    if (got < 0 && errno == EINTR) return {};
    if (got < 0) return fail_errno(errno, "read what goes to the node");
    if (got == 0) {
        input.reset();
        return send_all(link, frame(FrameKind::end, channel_input, {}), never);
    }
    window -= static_cast<uint32_t>(got);
    return send_all(link, frame(FrameKind::data, channel_input, {chunk, size_t(got)}), never);
}

}  // namespace

Result<int> show_program(Link& link, int output, int errors, Fd input) {
    // However long it says nothing.
    constexpr Deadline never = Deadline::max();
    uint32_t window = window_bytes;
    std::string body;
    if (!input.valid()) TRY_STATUS(send_all(link, frame(FrameKind::end, channel_input, {}), never));
    for (;;) {
        while (input.valid() && window > 0) TRY_STATUS(send_input(link, input, window));
        FrameHead head{};
        TRY_STATUS(receive_all(link, {reinterpret_cast<char*>(&head), sizeof head}, never));
        if (head.length > kFrameBytesMax) return fail("a frame of the other side is too long");
        body.resize(head.length);
        TRY_STATUS(receive_all(link, body, never));
        if (head.kind == FrameKind::exit) return static_cast<int>(number_at(body) & 0xff);
        if (head.kind == FrameKind::end) continue;
        if (head.kind == FrameKind::broken) input.reset();   // it reads no more
        if (head.kind == FrameKind::broken) continue;
        if (head.kind == FrameKind::window) window += number_at(body);
        if (head.kind == FrameKind::window) continue;
        const bool known = head.channel == channel_output || head.channel == channel_errors;
        if (head.kind != FrameKind::data || !known)
            return fail("a frame of the other side is none of a program");
        TRY_STATUS(write_all(head.channel == channel_output ? output : errors, body));
        TRY_STATUS(send_all(link, frame(FrameKind::window, head.channel, raw(head.length)), never));
    }
}

}  // namespace noded::remote

// Tunnel: a connection to noded that leads through a Link to another machine, descriptors and all.
//
// A descriptor cannot travel, the bytes of a stream socket can: where a message carries a socket,
// the other side makes a pair of its own, hands one end on in the same message, and what goes
// through both sockets is carried between them. So attach, exec, cp and all else that works through
// streams need to know nothing of it. Of what is no socket, a closed one arrives.
//
// On the link, both ways: frames of {channel, length, kind} (32-bit numbers) and `length` bytes.
// Channel 0 is the connection itself, message by message. Every other channel has a window of so
// many bytes that the receiver has room for, so that a stream whose reader is slow stops itself and
// nothing else. Ends travel as what they are: a half that is shut down is shut down at the other
// side, one that nobody reads any more breaks the pipe there.
//
// First each side says hello (Hello below). Used by nodectl, on the user's side, and by `nodectl
// serve` and `nodectl system dial-stdio`, on the node's; a process has one tunnel and does nothing
// else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "ipc/remote/link.h"
#include "ipc/rpc/frames.h"

namespace noded::remote {

/// What stands in a frame: a hello's words, each with a zero behind it; a message, with the
/// channels of its sockets in front; bytes of a stream; the end of a stream's half; that nobody
/// reads it; how many bytes more may come; how a program ended.
enum class FrameKind : uint32_t { hello, message, data, end, broken, window, exit };

/// What the user's side wants.
struct Hello {
    bool run = false;                ///< a program on the node instead of a connection to it
    std::vector<std::string> words;  ///< its arguments
};

Status say_hello(Link& link, const Hello& hello, Deadline deadline);
Result<Hello> hear_hello(Link& link, Deadline deadline);
/// The node's side: that it is so, or why not.
Status answer_hello(Link& link, const std::string& trouble, Deadline deadline);
/// The user's side; the node's trouble is the error.
Status hear_answer(Link& link, Deadline deadline);

/// Channels of the streams of a program that runs on the node.
constexpr uint32_t channel_output = 1, channel_errors = 2, channel_input = 3;

/// Bytes of a stream that may be under way.
constexpr uint32_t window_bytes = 256 << 10;
/// Streams of one connection.
constexpr size_t streams_max = 256;
/// How long, after the link has ended, what came before is still written.
constexpr std::chrono::seconds linger_max{10};

/// Nothing more is said: waits until the other side has heard all and hung up, so that nothing of
/// it is lost.
void hang_up(Link& link, Deadline deadline);

class Tunnel {
public:
    enum class Side { client, node };

    /// `rpc` is a connected stream socket: noded's, or the one that a client of it uses. Invalid:
    /// there is no connection, only streams.
    Tunnel(Link& link, Side side, Fd rpc);

    /// A socket whose channel both sides know.
    void add_stream(uint32_t channel, Fd socket);

    /// Carries until one side is through and all that it said has been handed on. An error: the
    /// other side broke the protocol; that the link ended is none.
    Status run();

    /// Whether the other side went first.
    bool link_ended() const { return link_ended_; }


private:
    struct Stream {
        Fd socket;
        std::string pending;            ///< from the other side, not yet written
        bool local_ended = false;       ///< nothing more is read here
        bool peer_ended = false;        ///< nothing more comes from the other side
        bool broken = false;            ///< nobody reads here any more
        uint32_t window = window_bytes; ///< bytes that may be sent
        uint32_t taken = 0;             ///< bytes written here that the other side was not told of
    };
    using Streams = std::map<uint32_t, Stream>;

    bool is_through() const;
    void wait();
    void add_polls(std::vector<pollfd>& list) const;
    void put(FrameKind kind, uint32_t channel, std::string_view bytes);

    Status receive_from_link();
    Status take_frames();
    Status take_frame(FrameKind kind, uint32_t channel, std::string_view body);
    Status take_message(std::string_view body);
    Status take_data(uint32_t channel, std::string_view body);
    Fd new_stream(uint32_t channel);
    void send_to_link();

    Status read_rpc();
    void forward(rpc::ReceivedMessage& message);
    void end_rpc();
    void write_rpc();
    void read_stream(uint32_t channel, Stream& stream);
    void write_stream(uint32_t channel, Stream& stream);
    Status serve_local();
    void linger();

    Link& link_;
    Fd rpc_;
    uint32_t next_channel_;
    Streams streams_;
    rpc::FrameReader reader_;
    rpc::FrameWriter writer_;
    std::string in_;
    std::string out_;
    size_t out_sent_ = 0;
    bool rpc_ended_;
    bool rpc_peer_ended_ = false;  ///< nothing more is to be said to it here
    bool link_ended_ = false;
};

/// The node's side of a program: how it ended, after all that it said.
Status say_exit(Link& link, int status, Deadline deadline);

/// The user's side of a program that runs on the node: what it says goes to these descriptors as it
/// comes, what can be read from `input`, if it is valid, to the program. How it ended; an error if
/// the link broke before that was known.
Result<int> show_program(Link& link, int output, int errors, Fd input);

}  // namespace noded::remote

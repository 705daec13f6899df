// Session: one connection of nodectl to one noded, made when it is first needed, and the few ways
// to call it.
//
// Every KJ exception becomes an Error in wait(), with a sentence for the user.
// Calls are sent as they are made and answered in the order of wait(): send several, then wait.
#pragma once

#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <kj/async-unix.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/ids.h"
#include "agent/base/result.h"
#include "ipc/remote/tls_files.h"
#include "ipc/rpc/client.h"
#include "schemas/container.capnp.h"
#include "schemas/node.capnp.h"
#include "schemas/stats.capnp.h"
#include "schemas/storage.capnp.h"
#include "tools/nodectl/bound.h"

namespace noded::nodectl {

constexpr const char* kHostDefault = "unix:/run/noded/noded.sock";
/// How long a verb that follows something waits for a noded that is being restarted.
constexpr int kReconnectSeconds = 60;

/// A command or the params of a call, being built.
template <typename T>
struct Payload {
    capnp::MallocMessageBuilder message;
    typename T::Builder root = message.initRoot<T>();
};

/// The events that a command caused, by seq; `last` is 0 if there was nothing to do.
struct Caused {
    uint64_t first = 0;
    uint64_t last = 0;
};

/// Words in Data are aligned: blobs of a message begin at a word.
inline kj::ArrayPtr<const capnp::word> words_of(capnp::Data::Reader bytes) {
    return {reinterpret_cast<const capnp::word*>(bytes.begin()),
            bytes.size() / sizeof(capnp::word)};
}

using Submitted = capnp::RemotePromise<schema::Node::SubmitResults>;
using StreamCall = capnp::RemotePromise<schema::Node::CallWithStreamResults>;

class Session {
public:
    /// `host` is "unix:PATH" or "unix://PATH", or leads to another machine (remote.h); with `at` it
    /// is asked as it was then. `client` is what the history says of who sent a command.
    explicit Session(std::string host, Bound at = {}, std::string client = "nodectl")
        : host_(std::move(host)), at_(at), client_words_(std::move(client)) {}
    /// For hosts that are reached by TLS.
    void set_tls_files(remote::TlsFiles files) { tls_files_ = std::move(files); }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    const std::string& host() const { return host_; }
    const remote::TlsFiles& tls_files() const { return tls_files_; }
    /// The node is another machine: of its files nothing can be opened here.
    bool elsewhere() const;

    /// Does nothing if there is a connection already. Must have succeeded before anything below is
    /// called.
    Status connect();
    /// After a call was lost: tries until noded is there again, calling `meanwhile` between tries.
    /// Whatever belongs to the old connection (promises, responses, WatchedFds) must be gone.
    /// An error when noded stays away for kReconnectSeconds.
    Status reconnect(const std::function<Status()>& meanwhile = {});

    /// Goes on with the same node as it was `at`. As with reconnect(), whatever belongs to the
    /// connection must be gone.
    Status travel(Bound at);
    bool in_the_past() const { return at_.given(); }
    /// Real time where the node is that answers: ages are counted from it.
    int64_t now_ns() const;

    schema::Node::Client& node() { return *node_; }
    schema::Container::Client& container();
    schema::Storage::Client& storage();
    schema::Stats::Client& stats();
    kj::UnixEventPort& port() { return client_->event_port(); }

    /// Waits; an exception, from here or from the other side, becomes an Error.
    template <typename T>
    Result<T> wait(kj::Promise<T> promise) {
        Result<T> result = client_->wait(kj::mv(promise));
        if (!result) result.error() = explain(std::move(result.error()));
        return result;
    }

    /// Sends a command.
    template <typename T>
    Submitted submit(const CommandId& id, Payload<T>& command) {
        return submit_words(id, capnp::typeId<T>(), command.message);
    }
    /// Waits until its events are durable; a rejection is an Error with its sentence.
    Result<Caused> wait_caused(Submitted submitted);
    Status wait_accepted(Submitted submitted);

    /// Calls a method of a plugin's interface by name, with a descriptor along. The descriptor is
    /// closed here when noded has taken it, or is gone: from then on the other end sees the end of
    /// the stream.
    template <typename Interface, typename Params>
    StreamCall call_with_stream(const char* plugin, const char* method, Payload<Params>& params,
                                Fd fd) {
        const auto ordinal = capnp::Schema::from<Interface>().getMethodByName(method).getOrdinal();
        return stream_call(plugin, ordinal, params.message, std::move(fd));
    }

    /// The descriptor that came with an answer.
    Result<Fd> received_fd(capnp::Response<schema::Node::CallWithStreamResults>& response);

    /// Whether a command was rejected because its thing is in use, or gone already.
    static bool is_in_use(const Error& error);
    /// Whether noded went away in the middle of the call.
    static bool is_lost(const Error& error);

private:
    Error explain(Error error) const;
    void disconnect();
    Status enter_the_past();
    Result<Fd> ask_for_the_past();
    Result<Fd> fd_of(schema::Stream::Client stream);
    Submitted submit_words(const CommandId& id, uint64_t type, capnp::MessageBuilder& message);
    StreamCall stream_call(const char* plugin, uint16_t method, capnp::MessageBuilder& params,
                           Fd fd);

    std::string host_;
    remote::TlsFiles tls_files_;
    Bound at_;
    const std::string client_words_;
    int64_t as_of_ns_ = 0;
    std::unique_ptr<rpc::Client> client_;
    // Each is asked for once; they go before the connection does.
    std::optional<schema::Node::Client> node_;
    std::optional<schema::Container::Client> container_;
    std::optional<schema::Storage::Client> storage_;
    std::optional<schema::Stats::Client> stats_;
};

/// 32 random bytes.
CommandId mint_command_id();

}  // namespace noded::nodectl

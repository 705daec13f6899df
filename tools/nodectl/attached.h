// An attached container or exec from nodectl's side: the answer of its wait call and its stream,
// brought together.
#pragma once

#include <string>

#include "tools/nodectl/relay.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

/// How a container or exec ended.
struct Ended {
    int code = 0;
    std::string error;  ///< of a start that failed
    bool start_failed = false;
};

/// The same, or the user left with the detach keys.
struct Finished {
    Ended ended;
    bool detached = false;
};

/// The answer of Container.wait.
kj::Promise<Ended> ended(capnp::RemotePromise<schema::Container::WaitResults> waited);

/// Sends the signals that nodectl gets to a container. It may not run yet: the kill then waits for
/// its start.
class SignalForwarder final : private kj::TaskSet::ErrorHandler {
public:
    SignalForwarder(Session& session, std::string container)
        : session_(session), container_(std::move(container)) {}
    std::function<void(int)> handler();

private:
    // A signal that comes too late has nobody to go to.
    void taskFailed(kj::Exception&&) override {}

    Session& session_;
    std::string container_;
    kj::TaskSet tasks_{*this};
};

/// Docker refuses -it without a terminal on standard input, with status 1: then it is said here and
/// returned.
std::optional<int> check_terminal(bool tty, bool interactive);

/// How far the streams of a container go: docker's rules. With a status that was said, nowhere.
std::optional<int> aim(const schema::ResolvedSpec::Reader& spec, bool interactive,
                       RelayOptions& relay);

class Attachment {
public:
    /// Sends the attach call ("attach" or "attachExec" with its params) and starts the relay.
    template <typename Params>
    static Result<std::unique_ptr<Attachment>> begin(Session& session, const char* method,
                                                     Payload<Params>& params,
                                                     RelayOptions options) {
        AttachPair pair = TRY(attach_pair());
        auto call = session.call_with_stream<schema::Container>("container", method, params,
                                                                std::move(pair.far));
        return std::unique_ptr<Attachment>(
            new Attachment(session, std::move(call), std::move(pair.near), std::move(options)));
    }

    Relay& relay() { return relay_; }

    /// Waits until both the wait call is answered and the last byte of output is written. If noded
    /// goes away meanwhile, the stream goes on without it, and its exit frame says how it ended;
    /// signals then end nodectl, because nobody can forward them.
    Result<Finished> finish(kj::Promise<Ended> ended);

private:
    Attachment(Session& session, StreamCall call, Fd near, RelayOptions options);

    Session& session_;
    Relay relay_;
    std::string error_;  ///< of the attach call
    kj::Promise<void> call_;
};

/// Attaches to a container with these attach_* bits, and waits for its end: what `attach` and
/// `start -a` have in common. `begin` is called when the stream is on its way.
Result<Finished> follow(Session& session, const schema::ContainerState::Reader& state,
                        uint32_t flags, bool sig_proxy, RelayOptions relay,
                        const std::function<Status()>& begin = {});

}  // namespace noded::nodectl

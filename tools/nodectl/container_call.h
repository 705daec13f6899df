// What several container verbs share: waiting for a state, asking for one container, doing a thing
// to many.
#pragma once

#include <string>
#include <vector>

#include "tools/nodectl/session.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

using Until = schema::Container::Until;
using Waited = capnp::RemotePromise<schema::Container::WaitResults>;

Waited send_wait(Session& session, const std::string& container, Until until);

using Inspected = capnp::RemotePromise<schema::Container::InspectResults>;

Inspected send_inspect(Session& session, const std::string& container);

/// All containers of the node, page by page; each as a list shows it (Container.list).
class ContainerList {
public:
    static Result<ContainerList> fetch(Session& session);
    /// Valid as long as this is.
    std::vector<schema::ContainerState::Reader> states() const;

private:
    std::vector<capnp::Response<schema::Container::ListResults>> pages_;
};

/// Whether it has the label that a --filter label= asks for.
bool container_has_label(const schema::ContainerState::Reader& state, const std::string& filter);

/// A grace period as a command has it: nothing is -1, and for ever, which is any negative one, is
/// -2. One that is too long stays so, and noded says what is allowed.
int32_t stop_seconds(const std::optional<int64_t>& seconds);

/// What stop and restart are told about the end of a run.
struct StopOptions {
    std::optional<int64_t> seconds;
    std::string signal;

    /// Reads the command line of a verb that takes nothing else but containers; a status as
    /// Invocation::parse gives it.
    std::optional<int> parse(Invocation& call);

    /// Into a StopContainer or a RestartContainer.
    template <typename Command>
    void fill(Command& command, const std::string& container) const {
        command.setContainer(container);
        command.setSignal(signal);
        command.setTimeoutSeconds(stop_seconds(seconds));
    }
};

bool is_no_such_container(const Error& error);

/// How a container that is gone ended last, by the events since `seq`; nothing if they do not tell.
Result<std::optional<uint32_t>> exit_code_in_log(Session& session, const std::string& id,
                                                 uint64_t seq);

/// The state of one container, by name or id.
Result<capnp::Response<schema::Container::InspectResults>> inspect_one(
    Session& session, const std::string& container);

/// A start that failed, for the user; the code is 125 to 127.
Error start_failure(const schema::Container::WaitResult::Reader& result);

/// Waits for the run that a command asked for, and prints the name.
Status wait_started(Session& session, const std::string& name, Submitted submitted);

/// One command per argument, all sent before the first is waited for, and a wait for its outcome
/// where there is one, which may be that it failed. Each name is printed when it is done; a failure
/// is said and does not stop the others.
struct Batch {
    struct One {
        std::string name;
        std::optional<Submitted> submitted;
        std::optional<Waited> waited;
        bool may_fail = false;  ///< the outcome tells whether it went well
    };
    std::vector<One> all;
    /// Before what went wrong, with the name behind it: "Cannot kill container: ".
    const char* trouble = nullptr;
    bool missing_is_fine = false;   ///< a container that there is not is told, and is no failure

    int finish(Invocation& call);
};

}  // namespace noded::nodectl

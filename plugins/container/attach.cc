// Streams between clients and shims: attach, the stdio of an exec, and the size of a terminal.
//
// What is given before the container starts waits in its Live and goes along with the launch, so
// that no output is lost; a stream whose command never comes is closed by a deadline.
#include <poll.h>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;

namespace {

constexpr uint32_t kStreams = attach_stdin | attach_stdout | attach_stderr;
constexpr uint32_t kAttachFlags = kStreams | attach_from_start | attach_stdin_once;

void respond_empty(const sdk::Host& host, uint64_t token) {
    Message<schema::Container::AttachResults> done;
    host.respond(token, done);
}

/// Its client went away.
bool is_gone(const Stream& stream) {
    pollfd asked{stream.fd.get(), 0, 0};
    return poll(&asked, 1, 0) > 0 && (asked.revents & POLLHUP) != 0;
}

template <typename T>
Bytes bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

void Effects::attach(uint64_t token, const std::string& reference, uint32_t flags, Fd fd) {
    if (!fd.valid())
        return host_.refuse(token, NODED_REJECT_INVALID, "attach needs a stream socket");
    flags &= kAttachFlags;
    if ((flags & kStreams) == 0) flags |= kStreams;
    const auto found = state_.find(reference);
    if (!found && !is_full_id(reference))
        return host_.refuse(token, noded_rejection(found.error().code), found.error().message);
    const Phase phase = found ? (*found)->phase : Phase::REQUESTED;
    if (found && (*found)->spec.stdin_once && (flags & attach_stdin) != 0)
        flags |= attach_stdin_once;
    if (found && (*found)->freezes())
        return host_.refuse(token, NODED_REJECT_CONFLICT,
                            "Container " + reference +
                                " is paused, unpause the container before attach.");
    // With attach_from_start it comes before the start that it is for, and misses nothing of it.
    const bool stopped = phase == Phase::EXITED && (flags & attach_from_start) == 0;
    if (stopped || phase == Phase::REMOVING)
        return host_.refuse(token, NODED_REJECT_CONFLICT,
                            "You cannot attach to a stopped container, start it first");
    if (!found && !park_unknown(token, reference)) return;
    Live& live = live_of(found ? (*found)->id : reference);
    if (phase == Phase::RUNNING) {
        std::vector<Fd> fds;
        fds.push_back(std::move(fd));
        return ask_shim(live, token, ControlType::attach, flags, {}, std::move(fds));
    }
    if (live.streams.size() >= limits::attaches_parked_max) std::erase_if(live.streams, is_gone);
    if (live.streams.size() >= limits::attaches_parked_max)
        return host_.refuse(token, NODED_REJECT_LIMIT,
                            "too many clients wait for container " + reference);
    live.streams.push_back({std::move(fd), flags | attach_from_start, host_.monotonic_ns()});
    if (phase == Phase::EXITED)
        after(limits::park_deadline_ns, [this, id = live.id] {
            Live* late = find_live(id);
            const Container* container = state_.get(id);
            if (late == nullptr || container == nullptr || container->phase != Phase::EXITED)
                return;
            const int64_t last = host_.monotonic_ns() - limits::park_deadline_ns;
            std::erase_if(late->streams, [last](const Stream& s) { return s.given_ns <= last; });
        });
    respond_empty(host_, token);
}

/// The launch took the first; the others get what they missed from the start of the run.
void Effects::attach_parked(Live& live) {
    for (Stream& stream : live.streams) {
        std::vector<Fd> fds;
        fds.push_back(std::move(stream.fd));
        if (live.link)
            (void)live.link->send(ControlType::attach, stream.flags, ++tags_, {}, std::move(fds));
    }
    live.streams.clear();
}

void Effects::attach_exec(uint64_t token, const std::string& exec_id, Fd fd) {
    if (!fd.valid())
        return host_.refuse(token, NODED_REJECT_INVALID, "attachExec needs a stream socket");
    if (!is_full_id(exec_id))
        return host_.refuse(token, NODED_REJECT_INVALID,
                            "an exec is named by the whole id of its command");
    if (state_.container_by_exec.contains(exec_id))
        return host_.refuse(
            token, NODED_REJECT_CONFLICT,
            "the exec " + exec_id + " has begun: its stream comes before its command");
    if (!park_unknown_exec(token, exec_id)) return;
    exec_of(exec_id).stream.fd = std::move(fd);
    respond_empty(host_, token);
}

void Effects::resize(uint64_t token, const std::string& reference, const std::string& exec,
                     uint16_t rows, uint16_t columns) {
    const Container* container = find_or_refuse(token, reference);
    if (container == nullptr) return;
    if (container->phase != Phase::RUNNING)
        return host_.refuse(token, NODED_REJECT_CONFLICT,
                            "container " + container->name + " is not running");
    const ResizeRequest request{noded::exec_id(exec), rows, columns};
    ask_shim(live_of(container->id), token, ControlType::resize, 0, bytes_of(request), {});
}

/// The call is answered with the shim's result.
void Effects::ask_shim(Live& live, uint64_t token, ControlType type, uint32_t flags, Bytes payload,
                       std::vector<Fd> fds) {
    if (!live.link || live.adopting)
        return host_.refuse(token, NODED_REJECT_BUSY,
                            "the shim of container " + live.id + " cannot be reached yet");
    const uint64_t tag = ++tags_;
    if (const auto sent = live.link->send(type, flags, tag, payload, std::move(fds)); !sent)
        return host_.refuse(token, NODED_REJECT_BUSY, sent.error().message);
    live.answers[tag] = token;
    call_homes_[token] = live.id;
}

/// The shim went away before it answered.
void Effects::fail_answers(Live& live) {
    for (const auto& [tag, token] : live.answers) {
        call_homes_.erase(token);
        host_.refuse(token, NODED_REJECT_CONFLICT, "container " + live.id + " is not running");
    }
    live.answers.clear();
}

}  // namespace noded::container

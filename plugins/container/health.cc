// Health checks: a command that is executed in the container every now and then, through its shim
// like any exec. Only a change of the health is an event; single results are kept in memory, the
// newest few of them for inspect.
//
// One probe at a time and container. It ends with the exit frame of its stream; one that does not
// within its time is killed and has failed. What is found out while the container is paused says
// nothing.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

constexpr int32_t kNoExitCode = -1;  ///< docker's, of a probe that could not end by itself

/// A text of an event has no zero bytes.
std::string printable(std::string said) {
    std::ranges::replace(said, '\0', ' ');
    return said;
}

}  // namespace

/// Of a run that has begun, or that was found by reconcile.
void Effects::watch_health(Live& live, int64_t started_ns, Health health) {
    const Container* container = state_.get(live.id);
    if (container == nullptr || !container->spec.health.enabled()) return;
    forget_health(live);
    live.probes = std::make_unique<Probes>();
    live.probes->owner = this;
    live.probes->id = live.id;
    live.probes->started_ns = started_ns;
    live.probes->health = health;
    if (health.status == HealthStatus::NONE) live.probes->health.status = HealthStatus::STARTING;
    probe_later(live);
}

void Effects::forget_health(Live& live) {
    if (!live.probes) return;
    end_probe(*live.probes);
    cancel(live.probes->timer);
    live.probes.reset();
}

void Effects::probe_later(Live& live) {
    const Container* container = state_.get(live.id);
    if (container == nullptr) return;
    const bool starting = live.probes->health.status == HealthStatus::STARTING;
    const int64_t wait_ns = container->spec.health.interval_ns(starting);
    cancel(live.probes->timer);
    live.probes->timer = after(wait_ns, [this, id = live.id] {
        Live* due = find_live(id);
        if (due == nullptr || !due->probes) return;
        due->probes->timer = 0;
        probe(*due);
    });
}

void Effects::probe(Live& live) {
    const Container* container = state_.get(live.id);
    if (container == nullptr || !live.running) return;
    if (!live.link || live.adopting || container->freezes()) return probe_later(live);
    Probes& probes = *live.probes;
    probes.output.clear();
    probes.begin_ns = host_.realtime_ns();
    probes.exec_id = "health-" + std::to_string(probes.begin_ns);
    if (const auto sent = send_probe(live, *container); !sent)
        return probe_ended(live, kNoExitCode, sent.error().message);
    probes.timer = after(container->spec.health.timeout_ns(), [this, id = live.id] {
        Live* late = find_live(id);
        if (late == nullptr || !late->probes) return;
        late->probes->timer = 0;
        probe_timed_out(*late);
    });
}

Status Effects::send_probe(Live& live, const Container& container) {
    ProcessSpec spec;
    spec.id = live.probes->exec_id;
    spec.arguments = container.spec.health.argv();
    spec.environment = container.spec.env;
    if (!container.spec.working_dir.empty()) spec.cwd = container.spec.working_dir;
    spec.user = container.spec.user;
    const Buffer encoded = TRY(exec_encode(spec));
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return fail_errno(errno, "make a socket for the health check");
    Stream stream{Fd(ends[1]), attach_stdout | attach_stderr | attach_from_start};
    Probes& probes = *live.probes;
    probes.socket = Fd(ends[0]);
    probes.watch = host_.watch(ends[0], POLLIN | POLLRDHUP, probe_readable, &probes);
    if (probes.watch == 0) return fail("watch the health check: the host has no watch left");
    return send_spec(*live.link, ControlType::exec, ++tags_, encoded, std::move(stream));
}

/// The frames of attach_frames.h; what is too long is cut.
void Effects::probe_readable(void*, void* argument, uint32_t) noexcept {
    Probes& probes = *static_cast<Probes*>(argument);
    Effects& effects = *probes.owner;
    uint8_t bytes[4096];
    ssize_t got = 0;
    while ((got = recv(probes.socket.get(), bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        probes.input.insert(probes.input.end(), bytes, bytes + got);
        if (effects.take_frames(probes)) return;
    }
    const bool over = got == 0 || (errno != EAGAIN && errno != EINTR);
    Live* live = effects.find_live(probes.id);
    if (over && live != nullptr)
        effects.probe_ended(*live, kNoExitCode, "the container's shim ended the health check");
}

/// True when the last frame has come: the probe is over and `probes` may be gone.
bool Effects::take_frames(Probes& probes) {
    AttachHeader header;
    while (probes.input.size() >= sizeof header) {
        memcpy(&header, probes.input.data(), sizeof header);
        const size_t size = sizeof header + header.length;
        if (header.length > attach_frame_bytes_max || probes.input.size() < size) return false;
        const uint8_t* value = probes.input.data() + sizeof header;
        const size_t room = limits::health_output_bytes_max - probes.output.size();
        AttachExit exit{};
        if (header.kind == AttachKind::exit) {
            memcpy(&exit, value, std::min<size_t>(header.length, sizeof exit));
            if (Live* live = find_live(probes.id)) probe_ended(*live, exit.code, {});
            return true;
        }
        probes.output.append(reinterpret_cast<const char*>(value),
                             std::min<size_t>(header.length, room));
        probes.input.erase(probes.input.begin(), probes.input.begin() + long(size));
    }
    return false;
}

void Effects::probe_timed_out(Live& live) {
    const Container* container = state_.get(live.id);
    SignalRequest request{noded::exec_id(live.probes->exec_id), SIGKILL};
    const auto* bytes = reinterpret_cast<const uint8_t*>(&request);
    if (live.link)
        (void)live.link->send(ControlType::signal, 0, ++tags_, {bytes, sizeof request});
    const int64_t ms =
        container != nullptr ? container->spec.health.timeout_ns() / 1'000'000 : 0;
    probe_ended(live, kNoExitCode,
                "Health check exceeded timeout (" + std::to_string(ms) + "ms)");
}

void Effects::end_probe(Probes& probes) {
    if (probes.watch != 0) host_.unwatch(probes.watch);
    probes.watch = 0;
    probes.socket.reset();
    probes.input.clear();
    probes.exec_id.clear();
}

/// `why` is empty when the command came to its own end.
void Effects::probe_ended(Live& live, int32_t code, const std::string& why) {
    Probes& probes = *live.probes;
    const bool failed_to_run = code == 126 || code == 127;
    end_probe(probes);
    cancel(probes.timer);
    const Container* container = state_.get(live.id);
    if (container == nullptr || !live.running) return;
    if (container->freezes()) return probe_later(live);
    const int64_t now_ns = host_.realtime_ns();
    std::string said = !why.empty() ? why : probes.output;
    if (said.empty() && failed_to_run) said = "the health check could not be executed";
    probes.results.push_back({probes.begin_ns, now_ns, code, said});
    if (probes.results.size() > limits::health_results_max) probes.results.pop_front();
    const Health before = probes.health;
    probes.health = judge(container->spec.health, before, code == 0,
                          probes.begin_ns - probes.started_ns);
    if (probes.health.status != before.status) propose_health(live, code, said);
    probe_later(live);
}

void Effects::propose_health(Live& live, int32_t code, const std::string& output) {
    Message<schema::ContainerHealthChanged> event;
    event->setId(text(live.id));
    event->setRun(live.run);
    event->setStatus(live.probes->health.status);
    event->setFailingStreak(live.probes->health.failing_streak);
    event->setExitCode(code);
    const std::string said = printable(output);
    event->setOutput(text(said));
    sdk::Cause cause = live.start;
    cause.seq = 0;
    host_.propose(event, cause);
}

void Effects::fill_health(const Container& container, schema::ContainerState::Builder out) const {
    if (container.health.status == HealthStatus::NONE) return;
    auto health = out.initHealth();
    health.setStatus(container.health.status);
    health.setFailingStreak(container.health.failing_streak);
    const auto live = lives_.find(container.id);
    if (live == lives_.end() || !live->second->probes) return;
    const Probes& probes = *live->second->probes;
    health.setFailingStreak(probes.health.failing_streak);
    auto list = health.initLog(unsigned(probes.results.size()));
    for (unsigned i = 0; i < probes.results.size(); ++i) {
        list[i].setStartNs(probes.results[i].begin_ns);
        list[i].setEndNs(probes.results[i].end_ns);
        list[i].setExitCode(probes.results[i].exit_code);
        const std::string said = printable(probes.results[i].output);
        list[i].setOutput(text(said));
    }
}

}  // namespace noded::container

// What comes after a run, and the removal of a container: the shim is released, then cgroups and
// runtime folder go, with the container also its log. advance() looks at the durable facts and does
// the next step that is due; every step that ends calls it again.
//
// A new start waits until nothing of the previous run is left, so that no two shims ever share a
// cgroup.
#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

constexpr int64_t kRetryNs = 5'000'000;
/// Processes that were killed need a moment to leave their cgroups; what is left after so many
/// tries (about ten seconds) is removed by the next start of noded.
constexpr uint32_t kCleanupFailuresMax = 60;

}  // namespace

void Effects::advance(Live& live) {
    if (live.cleaning || live.adopting) return;
    if (live.link) {
        if (live.over) release(live);
        return;
    }
    if (live.removing && live.cleaned) return propose_removed(live);
    if (live.removing) return clean(live, true);
    if (live.traces) {
        if (live.over || live.start_wanted != 0) clean(live, false);
        return;
    }
    if (live.start_wanted != 0 && live.rootfs_ready) launch(live);
}

/// The shim removes its socket and exit record and ends; shim_closed goes on from there.
void Effects::release(Live& live) {
    if (live.release_tag != 0) return;
    live.release_tag = ++tags_;
    const auto sent = live.link->send(ControlType::release, 0, live.release_tag, {});
    if (!sent) host_.warn("release the shim of container " + live.id + ": " + sent.error().message);
}

/// Cgroups may be slow to go and a log may be large: on the offload lane.
void Effects::clean(Live& live, bool everything) {
    live.cleaning = true;
    auto status = std::make_shared<Status>();
    auto work = [sys = sys_, cgroups = cgroups_, status, everything, id = live.id,
                 runtime = runtime_folder(live), state = state_folder(live.id)] {
        *status = cgroups->remove(id);
        if (auto removed = sys->remove_tree(runtime); !removed) *status = removed;
        if (!everything) return;
        if (auto removed = sys->remove_tree(state); !removed) *status = removed;
    };
    auto done = [this, status, everything, id = live.id] { cleaned(id, everything, *status); };
    if (host_.offload(std::move(work), std::move(done))) return;
    after(kRetryNs, [this, everything, id = live.id] {
        if (Live* again = find_live(id)) clean(*again, everything);
    });
}

void Effects::cleaned(const std::string& id, bool everything, const Status& status) {
    Live* live = find_live(id);
    if (live == nullptr) return;
    if (!status && ++live->cleanup_failures < kCleanupFailuresMax) {
        cgroups_->kill(id);
        after(kRetryNs * live->cleanup_failures, [this, everything, id] {
            if (Live* again = find_live(id)) clean(*again, everything);
        });
        return;
    }
    if (!status)
        host_.warn("remove what is left of container " + id + ": " + status.error().message);
    live->cleaning = false;
    live->cleanup_failures = 0;
    live->traces = false;
    live->cleaned = everything;
    if (everything && state_.get(id) == nullptr) return drop_live(id);  // a stray
    advance(*live);
}

/// Storage's part must be done as well.
void Effects::propose_removed(Live& live) {
    const Container* container = state_.get(live.id);
    if (!live.rootfs_removed || container == nullptr) return;
    Message<schema::ContainerRemoved> event;
    event->setId(text(live.id));
    event->setName(text(container->name));
    host_.propose(event, live.removal);
}

}  // namespace noded::container

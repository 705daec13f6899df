// What comes after a run, and the removal of a container: the shim is released, then cgroups and
// runtime folder go, with the container also its log. advance() looks at the durable facts and does
// the next step that is due; every step that ends calls it again.
//
// ContainerRemoved is decided with the end of the run, or proposed at once for a container that
// runs no more: the client need not wait while the shim ends and folders are removed. A crash in
// between leaves strays, and reconcile removes those.
//
// A new start waits until nothing of the previous run is left, so that no two shims ever share a
// cgroup.
#include <algorithm>
#include <csignal>

#include "plugins/container/effects.h"
#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

namespace {

constexpr const char* kTrash = "trash";
constexpr int64_t kRetryNs = 2'000'000;
/// Processes that were killed need a moment to leave their cgroups; what is left after so many
/// tries (about ten seconds) is removed by the next start of noded.
constexpr uint32_t kCleanupFailuresMax = 60;

Status remove_places(Sys& sys, const Cgroups& cgroups, const std::string& group,
                     const std::string& folder) {
    TRY_STATUS(cgroups.remove(group));
    return sys.remove_tree(folder);
}

}  // namespace

void Effects::advance(Live& live) {
    if (live.cleaning || live.adopting) return;
    if (live.link) {
        if (!live.over) return;
        if (live.removing) propose_removed(live);
        release_later(live);
        return;
    }
    if (live.removing) return live.gone ? clean(live, true) : propose_removed(live);
    if (live.traces && !live.places) {
        if (live.over || live.start_wanted != 0) clean(live, false);
        return;
    }
    if (live.start_wanted != 0 && live.rootfs_ready) launch(live);
}

/// When this turn's answers have left and what it proposed is on the disk: folders and shims have
/// time, clients have not.
void Effects::advance_later(const std::string& id) {
    after(0, [this, id] {
        if (Live* live = find_live(id)) advance(*live);
    });
}

/// The shim removes its socket and exit record and ends; shim_closed goes on from there. The next
/// start of the same container may wait for that; for what follows on a removal nobody waits.
void Effects::release_later(Live& live) {
    if (live.release_tag != 0) return;
    live.release_tag = ++tags_;
    after(0, [this, id = live.id, tag = live.release_tag] {
        Live* over = find_live(id);
        if (over == nullptr || over->release_tag != tag) return;
        if (!over->removing) return release(id, tag);
        quiet_.put_off([this, id, tag] { release(id, tag); });
    });
}

/// One that does not end, because somebody stopped it, is killed: a start that waits for its end
/// would wait for ever.
void Effects::release(const std::string& id, uint64_t tag) {
    Live* over = find_live(id);
    if (over == nullptr || !over->link || over->release_tag != tag) return;
    const auto sent = over->link->send(ControlType::release, 0, tag, {});
    if (!sent) host_.warn("release the shim of container " + id + ": " + sent.error().message);
    over->release_timer = after(limits::release_deadline_ns, [this, id, tag] {
        Live* late = find_live(id);
        if (late == nullptr) return;
        late->release_timer = 0;
        if (!late->link || late->release_tag != tag || late->link->pid() == 0) return;
        host_.warn("the shim of container " + id +
                   " does not end when it is released and is killed");
        (void)sys_->kill_process(late->link->pid(), SIGKILL);
    });
}

/// A few small folders: a new start of the same container may wait for them, the offload lane would
/// be slower.
Status Effects::clean_now(const Live& live) {
    return remove_places(*sys_, *cgroups_, cgroup_of(live), runtime_folder(live));
}

/// Nobody waits for what is left of a container that is gone, and the next command is on its way by
/// then: on the lane.
void Effects::clean(Live& live, bool everything) {
    drop_ready(live);
    if (!everything) return cleaned(live, false, clean_now(live));
    auto status = std::make_shared<Status>();
    auto work = [status, sys = sys_, cgroups = cgroups_, group = cgroup_of(live),
                 folder = runtime_folder(live)] {
        *status = remove_places(*sys, *cgroups, group, folder);
    };
    live.cleaning = host_.offload(std::move(work), [this, id = live.id, status] {
        Live* over = find_live(id);
        if (over == nullptr) return;
        over->cleaning = false;
        cleaned(*over, true, std::move(*status));
    });
    if (!live.cleaning) cleaned(live, true, clean_now(live));
}

void Effects::cleaned(Live& live, bool everything, Status status) {
    if (status && everything) status = throw_away(live.id);
    if (!status && ++live.cleanup_failures < kCleanupFailuresMax) {
        cgroups_->kill(cgroup_of(live));
        live.cleaning = true;
        after(kRetryNs * live.cleanup_failures, [this, id = live.id] {
            Live* again = find_live(id);
            if (again == nullptr) return;
            again->cleaning = false;
            advance(*again);
        });
        return;
    }
    if (!status)
        host_.warn("remove what is left of container " + live.id + ": " + status.error().message);
    live.cleanup_failures = 0;
    live.traces = false;
    if (!everything) return advance(live);
    empty_trash();
    drop_live(live.id);
}

/// The log and the volumes, which may be large: one rename now, the deletion on the offload lane.
Status Effects::throw_away(const std::string& id) {
    // A helper that was told to end may still be making a volume there.
    const auto is_of_it = [&](const auto& item) { return item.second->container_id == id; };
    if (std::ranges::any_of(files_, is_of_it)) return fail("helpers are at work on its files");
    if (!sys_->exists(state_folder(id))) return {};
    const std::string trash = state_dir_ + "/" + kTrash;
    TRY(sys_->make_folder(trash));
    return sys_->move(state_folder(id), trash + "/" + id);
}

/// Also after a restart. What cannot be deleted now is tried again by the next call. One at a time:
/// what a storm of removals throws away meanwhile goes in the next round.
void Effects::empty_trash() {
    trash_filled_ = true;
    if (emptying_trash_) return;
    const std::string trash = state_dir_ + "/" + kTrash;
    auto work = [sys = sys_, trash] {
        for (const std::string& name : sys->folders_in(trash))
            (void)sys->remove_tree(trash + "/" + name);
    };
    trash_filled_ = false;
    emptying_trash_ = host_.offload(std::move(work), [this] {
        emptying_trash_ = false;
        if (trash_filled_) empty_trash();
    });
}

/// Storage removes its part by itself, and says so with RootfsRemoved.
void Effects::propose_removed(Live& live) {
    const Container* container = state_.get(live.id);
    if (live.removal_proposed || container == nullptr) return;
    live.removal_proposed = true;
    Message<schema::ContainerRemoved> event;
    event->setId(text(live.id));
    event->setName(text(container->name));
    host_.propose(event, live.removal);
}

}  // namespace noded::container

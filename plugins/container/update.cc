// New limits of a running container: written to its cgroups at once. Those of one that does not run
// are only facts, and the next launch writes them.
#include "plugins/container/effects.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::Message;
using sdk::text;

void Effects::update_requested(const noded_event& event) {
    sdk::Reading<schema::ContainerUpdateRequested> in(event.payload);
    Live* live = find_live(to_string(in->getId()));
    if (live == nullptr || !live->running) return;
    apply_update(*live, {Resources::read(in->getResources()),
                         RestartPolicy::read(in->getRestart()), sdk::Cause::of(event)});
}

void Effects::apply_update(const Live& live, const Update& update) {
    const Container* container = state_.get(live.id);
    if (container == nullptr) return;
    const auto written = cgroups_->update(cgroup_of(*container), container->spec.options.resources,
                                          update.resources);
    if (!written) {
        Message<schema::ContainerUpdateFailed> event;
        event->setId(text(live.id));
        event->setMessage(text("Cannot update container " + live.id + ": " +
                               written.error().message));
        host_.propose(event, update.cause);
        return;
    }
    Message<schema::ContainerUpdated> event;
    event->setId(text(live.id));
    update.resources.write(event->initResources());
    update.restart.write(event->initRestart());
    host_.propose(event, update.cause);
}

void Effects::update_ended(const std::string& id, const std::string& failure) {
    Live& live = live_of(id);
    answer_waiters(live, {Until::UPDATED},
                   failure.empty() ? Ended{} : Ended{125, failure, true});
}

}  // namespace noded::container

// Events of containers into state, one function per event; see state.h. An event of a container
// whose beginning is no longer in the log is enough to know that it runs.
#include "plugins/stats/state.h"
#include "schemas/container.capnp.h"

namespace noded::stats {
namespace {

using sdk::Reading;

std::string view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }

void requested(State& state, const noded_event& event) {
    Reading<schema::ContainerRequested> in(event.payload);
    Container& container = state.at(view(in->getId()));
    container.name = view(in->getName());
    container.image = view(in->getSpec().getImageName());
    container.host_network = view(in->getSpec().getNetwork()) == "host";
    container.created_seq = event.seq;
}

void started(State& state, const noded_event& event) {
    Reading<schema::ContainerStarted> in(event.payload);
    Container& container = state.at(view(in->getId()));
    container.run = in->getRun();
    container.pid = in->getPid();
    container.pid_start_time = in->getPidStartTime();
}

void exited(State& state, const noded_event& event) {
    Reading<schema::ContainerExited> in(event.payload);
    const auto found = state.containers.find(view(in->getId()));
    if (found != state.containers.end()) found->second.pid = 0;
}

void renamed(State& state, const noded_event& event) {
    Reading<schema::ContainerRenamed> in(event.payload);
    const auto found = state.containers.find(view(in->getId()));
    if (found != state.containers.end()) found->second.name = view(in->getName());
}

void removed(State& state, const noded_event& event) {
    Reading<schema::ContainerRemoved> in(event.payload);
    state.containers.erase(view(in->getId()));
}

}  // namespace

void fold(State& state, const noded_event& event) {
    state.changed();
    switch (event.type) {
        case capnp::typeId<schema::ContainerRequested>(): return requested(state, event);
        case capnp::typeId<schema::ContainerStarted>(): return started(state, event);
        case capnp::typeId<schema::ContainerExited>(): return exited(state, event);
        case capnp::typeId<schema::ContainerRenamed>(): return renamed(state, event);
        case capnp::typeId<schema::ContainerRemoved>(): return removed(state, event);
    }
}

}  // namespace noded::stats

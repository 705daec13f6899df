// An event of the log as the schema's Event, as subscribers and Node.events get it.
#pragma once

#include "agent/core/domain.h"
#include "agent/host/host.h"
#include "schemas/node.capnp.h"

namespace noded::pub {

void fill_event(schema::Event::Builder to, const core::Event& from, const host::Host& host);

}  // namespace noded::pub

// An event of the log as the schema's Event, as subscribers and Node.events get it, and who caused
// it as subscribers get it in JSON.
#pragma once

#include "agent/core/domain.h"
#include "agent/host/host.h"
#include "schemas/node.capnp.h"
#include "schemas/payload_json.h"

namespace noded::pub {

void fill_event(schema::Event::Builder to, const core::Event& from, const host::Host& host);

/// Which command it was and who sent it, as `nodectl events -o json` has it. `sender` is not empty.
PayloadJson sender_json(Bytes sender, const host::Host& host);

}  // namespace noded::pub

// A container's state as docker shows it: a row of ps, and the object of inspect. Pure but for the
// clock passed in.
#pragma once

#include <string>

#include "schemas/container.capnp.h"
#include "tools/nodectl/json.h"
#include "tools/nodectl/rows.h"

namespace noded::nodectl {

/// "created", "running", "paused", "restarting", "exited", "removing".
const char* state_name(const schema::ContainerState::Reader& state);

/// "Up 3 minutes", "Exited (0) 2 seconds ago", "Created".
std::string status_text(const schema::ContainerState::Reader& state, int64_t now_ns);

Row container_row(const schema::ContainerState::Reader& state, bool truncate, int64_t now_ns);

Json container_json(const schema::ContainerState::Reader& state);

}  // namespace noded::nodectl

// A plugin as JSON and as a row of `plugin ls`.
#pragma once

#include "schemas/node.capnp.h"
#include "tools/nodectl/rows.h"

namespace noded::nodectl {

Json plugin_json(const schema::Plugin::Reader& plugin);
Row plugin_row(const schema::Plugin::Reader& plugin);

}  // namespace noded::nodectl

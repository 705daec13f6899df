// What both forms of `nodectl top` share.
#pragma once

#include <string>

#include "schemas/container.capnp.h"

namespace noded::nodectl {

class Invocation;

/// docker's columns, aligned, with a head.
std::string process_table(const capnp::List<schema::Process>::Reader& processes);

/// Without a container: the terminal program (top_ui.cc).
int top_of_node(Invocation& call);

}  // namespace noded::nodectl

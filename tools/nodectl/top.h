// What both forms of `nodectl top` share.
#pragma once

#include <cstddef>
#include <string>

#include "schemas/container.capnp.h"

namespace noded::nodectl {

class Invocation;

constexpr size_t kProcessColumnWidth = 20;  ///< docker's, at least

/// docker's columns, aligned, with a head.
std::string process_table(const capnp::List<schema::Process>::Reader& processes,
                          size_t column_width_min = kProcessColumnWidth);

/// Without a container: the terminal program (top_ui.cc).
int top_of_node(Invocation& call);

}  // namespace noded::nodectl

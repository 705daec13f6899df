// Samples as clients see them (schemas/stats.capnp).
#pragma once

#include <functional>

#include "plugins/stats/sample.h"
#include "schemas/stats.capnp.h"

namespace noded::stats {

void write_container(const ContainerFigures& from, schema::ContainerFigures::Builder out);
void write_node(const NodeFigures& from, schema::NodeFigures::Builder out);
/// The rows for which `wanted` holds.
void write_sample(const Sample& from, const std::function<bool(const ContainerFigures&)>& wanted,
                  schema::Sample::Builder out);

}  // namespace noded::stats

// What noded answered, as the metrics that dashboards know: the names and labels of node_exporter
// for the node, of cAdvisor for containers, and a few of noded's own. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "schemas/container.capnp.h"
#include "schemas/node.capnp.h"
#include "schemas/stats.capnp.h"
#include "tools/gateway/exposition.h"

namespace noded::gateway {

/// What a container wrote.
struct Layer {
    uint64_t bytes = 0;
    std::string folder;  ///< in which it is
};

/// One that runs.
struct ContainerRow {
    schema::ContainerFigures::Reader figures;
    std::optional<schema::ContainerState::Reader> state;  ///< with the summary of its spec
};

/// All readers are valid as long as the answers that they came from.
struct Answers {
    std::optional<schema::Info::Reader> info;
    std::optional<schema::Sample::Reader> node;  ///< its rows are not looked at
    std::vector<ContainerRow> rows;
    std::vector<schema::ContainerState::Reader> containers;  ///< all
    std::map<std::string, Layer> layers;  ///< by id; not of all
};

void write_node(const Answers& answers, Exposition& out);        // node_metrics.cc
void write_containers(const Answers& answers, Exposition& out);  // container_metrics.cc
void write_noded(const Answers& answers, Exposition& out);       // noded_metrics.cc

}  // namespace noded::gateway

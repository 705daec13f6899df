// Loader: from a file to a plugin table that can be trusted to have the right shape, or a sentence
// that says what both sides expected. Nothing of the plugin runs here but what the dynamic linker
// runs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "plugins/abi/plugin.h"

namespace noded::host {

struct NamedType {
    uint64_t id = 0;
    std::string name;
};

/// The descriptor, checked against limits and copied.
struct Description {
    std::string id;
    std::string version;
    std::string text;
    std::string abi;
    std::vector<std::string> extensions;
    std::vector<std::string> needs;
    std::vector<NamedType> commands;
    std::vector<NamedType> events;
    std::vector<NamedType> folds;
    std::string schema;
};

/// [a-z0-9-]+ of at most plugin_name_bytes_max bytes: what ids and topics are made of.
bool is_word(std::string_view text);

/// Opens a shared object and finds its table. It is never closed again.
Result<const noded_plugin*> open_plugin(const std::string& path);

/// Checks ABI, table and descriptor. `table` may come from open_plugin or be linked in.
Result<Description> describe(const noded_plugin& table);

/// The ids in an order in which each comes after those that it needs; those that cannot be ordered
/// are left out and named in `refused` with the reason.
std::vector<size_t> dependency_order(const std::vector<Description>& descriptions,
                                     std::vector<std::pair<size_t, std::string>>* refused);

}  // namespace noded::host

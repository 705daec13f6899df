// See plugin_json.h.
#include "tools/nodectl/plugin_json.h"

#include <cstdio>

namespace noded::nodectl {
namespace {

Json texts(const capnp::List<capnp::Text>::Reader& list) {
    Json out = Json::array();
    for (const auto text : list) out.push_back(text.cStr());
    return out;
}

/// A file that is no plugin has no id: its name says which it is.
std::string name_of(const schema::Plugin::Reader& plugin) {
    const std::string id = plugin.getId().cStr();
    if (!id.empty()) return id;
    const std::string file = plugin.getFile().cStr();
    return file.substr(file.rfind('/') + 1);
}

}  // namespace

Json plugin_json(const schema::Plugin::Reader& plugin) {
    char interface[24];
    snprintf(interface, sizeof interface, "0x%016llx",
             static_cast<unsigned long long>(plugin.getInterfaceId()));
    return {
        {"Id", plugin.getId().cStr()},
        {"Version", plugin.getVersion().cStr()},
        {"Description", plugin.getDescription().cStr()},
        {"Status", plugin.getStatus().cStr()},
        {"Reason", plugin.getReason().cStr()},
        {"Abi", plugin.getAbi().cStr()},
        {"File", plugin.getFile().cStr()},
        {"Commands", texts(plugin.getCommands())},
        {"Events", texts(plugin.getEvents())},
        {"Folds", texts(plugin.getFolds())},
        {"Extensions", texts(plugin.getExtensions())},
        {"Needs", texts(plugin.getNeeds())},
        {"InterfaceId", plugin.getInterfaceId() == 0 ? Json(nullptr) : Json(interface)},
        {"Methods", texts(plugin.getMethods())},
        {"CountsFromSeq", plugin.getCountsFromSeq()},
        {"FoldedSeq", plugin.getFoldedSeq()},
        {"SnapshotSeq", plugin.getSnapshotSeq()},
        {"UndeclaredEvents", plugin.getUndeclaredEvents()},
    };
}

Row plugin_row(const schema::Plugin::Reader& plugin) {
    Row row;
    row.fields = {
        {"ID", name_of(plugin)},
        {"Version", plugin.getVersion().cStr()},
        {"Status", plugin.getStatus().cStr()},
        {"ABI", plugin.getAbi().cStr()},
        {"Commands", std::to_string(plugin.getCommands().size())},
        {"Events", std::to_string(plugin.getEvents().size())},
        {"Description", plugin.getDescription().cStr()},
        {"Reason", plugin.getReason().cStr()},
        {"File", plugin.getFile().cStr()},
    };
    return row;
}

}  // namespace noded::nodectl

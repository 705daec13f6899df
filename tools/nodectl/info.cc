// nodectl info: the node, its limits and its log.
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_json.h"
#include "tools/nodectl/rows.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

struct Counts {
    size_t containers = 0;
    size_t running = 0;
    size_t images = 0;
};

/// A node without these plugins has none of either.
Counts count(Session& session) {
    auto images = session.storage().listImagesRequest().send();
    Counts counts;
    const auto list = ContainerList::fetch(session);
    if (list) {
        for (const auto state : list->states()) {
            counts.containers++;
            if (state.getPhase() == schema::Phase::RUNNING) counts.running++;
        }
    }
    const auto all = session.wait(kj::mv(images));
    if (all) counts.images = all->getImages().size();
    return counts;
}

/// Where figures come from and what this machine lacks; a node without the plugin has neither.
void add_stats(Session& session, Json& document) {
    const auto response = session.wait(session.stats().statusRequest().send());
    if (!response) return;
    const auto texts = [](const capnp::List<capnp::Text>::Reader& list) {
        Json out = Json::array();
        for (const auto text : list) out.push_back(text.cStr());
        return out;
    };
    for (const auto text : response->getStatus().getWarnings())
        document["Warnings"].push_back(text.cStr());
    document["StatsSources"] = texts(response->getStatus().getSources());
}

Json document_of(const schema::Info::Reader& info, const Counts& counts) {
    Json warnings = Json::array();
    for (const auto text : info.getWarnings()) warnings.push_back(text.cStr());
    return {
        {"Warnings", std::move(warnings)},
        {"Name", info.getNodeName().cStr()},
        {"Containers", counts.containers},
        {"ContainersRunning", counts.running},
        {"ContainersStopped", counts.containers - counts.running},
        {"Images", counts.images},
        {"ServerVersion", info.getVersion().cStr()},
        {"KernelVersion", info.getKernel().cStr()},
        {"Driver", "overlay2"},
        {"LoggingDriver", "local"},
        {"OSType", "linux"},
        {"Architecture", "x86_64"},
        {"NCPU", info.getCpus()},
        {"MemTotal", info.getMemoryBytes()},
        {"StateDir", info.getStateDir().cStr()},
        {"RuntimeDir", info.getRuntimeDir().cStr()},
        {"PluginDir", info.getPluginDir().cStr()},
        {"StartedAt", rfc3339_short(info.getStartedNs())},
        {"LogBytes", info.getLogBytes()},
        {"LogBytesMax", info.getLogBytesMax()},
        {"ArchiveBytes", info.getArchiveBytes()},
        {"ArchiveBytesMax", info.getArchiveBytesMax()},
        {"ArchiveOldestSeq", info.getArchiveOldestSeq()},
        {"OldestSeq", info.getOldestSeq()},
        {"OldestAt", info.getOldestNs() != 0 ? rfc3339_short(info.getOldestNs()) : ""},
        {"DurableSeq", info.getDurableSeq()},
        {"SnapshotSeq", info.getSnapshotSeq()},
        {"Snapshots", info.getSnapshots()},
        {"FilesMax", info.getFilesMax()},
        {"ProcessesMax", info.getProcessesMax()},
        {"MemoryBytesMax", info.getMemoryMax()},
        {"Clients", info.getClients()},
        {"Reactor", info.getReactor().cStr()},
        {"PublishEndpoint", info.getPublishEndpoint().cStr()},
    };
}

/// What only a node of today has; the rest is in the log.
Json as_of(Json document, int64_t time_ns) {
    for (const char* key : {"StartedAt", "LogBytes", "LogBytesMax", "ArchiveBytes", "Snapshots",
                            "FilesMax", "ProcessesMax", "MemoryBytesMax", "Warnings", "Clients",
                            "Reactor", "PublishEndpoint"})
        document.erase(key);
    document["AsOf"] = rfc3339_short(time_ns);
    return document;
}

/// One line per member; what is not text is written as JSON.
std::string text_of(const Json& document) {
    std::string out;
    for (const auto& item : document.items()) {
        const Json& value = item.value();
        std::string text = value.is_string() ? value.get<std::string>() : value.dump();
        if (item.key() == "MemTotal" || item.key().find("Bytes") != std::string::npos)
            text = human_size(value.get<uint64_t>());
        out += " " + item.key() + ": " + text + "\n";
    }
    return out;
}

}  // namespace

int info(Invocation& call) {
    std::string format;
    const Option options[] = {
        {'f', "format", &format, "string", "Format output using a Go template, or json"},
    };
    if (const auto status = call.parse(options, {.max = 0})) return *status;
    const auto response =
        OR_FAIL(call, call.session.wait(call.session.node().infoRequest().send()));
    Json document = document_of(response.getInfo(), count(call.session));
    if (call.session.in_the_past())
        document = as_of(std::move(document), response.getInfo().getAsOfNs());
    else
        add_stats(call.session, document);
    print(OR_FAIL(call, render_document(document, format, text_of(document))));
    return 0;
}

}  // namespace noded::nodectl

// The methods of Node but for calls of plugins (plugin_call.cc); see node_service.h.
#include "agent/rpc/node_service.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "agent/pub/event_words.h"
#include "agent/rpc/after.h"
#include "agent/rpc/fd_stream.h"
#include "agent/rpc/refusal.h"

namespace noded::rpc_service {

static std::string kernel_release() {
    utsname name{};
    uname(&name);
    return std::string(name.sysname) + " " + name.release;
}

static std::string node_name() {
    utsname name{};
    uname(&name);
    return name.nodename;
}

template <typename List, typename Names>
static void fill_texts(List to, const Names& names) {
    for (unsigned i = 0; i < names.size(); ++i) to.set(i, names[i].c_str());
}

static std::vector<std::string> names_of(const std::vector<host::NamedType>& types,
                                         const host::Host& host) {
    std::vector<std::string> names;
    for (const host::NamedType& type : types) {
        const std::string* known = nullptr;
        if (type.name.empty()) host.owner_of_event(type.id, &known);
        char id[24];
        snprintf(id, sizeof id, "0x%016lx", static_cast<unsigned long>(type.id));
        names.push_back(known != nullptr ? *known : type.name.empty() ? id : type.name);
    }
    return names;
}

kj::Promise<void> NodeService::version(VersionContext context) {
    auto version = context.getResults().initVersion();
    version.setVersion(node_.version.c_str());
    version.setAbi(kj::str(NODED_ABI_MAJOR, ".", NODED_ABI_MINOR));
    version.setKernel(kernel_release().c_str());
    version.setPid(static_cast<uint32_t>(getpid()));
    return kj::READY_NOW;
}

/// When the history begins; 0 if it is empty or its beginning cannot be read.
static int64_t time_of_oldest(Node& node) {
    const uint64_t oldest = node.log.oldest_seq();
    if (node.oldest_ns_of == oldest) return node.oldest_ns;
    int64_t time_ns = 0;
    if (oldest <= node.log.durable_seq()) {
        (void)node.log.read(oldest, [&](const core::Event& event) {
            time_ns = event.time_ns;
            return false;
        });
    }
    if (time_ns != 0) node.oldest_ns_of = oldest;
    return node.oldest_ns = time_ns;
}

/// 0 where there is no limit.
static void fill_limits(const MachineLimits& machine, schema::Info::Builder info) {
    const auto shown = [](uint64_t limit) { return limit == UINT64_MAX ? 0 : limit; };
    fill_texts(info.initWarnings(static_cast<unsigned>(machine.warnings.size())),
               machine.warnings);
    info.setFilesMax(shown(machine.files_max));
    info.setProcessesMax(shown(machine.shims_max));
    info.setMemoryMax(shown(machine.memory_max));
}

kj::Promise<void> NodeService::info(InfoContext context) {
    auto info = context.getResults().initInfo();
    const host::Paths& paths = node_.host.paths();
    struct sysinfo system{};
    sysinfo(&system);
    info.setNodeName(node_name().c_str());
    info.setStateDir(paths.state_dir.c_str());
    info.setRuntimeDir(paths.runtime_dir.c_str());
    info.setPluginDir(paths.plugin_dir.c_str());
    info.setVersion(node_.version.c_str());
    info.setKernel(kernel_release().c_str());
    info.setCpus(static_cast<uint32_t>(sysconf(_SC_NPROCESSORS_ONLN)));
    info.setMemoryBytes(uint64_t{system.totalram} * system.mem_unit);
    info.setStartedNs(node_.started_ns);
    info.setOldestSeq(node_.log.oldest_seq());
    info.setDurableSeq(node_.log.durable_seq());
    info.setSnapshotSeq(node_.snapshot_seq());
    info.setClients(static_cast<uint32_t>(node_.clients()));
    info.setReactor(node_.reactor_description.c_str());
    info.setPublishEndpoint(node_.outbox.endpoint().c_str());
    info.setOldestNs(time_of_oldest(node_));
    info.setAsOfNs(node_.as_of_ns);
    fill_limits(node_.machine, info);
    if (const auto report = node_.log_report()) {
        info.setLogBytes(report->bytes);
        info.setLogBytesMax(report->bytes_max);
        info.setArchiveBytes(report->archive_bytes);
        info.setArchiveBytesMax(report->archive_bytes_max);
        info.setArchiveOldestSeq(report->archive_oldest_seq);
        info.setSnapshots(static_cast<uint32_t>(report->snapshots));
    }
    return kj::READY_NOW;
}

static void fill_outcome(schema::Outcome::Builder outcome, const core::Reply& reply) {
    if (!reply.accepted) {
        auto rejected = outcome.initRejected();
        rejected.setCode(reply.rejection.code);
        rejected.setMessage(reply.rejection.message.c_str());
        return;
    }
    auto accepted = outcome.initAccepted();
    accepted.setFirstSeq(reply.first_seq);
    accepted.setLastSeq(reply.last_seq);
    accepted.setRetried(reply.retried);
}

/// They would reach terminals through the history.
static bool has_control_characters(const std::string& text) {
    return std::ranges::any_of(text, [](unsigned char c) { return c < ' ' || c == 0x7f; });
}

kj::Promise<void> NodeService::submit(SubmitContext context) {
    const auto from = context.getParams().getCommand();
    core::Command command;
    const auto id = from.getId();
    const auto payload = from.getPayload();
    if (id.size() != command.id.bytes.size()) {
        return refusal({NODED_REJECT_INVALID, "a command id has 32 bytes, this one has " +
                                                  std::to_string(id.size())});
    }
    std::copy(id.begin(), id.end(), command.id.bytes.begin());
    if (command.id.is_zero()) return refusal({NODED_REJECT_INVALID, core::kNoCommandId});
    const std::string client = from.getClient().cStr();
    if (client.size() > limits::command_client_bytes_max || has_control_characters(client)) {
        return refusal({NODED_REJECT_INVALID,
                        "what a client says of itself has at most " +
                            std::to_string(limits::command_client_bytes_max) +
                            " bytes and no control characters"});
    }
    if (payload.size() % kWordSize != 0) {
        return refusal({NODED_REJECT_INVALID,
                        "a command is a whole number of words of 8 bytes, this one has " +
                            std::to_string(payload.size()) + " bytes"});
    }
    if (payload.size() > limits::command_events_bytes_max) {
        return refusal({NODED_REJECT_LIMIT, "a command has at most " +
                                                std::to_string(limits::command_events_bytes_max) +
                                                " bytes, this one has " +
                                                std::to_string(payload.size())});
    }
    command.type = from.getType();
    command.payload.assign(payload.begin(), payload.end());
    command.time_ns = node_.reactor.clock().realtime_ns();
    command.uid = caller_.uid;
    command.gid = caller_.gid;
    command.pid = caller_.pid;
    command.client = client;
    auto [promise, fulfiller] = kj::newPromiseAndFulfiller<core::Reply>();
    node_.pipeline.submit(std::move(command),
                          [fulfiller = kj::mv(fulfiller)](const core::Reply& reply) mutable {
                              fulfiller->fulfill(core::Reply(reply));
                          });
    return promise.then([context](core::Reply reply) mutable {
        // Without a hint it would be a message of 8 KiB, filled with zeros.
        const uint64_t words = 16 + reply.rejection.message.size() / kWordSize;
        fill_outcome(context.getResults(capnp::MessageSize{words, 0}).initOutcome(), reply);
    });
}

static void fill_plugin(schema::Plugin::Builder to, const host::Instance& from,
                        const host::Host& host) {
    const host::Description& description = from.description;
    to.setId(description.id.empty() ? from.file.substr(from.file.rfind('/') + 1).c_str()
                                    : description.id.c_str());
    to.setVersion(description.version.c_str());
    to.setDescription(description.text.c_str());
    to.setStatus(host::word_of(from.status));
    to.setReason(from.reason.c_str());
    to.setAbi(description.abi.c_str());
    to.setFile(from.file.c_str());
    fill_texts(to.initCommands(description.commands.size()), names_of(description.commands, host));
    fill_texts(to.initEvents(description.events.size()), names_of(description.events, host));
    fill_texts(to.initFolds(description.folds.size()), names_of(description.folds, host));
    fill_texts(to.initExtensions(description.extensions.size()), description.extensions);
    fill_texts(to.initNeeds(description.needs.size()), description.needs);
    to.setCountsFromSeq(from.counts_from_seq);
    to.setFoldedSeq(from.folded_seq);
    to.setSnapshotSeq(from.snapshot_seq);
    to.setUndeclaredEvents(from.undeclared_events);
    if (from.rpc == nullptr) return;
    to.setInterfaceId(from.rpc->interface_id);
    auto methods = to.initMethods(from.rpc->methods_count);
    for (uint32_t i = 0; i < from.rpc->methods_count; ++i) methods.set(i, from.rpc->methods[i]);
}

kj::Promise<void> NodeService::plugins(PluginsContext context) {
    const auto& instances = node_.host.instances();
    auto list = context.getResults().initPlugins(instances.size());
    for (unsigned i = 0; i < instances.size(); ++i) fill_plugin(list[i], *instances[i], node_.host);
    return kj::READY_NOW;
}

kj::Promise<void> NodeService::schema(SchemaContext context) {
    const std::string name = context.getParams().getPlugin().cStr();
    const host::Instance* instance = node_.host.find(name);
    if (instance == nullptr) {
        return refusal({NODED_REJECT_NOT_FOUND, node_.host.why_not(name)});
    }
    const Bytes schema = as_bytes(instance->description.schema);
    context.getResults().setSchema(kj::arrayPtr(schema.data(), schema.size()));
    return kj::READY_NOW;
}

kj::Promise<void> NodeService::events(EventsContext context) {
    const auto params = context.getParams();
    const uint64_t since = params.getSince();
    const auto max = static_cast<uint32_t>(
        std::clamp<uint64_t>(params.getMax(), 1, limits::events_per_page_max));
    if (since <= node_.log.durable_seq() || params.getWaitMs() == 0) {
        return fill_page(context, since, max);
    }
    const int64_t wait_ns = int64_t{params.getWaitMs()} * 1'000'000;
    return node_.outbox.next_event()
        .exclusiveJoin(after(node_.reactor, wait_ns))
        .then([this, context, since, max]() mutable { return fill_page(context, since, max); });
}

kj::Promise<void> NodeService::fill_page(EventsContext context, uint64_t since, uint32_t max) {
    const uint64_t oldest = node_.log.oldest_seq();
    uint64_t next = std::max({since, oldest, uint64_t{1}});
    std::vector<core::Event> found;
    core::Arena payloads;
    size_t bytes = 0;
    if (next <= node_.log.durable_seq()) {
        const Status read = node_.log.read(next, [&](const core::Event& event) {
            found.push_back(event);
            found.back().payload = payloads.copy(event.payload);
            found.back().sender = payloads.copy(event.sender);
            bytes += event.payload.size();
            return found.size() < max && bytes < limits::rpc_message_bytes_max / 4;
        });
        if (!read) return refusal({NODED_REJECT_BUSY, "read the log: " + read.error().message});
        next += found.size();
    }
    auto page = context.getResults().initPage();
    auto events = page.initEvents(found.size());
    for (unsigned i = 0; i < found.size(); ++i) pub::fill_event(events[i], found[i], node_.host);
    page.setNext(next);
    page.setOldest(oldest);
    return kj::READY_NOW;
}

kj::Promise<void> NodeService::seqAt(SeqAtContext context) {
    auto answer = kj::newPromiseAndFulfiller<Result<uint64_t>>();
    node_.log.seq_at_aside(context.getParams().getTimeNs(),
                           [fulfiller = kj::mv(answer.fulfiller)](Result<uint64_t> seq) mutable {
                               fulfiller->fulfill(std::move(seq));
                           });
    return answer.promise.then([context](Result<uint64_t>&& seq) mutable -> kj::Promise<void> {
        if (!seq) return refusal({NODED_REJECT_BUSY, "read the log: " + seq.error().message});
        context.getResults().setSeq(*seq);
        return kj::READY_NOW;
    });
}

kj::Promise<void> NodeService::past(PastContext context) {
    if (!node_.past) return refusal({NODED_REJECT_INVALID, "this is the past already"});
    const auto at = context.getParams().getAt();
    const Moment moment = at.isTimeNs() ? Moment::time(at.getTimeNs()) : Moment::seq(at.getSeq());
    auto socket = node_.past(moment);
    if (!socket) return refusal({NODED_REJECT_BUSY, socket.error().message});
    context.getResults().setConnection(kj::heap<FdStream>(std::move(*socket)));
    return kj::READY_NOW;
}

}  // namespace noded::rpc_service

// logdump hash: from snapshot and log to the state, by fold alone, as noded starts; then a SHA-256
// of each plugin's state. Equal logs have equal hashes, from a snapshot or without, and also by a
// plugin whose schema has grown since, as long as what is new is empty for them. No plugin reacts
// or reconciles, so nothing outside a scratch directory is touched.
#include <capnp/any.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "agent/core/pipeline.h"
#include "agent/host/host.h"
#include "agent/log/beside.h"
#include "agent/log/snapshot.h"
#include "agent/past/sections.h"
#include "agent/reactor/uring_reactor.h"
#include "tools/logdump/command.h"
#include "tools/nodectl/units.h"

namespace noded::logdump {

namespace {

struct Ends {
    uint64_t oldest = 1;
    uint64_t last = 0;
};

struct NoTopics final : host::TopicSink {
    bool publish_sample(const std::string&, Bytes) override { return true; }
};
struct NoPublisher final : core::Publisher {
    void publish(const core::Event&) override {}
};

/// Directories for the plugins' init, gone at the end.
struct Scratch {
    std::string path;

    Status make() {
        std::string made = "/tmp/logdump-XXXXXX";
        if (mkdtemp(made.data()) == nullptr) return fail_errno(errno, "make a folder in /tmp");
        path = made;
        std::error_code error;
        for (const char* name : {"/state", "/run"}) {
            std::filesystem::create_directory(path + name, error);
            if (error) return fail_errno(error.value(), "make " + path + name);
        }
        return {};
    }
    ~Scratch() {
        std::error_code ignored;
        if (!path.empty()) std::filesystem::remove_all(path, ignored);
    }
};

/// The host over the plugins, in the order of agent/main.cc.
struct Node {
    std::unique_ptr<reactor::UringReactor> reactor;
    NoTopics topics;
    NoPublisher publisher;
    std::unique_ptr<log::Log> log;
    host::Host host;
    core::Pipeline pipeline;

    Node(const Scratch& scratch, std::unique_ptr<reactor::UringReactor> ring,
         const std::string& plugins, std::unique_ptr<log::Log> folded)
        : reactor(std::move(ring)),
          log(std::move(folded)),
          host(*reactor, topics, {scratch.path + "/state", scratch.path + "/run", "", plugins}),
          pipeline(host, *log, publisher) {
        host.connect(pipeline, *log);
    }
    ~Node() {
        host.stop();
        reactor->stop();
    }
};

/// Where the log begins and where its replay ends; damage on the way is an error.
Result<Ends> find_ends(log::Storage& storage, std::optional<uint64_t> at) {
    const auto history = TRY(read_history(storage, 0, [&](const log::Record& record) {
        return !at || record.seq < *at;
    }));
    if (!history.damages.empty()) return fail("damaged: " + history.damages[0].text);
    if (at && (history.last_seq != *at || *at == 0)) {
        // The reading ended early if it is too old.
        const bool is_older = *at < history.oldest_seq;
        return fail("there is no event " + std::to_string(*at) + " in the log, which " +
                    (is_older ? "begins with seq " + std::to_string(history.oldest_seq)
                              : "ends with seq " + std::to_string(history.last_seq)));
    }
    return Ends{std::max<uint64_t>(history.oldest_seq, 1), history.last_seq};
}

/// The newest valid one of the state at or before `last`.
std::optional<log::Snapshot> find_snapshot(log::Storage& storage, uint64_t last) {
    const auto seqs = log::list_snapshots(storage);
    if (!seqs) return std::nullopt;
    for (const uint64_t seq : *seqs) {
        if (seq > last) continue;
        if (auto snapshot = log::load_snapshot(storage, seq)) return std::move(*snapshot);
    }
    return std::nullopt;
}

std::string sha256(const std::string& of) {
    std::array<uint8_t, SHA256_DIGEST_LENGTH> digest;
    SHA256(reinterpret_cast<const uint8_t*>(of.data()), of.size(), digest.data());
    return to_hex(digest);
}

/// What the host writes before a plugin's own bytes: two numbers.
constexpr size_t kSectionHeadBytes = 16;

/// The bytes that are hashed. Cap'n Proto's canonical form leaves out what is empty at the end of a
/// struct, so that a field which an old log never filled makes no difference
/// (capnproto.org/encoding.html, Canonicalization). What is no message is taken as it is.
std::string canonical(Bytes section) {
    if (section.size() <= kSectionHeadBytes) return std::string(as_text(section));
    std::string out(as_text(section.first(kSectionHeadBytes)));
    const Bytes state = section.subspan(kSectionHeadBytes);
    KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&] {
        capnp::ReaderOptions options;
        options.traversalLimitInWords = UINT64_MAX;
        capnp::FlatArrayMessageReader reader(
            kj::arrayPtr(reinterpret_cast<const capnp::word*>(state.data()),
                         state.size() / kWordSize),
            options);
        const auto words = reader.getRoot<capnp::AnyStruct>().canonicalize();
        const auto bytes = words.asBytes();
        out.append(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    })) {
        (void)exception;
        return std::string(as_text(section));
    }
    return out;
}

/// Plugins without a schema say nothing about what their bytes are.
bool has_schema(const host::Host& host, const std::string& plugin) {
    const host::Instance* instance = host.find(plugin);
    return instance != nullptr && !instance->description.schema.empty();
}

Status print_hashes(Node& node, Ends ends) {
    auto sections = TRY(past::state_sections(node.pipeline, node.host));
    std::sort(sections.begin(), sections.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    std::string all;
    for (const auto& section : sections) {
        const std::string hashed = has_schema(node.host, section.name)
                                       ? canonical(section.data)
                                       : std::string(as_text(section.data));
        const std::string line = sha256(hashed) + "  " + section.name + "\n";
        fputs(line.c_str(), stdout);
        all += line;
    }
    printf("%s  all, at seq %llu\n", sha256(all).c_str(),
           static_cast<unsigned long long>(ends.last));
    return {};
}

Status replay_and_print(Arguments& arguments, std::optional<uint64_t> at) {
    const auto storage = TRY(open_directory(arguments));
    const Ends ends = TRY(find_ends(*storage, at));
    auto snapshot = arguments.no_snapshot ? std::nullopt : find_snapshot(*storage, ends.last);
    if (!snapshot && ends.oldest > 1) {
        return fail("the log begins at seq " + std::to_string(ends.oldest) +
                    " and no snapshot up to seq " + std::to_string(ends.last) +
                    " is there, so the state cannot be known");
    }
    Scratch scratch;
    TRY_STATUS(scratch.make());
    Node node(scratch, TRY(reactor::UringReactor::create()), arguments.plugin_dir,
              TRY(log::open_log_beside(*storage, ends.last)));
    TRY_STATUS(past::fold_all(node.pipeline, node.host, *node.log, std::move(snapshot)));
    for (const auto& instance : node.host.instances()) {
        if (!instance->loaded())
            return fail("plugin " + instance->file + " is not loaded: " + instance->reason);
    }
    return print_hashes(node, ends);
}

}  // namespace

int hash(Arguments& arguments) {
    const auto at = nodectl::parse_number(arguments.at);
    if (!arguments.at.empty() && !at) {
        say("invalid value for \"--at\": \"" + arguments.at + "\" is not a seq");
        return kUsage;
    }
    const Status done = replay_and_print(arguments, at);
    if (done) return kDone;
    failed(done.error());
    return done.error().message.starts_with("damaged: ") ? kDamaged : kFailed;
}

}  // namespace noded::logdump

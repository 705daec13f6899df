// See replica.h.
#include "agent/past/replica.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "agent/core/pipeline.h"
#include "agent/core/replay.h"
#include "agent/host/host.h"
#include "agent/log/beside.h"
#include "agent/log/snapshot.h"
#include "agent/log/storage_file.h"
#include "agent/past/child.h"
#include "agent/past/sections.h"
#include "agent/reactor/uring_reactor.h"

namespace noded::past {

namespace {

/// Nothing leaves a replica.
struct Nowhere final : core::Publisher, host::TopicSink {
    void publish(const core::Event&) override {}
    bool publish_sample(const std::string&, Bytes) override { return true; }
};

/// Plugins tidy up their directories when they are loaded: those of the live node are not theirs.
Status make_scratch(const std::string& scratch) {
    std::error_code error;
    std::filesystem::create_directories(scratch + "/state", error);
    if (!error) std::filesystem::create_directories(scratch + "/run", error);
    if (error) return fail_errno(error.value(), "make the directory " + scratch);
    return {};
}

/// What is on disk is what was to be written, to the last byte.
Status read_back(log::Storage& storage, uint64_t seq,
                 const std::vector<log::Snapshot::Section>& sections) {
    std::string notice;
    const auto snapshot = TRY(log::load_newest_snapshot(storage, &notice));
    bool same = snapshot && snapshot->seq == seq && snapshot->sections.size() == sections.size();
    for (size_t i = 0; same && i < sections.size(); ++i) {
        same = snapshot->sections[i].name == sections[i].name &&
               snapshot->sections[i].data == sections[i].data;
    }
    if (same) return {};
    return fail("the snapshot of seq " + std::to_string(seq) + " reads back differently" +
                (notice.empty() ? "" : ": " + notice));
}

Result<uint64_t> fold_and_write(reactor::UringReactor& reactor, const Config& config,
                                const ReplicaArguments& arguments) {
    const auto storage = TRY(log::open_file_storage_beside(reactor, config.state_dir + "/log"));
    storage->limit({config.log_bytes_max});
    std::string notice;
    auto snapshot = TRY(log::load_newest_snapshot(*storage, &notice));
    const auto log = TRY(log::open_log_beside(*storage, arguments.seq));
    if (snapshot && snapshot->seq >= arguments.seq)
        return fail("there is a snapshot of seq " + std::to_string(snapshot->seq) + " already");
    Nowhere nowhere;
    const std::string scratch = scratch_directory(config);
    TRY_STATUS(make_scratch(scratch));
    host::Host host(reactor, nowhere,
                    {scratch + "/state", scratch + "/run", config.libexec_dir, config.plugin_dir});
    core::Pipeline pipeline(host, *log, nowhere);
    host.configure(config.plugins);
    host.connect(pipeline, *log);
    TRY_STATUS(fold_all(pipeline, host, *log, std::move(snapshot)));
    if (const std::string loaded = loaded_plugins(host); loaded != arguments.plugins) {
        return fail("the plugin directory gives " + loaded + ", the node has " +
                    arguments.plugins);
    }
    const auto sections = TRY(state_sections(pipeline, host));
    TRY_STATUS(log::write_snapshot(*storage, arguments.seq, borrow(sections)));
    if (Status same = read_back(*storage, arguments.seq, sections); !same) {
        (void)log::remove_snapshot(*storage, arguments.seq);
        return std::unexpected(same.error());
    }
    return state_bytes(sections);
}

}  // namespace

std::string scratch_directory(const Config& config) { return config.runtime_dir + "/past"; }

Result<uint64_t> write_snapshot_beside(const Config& config, const ReplicaArguments& arguments) {
    const auto reactor = TRY(reactor::UringReactor::create());
    auto written = fold_and_write(*reactor, config, arguments);
    reactor->stop();
    return written;
}

int replica_main(int argc, char** argv) {
    // noded replica SEQ PARENT PLUGINS [settings of a node]
    constexpr int kOwnArguments = 5;
    if (argc < kOwnArguments) {
        fprintf(stderr, "noded: a replica is started by noded itself\n");
        return 2;
    }
    const ReplicaArguments arguments{strtoull(argv[2], nullptr, 10), atoi(argv[3]), argv[4]};
    if (!become_child(arguments.parent)) return 1;
    const auto config = read_config(argc - kOwnArguments + 1, argv + kOwnArguments - 1);
    const auto written = config ? write_snapshot_beside(*config, arguments)
                                : Result<uint64_t>(std::unexpected(config.error()));
    if (!written) {
        fprintf(stderr, "%s\n", written.error().message.c_str());
        return 1;
    }
    printf("%llu\n", static_cast<unsigned long long>(*written));
    return 0;
}

}  // namespace noded::past

// nodectl stats: what containers use, in docker's columns, as a stream or once.
//
// The node's counters come from the plugin stats, two samples at first and then each new one;
// percentages are computed here.
#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/stats_files.h"
#include "tools/nodectl/stats_row.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

constexpr const char* kTable =
    "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t"
    "{{.PIDs}}";
constexpr const char* kClearScreen = "\033[2J\033[H";

const Json& headers() {
    static const Json names = {
        {"BlockIO", "BLOCK I/O"}, {"CPUPerc", "CPU %"},   {"Container", "CONTAINER"},
        {"ID", "CONTAINER ID"},   {"MemPerc", "MEM %"},   {"MemUsage", "MEM USAGE / LIMIT"},
        {"Name", "NAME"},         {"NetIO", "NET I/O"},   {"PIDs", "PIDS"},
        // Not docker's, for templates.
        {"Throttled", "THROTTLED %"},     {"WaitP50", "WAIT P50"},
        {"WaitP99", "WAIT P99"},          {"PressureCPU", "CPU PRESSURE"},
        {"IOP50", "I/O P50"},             {"IOP99", "I/O P99"},
        {"PressureMemory", "MEM PRESSURE"}, {"PressureIO", "I/O PRESSURE"},
        {"Retransmits", "RETRANSMITS"},   {"OOMKills", "OOM KILLS"},
        {"Switches", "SWITCHES"},         {"PageFaults", "PAGE FAULTS"},
        {"Execs", "EXECS"},               {"Exits", "EXITS"},
        {"Connects", "CONNECTS"},
    };
    return names;
}

struct StatsOptions {
    bool all = false;
    bool no_stream = false;
    bool no_trunc = false;
    std::string format;
};

using Response = capnp::Response<schema::Stats::ReadResults>;

/// From the plugin, or made here of files.
struct Answer {
    std::optional<Response> response;
    std::unique_ptr<capnp::MessageBuilder> made;

    capnp::List<schema::Sample>::Reader samples() const {
        if (response) return response->getSamples();
        return made->getRoot<schema::Stats::ReadResults>().asReader().getSamples();
    }
};

class StatsReader {
public:
    StatsReader(Invocation& call, const StatsOptions& options)
        : session_(call.session), options_(options) {}

    /// Finds the containers that the user named.
    Status resolve(const std::vector<std::string>& names) {
        std::vector<Inspected> inspected;
        for (const std::string& name : names) inspected.push_back(send_inspect(session_, name));
        for (size_t i = 0; i < names.size(); i++) {
            const auto response = TRY(session_.wait(kj::mv(inspected[i])));
            const auto state = response.getState();
            named_.push_back({state.getId().cStr(), state.getName().cStr(), names[i], {}, {}});
        }
        return {};
    }

    /// Waits for the next sample; of the first call two of them.
    Status read() {
        Answer answer = TRY(ask());
        if (answer.samples().size() == 0) return fail("the plugin stats gave no sample");
        answers_.push_back(std::move(answer));
        if (answers_.size() > 2) answers_.pop_front();
        seq_ = newest().getSeq();
        return {};
    }

    /// Of the kernel's files, which are on this machine.
    void read_files() { files_.emplace(session_); }
    static bool is_plugin_missing(const Error& error) {
        return error.message.find("no plugin named stats is loaded") != std::string::npos;
    }

    Result<std::string> render() {
        std::vector<Row> rows;
        TRY_STATUS(look_who_is_gone());
        const uint64_t memory = newest().getNode().getMemory().getTotalBytes();
        for (const StatsSubject& subject : TRY(subjects()))
            rows.push_back(stats_row(subject, memory, !options_.no_trunc));
        return render_rows(rows, options_.format, kTable, headers());
    }

    /// After a restart of noded the samples begin anew.
    Status reconnect() {
        answers_.clear();
        seq_ = 0;
        return session_.reconnect();
    }

private:
    Result<Answer> ask() {
        if (files_) return Answer{{}, TRY(files_->read())};
        auto request = session_.stats().readRequest();
        auto names = request.initContainers(static_cast<unsigned>(named_.size()));
        for (unsigned i = 0; i < names.size(); i++) names.set(i, named_[i].id);
        request.setAfter(seq_);
        return Answer{TRY(session_.wait(request.send())), nullptr};
    }

    using Samples = capnp::List<schema::Sample>::Reader;

    schema::Sample::Reader newest() {
        const Samples samples = answers_.back().samples();
        return samples[samples.size() - 1];
    }

    std::optional<schema::Sample::Reader> before() {
        const Samples samples = answers_.back().samples();
        if (samples.size() > 1) return samples[samples.size() - 2];
        if (answers_.size() < 2) return std::nullopt;
        const Samples earlier = answers_.front().samples();
        return earlier[earlier.size() - 1];
    }

    /// Of those named, one without figures has stopped, or is there no more.
    Status look_who_is_gone() {
        std::set<std::string> known;
        for (const auto row : newest().getContainers()) known.insert(row.getId().cStr());
        for (StatsSubject& subject : named_) {
            if (subject.gone || known.contains(subject.id)) continue;
            const auto found = inspect_one(session_, subject.id);
            if (found) continue;
            if (!is_no_such_container(found.error())) return std::unexpected(found.error());
            subject.gone = true;
        }
        return {};
    }

    /// The rows: those named, or all that run, or all that there are.
    Result<std::vector<StatsSubject>> subjects() {
        std::map<std::string, Figures> now, earlier;
        for (const auto row : newest().getContainers()) now.emplace(row.getId().cStr(), row);
        if (const auto sample = before())
            for (const auto row : sample->getContainers()) earlier.emplace(row.getId().cStr(), row);
        std::vector<StatsSubject> found = named_;
        if (named_.empty() && options_.all) {
            found = TRY(all_containers());
        } else if (named_.empty()) {
            for (const auto row : newest().getContainers())
                found.push_back({row.getId().cStr(), row.getName().cStr(), "", {}, {}});
        }
        for (StatsSubject& subject : found) {
            if (const auto row = now.find(subject.id); row != now.end()) {
                subject.figures = row->second;
                subject.name = row->second.getName().cStr();
            }
            if (const auto row = earlier.find(subject.id); row != earlier.end())
                subject.before = row->second;
        }
        return found;
    }

    /// Newest first, as the samples have them.
    Result<std::vector<StatsSubject>> all_containers() {
        const ContainerList list = TRY(ContainerList::fetch(session_));
        auto states = list.states();
        std::sort(states.begin(), states.end(), [](const auto& a, const auto& b) {
            return a.getCreatedSeq() > b.getCreatedSeq();
        });
        std::vector<StatsSubject> found;
        for (const auto& state : states)
            found.push_back({state.getId().cStr(), state.getName().cStr(), "", {}, {}});
        return found;
    }

    Session& session_;
    const StatsOptions& options_;
    std::vector<StatsSubject> named_;
    std::deque<Answer> answers_;
    std::optional<StatsFiles> files_;   ///< where the plugin is not loaded
    uint64_t seq_ = 0;
};

}  // namespace

int stats(Invocation& call) {
    StatsOptions options;
    const Option table[] = {
        {'a', "all", &options.all, "", "Show all containers (default shows just running)"},
        {0, "format", &options.format, "string",
         "table, 'table TEMPLATE', json, or a Go template, which may also have .Throttled, "
         ".WaitP50, .WaitP99 (for a CPU), .IOP50, .IOP99, .PressureCPU, .PressureMemory, "
         ".PressureIO, .Switches, .PageFaults, .Execs, .Exits, .Connects, .Retransmits, .OOMKills"},
        {0, "no-stream", &options.no_stream, "",
         "Disable streaming stats and only pull the first result"},
        {0, "no-trunc", &options.no_trunc, "", "Do not truncate output"},
    };
    if (const auto status = call.parse(table, {})) return *status;
    StatsReader reader(call, options);
    OR_FAIL_STATUS(call, reader.resolve(call.arguments));
    for (;;) {
        const Status read = reader.read();
        if (!read && StatsReader::is_plugin_missing(read.error())) {
            if (call.session.elsewhere()) return run_there(call, call.words);
            reader.read_files();
            continue;
        }
        if (!read && !options.no_stream && Session::is_lost(read.error())) {
            OR_FAIL_STATUS(call, reader.reconnect());
            continue;
        }
        OR_FAIL_STATUS(call, read);
        const Result<std::string> rendered = reader.render();
        if (!rendered && !options.no_stream && Session::is_lost(rendered.error())) {
            OR_FAIL_STATUS(call, reader.reconnect());
            continue;
        }
        const std::string text = OR_FAIL(call, rendered);
        if (options.no_stream) {
            print(text);
            return 0;
        }
        print(kClearScreen + text);
    }
}

}  // namespace noded::nodectl

// nodectl logs: what containers wrote. noded only hands over the folders of the logs; they are read
// and followed here. The logs of several come one after the other, followed ones as they grow, with
// the name of the container in front of each line.
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "plugins/container/shim/log_folder.h"
#include "plugins/sdk/tree/write_tree.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/log_prefix.h"
#include "tools/nodectl/log_printer.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/watched_fd.h"

namespace noded::nodectl {
namespace {

struct LogsOptions {
    bool follow = false;
    bool timestamps = false;
    bool details = false;
    std::string tail = "all";
    std::string since;
    std::string until;
    std::vector<std::string> selectors;
    bool no_prefix = false;
    bool no_colour = false;
    bool colour = false;    ///< whatever standard output is
};

Result<int64_t> log_time(const char* option, const std::string& text) {
    if (const auto seconds = parse_unix_time(text)) return *seconds;
    if (const auto time = parse_time(text, now_ns())) return *time;
    // A time to come, which docker takes as well.
    if (text.starts_with('-'))
        if (const auto duration = parse_duration(std::string_view(text).substr(1)))
            return now_ns() + *duration;
    // Later than 64 bits of nanoseconds reach.
    if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos)
        return INT64_MAX;
    return fail(std::string("invalid value for \"") + option + "\": \"" + text +
                "\" is neither a time (RFC 3339, seconds since 1970) nor a duration (10m)");
}

Result<LogFilter> log_filter(const LogsOptions& options) {
    LogFilter filter;
    filter.timestamps = options.timestamps;
    // docker's, of a log without further attributes, which this node does not keep.
    if (options.details) filter.details = " ";
    if (!options.since.empty()) filter.since_ns = TRY(log_time("--since", options.since));
    if (!options.until.empty() && options.until != "0")
        filter.until_ns = TRY(log_time("--until", options.until));
    if (!parse_number(options.tail) && options.tail != "all" && options.tail != "-1")
        return fail("invalid value for \"--tail\": \"" + options.tail +
                    "\" is neither a number of lines nor \"all\"");
    return filter;
}

struct OpenLog {
    Fd fd;
    bool running = false;
};

Result<OpenLog> open_log(Session& session, const std::string& container) {
    using Results = schema::Container::LogFileResults;
    Payload<schema::Container::LogFileParams> params;
    params.root.setContainer(container);
    auto call = session.call_with_stream<schema::Container>("container", "logFile", params, Fd());
    auto response = TRY(session.wait(kj::mv(call)));
    OpenLog log;
    const auto bytes = response.getResults();
    const auto words = words_of(bytes);
    if (words.size() > 0) {
        capnp::FlatArrayMessageReader reader(words);
        log.running = reader.getRoot<Results>().getRunning();
    }
    log.fd = TRY(session.received_fd(response));
    return log;
}

class LogReader {
public:
    /// `tail`: the last so many lines; all if absent.
    static Result<std::unique_ptr<LogReader>> make(Fd folder, LogFilter filter,
                                                   std::optional<uint64_t> tail,
                                                   std::string prefix) {
        LogFolder log(std::move(folder));
        if (tail) {
            const uint64_t count = TRY(log.line_count(filter.until_ns));
            filter.from_line = count - std::min(count, *tail);
            TRY_STATUS(log.begin_at_line(filter.from_line));
        } else {
            log.begin_at_time(filter.since_ns);
        }
        return std::unique_ptr<LogReader>(
            new LogReader(std::move(log), filter, std::move(prefix)));
    }

    /// What is there now.
    Status read_rest() {
        const auto status = log_.read_on(
            {.jump = [this](const LogBlock& header, uint64_t lost) { printer_.jump(header, lost); },
             .frame = [this](const LogFrame& frame) { return printer_.frame(frame); }});
        out_.flush();
        return status;
    }

    /// Nothing more will come.
    void finish() {
        prefix_.finish();
        out_.flush();
    }

    /// An inotify descriptor that becomes readable when the log grows or is rotated.
    Result<Fd> watch() const {
        Fd inotify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (!inotify.valid()) return fail_errno(errno, "create an inotify descriptor");
        const std::string path = "/proc/self/fd/" + std::to_string(log_.fd());
        if (inotify_add_watch(inotify.get(), path.c_str(), IN_MODIFY | IN_CREATE) < 0)
            return fail_errno(errno, "watch the log");
        return inotify;
    }

private:
    LogReader(LogFolder log, LogFilter filter, std::string prefix)
        : log_(std::move(log)),
          prefix_(std::move(prefix),
                  [this](LogStream stream, std::string_view text) {
                      out_.add(stream == LogStream::standard_error ? STDERR_FILENO : STDOUT_FILENO,
                               text);
                  }),
          printer_(filter, [this](LogStream stream, std::string_view text) {
              prefix_.add(stream, text);
          }) {}

    LogFolder log_;
    Output out_;
    LogPrefix prefix_;
    LogPrinter printer_;
};

/// Before logs had segments there was one file, in another format.
void tell_of_old_log(int folder) {
    if (faccessat(folder, "log", F_OK, AT_SYMLINK_NOFOLLOW) != 0) return;
    write_all(STDERR_FILENO,
              "Warning: what the container wrote under an earlier version of noded is kept in the "
              "file \"log\" of its log folder (inspect shows the path) and is not shown\n");
}

struct Source {
    std::string container;  ///< as it was named; once it is followed its id
    std::string prefix;     ///< empty: none
    std::unique_ptr<LogReader> reader;
    bool over = false;  ///< it does not run: its log will not grow
};

using Sources = std::vector<Source>;

Status read_all(Sources& sources) {
    for (Source& source : sources) TRY_STATUS(source.reader->read_rest());
    return {};
}

/// One that grows or ends wakes all.
class Watch {
public:
    /// `was_away`: noded was. What ended and was removed meanwhile is over.
    static Result<std::unique_ptr<Watch>> make(Session& session, Source& source, bool was_away) {
        return std::unique_ptr<Watch>(
            new Watch(session, source, TRY(source.reader->watch()), was_away));
    }
    kj::Promise<void> next() {
        auto grows = grown_.readable().then([this] {
            char events[4096];
            while (read(inotify_.get(), events, sizeof events) > 0) {
            }
        });
        return ends_.addBranch().exclusiveJoin(kj::mv(grows));
    }

private:
    Watch(Session& session, Source& source, Fd inotify, bool was_away)
        : inotify_(std::move(inotify)),
          grown_(session.port(), inotify_.get()),
          ends_(send_wait(session, source.container, Until::EXITED)
                    .then([&source](auto&&) { source.over = true; },
                          [&source, was_away](kj::Exception&& exception) {
                              source.over = was_away &&
                                            exception.getType() !=
                                                kj::Exception::Type::DISCONNECTED;
                              if (!source.over) kj::throwFatalException(kj::mv(exception));
                          })
                    .fork()) {}

    Fd inotify_;
    WatchedFd grown_;
    kj::ForkedPromise<void> ends_;
};

/// Reads until all containers have exited and nothing is left, or until the time of --until.
Status follow_connected(Session& session, Sources& sources, int64_t until_ns, bool was_away) {
    std::vector<std::unique_ptr<Watch>> watches;
    for (Source& source : sources)
        watches.push_back(source.over ? nullptr : TRY(Watch::make(session, source, was_away)));
    while (now_ns() <= until_ns) {
        TRY_STATUS(read_all(sources));
        kj::Promise<void> next = kj::NEVER_DONE;
        bool any = false;
        for (size_t i = 0; i < sources.size(); ++i) {
            if (sources[i].over) continue;
            any = true;
            next = next.exclusiveJoin(watches[i]->next());
        }
        if (!any) return {};
        if (until_ns != INT64_MAX) {
            const auto left = (until_ns - now_ns()) * kj::NANOSECONDS;
            next = next.exclusiveJoin(session.port().getTimer().afterDelay(left));
        }
        TRY(session.wait<bool>(next.then([] { return true; })));
    }
    return read_all(sources);
}

/// The same across restarts of noded: the shims go on writing, and what was read stays read.
Status follow(Session& session, Sources& sources, int64_t until_ns) {
    for (bool was_away = false;; was_away = true) {
        const Status followed = follow_connected(session, sources, until_ns, was_away);
        if (followed || !Session::is_lost(followed.error())) return followed;
        TRY_STATUS(session.reconnect([&sources] { return read_all(sources); }));
    }
}

/// By name, those that have all the labels; of those that were named, each once.
Result<std::vector<std::string>> chosen(Session& session, const std::vector<std::string>& named,
                                        const std::vector<std::string>& selectors) {
    std::vector<std::string> names;
    for (const std::string& name : named)
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    if (selectors.empty()) return names;
    const ContainerList list = TRY(ContainerList::fetch(session));
    std::vector<std::string> labelled;
    for (const auto& state : list.states()) {
        const auto has = [&](const std::string& label) {
            return container_has_label(state, label);
        };
        const std::string name = state.getName().cStr();
        if (std::ranges::all_of(selectors, has) && std::ranges::find(names, name) == names.end())
            labelled.push_back(name);
    }
    std::ranges::sort(labelled);
    names.insert(names.end(), labelled.begin(), labelled.end());
    return names;
}

bool wants_colour() { return isatty(STDOUT_FILENO) != 0 && getenv("NO_COLOR") == nullptr; }

Sources make_sources(const std::vector<std::string>& names, const LogsOptions& options) {
    const bool several = names.size() > 1 || !options.selectors.empty();
    const bool coloured = options.colour || wants_colour();
    std::vector<std::string> prefixes(names.size());
    if (several && !options.no_prefix)
        prefixes = log_prefixes(names, coloured && !options.no_colour);
    Sources sources;
    for (size_t i = 0; i < names.size(); ++i)
        sources.push_back({names[i], prefixes[i], nullptr, false});
    return sources;
}

Status open_source(Session& session, Source& source, const LogsOptions& options,
                   const LogFilter& filter) {
    OpenLog log = TRY(open_log(session, source.container));
    source.over = !options.follow || !log.running;
    if (!source.over) {
        // A name may come to mean another one while this one is followed.
        const auto known = TRY(inspect_one(session, source.container));
        source.container = known.getState().getId().cStr();
        // One that is still starting for the first time has its log only once it has started.
        TRY(session.wait(send_wait(session, source.container, Until::STARTED)));
        log = TRY(open_log(session, source.container));
    }
    tell_of_old_log(log.fd.get());
    source.reader =
        TRY(LogReader::make(std::move(log.fd), filter, parse_number(options.tail), source.prefix));
    return {};
}

Status show(Session& session, Sources& sources, const LogsOptions& options,
            const LogFilter& filter) {
    for (Source& source : sources) TRY_STATUS(open_source(session, source, options, filter));
    const bool follows = !std::ranges::all_of(sources, &Source::over);
    Status shown = follows ? follow(session, sources, filter.until_ns) : Status();
    for (Source& source : sources) {
        if (!follows && shown) shown = source.reader->read_rest();
        source.reader->finish();
    }
    return shown;
}

/// The files of a log are the node's.
int logs_there(Invocation& call, const LogsOptions& options) {
    std::vector<std::string> words = call.words;
    if (!options.no_colour && wants_colour()) words.insert(words.begin(), "--color");
    return run_there(call, words);
}

}  // namespace

int logs(Invocation& call) {
    LogsOptions options;
    const Option table[] = {
        {0, "color", &options.colour, "", nullptr},
        {0, "details", &options.details, "", "Show extra details provided to logs"},
        {'f', "follow", &options.follow, "", "Follow log output"},
        {'l', "selector", &options.selectors, "label",
         "Also those containers that have this label (KEY or KEY=VALUE; all of several)"},
        {0, "no-color", &options.no_colour, "", "Names of several containers without colours"},
        {0, "no-log-prefix", &options.no_prefix, "", "Don't print the names of several containers"},
        {0, "since", &options.since, "string",
         "Show logs since a time (2013-01-02T13:23:37Z) or a duration ago (42m)"},
        {'n', "tail", &options.tail, "string",
         "Number of lines to show from the end of the logs (default \"all\")"},
        {'t', "timestamps", &options.timestamps, "", "Show timestamps"},
        {0, "until", &options.until, "string",
         "Show logs before a time (2013-01-02T13:23:37Z) or a duration ago (42m)"},
    };
    if (const auto status = call.parse(table, {})) return *status;
    if (call.session.elsewhere()) return logs_there(call, options);
    if (call.arguments.empty() && options.selectors.empty())
        return call.failed(Error{0, "logs needs the name of a container, or --selector"});
    const LogFilter filter = OR_FAIL(call, log_filter(options));
    tree::raise_descriptor_limit();
    const auto names =
        OR_FAIL(call, chosen(call.session, call.arguments, options.selectors));
    if (names.empty()) print_error("no container has such labels");
    Sources sources = make_sources(names, options);
    OR_FAIL_STATUS(call, show(call.session, sources, options, filter));
    return 0;
}

}  // namespace noded::nodectl

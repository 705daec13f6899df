// nodectl logs: what a container wrote. noded only hands over the folder of the log; it is read and
// followed here.
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/log_folder.h"
#include "tools/nodectl/log_printer.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/watched_fd.h"

namespace noded::nodectl {
namespace {

struct LogsOptions {
    bool follow = false;
    bool timestamps = false;
    std::string tail = "all";
    std::string since;
    std::string until;
};

Result<int64_t> log_time(const char* option, const std::string& text) {
    if (const auto seconds = parse_unix_time(text)) return *seconds;
    if (const auto time = parse_time(text, now_ns())) return *time;
    return fail(std::string("invalid value for \"") + option + "\": \"" + text +
                "\" is neither a time (RFC 3339, seconds since 1970) nor a duration (10m)");
}

Result<LogFilter> log_filter(const LogsOptions& options) {
    LogFilter filter;
    filter.timestamps = options.timestamps;
    if (!options.since.empty()) filter.since_ns = TRY(log_time("--since", options.since));
    if (!options.until.empty()) filter.until_ns = TRY(log_time("--until", options.until));
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
                                                   std::optional<uint64_t> tail) {
        LogFolder log(std::move(folder));
        if (tail) {
            const uint64_t count = TRY(log.line_count(filter.until_ns));
            filter.from_line = count - std::min(count, *tail);
            TRY_STATUS(log.begin_at_line(filter.from_line));
        } else {
            log.begin_at_time(filter.since_ns);
        }
        return std::unique_ptr<LogReader>(new LogReader(std::move(log), filter));
    }

    /// What is there now.
    Status read_rest() {
        const auto status = log_.read_on(
            {.jump = [this](const LogBlock& header, uint64_t lost) { printer_.jump(header, lost); },
             .frame = [this](const LogFrame& frame) { return printer_.frame(frame); }});
        out_.flush();
        return status;
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
    LogReader(LogFolder log, LogFilter filter)
        : log_(std::move(log)), printer_(filter, [this](LogStream stream, std::string_view text) {
              out_.add(stream == LogStream::standard_error ? STDERR_FILENO : STDOUT_FILENO, text);
          }) {}

    LogFolder log_;
    Output out_;
    LogPrinter printer_;
};

/// Before logs had segments there was one file, in another format.
void tell_of_old_log(int folder) {
    if (faccessat(folder, "log", F_OK, AT_SYMLINK_NOFOLLOW) != 0) return;
    write_all(STDERR_FILENO,
              "Warning: what the container wrote under an earlier version of noded is kept in the "
              "file \"log\" of its log folder (inspect shows the path) and is not shown\n");
}

/// Reads until the container has exited and nothing is left, or until the time of --until has come.
Status follow_connected(Session& session, const std::string& container, LogReader& reader,
                        int64_t until_ns) {
    const Fd inotify = TRY(reader.watch());
    WatchedFd grown(session.port(), inotify.get());
    auto exited = send_wait(session, container, Until::EXITED).then([](auto&&) {}).fork();
    for (bool done = false; !done && now_ns() <= until_ns;) {
        TRY_STATUS(reader.read_rest());
        auto ends = exited.addBranch().then([] { return true; });
        auto grows = grown.readable().then([&inotify] {
            char events[4096];
            while (read(inotify.get(), events, sizeof events) > 0) {
            }
            return false;
        });
        auto next = ends.exclusiveJoin(kj::mv(grows));
        if (until_ns != INT64_MAX) {
            const auto left = (until_ns - now_ns()) * kj::NANOSECONDS;
            next = next.exclusiveJoin(
                session.port().getTimer().afterDelay(left).then([] { return true; }));
        }
        done = TRY(session.wait<bool>(kj::mv(next)));
    }
    return reader.read_rest();
}

bool is_gone(Session& session, const std::string& id) {
    const auto known = inspect_one(session, id);
    return !known && is_no_such_container(known.error());
}

/// The same across restarts of noded: the shim goes on writing, and what was read stays read.
Status follow(Session& session, const std::string& id, LogReader& reader, int64_t until_ns) {
    for (;;) {
        const Status followed = follow_connected(session, id, reader, until_ns);
        if (followed || !Session::is_lost(followed.error())) return followed;
        TRY_STATUS(session.reconnect([&reader] { return reader.read_rest(); }));
        // One that ended and was removed meanwhile: its log was read, or is open here.
        if (!is_gone(session, id)) continue;
        (void)reader.read_rest();
        return {};
    }
}

}  // namespace

int logs(Invocation& call) {
    LogsOptions options;
    const Option table[] = {
        {'f', "follow", &options.follow, "", "Follow log output"},
        {0, "since", &options.since, "string",
         "Show logs since a time (2013-01-02T13:23:37Z) or a duration ago (42m)"},
        {'n', "tail", &options.tail, "string",
         "Number of lines to show from the end of the logs (default \"all\")"},
        {'t', "timestamps", &options.timestamps, "", "Show timestamps"},
        {0, "until", &options.until, "string",
         "Show logs before a time (2013-01-02T13:23:37Z) or a duration ago (42m)"},
    };
    if (const auto status = call.parse(table, {.min = 1, .max = 1})) return *status;
    const LogFilter filter = OR_FAIL(call, log_filter(options));
    std::string container = call.arguments[0];
    OpenLog log = OR_FAIL(call, open_log(call.session, container));
    const bool running = log.running;
    if (options.follow && running) {
        // A name may come to mean another one while this one is followed.
        const auto known = OR_FAIL(call, inspect_one(call.session, container));
        container = known.getState().getId().cStr();
        // One that is still starting for the first time has its log only once it has started.
        OR_FAIL(call, call.session.wait(send_wait(call.session, container, Until::STARTED)));
        log = OR_FAIL(call, open_log(call.session, container));
    }
    tell_of_old_log(log.fd.get());
    const auto reader = OR_FAIL(
        call, LogReader::make(std::move(log.fd), filter, parse_number(options.tail)));
    if (options.follow && running) {
        OR_FAIL_STATUS(call, follow(call.session, container, *reader, filter.until_ns));
    } else {
        OR_FAIL_STATUS(call, reader->read_rest());
    }
    return 0;
}

}  // namespace noded::nodectl

// logdump print and export: the events of a log, for the eye and for programs.
#include <algorithm>

#include "agent/log/sender.h"
#include "tools/logdump/command.h"
#include "tools/logdump/plugin_types.h"
#include "tools/nodectl/bound.h"

namespace noded::logdump {

namespace {

using nodectl::Bound;

bool is_before(const Bound& bound, const log::Record& record) {
    return (bound.seq && *bound.seq < record.seq) ||
           (bound.time_ns && *bound.time_ns < record.time_ns);
}

bool is_after(const Bound& bound, const log::Record& record) {
    return (bound.seq && *bound.seq > record.seq) ||
           (bound.time_ns && *bound.time_ns > record.time_ns);
}

/// How the user wrote the bounds.
struct Names {
    const char* since;
    const char* until;
};

struct Bounds {
    Bound since;
    Bound until;
};

Result<Bounds> parse_bounds(const Arguments& arguments, const Names& names) {
    Bounds bounds;
    bounds.since = TRY(nodectl::parse_bound(names.since, arguments.since));
    bounds.until = TRY(nodectl::parse_bound(names.until, arguments.until));
    TRY_STATUS(nodectl::check_order(names.since, bounds.since, names.until, bounds.until));
    return bounds;
}

/// Tells `line` each event within the bounds and then what is wrong with the log.
template <typename Line>
int each_event(Arguments& arguments, const Names& names, Line line) {
    const auto bounds = parse_bounds(arguments, names);
    if (!bounds) return failed(bounds.error()), kUsage;
    const auto storage = open_directory(arguments);
    if (!storage) return failed(storage.error());
    const PluginTypes types(arguments.plugin_dir);
    const auto history =
        read_history(**storage, bounds->since.seq.value_or(0), [&](const log::Record& record) {
            if (is_before(bounds->until, record)) return false;
            if (!is_after(bounds->since, record)) line(types.show(record), record);
            return ferror(stdout) == 0;
        });
    if (fflush(stdout) != 0 || ferror(stdout) != 0) return failed(Error{0, "write the output"});
    if (!history) return failed(history.error());
    if (!history->notice.empty()) say(history->notice);
    tell_damages(*history);
    return history->damages.empty() ? kDone : kDamaged;
}

std::string type_id(uint64_t type) {
    char text[24];
    snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(type));
    return text;
}

void put_line(const std::string& text) {
    fwrite(text.data(), 1, text.size(), stdout);
    putc('\n', stdout);
}

}  // namespace

int print(Arguments& arguments) {
    const bool json = arguments.output == "json";
    if (!json && !arguments.output.empty() && arguments.output != "text") {
        say("invalid output \"" + arguments.output + "\": it is text or json");
        return kUsage;
    }
    const auto put = [&](const nodectl::ShownEvent& event, const log::Record&) {
        put_line(json ? nodectl::to_line(nodectl::event_json(event))
                      : nodectl::event_line(event, !arguments.no_trunc));
    };
    return each_event(arguments, {"--since", "--until"}, put);
}

int export_events(Arguments& arguments) {
    const auto put = [](const nodectl::ShownEvent& event, const log::Record& record) {
        nodectl::Json object = nodectl::event_json(event);
        object["typeId"] = type_id(record.type);
        object["payloadHex"] = to_hex(record.payload);
        if (!record.sender.empty())
            object["command"]["typeId"] = type_id(log::decode_sender(record.sender).command_type);
        put_line(nodectl::to_line(object));
    };
    return each_event(arguments, {"--from", "--to"}, put);
}

}  // namespace noded::logdump

// logdump print and export: the events of a log, for the eye and for programs.
#include <algorithm>
#include <optional>

#include "tools/logdump/command.h"
#include "tools/logdump/plugin_types.h"
#include "tools/nodectl/units.h"

namespace noded::logdump {

namespace {

/// A number is a seq, anything else a time.
struct Bound {
    std::optional<uint64_t> seq;
    std::optional<int64_t> time_ns;

    bool is_before(const log::Record& record) const {
        return (seq && *seq < record.seq) || (time_ns && *time_ns < record.time_ns);
    }
    bool is_after(const log::Record& record) const {
        return (seq && *seq > record.seq) || (time_ns && *time_ns > record.time_ns);
    }
};

Result<Bound> parse_bound(const std::string& text) {
    Bound bound;
    if (text.empty()) return bound;
    bound.seq = nodectl::parse_number(text);
    if (bound.seq) return bound;
    bound.time_ns = text.starts_with('@') ? nodectl::parse_unix_time(text.substr(1))
                                          : nodectl::parse_time(text, nodectl::now_ns());
    if (bound.time_ns) return bound;
    return fail("\"" + text +
                "\" is neither a seq (42) nor a time (RFC 3339, @1700000000) nor a duration ago "
                "(10m)");
}

/// Tells `line` each event within the bounds and then what is wrong with the log.
template <typename Line>
int each_event(Arguments& arguments, Line line) {
    const auto since = parse_bound(arguments.since);
    const auto until = parse_bound(arguments.until);
    if (!since || !until) return failed(since ? until.error() : since.error()), kUsage;
    const auto storage = open_directory(arguments);
    if (!storage) return failed(storage.error());
    const PluginTypes types(arguments.plugin_dir);
    const auto history =
        read_history(**storage, since->seq.value_or(0), [&](const log::Record& record) {
            if (until->is_before(record)) return false;
            if (!since->is_after(record)) line(types.show(record), record);
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
    return each_event(arguments, [&](const nodectl::ShownEvent& event, const log::Record&) {
        put_line(json ? nodectl::to_line(nodectl::event_json(event))
                      : nodectl::event_line(event, !arguments.no_trunc));
    });
}

int export_events(Arguments& arguments) {
    return each_event(arguments, [](const nodectl::ShownEvent& event, const log::Record& record) {
        nodectl::Json object = nodectl::event_json(event);
        object["typeId"] = type_id(record.type);
        object["payloadHex"] = to_hex(record.payload);
        put_line(nodectl::to_line(object));
    });
}

}  // namespace noded::logdump

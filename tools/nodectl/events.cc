// nodectl events: the history of the node from the oldest event still there, and on request what
// follows. The payloads are decoded by the schemas of the plugins that own them, so a stranger's
// plugin is shown like ours.
#include <unistd.h>

#include <algorithm>

#include "agent/base/bytes.h"
#include "tools/nodectl/bound.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/docker_event.h"
#include "tools/nodectl/dynamic_json.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/template.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

constexpr uint32_t kPageEvents = 1024;
constexpr uint32_t kWaitMs = 30'000;

struct EventsOptions {
    bool follow = false;
    bool no_trunc = false;
    std::string since;
    std::string until;
    std::vector<std::string> filters;
    std::string output;
    std::string format;
};

class EventsReader {
public:
    EventsReader(Invocation& call, const EventsOptions& options, EventFilter filter, Bound since,
                 Bound until, Template format)
        : session_(call.session),
          options_(options),
          filter_(std::move(filter)),
          format_(std::move(format)),
          since_(since),
          until_(until),
          schemas_(call.session) {}

    /// The containers that there are, for filters by name.
    Status learn_containers() {
        if (!filter_.wants_containers() && options_.format.empty()) return {};
        const ContainerList list = TRY(ContainerList::fetch(session_));
        for (const auto state : list.states()) {
            filter_.learn(state.getId().cStr(), state.getName().cStr(),
                          state.getSpec().getImageName().cStr(),
                          state.getSpec().getImageId().cStr());
            Json labels = Json::object();
            for (const auto label : state.getSpec().getLabels())
                labels[label.getKey().cStr()] = label.getValue().cStr();
            docker_.learn(state.getId().cStr(), state.getName().cStr(),
                          state.getSpec().getImageName().cStr(), labels);
        }
        return {};
    }

    Status run(uint64_t seq) {
        while (!done_) {
            auto request = session_.node().eventsRequest();
            request.setSince(seq);
            request.setMax(kPageEvents);
            request.setWaitMs(wait_ms());
            auto response = session_.wait(request.send());
            if (!response && options_.follow && Session::is_lost(response.error())) {
                // The seq says where to go on: without a gap and without a repeat.
                TRY_STATUS(session_.reconnect());
                schemas_.forget();
                continue;
            }
            if (!response) return std::unexpected(response.error());
            const auto page = response->getPage();
            tell_beginning(seq, page);
            for (const auto event : page.getEvents()) {
                if (!done_) TRY_STATUS(take(event));
            }
            seq = page.getNext();
            if (page.getEvents().size() == 0 && (!options_.follow || time_is_over())) break;
            out_.flush();
        }
        out_.flush();
        return {};
    }

private:
    bool time_is_over() const { return until_.time_ns && now_ns() >= *until_.time_ns; }

    uint32_t wait_ms() const {
        if (!options_.follow) return 0;
        if (!until_.time_ns) return kWaitMs;
        const int64_t left_ms = (*until_.time_ns - now_ns()) / 1'000'000 + 1;
        return static_cast<uint32_t>(std::clamp<int64_t>(left_ms, 1, kWaitMs));
    }

    /// The log is bounded: who asks for what is gone is told where the history begins.
    void tell_beginning(uint64_t seq, const schema::EventPage::Reader& page) {
        const Bound asked = std::exchange(since_, {});   // a time is of the first page alone
        const uint64_t oldest = page.getOldest();
        if (oldest <= 1 || seq > oldest || page.getEvents().size() == 0) return;
        const int64_t oldest_ns = page.getEvents()[0].getTimeNs();
        const bool by_time = asked.time_ns && *asked.time_ns < oldest_ns;
        const bool by_seq = seq < oldest && (seq != 0 || asked.seq);
        if (!by_time && !by_seq) return;
        out_.add(STDERR_FILENO, "Warning: the history begins with seq " + std::to_string(oldest) +
                                    " at " + rfc3339_short(oldest_ns) +
                                    "; what was before is no longer kept\n");
    }

    Status take(const schema::Event::Reader& event) {
        done_ = (until_.seq && event.getSeq() > *until_.seq) ||
                (until_.time_ns && event.getTimeNs() > *until_.time_ns);
        if (done_) return {};
        const ShownEvent shown = schemas_.show(event);
        const bool wanted = filter_.matches(shown);
        if (!options_.format.empty() || wants_docker()) {
            TRY_STATUS(take_as_docker(shown, wanted));
        } else if (wanted) {
            print_own(shown);
        }
        done_ = until_.seq && event.getSeq() == *until_.seq;
        return {};
    }

    void print_own(const ShownEvent& shown) {
        const bool json = options_.output == "json";
        out_.add(
            STDOUT_FILENO,
            (json ? to_line(event_json(shown)) : event_line(shown, !options_.no_trunc)) + "\n");
    }

    /// Those of docker's messages about it that the filters want, or the event itself for them.
    Status take_as_docker(const ShownEvent& shown, bool wanted) {
        for (const Json& message : docker_.messages(shown)) {
            if (!wanted || !fits(message)) continue;
            if (options_.format.empty()) {
                print_own(shown);
                return {};
            }
            const bool json = options_.format == "json";
            out_.add(STDOUT_FILENO,
                     (json ? to_line(message) : TRY(format_.render(message, go_names(message)))) +
                         "\n");
        }
        return {};
    }

    /// Only what docker has a message for can be of docker's scope, or of its daemon.
    bool wants_docker() const {
        return filter_.wants_docker() || filter_.filters().has("scope") ||
               filter_.filters().has("daemon");
    }

    bool fits(const Json& message) const {
        const Json& attributes = message["Actor"]["Attributes"];
        std::string found;
        const auto find = [&](std::string_view key) -> const std::string* {
            const auto at = attributes.find(std::string(key));
            if (at == attributes.end()) return nullptr;
            found = at->get<std::string>();
            return &found;
        };
        return filter_.filters().any("event",
                                     [&](const std::string& action) {
                                         return is_action(message, action);
                                     }) &&
               filter_.filters().any("scope", [&](const std::string& scope) {
                   return message["scope"] == scope;
               }) &&
               // Docker's daemon has messages of its own, this node has none.
               !filter_.filters().has("daemon") &&
               filter_.filters().all("label", [&](const std::string& label) {
                   return label_matches(label, find);
               });
    }

    /// What templates call the members whose names in JSON are others.
    static Json go_names(const Json& message) {
        Json names = Json::object();
        constexpr std::pair<const char*, const char*> kNames[] = {
            {"Status", "status"}, {"ID", "id"},     {"From", "from"},
            {"Scope", "scope"},   {"Time", "time"}, {"TimeNano", "timeNano"}};
        for (const auto& [go, json] : kNames) names[go] = message.value(json, Json(""));
        return names;
    }

    Session& session_;
    const EventsOptions& options_;
    EventFilter filter_;
    Template format_;
    DockerEvents docker_;
    Bound since_;
    Bound until_;
    PluginSchemas schemas_;
    Output out_;
    bool done_ = false;
};

Result<uint64_t> first_seq(Session& session, const Bound& since) {
    if (since.seq) return *since.seq;
    if (!since.time_ns) return 0;
    auto request = session.node().seqAtRequest();
    request.setTimeNs(*since.time_ns);
    const auto response = TRY(session.wait(request.send()));
    return response.getSeq();
}

}  // namespace

int events(Invocation& call) {
    EventsOptions options;
    const Option table[] = {
        {'f', "follow", &options.follow, "",
         "Go on with events as they happen (without it: the history, then stop); filters may "
         "follow"},
        {0, "filter", &options.filters, "filter",
         "Only events with type=, plugin=, container=, image=, label= or docker's event=, "
         "scope= and daemon="},
        {0, "format", &options.format, "string",
         "As docker's messages: json, or a Go template such as '{{.Type}} {{.Action}} {{.ID}}'"},
        {0, "no-trunc", &options.no_trunc, "", "Don't truncate ids and long values"},
        {'o', "output", &options.output, "string", "text or json (one object per line)"},
        {0, "since", &options.since, "string",
         "From this seq (42), time (RFC 3339, 1700000000) or duration ago (10m)"},
        {0, "until", &options.until, "string", "Up to and with this seq, time or duration ago"},
    };
    if (const auto status = call.parse(table, {})) return *status;
    // docker's -f is a filter, and its events always go on: "-f event=start" is both here.
    for (const std::string& filter : call.arguments) {
        if (!options.follow || filter.find('=') == std::string::npos)
            return call.failed(Error{0, "\"nodectl events\" accepts no arguments, but filters "
                                        "after -f: " + filter});
        options.filters.push_back(filter);
    }
    if (!options.output.empty() && options.output != "json" && options.output != "text") {
        return call.failed(
            Error{0, "invalid output \"" + options.output + "\": it is text or json"});
    }
    if (options.follow && call.session.in_the_past())
        return call.failed(Error{0, "--follow waits for what comes, and in the past nothing does"});
    const Bound since = OR_FAIL(call, parse_bound("--since", options.since));
    const Bound until = OR_FAIL(call, parse_bound("--until", options.until));
    OR_FAIL_STATUS(call, check_order("--since", since, "--until", until));
    auto format = Template::parse(options.format == "json" ? "" : options.format);
    if (!format) return call.failed(format.error());
    EventsReader reader(call, options, OR_FAIL(call, EventFilter::parse(options.filters)), since,
                        until, std::move(*format));
    OR_FAIL_STATUS(call, reader.learn_containers());
    const uint64_t seq = OR_FAIL(call, first_seq(call.session, since));
    OR_FAIL_STATUS(call, reader.run(seq));
    return 0;
}

}  // namespace noded::nodectl

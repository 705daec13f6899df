// nodectl events diff: what changed between two moments, and which commands caused it. The node is
// asked as it was at both (Session::travel), for what the events in between name.
#include <unistd.h>

#include <optional>
#include <set>

#include "tools/nodectl/bound.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_json.h"
#include "tools/nodectl/dynamic_json.h"
#include "tools/nodectl/history_diff.h"
#include "tools/nodectl/image_json.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

constexpr uint32_t kPageEvents = 1024;
constexpr size_t kEventsMax = 100'000;
/// How far back the command of an event is sought: causes, and events of one decision.
constexpr size_t kCausesMax = 1000;
constexpr size_t kDecisionEventsMax = 64;

/// The seq of a moment; that of now if none is given. A time is refused here where nothing is.
Result<uint64_t> seq_of(Session& session, const Bound& bound) {
    if (bound.seq) return *bound.seq;
    if (!bound.time_ns) {
        const auto response = TRY(session.wait(session.node().infoRequest().send()));
        return response.getInfo().getDurableSeq();
    }
    auto request = session.node().seqAtRequest();
    request.setTimeNs(*bound.time_ns + 1);
    const auto response = TRY(session.wait(request.send()));
    return response.getSeq() - 1;
}

/// Those after `from` up to `to`, where the session's node ends.
Result<std::vector<ShownEvent>> events_between(Session& session, uint64_t from, uint64_t to) {
    PluginSchemas schemas(session);
    std::vector<ShownEvent> events;
    for (uint64_t seq = from + 1; seq <= to;) {
        auto request = session.node().eventsRequest();
        request.setSince(seq);
        request.setMax(kPageEvents);
        const auto response = TRY(session.wait(request.send()));
        const auto page = response.getPage();
        if (page.getEvents().size() == 0) break;
        if (events.empty() && page.getEvents()[0].getSeq() > from + 1) {
            return fail("the history begins with seq " + std::to_string(page.getOldest()) +
                        ", so what changed since seq " + std::to_string(from) +
                        " cannot be told");
        }
        for (const auto event : page.getEvents()) events.push_back(schemas.show(event));
        if (events.size() > kEventsMax) {
            return fail("more than " + std::to_string(kEventsMax) +
                        " events lie between; choose moments that are nearer to each other");
        }
        seq = page.getNext();
    }
    return events;
}

/// One event; null if it is no longer there.
Result<std::optional<ShownEvent>> event_at(Session& session, uint64_t seq) {
    auto request = session.node().eventsRequest();
    request.setSince(seq);
    request.setMax(1);
    const auto response = TRY(session.wait(request.send()));
    const auto events = response.getPage().getEvents();
    if (events.size() == 0 || events[0].getSeq() != seq) return std::nullopt;
    ShownEvent shown;
    shown.seq = seq;
    shown.command_id = to_hex({events[0].getCommandId().begin(), events[0].getCommandId().size()});
    shown.cause_seq = events[0].getCauseSeq();
    shown.sender = sender_of(events[0]);
    return shown;
}

/// Who sent the command at the root of the event. Causes lead back to the command's decision, and
/// its first event says it; nothing if that is no longer in the history, or of an older noded.
Result<std::optional<ShownSender>> find_sender(Session& session, ShownEvent event) {
    const std::string command = event.command_id;
    for (size_t i = 0; i < kCausesMax && event.cause_seq != 0; ++i) {
        const auto cause = TRY(event_at(session, event.cause_seq));
        if (!cause || cause->command_id != command) break;
        event = *cause;
    }
    // The events of one decision follow each other.
    for (size_t i = 0; i < kDecisionEventsMax && !event.sender && event.seq > 1; ++i) {
        const auto before = TRY(event_at(session, event.seq - 1));
        if (!before || before->command_id != command) break;
        event = *before;
    }
    return event.sender;
}

/// Of all commands at the roots of `events`, also where the first event lies further back.
Result<Senders> find_senders(Session& session, const std::vector<ShownEvent>& events) {
    Senders senders = senders_in(events);
    std::set<std::string> sought;
    for (const ShownEvent& event : events) {
        if (senders.contains(event.command_id) || !sought.insert(event.command_id).second) continue;
        if (auto sender = TRY(find_sender(session, event)))
            senders.emplace(event.command_id, std::move(*sender));
    }
    return senders;
}

Result<Json> look_up(Session& session, const ObjectId& object) {
    if (object.kind == "container") {
        const auto response = TRY(inspect_one(session, object.id));
        return container_json(response.getState());
    }
    auto request = session.storage().inspectImageRequest();
    request.setReference(object.id);
    const auto response = TRY(session.wait(request.send()));
    return image_json(response.getImage());
}

/// As they are where the session is.
Result<Objects> look_up_all(Session& session, const std::set<ObjectId>& wanted) {
    Objects found;
    for (const ObjectId& object : wanted) {
        if (object.kind != "container" && object.kind != "image") continue;
        auto json = look_up(session, object);
        if (json) {
            found.emplace(object, std::move(*json));
        } else if (!json.error().message.starts_with("No such ")) {
            return std::unexpected(json.error());
        }
    }
    return found;
}

Result<std::vector<Change>> changes_between(Session& session, const Bound& from, const Bound& to) {
    if (from.time_ns && *from.time_ns > session.now_ns())
        return fail("--from has not come yet, so nothing has changed since");
    const uint64_t first = TRY(seq_of(session, from));
    const uint64_t last = TRY(seq_of(session, to));
    if (first > last) {
        return fail("--from is seq " + std::to_string(first) + " and comes after --to, which is " +
                    std::to_string(last));
    }
    TRY_STATUS(session.travel({last, std::nullopt}));
    const auto events = TRY(events_between(session, first, last));
    std::set<ObjectId> named;
    for (const ShownEvent& event : events) {
        for (const ObjectId& object : objects_of(event)) named.insert(object);
    }
    const Senders senders = TRY(find_senders(session, events));
    const Objects after = TRY(look_up_all(session, named));
    TRY_STATUS(session.travel({first, std::nullopt}));
    const Objects before = TRY(look_up_all(session, named));
    return compare(before, after, events, senders);
}

}  // namespace

int events_diff(Invocation& call) {
    std::string from;
    std::string to;
    std::string output;
    bool no_trunc = false;
    const Option table[] = {
        {0, "from", &from, "string",
         "The earlier moment: a seq (42), a time (RFC 3339, @1700000000) or a duration ago (10m)"},
        {0, "no-trunc", &no_trunc, "", "Don't truncate ids and long values"},
        {'o', "output", &output, "string", "text or json (one object per line)"},
        {0, "to", &to, "string", "The later moment (default now)"},
    };
    if (const auto status = call.parse(table, {.max = 0})) return *status;
    if (!output.empty() && output != "json" && output != "text")
        return call.failed(Error{0, "invalid output \"" + output + "\": it is text or json"});
    if (from.empty())
        return call.failed(Error{0, "say since when: --from SEQ, or a time, or a duration ago"});
    const Bound first = OR_FAIL(call, parse_bound("--from", from));
    const Bound last = OR_FAIL(call, parse_bound("--to", to));
    const auto changes = OR_FAIL(call, changes_between(call.session, first, last));
    Output out;
    for (size_t i = 0; i < changes.size(); ++i) {
        if (output == "json") out.add(STDOUT_FILENO, to_line(change_json(changes[i])) + "\n");
        else out.add(STDOUT_FILENO, (i > 0 ? "\n" : "") + change_text(changes[i], !no_trunc));
    }
    out.flush();
    return 0;
}

}  // namespace noded::nodectl

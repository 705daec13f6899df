// See history_diff.h.
#include "tools/nodectl/history_diff.h"

#include <algorithm>
#include <set>

#include "tools/nodectl/units.h"

namespace noded::nodectl {

namespace {

constexpr size_t kCommandDigits = 12;

std::string text_in(const Json& object, const char* name) {
    if (!object.is_object()) return "";
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

void compare_values(const std::string& path, const Json& before, const Json& after,
                    std::vector<FieldChange>& out) {
    if (before == after) return;
    if (!before.is_object() || !after.is_object()) return out.push_back({path, before, after});
    const auto below = [&](const std::string& key) {
        return path.empty() ? key : path + "." + key;
    };
    for (const auto& [key, value] : before.items()) {
        const auto other = after.find(key);
        compare_values(below(key), value, other != after.end() ? *other : Json(), out);
    }
    for (const auto& [key, value] : after.items())
        if (!before.contains(key)) out.push_back({below(key), Json(), value});
}

std::string name_of(const Json& object) {
    std::string name = text_in(object, "Name");
    if (name.starts_with('/')) name.erase(0, 1);
    const auto tags = object.is_object() ? object.find("RepoTags") : object.end();
    if (name.empty() && tags != object.end() && tags->is_array() && !tags->empty())
        name = (*tags)[0].get<std::string>();
    return name;
}

const char* word_of(Change::Kind kind) {
    switch (kind) {
        case Change::Kind::created: return "created";
        case Change::Kind::removed: return "removed";
        case Change::Kind::changed: return "changed";
        case Change::Kind::passed: return "came and went";
        case Change::Kind::unseen: return "events";
    }
    return "?";
}

bool is_known_kind(const std::string& kind) { return kind == "container" || kind == "image"; }

/// A new change, without its chains.
Change change_of(const ObjectId& object, const Objects& before, const Objects& after) {
    Change change{object, {}, Change::Kind::passed, {}, {}};
    const auto then = before.find(object);
    const auto now = after.find(object);
    if (now != after.end()) change.name = name_of(now->second);
    else if (then != before.end()) change.name = name_of(then->second);
    if (then != before.end() && now != after.end()) {
        change.kind = Change::Kind::changed;
        compare_values("", then->second, now->second, change.fields);
    } else if (then != before.end()) {
        change.kind = Change::Kind::removed;
    } else if (now != after.end()) {
        change.kind = Change::Kind::created;
    } else if (!is_known_kind(object.kind)) {
        change.kind = Change::Kind::unseen;
    }
    return change;
}

/// The events that a command caused go together, also where another one's came in between.
void add_event(Change& change, const ShownEvent& event) {
    auto chain = std::ranges::find(change.chains, event.command_id, &Chain::command_id);
    if (chain == change.chains.end())
        chain = change.chains.insert(chain, {event.command_id, {}, {}});
    chain->events.push_back(event);
    if (change.name.empty()) change.name = text_in(event.payload, "name");
}

bool is_zero(const std::string& command_id) {
    return command_id.find_first_not_of('0') == std::string::npos;
}

/// How far each event is from the root of the chain.
std::map<uint64_t, size_t> depths_of(const Chain& chain) {
    std::map<uint64_t, size_t> depths;
    for (const ShownEvent& event : chain.events) {
        const auto cause = depths.find(event.cause_seq);
        depths[event.seq] = cause != depths.end() ? cause->second + 1 : 0;
    }
    return depths;
}

}  // namespace

std::vector<ObjectId> objects_of(const ShownEvent& event) {
    std::vector<ObjectId> objects;
    const std::string own = event.plugin == "storage" ? "image"
                            : event.plugin.empty()    ? "object"
                                                      : event.plugin;
    if (const std::string id = text_in(event.payload, "containerId"); !id.empty())
        objects.push_back({"container", id});
    if (const std::string id = text_in(event.payload, "id"); !id.empty())
        objects.push_back({own, id});
    const auto ids = event.payload.is_object() ? event.payload.find("ids") : event.payload.end();
    if (ids == event.payload.end() || !ids->is_array()) return objects;
    for (const Json& id : *ids)
        if (id.is_string()) objects.push_back({own, id.get<std::string>()});
    return objects;
}

Senders senders_in(const std::vector<ShownEvent>& events) {
    Senders senders;
    for (const ShownEvent& event : events)
        if (event.sender) senders.emplace(event.command_id, *event.sender);
    return senders;
}

std::vector<Change> compare(const Objects& before, const Objects& after,
                            const std::vector<ShownEvent>& events, const Senders& senders) {
    // A command's events that name nothing belong to what the others name: the import to its image.
    std::map<std::string, std::set<ObjectId>> of_command;
    for (const ShownEvent& event : events) {
        if (is_zero(event.command_id)) continue;
        for (const ObjectId& object : objects_of(event))
            of_command[event.command_id].insert(object);
    }
    std::vector<Change> changes;
    std::map<ObjectId, size_t> places;
    for (const ShownEvent& event : events) {
        auto named = objects_of(event);
        if (named.empty() && !is_zero(event.command_id)) {
            const auto& others = of_command[event.command_id];
            named.assign(others.begin(), others.end());
        }
        if (named.empty()) named.push_back({"node", ""});
        for (const ObjectId& object : named) {
            const auto [place, is_new] = places.emplace(object, changes.size());
            if (is_new) changes.push_back(change_of(object, before, after));
            add_event(changes[place->second], event);
        }
    }
    for (Change& change : changes) {
        if (change.object.kind == "node") change.kind = Change::Kind::unseen;
        for (Chain& chain : change.chains) {
            const auto sender = senders.find(chain.command_id);
            if (sender != senders.end()) chain.sender = sender->second;
        }
    }
    return changes;
}

std::string change_text(const Change& change, bool truncate) {
    std::string out = change.object.kind;
    const std::string& id = change.object.id;
    if (!id.empty()) out += " " + (truncate ? short_id(id) : id);
    if (!change.name.empty()) out += " (" + shown_value(Json(change.name), false) + ")";
    out += std::string(": ") + word_of(change.kind) + "\n";
    for (const FieldChange& field : change.fields) {
        out += "    " + field.path + ": " + shown_value(field.before, truncate) + " → " +
               shown_value(field.after, truncate) + "\n";
    }
    for (const Chain& chain : change.chains) {
        const std::string& command = chain.command_id;
        out += "  " +
               (is_zero(command) ? std::string("by the node itself")
                                 : "by command " + (truncate ? command.substr(0, kCommandDigits)
                                                             : command)) +
               (chain.sender ? ": " + sender_text(*chain.sender) : "") + "\n";
        const auto depths = depths_of(chain);
        for (const ShownEvent& event : chain.events) {
            ShownEvent shown = event;
            shown.sender.reset();   // the line above has it
            out += "    " + std::string(2 * depths.at(event.seq), ' ') +
                   event_line(shown, truncate) + "\n";
        }
    }
    return out;
}

Json change_json(const Change& change) {
    Json fields = Json::array();
    for (const FieldChange& field : change.fields) {
        fields.push_back(
            {{"Path", field.path}, {"Before", field.before}, {"After", field.after}});
    }
    Json commands = Json::array();
    for (const Chain& chain : change.chains) {
        Json events = Json::array();
        for (const ShownEvent& event : chain.events) events.push_back(event_json(event));
        Json command = {{"ID", chain.command_id}};
        if (chain.sender) {
            command["Type"] = chain.sender->command;
            command["Client"] = chain.sender->client;
            command["UID"] = chain.sender->uid;
            command["GID"] = chain.sender->gid;
            command["PID"] = chain.sender->pid;
        }
        command["Events"] = std::move(events);
        commands.push_back(std::move(command));
    }
    return {{"Kind", change.object.kind}, {"ID", change.object.id},
            {"Name", change.name},        {"Change", word_of(change.kind)},
            {"Fields", std::move(fields)}, {"Commands", std::move(commands)}};
}

}  // namespace noded::nodectl

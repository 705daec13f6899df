// What changed between two moments: objects that events are about, as they were at both, and the
// commands whose events led from one to the other.
//
// State is a fold of events, so an object that no event in between names has not changed. An event
// names objects by its members "id", "ids" and "containerId"; whose they are follows from the
// plugin of the event. A plugin need not know of any of this: objects of one that nodectl cannot
// inspect are shown with their events alone. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/nodectl/event_line.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

struct ObjectId {
    std::string kind;   ///< "container", "image", or the id of another plugin
    std::string id;

    auto operator<=>(const ObjectId&) const = default;
};

/// As `inspect` shows them; those that are not there are left out.
using Objects = std::map<ObjectId, Json>;

struct FieldChange {
    std::string path;   ///< "State.Status"
    Json before;        ///< null where there was none
    Json after;
};

/// The events of one command that are about one object, in order.
struct Chain {
    std::string command_id;   ///< hexadecimal; zeros where no command stands at the root
    std::optional<ShownSender> sender;   ///< if the history tells which command it was
    std::vector<ShownEvent> events;
};

struct Change {
    enum class Kind { created, removed, changed, passed, unseen };

    ObjectId object;
    std::string name;         ///< empty for none
    Kind kind = Kind::changed;
    std::vector<FieldChange> fields;   ///< of one that is there at both moments
    std::vector<Chain> chains;
};

/// What an event is about; empty for the node itself.
std::vector<ObjectId> objects_of(const ShownEvent& event);

/// Who sent commands, by their ids.
using Senders = std::map<std::string, ShownSender>;

/// Of those whose first event is among `events`.
Senders senders_in(const std::vector<ShownEvent>& events);

/// In the order of each one's first event.
std::vector<Change> compare(const Objects& before, const Objects& after,
                            const std::vector<ShownEvent>& events, const Senders& senders);

/// A block of lines.
std::string change_text(const Change& change, bool truncate);
/// {"Kind","ID","Name","Change","Fields":[{"Path","Before","After"}],
/// "Commands":[{"ID","Type","Client","UID","GID","PID","Events"}]}; a command of which nothing is
/// known has its id alone.
Json change_json(const Change& change);

}  // namespace noded::nodectl

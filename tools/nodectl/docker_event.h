// DockerEvents: events of the node as docker's `events` has them, for --format and for the filters
// that docker knows: an action on an object, with the attributes that containers and images have.
// What has no counterpart there (an intent, a root file system) is left out. Pure. Called by
// events.cc.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/nodectl/event_line.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

class DockerEvents {
public:
    /// A container that is known already.
    void learn(const std::string& id, const std::string& name, const std::string& image,
               const Json& labels);

    /// docker's messages about an event, none to four of them:
    /// {"status","id","from","Type","Action",
    /// "Actor":{"ID","Attributes"},"scope","time","timeNano"}. To be called for all events in
    /// order, since later ones of a container do not repeat its name.
    std::vector<Json> messages(const ShownEvent& event);

private:
    struct Known {
        std::string name;
        std::string image;
        Json labels = Json::object();
    };
    /// What was said of a run decides which messages its end and the next start bring.
    struct Run {
        bool waits = false;       ///< for the next one: a stop ends no process
        bool stopping = false;    ///< its end is followed by "stop"
        bool restarting = false;  ///< and the next start by "restart"
        bool killed = false;      ///< SIGKILL was told
    };
    using Action = std::pair<std::string, Json>;  ///< with its attributes

    void learn_from(const ShownEvent& event);
    std::vector<Action> of_run(const std::string& id, const ShownEvent& event);
    static std::vector<Action> end_of(Run& run, const Json& exited);
    Json message(const ShownEvent& event, const std::string& type, const std::string& action,
                 const std::string& id, Json attributes) const;

    std::map<std::string, Known> containers_;  ///< by id
    std::map<std::string, Run> runs_;          ///< likewise
};

/// Whether a message is what --filter event= asks for: "die", "exec_start", "health_status",
/// "health_status: healthy".
bool is_action(const Json& message, const std::string& wanted);

}  // namespace noded::nodectl

// One event as nodectl shows it: a line for the eye, or an object per line; and the filters of
// `events`. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "tools/nodectl/filters.h"
#include "tools/nodectl/json.h"

namespace noded::nodectl {

/// Which command it was, and who sent it.
struct ShownSender {
    std::string command;     ///< "RunContainer", or the number of its type
    uint32_t uid = 0;
    uint32_t gid = 0;
    uint32_t pid = 0;        ///< 0: the node itself
    std::string client;      ///< what it says of itself; empty for nothing
};

struct ShownEvent {
    uint64_t seq = 0;
    int64_t time_ns = 0;
    uint64_t type = 0;
    std::string name;
    std::string plugin;
    std::string command_id;  ///< hexadecimal
    uint64_t cause_seq = 0;
    Json payload;            ///< null if its schema is not known
    std::optional<ShownSender> sender;   ///< with the first event of a command that was sent
};

/// "RunContainer from nodectl run, uid 0, pid 77"; "RemoveContainer from plugin container".
std::string sender_text(const ShownSender& sender);

/// {"type","client","uid","gid","pid"}.
Json sender_json(const ShownSender& sender);

/// {"seq","time","timeNano","type","plugin","commandId","causeSeq","payload"}; with a sender also
/// "command": {"type","client","uid","gid","pid"}.
Json event_json(const ShownEvent& event);

/// "2025-11-24T13:41:05.123456789Z 42 container ContainerStarted id=3f2a… pid=77", with a sender in
/// brackets behind it.
std::string event_line(const ShownEvent& event, bool truncate);

/// A value on one line; ids and long ones are cut if `truncate`.
std::string shown_value(const Json& value, bool truncate);

/// "ContainerStarted", or the number of the type if no plugin that is loaded owns it.
std::string event_type(const ShownEvent& event);
std::string type_name(const std::string& name, uint64_t type);

/// type=, plugin=, container=, image=; event= and label= are for docker_event.h. A container asked
/// for by name, or by its image, is followed by its id once that was seen.
class EventFilter {
public:
    static Result<EventFilter> parse(const std::vector<std::string>& arguments);

    /// A container that is known already, so that events without a name match too.
    void learn(const std::string& id, const std::string& name, const std::string& image,
               const std::string& image_id);
    bool wants_containers() const {
        return filters_.has("container") || filters_.has("image") || wants_docker();
    }
    /// Only what docker calls these, on objects with these labels.
    bool wants_docker() const { return filters_.has("event") || filters_.has("label"); }
    const Filters& filters() const { return filters_; }
    bool matches(const ShownEvent& event);

private:
    bool matches_container(const ShownEvent& event, const std::string& wanted) const;
    bool matches_image(const ShownEvent& event, const std::string& wanted) const;

    Filters filters_;
    std::set<std::string> ids_;  ///< of the containers that were asked for by name
    /// Of containers, and an image that they are of and that was asked for.
    std::set<std::pair<std::string, std::string>> of_images_;
};

}  // namespace noded::nodectl

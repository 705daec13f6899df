// See docker_event.h. The words are those of docker's reference of `docker events`.
#include "tools/nodectl/docker_event.h"

#include <algorithm>

#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

/// Events that are one action, whatever they say.
constexpr std::pair<std::string_view, const char*> kActions[] = {
    {"ContainerRequested", "create"},      {"ContainerPaused", "pause"},
    {"ContainerUnpaused", "unpause"},      {"ContainerRemoved", "destroy"},
    {"ContainerRenamed", "rename"},        {"ContainerUpdated", "update"},
    {"ContainerCommitRequested", "commit"},
    {"ExecExited", "exec_die"},            {"ImageImported", "import"},
    {"ImageTagged", "tag"},                {"ImageUntagged", "untag"},
    {"ImageRemoved", "delete"},
};

const Json* member(const Json& object, const char* name) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
}

/// A member as text; "" if it is not there.
std::string text_of(const Json& object, const char* name) {
    const Json* found = member(object, name);
    if (found == nullptr || found->is_null()) return "";
    return found->is_string() ? found->get<std::string>() : to_line(*found);
}

Json labels_of(const Json& spec) {
    Json labels = Json::object();
    const Json* list = member(spec, "labels");
    if (list == nullptr || !list->is_array()) return labels;
    for (const Json& label : *list) labels[text_of(label, "key")] = text_of(label, "value");
    return labels;
}

std::string command_of(const Json& payload) {
    std::string out;
    const Json* argv = member(payload, "argv");
    if (argv == nullptr || !argv->is_array()) return out;
    for (const Json& word : *argv)
        if (word.is_string()) out += (out.empty() ? "" : " ") + word.get<std::string>();
    return argv->size() == 1 ? out + " " : out;  // as docker's, which ends the program with a blank
}

std::string first_of(const Json& payload, const char* name) {
    const Json* list = member(payload, name);
    if (list == nullptr || !list->is_array() || list->empty()) return "";
    return (*list)[0].is_string() ? (*list)[0].get<std::string>() : "";
}

/// Those whose messages depend on what was said of the run before.
bool is_of_run(const std::string& type) {
    constexpr std::string_view kTypes[] = {"ContainerExited", "ContainerRestartScheduled",
                                           "ContainerStarted", "ContainerStopRequested",
                                           "ContainerKillRequested", "ContainerStartRequested"};
    return std::ranges::count(kTypes, type) > 0;
}

const char* action_of(const std::string& type) {
    for (const auto& [event, action] : kActions)
        if (event == type) return action;
    return nullptr;
}

}  // namespace

void DockerEvents::learn(const std::string& id, const std::string& name, const std::string& image,
                         const Json& labels) {
    containers_[id] = {name, image, labels};
}

void DockerEvents::learn_from(const ShownEvent& event) {
    const std::string id = text_of(event.payload, "id");
    if (event.name == "ContainerRenamed") containers_[id].name = text_of(event.payload, "name");
    const Json* spec = member(event.payload, "spec");
    if (event.name == "ContainerRequested" && spec != nullptr)
        learn(id, text_of(event.payload, "name"), text_of(*spec, "imageName"), labels_of(*spec));
    if (event.name == "ContainerRemoved") runs_.erase(id);
}

Json DockerEvents::message(const ShownEvent& event, const std::string& type,
                           const std::string& action, const std::string& id,
                           Json attributes) const {
    std::string from;
    if (const auto known = containers_.find(id); known != containers_.end()) {
        Json all = known->second.labels;
        all["image"] = from = known->second.image;
        all["name"] = known->second.name;
        for (const auto& [key, value] : attributes.items()) all[key] = value;
        std::map<std::string, Json> sorted;
        for (const auto& [key, value] : all.items()) sorted[key] = value;
        attributes = Json::object();
        for (const auto& [key, value] : sorted) attributes[key] = value;
    }
    Json out = {{"status", action}, {"id", id}};
    if (!from.empty()) out["from"] = from;
    out["Type"] = type;
    out["Action"] = action;
    out["Actor"] = {{"ID", id}, {"Attributes", std::move(attributes)}};
    out["scope"] = "local";
    out["time"] = event.time_ns / kSecondNs;
    out["timeNano"] = event.time_ns;
    return out;
}

/// Docker says the end of a stop and of a restart as well, and the SIGKILL after a grace period,
/// which is no event of its own here.
std::vector<DockerEvents::Action> DockerEvents::end_of(Run& run, const Json& exited) {
    std::vector<Action> out;
    const bool oom = text_of(exited, "oomKilled") == "true";
    if (oom) out.emplace_back("oom", Json::object());
    if (run.stopping && !run.killed && !oom && text_of(exited, "signal") == "9")
        out.push_back({"kill", {{"signal", "9"}}});
    out.push_back({"die", {{"exitCode", text_of(exited, "exitCode")}}});
    if (run.stopping) out.emplace_back("stop", Json::object());
    run = {.restarting = run.restarting};
    return out;
}

std::vector<DockerEvents::Action> DockerEvents::of_run(const std::string& id,
                                                       const ShownEvent& event) {
    const bool stop = event.name == "ContainerStopRequested";
    Run& run = runs_[id];
    if (event.name == "ContainerExited") return end_of(run, event.payload);
    if (event.name == "ContainerRestartScheduled") return run.waits = true, std::vector<Action>();
    if (event.name == "ContainerStarted") {
        std::vector<Action> out = {{"start", Json::object()}};
        if (run.restarting) out.emplace_back("restart", Json::object());
        run = {};
        return out;
    }
    if (event.name == "ContainerStartRequested") {
        run.restarting = run.restarting || text_of(event.payload, "restart") == "true";
        return {};
    }
    if (stop && run.waits) return run = {}, std::vector<Action>{{"stop", Json::object()}};
    if (stop) run.stopping = true;
    if (stop) run.restarting = text_of(event.payload, "restart") == "true";
    const std::string signal = text_of(event.payload, "signal");
    if (signal == "9") run.killed = true;
    return {{"kill", {{"signal", signal}}}};
}

std::vector<Json> DockerEvents::messages(const ShownEvent& event) {
    learn_from(event);
    const Json& payload = event.payload;
    const std::string id =
        text_of(payload, event.name.starts_with("Exec") ? "containerId" : "id");
    std::vector<Json> out;
    const auto of_container = [&](const std::string& action, Json attributes) {
        out.push_back(message(event, "container", action, id, std::move(attributes)));
    };
    if (is_of_run(event.name)) {
        for (auto& [action, attributes] : of_run(id, event))
            of_container(action, std::move(attributes));
    } else if (event.name == "ExecRequested") {
        const Json attributes = {{"execID", text_of(payload, "execId")}};
        const std::string command = command_of(payload);
        of_container("exec_create: " + command, attributes);
        of_container("exec_start: " + command, attributes);
    } else if (event.name == "ContainerHealthChanged") {
        of_container("health_status: " + text_of(payload, "status"), Json::object());
    } else if (const char* action = action_of(event.name); action != nullptr) {
        Json attributes = Json::object();
        if (event.name == "ExecExited")
            attributes = {{"execID", text_of(payload, "execId")},
                          {"exitCode", text_of(payload, "exitCode")}};
        if (event.name == "ContainerRenamed")
            attributes = {{"oldName", "/" + text_of(payload, "oldName")}};
        if (!event.name.starts_with("Image")) {
            of_container(action, std::move(attributes));
        } else {
            const std::string image = event.name == "ImageImported" ? first_of(payload, "ids") : id;
            const std::string name = event.name == "ImageImported" ? first_of(payload, "names")
                                                                   : text_of(payload, "name");
            out.push_back(message(event, "image", action, image,
                                  {{"name", name.empty() ? image : name}}));
        }
    }
    return out;
}

bool is_action(const Json& message, const std::string& wanted) {
    const std::string action = text_of(message, "Action");
    return action == wanted || action.substr(0, action.find(':')) == wanted;
}

}  // namespace noded::nodectl

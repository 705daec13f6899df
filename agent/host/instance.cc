// What an instance lists, and the check of every call into the host; see instance.h.
#include "agent/host/instance.h"

#include <sys/stat.h>

#include <algorithm>

#include "agent/base/check.h"
#include "agent/host/watch.h"

namespace noded::host {

FileIdentity FileIdentity::of(const std::string& path) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return {};
    return {status.st_dev, status.st_ino,
            int64_t(status.st_ctim.tv_sec) * 1'000'000'000 + status.st_ctim.tv_nsec};
}

bool Instance::requires_extension(const char* id) const {
    return std::find(description.extensions.begin(), description.extensions.end(), id) !=
           description.extensions.end();
}

const char* word_of(Instance::Status status) {
    switch (status) {
        case Instance::Status::loaded: return "loaded";
        case Instance::Status::loading: return "loading";
        case Instance::Status::refused: return "refused";
        case Instance::Status::stopped: return "stopped";
    }
    return "?";
}

static bool lists(const std::vector<NamedType>& types, uint64_t id) {
    return std::any_of(types.begin(), types.end(),
                       [id](const NamedType& type) { return type.id == id; });
}

bool Instance::folds(uint64_t type) const { return lists(description.folds, type); }
bool Instance::owns_event(uint64_t type) const { return lists(description.events, type); }

static const char* phase_name(Phase phase) {
    switch (phase) {
        case Phase::outside: return "outside of any call";
        case Phase::load: return "in [load]";
        case Phase::pure: return "in [pure]";
        case Phase::replay: return "in [replay]";
        case Phase::reactor: return "in [reactor]";
    }
    return "?";
}

static Instance& require_phase(const noded_host* face, const char* call, bool reactor, bool load) {
    Instance& instance = instance_of(face);
    const bool on_thread = pthread_equal(pthread_self(), instance.reactor_thread) != 0;
    const bool allowed = (reactor && instance.phase == Phase::reactor) ||
                         (load && instance.phase == Phase::load);
    if (on_thread && allowed) [[likely]] return instance;
    const std::string sentence = "plugin " + instance.description.id + " called " + call + " " +
                                 (on_thread ? phase_name(instance.phase) : "from another thread") +
                                 ", which the plugin contract forbids";
    CHECK_MSG(false, sentence.c_str());
    __builtin_unreachable();
}

Instance& require(const noded_host* face, const char* call, bool load_too) {
    return require_phase(face, call, true, load_too);
}

Instance& require_load(const noded_host* face, const char* call) {
    return require_phase(face, call, false, true);
}

}  // namespace noded::host

// Anonymous volumes: what the image declares as VOLUME, -v PATH and --mount type=volume. Each is a
// folder in the container's own state folder, bound into it, and goes with it: there are no volumes
// that could outlive their container. A new one begins as a copy of what the image has there, made
// by the helper of files.cc (files/volume.h) before the first start.
#include <signal.h>

#include "plugins/container/effects.h"

namespace noded::container {
namespace {

/// Beside the log.
constexpr const char* kVolumes = "/volumes/";

}  // namespace

std::string Effects::volume_folder(const std::string& id, const std::string& name) const {
    return state_folder(id) + kVolumes + name;
}

/// All that it needs are there.
bool Effects::has_volumes(const Container& container) const {
    for (const Mount& mount : container.spec.options.mounts)
        if (mount.type == "volume" && !sys_->exists(volume_folder(container.id, mount.source)))
            return false;
    return true;
}

/// volumes_filled() goes on with the start.
void Effects::fill_volumes(Live& live, const Container& container) {
    if (live.filling) return;
    // Whoever looks at the files has the lock that filling needs.
    cut_files_off(live.id, false, "was started");
    live.filling = true;
    const auto spawned = spawn_files(job_of(container, files::Verb::fill), live.id, 0, Fd());
    if (spawned) return;
    live.filling = false;
    propose_start_failed(live, 125, "make the volumes: " + spawned.error().message);
}

void Effects::volumes_filled(const FilesWork& work) {
    Live* live = find_live(work.container_id);
    if (live == nullptr) return;
    live->filling = false;
    if (live->start_wanted == 0) return;
    const auto outcome = files::decode_outcome(work.text);
    if (outcome && outcome->error.empty()) return advance(*live);
    propose_start_failed(*live, 125, outcome ? outcome->error : outcome.error().message);
}

/// To the shim they are binds, of files that have the container's ids already.
void Effects::place_volumes(const Container& container, LaunchSpec& spec) const {
    for (LaunchMount& mount : spec.mounts) {
        if (mount.type != "volume") continue;
        mount.type = "bind";
        mount.source = volume_folder(container.id, mount.source);
        if (const size_t at = mount.options.find(",nocopy"); at != std::string::npos)
            mount.options.erase(at, 7);
    }
}

}  // namespace noded::container

// What this plugin knows of images: folded from the storage plugin's events, enough to resolve a
// reference and to take defaults from a config. Pure. Called by fold, decide and snapshots.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/health_check.h"

namespace noded::container {

/// The part of an OCI image config (image-spec config.md) that a container takes over.
struct ImageConfig {
    std::vector<std::string> env;
    std::vector<std::string> command;
    std::vector<std::string> entrypoint;
    std::string working_dir;
    std::string user;
    std::string stop_signal;
    std::vector<std::pair<std::string, std::string>> labels;
    std::vector<std::string> volumes;        ///< paths
    std::vector<std::string> exposed_ports;  ///< "80/tcp"
    HealthCheck health;

    /// Of the wrong type or not there: taken as empty, since storage checked what it imported.
    static ImageConfig parse(const std::string& json);
};

struct Image {
    std::string id;           ///< "sha256:…"
    std::string config_json;  ///< kept whole, so that a snapshot serves later versions too
    ImageConfig config;
    std::vector<std::string> layers;  ///< diff ids, lowest first
};

/// Refuses what can be no reference: docker's words for an upper-case repository name, and for
/// characters that no reference has. What passes may still name nothing.
Status check_image_reference(std::string_view reference);

class Images {
public:
    void add(Image image, const std::vector<std::string>& names);
    /// The name moves there if it pointed elsewhere.
    void tag(const std::string& id, const std::string& name);
    void untag(const std::string& id, const std::string& name);
    void remove(const std::string& id);

    /// By name[:tag], id, or a prefix of an id that fits one image only. nullptr: none; `ambiguous`
    /// then says whether several ids fit.
    const Image* find(std::string_view reference, bool& ambiguous) const;

    const std::map<std::string, Image>& by_id() const { return by_id_; }
    std::vector<std::string> names_of(const std::string& id) const;

private:
    const Image* find_by_prefix(std::string_view hex, bool& ambiguous) const;

    std::map<std::string, Image> by_id_;
    std::map<std::string, std::string> id_by_name_;
};

}  // namespace noded::container

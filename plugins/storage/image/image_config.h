// The OCI image config (image-spec, config.md): what a container of the image runs by default, and
// which layers it stands on. Unknown fields are ignored, known ones must have their type; counts
// and sizes are bounded.
//
// Pure. Called by import and load, by the container plugin's side of `inspect`, and by decide.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace noded::image {

/// The "config" object: defaults of a container.
struct RuntimeConfig {
    std::vector<std::string> env;  ///< "NAME=value"
    std::vector<std::string> cmd;
    std::vector<std::string> entrypoint;
    std::string working_dir;
    std::string user;                        ///< "user", "uid:gid", … as written
    std::vector<std::string> exposed_ports;  ///< "80/tcp", in the order of their names
    std::vector<std::string> volumes;        ///< paths, in the order of their names
    std::map<std::string, std::string> labels;
    std::string stop_signal;  ///< "SIGTERM", "15" or empty
    std::string healthcheck;  ///< its JSON object as text, or empty
    std::vector<std::string> shell;
    std::vector<std::string> on_build;  ///< for the builds that begin with this image
    bool cmd_changed = false;           ///< by a change; no part of the JSON
};

struct HistoryLine {
    std::string created;
    std::string created_by;
    std::string comment;
    bool empty_layer = false;
};

struct ImageConfig {
    std::string architecture;  ///< "amd64"
    std::string os;            ///< "linux"
    std::string created;       ///< RFC 3339 or empty
    std::string author;
    RuntimeConfig config;
    std::vector<std::string> diff_ids;  ///< "sha256:…", lowest layer first
    std::vector<HistoryLine> history;
};

Result<ImageConfig> parse_image_config(std::string_view json);

/// The JSON of `config`. The same value always gives the same bytes, hence the same image id.
std::string image_config_json(const ImageConfig& config);

/// Applies one instruction of `import --change`: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL,
/// ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR, written as in a Dockerfile. An entrypoint
/// takes a command away that was not changed before it, as there.
Status apply_change(RuntimeConfig& config, std::string_view instruction);

}  // namespace noded::image

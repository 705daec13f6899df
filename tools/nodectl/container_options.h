// The options that run and create share, and the ContainerSpec that they make.
#pragma once

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "schemas/container.capnp.h"
#include "tools/nodectl/docker_flags.h"
#include "tools/nodectl/health_options.h"
#include "tools/nodectl/host_options.h"
#include "tools/nodectl/options.h"
#include "tools/nodectl/restart_policy.h"

namespace noded::nodectl {

class Session;

struct ContainerOptions {
    bool auto_remove = false;
    bool interactive = false;
    bool tty = false;
    std::string name;
    std::vector<std::string> env;
    std::vector<std::string> env_files;
    std::string working_dir;
    std::string user;
    std::optional<std::string> entrypoint;
    std::vector<std::string> labels;
    std::string hostname;
    std::string network;
    std::string stop_signal;
    std::optional<int64_t> stop_timeout;
    std::string cid_file;
    std::vector<std::string> label_files;
    std::vector<std::string> attach;  ///< "stdout", in any case; empty: all that there are
    HostOptions host;
    DockerFlags docker;
    RestartText restart;
    HealthOptions health;

    /// The table for parse(), with `more` behind it.
    std::vector<Option> table(std::vector<Option> more);

    /// In the host's network a container has the host's name, unless it is given one of its own. To
    /// be called before fill().
    Status take_host_name(Session& session);

    /// `positional`: the image, then the command.
    Status fill(schema::ContainerSpec::Builder spec, const std::vector<std::string>& positional);

    /// Whether -a names a stream, or leaves all to be attached.
    bool attaches(std::string_view stream) const;

    /// Which streams -a leaves out, as the schema has it.
    uint8_t unattached() const;

    /// Reads what --security-opt names into `host`.
    Status read_profile();
    Status fill_labels(schema::ContainerSpec::Builder spec) const;
    Status check_attach() const;
    /// Before the command is sent, so that no container is made whose id cannot be written. The
    /// file must not exist yet; it goes again if nothing is written.
    Status make_cid_file();
    /// Afterwards.
    void write_cid_file(const std::string& id);

    ContainerOptions() = default;
    ~ContainerOptions();
    ContainerOptions(const ContainerOptions&) = delete;
    ContainerOptions& operator=(const ContainerOptions&) = delete;

private:
    Fd cid_file_made_;
};

/// "K=V" as it is, "K" with its value from nodectl's own environment or not at all; files have one
/// per line.
Result<std::vector<std::string>> collect_env(const std::vector<std::string>& env,
                                             const std::vector<std::string>& env_files);

/// The lines of a text as --env-file reads them: blank lines and those that begin with # are
/// skipped, and a byte order mark.
Result<std::vector<std::string>> parse_env_lines(const std::string& text, const std::string& file);

/// Copies into a list of a message.
void set_texts(capnp::List<capnp::Text>::Builder list, const std::vector<std::string>& texts);

}  // namespace noded::nodectl

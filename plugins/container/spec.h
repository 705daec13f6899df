// Spec: schema::ResolvedSpec as the plugin keeps it, and how a request and an image become one.
//
// Pure. Called by decide (resolve), fold and snapshots (read), calls (write) and the launch
// (read-only use).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"
#include "plugins/container/health_check.h"
#include "plugins/container/image_view.h"
#include "plugins/container/options.h"
#include "plugins/container/restart.h"
#include "plugins/sdk/message.h"
#include "schemas/container.capnp.h"

namespace noded::container {

struct Spec {
    std::string image_id;
    std::string image_name;
    std::vector<std::string> argv;
    std::vector<std::string> env;
    std::string working_dir;
    std::string user;
    std::vector<std::pair<std::string, std::string>> labels;
    std::string hostname;
    bool tty = false;
    bool open_stdin = false;
    bool stdin_once = false;
    uint8_t unattached = 0;  ///< as the schema has it
    bool auto_remove = false;
    std::string network;
    int32_t stop_signal = 15;
    int32_t stop_timeout_seconds = -1;
    std::vector<std::string> layers;  ///< diff ids, lowest first
    uint16_t tty_rows = 0;
    uint16_t tty_columns = 0;
    std::vector<std::string> entrypoint;
    std::vector<std::string> command;
    std::vector<std::string> exposed_ports;  ///< "80/tcp"; shown only, nothing is published
    Options options;
    RestartPolicy restart;
    HealthCheck health;

    static Spec read(schema::ResolvedSpec::Reader reader);
    void write(schema::ResolvedSpec::Builder builder) const;
    /// What a list shows: image, argv, labels, network and mounts.
    void write_summary(schema::ResolvedSpec::Builder builder) const;

private:
    void write_labels(schema::ResolvedSpec::Builder builder) const;
};

/// Joins what was asked for with the image's config, as docker does. The error is a sentence for
/// the user.
Result<Spec> resolve(schema::ContainerSpec::Reader asked, const Image& image, std::string_view id);

/// The env of `base` with that of `more` on top: a later K=V wins and keeps the place of the first,
/// K alone removes.
std::vector<std::string> merge_env(std::vector<std::string> base,
                                   const std::vector<std::string>& more);

/// Refuses lists with too many or too long strings, or with a zero byte in one. `what` begins the
/// sentence.
Status check_strings(const std::vector<std::string>& list, size_t count_max, size_t bytes_max,
                     std::string_view what);
Status check_text(std::string_view text, size_t bytes_max, std::string_view what);
/// The working directory must be absolute, and its text as bounded as any other.
Status check_working_dir(std::string_view path);

using sdk::to_string;
using sdk::to_strings;
using sdk::write_strings;

}  // namespace noded::container

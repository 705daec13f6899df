// The host's side of each ABI extension (plugins/abi/host.h, rpc.h): one table per extension, each
// in its own file.
#pragma once

#include "plugins/abi/host.h"
#include "plugins/abi/rpc.h"

namespace noded::host {

extern const noded_ext_events ext_events;      // ext_events.cc
extern const noded_ext_timer ext_timer;        // ext_timer.cc
extern const noded_ext_fd ext_fd;              // ext_fd.cc
extern const noded_ext_offload ext_offload;    // ext_offload.cc
extern const noded_ext_topic ext_topic;        // ext_topic.cc
extern const noded_ext_log ext_log;            // ext_log.cc
extern const noded_ext_paths ext_paths;        // ext_paths.cc
extern const noded_ext_rpc ext_rpc;            // ext_rpc.cc
extern const noded_ext_settings ext_settings;  // ext_settings.cc

/// This noded has the extension.
bool has_extension(const char* id);

/// noded_host.get_extension: NULL unless the plugin's descriptor requires it.
const void* get_extension(const noded_host* face, const char* id) noexcept;

}  // namespace noded::host

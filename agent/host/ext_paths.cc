// paths: where a plugin keeps files of its own.
#include "agent/host/extensions.h"
#include "agent/host/host.h"

namespace noded::host {

static const char* state_dir(const noded_host* face) noexcept {
    return require(face, "paths.state_dir", true).state_dir.c_str();
}
static const char* runtime_dir(const noded_host* face) noexcept {
    return require(face, "paths.runtime_dir", true).runtime_dir.c_str();
}
static const char* libexec_dir(const noded_host* face) noexcept {
    return require(face, "paths.libexec_dir", true).host->paths().libexec_dir.c_str();
}

const noded_ext_paths ext_paths = {sizeof(noded_ext_paths), state_dir, runtime_dir, libexec_dir};

}  // namespace noded::host

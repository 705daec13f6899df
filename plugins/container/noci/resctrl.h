// Classes of service of Intel's Resource Director Technology: folders of the kernel's resctrl file
// system (the kernel's resctrl.rst), to which a container's processes are assigned. The rules are
// those of config-linux.md, "IntelRdt".
#pragma once

#include <optional>
#include <string>

#include "agent/base/result.h"
#include "plugins/container/noci/config.h"

namespace noded::noci {

/// Where one container is, as its state keeps it.
struct RdtGroup {
    std::string top;      ///< where resctrl is mounted; empty: the container is in no group
    std::string folder;   ///< of the class
    std::string monitor;  ///< of the container's own figures; empty: none
    bool is_own = false;  ///< made for the container, and removed with it
};

/// Empty if resctrl is mounted nowhere.
std::string find_resctrl();
/// Whether this machine has what is asked for.
Status check_rdt(const std::optional<IntelRdtConfig>& asked);

/// The group of a container, nothing of it made yet. `top` is where resctrl is mounted.
RdtGroup rdt_group(const std::string& top, const IntelRdtConfig& asked, const std::string& id);
/// Makes it, or looks whether one that is there says the same, and puts the process into it.
Status make_rdt_group(const RdtGroup& group, const IntelRdtConfig& asked, int pid);
/// Another process of the container.
Status enter_rdt_group(const RdtGroup& group, int pid);
/// Other shares for a container that is there; an empty line stays as it is.
Status change_rdt_group(const RdtGroup& group, const std::string& l3_cache,
                        const std::string& bandwidth);
Status remove_rdt_group(const RdtGroup& group);

}  // namespace noded::noci

// Builds the plan of init/plan.h from a configuration: the block of bytes that the first process
// maps.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "plugins/container/noci/cgroups.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/init/plan.h"

namespace noded::noci {

class PlanBuilder {
public:
    PlanBuilder() : bytes_(sizeof(Plan)) {}

    /// 0 for an empty one.
    TextAt text(const std::string& text);
    TextAt text_even_empty(const std::string& text);
    template <typename T>
    ListAt list(const std::vector<T>& items) {
        const auto* start = reinterpret_cast<const uint8_t*>(items.data());
        bytes_.resize(round_up(bytes_.size(), 8));
        const ListAt at = {uint32_t(bytes_.size()), uint32_t(items.size())};
        bytes_.insert(bytes_.end(), start, start + items.size() * sizeof(T));
        return at;
    }
    ListAt texts(const std::vector<std::string>& texts);
    /// `environment` is that of a hook that says nothing of its own.
    ListAt hooks(const std::vector<HookConfig>& hooks, const std::vector<std::string>& environment);

    Plan plan{};
    Result<Buffer> finish();

private:
    Buffer bytes_;
};

/// The steps of the configuration's mounts, in its order, and of devices that cannot be made but
/// only bound. `cgroups` are what a mount of type cgroup shows.
Status add_mounts(const Config& config, const std::string& bundle, const Cgroups& cgroups,
                  PlanBuilder& to);
/// "0 1000 1\n" lines as the kernel takes them.
std::string map_text(const std::vector<IdMap>& maps);
/// Names of all mount options, sorted.
std::vector<std::string> mount_options_known();

}  // namespace noded::noci

// The stats plugin decides no commands: it changes nothing, it looks. See state.h.
#include "plugins/stats/state.h"

namespace noded::stats {

void decide(const State&, const noded_command&, sdk::Decision& out) {
    out.reject(NODED_REJECT_INVALID, "the stats plugin takes no commands");
}

}  // namespace noded::stats

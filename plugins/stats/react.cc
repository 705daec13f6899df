// Durable events into effects: none. The next sample asks the state who runs.
#include "plugins/stats/plugin.h"

namespace noded::stats {

void StatsPlugin::react(const noded_event&) {}

}  // namespace noded::stats

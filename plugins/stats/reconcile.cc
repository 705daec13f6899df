// After a start there is nothing to compare with the kernel: a container that ended while noded was
// away is told by the plugin container, and until then its files are not there to be read.
#include "plugins/stats/plugin.h"

namespace noded::stats {

void StatsPlugin::reconcile() {}

}  // namespace noded::stats

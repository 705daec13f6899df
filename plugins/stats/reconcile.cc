// After a start there is nothing to compare with the kernel: a container that ended while noded was
// away is told by the plugin container, and until then its files are not there to be read. Only
// those who subscribed are looked for, and those that run are counted for again. Also when none
// runs: the eBPF programs are loaded now, so that the first container is counted for from its first
// moment.
#include "plugins/stats/plugin.h"

namespace noded::stats {

void StatsPlugin::reconcile() {
    sampler_.watch_topics();
    sampler_.look_at_containers();
}

}  // namespace noded::stats

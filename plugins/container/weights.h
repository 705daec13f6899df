// Shares and weights of v1 as the weights of v2. Used by the plugin and by noci.
#pragma once

#include <cstdint>

namespace noded::container {

/// v1's cpu.shares, 2 to 262144, as v2's cpu.weight, 1 to 10000, the way newer runtimes do it: a
/// curve on which both defaults lie, 1024 and 100, so that a container with the default gets
/// neither more nor less than its neighbour without one.
uint64_t weight_of_shares(uint64_t shares);
/// v1's blkio.weight, 10 to 1000, as v2's io.weight, 1 to 10000.
uint64_t weight_of_block(uint64_t weight);

}  // namespace noded::container

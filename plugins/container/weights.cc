// See weights.h.
#include "plugins/container/weights.h"

#include <algorithm>
#include <cmath>

namespace noded::container {

uint64_t weight_of_shares(uint64_t shares) {
    if (shares <= 2) return 1;
    if (shares >= 262144) return 10000;
    const double bits = std::log2(double(shares));
    const double exponent = (bits * bits + 125 * bits) / 612 - 7.0 / 34;
    constexpr double rounding = 1e-9;  // 100 is not to become 101
    return uint64_t(std::ceil(std::pow(10, exponent) - rounding));
}

uint64_t weight_of_block(uint64_t weight) {
    return 1 + (std::clamp<uint64_t>(weight, 10, 1000) - 10) * 9999 / 990;
}

}  // namespace noded::container

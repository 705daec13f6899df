// CRC-32C (Castagnoli, RFC 3720 appendix B.4), the checksum of everything that noded writes.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"

namespace noded {

/// Checksum of `data` after `seed`, which is 0 or the checksum of what came before.
uint32_t crc32c(Bytes data, uint32_t seed = 0);

}  // namespace noded

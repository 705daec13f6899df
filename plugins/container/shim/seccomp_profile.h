// The default seccomp filter of a container: docker's allow-list, compiled to the bytes that a
// launch spec carries. noded makes that of the default capabilities once and keeps the bytes.
#pragma once

#include <cstdint>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded {

/// A list of sock_filter for this machine's architectures. `capabilities` (bit n is capability n)
/// unlock what needs them: a container with CAP_SYS_ADMIN may mount. Everything not listed answers
/// EPERM; clone3 answers ENOSYS, so that libraries fall back to clone, whose flags can be looked
/// at; system calls newer than the list answer ENOSYS, so that libraries fall back to older ones.
Result<Buffer> seccomp_default_bpf(uint64_t capabilities);

}  // namespace noded

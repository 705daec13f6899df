// What a failed CHECK says before it ends the process; see check.h.
#include "agent/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace noded {

void check_failed(const char* file, int line, const char* condition, const char* message) noexcept {
    fprintf(stderr, "%s:%d: check failed: %s%s%s\n", file, line, condition,
            *message != '\0' ? ": " : "", message);
    abort();
}

}  // namespace noded

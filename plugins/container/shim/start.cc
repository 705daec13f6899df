// Where the shim begins. Nothing else here: the kernel has already zeroed and mapped all that this
// program needs.
#include "plugins/container/shim/sys.h"

namespace noded::shim {

int shim_main();

}  // namespace noded::shim

extern "C" {

[[noreturn]] __attribute__((used)) void shim_start() {
    noded::shim::exit_group(noded::shim::shim_main());
}

// The kernel enters with an aligned stack; a called function expects it off by one return address.
asm(".globl _start\n"
    "_start:\n"
    "    xor %ebp, %ebp\n"
    "    and $-16, %rsp\n"
    "    call shim_start\n");

}  // extern "C"

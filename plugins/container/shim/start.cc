// Where the shim begins. Nothing else here: the kernel has already zeroed and mapped all that this
// program needs.
#include "plugins/container/shim/sys.h"

namespace noded::shim {

int shim_main(int argc, const char* const* argv);

}  // namespace noded::shim

extern "C" {

/// `stack` is what execve(2) leaves: the count of arguments, the arguments, nullptr.
[[noreturn]] __attribute__((used)) void shim_start(const long* stack) {
    const auto argv = reinterpret_cast<const char* const*>(stack + 1);
    noded::shim::exit_group(noded::shim::shim_main(static_cast<int>(stack[0]), argv));
}

// The kernel enters with an aligned stack; a called function expects it off by one return address.
asm(".globl _start\n"
    "_start:\n"
    "    xor %ebp, %ebp\n"
    "    mov %rsp, %rdi\n"
    "    and $-16, %rsp\n"
    "    call shim_start\n");

}  // extern "C"

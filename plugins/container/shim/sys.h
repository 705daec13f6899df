// System calls without a C library. A shim is spawned for every container, so it carries nothing
// that it does not use: no libc, no start-up work, a few dozen pages in all. Every call returns the
// kernel's answer, a negative errno on failure.
#pragma once

#include <errno.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <string_view>
#include <type_traits>

#ifndef __x86_64__
#error "sys.h, start.cc and init.cc know the system call convention of x86-64 only"
#endif

namespace noded::shim {

template <typename T>
inline long machine_word(T value) {
    if constexpr (std::is_same_v<T, std::nullptr_t>) return 0;
    else if constexpr (std::is_pointer_v<T>) return reinterpret_cast<long>(value);
    else return static_cast<long>(value);
}

inline long sys6(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

/// sys(SYS_close, fd). Arguments may be integers, pointers or nullptr.
template <typename A = long, typename B = long, typename C = long, typename D = long,
          typename E = long, typename F = long>
inline long sys(long number, A a = {}, B b = {}, C c = {}, D d = {}, E e = {}, F f = {}) {
    return sys6(number, machine_word(a), machine_word(b), machine_word(c), machine_word(d),
                machine_word(e), machine_word(f));
}

/// clone3 into a child that runs `run(argument)` on its own stack in the same memory and never
/// returns.
inline long clone_sharing_memory(const clone_args& arguments, void (*run)(void*), void* argument) {
    long result;
    register void* kept asm("r12") = argument;
    asm volatile(
        "syscall\n\t"
        "test %%rax, %%rax\n\t"
        "jnz 1f\n\t"
        "xor %%ebp, %%ebp\n\t"
        "mov %%r12, %%rdi\n\t"
        "call *%%rbx\n\t"
        "hlt\n"
        "1:"
        : "=a"(result)
        : "a"(SYS_clone3), "D"(&arguments), "S"(sizeof arguments), "b"(run), "r"(kept)
        : "rcx", "r11", "memory");
    return result;
}

/// openat2: a file descriptor or a negative errno. Where a ".." is resolved inside a root, the
/// kernel gives up with EAGAIN as soon as anything on the machine was renamed or mounted meanwhile;
/// it is for the caller to try again. Whoever renames for ever gets EAGAIN in the end.
inline int open_path(int directory, const char* path, const open_how& how) {
    constexpr int tries_max = 1000;
    long fd = -EAGAIN;
    for (int i = 0; i < tries_max && fd == -EAGAIN; ++i)
        fd = sys(SYS_openat2, directory, path, &how, sizeof how);
    return static_cast<int>(fd);
}

inline long close_fd(int& fd) {
    const long result = fd >= 0 ? sys(SYS_close, fd) : 0;
    fd = -1;
    return result;
}

[[noreturn]] inline void exit_group(int code) {
    for (;;) sys(SYS_exit_group, code);
}

uint64_t wall_clock_ns();

/// "ENOENT" for -ENOENT or ENOENT; "an unusual error" for one that is not expected anywhere.
std::string_view error_name(long error);
/// "no such file or directory" for -ENOENT; the name where users rarely see it.
std::string_view error_words(long error);

}  // namespace noded::shim

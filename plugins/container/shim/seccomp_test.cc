// The default filter, run by a small interpreter of what the kernel runs: what it answers is a
// table of facts, whatever the program looks like.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "plugins/container/shim/seccomp_profile.h"
#include "plugins/container/shim/seccomp_program.h"

namespace noded {
namespace {

constexpr uint64_t default_capabilities = 0xa80425fb;
constexpr uint32_t refused = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t unknown = SECCOMP_RET_ERRNO | ENOSYS;

bool holds(const sock_filter& at, uint32_t value) {
    switch (BPF_OP(at.code)) {
        case BPF_JEQ: return value == at.k;
        case BPF_JGE: return value >= at.k;
        case BPF_JGT: return value > at.k;
        case BPF_JSET: return (value & at.k) != 0;
        default: ADD_FAILURE() << "an instruction that a filter does not have"; return false;
    }
}

/// What the filter answers; -1 if it runs past its end.
uint32_t answer(const Buffer& filter, const seccomp_data& data) {
    const auto* program = reinterpret_cast<const sock_filter*>(filter.data());
    const size_t count = filter.size() / sizeof(sock_filter);
    uint32_t value = 0;
    for (size_t at = 0; at < count; ++at) {
        const sock_filter& step = program[at];
        if (BPF_CLASS(step.code) == BPF_RET) return step.k;
        if (BPF_CLASS(step.code) == BPF_LD)
            memcpy(&value, reinterpret_cast<const char*>(&data) + step.k, sizeof value);
        else if (BPF_CLASS(step.code) == BPF_ALU) value &= step.k;
        else if (BPF_OP(step.code) == BPF_JA) at += step.k;
        else at += holds(step, value) ? step.jt : step.jf;
    }
    return ~0u;
}

class SeccompFilter : public testing::Test {
protected:
    uint32_t ask(uint32_t architecture, uint32_t number, uint64_t argument = 0) const {
        seccomp_data data = {};
        data.nr = int(number);
        data.arch = architecture;
        data.args[0] = argument;
        return answer(filter_, data);
    }
    uint32_t native(const char* name, uint64_t argument = 0) const {
        return ask(AUDIT_ARCH_X86_64, uint32_t(seccomp_syscall_resolve_name(name)), argument);
    }
    static Buffer filter_for(uint64_t capabilities) {
        auto made = seccomp_default_bpf(capabilities);
        EXPECT_TRUE(made.has_value());
        return made ? std::move(*made) : Buffer();
    }

    Buffer filter_ = filter_for(default_capabilities);
};

TEST_F(SeccompFilter, is_short_because_every_start_loads_it) {
    EXPECT_LT(filter_.size() / sizeof(sock_filter), 250u) << "libseccomp makes 865";
}

TEST_F(SeccompFilter, allows_what_programs_need_and_refuses_the_rest) {
    for (const char* name : {"read", "execve", "openat2", "ptrace", "io_setup", "utimensat"})
        EXPECT_EQ(native(name), SECCOMP_RET_ALLOW) << name;
    for (const char* name : {"mount", "setns", "bpf", "kexec_load", "io_uring_setup", "reboot",
                             "keyctl", "userfaultfd", "swapon", "add_key", "open_by_handle_at"})
        EXPECT_EQ(native(name), refused) << name;
}

TEST_F(SeccompFilter, looks_at_the_first_argument_of_three_calls) {
    EXPECT_EQ(native("clone", 0x01200011), SECCOMP_RET_ALLOW);
    EXPECT_EQ(native("clone", 0x10000000), refused) << "a user namespace";
    EXPECT_EQ(native("clone3"), unknown);
    EXPECT_EQ(native("socket", 2), SECCOMP_RET_ALLOW);
    EXPECT_EQ(native("socket", 39), SECCOMP_RET_ALLOW);
    for (uint64_t family : {38ul, 40ul, 0x100000026ul})
        EXPECT_EQ(native("socket", family), refused) << family;
    EXPECT_EQ(native("personality", 0x20008), SECCOMP_RET_ALLOW);
    EXPECT_EQ(native("personality", 0x40000), refused);
}

TEST_F(SeccompFilter, tells_libraries_what_it_does_not_know_yet) {
    EXPECT_EQ(ask(AUDIT_ARCH_X86_64, 452), SECCOMP_RET_ALLOW) << "fchmodat2";
    EXPECT_EQ(ask(AUDIT_ARCH_X86_64, 460), unknown) << "lsm_set_self_attr";
    EXPECT_EQ(ask(AUDIT_ARCH_X86_64, 462), SECCOMP_RET_ALLOW) << "mseal";
    EXPECT_EQ(ask(AUDIT_ARCH_X86_64, 467), unknown);
    EXPECT_EQ(ask(AUDIT_ARCH_X86_64, 0x40000000), unknown) << "x32";
    EXPECT_EQ(ask(AUDIT_ARCH_AARCH64, 0), unknown);
}

TEST_F(SeccompFilter, serves_32_bit_programs) {
    EXPECT_EQ(ask(AUDIT_ARCH_I386, 3), SECCOMP_RET_ALLOW) << "read";
    EXPECT_EQ(ask(AUDIT_ARCH_I386, 102), SECCOMP_RET_ALLOW) << "socketcall";
    EXPECT_EQ(ask(AUDIT_ARCH_I386, 359, 38), refused) << "socket";
    EXPECT_EQ(ask(AUDIT_ARCH_I386, 362), SECCOMP_RET_ALLOW) << "connect";
    EXPECT_EQ(ask(AUDIT_ARCH_I386, 21), refused) << "mount";
    EXPECT_EQ(ask(AUDIT_ARCH_I386, 120, 0x10000000), refused) << "clone";
}

TEST_F(SeccompFilter, opens_with_capabilities) {
    filter_ = filter_for(default_capabilities | uint64_t{1} << CAP_SYS_ADMIN);
    for (const char* name : {"mount", "clone3", "setns"})
        EXPECT_EQ(native(name), SECCOMP_RET_ALLOW) << name;
    EXPECT_EQ(native("clone", 0x10000000), SECCOMP_RET_ALLOW);
    EXPECT_EQ(native("reboot"), refused);
}

TEST(SeccompProgram, answers_as_its_tables_do_however_long_the_jumps) {
    SeccompTable table;
    table.architecture = AUDIT_ARCH_X86_64;
    for (uint32_t number = 0; number < 900; number += 3)
        table.set(number, number + 1 + number % 2,
                  {SeccompAnswer::Kind::always, number % 5 + 1, 0, {}});
    const auto made = seccomp_program({table}, 77);
    ASSERT_TRUE(made.has_value());
    for (uint32_t number = 0; number < 910; ++number) {
        seccomp_data data = {};
        data.nr = int(number);
        data.arch = AUDIT_ARCH_X86_64;
        ASSERT_EQ(answer(*made, data), table.at(number).action) << number;
    }
}

}  // namespace
}  // namespace noded

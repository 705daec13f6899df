// The program behind a list of devices, interpreted here, and its rules as text.
#include "plugins/container/device_program.h"

#include <gtest/gtest.h>

namespace noded {
namespace {

constexpr uint32_t kRead = BPF_DEVCG_ACC_READ;
constexpr uint32_t kWrite = BPF_DEVCG_ACC_WRITE;
constexpr uint32_t kMake = BPF_DEVCG_ACC_MKNOD;

/// What the kernel would answer; the few instructions that such a program has.
bool allows(const std::vector<bpf_insn>& program, uint32_t type, uint32_t rights, uint32_t major,
            uint32_t minor) {
    const uint32_t context[3] = {rights << 16 | type, major, minor};
    uint64_t registers[11] = {};
    for (size_t at = 0; at < program.size(); ++at) {
        const bpf_insn& now = program[at];
        uint64_t& to = registers[now.dst_reg];
        switch (now.code) {
            case BPF_LDX | BPF_W | BPF_MEM: to = context[now.off / 4]; break;
            case BPF_ALU64 | BPF_MOV | BPF_K: to = uint64_t(int64_t(now.imm)); break;
            case BPF_ALU | BPF_MOV | BPF_X: to = uint32_t(registers[now.src_reg]); break;
            case BPF_ALU | BPF_AND | BPF_K: to = uint32_t(to) & uint32_t(now.imm); break;
            case BPF_ALU | BPF_RSH | BPF_K: to = uint32_t(to) >> now.imm; break;
            case BPF_JMP32 | BPF_JNE | BPF_K:
                if (uint32_t(to) != uint32_t(now.imm)) at += size_t(now.off);
                break;
            case BPF_JMP32 | BPF_JEQ | BPF_K:
                if (uint32_t(to) == uint32_t(now.imm)) at += size_t(now.off);
                break;
            case BPF_JMP | BPF_EXIT: return registers[0] != 0;
            default: ADD_FAILURE() << "unknown instruction " << int(now.code); return false;
        }
    }
    ADD_FAILURE() << "the program runs off its end";
    return false;
}

/// "-" before a rule takes back.
std::vector<bpf_insn> program_of(const std::vector<std::string>& texts) {
    std::vector<DeviceRule> rules;
    for (const std::string& text : texts) {
        const bool allow = text[0] != '-';
        rules.push_back(*parse_device_rule(text.substr(allow ? 0 : 1)));
        rules.back().allow = allow;
    }
    return device_program(rules);
}

TEST(DeviceRule, is_read_as_devices_allow_writes_it) {
    EXPECT_EQ(parse_device_rule("c 13:* rwm"),
              (DeviceRule{'c', 13, std::nullopt, kRead | kWrite | kMake}));
    EXPECT_EQ(parse_device_rule("b *:7 r"), (DeviceRule{'b', std::nullopt, 7, kRead}));
    EXPECT_EQ(parse_device_rule("a")->rights, kRead | kWrite | kMake);
    for (const char* text : {"", "x 1:3 r", "c 1:3", "c 1:3 ", "c 1 r", "c 1:3 rx", "c :3 r",
                             "c 1: r", "c -1:3 r", "c 1:3:4 r", "c 99999999999:1 r"})
        EXPECT_FALSE(parse_device_rule(text)) << text;
}

TEST(DeviceProgram, allows_what_one_rule_allows_and_nothing_else) {
    const auto program = program_of({"c *:* m", "c 1:3 rwm", "b 8:* r"});
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_CHAR, kRead | kWrite, 1, 3));
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_CHAR, kMake, 200, 9));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_CHAR, kRead, 200, 9));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_CHAR, kRead, 1, 4));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_BLOCK, kRead, 1, 3));
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_BLOCK, kRead, 8, 17));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_BLOCK, kRead | kWrite, 8, 17));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_BLOCK, kMake, 8, 17));
}

TEST(DeviceProgram, rights_of_rules_about_the_same_device_add_up) {
    const auto program = program_of({"c 5:1 r", "c 5:1 w"});
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_CHAR, kRead | kWrite, 5, 1));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_CHAR, kMake, 5, 1));
}

TEST(DeviceProgram, of_no_rule_allows_nothing_and_of_a_rule_for_all_everything) {
    EXPECT_FALSE(allows(device_program({}), BPF_DEVCG_DEV_CHAR, kRead, 1, 3));
    const auto all = program_of({"c 1:3 r", "a", "b 8:0 r"});
    EXPECT_TRUE(allows(all, BPF_DEVCG_DEV_BLOCK, kRead | kWrite | kMake, 259, 1));
    EXPECT_EQ(all.back().code, BPF_JMP | BPF_EXIT);
}

TEST(DeviceProgram, a_later_rule_takes_back_what_it_speaks_of_and_no_more) {
    const auto program = program_of({"a", "-c 1:* w", "c 1:3 w", "-b 8:0 rwm"});
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_CHAR, kRead | kWrite, 1, 3));
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_CHAR, kRead | kMake, 1, 5));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_CHAR, kRead | kWrite, 1, 5));
    EXPECT_FALSE(allows(program, BPF_DEVCG_DEV_BLOCK, kRead, 8, 0));
    EXPECT_TRUE(allows(program, BPF_DEVCG_DEV_BLOCK, kRead, 8, 1));
    const auto none = program_of({"c 1:3 rwm", "-a", "c 1:5 r"});
    EXPECT_FALSE(allows(none, BPF_DEVCG_DEV_CHAR, kRead, 1, 3));
    EXPECT_TRUE(allows(none, BPF_DEVCG_DEV_CHAR, kRead, 1, 5));
}

}  // namespace
}  // namespace noded

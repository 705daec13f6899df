// See device_program.h.
#include "plugins/container/device_program.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include "agent/base/fd.h"
#include "agent/base/number.h"

namespace noded {
namespace {

constexpr uint32_t kAllRights = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

/// Registers: 1 the context, 2 the type, 3 the rights of which nothing is decided yet, 4 major,
/// 5 minor, 0 the answer.
constexpr bpf_insn load_word(uint8_t to, int16_t offset) {
    return {BPF_LDX | BPF_W | BPF_MEM, to, BPF_REG_1, offset, 0};
}
constexpr bpf_insn set(uint8_t to, int32_t value) {
    return {BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value};
}
constexpr bpf_insn copy(uint8_t to, uint8_t from) {
    return {BPF_ALU | BPF_MOV | BPF_X, to, from, 0, 0};
}
constexpr bpf_insn mask(uint8_t to, int32_t bits) {
    return {BPF_ALU | BPF_AND | BPF_K, to, 0, 0, bits};
}
constexpr bpf_insn shift_right(uint8_t to, int32_t bits) {
    return {BPF_ALU | BPF_RSH | BPF_K, to, 0, 0, bits};
}
/// The distances are set when the end of the rule is known.
constexpr bpf_insn jump_unless(uint8_t left, uint32_t value) {
    return {BPF_JMP32 | BPF_JNE | BPF_K, left, 0, 0, int32_t(value)};
}
constexpr bpf_insn jump_if(uint8_t left, uint32_t value) {
    return {BPF_JMP32 | BPF_JEQ | BPF_K, left, 0, 0, int32_t(value)};
}
constexpr bpf_insn leave() { return {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}; }

bool decides_all(const DeviceRule& rule) {
    return rule.type == 'a' && !rule.major && !rule.minor && rule.rights == kAllRights;
}

/// Answers if nothing is left to decide, or goes on to what comes behind it.
void add_rule(std::vector<bpf_insn>& program, const DeviceRule& rule) {
    const size_t begin = program.size();
    if (rule.type != 'a')
        program.push_back(jump_unless(
            BPF_REG_2, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR));
    if (rule.major) program.push_back(jump_unless(BPF_REG_4, *rule.major));
    if (rule.minor) program.push_back(jump_unless(BPF_REG_5, *rule.minor));
    if (rule.rights != kAllRights && rule.allow) {
        program.push_back(mask(BPF_REG_3, int32_t(kAllRights & ~rule.rights)));
        program.push_back(jump_unless(BPF_REG_3, 0));
    } else if (rule.rights != kAllRights) {
        program.push_back(copy(BPF_REG_0, BPF_REG_3));
        program.push_back(mask(BPF_REG_0, int32_t(rule.rights)));
        program.push_back(jump_if(BPF_REG_0, 0));
    }
    program.push_back(set(BPF_REG_0, rule.allow ? 1 : 0));
    program.push_back(leave());
    for (size_t i = begin; i < program.size(); ++i)
        if (BPF_CLASS(program[i].code) == BPF_JMP32)
            program[i].off = int16_t(program.size() - i - 1);
}

bool number_or_any(std::string_view text, std::optional<uint32_t>& out) {
    return text == "*" || to_number(text, out.emplace());
}

long bpf(bpf_cmd command, bpf_attr& attributes) {
    return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

}  // namespace

std::optional<DeviceRule> parse_device_rule(std::string_view text) {
    DeviceRule rule;
    if (text == "a") {
        rule.rights = kAllRights;
        return rule;
    }
    const size_t colon = text.find(':');
    const size_t space = text.rfind(' ');
    if (text.size() < 7 || text[1] != ' ' || colon == std::string_view::npos ||
        space == std::string_view::npos || space < colon || colon < 3)
        return std::nullopt;
    rule.type = text[0];
    if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c') return std::nullopt;
    if (!number_or_any(text.substr(2, colon - 2), rule.major) ||
        !number_or_any(text.substr(colon + 1, space - colon - 1), rule.minor))
        return std::nullopt;
    for (const char right : text.substr(space + 1)) {
        if (right == 'r') rule.rights |= BPF_DEVCG_ACC_READ;
        else if (right == 'w') rule.rights |= BPF_DEVCG_ACC_WRITE;
        else if (right == 'm') rule.rights |= BPF_DEVCG_ACC_MKNOD;
        else return std::nullopt;
    }
    if (rule.rights == 0) return std::nullopt;
    return rule;
}

std::vector<bpf_insn> device_program(const std::vector<DeviceRule>& rules) {
    std::vector<bpf_insn> program = {
        load_word(BPF_REG_2, offsetof(bpf_cgroup_dev_ctx, access_type)),
        copy(BPF_REG_3, BPF_REG_2),
        mask(BPF_REG_2, 0xffff),
        shift_right(BPF_REG_3, 16),
        load_word(BPF_REG_4, offsetof(bpf_cgroup_dev_ctx, major)),
        load_word(BPF_REG_5, offsetof(bpf_cgroup_dev_ctx, minor)),
    };
    for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        add_rule(program, *rule);
        // Behind it nothing is reached, which the kernel refuses.
        if (decides_all(*rule)) return program;
    }
    program.push_back(set(BPF_REG_0, 0));
    program.push_back(leave());
    return program;
}

Status attach_device_program(const std::string& folder, const std::vector<DeviceRule>& rules,
                             DeviceAttach how) {
    const Fd group(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!group.valid()) return fail_errno(errno, "open the cgroup " + folder);
    const std::vector<bpf_insn> program = device_program(rules);
    static constexpr char kLicense[] = "GPL";
    bpf_attr load = {};
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.insns = reinterpret_cast<uint64_t>(program.data());
    load.insn_cnt = uint32_t(program.size());
    load.license = reinterpret_cast<uint64_t>(kLicense);
    const Fd loaded(int(bpf(BPF_PROG_LOAD, load)));
    if (!loaded.valid()) return fail_errno(errno, "load the list of devices for " + folder);
    bpf_attr attach = {};
    attach.target_fd = uint32_t(group.get());
    attach.attach_bpf_fd = uint32_t(loaded.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = uint32_t(how);
    if (bpf(BPF_PROG_ATTACH, attach) != 0)
        return fail_errno(errno, "attach the list of devices to " + folder);
    return {};
}

}  // namespace noded

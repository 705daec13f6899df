// See device_program.h. The context is struct bpf_cgroup_dev_ctx; 1 lets the access through.
#include "plugins/container/noci/device_program.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>

#include "agent/base/fd.h"

namespace noded::noci {
namespace {

// Registers: what is asked for.
enum : uint8_t { answer = 0, context = 1, access = 2, kind = 3, major = 4, minor = 5, scratch = 6 };

bpf_insn instruction(uint8_t code, uint8_t to, uint8_t from, int16_t offset, int32_t value) {
    bpf_insn out{};
    out.code = code;
    out.dst_reg = to & 0xf;
    out.src_reg = from & 0xf;
    out.off = offset;
    out.imm = value;
    return out;
}

bpf_insn load(uint8_t to, int16_t offset) {
    return instruction(BPF_LDX | BPF_MEM | BPF_W, to, context, offset, 0);
}
bpf_insn compute(uint8_t operation, uint8_t to, int32_t value) {
    return instruction(uint8_t(BPF_ALU | operation | BPF_K), to, 0, 0, value);
}
bpf_insn jump_unless_equal(uint8_t left, int32_t value) {
    return instruction(BPF_JMP | BPF_JNE | BPF_K, left, 0, 0, value);
}
bpf_insn leave() { return instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0); }

/// One rule: an answer if it speaks of this access, otherwise on to what comes behind it.
void add_rule(const DeviceRule& rule, std::vector<bpf_insn>& program) {
    std::istringstream in(rule.text);
    std::string type, numbers, rights;
    in >> type >> numbers >> rights;
    std::vector<bpf_insn> out;
    if (type != "a") {
        int bits = 0;
        for (const char right : rights)
            bits |= right == 'm' ? BPF_DEVCG_ACC_MKNOD
                                 : right == 'r' ? BPF_DEVCG_ACC_READ : BPF_DEVCG_ACC_WRITE;
        out.push_back(
            jump_unless_equal(kind, type == "c" ? BPF_DEVCG_DEV_CHAR : BPF_DEVCG_DEV_BLOCK));
        if (bits != 7) {
            out.push_back(instruction(BPF_ALU | BPF_MOV | BPF_X, scratch, access, 0, 0));
            // Allowed is what asks for nothing else; denied what asks for any of it.
            out.push_back(compute(BPF_AND, scratch, rule.allow ? 7 & ~bits : bits));
            out.push_back(instruction(
                uint8_t(BPF_JMP | (rule.allow ? BPF_JNE : BPF_JEQ) | BPF_K), scratch, 0, 0, 0));
        }
        const size_t colon = numbers.find(':');
        const std::string parts[] = {numbers.substr(0, colon), numbers.substr(colon + 1)};
        for (const uint8_t part : {0, 1})
            if (parts[part] != "*")
                out.push_back(jump_unless_equal(
                    part == 0 ? major : minor, int32_t(strtoul(parts[part].c_str(), nullptr, 10))));
    }
    out.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, answer, 0, 0, rule.allow ? 1 : 0));
    out.push_back(leave());
    for (size_t i = 0; i < out.size(); ++i)
        if (BPF_CLASS(out[i].code) == BPF_JMP && BPF_OP(out[i].code) != BPF_EXIT)
            out[i].off = int16_t(out.size() - i - 1);
    program.insert(program.end(), out.begin(), out.end());
}

std::vector<bpf_insn> make_program(const std::vector<DeviceRule>& rules) {
    std::vector<bpf_insn> program = {load(access, 0), load(major, 4), load(minor, 8),
                                     instruction(BPF_ALU | BPF_MOV | BPF_X, kind, access, 0, 0),
                                     compute(BPF_AND, kind, 0xffff), compute(BPF_RSH, access, 16)};
    for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
        add_rule(*rule, program);
        // What cannot be reached is refused by the kernel.
        if (rule->text == "a") return program;
    }
    program.push_back(instruction(BPF_ALU64 | BPF_MOV | BPF_K, answer, 0, 0, 0));
    program.push_back(leave());
    return program;
}

}  // namespace

Status attach_device_program(const std::string& cgroup_folder,
                             const std::vector<DeviceRule>& rules) {
    const std::vector<bpf_insn> program = make_program(rules);
    constexpr char license[] = "Dual BSD/GPL";
    bpf_attr load_attributes{};
    load_attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load_attributes.insn_cnt = uint32_t(program.size());
    load_attributes.insns = reinterpret_cast<uint64_t>(program.data());
    load_attributes.license = reinterpret_cast<uint64_t>(license);
    const Fd loaded(int(syscall(SYS_bpf, BPF_PROG_LOAD, &load_attributes, sizeof load_attributes)));
    if (!loaded.valid()) return fail_errno(errno, "load the device program of " + cgroup_folder);
    const Fd folder(open(cgroup_folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) return fail_errno(errno, "open " + cgroup_folder);
    bpf_attr attach{};
    attach.target_fd = uint32_t(folder.get());
    attach.attach_bpf_fd = uint32_t(loaded.get());
    attach.attach_type = BPF_CGROUP_DEVICE;
    attach.attach_flags = BPF_F_ALLOW_MULTI;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach) != 0)
        return fail_errno(errno, "attach the device program to " + cgroup_folder);
    return {};
}

}  // namespace noded::noci

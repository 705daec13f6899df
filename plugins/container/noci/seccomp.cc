// See seccomp.h.
#include "plugins/container/noci/seccomp.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include <algorithm>
#include <cstddef>

#include "plugins/container/noci/config.h"
#include "plugins/container/noci/sockets.h"
#include "plugins/container/shim/seccomp_json.h"

namespace noded::noci {
namespace {

struct Flag {
    const char* name;
    uint32_t bit;
};
constexpr Flag kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},  // there is one thread
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1u << 5}};

std::optional<uint32_t> bit_of(const std::string& name) { return capability_number(name); }

bool notifies(const SeccompProfile& profile) {
    return std::ranges::any_of(profile.rules, [](const SeccompRule& rule) {
        return rule.action == SCMP_ACT_NOTIFY;
    });
}

/// Whatever its arguments are.
bool allows(const SeccompProfile& profile, const char* call) {
    const auto lets_through = [](uint32_t action) {
        return action == SCMP_ACT_ALLOW || action == SCMP_ACT_LOG;
    };
    bool named = false;
    for (const SeccompRule& rule : profile.rules) {
        if (std::ranges::count(rule.names, call) == 0) continue;
        const bool always =
            rule.arguments.empty() && rule.includes.empty() && rule.excludes.empty();
        if (!always || !lets_through(rule.action)) return false;
        named = true;
    }
    return named || lets_through(profile.default_action);
}

/// In this order: the first needs nothing besides memory.
FilteredWait wait_of(const SeccompProfile& profile) {
    if (allows(profile, "futex")) return FilteredWait::futex;
    return allows(profile, "read") ? FilteredWait::read : FilteredWait::none;
}

/// System calls of whoever hands the descriptor over cannot wait for it themselves.
Status check_notify(const SeccompProfile& profile, bool has_listener) {
    if (profile.default_action == SCMP_ACT_NOTIFY)
        return fail("SCMP_ACT_NOTIFY cannot be used as default action");
    for (const SeccompRule& rule : profile.rules) {
        if (rule.action != SCMP_ACT_NOTIFY) continue;
        if (!has_listener)
            return fail("seccomp: SCMP_ACT_NOTIFY needs linux.seccomp.listenerPath");
        if (std::ranges::count(rule.names, "write") > 0)
            return fail("SCMP_ACT_NOTIFY cannot be used for the write syscall");
    }
    return {};
}

/// In front of the filter: native system calls that are newer than every one the profile names are
/// unknown to it, not forbidden, so that libraries fall back to older ones.
Buffer newer_calls_are_unknown(const SeccompProfile& profile) {
    int newest = 0;
    for (const SeccompRule& rule : profile.rules)
        for (const std::string& name : rule.names)
            newest = std::max(newest, seccomp_syscall_resolve_name(name.c_str()));
    const uint32_t action = profile.default_action & SECCOMP_RET_ACTION_FULL;
    const bool refuses = action == SECCOMP_RET_ERRNO &&
                         (profile.default_action & SECCOMP_RET_DATA) != ENOSYS;
    if (!refuses || newest <= 0) return {};
    const sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 2, 0),  // x32: likewise the library's
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, uint32_t(newest), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
    };
    const auto* start = reinterpret_cast<const uint8_t*>(code);
    return {start, start + sizeof code};
}

}  // namespace

Result<SeccompFilter> compile_seccomp(const Json& seccomp, uint64_t capabilities) {
    std::string error;
    const JsonView in(&seccomp, "config.json: linux.seccomp", &error);
    SeccompFilter out;
    const auto profile = seccomp_parse(seccomp.dump(), true);
    if (!profile) return fail("config.json: linux.seccomp: " + profile.error().message);
    for (const JsonView& flag : in["flags"].items()) {
        const std::string name = flag.text();
        const auto known = std::ranges::find_if(
            kFlags, [&](const Flag& at) { return name == at.name; });
        if (known == std::end(kFlags)) return fail("seccomp flag \"" + name + "\" not known");
        out.flags |= known->bit;
    }
    // Without a word on flags, as libseccomp's own default.
    if (!in["flags"]) out.flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    TRY_STATUS(check_notify(*profile, !in["listenerPath"].text().empty()));
    if (notifies(*profile)) {
        out.flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
        out.wait = wait_of(*profile);
    }
    if (!error.empty()) return fail(error);
    out.program = newer_calls_are_unknown(*profile);
    const Buffer compiled = TRY(seccomp_compile(*profile, capabilities, bit_of));
    out.program.insert(out.program.end(), compiled.begin(), compiled.end());
    if (out.program.size() / sizeof(sock_filter) > BPF_MAXINSNS)
        return fail("the seccomp filter came out longer than the kernel takes");
    return out;
}

Status send_listener(const Json& seccomp, const Container& container, int listener) {
    std::string error;
    const JsonView in(&seccomp, "config.json: linux.seccomp", &error);
    Json message = {{"ociVersion", container.version},
                    {"fds", {"seccompFd"}},
                    {"pid", container.pid}};
    if (const std::string metadata = in["listenerMetadata"].text(); !metadata.empty())
        message["metadata"] = metadata;
    message["state"] = container.state("creating");
    auto connected = connect_stream(in["listenerPath"].text());
    if (!connected)
        return context(connected.error(),
                       "failed to connect with seccomp agent specified in the seccomp profile");
    const Fd socket = std::move(*connected);
    return send_with_descriptor(socket.get(), message.dump(), listener);
}

std::vector<std::string> seccomp_actions() {
    return {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",        "SCMP_ACT_KILL",
            "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
            "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"};
}

std::vector<std::string> seccomp_operators() {
    return {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",       "SCMP_CMP_LE",
            "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"};
}

std::vector<std::string> seccomp_flags() {
    std::vector<std::string> names;
    for (const Flag& flag : kFlags) names.emplace_back(flag.name);
    return names;
}

std::vector<std::string> seccomp_architectures() {
    return {"SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"};
}

std::string libseccomp_version() {
    const scmp_version* version = seccomp_version();
    return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->micro);
}

}  // namespace noded::noci

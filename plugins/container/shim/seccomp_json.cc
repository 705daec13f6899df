// See seccomp_json.h. Names that libseccomp does not know are of other architectures or newer than
// it, and are passed over, as docker does.
#include "plugins/container/shim/seccomp_json.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>

#include "agent/base/fd.h"

namespace noded {
namespace {

using Json = nlohmann::json;

constexpr const char* kInvalid = "Decoding seccomp profile failed: ";
constexpr size_t kArgumentsMax = 6;

struct Named {
    const char* name;
    uint32_t value;
};

constexpr Named kCompares[] = {
    {"SCMP_CMP_NE", SCMP_CMP_NE}, {"SCMP_CMP_LT", SCMP_CMP_LT}, {"SCMP_CMP_LE", SCMP_CMP_LE},
    {"SCMP_CMP_EQ", SCMP_CMP_EQ}, {"SCMP_CMP_GE", SCMP_CMP_GE}, {"SCMP_CMP_GT", SCMP_CMP_GT},
    {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
constexpr Named kArchitectures[] = {
    {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64}, {"SCMP_ARCH_X86", SCMP_ARCH_X86},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32}};
constexpr const char* kOwnArchitecture = "amd64";

std::optional<uint32_t> value_of(std::span<const Named> known, const std::string& name) {
    const auto found = std::ranges::find_if(
        known, [&](const Named& at) { return name == at.name; });
    return found == known.end() ? std::nullopt : std::optional(found->value);
}

const Json& member(const Json& object, const char* key) {
    static const Json none;
    const auto found = object.find(key);
    return found == object.end() ? none : *found;
}

Result<uint32_t> action_of(const Json& value, const Json& error, bool can_notify) {
    const std::string name = value.is_string() ? value.get<std::string>() : "";
    const uint32_t number =
        error.is_number_unsigned() ? uint32_t(error.get<uint64_t>() & 0xffff) : uint32_t(EPERM);
    if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
    if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number);
    if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
    if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
    if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
    if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
    if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number);
    if (name == "SCMP_ACT_NOTIFY" && can_notify) return SCMP_ACT_NOTIFY;
    return fail(kInvalid + ("invalid action '" + name + "'"));
}

Result<std::vector<std::string>> names_of(const Json& value, const char* what) {
    std::vector<std::string> out;
    if (value.is_null()) return out;
    if (!value.is_array()) return fail(kInvalid + (std::string(what) + " is not a list of names"));
    for (const Json& item : value) {
        if (!item.is_string())
            return fail(kInvalid + (std::string(what) + " has something that is no name"));
        out.push_back(item.get<std::string>());
    }
    return out;
}

Result<SeccompCondition> condition_of(const Json& value, const char* what) {
    SeccompCondition out;
    if (value.is_null()) return out;
    if (!value.is_object()) return fail(kInvalid + (std::string(what) + " is not an object"));
    out.capabilities = TRY(names_of(member(value, "caps"), "caps"));
    out.architectures = TRY(names_of(member(value, "arches"), "arches"));
    const Json& kernel = member(value, "minKernel");
    if (!kernel.is_null() && !kernel.is_string())
        return fail(std::string(kInvalid) + "minKernel is not a version");
    if (kernel.is_string()) out.kernel_min = kernel.get<std::string>();
    return out;
}

uint64_t number_of(const Json& value) {
    if (value.is_number_unsigned()) return value.get<uint64_t>();
    return value.is_number_integer() ? uint64_t(value.get<int64_t>()) : 0;
}

Result<std::vector<SeccompArgument>> arguments_of(const Json& value) {
    std::vector<SeccompArgument> out;
    if (value.is_null()) return out;
    if (!value.is_array() || value.size() > kArgumentsMax)
        return fail(std::string(kInvalid) + "args is not a list of at most 6 comparisons");
    for (const Json& item : value) {
        if (!item.is_object()) return fail(std::string(kInvalid) + "an argument is not an object");
        const Json& op = member(item, "op");
        const std::string name = op.is_string() ? op.get<std::string>() : "";
        const auto compare = value_of(kCompares, name);
        if (!compare) return fail(kInvalid + ("invalid operator '" + name + "'"));
        const uint64_t index = number_of(member(item, "index"));
        if (index >= kArgumentsMax)
            return fail(std::string(kInvalid) + "a system call has no argument " +
                        std::to_string(index));
        out.push_back({uint32_t(index), *compare, number_of(member(item, "value")),
                       number_of(member(item, "valueTwo"))});
    }
    return out;
}

Result<SeccompRule> rule_of(const Json& value, bool can_notify) {
    if (!value.is_object()) return fail(std::string(kInvalid) + "an entry is not an object");
    SeccompRule out;
    out.names = TRY(names_of(member(value, "names"), "names"));
    if (member(value, "name").is_string())
        out.names.push_back(member(value, "name").get<std::string>());
    if (out.names.empty()) return fail(std::string(kInvalid) + "an entry names no system call");
    out.action = TRY(action_of(member(value, "action"), member(value, "errnoRet"), can_notify));
    out.arguments = TRY(arguments_of(member(value, "args")));
    out.includes = TRY(condition_of(member(value, "includes"), "includes"));
    out.excludes = TRY(condition_of(member(value, "excludes"), "excludes"));
    return out;
}

Status add_architecture(const std::string& name, SeccompProfile& out) {
    // Those of other machines are passed over.
    const auto known = value_of(kArchitectures, name);
    if (!known && !name.starts_with("SCMP_ARCH_"))
        return fail(kInvalid + ("invalid architecture '" + name + "'"));
    if (known && *known != SCMP_ARCH_X86_64) out.architectures.push_back(*known);
    return {};
}

/// docker's archMap names the sub-architectures of each machine.
Status read_architectures(const Json& profile, SeccompProfile& out) {
    for (const std::string& name : TRY(names_of(member(profile, "architectures"), "architectures")))
        TRY_STATUS(add_architecture(name, out));
    const Json& map = member(profile, "archMap");
    if (map.is_null()) return {};
    if (!map.is_array()) return fail(std::string(kInvalid) + "archMap is not a list");
    for (const Json& item : map) {
        if (!item.is_object()) return fail(std::string(kInvalid) + "archMap has no objects");
        if (member(item, "architecture") != "SCMP_ARCH_X86_64") continue;
        for (const std::string& name :
             TRY(names_of(member(item, "subArchitectures"), "subArchitectures")))
            TRY_STATUS(add_architecture(name, out));
    }
    return {};
}

}  // namespace

Result<SeccompProfile> seccomp_parse(std::string_view text, bool can_notify) {
    const Json profile = Json::parse(text, nullptr, false);
    if (!profile.is_object()) return fail(std::string(kInvalid) + "it is not a JSON object");
    SeccompProfile out;
    out.default_action =
        TRY(action_of(member(profile, "defaultAction"), member(profile, "defaultErrnoRet"),
                      can_notify));
    TRY_STATUS(read_architectures(profile, out));
    const Json& rules = member(profile, "syscalls");
    if (!rules.is_null() && !rules.is_array())
        return fail(std::string(kInvalid) + "syscalls is not a list");
    for (const Json& rule : rules) out.rules.push_back(TRY(rule_of(rule, can_notify)));
    return out;
}

namespace {

using Context = std::unique_ptr<void, decltype(&seccomp_release)>;

bool kernel_is_at_least(const std::string& version) {
    utsname name{};
    unsigned wanted[2] = {0, 0};
    unsigned have[2] = {0, 0};
    if (uname(&name) != 0) return false;
    sscanf(version.c_str(), "%u.%u", &wanted[0], &wanted[1]);
    sscanf(name.release, "%u.%u", &have[0], &have[1]);
    return have[0] > wanted[0] || (have[0] == wanted[0] && have[1] >= wanted[1]);
}

bool holds(const SeccompRule& rule, uint64_t capabilities,
           std::optional<uint32_t> (*bit_of)(const std::string& name)) {
    const auto has = [&](const std::string& name) {
        const auto bit = bit_of(name);
        return bit && (capabilities >> *bit & 1) != 0;
    };
    const auto is_own = [](const std::string& name) { return name == kOwnArchitecture; };
    const SeccompCondition& in = rule.includes;
    const SeccompCondition& out = rule.excludes;
    if (std::ranges::any_of(out.capabilities, has)) return false;
    if (std::ranges::any_of(out.architectures, is_own)) return false;
    if (!out.kernel_min.empty() && kernel_is_at_least(out.kernel_min)) return false;
    if (!std::ranges::all_of(in.capabilities, has)) return false;
    if (!in.architectures.empty() && std::ranges::none_of(in.architectures, is_own)) return false;
    return in.kernel_min.empty() || kernel_is_at_least(in.kernel_min);
}

Status add_rule(void* context, const SeccompRule& rule, uint32_t default_action) {
    if (rule.action == default_action) return {};  // the library refuses what says nothing
    std::vector<scmp_arg_cmp> compares;
    for (const SeccompArgument& at : rule.arguments)
        compares.push_back({at.index, scmp_compare(at.compare), at.value, at.second});
    // Several comparisons of one argument are alternatives, as runc takes them.
    bool repeated = false;
    for (size_t i = 0; i < compares.size(); ++i)
        for (size_t j = 0; j < i; ++j) repeated |= compares[i].arg == compares[j].arg;
    const size_t step = repeated ? 1 : std::max<size_t>(compares.size(), 1);
    for (const std::string& name : rule.names) {
        const int number = seccomp_syscall_resolve_name(name.c_str());
        if (number == __NR_SCMP_ERROR) continue;
        for (size_t at = 0; at == 0 || at < compares.size(); at += step) {
            const auto count = unsigned(std::min(step, compares.size() - at));
            const int result =
                seccomp_rule_add_array(context, rule.action, number, count, compares.data() + at);
            if (result < 0 && result != -EEXIST)
                return fail_errno(-result, "add " + name + " to the seccomp filter");
        }
    }
    return {};
}

Result<Buffer> export_filter(void* context) {
    const Fd file(memfd_create("seccomp", MFD_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "make a memfd for the seccomp filter");
    const int result = seccomp_export_bpf(context, file.get());
    if (result < 0) return fail_errno(-result, "compile the seccomp filter");
    const off_t size = lseek(file.get(), 0, SEEK_END);
    Buffer bytes(size > 0 ? size_t(size) : 0);
    if (pread(file.get(), bytes.data(), bytes.size(), 0) != ssize_t(bytes.size()))
        return fail_errno(errno, "read the compiled seccomp filter");
    if (bytes.size() / sizeof(sock_filter) > BPF_MAXINSNS)
        return fail("the seccomp filter came out longer than the kernel takes");
    return bytes;
}

}  // namespace

Result<Buffer> seccomp_compile(const SeccompProfile& profile, uint64_t capabilities,
                               std::optional<uint32_t> (*bit_of)(const std::string& name)) {
    const Context context(seccomp_init(profile.default_action), &seccomp_release);
    if (context == nullptr) return fail("make a seccomp filter: out of memory");
    for (const uint32_t architecture : profile.architectures) {
        const int result = seccomp_arch_add(context.get(), architecture);
        if (result < 0 && result != -EEXIST)
            return fail_errno(-result, "add an architecture to the seccomp filter");
    }
    if (const int result = seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2); result < 0)
        return fail_errno(-result, "ask for a sorted seccomp filter");
    for (const SeccompRule& rule : profile.rules)
        if (holds(rule, capabilities, bit_of))
            TRY_STATUS(add_rule(context.get(), rule, profile.default_action));
    return export_filter(context.get());
}

}  // namespace noded

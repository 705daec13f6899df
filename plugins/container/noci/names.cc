// Names of capabilities, signals and paths, see config.h.
#include <csignal>
#include <cstring>

#include "plugins/container/noci/config.h"

namespace noded::noci {
namespace {

constexpr const char* kCapabilities[] = {
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
    "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE"};
static_assert(std::size(kCapabilities) == capabilities_known);

}  // namespace

std::optional<uint32_t> capability_number(const std::string& name) {
    std::string upper;
    for (const char c : name) upper += char(toupper(static_cast<unsigned char>(c)));
    if (upper.starts_with("CAP_")) upper.erase(0, 4);
    for (uint32_t i = 0; i < capabilities_known; ++i)
        if (upper == kCapabilities[i]) return i;
    return std::nullopt;
}

std::string capability_name(uint32_t number) {
    return std::string("CAP_") + kCapabilities[number];
}

std::optional<int> signal_number(const std::string& name) {
    if (!name.empty() && name.find_first_not_of("0123456789") == std::string::npos)
        return name.size() < 4 && atoi(name.c_str()) <= 64 ? std::optional(atoi(name.c_str()))
                                                           : std::nullopt;
    std::string upper;
    for (const char c : name) upper += char(toupper(static_cast<unsigned char>(c)));
    if (upper.starts_with("SIG")) upper.erase(0, 3);
    if (upper.starts_with("RTMIN")) {
        const int offset = upper.size() > 6 ? atoi(upper.c_str() + 6) : 0;
        return upper.size() == 5 || (upper[5] == '+' && offset <= 30) ? std::optional(34 + offset)
                                                                      : std::nullopt;
    }
    for (int signal = 1; signal < 32; ++signal) {
        const char* known = sigabbrev_np(signal);
        if (known != nullptr && upper == known) return signal;
    }
    if (upper == "IOT") return SIGABRT;
    if (upper == "CLD") return SIGCHLD;
    if (upper == "POLL") return SIGIO;
    return std::nullopt;
}

std::string clean_path(const std::string& path) {
    std::string out;
    for (size_t at = 0; at < path.size();) {
        const size_t slash = std::min(path.find('/', at), path.size());
        const std::string part = path.substr(at, slash - at);
        at = slash + 1;
        if (part.empty() || part == ".") continue;
        if (part == "..") out.erase(out.empty() ? 0 : out.rfind('/'));
        else out += "/" + part;
    }
    return out.empty() ? "/" : out;
}

}  // namespace noded::noci

// Signal names, see signals.h. The numbers are those of x86-64 and arm64 (signal(7)); 32 and 33
// belong to libc, so that SIGRTMIN as programs know it is 34.
#include "plugins/container/signals.h"

#include <string>

#include "agent/base/number.h"

namespace noded::container {
namespace {

constexpr std::string_view kNames[] = {
    "",     "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
    "SEGV", "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
    "TTOU", "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS"};
static_assert(std::size(kNames) == 32);
constexpr int kRealTimeMin = 34;
constexpr int kSignalMax = 64;

/// A whole text as a number of 0..64, or -1.
int number(std::string_view text) {
    int value = -1;
    return to_number(text, value) && value >= 0 && value <= kSignalMax ? value : -1;
}

int by_name(std::string_view name) {
    for (int i = 1; i < int(std::size(kNames)); ++i)
        if (kNames[i] == name) return i;
    if (name == "IOT") return 6;
    if (name == "POLL") return 29;
    if (name == "CLD") return 17;
    return -1;
}

int real_time(std::string_view name) {
    if (name == "RTMIN") return kRealTimeMin;
    if (name == "RTMAX") return kSignalMax;
    if (name.starts_with("RTMIN+")) {
        const int more = number(name.substr(6));
        return more >= 0 && kRealTimeMin + more <= kSignalMax ? kRealTimeMin + more : -1;
    }
    if (name.starts_with("RTMAX-")) {
        const int less = number(name.substr(6));
        return less >= 0 && kSignalMax - less >= kRealTimeMin ? kSignalMax - less : -1;
    }
    return -1;
}

}  // namespace

Result<int> parse_signal(std::string_view text) {
    const std::string said(text.substr(0, 64));
    if (const int value = number(text); value > 0) return value;
    std::string name = said;
    for (char& c : name)
        if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
    if (name.starts_with("SIG")) name.erase(0, 3);
    if (const int value = by_name(name); value > 0) return value;
    if (const int value = real_time(name); value > 0) return value;
    return fail("Invalid signal: " + said);
}

}  // namespace noded::container

// nodectl top: the processes of a container, in docker's columns.
#include <cstdio>
#include <ctime>

#include "tools/nodectl/table.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// "13:41" today, "Nov24" before.
std::string start_time(int64_t started_ns) {
    const time_t seconds = started_ns / kSecondNs;
    const time_t now = now_ns() / kSecondNs;
    tm started{};
    tm today{};
    localtime_r(&seconds, &started);
    localtime_r(&now, &today);
    const bool same_day = started.tm_yday == today.tm_yday && started.tm_year == today.tm_year;
    char text[16];
    strftime(text, sizeof text, same_day ? "%H:%M" : "%b%d", &started);
    return text;
}

std::string cpu_time(uint64_t milliseconds) {
    const unsigned long long seconds = milliseconds / 1000;
    char text[32];
    snprintf(text, sizeof text, "%02llu:%02llu:%02llu", seconds / 3600, seconds / 60 % 60,
             seconds % 60);
    return text;
}

}  // namespace

int top(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1, .max = 1})) return *status;
    auto request = call.session.container().topRequest();
    request.setContainer(call.arguments[0]);
    const auto response = OR_FAIL(call, call.session.wait(request.send()));
    std::string text = "UID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD\n";
    for (const auto process : response.getProcesses()) {
        const std::string user = process.getUser().cStr();
        const std::string tty = process.getTty().cStr();
        text += (user.empty() ? std::to_string(process.getUid()) : user) + "\t" +
                std::to_string(process.getPid()) + "\t" + std::to_string(process.getPpid()) + "\t" +
                std::to_string(process.getCpuPercent()) + "\t" +
                start_time(process.getStartedNs()) + "\t" + (tty.empty() ? "?" : tty) + "\t" +
                cpu_time(process.getCpuTimeMs()) + "\t" + process.getCommand().cStr() + "\n";
    }
    print(align_tabs(text));
    return 0;
}

}  // namespace noded::nodectl

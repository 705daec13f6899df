// nodectl top: the processes of a container, in docker's columns. With options of ps(1), ps itself
// is run here and shows those of its lines that belong to the container. Without a container it is
// a terminal program (top_ui.cc).
#include "tools/nodectl/top.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>
#include <sstream>

#include "tools/nodectl/program.h"
#include "tools/nodectl/remote.h"
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

std::vector<std::string> words_in(const std::string& line) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; in >> word;) words.push_back(word);
    return words;
}

/// As many cells as there are columns; the last has what is left, blanks as they are.
std::string cells_of(const std::string& line, size_t columns) {
    std::string out;
    size_t at = line.find_first_not_of(' ');
    for (size_t i = 0; i + 1 < columns && at != std::string::npos; i++) {
        const size_t end = std::min(line.find(' ', at), line.size());
        out += line.substr(at, end - at) + "\t";
        at = line.find_first_not_of(' ', end);
    }
    return (at == std::string::npos ? out : out + line.substr(at)) + "\n";
}

/// The lines of ps that have one of these pids.
Result<std::string> chosen_lines(const std::string& text, const std::set<std::string>& pids) {
    std::istringstream lines(text);
    std::string line;
    std::getline(lines, line);
    const std::vector<std::string> header = words_in(line);
    const auto column = std::find(header.begin(), header.end(), "PID");
    if (column == header.end()) return fail("Couldn't find PID field in ps output");
    const auto index = static_cast<size_t>(column - header.begin());
    std::string out = cells_of(line, header.size());
    while (std::getline(lines, line)) {
        const std::vector<std::string> words = words_in(line);
        if (index < words.size() && pids.contains(words[index]))
            out += cells_of(line, header.size());
    }
    return out;
}

using Processes = capnp::List<schema::Process>::Reader;

Result<std::string> lines_of_ps(const Processes& processes, std::vector<std::string> options) {
    std::set<std::string> pids;
    std::string list;
    for (const auto process : processes) {
        const std::string pid = std::to_string(process.getPid());
        list += (list.empty() ? "-q" : ",") + pid;
        pids.insert(pid);
    }
    options.insert(options.begin(), "ps");
    // Some options do not go together with a list of processes, and some with none.
    std::vector<std::string> of_these = options;
    of_these.push_back(list);
    if (const auto lines = output_of(of_these)) return chosen_lines(*lines, pids);
    return chosen_lines(TRY(output_of(options)), pids);
}

}  // namespace

std::string process_table(const Processes& processes, size_t column_width_min) {
    std::string text = "UID\tPID\tPPID\tC\tSTIME\tTTY\tTIME\tCMD\n";
    for (const auto process : processes) {
        const std::string user = process.getUser().cStr();
        const std::string tty = process.getTty().cStr();
        text += (user.empty() ? std::to_string(process.getUid()) : user) + "\t" +
                std::to_string(process.getPid()) + "\t" + std::to_string(process.getPpid()) + "\t" +
                std::to_string(process.getCpuPercent()) + "\t" +
                start_time(process.getStartedNs()) + "\t" + (tty.empty() ? "?" : tty) + "\t" +
                cpu_time(process.getCpuTimeMs()) + "\t" + process.getCommand().cStr() + "\n";
    }
    return align_tabs(text, column_width_min);
}

int top(Invocation& call) {
    if (const auto status = call.parse({}, {})) return *status;
    if (call.arguments.empty()) return top_of_node(call);
    // The pids are the node's, and so must be its ps.
    if (call.session.elsewhere() && call.arguments.size() > 1) return run_there(call, call.words);
    auto request = call.session.container().topRequest();
    request.setContainer(call.arguments[0]);
    const auto response = OR_FAIL(call, call.session.wait(request.send()));
    if (call.arguments.size() > 1) {
        const auto lines = lines_of_ps(response.getProcesses(),
                                       {call.arguments.begin() + 1, call.arguments.end()});
        print(align_tabs(OR_FAIL(call, lines), kProcessColumnWidth));
        return 0;
    }
    print(process_table(response.getProcesses()));
    return 0;
}

}  // namespace noded::nodectl

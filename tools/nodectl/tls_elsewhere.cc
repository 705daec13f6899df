// See tls.h: in nodectl, which becomes nodectl-tls.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <vector>

#include "tools/nodectl/files.h"
#include "tools/nodectl/tls.h"

namespace noded::nodectl {
namespace {

constexpr const char* kProgram = "nodectl-tls";

/// Where an installation has it, and where a build has, or who copied both.
Result<std::vector<std::string>> places() {
    char path[PATH_MAX];
    const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    if (size <= 0) return fail_errno(errno, "find this program: read /proc/self/exe");
    std::string folder(path, static_cast<size_t>(size));
    folder.resize(folder.rfind('/'));
    const std::string above = folder.substr(0, folder.rfind('/'));
    return std::vector<std::string>{above + "/libexec/noded/" + kProgram, folder + "/" + kProgram};
}

/// As it was typed, the program's name included.
Result<std::vector<std::string>> command_line() {
    const std::string text = TRY(read_file("/proc/self/cmdline"));
    std::vector<std::string> words;
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\0', at), text.size());
        words.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return words;
}

/// Comes back only with why not.
Error begin_again(const std::string& what) {
    const auto words = command_line();
    const auto found = places();
    if (!words || !found) return (!words ? words : found).error();
    std::vector<char*> argv;
    for (const std::string& word : *words) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    for (const std::string& place : *found) {
        execv(place.c_str(), argv.data());
        if (errno != ENOENT) return fail_errno(errno, "run " + place).error();
    }
    return {0, what + " needs the program " + kProgram + ", which belongs to nodectl and is not " +
                   "installed: it is looked for at " + found->front() + " and " + found->back()};
}

}  // namespace

Result<std::unique_ptr<remote::Link>> dial_tls(const std::string&, const remote::TlsFiles&,
                                               remote::Deadline) {
    return std::unexpected(begin_again("tcp://"));
}

Result<int> serve_tls(const std::string&, const remote::TlsFiles&, const std::string&) {
    return std::unexpected(begin_again("serve"));
}

}  // namespace noded::nodectl

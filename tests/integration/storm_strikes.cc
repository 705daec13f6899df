// See storm_strikes.h. Processes come and go meanwhile: what is struck may be gone already.
#include "tests/integration/storm_strikes.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/freezer.h"
#include "tests/integration/storm_checks.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

const std::string kCgroups = "/sys/fs/cgroup/";

std::string proc(pid_t pid, const char* file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

}  // namespace

void Strikes::strike() {
    let_go(std::chrono::steady_clock::now());
    std::vector<pid_t> shims;
    for (const std::string& pid : node_.shims()) shims.push_back(atoi(pid.c_str()));
    switch (below(fills_disk_ ? 14 : 9)) {
        case 0: return signal("shims killed", one_of(shims), SIGKILL);
        case 1: return stop("shims stopped", one_of(shims), 200);
        // Longer than noded waits for the answer to a kill.
        case 2: return below(4) == 0 ? stop("shims stopped for long", one_of(shims), 7000) : void();
        case 3: return signal("containers killed", one_of(firsts()), SIGKILL);
        case 4: return stop("containers stopped", one_of(firsts()), 500);
        case 5: return freeze(one_of(firsts()));
        case 6: return remove_groups();
        case 7: return signal("helpers killed", one_of(helpers()), SIGKILL);
        case 8: return change_plugins();
        default: return fill_disk();
    }
}

std::string Strikes::told() const {
    std::string text;
    for (const auto& [what, count] : done_)
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + what;
    return text;
}

void Strikes::let_go(Time now) {
    std::erase_if(held_, [&](const Held& held) {
        if (held.until > now) return false;
        held.let_go();
        return true;
    });
}

void Strikes::hold(unsigned ms_max, std::function<void()> let_go) {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(below(ms_max));
    held_.push_back({until, std::move(let_go)});
}

void Strikes::signal(const char* what, pid_t pid, int signal) {
    if (pid > 0 && ::kill(pid, signal) == 0) ++done_[what];
}

/// Another process may have the number by the time it goes on, and does not mind.
void Strikes::stop(const char* what, pid_t pid, unsigned ms_max) {
    if (pid <= 0) return;
    signal(what, pid, SIGSTOP);
    hold(ms_max, [pid] { ::kill(pid, SIGCONT); });
}

void Strikes::freeze(pid_t first) {
    const Freezer freezer = freezer_of(first);
    if (first <= 0 || !freezer.write(freezer.freeze)) return;
    ++done_["groups frozen"];
    hold(2000, [freezer] { freezer.write(freezer.thaw); });
}

/// All that are empty, in one hierarchy: of spares, and of containers that are about to start.
void Strikes::remove_groups() {
    std::vector<std::string> parents;
    for (const std::string& shim : node_.shims()) {
        for (const std::string& child : children_of(atoi(shim.c_str()), "noded-shim")) {
            const std::string groups = read_text("/proc/" + child + "/cgroup");
            const size_t at = groups.find("/noded/");
            if (at == std::string::npos) continue;
            const std::string node = groups.substr(at, groups.find('/', at + 7) - at);
            for (const auto& mount : fs::directory_iterator(kCgroups))
                if (mount.is_directory() && !mount.is_symlink())
                    parents.push_back(mount.path().string() + node);
            break;
        }
        if (!parents.empty()) break;
    }
    if (parents.empty()) return;
    const std::string parent = parents[below(unsigned(parents.size()))];
    std::error_code error;
    for (auto at = fs::directory_iterator(parent, error);
         !error && at != fs::directory_iterator(); at.increment(error))
        if (rmdir(at->path().c_str()) == 0) ++done_["groups removed"];
}

/// One that noded has taken stays until its next start.
void Strikes::change_plugins() {
    const std::string file = node_.plugin_dir() + "/counter.so";
    std::error_code error;
    if (fs::remove(file, error)) return;
    const std::string beside = node_.dir() + "/counter.so";
    fs::copy_file(built("plugins/example/counter.so"), beside, error);
    fs::rename(beside, file, error);
    ++done_["plugins brought"];
}

void Strikes::fill_disk() {
    constexpr off_t kPage = 4096;
    const std::string ballast = node_.state_dir() + "/ballast";
    const int file = open(ballast.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct statvfs disk {};
    fstatvfs(file, &disk);
    auto left = off_t(disk.f_bavail * disk.f_frsize);
    for (off_t end = lseek(file, 0, SEEK_END); left >= kPage;) {
        if (fallocate(file, 0, end, left) == 0) end += left;
        else left /= 2;
    }
    close(file);
    ++done_["times the disk was full"];
    hold(800, [ballast] { unlink(ballast.c_str()); });
}

std::vector<pid_t> Strikes::firsts() const {
    std::vector<pid_t> found;
    for (const std::string& shim : node_.shims())
        for (const pid_t child : children_of(atoi(shim.c_str())))
            if (trimmed(read_text(proc(child, "comm"))) != "noded-shim") found.push_back(child);
    return found;
}

std::vector<pid_t> Strikes::helpers() const {
    std::vector<pid_t> found = children_of(node_.pid());
    std::erase_if(found, [](pid_t pid) {
        return trimmed(read_text(proc(pid, "comm"))) == "noded-shim";
    });
    return found;
}

}  // namespace noded::test

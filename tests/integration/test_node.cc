// Programs, a node in directories of its own, the search for what it left; see test_node.h.
#include "tests/integration/test_node.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace noded::test {

namespace fs = std::filesystem;

std::string built(const std::string& path) {
    const char* runfiles = getenv("TEST_SRCDIR");
    const std::string root = runfiles != nullptr ? std::string(runfiles) + "/noded" : "bazel-bin";
    return root + "/" + path;
}

std::string trimmed(std::string text) {
    while (!text.empty() && isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
    return text;
}

std::string read_text(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void sleep_ms(int ms) { usleep(static_cast<useconds_t>(ms) * 1000); }

// -------------------------------------------------------------------------------------------
// programs

Running::Running(const std::vector<std::string>& argv) {
    int in[2], out[2], err[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        abort();
    std::vector<char*> pointers;
    for (const std::string& argument : argv)
        pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(err[1], 2);
        execv(pointers[0], pointers.data());
        _exit(121);
    }
    close(in[0]);
    close(out[1]);
    close(err[1]);
    in_ = in[1];
    from_out_ = out[0];
    from_err_ = err[0];
}

Running::~Running() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    close_input();
    close(from_out_);
    close(from_err_);
}

void Running::write(const std::string& text) {
    signal(SIGPIPE, SIG_IGN);
    size_t done = 0;
    while (done < text.size()) {
        const ssize_t size = ::write(in_, text.data() + done, text.size() - done);
        if (size <= 0) return;
        done += static_cast<size_t>(size);
    }
}

void Running::close_input() {
    if (in_ >= 0) close(in_);
    in_ = -1;
}

bool Running::read_until(const std::string& text, int seconds) {
    char buffer[65536];
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < end) {
        if (out_.find(text) != std::string::npos) return true;
        pollfd ready{from_out_, POLLIN, 0};
        if (poll(&ready, 1, 10) <= 0) continue;
        const ssize_t size = read(from_out_, buffer, sizeof buffer);
        if (size <= 0) break;
        out_.append(buffer, static_cast<size_t>(size));
    }
    return out_.find(text) != std::string::npos;
}

Ran Running::wait() {
    Ran ran;
    char buffer[65536];
    pollfd fds[2] = {{from_out_, POLLIN, 0}, {from_err_, POLLIN, 0}};
    for (int open = 2; open > 0;) {
        if (poll(fds, 2, -1) < 0) continue;
        for (int i = 0; i < 2; ++i) {
            if (fds[i].fd < 0 || fds[i].revents == 0) continue;
            const ssize_t size = read(fds[i].fd, buffer, sizeof buffer);
            if (size > 0) {
                (i == 0 ? out_ : ran.err).append(buffer, static_cast<size_t>(size));
            } else {
                fds[i].fd = -1;
                --open;
            }
        }
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    ran.out = out_;
    ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ran;
}

Ran run_program(const std::vector<std::string>& argv, const std::string& input) {
    Running program(argv);
    program.write(input);
    program.close_input();
    return program.wait();
}

// ------------------------------------------------------------------------------------------- the
// node

std::string mounts_below(const std::string& dir) {
    std::istringstream mounts(read_text("/proc/self/mounts"));
    std::string found;
    for (std::string line; std::getline(mounts, line);) {
        if (line.find(dir) != std::string::npos) found += line + "\n";
    }
    return found;
}

TestNode::TestNode() {
    // Only a guest of tests/vm says where: its /tmp can not be written.
    const char* parent = getenv("TMPDIR");
    dir_ = std::string(parent != nullptr ? parent : "/tmp") + "/noded-test-XXXXXX";
    if (mkdtemp(dir_.data()) == nullptr) abort();
    for (const char* sub : {"/state", "/run", "/plugins", "/libexec"})
        mkdir((dir_ + sub).c_str(), 0755);
    if (mount("tmpfs", runtime_dir().c_str(), "tmpfs", 0, nullptr) != 0) abort();
    mounts_before_ = mounts_below(dir_);
    for (const char* name : {"container", "stats", "storage"}) {
        fs::copy_file(built("plugins/" + std::string(name) + "/" + name + ".so"),
                      plugin_dir() + "/" + name + ".so");
    }
    fs::copy_file(built("plugins/container/shim/shim"), dir_ + "/libexec/shim");
    fs::copy_file(built("plugins/container/files/files"), dir_ + "/libexec/files");
    fs::copy_file(built("plugins/container/shim/init"), dir_ + "/libexec/init");
}

TestNode::~TestNode() {
    if (!running()) start();
    expect_nothing_left();
    stop();
    umount2(runtime_dir().c_str(), MNT_DETACH);
    fs::remove_all(dir_);
}

/// A datagram socket for sd_notify(3).
static int notify_socket(const std::string& path) {
    unlink(path.c_str());
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) abort();
    return fd;
}

void TestNode::start(const std::vector<std::string>& extra) {
    ASSERT_FALSE(running());
    const std::string notify = dir_ + "/notify.sock";
    const int ready = notify_socket(notify);
    std::vector<std::string> argv = {built("agent/noded"), "--state-dir",   state_dir(),
                                     "--runtime-dir",      runtime_dir(),   "--plugin-dir",
                                     plugin_dir(),         "--libexec-dir", dir_ + "/libexec"};
    argv.insert(argv.end(), extra.begin(), extra.end());
    std::vector<char*> pointers;
    for (const std::string& argument : argv)
        pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
        const int log = open((dir_ + "/diagnostics").c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644);
        dup2(log, 2);
        setenv("NOTIFY_SOCKET", notify.c_str(), 1);
        execv(pointers[0], pointers.data());
        _exit(121);
    }
    pollfd poll_ready{ready, POLLIN, 0};
    const bool told = poll(&poll_ready, 1, 20'000) == 1;
    close(ready);
    ASSERT_TRUE(told) << "noded did not get ready:\n" << diagnostics();
}

void TestNode::stop() {
    ASSERT_TRUE(running());
    ::kill(pid_, SIGTERM);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
        << "noded ended with " << status << "\n"
        << diagnostics();
}

void TestNode::kill() {
    ASSERT_TRUE(running());
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
}

std::string TestNode::diagnostics() const { return read_text(dir_ + "/diagnostics"); }

std::vector<std::string> TestNode::command(std::vector<std::string> arguments) const {
    std::vector<std::string> argv = {built("tools/nodectl/nodectl"), "--host",
                                     "unix:" + runtime_dir() + "/noded.sock"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return argv;
}

Ran TestNode::nodectl(std::vector<std::string> arguments, const std::string& input) const {
    return run_program(command(std::move(arguments)), input);
}

std::string TestNode::ok(std::vector<std::string> arguments) const {
    const Ran ran = nodectl(arguments);
    EXPECT_EQ(ran.exit_code, 0) << arguments[0] << ": " << ran.err << "\n" << diagnostics();
    return trimmed(ran.out);
}

void TestNode::import_busybox(const std::string& name) {
    const std::string archive = dir_ + "/busybox.tar";
    if (!fs::exists(archive)) {
        const Ran made = run_program({built("ops/busybox-rootfs"), archive});
        ASSERT_EQ(made.exit_code, 0) << made.err;
    }
    ok({"image", "import", archive, name});
}

// ------------------------------------------------------------------------------------------- leaks

/// A shim belongs to a node by its parent, or, once that noded is gone, by the container's log that
/// it has open.
static bool is_shim_of(const fs::path& process, const std::string& dir, pid_t noded) {
    if (trimmed(read_text(process / "comm")) != "noded-shim") return false;
    if (read_text(process / "status").find("PPid:\t" + std::to_string(noded) + "\n") !=
        std::string::npos)
        return true;
    std::error_code error;
    // The process may end while its files are listed.
    for (auto at = fs::directory_iterator(process / "fd", error);
         !error && at != fs::directory_iterator(); at.increment(error)) {
        std::error_code gone;
        if (fs::read_symlink(at->path(), gone).string().starts_with(dir + "/")) return true;
    }
    return false;
}

static std::vector<std::string> shims_of(const std::string& dir, pid_t noded) {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const std::string pid = entry.path().filename();
        if (isdigit(static_cast<unsigned char>(pid[0])) && is_shim_of(entry.path(), dir, noded))
            found.push_back(pid);
    }
    return found;
}

std::vector<std::string> children_of(pid_t parent, const std::string& name) {
    std::vector<std::string> found;
    const std::string task = "/proc/" + std::to_string(parent) + "/task";
    std::error_code gone;   // it may have ended
    for (const auto& thread : fs::directory_iterator(task, gone)) {
        std::ifstream pids(thread.path() / "children");
        for (pid_t pid = 0; pids >> pid;) {
            std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
            std::string text;
            std::getline(stat, text);
            if (text.find("(" + name + ")") != std::string::npos)
                found.push_back(std::to_string(pid));
        }
    }
    return found;
}

/// One that waits for a container has a zygote; one that was left behind by a container has none.
static bool waits(const std::string& shim) {
    return !children_of(atoi(shim.c_str()), "noded-shim").empty();
}

/// Not counting what the storage plugin makes ahead.
static size_t entries_in(const std::string& dir) {
    std::error_code error;
    size_t count = 0;
    for (auto at = fs::directory_iterator(dir, error); !error && at != fs::directory_iterator();
         at.increment(error)) {
        if (!at->path().filename().string().starts_with("spare-")) ++count;
    }
    return count;
}

/// Folder by folder: one that another test removes meanwhile would end a recursive iterator.
static void find_cgroups(const fs::path& folder, const std::set<std::string>& ids,
                         std::vector<std::string>& found) {
    std::error_code error;
    for (auto at = fs::directory_iterator(folder, error);
         !error && at != fs::directory_iterator(); at.increment(error)) {
        if (at->is_symlink(error) || !at->is_directory(error)) continue;
        if (ids.contains(at->path().filename())) found.push_back(at->path());
        find_cgroups(at->path(), ids, found);
    }
}

static std::vector<std::string> cgroups_named(const std::set<std::string>& ids) {
    std::vector<std::string> found;
    find_cgroups("/sys/fs/cgroup", ids, found);
    return found;
}

std::vector<std::string> TestNode::shims() const { return shims_of(dir_, pid_); }

void TestNode::expect_nothing_left() {
    // Every id that ever was stands in the log.
    std::set<std::string> ids;
    const std::string events = nodectl({"events", "-o", "json"}).out;
    static const std::regex kId("[0-9a-f]{64}");
    for (std::sregex_iterator at(events.begin(), events.end(), kId), end; at != end; ++at)
        ids.insert(at->str());
    std::istringstream list(ok({"ps", "-a", "-q", "--no-trunc"}));
    for (std::string id; list >> id;) nodectl({"rm", "-f", id});   // one with --rm may be faster
    EXPECT_TRUE(eventually([&] { return trimmed(nodectl({"ps", "-a", "-q"}).out).empty(); }));
    // Groups and folders go just after the outcome was told.
    EXPECT_TRUE(eventually([&] { return cgroups_named(ids).empty(); }));
    // Some idle shims may wait for the next starts; they are noded's and end with it.
    EXPECT_TRUE(eventually([&] {
        const std::vector<std::string> there = shims_of(dir_, pid_);
        return there.size() <= idle_shims_after_burst && std::ranges::all_of(there, waits);
    }, 30)) << shims_of(dir_, pid_).size();
    EXPECT_EQ(mounts_below(dir_), mounts_before_);
    EXPECT_TRUE(
        eventually([&] { return entries_in(state_dir() + "/plugins/storage/rootfs") == 0; }));
    EXPECT_TRUE(eventually([&] { return entries_in(state_dir() + "/plugins/storage/tmp") == 0; }));
    for (const std::string& id : ids) {
        const std::string below = "/plugins/container/" + id;
        EXPECT_TRUE(eventually([&] {
            return !fs::exists(runtime_dir() + below) && !fs::exists(state_dir() + below);
        })) << id;
    }
}

}  // namespace noded::test

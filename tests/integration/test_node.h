// TestNode: a real noded with real plugins in directories of its own, driven by the real nodectl.
//
// The runtime directory stands on a private tmpfs, as on a user's machine. At the end everything is
// removed, and what noded should have removed but did not is a failure: mounts, cgroups, processes,
// directories.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace noded::test {

struct Ran {
    int exit_code = -1;      ///< 128 + n for a signal
    std::string out;
    std::string err;
};

/// Runs a program to its end; `input` is its standard input.
Ran run_program(const std::vector<std::string>& argv, const std::string& input = "");

/// A program under way, with pipes.
class Running {
public:
    explicit Running(const std::vector<std::string>& argv);
    ~Running();
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    pid_t pid() const { return pid_; }
    void write(const std::string& text);
    void close_input();
    /// Reads until `text` was seen on standard output or `seconds` passed.
    bool read_until(const std::string& text, int seconds = 10);
    const std::string& out() const { return out_; }
    Ran wait();

private:
    pid_t pid_ = -1;
    int in_ = -1;
    int from_out_ = -1;
    int from_err_ = -1;
    std::string out_;
};

/// The children of a process that have this name.
std::vector<std::string> children_of(pid_t parent, const std::string& name);

/// Shims that wait for containers at most, as the product has it.
constexpr size_t idle_shims = 4, idle_shims_after_burst = 16;

class TestNode {
public:
    TestNode();
    ~TestNode();
    TestNode(const TestNode&) = delete;
    TestNode& operator=(const TestNode&) = delete;

    /// Starts noded and waits until it is ready. `extra` are further arguments.
    void start(const std::vector<std::string>& extra = {});
    void stop();             ///< SIGTERM, waits
    void kill();             ///< SIGKILL, waits
    bool running() const { return pid_ > 0; }
    pid_t pid() const { return pid_; }
    /// What noded said on standard error so far, over all its lives.
    std::string diagnostics() const;

    Ran nodectl(std::vector<std::string> arguments, const std::string& input = "") const;
    /// nodectl and its arguments, for Running.
    std::vector<std::string> command(std::vector<std::string> arguments) const;
    /// The trimmed output of a nodectl that must succeed.
    std::string ok(std::vector<std::string> arguments) const;

    /// Imports the busybox image as `name`.
    void import_busybox(const std::string& name = "busybox");

    /// Removes all containers and checks that nothing is left of any; called by the destructor as
    /// well.
    void expect_nothing_left();

    /// Pids of its shims, also of those that an earlier noded left behind.
    std::vector<std::string> shims() const;

    std::string dir() const { return dir_; }
    std::string state_dir() const { return dir_ + "/state"; }
    std::string runtime_dir() const { return dir_ + "/run"; }
    std::string plugin_dir() const { return dir_ + "/plugins"; }

private:
    std::string dir_;
    pid_t pid_ = -1;
    std::string mounts_before_;
};

/// One node with busybox for all tests of a file; each test removes what it made.
struct SharedNodeTest : testing::Test {
    static void SetUpTestSuite() {
        node = new TestNode;
        node->start();
        node->import_busybox();
    }
    static void TearDownTestSuite() {
        delete node;
        node = nullptr;
    }
    void TearDown() override { node->expect_nothing_left(); }

    inline static TestNode* node = nullptr;
};

/// The file of a data dependency of the test: "agent/noded".
std::string built(const std::string& path);

std::string trimmed(std::string text);
std::string read_text(const std::string& path);

/// Tries until it holds or `seconds` passed.
template <typename Condition>
bool eventually(Condition condition, int seconds = 10);

void sleep_ms(int ms);

/// The lines of the mount table that name `dir`: other tests mount at the same time.
std::string mounts_below(const std::string& dir);

template <typename Condition>
bool eventually(Condition condition, int seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < end) {
        if (condition()) return true;
        sleep_ms(10);
    }
    return condition();
}

}  // namespace noded::test

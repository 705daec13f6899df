// What befalls a node from outside while clients are at work (storm_test): its shims and children
// are killed or stopped, containers are frozen or killed by somebody else, their groups are
// removed, a plugin comes and goes, the disk is full. Not noded's own end, which the storm itself
// brings.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/integration/test_node.h"

namespace noded::test {

class Strikes {
public:
    /// `fills_disk`: the state directory is a file system of the test's own.
    Strikes(const TestNode& node, unsigned seed, bool fills_disk)
        : node_(node), random_(seed), fills_disk_(fills_disk) {}
    ~Strikes() { relent(); }

    /// One at random, and what was held back for long enough goes on.
    void strike();
    /// All goes on.
    void relent() { let_go(Time::max()); }
    /// How often each was done.
    std::string told() const;

private:
    using Time = std::chrono::steady_clock::time_point;
    struct Held {
        Time until;
        std::function<void()> let_go;
    };

    unsigned below(unsigned bound) { return unsigned(random_() % bound); }
    pid_t one_of(const std::vector<pid_t>& pids) {
        return pids.empty() ? 0 : pids[below(unsigned(pids.size()))];
    }
    void let_go(Time now);
    void hold(unsigned ms_max, std::function<void()> let_go);
    void signal(const char* what, pid_t pid, int signal);
    void stop(const char* what, pid_t pid, unsigned ms_max);
    void freeze(pid_t first);
    void remove_groups();
    void change_plugins();
    void fill_disk();
    /// First processes of containers.
    std::vector<pid_t> firsts() const;
    /// Replicas, readers of the past, helpers.
    std::vector<pid_t> helpers() const;

    const TestNode& node_;
    std::mt19937 random_;
    const bool fills_disk_;
    std::vector<Held> held_;
    std::map<std::string, unsigned> done_;
};

}  // namespace noded::test

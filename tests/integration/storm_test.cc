// A storm of random verbs: several clients do what they like to the same few containers, while
// noded and shims are killed in between. In the end everything is removed, and mounts, cgroups,
// namespaces, processes, directories and state agree.
//
// The seed is printed with the words that repeat it; each client's verbs follow from it, though not
// how they meet. A long one: --test_env=NODED_STORM_SECONDS=600 --test_timeout=1200.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>

#include "tests/integration/storm_checks.h"
#include "tests/integration/storm_verbs.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kClients = 4;
constexpr int kSecondsDefault = 8;
/// A verb that takes so long hangs: nothing of the storm's waits for more than a second.
const char* const kPatienceSeconds = "100";

int number_from(const char* variable, int otherwise) {
    const char* given = getenv(variable);
    return given != nullptr ? atoi(given) : otherwise;
}

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += word + " ";
    return out;
}

std::string lines(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += "\n  " + word;
    return out;
}

class Storm {
public:
    explicit Storm(unsigned seed) : seed_(seed), random_(seed), traces_(node_) {
        // So that most starts begin from a snapshot.
        std::ofstream(node_.dir() + "/config.json") << "{\"snapshotEveryEvents\": 40}";
        start();
        node_.import_busybox();
        node_.ok({"run", "--rm", "--network", "none", "busybox", "true"});
        node_.ok({"stats", "--no-stream"});
        EXPECT_TRUE(eventually([this] { return node_.shims().size() == idle_shims; }, 60));
        fresh_descriptors_ = open_descriptors(node_.pid());
    }

    /// With what strikes noded and shims meanwhile, or without.
    void blow(int seconds, bool strikes) {
        over_ = false;
        std::vector<std::thread> clients;
        for (unsigned i = 0; i < kClients; ++i)
            clients.emplace_back([this, i, strikes] { client(i, strikes); });
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
        while (std::chrono::steady_clock::now() < end) {
            if (strikes) strike();
            else sleep_ms(100);
        }
        over_ = true;
        // Who waits for one that somebody paused or stopped would wait for ever.
        std::atomic<bool> joined = false;
        std::thread helper([&] {
            while (!joined) let_go();
        });
        for (std::thread& each : clients) each.join();
        joined = true;
        helper.join();
        std::cout << done_ << " verbs, " << kills_ << " kills of noded, " << shim_kills_
                  << " of shims" << std::endl;
    }

    /// While there still are containers.
    void check_restart() {
        calm_down();
        expect_none("a restart of noded changes the state", [this] {
            const std::string before = states();
            node_.kill();
            start();
            const std::string after = states();
            return before == after ? Words{} : Words{before, "became", after};
        });
        expect_none("state and kernel disagree", [this] { return agreement_faults(node_); });
    }

    /// Removes them all.
    void check_end() {
        traces_.note();
        EXPECT_TRUE(eventually([this] {
            remove_all();
            return trimmed(node_.nodectl({"ps", "-aq"}).out).empty();
        }, 60)) << node_.ok({"ps", "-a"});
        expect_none("the history is not whole",
                    [this] { return history_faults(node_.nodectl({"events", "-o", "json"}).out); });
        expect_none("something is left", [this] { return traces_.left(); });
        const std::string said = node_.diagnostics();
        EXPECT_FALSE(says(said, "remove what is left of container")) << said;
        node_.ok({"image", "prune", "-af"});
        EXPECT_TRUE(eventually([this] {
            return fs::is_empty(node_.state_dir() + "/plugins/storage/layers");
        }, 60));
        node_.expect_nothing_left();
        compare_descriptors();
        node_.stop();
        for (const std::string& parent : traces_.cgroup_parents())
            ADD_FAILURE() << parent << " is left: " << run_program({"/bin/ls", parent}).out;
        start();
    }

private:
    using Words = std::vector<std::string>;

    void start() { node_.start({"--config", node_.dir() + "/config.json"}); }

    /// Nothing shall happen by itself any more: no restart, no action of a health check.
    void calm_down() {
        for (const std::string& id : lines_of(node_.nodectl({"ps", "-aq"}).out)) {
            node_.nodectl({"update", "--restart", "no", id});
            const Ran checked =
                node_.nodectl({"inspect", "-f", "{{len .Config.Healthcheck.Test}}", id});
            if (checked.exit_code == 0) node_.nodectl({"rm", "-f", id});
        }
    }

    std::string states() {
        Words words = {"inspect", "-f",
                       "{{.Id}} {{.Name}} {{.State.Status}} {{.State.Pid}} {{.State.ExitCode}} "
                       "{{.State.StartedAt}} {{.State.FinishedAt}} {{.RestartCount}} "
                       "{{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}}"};
        const Words ids = lines_of(node_.nodectl({"ps", "-aq", "--no-trunc"}).out);
        if (ids.empty()) return {};
        words.insert(words.end(), ids.begin(), ids.end());
        return node_.nodectl(words).out;
    }

    template <typename Look>
    void expect_none(const char* what, Look look) {
        std::vector<std::string> found;
        EXPECT_TRUE(eventually([&] { return (found = look()).empty(); }, 30))
            << what << ":" << lines(found) << "\n" << node_.diagnostics();
    }

    /// One that lived through verbs has no more open than one that has just begun. What a client
    /// gave before it was killed, without a command that it is for, is dropped after a minute.
    void compare_descriptors() {
        Words lived;
        EXPECT_TRUE(eventually([&] {
            lived = open_descriptors(node_.pid());
            return lived.size() <= fresh_descriptors_.size() + 4;
        }, 90)) << lines(lived) << "\nbut" << lines(fresh_descriptors_);
    }

    /// In a calm nobody is killed: what a client gave without its command would stay for a minute.
    void client(unsigned index, bool kills) {
        std::mt19937 random(seed_ + 1 + index);
        const std::string folder = node_.dir() + "/client-" + std::to_string(index);
        fs::create_directory(folder);
        std::ofstream(folder + "/in") << "in";
        while (!over_) {
            const StormVerb verb = random_verb(random, folder);
            if (verb.killed_after_ms > 0 && !kills) continue;
            const Ran ran = run(verb);
            ++done_;
            fs::remove_all(folder + "/out");
            const bool hangs = verb.killed_after_ms == 0 && ran.exit_code == 124;
            const bool crashed = ran.exit_code == 128 + SIGSEGV || ran.exit_code == 128 + SIGABRT;
            if (hangs || crashed) {
                ADD_FAILURE() << joined(verb.words) << (hangs ? "hangs" : "crashed") << ": "
                              << ran.err << "\n" << node_.diagnostics();
                return;
            }
            if (ran.exit_code != 0) sleep_ms(5);  // noded may be away
        }
    }

    Ran run(const StormVerb& verb) {
        std::vector<std::string> argv = {"/usr/bin/timeout", "-k", "2", kPatienceSeconds};
        if (verb.killed_after_ms > 0)
            argv = {"/usr/bin/timeout", "-s", "KILL",
                    std::to_string(verb.killed_after_ms / 1000.0)};
        const std::vector<std::string> command = node_.command(verb.words);
        argv.insert(argv.end(), command.begin(), command.end());
        return run_program(argv);
    }

    void strike() {
        sleep_ms(100 + int(random_() % 700));
        traces_.note();
        switch (random_() % 8) {
            case 0:
            case 1:
            case 2:
            case 3: return restart_noded();
            case 4:
            case 5: return signal_shim(SIGKILL);
            case 6: return signal_shim(SIGSTOP);
            default: return;
        }
    }

    void restart_noded() {
        siginfo_t info{};
        waitid(P_PID, id_t(node_.pid()), &info, WEXITED | WNOHANG | WNOWAIT);
        ASSERT_EQ(info.si_pid, 0) << "noded ended by itself:\n" << node_.diagnostics();
        node_.kill();
        ++kills_;
        if (random_() % 4 == 0) sleep_ms(int(random_() % 300));
        start();
        // Again, while it looks at what it found.
        if (random_() % 4 != 0) return;
        usleep(useconds_t(random_() % 30'000));
        node_.kill();
        ++kills_;
        start();
    }

    /// One that is stopped goes on soon.
    void signal_shim(int signal) {
        const std::vector<std::string> shims = node_.shims();
        if (shims.empty()) return;
        const pid_t pid = atoi(shims[random_() % shims.size()].c_str());
        ::kill(pid, signal);
        if (signal == SIGKILL) ++shim_kills_;
        if (signal == SIGSTOP) sleep_ms(int(random_() % 200));
        if (signal == SIGSTOP) ::kill(pid, SIGCONT);
    }

    void let_go() {
        for (const std::string& id : lines_of(node_.nodectl({"ps", "-q"}).out)) {
            node_.nodectl({"unpause", id});
            node_.nodectl({"kill", "-s", "CONT", id});
        }
        sleep_ms(50);
    }

    void remove_all() {
        for (const std::string& id : lines_of(node_.nodectl({"ps", "-aq"}).out))
            node_.nodectl({"rm", "-f", id});
        sleep_ms(50);
    }

    unsigned seed_;
    std::mt19937 random_;
    TestNode node_;
    StormTraces traces_;
    Words fresh_descriptors_;
    std::atomic<bool> over_ = false;
    std::atomic<unsigned> done_ = 0;
    unsigned kills_ = 0;
    unsigned shim_kills_ = 0;
};

TEST(Storm, after_random_verbs_and_kills_nothing_is_left_and_all_agree) {
    const auto seed = unsigned(number_from("NODED_STORM_SEED", int(std::random_device{}() >> 1)));
    const int seconds = number_from("NODED_STORM_SECONDS", kSecondsDefault);
    const std::string again = "repeat with --test_env=NODED_STORM_SEED=" + std::to_string(seed) +
                              " --test_env=NODED_STORM_SECONDS=" + std::to_string(seconds);
    std::cout << again << std::endl;
    SCOPED_TRACE(again);
    Storm storm(seed);
    storm.blow(seconds, true);
    storm.check_restart();
    storm.blow(1 + seconds / 5, false);
    storm.check_end();
}

/// The folders of a container go in the turns after its removal was told; there are none after the
/// last.
TEST(Storm, noded_that_stops_just_after_a_removal_leaves_no_cgroup) {
    TestNode node;
    node.start();
    node.import_busybox();
    StormTraces traces(node);
    node.ok({"run", "-d", "--name", "cc", "--network", "none", "busybox", "sleep", "1000"});
    ASSERT_TRUE(eventually([&] {
        traces.note();
        return !traces.cgroup_parents().empty();
    }));
    for (int round = 0; round < 5; ++round) {
        if (round > 0)
            node.ok({"run", "-d", "--name", "cc", "--network", "none", "busybox", "true"});
        node.ok({"rm", "-f", "cc"});
        node.stop();
        for (const std::string& parent : traces.cgroup_parents())
            ADD_FAILURE() << parent << " is left";
        node.start();
    }
}

}  // namespace
}  // namespace noded::test

// A thousand seeds in ops/test, the same bytes for the same seed, and canaries: what is broken on
// purpose must be caught, or the checkers prove nothing.
#include <gtest/gtest.h>

#include <cstdio>

#include "agent/base/logger.h"
#include "tests/sim/run.h"

namespace noded::sim {
namespace {

Workload workload(const std::string& name) {
    set_log_threshold(Severity::none);
    auto read = read_workload("tests/sim/workloads/" + name);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    return *read;
}

Outcome run_said(const Workload& of, uint64_t seed) {
    printf("seed %llu; repeat: bazel-bin/tests/sim/soak --seeds 1 --seed %llu "
           "tests/sim/workloads/%s\n",
           static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed),
           of.name.c_str());
    fflush(stdout);
    return run(of, seed);
}

constexpr uint64_t kSeedsPerTest = 50;

class Seeds : public testing::TestWithParam<uint64_t> {};

TEST_P(Seeds, crashes_lose_nothing_and_all_checkers_agree) {
    const Workload crash = workload("crash.json");
    uint64_t events = 0, runs = 0, execs = 0;
    for (uint64_t i = 0; i < kSeedsPerTest; ++i) {
        const uint64_t seed = GetParam() * kSeedsPerTest + i;
        const Outcome outcome = run_said(crash, seed);
        ASSERT_EQ(outcome.failure, "") << "seed " << seed;
        events += outcome.events;
        runs += outcome.runs;
        execs += outcome.execs;
    }
    EXPECT_GT(events, 30 * kSeedsPerTest) << "the workload does too little";
    EXPECT_GT(runs, 5 * kSeedsPerTest);
    EXPECT_GT(execs, kSeedsPerTest / 4);
}

INSTANTIATE_TEST_SUITE_P(Thousand, Seeds, testing::Range(uint64_t{0}, uint64_t{20}));

TEST(Sim, faults_of_every_kind_occur_and_lose_nothing) {
    std::map<std::string, uint64_t> occurred;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
        const Outcome outcome = run_said(workload("faults.json"), seed);
        EXPECT_EQ(outcome.failure, "");
        for (const auto& [fault, times] : outcome.occurred) occurred[fault] += times;
    }
    for (const char* fault :
         {"kill", "power", "power_within_change", "torn_write", "lost_write", "sync_error",
          "slow_sync", "disk_full", "clock_jump", "duplicate", "lost", "reordered",
          "start_failure", "slow_start", "oom_kill", "shim_killed", "pid_reuse", "mount_busy",
          "spawn_failure", "storage_error", "plugin_error", "crash_within_effect"})
        EXPECT_GT(occurred[fault], 0u) << fault << " never occurred";
}

TEST(Sim, a_damaged_log_is_refused_or_right) {
    const Workload damage = workload("damage.json");
    uint64_t refused = 0, rotten = 0, misdirected = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Outcome outcome = run_said(damage, seed);
        EXPECT_EQ(outcome.failure, "");
        refused += outcome.refused;
        rotten += outcome.occurred["bit_rot"];
        misdirected += outcome.occurred["misdirected_write"];
    }
    EXPECT_GT(refused, 0u) << "no damage was found";
    EXPECT_GT(rotten, 0u);
    EXPECT_GT(misdirected, 0u);
}

/// Runs the first seeds of a workload; each of `faults` must be met. The result: how many archives
/// there are at the end.
uint64_t expect_met(const char* name, const std::vector<const char*>& faults) {
    const Workload of = workload(name);
    std::map<std::string, uint64_t> occurred;
    uint64_t archives = 0;
    for (uint64_t seed = 1; seed <= 15; ++seed) {
        const Outcome outcome = run_said(of, seed);
        EXPECT_EQ(outcome.failure, "");
        archives += outcome.archives;
        for (const auto& [fault, times] : outcome.occurred) occurred[fault] += times;
    }
    for (const char* fault : faults) EXPECT_GT(occurred[fault], 0u) << fault << " never occurred";
    return archives;
}

TEST(Sim, all_history_is_read_through_archives_wherever_their_making_ends) {
    EXPECT_GT(expect_met("archive.json", {"power_within_archive", "torn_archive", "kill",
                                          "power_within_change"}),
              15u);
}

TEST(Sim, archives_that_fail_or_rot_harm_nothing_else) {
    EXPECT_GT(expect_met("archive_faults.json",
                         {"misdirected_archive", "archive_rot", "disk_full",
                          "power_within_archive", "torn_archive"}),
              15u);
}

TEST(Sim, snapshots_that_fail_let_nothing_go_and_a_log_that_is_full_comes_back) {
    EXPECT_EQ(expect_met("snapshot_faults.json",
                         {"misdirected_snapshot", "power_within_snapshot", "torn_snapshot",
                          "disk_full", "refused_for_room", "power_within_release", "name_back",
                          "kill"}),
              0u);
}

/// Whatever is let go for a snapshot that was never read back is gone; and what such a one takes of
/// the limit is needed for the one that leads out.
TEST(Sim, snapshots_that_are_never_right_let_nothing_go_and_take_no_room) {
    Workload with = workload("snapshot_faults.json");
    with.node.misdirected_snapshot = 1;
    for (uint64_t seed = 0; seed < 10; ++seed) EXPECT_EQ(run_said(with, seed).failure, "");
}

TEST(Sim, the_same_seed_gives_the_same_bytes) {
    for (const char* name : {"crash.json", "faults.json", "damage.json", "archive.json",
                             "archive_faults.json", "snapshot_faults.json"}) {
        const Workload of = workload(name);
        const Outcome first = run_said(of, 7);
        EXPECT_EQ(first.hash, run_said(of, 7).hash) << name;
        EXPECT_NE(first.hash, run_said(of, 8).hash) << name;
    }
}

/// The failures of ten seeds.
std::string failures_of(Broken broken, Workload with = workload("crash.json")) {
    with.node.broken = broken;
    std::string failures;
    for (uint64_t seed = 0; seed < 10; ++seed) failures += run_said(with, seed).failure + "\n";
    return failures;
}

void expect_caught(const std::string& failures, const std::string& sentence) {
    EXPECT_NE(failures.find(sentence), std::string::npos) << failures;
}

TEST(SimCanary, a_fold_that_depends_on_more_than_the_event_is_caught) {
    expect_caught(failures_of(Broken::fold), "differs from what is folded");
}

TEST(SimCanary, an_answer_before_the_sync_is_caught) {
    expect_caught(failures_of(Broken::gate), "durable");
}

TEST(SimCanary, a_retry_that_is_decided_again_is_caught) {
    expect_caught(failures_of(Broken::memory), "tells of a sender again");
}

TEST(SimCanary, a_folder_that_is_left_is_caught) {
    Workload with = workload("crash.json");
    with.node.kernel.folder_left = 0.5;
    expect_caught(failures_of(Broken::nothing, with), "belongs to no container");
}

TEST(SimCanary, a_segment_that_goes_without_its_archive_is_caught) {
    expect_caught(failures_of(Broken::archive, workload("archive.json")),
                  "though nothing of it may go");
}

TEST(SimCanary, a_publication_that_is_forgotten_is_caught) {
    expect_caught(failures_of(Broken::outbox), "publication ");
}

}  // namespace
}  // namespace noded::sim

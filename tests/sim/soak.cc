// soak: runs seeds for as long as told, each in a process of its own, and prints those that fail.
//     soak [--seconds N | --seeds N] [--seed S] [--trace] WORKLOAD...
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "agent/base/logger.h"
#include "tests/sim/run.h"

int main(int argc, char** argv) {
    uint64_t seed = 1, seeds = UINT64_MAX, failed = 0, done = 0;
    time_t seconds = 60;
    bool traced = false;
    std::vector<noded::sim::Workload> workloads;
    for (int i = 1; i < argc; ++i) {
        const bool more = i + 1 < argc;
        if (more && strcmp(argv[i], "--seconds") == 0) seconds = atol(argv[++i]);
        else if (more && strcmp(argv[i], "--seed") == 0) seed = strtoull(argv[++i], nullptr, 10);
        else if (strcmp(argv[i], "--trace") == 0) traced = true;
        else if (more && strcmp(argv[i], "--seeds") == 0) seeds = strtoull(argv[++i], nullptr, 10);
        else {
            auto workload = noded::sim::read_workload(argv[i]);
            if (!workload) return fprintf(stderr, "%s\n", workload.error().message.c_str()), 2;
            workload->node.broken = noded::sim::Broken::nothing;
            workloads.push_back(std::move(*workload));
            workloads.back().name = argv[i];
        }
    }
    if (workloads.empty())
        return fprintf(stderr, "soak [--seconds N | --seeds N] [--seed S] [--trace] WORKLOAD...\n"),
               2;
    noded::set_log_threshold(traced ? noded::Severity::info : noded::Severity::none);
    printf("first seed %llu; repeat: bazel-bin/tests/sim/soak --seed %llu --seeds 1 WORKLOAD\n",
           static_cast<unsigned long long>(seed), static_cast<unsigned long long>(seed));
    fflush(stdout);
    for (const time_t end = time(nullptr) + seconds; done < seeds && time(nullptr) < end; ++seed) {
        const auto& workload = workloads[seed % workloads.size()];
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);   // a run that does not come to rest has failed too
            const auto outcome = noded::sim::run(workload, seed, traced);
            if (seeds == 1 || !outcome.failure.empty())
                printf("seed %llu: %s (%llu events, %llu runs, %llu execs, %llu starts of nodes, "
                       "%llu refused, %llu archives, hash %016llx)\n",
                       static_cast<unsigned long long>(seed),
                       outcome.failure.empty() ? "good" : outcome.failure.c_str(),
                       static_cast<unsigned long long>(outcome.events),
                       static_cast<unsigned long long>(outcome.runs),
                       static_cast<unsigned long long>(outcome.execs),
                       static_cast<unsigned long long>(outcome.restarts),
                       static_cast<unsigned long long>(outcome.refused),
                       static_cast<unsigned long long>(outcome.archives),
                       static_cast<unsigned long long>(outcome.hash));
            fflush(stdout);
            _exit(outcome.failure.empty() ? 0 : 1);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child) return perror("fork"), 2;
        ++done;
        if (status == 0) continue;
        ++failed;
        if (WIFSIGNALED(status))
            printf("seed %llu ended by signal %d\n", static_cast<unsigned long long>(seed),
                   WTERMSIG(status));
        printf("FAILED; repeat: bazel-bin/tests/sim/soak --seeds 1 --seed %llu %s\n",
               static_cast<unsigned long long>(seed), workload.name.c_str());
        fflush(stdout);
    }
    printf("%llu seeds, %llu failed\n", static_cast<unsigned long long>(done),
           static_cast<unsigned long long>(failed));
    return failed == 0 ? 0 : 1;
}

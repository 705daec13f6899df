// The benchmarks of the log, each in a file of its own: chooses one. Run by bench/compare/run.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench/log/harness.h"

namespace {

struct Benchmark {
    std::string_view name;
    noded::Status (*run)(const noded::bench::Arguments&);
};

constexpr Benchmark kBenchmarks[] = {
    {"one", noded::bench::one_at_a_time},
    {"append", noded::bench::append_in_flight},
    {"commands", noded::bench::commands_in_flight},
    {"replay", noded::bench::replay},
};

int usage() {
    fprintf(stderr,
            "usage: log_bench one|append|commands|replay --dir=DIRECTORY [--events=N]\n"
            "  one       one client, one durable event or command at a time\n"
            "  append    durable events of 256 bytes, 1,000 in flight\n"
            "  commands  the same through decide and fold; ends in kill -9, and checks the log\n"
            "  replay    folds the log that 'append' or 'commands' left\n");
    return 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return usage();
    noded::bench::Arguments arguments;
    for (int i = 2; i < argc; ++i) {
        const std::string_view word = argv[i];
        if (word.starts_with("--dir=")) arguments.dir = argv[i] + 6;
        else if (word.starts_with("--events="))
            arguments.events = strtoull(argv[i] + 9, nullptr, 10);
        else return usage();
    }
    if (arguments.dir.empty()) return usage();
    for (const Benchmark& benchmark : kBenchmarks) {
        if (benchmark.name != argv[1]) continue;
        const noded::Status status = benchmark.run(arguments);
        if (!status) fprintf(stderr, "log_bench: %s\n", status.error().message.c_str());
        return status ? 0 : 1;
    }
    return usage();
}

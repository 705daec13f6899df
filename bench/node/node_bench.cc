// The benchmarks of a whole node and the same load for its peers: chooses one. Run by
// bench/compare/run.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "bench/node/harness.h"

namespace {

struct Benchmark {
    std::string_view name;
    noded::Status (*run)(const noded::bench::Arguments&);
};

constexpr Benchmark kBenchmarks[] = {
    {"put", noded::bench::put_load},
    {"check", noded::bench::check_told},
    {"fill", noded::bench::fill},
    {"pause", noded::bench::snapshot_pause},
    {"quiet", noded::bench::quiet_pause},
    {"late", noded::bench::late_pause},
    {"first-answer", noded::bench::first_answer},
    {"list", noded::bench::list_containers},
    {"redis", noded::bench::redis_load},
    {"etcd", noded::bench::etcd_load},
};

int usage() {
    fprintf(stderr,
            "usage: node_bench VERB --host=HOST [OPTION...]\n"
            "  put           --outstanding=N --seconds=S [--told=FILE --kill=PID]\n"
            "  check         --told=FILE: each command that 'put' noted is in the log, once\n"
            "  fill          --objects=N\n"
            "  pause         --objects=N: an open-loop client while a snapshot is taken\n"
            "  quiet         --objects=N: the same while nothing happens\n"
            "  late          --objects=N -- FROM TO: the same while a plugin that is moved there "
            "folds the history\n"
            "  first-answer  -- NODED ARGUMENT...: from exec to the first answered call\n"
            "  list          all containers, many times: how long one list takes\n"
            "  redis, etcd   --outstanding=N --connections=N --seconds=S\n");
    return 2;
}

bool read_option(std::string_view word, noded::bench::Arguments& to) {
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string_view name = word.substr(0, equals);
    const std::string value(word.substr(equals + 1));
    if (name == "--host") to.host = value;
    else if (name == "--told") to.told = value;
    else if (name == "--outstanding") to.outstanding = strtoull(value.c_str(), nullptr, 10);
    else if (name == "--connections") to.connections = strtoull(value.c_str(), nullptr, 10);
    else if (name == "--objects") to.objects = strtoull(value.c_str(), nullptr, 10);
    else if (name == "--seconds") to.seconds = strtod(value.c_str(), nullptr);
    else if (name == "--kill") to.kill = atoi(value.c_str());
    else return false;
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return usage();
    noded::bench::Arguments arguments;
    for (int i = 2; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--") {
            arguments.command.assign(argv + i + 1, argv + argc);
            break;
        }
        if (!read_option(argv[i], arguments)) return usage();
    }
    if (arguments.host.empty() || arguments.outstanding == 0 || arguments.connections == 0)
        return usage();
    for (const Benchmark& benchmark : kBenchmarks) {
        if (benchmark.name != argv[1]) continue;
        const noded::Status status = benchmark.run(arguments);
        if (!status) fprintf(stderr, "node_bench: %s\n", status.error().message.c_str());
        return status ? 0 : 1;
    }
    return usage();
}

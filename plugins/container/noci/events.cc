// events: figures of a container every few seconds, and what befalls its memory; and update: other
// limits for one that is there.
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <utility>

#include "plugins/container/noci/command.h"
#include "plugins/container/noci/container.h"
#include "plugins/container/noci/limits.h"
#include "plugins/container/noci/unit.h"

namespace noded::noci {
namespace {

/// Go's durations: "5s", "500ms", "1m30s".
Result<int64_t> parse_duration_ms(const std::string& text) {
    double total = 0;
    const char* at = text.c_str();
    while (*at != 0) {
        char* end = nullptr;
        const double number = strtod(at, &end);
        if (end == at) return fail("invalid duration \"" + text + "\"");
        std::string unit;
        while (isalpha(static_cast<unsigned char>(*end))) unit += *end++;
        const double scale = unit == "ms" ? 1 : unit == "s" ? 1e3 : unit == "m" ? 6e4
                             : unit == "h" ? 3.6e6 : unit == "us" ? 1e-3 : unit == "ns" ? 1e-6 : -1;
        if (scale < 0) return fail("invalid duration \"" + text + "\"");
        total += number * scale;
        at = end;
    }
    if (!(total > 0) || total > 1e12) return fail("duration interval must be greater than 0");
    return int64_t(std::ceil(total));
}

std::string event_of(const Container& container, const char* type, Json data) {
    Json event = {{"type", type}, {"id", container.id}};
    if (!data.is_null()) event["data"] = std::move(data);
    return event.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// "100M" as docker writes sizes; -1 is no limit.
Result<int64_t> parse_size(const std::string& text, const std::string& flag) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string unit(end, text.data() + text.size());
    for (char& c : unit) c = char(tolower(static_cast<unsigned char>(c)));
    int shift = -1;
    if (unit.empty() || unit == "b") shift = 0;
    for (const auto& [letter, bits] :
         {std::pair('k', 10), std::pair('m', 20), std::pair('g', 30), std::pair('t', 40)})
        if (unit == std::string(1, letter) || unit == std::string{letter, 'b'} ||
            unit == std::string{letter, 'i', 'b'})
            shift = bits;
    if (error != std::errc() || shift < 0 || number < -1 ||
        (shift > 0 && number > (INT64_MAX >> shift)))
        return fail("invalid value for " + flag + ": invalid size: '" + text + "'");
    return number < 0 ? number : number << shift;
}

struct UpdateOptions {
    std::string resources, memory, swap, reservation, kernel, kernel_tcp, cpus, mems;
    std::optional<int64_t> weight, period, quota, shares, rt_period, rt_runtime, pids, burst, idle;
    std::string cache_schema, bandwidth_schema;
};

Status put_size(Json& to, const char* key, const std::string& text, const char* flag) {
    if (!text.empty()) to[key] = TRY(parse_size(text, flag));
    return {};
}

void put(Json& to, const char* key, const std::optional<int64_t>& value) {
    if (value) to[key] = *value;
}

Result<Json> resources_of(const UpdateOptions& options) {
    if (!options.resources.empty()) {
        if (options.resources != "-") return read_json(options.resources, limits::config_bytes_max);
        const std::string name = "standard input";
        return parse_json(TRY(read_all(STDIN_FILENO, name, limits::config_bytes_max)), name);
    }
    Json memory = Json::object(), cpu = Json::object(), out = Json::object();
    TRY_STATUS(put_size(memory, "limit", options.memory, "memory"));
    TRY_STATUS(put_size(memory, "swap", options.swap, "memory-swap"));
    TRY_STATUS(put_size(memory, "reservation", options.reservation, "memory-reservation"));
    put(cpu, "period", options.period);
    put(cpu, "quota", options.quota);
    put(cpu, "shares", options.shares);
    put(cpu, "realtimePeriod", options.rt_period);
    put(cpu, "realtimeRuntime", options.rt_runtime);
    if (!options.cpus.empty()) cpu["cpus"] = options.cpus;
    if (!options.mems.empty()) cpu["mems"] = options.mems;
    put(cpu, "burst", options.burst);
    put(cpu, "idle", options.idle);
    out["memory"] = memory;
    out["cpu"] = cpu;
    if (options.weight) out["blockIO"] = {{"weight", *options.weight}};
    if (options.pids) out["pids"] = {{"limit", *options.pids}};
    return out;
}

std::vector<Flag> flags_of(UpdateOptions& options) {
    return {
        {"resources,r", &options.resources,
         "path to the file containing the resources to update or '-' to read from the standard "
         "input"},
        {"blkio-weight", &options.weight, "Specifies per cgroup weight, range is from 10 to 1000"},
        {"cpu-period", &options.period,
         "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default"},
        {"cpu-quota", &options.quota,
         "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period"},
        {"cpu-burst", &options.burst,
         "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for "
         "burst a given period"},
        {"cpu-share", &options.shares, "CPU shares (relative weight vs. other containers)"},
        {"cpu-rt-period", &options.rt_period,
         "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default"},
        {"cpu-rt-runtime", &options.rt_runtime,
         "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period"},
        {"cpuset-cpus", &options.cpus, "CPU(s) to use"},
        {"cpuset-mems", &options.mems, "Memory node(s) to use"},
        {"cpu-idle", &options.idle,
         "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE"},
        {"kernel-memory", &options.kernel, "(obsoleted; do not use)"},
        {"kernel-memory-tcp", &options.kernel_tcp, "(obsoleted; do not use)"},
        {"memory", &options.memory, "Memory limit (in bytes)"},
        {"memory-reservation", &options.reservation, "Memory reservation or soft_limit (in bytes)"},
        {"memory-swap", &options.swap,
         "Total memory usage (memory + swap); set '-1' to enable unlimited swap"},
        {"pids-limit", &options.pids, "Maximum number of pids allowed in the container"},
        {"l3-cache-schema", &options.cache_schema,
         "The string of Intel RDT/CAT L3 cache schema"},
        {"mem-bw-schema", &options.bandwidth_schema,
         "The string of Intel RDT/MBA memory bandwidth schema"}};
}

}  // namespace

Result<int> events_command(Call& call) {
    std::string interval = "5s";
    bool stats = false;
    const Flag flags[] = {{"interval", &interval, "set the stats collection interval"},
                          {"stats", &stats, "display the container's stats then exit"}};
    PARSE(call, flags);
    const int64_t interval_ms = TRY(parse_duration_ms(interval));
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    const ContainerStatus status = container.status();
    if (status == ContainerStatus::stopped)
        return fail("container with id " + container.id + " is not running");
    if (stats) {
        print(event_of(container, "stats", container.cgroups.stats()));
        return 0;
    }
    const Fd process(int(syscall(SYS_pidfd_open, container.pid, 0)));
    bool oom = false;
    for (;;) {
        pollfd ended = {process.get(), POLLIN, 0};
        // Out-of-memory kills are looked for more often than figures are told.
        for (int64_t left = interval_ms; left > 0; left -= 500) {
            if (poll(&ended, 1, int(std::min<int64_t>(left, 500))) > 0) return 0;
            if (container.cgroups.oom_killed() && !std::exchange(oom, true))
                print(event_of(container, "oom", Json()));
        }
        print(event_of(container, "stats", container.cgroups.stats()));
    }
}

Result<int> update_command(Call& call) {
    UpdateOptions options;
    PARSE(call, flags_of(options));
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    Json resources = TRY(resources_of(options));
    if (container.status() == ContainerStatus::stopped)
        return fail("container not running");
    TRY_STATUS(check_resources(resources, "resources:"));
    const bool shares = !options.cache_schema.empty() || !options.bandwidth_schema.empty();
    if (shares)
        TRY_STATUS(change_rdt_group(container.rdt, options.cache_schema, options.bandwidth_schema));
    if (!container.systemd_unit.empty()) TRY_STATUS(limit_unit(container, resources));
    TRY_STATUS(container.cgroups.limit(resources));
    return 0;
}

}  // namespace noded::noci

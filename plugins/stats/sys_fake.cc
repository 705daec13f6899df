// A kernel in memory, see sys_fake.h.
#include "plugins/stats/sys_fake.h"

#include <cerrno>
#include <utility>

namespace noded::stats {
namespace {

class FakeFile final : public File {
public:
    FakeFile(FakeSys& sys, std::string path) : sys_(sys), path_(std::move(path)) {
        ++sys_.open_now;
        ++sys_.opens;
        sys_.opened.insert(path_);
    }
    ~FakeFile() override { --sys_.open_now; }
    Result<std::string_view> read() override {
        ++sys_.reads;
        const auto found = sys_.files.find(path_);
        if (found == sys_.files.end()) return fail_errno(ENODEV, "read " + path_);
        return std::string_view(found->second);
    }

    bool changed() override {
        const auto found = sys_.files.find(path_);
        const std::string now = found != sys_.files.end() ? found->second : "";
        return std::exchange(seen_, now) != now;
    }

private:
    FakeSys& sys_;
    const std::string path_;
    std::string seen_;
};

class FakeCounters final : public Counters {
public:
    explicit FakeCounters(FakeSys& sys) : sys_(sys) {}
    Status watch(const Watch& watch) override {
        sys_.counted.try_emplace(watch.cgroup_id);
        sys_.watched = watch;
        return {};
    }
    void forget(uint64_t cgroup_id) override { sys_.counted.erase(cgroup_id); }
    void follow_scheduler(bool follow) override { sys_.scheduler_followed = follow; }
    const Table& read(bool) override { return sys_.counted; }
    bool reads_groups() const override { return sys_.groups_read; }
    KernelState state() const override { return {"kernel eBPF", ""}; }

private:
    FakeSys& sys_;
};

}  // namespace

bool FakeSys::measure(Filesystem& filesystem) {
    filesystem.size = 1000;
    filesystem.free = 400;
    filesystem.available = 300;
    return true;
}

uint64_t FakeSys::cgroup_id(const std::string& folder) {
    const auto found = cgroup_ids.find(folder);
    return found != cgroup_ids.end() && !cgroups_hidden ? found->second : 0;
}

Result<std::unique_ptr<Counters>> FakeSys::load_counters(const std::string&) {
    if (!counters_refusal.empty()) return fail(counters_refusal);
    return std::make_unique<FakeCounters>(*this);
}

Result<std::unique_ptr<File>> FakeSys::open(const std::string& path) {
    if (!files.contains(path)) return fail_errno(ENOENT, "open " + path);
    if (open_now >= files_allowed) return fail_errno(EMFILE, "open " + path);
    return std::make_unique<FakeFile>(*this, path);
}

void FakeSys::remove(const std::string& prefix) {
    std::erase_if(files, [&](const auto& entry) { return entry.first.starts_with(prefix); });
}

void fill_machine(FakeSys& sys, bool v2_only) {
    sys.files["/proc/self/mountinfo"] =
        v2_only ? "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                : "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
                  "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
                  "38 31 0:35 / /cg/blkio rw - cgroup cgroup rw,blkio\n"
                  "39 31 0:36 / /cg/pids rw - cgroup cgroup rw,pids\n"
                  "41 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n";
    sys.files["/proc/stat"] =
        "cpu  100 20 30 4000 5 6 7 8 0 0\ncpu0 50 0 0 0\ncpu1 50 0 0 0\nctxt 99\n"
        "btime 1700000000\nprocesses 12\nprocs_running 3\nprocs_blocked 1\n";
    sys.files["/proc/meminfo"] =
        "MemTotal:       1000 kB\nMemFree:   300 kB\nMemAvailable:   600 kB\nBuffers: 1 kB\n"
        "Cached:  2 kB\nSwapCached: 9 kB\nSwapTotal:   0 kB\nSwapFree:   0 kB\n";
    sys.files["/proc/loadavg"] = "0.50 1.25 2.00 1/100 1234\n";
    sys.files["/proc/diskstats"] =
        " 7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n 254 0 vda 10 0 80 5 20 0 160 7 0 9 12\n";
    sys.files["/proc/self/net/dev"] =
        "Inter-| Receive | Transmit\n face |bytes packets|bytes\n"
        "  lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
        "eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\n";
    for (const char* what : {"cpu", "memory", "io"})
        sys.files[std::string("/proc/pressure/") + what] =
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=11\n"
            "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
}

void fill_container(FakeSys& sys, bool v2_only, const std::string& id, uint32_t pid, uint64_t n,
                    const std::string& parent) {
    const std::string proc = "/proc/" + std::to_string(pid);
    const std::string group = parent + "/" + id;
    const std::string value = std::to_string(n);
    sys.files[proc + "/stat"] =
        std::to_string(pid) + " (sh) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0\n";
    sys.files[proc + "/net/dev"] =
        "  lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n"
        "eth0: " + value + " 2 0 0 0 0 0 0 " + value + " 4 0 0 0 0 0 0\n";
    const std::string v2 = (v2_only ? "/sys/fs/cgroup" : "/cg/unified") + group;
    sys.cgroup_ids[v2] = 1000 + pid;
    sys.files[v2 + "/cpu.stat"] = "usage_usec " + value + "\nuser_usec 3\nsystem_usec 4\n";
    for (const char* what : {"cpu", "memory", "io"})
        sys.files[v2 + "/" + what + ".pressure"] = "some avg10=0.00 total=5\n";
    if (v2_only) {
        sys.files[proc + "/cgroup"] = "0::" + group + "\n";
        sys.files[v2 + "/cpu.stat"] += "nr_periods 5\nnr_throttled 2\nthrottled_usec 6\n";
        sys.files[v2 + "/memory.current"] = value + "\n";
        sys.files[v2 + "/memory.stat"] = "anon 7\nfile 8\ninactive_file 1\npgfault 3\n";
        sys.files[v2 + "/memory.max"] = "max\n";
        sys.files[v2 + "/pids.current"] = "2\n";
        sys.files[v2 + "/pids.max"] = "100\n";
        sys.files[v2 + "/io.stat"] = "254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n";
        return;
    }
    sys.files[proc + "/cgroup"] =
        "5:cpu,cpuacct:" + group + "\n4:memory:" + group + "/made-inside\n3:blkio:" + group +
        "\n2:pids:" + group + "\n0::" + group + "\n";
    sys.files["/cg/cpu" + group + "/cpu.stat"] =
        "nr_periods 5\nnr_throttled 2\nthrottled_time 6000\n";
    sys.files["/cg/memory" + group + "/memory.usage_in_bytes"] = value + "\n";
    sys.files["/cg/memory" + group + "/memory.stat"] =
        "cache 100\nrss 100\ntotal_cache 8\ntotal_rss 7\ntotal_pgfault 3\ntotal_inactive_file 1\n";
    sys.files["/cg/memory" + group + "/memory.limit_in_bytes"] = "9223372036854771712\n";
    sys.files["/cg/pids" + group + "/pids.current"] = "2\n";
    sys.files["/cg/pids" + group + "/pids.max"] = "100\n";
    sys.files["/cg/blkio" + group + "/blkio.throttle.io_service_bytes_recursive"] =
        "254:0 Read 10\n254:0 Write 20\n254:0 Total 30\nTotal 30\n";
    sys.files["/cg/blkio" + group + "/blkio.throttle.io_serviced_recursive"] =
        "254:0 Read 1\n254:0 Write 2\n254:0 Total 3\nTotal 3\n";
}

}  // namespace noded::stats

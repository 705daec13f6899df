// The kernel's text into figures, see parse.h.
#include "plugins/stats/parse.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/base/proc_text.h"
#include "plugins/stats/limits.h"

namespace noded::stats {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kSectorBytes = 512;
/// The page counter's "no limit" in v1, rounded down to any page size.
constexpr uint64_t kUnlimitedMin = uint64_t{1} << 62;

/// Cuts the first line off.
std::string_view next_line(std::string_view& text) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

/// Cuts the first word off; empty at the end.
std::string_view next_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    const size_t end = std::min(line.find_first_of(" \t"), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
}

std::optional<uint64_t> number(std::string_view word) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end == word.data()) return std::nullopt;
    return value;
}

template <size_t N>
size_t numbers(std::string_view line, std::array<uint64_t, N>& out) {
    size_t count = 0;
    for (; count < N; ++count) {
        const auto value = number(next_word(line));
        if (!value) break;
        out[count] = *value;
    }
    return count;
}

}  // namespace

std::optional<uint64_t> value_of(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        std::string_view line = next_line(text);
        if (!line.starts_with(key)) continue;
        line.remove_prefix(key.size());
        if (!line.starts_with(' ') && !line.starts_with('\t')) continue;
        return number(next_word(line));
    }
    return std::nullopt;
}

std::optional<uint64_t> parse_value(std::string_view text) {
    const std::string_view line = next_line(text);
    if (line == "max") return 0;
    const auto value = number(line);
    return value && *value >= kUnlimitedMin ? std::optional<uint64_t>(0) : value;
}

std::optional<Cpu> parse_cpu_stat(std::string_view text) {
    const auto usage_us = value_of(text, "usage_usec");
    if (!usage_us) return std::nullopt;
    Cpu cpu;
    cpu.total_ns = *usage_us * 1000;
    cpu.user_ns = value_of(text, "user_usec").value_or(0) * 1000;
    cpu.system_ns = value_of(text, "system_usec").value_or(0) * 1000;
    cpu.periods = value_of(text, "nr_periods").value_or(0);
    cpu.throttled_periods = value_of(text, "nr_throttled").value_or(0);
    cpu.throttled_ns = value_of(text, "throttled_usec").value_or(0) * 1000;
    return cpu;
}

void parse_throttling_v1(std::string_view text, Cpu& cpu) {
    cpu.periods = value_of(text, "nr_periods").value_or(0);
    cpu.throttled_periods = value_of(text, "nr_throttled").value_or(0);
    cpu.throttled_ns = value_of(text, "throttled_time").value_or(0);
}

void parse_memory_stat(std::string_view text, bool v1, Memory& memory) {
    const auto get = [&](std::string_view v1_key, std::string_view v2_key) {
        return value_of(text, v1 ? v1_key : v2_key).value_or(0);
    };
    memory.inactive = get("total_inactive_file", "inactive_file");
    memory.cache = get("total_cache", "file");
    memory.rss = get("total_rss", "anon");
    memory.page_faults = get("total_pgfault", "pgfault");
    memory.major_page_faults = get("total_pgmajfault", "pgmajfault");
    memory.swap = get("total_swap", "swap");
    memory.mapped = get("total_mapped_file", "file_mapped");
}

/// "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6".
Io parse_io_stat(std::string_view text) {
    Io io;
    while (!text.empty()) {
        std::string_view line = next_line(text);
        for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
            const size_t equals = word.find('=');
            if (equals == std::string_view::npos) continue;
            const std::string_view key = word.substr(0, equals);
            const uint64_t value = number(word.substr(equals + 1)).value_or(0);
            if (key == "rbytes") io.read_bytes += value;
            if (key == "wbytes") io.write_bytes += value;
            if (key == "rios") io.reads += value;
            if (key == "wios") io.writes += value;
        }
    }
    return io;
}

/// "254:0 Read 4096", several lines per device; "Total 8192" at the end.
Io parse_blkio(std::string_view bytes, std::string_view operations) {
    Io io;
    const auto add = [](std::string_view text, uint64_t& reads, uint64_t& writes) {
        while (!text.empty()) {
            std::string_view line = next_line(text);
            next_word(line);
            const std::string_view kind = next_word(line);
            const uint64_t value = number(next_word(line)).value_or(0);
            if (kind == "Read") reads += value;
            if (kind == "Write") writes += value;
        }
    };
    add(bytes, io.read_bytes, io.write_bytes);
    add(operations, io.reads, io.writes);
    return io;
}

/// "some avg10=0.00 avg60=0.00 avg300=0.00 total=12".
std::optional<Pressure> parse_pressure(std::string_view text) {
    std::optional<Pressure> pressure;
    while (!text.empty()) {
        const std::string_view line = next_line(text);
        const size_t at = line.find("total=");
        if (at == std::string_view::npos) continue;
        if (!pressure) pressure.emplace();
        const uint64_t total = number(line.substr(at + 6)).value_or(0);
        (line.starts_with("full") ? pressure->full_us : pressure->some_us) = total;
    }
    return pressure;
}

/// "  eth0: 16 columns of numbers"; the two lines of the head have no colon before a number.
std::vector<Network> parse_net_dev(std::string_view text) {
    std::vector<Network> networks;
    while (!text.empty() && networks.size() < limits::networks_max) {
        std::string_view line = next_line(text);
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        std::string_view name = line.substr(0, colon);
        name = next_word(name);
        std::array<uint64_t, 16> values{};
        if (numbers(line.substr(colon + 1), values) < values.size()) continue;
        networks.push_back({std::string(name),
                            {values[0], values[1], values[2], values[3], values[8], values[9],
                             values[10], values[11]}});
    }
    return networks;
}

Net sum_of(const std::vector<Network>& networks) {
    Net sum;
    for (const auto& [name, net] : networks) {
        sum.received_bytes += net.received_bytes;
        sum.received_packets += net.received_packets;
        sum.receive_errors += net.receive_errors;
        sum.receive_drops += net.receive_drops;
        sum.sent_bytes += net.sent_bytes;
        sum.sent_packets += net.sent_packets;
        sum.send_errors += net.send_errors;
        sum.send_drops += net.send_drops;
    }
    return sum;
}

/// "254 0 vda reads merged sectors ms writes merged sectors ms in-flight busy-ms …".
std::vector<Disk> parse_diskstats(std::string_view text) {
    std::vector<Disk> disks;
    while (!text.empty() && disks.size() < limits::disks_max) {
        std::string_view line = next_line(text);
        next_word(line);
        next_word(line);
        const std::string_view name = next_word(line);
        std::array<uint64_t, 11> values{};
        if (numbers(line, values) < 10) continue;
        if (values[0] == 0 && values[4] == 0) continue;
        Disk disk;
        disk.name = name;
        disk.io = {values[2] * kSectorBytes, values[6] * kSectorBytes, values[0], values[4]};
        disk.reads_merged = values[1];
        disk.read_ms = values[3];
        disk.writes_merged = values[5];
        disk.write_ms = values[7];
        disk.in_progress = values[8];
        disk.busy_ms = values[9];
        disk.weighted_ms = values[10];
        disks.push_back(std::move(disk));
    }
    return disks;
}

void parse_stat(std::string_view text, uint64_t ticks_per_second, NodeFigures& node) {
    const uint64_t tick_ns = kNsPerSecond / std::max<uint64_t>(ticks_per_second, 1);
    node.context_switches = value_of(text, "ctxt").value_or(0);
    node.processes_created = value_of(text, "processes").value_or(0);
    node.processes_running = value_of(text, "procs_running").value_or(0);
    node.processes_blocked = value_of(text, "procs_blocked").value_or(0);
    node.interrupts = value_of(text, "intr").value_or(0);
    node.boot_ns = int64_t(value_of(text, "btime").value_or(0) * kNsPerSecond);
    while (!text.empty()) {
        std::string_view line = next_line(text);
        if (!line.starts_with("cpu")) continue;
        const bool sum = next_word(line) == "cpu";
        std::array<uint64_t, 8> values{};
        numbers(line, values);
        for (uint64_t& value : values) value *= tick_ns;
        const NodeCpu cpu = {values[0], values[1], values[2], values[3],
                             values[4], values[5], values[6], values[7]};
        if (sum) node.cpu = cpu;
        else if (++node.cpus <= limits::cpus_max) node.per_cpu.push_back(cpu);
    }
}

NodeMemory parse_meminfo(std::string_view text) {
    const auto bytes = [&](std::string_view key) { return value_of(text, key).value_or(0) * 1024; };
    return {bytes("MemTotal:"), bytes("MemFree:"),   bytes("MemAvailable:"), bytes("Buffers:"),
            bytes("Cached:"),   bytes("SwapTotal:"), bytes("SwapFree:")};
}

std::vector<MemoryItem> parse_meminfo_items(std::string_view text) {
    std::vector<MemoryItem> items;
    while (!text.empty() && items.size() < limits::memory_items_max) {
        std::string_view line = next_line(text);
        const size_t colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        MemoryItem item;
        item.name = line.substr(0, colon);
        line.remove_prefix(colon + 1);
        const auto value = number(next_word(line));
        if (!value) continue;
        item.is_bytes = next_word(line) == "kB";
        item.value = item.is_bytes ? *value * 1024 : *value;
        items.push_back(std::move(item));
    }
    return items;
}

namespace {

bool is_on_disk(std::string_view type) {
    constexpr std::array kTypes = {"ext2",  "ext3",  "ext4", "xfs",    "btrfs",
                                   "f2fs",  "zfs",   "vfat", "exfat",  "ntfs3",
                                   "jfs",   "nilfs2", "bcachefs", "tmpfs", "hostfs"};
    return std::ranges::find(kTypes, type) != kTypes.end();
}

}  // namespace

std::vector<Filesystem> parse_filesystems(std::string_view mountinfo) {
    std::vector<Filesystem> found;
    while (!mountinfo.empty() && found.size() < limits::filesystems_max) {
        const auto mount = parse_mount_line(next_line(mountinfo));
        if (!mount || !is_on_disk(mount->type)) continue;
        Filesystem one;
        one.mount_point = unescape_mount(mount->place);
        one.read_only = has_word(mount->options, "ro");
        one.type = mount->type;
        one.device = unescape_mount(mount->source);
        found.push_back(std::move(one));
    }
    return found;
}

Load parse_loadavg(std::string_view text) {
    const auto value = [&] {
        const std::string_view word = next_word(text);
        double number = 0;
        std::from_chars(word.data(), word.data() + word.size(), number);
        return number;
    };
    Load load;
    load.one = value();
    load.five = value();
    load.fifteen = value();
    return load;
}

}  // namespace noded::stats

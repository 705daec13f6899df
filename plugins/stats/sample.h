// What one look at the node and its containers found. Filled on the offload lane by collector.cc,
// then never changed; encode.cc writes it as schemas/stats.capnp, where the units are explained.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bpf/containers.h"

namespace noded::stats {

struct Cpu {
    uint64_t total_ns = 0, user_ns = 0, system_ns = 0;
    uint64_t periods = 0, throttled_periods = 0, throttled_ns = 0;
};

struct Memory {
    uint64_t usage = 0, working_set = 0, cache = 0, rss = 0;
    uint64_t inactive = 0;  ///< part of the page cache: usage without it is the working set
    uint64_t limit = 0;     ///< 0: none
    uint64_t page_faults = 0, major_page_faults = 0;
    uint64_t swap = 0, mapped = 0;
};

struct Pids {
    uint64_t current = 0;
    uint64_t limit = 0;  ///< 0: none
};

struct Io {
    uint64_t read_bytes = 0, write_bytes = 0, reads = 0, writes = 0;
};

struct Net {
    uint64_t received_bytes = 0, received_packets = 0, receive_errors = 0, receive_drops = 0;
    uint64_t sent_bytes = 0, sent_packets = 0, send_errors = 0, send_drops = 0;
};

struct Network {
    std::string name;
    Net net;
};

struct Pressure {
    uint64_t some_us = 0, full_us = 0;
};

struct Pressures {
    std::optional<Pressure> cpu, memory, io;
    int64_t monotonic_ns = 0;  ///< when they were read
    bool any() const { return cpu || memory || io; }
};

/// What eBPF programs counted since the container's group was made, or is watched.
struct Kernel {
    uint64_t received_bytes = 0, received_packets = 0, sent_bytes = 0, sent_packets = 0;
    uint64_t tcp_retransmits = 0, tcp_connects = 0, execs = 0, exits = 0, oom_kills = 0;
    Io io;
    uint64_t io_ns = 0;
    std::array<uint64_t, NODED_IO_BUCKETS> io_us_log2{};
    uint64_t involuntary_switches = 0, waits = 0, wait_ns = 0;
    std::array<uint64_t, NODED_WAIT_BUCKETS> wait_us_log2{};
};

/// What an eBPF program read of the kernel's own structs for the groups of one container, instead
/// of their files. A mark is a number that differs when the file of that name may tell something
/// else than before; 0: that is not known.
struct Group {
    int64_t monotonic_ns = 0;
    std::optional<Cpu> cpu;
    bool throttling = false;  ///< is in `cpu`
    std::optional<uint64_t> memory_usage, memory_limit;
    std::optional<Pids> pids;
    uint64_t memory_mark = 0;    ///< of memory.stat
    uint64_t pressure_mark = 0;  ///< of the three files of pressure
    uint64_t io_mark = 0;
    uint64_t network_mark = 0;  ///< of the interfaces in net/dev, not of what they count
};

/// All that eBPF programs know of one container.
struct Counted {
    Kernel kernel;
    Group group;
    /// When `kernel` was told, and what was at that time: nothing more was counted if both are as
    /// they were (bpf/containers.h).
    uint64_t cpu_ns = NODED_UNKNOWN, besides = NODED_UNKNOWN;
};

/// Whether there are such, for the status; a sentence on what is missing and why.
struct KernelState {
    std::string source;
    std::string warning;
};

/// A container as the log knows it; one for all samples until it is called otherwise.
struct Who {
    std::string id, name, image;
    uint64_t key = 0;  ///< by which it is found faster than by its id; never 0
};

/// One container that runs, as the log knows it.
struct Target {
    std::shared_ptr<const Who> who;
    uint32_t run = 0;
    uint32_t pid = 0;
    uint64_t pid_start_time = 0;
    bool host_network = false;  ///< whose figures are the node's
    bool wanted = true;         ///< otherwise its files only stay open
};
using Targets = std::shared_ptr<const std::vector<Target>>;

struct ContainerFigures {
    const Who* who = nullptr;  ///< never null; one of the sample's targets owns it
    uint32_t run = 0;
    int64_t monotonic_ns = 0;
    std::optional<Cpu> cpu;
    std::optional<Memory> memory;
    std::optional<Pids> pids;
    std::optional<Io> io;
    std::optional<Net> net;
    std::vector<Network> networks;  ///< those that `net` is the sum of
    Pressures pressure;
    std::optional<Kernel> kernel;
};

struct NodeCpu {
    uint64_t user_ns = 0, nice_ns = 0, system_ns = 0, idle_ns = 0;
    uint64_t iowait_ns = 0, irq_ns = 0, softirq_ns = 0, steal_ns = 0;
};

struct NodeMemory {
    uint64_t total = 0, free = 0, available = 0, buffers = 0, cached = 0;
    uint64_t swap_total = 0, swap_free = 0;
};

struct Disk {
    std::string name;
    Io io;
    uint64_t busy_ms = 0;
    uint64_t reads_merged = 0, writes_merged = 0, read_ms = 0, write_ms = 0;
    uint64_t in_progress = 0, weighted_ms = 0;
};

struct MemoryItem {
    std::string name;
    uint64_t value = 0;
    bool is_bytes = false;
};

/// A mounted file system on a disk.
struct Filesystem {
    std::string device, mount_point, type;
    bool read_only = false;
    uint64_t size = 0, free = 0, available = 0, files = 0, files_free = 0;
};

struct Load {
    double one = 0, five = 0, fifteen = 0;
};

struct NodeFigures {
    uint32_t cpus = 0;
    NodeCpu cpu;
    std::vector<NodeCpu> per_cpu;
    NodeMemory memory;
    std::vector<MemoryItem> meminfo;
    std::vector<Filesystem> filesystems;
    Load load;
    uint64_t context_switches = 0, processes_created = 0, interrupts = 0;
    uint64_t processes_running = 0, processes_blocked = 0;
    int64_t boot_ns = 0;
    Pressures pressure;
    std::vector<Disk> disks;
    std::vector<Network> networks;
};

struct Sample {
    uint64_t seq = 0;
    int64_t monotonic_ns = 0;
    int64_t time_ns = 0;
    NodeFigures node;
    Targets targets;
    std::vector<ContainerFigures> containers;
    std::map<std::string, uint32_t> runs;  ///< of those that have a row, by id; of a kept one
    /// Beside the figures: how the looking went.
    KernelState kernel;
    int64_t took_ns = 0;
    size_t open_files = 0;
};

}  // namespace noded::stats

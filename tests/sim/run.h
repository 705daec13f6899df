// One run: a workload (a JSON file: verbs, rates, faults) under one seed, from an empty disk
// through faults to rest, with all checkers.
#pragma once

#include <map>
#include <string>

#include "agent/base/result.h"
#include "tests/sim/node.h"

namespace noded::sim {

struct Workload {
    std::string name;
    uint32_t nodes = 1;
    uint32_t commands = 100;
    int64_t command_every_ns = 2'000'000;
    double duplicate = 0, lost = 0;   ///< messages between client and node
    double kill = 0, power = 0, power_within_change = 0, clock_jump = 0, disk_full = 0, bit_rot = 0;
    double archive_rot = 0;
    uint32_t padding_bytes = 24'000;   ///< a specification has at most so many beside what it needs
    uint32_t recent_containers = UINT32_MAX;   ///< commands are for so many of the newest ones
    uint32_t create = 0, run = 0, start = 0, stop = 0, kill_verb = 0, remove = 0, exec = 0, tag = 0;
    uint32_t pause = 0, unpause = 0, restart = 0, update = 0, poke = 0;
    NodeOptions node;
};

Result<Workload> read_workload(const std::string& path);

struct Outcome {
    std::string failure;   ///< empty: all checkers agree
    uint64_t hash = 0;     ///< of all logs and disks
    uint64_t events = 0;
    uint64_t runs = 0;     ///< of containers that started
    uint64_t execs = 0;
    uint64_t restarts = 0;
    uint64_t refused = 0;  ///< damaged logs that were refused
    uint64_t archives = 0; ///< there at the end
    /// Faults by name: how often each was really met, not how often it was drawn.
    std::map<std::string, uint64_t> occurred;
};

/// `traced`: every durable event, what the machines do and each fault is told on standard output.
Outcome run(const Workload& workload, uint64_t seed, bool traced = false);

}  // namespace noded::sim

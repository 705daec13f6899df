// What `nodectl top` shows: samples become rates, histories and sorted rows. Pure; top_screen.cc
// draws it, top_ui.cc feeds it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/stats.capnp.h"

namespace noded::nodectl {

/// Newest last, as many as a line can show.
class History {
public:
    static constexpr size_t kMax = 120;
    void add(double value);
    /// The newest `width` values as marks of a rising scale; `top` is where it ends, 0: the largest
    /// value there is. `unicode` has eighths of a block, otherwise letters that get darker.
    std::string line(size_t width, double top, bool unicode) const;
    double last() const { return values_.empty() ? 0 : values_.back(); }

private:
    std::deque<double> values_;
};

enum class SortKey { cpu, memory, net, io, pids, name };
constexpr const char* kSortNames[] = {"CPU", "memory", "network", "block I/O", "PIDs", "name"};

struct TopRow {
    std::string id, name, image;
    double cpu_percent = 0;
    uint64_t memory = 0, memory_limit = 0;
    double memory_percent = 0;
    double received_per_s = 0, sent_per_s = 0, read_per_s = 0, written_per_s = 0;
    double throttled_percent = 0;
    uint64_t pids = 0;
    History cpu;
};

struct TopNode {
    unsigned cpus = 0;
    double cpu_percent = 0;  ///< of all CPUs together
    uint64_t memory_used = 0, memory_total = 0, swap_used = 0, swap_total = 0;
    double load[3] = {};
    double pressure_cpu = 0, pressure_memory = 0, pressure_io = 0;  ///< per cent, some
    double received_per_s = 0, sent_per_s = 0, read_per_s = 0, written_per_s = 0;
    int64_t up_seconds = 0;
    History cpu, memory;
};

class TopModel {
public:
    /// Takes over what is needed of it; samples come oldest first.
    void take(schema::Sample::Reader sample);
    /// After a restart of noded: the next sample has nothing before it.
    void forget();

    const TopNode& node() const { return node_; }
    /// Those that the filter lets through, sorted.
    std::vector<const TopRow*> rows() const;
    const TopRow* row(const std::string& id) const;
    size_t containers() const { return rows_.size(); }

    void sort_by(SortKey key);  ///< the same again turns the order around
    void sort_next() { sort_by(SortKey((int(key_) + 1) % int(std::size(kSortNames)))); }
    void reverse() { reversed_ = !reversed_; }
    SortKey key() const { return key_; }
    bool reversed() const { return reversed_; }

    std::string filter;  ///< part of a name, an image or the beginning of an id

private:
    /// Counters of the sample before.
    struct Before {
        int64_t ns = 0;
        uint32_t run = 0;
        uint64_t cpu = 0, throttled = 0, received = 0, sent = 0, read = 0, written = 0;
    };
    struct NodeBefore {
        int64_t ns = 0;
        uint64_t busy = 0, all = 0, received = 0, sent = 0, read = 0, written = 0;
        uint64_t pressure[3] = {};
    };
    void take_node(schema::NodeFigures::Reader node, int64_t ns, int64_t time_ns);
    void take_row(schema::ContainerFigures::Reader figures);

    TopNode node_;
    std::optional<NodeBefore> node_before_;
    std::map<std::string, TopRow> rows_;
    std::map<std::string, Before> before_;
    SortKey key_ = SortKey::cpu;
    bool reversed_ = false;
};

/// "12.3k", "4.56M": at most five characters, for a rate or a size in a narrow column.
std::string short_number(double value);
/// For a terminal: what would steer it becomes '?', and beyond ASCII, too, where it is not UTF-8.
std::string harmless(std::string_view text, bool utf8);

}  // namespace noded::nodectl

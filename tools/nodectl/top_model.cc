// See top_model.h.
#include "tools/nodectl/top_model.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace noded::nodectl {
namespace {

constexpr double kSecondNs = 1e9;

/// Per second; 0 for a counter that began anew.
double rate(uint64_t now, uint64_t before, int64_t ns) {
    return now >= before && ns > 0 ? double(now - before) / double(ns) * kSecondNs : 0;
}

double percent_of(double part, double whole) { return whole > 0 ? part / whole * 100 : 0; }

bool is_partition(std::string_view name) {
    return name.starts_with("loop") || name.starts_with("ram") ||
           (!name.starts_with("nvme") && !name.starts_with("dm-") && !name.starts_with("md") &&
            !name.empty() && name.back() >= '0' && name.back() <= '9');
}

}  // namespace

void History::add(double value) {
    values_.push_back(value);
    if (values_.size() > kMax) values_.pop_front();
}

std::string History::line(size_t width, double top, bool unicode) const {
    static constexpr const char* kBlocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static constexpr const char* kLetters[] = {" ", ".", ":", "-", "=", "+", "*", "#", "@"};
    const size_t count = std::min(width, values_.size());
    if (top <= 0)
        for (size_t i = values_.size() - count; i < values_.size(); ++i)
            top = std::max(top, values_[i]);
    std::string out(width - count, ' ');
    for (size_t i = values_.size() - count; i < values_.size(); ++i) {
        const double part = top > 0 ? std::clamp(values_[i] / top, 0.0, 1.0) : 0;
        // What is not nothing is seen.
        const auto step = part > 0 ? std::max(1, int(std::lround(part * 8))) : 0;
        out += unicode ? kBlocks[step] : kLetters[step];
    }
    return out;
}

void TopModel::forget() {
    before_.clear();
    node_before_.reset();
}

void TopModel::take(schema::Sample::Reader sample) {
    take_node(sample.getNode(), sample.getMonotonicNs(), sample.getTimeNs());
    std::map<std::string, TopRow> kept;
    std::map<std::string, Before> kept_before;
    for (const auto figures : sample.getContainers()) {
        const std::string id = figures.getId().cStr();
        take_row(figures);
        kept.insert(rows_.extract(id));
        kept_before.insert(before_.extract(id));
    }
    rows_ = std::move(kept);
    before_ = std::move(kept_before);
}

void TopModel::take_node(schema::NodeFigures::Reader node, int64_t ns, int64_t time_ns) {
    NodeBefore now;
    now.ns = ns;
    const auto cpu = node.getCpu();
    now.busy = cpu.getUserNs() + cpu.getNiceNs() + cpu.getSystemNs() + cpu.getIrqNs() +
               cpu.getSoftirqNs() + cpu.getStealNs();
    now.all = now.busy + cpu.getIdleNs() + cpu.getIowaitNs();
    for (const auto network : node.getNetworks()) {
        if (network.getName() == "lo") continue;
        now.received += network.getNet().getReceivedBytes();
        now.sent += network.getNet().getSentBytes();
    }
    for (const auto disk : node.getDisks()) {
        if (is_partition(disk.getName().cStr())) continue;
        now.read += disk.getIo().getReadBytes();
        now.written += disk.getIo().getWriteBytes();
    }
    const auto pressure = node.getPressure();
    now.pressure[0] = pressure.getCpu().getSomeUs();
    now.pressure[1] = pressure.getMemory().getSomeUs();
    now.pressure[2] = pressure.getIo().getSomeUs();
    if (node_before_ && ns > node_before_->ns) {
        const NodeBefore& old = *node_before_;
        const int64_t span = ns - old.ns;
        constexpr double kUsToPercent = 1e-6 * 100;
        node_.cpu_percent =
            percent_of(rate(now.busy, old.busy, span), rate(now.all, old.all, span));
        node_.received_per_s = rate(now.received, old.received, span);
        node_.sent_per_s = rate(now.sent, old.sent, span);
        node_.read_per_s = rate(now.read, old.read, span);
        node_.written_per_s = rate(now.written, old.written, span);
        node_.pressure_cpu = rate(now.pressure[0], old.pressure[0], span) * kUsToPercent;
        node_.pressure_memory = rate(now.pressure[1], old.pressure[1], span) * kUsToPercent;
        node_.pressure_io = rate(now.pressure[2], old.pressure[2], span) * kUsToPercent;
        node_.cpu.add(node_.cpu_percent);
    }
    node_before_ = now;
    const auto memory = node.getMemory();
    node_.cpus = node.getCpus();
    node_.memory_total = memory.getTotalBytes();
    node_.memory_used = memory.getTotalBytes() - memory.getAvailableBytes();
    node_.swap_total = memory.getSwapTotalBytes();
    node_.swap_used = memory.getSwapTotalBytes() - memory.getSwapFreeBytes();
    node_.memory.add(percent_of(double(node_.memory_used), double(node_.memory_total)));
    node_.load[0] = node.getLoad1();
    node_.load[1] = node.getLoad5();
    node_.load[2] = node.getLoad15();
    node_.up_seconds = (time_ns - node.getBootNs()) / 1'000'000'000;
}

void TopModel::take_row(schema::ContainerFigures::Reader figures) {
    const std::string id = figures.getId().cStr();
    TopRow& row = rows_[id];
    row.id = id;
    row.name = figures.getName().cStr();
    row.image = figures.getImage().cStr();
    const auto net = figures.hasNet() ? figures.getNet() : figures.getKernel().getNet();
    const Before now{figures.getMonotonicNs(),       figures.getRun(),
                     figures.getCpu().getTotalNs(),  figures.getCpu().getThrottledNs(),
                     net.getReceivedBytes(),         net.getSentBytes(),
                     figures.getIo().getReadBytes(), figures.getIo().getWriteBytes()};
    const auto known = before_.find(id);
    if (known != before_.end() && known->second.run == now.run && now.ns > known->second.ns) {
        const Before& old = known->second;
        const int64_t span = now.ns - old.ns;
        row.cpu_percent = rate(now.cpu, old.cpu, span) / kSecondNs * 100;
        row.throttled_percent = rate(now.throttled, old.throttled, span) / kSecondNs * 100;
        row.received_per_s = rate(now.received, old.received, span);
        row.sent_per_s = rate(now.sent, old.sent, span);
        row.read_per_s = rate(now.read, old.read, span);
        row.written_per_s = rate(now.written, old.written, span);
        row.cpu.add(row.cpu_percent);
    }
    before_[id] = now;
    row.memory = figures.getMemory().getWorkingSetBytes();
    row.memory_limit = figures.getMemory().getLimitBytes();
    if (row.memory_limit == 0 || row.memory_limit > node_.memory_total)
        row.memory_limit = node_.memory_total;
    row.memory_percent = percent_of(double(row.memory), double(row.memory_limit));
    row.pids = figures.getPids().getCurrent();
}

const TopRow* TopModel::row(const std::string& id) const {
    const auto found = rows_.find(id);
    return found == rows_.end() ? nullptr : &found->second;
}

void TopModel::sort_by(SortKey key) {
    reversed_ = key == key_ && !reversed_;
    key_ = key;
}

std::vector<const TopRow*> TopModel::rows() const {
    std::vector<const TopRow*> found;
    for (const auto& [id, row] : rows_)
        if (filter.empty() || row.name.find(filter) != std::string::npos ||
            row.image.find(filter) != std::string::npos || id.starts_with(filter))
            found.push_back(&row);
    const auto value = [this](const TopRow& row) -> double {
        switch (key_) {
            case SortKey::cpu: return row.cpu_percent;
            case SortKey::memory: return double(row.memory);
            case SortKey::net: return row.received_per_s + row.sent_per_s;
            case SortKey::io: return row.read_per_s + row.written_per_s;
            case SortKey::pids: return double(row.pids);
            case SortKey::name: return 0;
        }
        return 0;
    };
    std::ranges::sort(found, [&](const TopRow* one, const TopRow* other) {
        // The largest first, names from a; those that are equal keep their places.
        if (reversed_) std::swap(one, other);
        const double left = value(*one), right = value(*other);
        return left != right ? left > right
                             : std::pair(one->name, one->id) < std::pair(other->name, other->id);
    });
    return found;
}

std::string short_number(double value) {
    constexpr const char* kUnits[] = {"", "k", "M", "G", "T", "P"};
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
        value /= 1000;
        ++unit;
    }
    char text[32];
    const int digits = unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(text, sizeof text, "%.*f%s", digits, value, kUnits[unit]);
    return text;
}

std::string harmless(std::string_view text, bool utf8) {
    std::string out;
    for (size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        size_t length = byte < 0x80 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
        bool good = byte >= 0x20 && byte != 0x7f;
        if (byte >= 0x80) {
            good = utf8 && byte >= 0xc2 && byte <= 0xf4 && i + length <= text.size();
            for (size_t k = 1; good && k < length; ++k)
                good = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
            // Of two bytes the first ones steer a terminal, too.
            if (good && byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0)
                good = false;
        }
        if (!good) length = 1;
        out += byte == '\t' ? std::string_view("    ")
                            : good ? text.substr(i, length) : std::string_view("?");
        i += length;
    }
    return out;
}

}  // namespace noded::nodectl

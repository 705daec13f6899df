// Samples for subscribers, see streams.h.
#include "plugins/stats/streams.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "plugins/sdk/message.h"
#include "plugins/stats/encode.h"
#include "plugins/stats/limits.h"

namespace noded::stats {
namespace {

constexpr std::string_view kJson = "json/";
constexpr std::string_view kNode = "node";
constexpr size_t kIdDigits = 64;
/// A timer that fires a little early finds its feeds due.
constexpr int64_t kSlackNs = 500'000;

std::string base_of(bool json, uint32_t rate) {
    std::string base = json ? "json/stats" : "stats";
    if (rate != 0) base += "@" + std::to_string(rate);
    return base + "/";
}

bool is_id_prefix(std::string_view text) {
    return text.size() <= kIdDigits && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

/// `last` is what of the topic's last part was subscribed to.
Status add_last(std::string_view last, Feed& feed) {
    const bool node = kNode.starts_with(last);
    if (node) feed.node = true;
    if (last.empty()) feed.all = true;
    else if (is_id_prefix(last) && last.size() == kIdDigits) feed.ids.emplace(last);
    else if (is_id_prefix(last)) feed.prefixes.emplace_back(last);
    else if (!node)
        return fail("the topics are node and <container id>, all 64 digits of it");
    return {};
}

void append(kj::ArrayPtr<const kj::byte> bytes, std::string& out) {
    out.append(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
}

/// As capnp::messageToFlatArray does, without the array: nearly every message is one segment, whose
/// table is the number of further ones and its size in words.
void append_flat(capnp::MessageBuilder& message, std::string& out) {
    const auto segments = message.getSegmentsForOutput();
    if (segments.size() != 1) return append(capnp::messageToFlatArray(segments).asBytes(), out);
    const std::array<uint32_t, 2> table = {0, uint32_t(segments[0].size())};
    append({reinterpret_cast<const kj::byte*>(table.data()), sizeof table}, out);
    append(segments[0].asBytes(), out);
}

}  // namespace

std::string Feed::topic(const std::string& last) const {
    // A rate that was not said is one.
    return base_of(json, rate_said) + last;
}

bool Feed::wants(const std::string& id) const {
    return all || ids.contains(id) ||
           std::ranges::any_of(prefixes,
                               [&](const std::string& prefix) { return id.starts_with(prefix); });
}

Status add_subscription(const std::string& prefix, Feeds& feeds) {
    const auto feed = [&](bool json, uint32_t rate) -> Feed& {
        Feed& found = feeds[{json, rate}];
        found.json = json;
        found.rate_said = rate;
        return found;
    };
    const bool json = prefix.starts_with(kJson);
    const std::string_view rest = std::string_view(prefix).substr(json ? kJson.size() : 0);
    if (rest.starts_with("stats@")) {
        uint32_t rate = 0;
        const char* end = rest.data() + rest.size();
        const auto [stop, error] = std::from_chars(rest.data() + 6, end, rate);
        if (error != std::errc{} || rate < 1 || rate > limits::rate_max || stop == end ||
            *stop != '/')
            return fail("a rate is 1 to " + std::to_string(limits::rate_max) +
                        " samples a second, then a slash: stats@10/node");
        return add_last({stop + 1, size_t(end - stop - 1)}, feed(json, rate));
    }
    // What is shorter than "stats/" takes the topics without a rate, in both forms if it may.
    for (const bool form : {false, true}) {
        const std::string base = base_of(form, 0);
        if (prefix.starts_with(base)) return add_last(prefix.substr(base.size()), feed(form, 0));
        if (base.starts_with(prefix)) TRY_STATUS(add_last("", feed(form, 0)));
    }
    return {};
}

void Streams::refresh(const State& state) {
    Feeds feeds;
    std::set<std::string> known;
    for (const std::string& prefix : host_.subscriptions()) {
        const bool is_new = !known_.contains(prefix);
        known.insert(prefix);
        const Status added = add_subscription(prefix, feeds);
        if (!added && is_new) notice(prefix, added.error().message);
        const size_t slash = prefix.rfind('/');
        const std::string last = slash == std::string::npos ? "" : prefix.substr(slash + 1);
        const auto found = state.containers.find(last);
        if (added && is_new && last.size() == kIdDigits &&
            (found == state.containers.end() || found->second.pid == 0))
            notice(prefix, "no container with this id runs now; its samples come when it does");
    }
    // Those that go on keep their times and counts.
    const int64_t now = host_.monotonic_ns();
    for (auto& [key, feed] : feeds) {
        const auto before = feeds_.find(key);
        feed.due_ns = before != feeds_.end() ? before->second.due_ns : now;
        if (before == feeds_.end()) continue;
        feed.counts = std::move(before->second.counts);
        feed.in_order = std::move(before->second.in_order);
    }
    feeds_ = std::move(feeds);
    known_ = std::move(known);
    if (feeds_.empty()) ready_bytes_ = {};
}

void Streams::notice(const std::string& prefix, const std::string& message) const {
    const std::string text = "{\"error\":\"" + message + "\"}";
    host_.publish_as(prefix, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::optional<int64_t> Streams::due_ns() const {
    std::optional<int64_t> due;
    for (const auto& [key, feed] : feeds_)
        if (!due || feed.due_ns < *due) due = feed.due_ns;
    return due;
}

bool Streams::wants_containers() const {
    return std::ranges::any_of(feeds_, [](const auto& entry) {
        const Feed& feed = entry.second;
        return feed.all || !feed.ids.empty() || !feed.prefixes.empty();
    });
}

bool Streams::is_due(const Feed& feed, int64_t now_ns) const {
    return feed.due_ns <= now_ns + kSlackNs;
}

bool Streams::node_wanted(int64_t now_ns) const {
    return std::ranges::any_of(feeds_, [&](const auto& entry) {
        return entry.second.node && is_due(entry.second, now_ns);
    });
}

bool Streams::wants_all(int64_t now_ns) const {
    return std::ranges::any_of(feeds_, [&](const auto& entry) {
        return entry.second.all && is_due(entry.second, now_ns);
    });
}

Targets Streams::marked(int64_t now_ns, std::vector<Target> targets) const {
    for (Target& target : targets)
        target.wanted = std::ranges::any_of(feeds_, [&](const auto& entry) {
            return is_due(entry.second, now_ns) && entry.second.wants(target.who->id);
        });
    return std::make_shared<const std::vector<Target>>(std::move(targets));
}

void Streams::publish(const Sample& sample, int64_t now_ns) {
    for (auto& [key, feed] : feeds_) {
        if (!is_due(feed, now_ns)) continue;
        // What could not be kept up with is left out, not caught up with.
        feed.due_ns = std::max(feed.due_ns + feed.period_ns(), now_ns);
        publish_to(feed, sample);
    }
}

void Streams::publish_to(Feed& feed, const Sample& sample) {
    ++feed.round;
    size_t sent = 0;
    if (feed.node) {
        write(feed, sent, 0, std::string(kNode), sample, sample.monotonic_ns,
              [&](auto message) { write_node(sample.node, message.initNode()); });
        ++sent;
    }
    const auto& rows = sample.containers;
    for (size_t i = 0; i < rows.size(); ++i) {
        const ContainerFigures& row = rows[i];
        if (i + 8 < rows.size()) __builtin_prefetch(rows[i + 8].who);
        if (i + 4 < rows.size()) __builtin_prefetch(rows[i + 4].who->id.data());
        if (!feed.wants(row.who->id)) continue;
        write(feed, sent, row.who->key, row.who->id, sample, row.monotonic_ns,
              [&](auto message) { write_container(row, message.initContainer()); });
        ++sent;
    }
    send_ready();
    if (sent == feed.counts.size()) return;
    feed.in_order.clear();
    std::erase_if(feed.counts,
                  [&](const auto& entry) { return entry.second.round != feed.round; });
}

Feed::Counts& Feed::counts_at(size_t at, uint64_t key, const std::string& last) {
    if (at >= in_order.size()) in_order.resize(at + 1);
    // One that was looked at a sample ago is in no cache: the next ones are on their way meanwhile.
    constexpr size_t kNodes = 8, kTopics = 4;
    if (at + kNodes < in_order.size()) __builtin_prefetch(in_order[at + kNodes]);
    if (at + kTopics < in_order.size() && in_order[at + kTopics] != nullptr)
        __builtin_prefetch(in_order[at + kTopics]->topic.data());
    Counts*& found = in_order[at];
    if (found == nullptr || found->key != key) found = &counts[key];
    if (found->topic.empty()) {
        found->key = key;
        found->topic = topic(last);
    }
    found->round = round;
    return *found;
}

void Streams::write(Feed& feed, size_t at, uint64_t key, const std::string& last,
                    const Sample& sample, int64_t monotonic_ns, Fill fill) {
    Feed::Counts& counts = feed.counts_at(at, key, last);
    capnp::MallocMessageBuilder message(kj::arrayPtr(scratch_.data(), scratch_.size()));
    auto root = message.initRoot<schema::StatsMessage>();
    root.setSequence(++counts.sequence);
    root.setLost(counts.lost);
    root.setMonotonicNs(monotonic_ns);
    root.setTimeNs(sample.time_ns);
    fill(root);
    const size_t before = ready_bytes_.size();
    if (feed.json) ready_bytes_ += json_.of(root.asReader());
    else append_flat(message, ready_bytes_);
    ready_.push_back({&counts, ready_bytes_.size() - before});
    if (ready_bytes_.size() >= limits::send_together_bytes) send_ready();
}

/// Sent one right after the other, many messages cost the thread that writes them to sockets one
/// wake-up and few writes. With the time between them that it takes to make one, it would sleep and
/// be woken for each.
void Streams::send_ready() {
    const auto* next = reinterpret_cast<const uint8_t*>(ready_bytes_.data());
    for (const Ready& one : ready_) {
        if (!host_.publish_as(one.counts->topic, {next, one.bytes})) ++one.counts->lost;
        next += one.bytes;
    }
    ready_.clear();
    ready_bytes_.clear();
}

}  // namespace noded::stats

// Output of containers for subscribers, see log_topics.h.
#include "plugins/container/log_topics.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "plugins/container/limits.h"
#include "plugins/sdk/message.h"

namespace noded::container {
namespace {

constexpr std::string_view kBases[] = {"log/", "json/log/"};  // by form
constexpr std::string_view kStreams[] = {"stdout", "stderr"};
constexpr size_t kIdDigits = 64;

bool is_hex(std::string_view text) {
    return text.size() <= kIdDigits && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

/// What follows the base: "", "3f", "<64 digits>/", "<64 digits>/std…".
Status parse_rest(std::string_view rest, LogSubscription& out) {
    const size_t slash = rest.find('/');
    const std::string_view id = rest.substr(0, slash);
    const std::string_view last =
        slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    const bool cut = slash != std::string_view::npos && id.size() != kIdDigits;
    for (size_t i = 0; i < 2; ++i) out.streams[i] = kStreams[i].starts_with(last);
    if (!is_hex(id) || cut || (!out.streams[0] && !out.streams[1]))
        return fail("the topics are log/<container id>/stdout and log/<container id>/stderr, with "
                    "all 64 digits of the id");
    out.id_prefix = id;
    return {};
}

/// Where a message ends: behind a line if there is one, otherwise at least not within a character.
size_t piece_size(std::string_view text) {
    if (text.size() <= limits::log_topic_message_bytes) return text.size();
    const size_t newline = text.rfind('\n', limits::log_topic_message_bytes - 1);
    if (newline != std::string_view::npos) return newline + 1;
    size_t size = limits::log_topic_message_bytes;
    for (int i = 0; i < 3 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80; ++i) --size;
    return size;
}

}  // namespace

bool LogSubscription::whole_id() const { return id_prefix.size() == kIdDigits; }

Result<LogSubscription> parse_log_subscription(std::string_view prefix) {
    LogSubscription out;
    for (size_t form = 0; form < 2; ++form) {
        if (prefix.starts_with(kBases[form])) {
            out.forms[form] = true;
            TRY_STATUS(parse_rest(prefix.substr(kBases[form].size()), out));
            return out;
        }
        out.forms[form] = kBases[form].starts_with(prefix);
    }
    for (bool& stream : out.streams) stream = true;
    return out;
}

void LogTopics::begin() {
    if (!host_.own_topics("log")) return host_.warn("another plugin publishes under log/");
    host_.watch_topics(on_topics, this);
    look();
}

void LogTopics::notice(const std::string& prefix, const std::string& message) const {
    const std::string text = nlohmann::json{{"error", message}}.dump();
    host_.publish_as(prefix, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void LogTopics::on_topics(void*, void* argument) noexcept {
    auto& topics = *static_cast<LogTopics*>(argument);
    topics.topics_changed_ = true;
    if (!topics.busy_ && !topics.stopped_) topics.look();
}

void LogTopics::look() {
    busy_ = true;
    opens_left_ = limits::log_topic_turn_opens;
    do {
        topics_changed_ = false;
        look_once();
    } while (topics_changed_);
    busy_ = false;
    go_on_later();
}

void LogTopics::look_once() {
    std::set<std::string> known;
    subscriptions_.clear();
    for (const std::string& prefix : host_.subscriptions()) {
        const bool is_log = std::ranges::any_of(kBases, [&](std::string_view base) {
            return base.starts_with(prefix) || prefix.starts_with(base);
        });
        if (!is_log) continue;
        const bool is_new = !known_.contains(prefix);
        known.insert(prefix);
        auto parsed = parse_log_subscription(prefix);
        if (!parsed) {
            if (is_new) notice(prefix, parsed.error().message);
            continue;
        }
        if (is_new && parsed->whole_id() && !state_.by_id.contains(parsed->id_prefix))
            notice(prefix, "there is no container with this id now; its output comes when it is "
                           "there");
        subscriptions_.push_back(std::move(*parsed));
    }
    known_ = std::move(known);
    std::vector<std::string> unwanted;
    for (const auto& [id, one] : follows_)
        if (wanted(id) == std::array<bool, 4>{}) unwanted.push_back(id);
    for (const std::string& id : unwanted) forget(id);
    if (subscriptions_.empty()) return;
    for (const auto& [id, container] : state_.by_id) follow(id, wanted(id), false);
}

std::array<bool, 4> LogTopics::wanted(const std::string& id) const {
    std::array<bool, 4> which{};
    for (const LogSubscription& one : subscriptions_) {
        if (!id.starts_with(one.id_prefix)) continue;
        for (size_t i = 0; i < which.size(); ++i)
            which[i] |= one.forms[i / 2] && one.streams[i % 2];
    }
    return which;
}

/// Those that were there already go on.
void LogTopics::follow(const std::string& id, const std::array<bool, 4>& which, bool is_new) {
    if (which == std::array<bool, 4>{}) return;
    auto found = follows_.find(id);
    if (found == follows_.end()) {
        if (follows_.size() >= limits::log_topic_containers_max) {
            if (!std::exchange(too_many_told_, true))
                host_.warn("the output of more than " +
                           std::to_string(limits::log_topic_containers_max) +
                           " containers is subscribed to: further ones are not followed");
            return;
        }
        found = follows_.emplace(id, Follow{}).first;
        found->second.id = id;
        found->second.from_start = is_new;
        to_open_.insert(id);
        open_some();
    }
    Follow& one = found->second;
    for (size_t i = 0; i < which.size(); ++i) {
        if (which[i] && !one.topics[i].wanted) {
            one.topics[i] = {};
            one.topics[i].end = one.log ? one.log->position() : 0;
        }
        one.topics[i].wanted = which[i];
    }
}

void LogTopics::created(const std::string& id) {
    if (!subscriptions_.empty()) follow(id, wanted(id), true);
}

void LogTopics::started(const std::string& id) {
    const auto found = follows_.find(id);
    if (found == follows_.end()) return;
    to_open_.erase(id);
    if (!found->second.log) open(found->second);
    changed_.insert(id);
    turn();
}

void LogTopics::removed(const std::string& id) {
    forget(id);
    if (topics_changed_ && !busy_ && !stopped_) look();
}

void LogTopics::forget(const std::string& id) {
    const auto found = follows_.find(id);
    if (found == follows_.end()) return;
    // What it wrote last may not have been read.
    if (found->second.log && !stopped_ && !busy_) {
        busy_ = true;
        read(found->second, limits::log_topic_container_bytes);
        busy_ = false;
    }
    if (found->second.watch >= 0) {
        watches_.erase(found->second.watch);
        inotify_rm_watch(inotify_.get(), found->second.watch);
    }
    follows_.erase(found);
    changed_.erase(id);
    to_open_.erase(id);
    if (!follows_.empty()) return;
    too_many_told_ = false;
    if (inotify_watch_ != 0) host_.unwatch(inotify_watch_);
    inotify_watch_ = 0;
    inotify_.reset();
}

/// A thousand of them are a thousand folders that may have to be read from the disk.
void LogTopics::open_some() {
    for (; opens_left_ > 0 && !to_open_.empty(); --opens_left_) {
        const auto found = follows_.find(to_open_.extract(to_open_.begin()).value());
        if (found != follows_.end() && !found->second.log) open(found->second);
    }
}

/// Begins at the end of what is there, unless the container was created while it was followed. One
/// that never ran has no folder yet.
void LogTopics::open(Follow& follow) {
    Fd folder(::open(folder_of_(follow.id).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder.valid()) {
        follow.from_start = true;
        return;
    }
    follow.log = std::make_unique<LogFolder>(std::move(folder));
    // Before reading: what is written from now on is told of.
    if (const std::string why = watch_folder(follow); !why.empty()) {
        host_.warn("the output of container " + follow.id + " cannot be followed: " + why);
        follow.log.reset();
    }
    if (!follow.log || follow.from_start) return;
    const auto lines = follow.log->line_count(INT64_MAX);
    if (lines) (void)follow.log->begin_at_line(*lines);
    const Status read = follow.log->read_on(
        {.jump = [](const LogBlock&, uint64_t) {}, .frame = [](const LogFrame&) { return true; }});
    if (!read) host_.warn("the log of container " + follow.id + ": " + read.error().message);
    for (Topic& topic : follow.topics) topic.end = follow.log->position();
}

/// Empty: what is written from now on is told of. Otherwise why not.
std::string LogTopics::watch_folder(Follow& follow) {
    if (!inotify_.valid()) {
        inotify_ = Fd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
        if (!inotify_.valid())
            return std::string(strerror(errno)) + " (see fs.inotify.max_user_instances in sysctl)";
    }
    if (inotify_watch_ == 0)
        inotify_watch_ = host_.watch(inotify_.get(), POLLIN, on_inotify, this);
    if (inotify_watch_ == 0) return "the plugin watches as many descriptors as it may";
    const std::string path = "/proc/self/fd/" + std::to_string(follow.log->fd());
    follow.watch = inotify_add_watch(inotify_.get(), path.c_str(), IN_MODIFY | IN_CREATE);
    if (follow.watch < 0)
        return std::string(strerror(errno)) + " (see fs.inotify.max_user_watches in sysctl)";
    watches_[follow.watch] = follow.id;
    return "";
}

void LogTopics::on_inotify(void*, void* argument, uint32_t) noexcept {
    auto& topics = *static_cast<LogTopics*>(argument);
    topics.take_changes();
    topics.turn();
}

/// More than the kernel keeps: then each may have changed.
void LogTopics::take_changes() {
    alignas(inotify_event) char buffer[16 << 10];
    for (ssize_t size = 0; (size = ::read(inotify_.get(), buffer, sizeof buffer)) > 0;) {
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
            at += ssize_t(sizeof *event) + event->len;
            if ((event->mask & IN_Q_OVERFLOW) != 0)
                for (const auto& [watch, id] : watches_) changed_.insert(id);
            const auto found = watches_.find(event->wd);
            if (found != watches_.end()) changed_.insert(found->second);
        }
    }
}

void LogTopics::on_timer(void*, void* argument) noexcept {
    auto& topics = *static_cast<LogTopics*>(argument);
    topics.timer_ = 0;
    topics.turn();
}

/// One that writes without a pause is read a few hundred times a second, a quiet one at once.
void LogTopics::turn() {
    if (stopped_ || busy_ || timer_ != 0 || (changed_.empty() && to_open_.empty())) return;
    const int64_t now = host_.monotonic_ns();
    const int64_t due = turn_ns_ + limits::log_topic_pause_ns;
    if (turn_ns_ != 0 && now < due) {
        timer_ = host_.start_timer(due - now, on_timer, this);
        return;
    }
    turn_ns_ = now;
    busy_ = true;
    opens_left_ = limits::log_topic_turn_opens;
    open_some();
    size_t left = limits::log_topic_turn_bytes;
    std::set<std::string> later;
    for (const std::string& id : std::exchange(changed_, {})) {
        const auto found = follows_.find(id);
        if (found == follows_.end() || !found->second.log) continue;
        const size_t bytes = std::min(left, limits::log_topic_container_bytes);
        if (bytes == 0 || read(found->second, bytes)) later.insert(id);
        left -= bytes;
    }
    busy_ = false;
    changed_.merge(later);
    if (topics_changed_) look();
    go_on_later();
}

void LogTopics::go_on_later() {
    if ((!changed_.empty() || !to_open_.empty()) && timer_ == 0)
        timer_ = host_.start_timer(limits::log_topic_pause_ns, on_timer, this);
}

/// True: there is more.
bool LogTopics::read(Follow& follow, size_t bytes_max) {
    const auto more = follow.log->read_some(
        {.jump =
             [&](const LogBlock&, uint64_t lost) {
                 for (Topic& topic : follow.topics) topic.lost_bytes += lost;
             },
         .frame =
             [&](const LogFrame& frame) {
                 publish(follow, frame);
                 return true;
             }},
        bytes_max);
    if (more) return *more;
    host_.warn("the log of container " + follow.id + ": " + more.error().message);
    return false;
}

void LogTopics::publish(Follow& follow, const LogFrame& frame) {
    if (frame.header.stream == LogStream::lost) {
        for (Topic& topic : follow.topics) topic.lost_bytes += log_lost_bytes(frame);
        return;
    }
    const size_t stream = frame.header.stream == LogStream::standard_error ? 1 : 0;
    uint64_t position = follow.log->position() - frame.bytes.size();
    for (std::string_view rest = frame.bytes; !rest.empty();) {
        const std::string_view piece = rest.substr(0, piece_size(rest));
        for (size_t form = 0; form < 2; ++form)
            if (follow.topics[form * 2 + stream].wanted)
                publish_as(follow, form * 2 + stream,
                           {position, int64_t(frame.header.time_ns), piece});
        position += piece.size();
        rest.remove_prefix(piece.size());
    }
}

void LogTopics::publish_as(Follow& follow, size_t which, const Piece& piece) {
    const size_t form = which / 2, stream = which % 2;
    Topic& topic = follow.topics[which];
    const std::string name =
        std::string(kBases[form]) + follow.id + "/" + std::string(kStreams[stream]);
    ++topic.sequence;
    bool complete = true;
    if (form == 0) {
        sdk::Message<schema::LogMessage> message;
        message->setSequence(topic.sequence);
        message->setLost(topic.lost);
        message->setContainer(sdk::text(follow.id));
        message->setStream(stream == 0 ? schema::OutputStream::STDOUT
                                       : schema::OutputStream::STDERR);
        message->setPosition(piece.position);
        message->setAfter(topic.end);
        message->setLostBytes(topic.lost_bytes);
        message->setTimeNs(piece.time_ns);
        message->setData(
            {reinterpret_cast<const uint8_t*>(piece.bytes.data()), piece.bytes.size()});
        complete = host_.publish_as(name, message.flat());
    } else {
        // Numbers of 64 bits are text, as in the other messages.
        using Json = nlohmann::ordered_json;
        const std::string text =
            Json{{"sequence", std::to_string(topic.sequence)},
                 {"lost", std::to_string(topic.lost)},
                 {"container", follow.id},
                 {"stream", kStreams[stream]},
                 {"position", std::to_string(piece.position)},
                 {"after", std::to_string(topic.end)},
                 {"bytes", piece.bytes.size()},
                 {"lostBytes", std::to_string(topic.lost_bytes)},
                 {"timeNs", std::to_string(piece.time_ns)},
                 {"text", piece.bytes}}
                .dump(-1, ' ', false, Json::error_handler_t::replace);
        complete = host_.publish_as(
            name, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    }
    if (!complete) ++topic.lost;
    topic.end = piece.position + piece.bytes.size();
    topic.lost_bytes = 0;
}

void LogTopics::stop() {
    stopped_ = true;
    if (timer_ != 0) host_.stop_timer(timer_);
    timer_ = 0;
    if (inotify_watch_ != 0) host_.unwatch(inotify_watch_);
    inotify_watch_ = 0;
    follows_.clear();
}

}  // namespace noded::container

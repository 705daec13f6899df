// The publish endpoint and those who wait for events; see outbox.h.
#include "agent/pub/outbox.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <poll.h>

#include <utility>

#include "agent/base/check.h"
#include "agent/base/logger.h"
#include "agent/limits.h"
#include "agent/pub/event_words.h"
#include "schemas/payload_json.h"
#include "schemas/node.capnp.h"

namespace noded::pub {

namespace {

constexpr std::string_view kEvents = "event/";
constexpr std::string_view kJson = "json/";

/// Also of what a subscriber sent, which may hold anything.
std::string text_of(const PayloadJson& json) {
    return json.dump(-1, ' ', false, PayloadJson::error_handler_t::replace);
}

}  // namespace

Status Outbox::open(const std::string& endpoint,
                    std::optional<ipc::PublisherSocket::Curve> curve) {
    CHECK(!socket_);
    socket_ = TRY(ipc::PublisherSocket::bind(
        endpoint, {.queue_messages_max = limits::publish_queue_messages_max,
                   .prefixes_max = limits::subscriptions_max,
                   .prefix_bytes_max = limits::subscription_bytes_max,
                   .curve = std::move(curve)}));
    endpoint_ = endpoint;
    reactor_.poll(socket_->fd(), POLLIN, true, *this);
    for (const int fd : socket_->guard_fds()) {
        doors_.push_back(std::make_unique<Door>(*this, fd));
        reactor_.poll(fd, POLLIN, true, *doors_.back());
    }
    drain();
    guard();
    return {};
}

void Outbox::Door::complete(int32_t result, bool more) {
    if (!outbox.socket_) return;
    outbox.guard();
    if (!more && result >= 0) outbox.reactor_.poll(fd, POLLIN, true, *this);
}

/// A client that is refused comes again ten times a second: each sentence is logged once an hour.
void Outbox::guard() {
    const auto said = socket_->guard();
    if (said.empty()) return;
    const int64_t now = reactor_.clock().monotonic_ns();
    std::erase_if(complaints_, [&](const auto& one) {
        return now - one.second > limits::complaint_pause_ns;
    });
    for (const std::string& sentence : said) {
        if (complaints_.size() >= limits::complaints_max || complaints_.contains(sentence))
            continue;
        complaints_.emplace(sentence, now);
        const bool last = complaints_.size() == limits::complaints_max;
        log_line(
            Severity::warning, "pub",
            sentence + (last ? " (there were so many that no more are told for an hour)" : ""));
    }
}

void Outbox::close() {
    if (!socket_) return;
    reactor_.cancel(*this);
    for (const auto& door : doors_) reactor_.cancel(*door);
    socket_.reset();
}

void Outbox::complete(int32_t result, bool more) {
    if (!socket_) return;
    drain();
    if (!more && result >= 0) reactor_.poll(socket_->fd(), POLLIN, true, *this);
}

/// The descriptor is edge-triggered and a send may swallow the edge: the socket is drained once
/// more before noded sleeps.
bool Outbox::send(const std::string& topic, Bytes payload) {
    sent_ = true;
    return socket_->send(topic, payload);
}

/// What is told to plugins may make them send.
void Outbox::turn_end() {
    while (socket_ && sent_) drain();
}

void Outbox::drain() {
    sent_ = false;
    const auto drained = socket_->drain();
    for (const std::string& prefix : drained.refused)
        notice(prefix, "is not served: there are more than " +
                           std::to_string(limits::subscriptions_max) +
                           " different subscriptions, or it has more than " +
                           std::to_string(limits::subscription_bytes_max) + " bytes");
    for (const std::string& prefix : drained.subscribed)
        if (!exists(prefix))
            notice(prefix, "takes no topic that there is: topics begin with event/PLUGIN/EVENT, "
                           "or with the name of a plugin that publishes samples");
    if (drained.changed && host_ != nullptr) host_->subscriptions_changed();
}

/// A message on the very topic that was subscribed to, so that the subscriber has it.
void Outbox::notice(const std::string& prefix, const std::string& what) {
    std::string shown = prefix.substr(0, limits::subscription_bytes_max);
    if (shown.size() < prefix.size()) shown += "...";
    const PayloadJson message{{"error", "the subscription \"" + shown + "\" " + what}};
    send(prefix, as_bytes(text_of(message)));
}

bool Outbox::exists(const std::string& prefix) const {
    std::string_view rest = prefix;
    if (rest.starts_with(kJson)) rest.remove_prefix(kJson.size());
    if (kJson.starts_with(prefix) || kEvents.starts_with(rest)) return true;
    if (!rest.starts_with(kEvents)) return host_ != nullptr && host_->has_topics_for(prefix);
    rest.remove_prefix(kEvents.size());
    for (const auto& instance : host_->instances()) {
        for (const auto& type : instance->description.events)
            if ((instance->description.id + "/" + type.name).starts_with(rest)) return true;
    }
    return false;
}

void Outbox::publish(const core::Event& event) {
    for (auto& waiter : std::exchange(waiters_, {})) waiter->fulfill();
    if (!socket_) return;
    const std::string* name = nullptr;
    const host::Instance* owner = host_->owner_of_event(event.type, &name);
    if (owner == nullptr) return;
    const std::string topic = "event/" + owner->description.id + "/" + *name;
    const std::string json_topic = std::string(kJson) + topic;
    const bool wanted = socket_->wanted(topic), json_wanted = socket_->wanted(json_topic);
    if (wanted) {
        capnp::MallocMessageBuilder message;
        fill_event(message.initRoot<schema::Event>(), event, *host_);
        const auto words = capnp::messageToFlatArray(message);
        send(topic, {words.asBytes().begin(), words.asBytes().size()});
    }
    if (json_wanted) send(json_topic, as_bytes(json_of(event, *owner, *name)));
}

/// As `nodectl events -o json` has it.
std::string Outbox::json_of(const core::Event& event, const host::Instance& owner,
                            const std::string& name) {
    constexpr int64_t kSecondNs = 1'000'000'000;
    const std::string& plugin = owner.description.id;
    auto known = schemas_.find(plugin);
    if (known == schemas_.end())
        known = schemas_.emplace(plugin, load_schema(as_bytes(owner.description.schema))).first;
    PayloadJson payload;
    if (known->second)
        payload = decode_payload(*known->second, event.type,
                                 {event.payload.data(), event.payload.size()});
    PayloadJson json{{"seq", event.seq},
                     {"time", event.time_ns / kSecondNs},
                     {"timeNano", event.time_ns},
                     {"type", name},
                     {"plugin", plugin},
                     {"commandId", to_hex(event.command_id.bytes)},
                     {"causeSeq", event.cause_seq},
                     {"payload", std::move(payload)}};
    if (!event.sender.empty()) json["command"] = sender_json(event.sender, *host_);
    return text_of(json);
}

bool Outbox::publish_sample(const std::string& topic, Bytes payload) {
    if (!socket_ || !socket_->wanted(topic)) return true;
    return send(topic, payload);
}

void Outbox::visit_subscriptions(const std::function<void(const std::string&)>& visit) const {
    if (!socket_) return;
    for (const std::string& prefix : socket_->prefixes()) visit(prefix);
}

kj::Promise<void> Outbox::next_event() {
    auto [promise, fulfiller] = kj::newPromiseAndFulfiller<void>();
    // Those who no longer wait are swept out here, so that polls that time out do not pile up.
    std::erase_if(waiters_, [](auto& waiter) { return !waiter->isWaiting(); });
    waiters_.push_back(kj::mv(fulfiller));
    return kj::mv(promise);
}

}  // namespace noded::pub

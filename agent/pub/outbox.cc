// The publish endpoint and those who wait for events; see outbox.h.
#include "agent/pub/outbox.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <poll.h>

#include <utility>

#include "agent/base/check.h"
#include "agent/limits.h"
#include "agent/pub/event_words.h"
#include "schemas/node.capnp.h"

namespace noded::pub {

namespace {

constexpr std::string_view kEvents = "event/";

/// A topic as JSON text: it came from a subscriber and may hold anything.
std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
        char hex[8];
        snprintf(hex, sizeof hex, "\\u%04x", static_cast<unsigned char>(c));
        out += plain ? std::string(1, c) : hex;
    }
    return out + "\"";
}

}  // namespace

Status Outbox::open(const std::string& endpoint) {
    CHECK(!socket_);
    socket_ = TRY(ipc::PublisherSocket::bind(
        endpoint, {limits::publish_queue_messages_max, limits::subscriptions_max,
                   limits::subscription_bytes_max}));
    endpoint_ = endpoint;
    reactor_.poll(socket_->fd(), POLLIN, true, *this);
    drain();
    return {};
}

void Outbox::close() {
    if (!socket_) return;
    reactor_.cancel(*this);
    socket_.reset();
}

void Outbox::complete(int32_t result, bool more) {
    if (!socket_) return;
    drain();
    if (!more && result >= 0) reactor_.poll(socket_->fd(), POLLIN, true, *this);
}

/// The descriptor is edge-triggered and a send may swallow the edge, so this follows each send.
void Outbox::drain() {
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
    const std::string text = "{\"error\":" + quoted("the subscription \"" + prefix + "\" " + what) +
                             "}";
    socket_->send(prefix, as_bytes(text));
}

bool Outbox::exists(const std::string& prefix) const {
    if (kEvents.starts_with(prefix)) return true;
    if (!prefix.starts_with(kEvents)) return host_ != nullptr && host_->has_topics_for(prefix);
    const std::string_view rest = std::string_view(prefix).substr(kEvents.size());
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
    if (!socket_->wanted(topic)) return;
    capnp::MallocMessageBuilder message;
    fill_event(message.initRoot<schema::Event>(), event, *host_);
    const auto words = capnp::messageToFlatArray(message);
    socket_->send(topic, {words.asBytes().begin(), words.asBytes().size()});
    drain();
}

bool Outbox::publish_sample(const std::string& topic, Bytes payload) {
    if (!socket_ || !socket_->wanted(topic)) return true;
    const bool complete = socket_->send(topic, payload);
    drain();
    return complete;
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

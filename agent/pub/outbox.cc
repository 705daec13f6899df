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

Status Outbox::open(const std::string& endpoint) {
    CHECK(!socket_);
    socket_ = TRY(ipc::PublisherSocket::bind(endpoint, limits::publish_queue_messages_max));
    endpoint_ = endpoint;
    reactor_.poll(socket_->fd(), POLLIN, true, *this);
    socket_->drain();
    return {};
}

void Outbox::close() {
    if (!socket_) return;
    reactor_.cancel(*this);
    socket_.reset();
}

void Outbox::complete(int32_t result, bool more) {
    if (!socket_) return;
    socket_->drain();
    if (!more && result >= 0) reactor_.poll(socket_->fd(), POLLIN, true, *this);
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
    socket_->drain();   // the descriptor is edge-triggered, a send may swallow the edge
}

void Outbox::publish_sample(const std::string& topic, Bytes payload) {
    if (!socket_ || !socket_->wanted(topic)) return;
    socket_->send(topic, payload);
    socket_->drain();
}

kj::Promise<void> Outbox::next_event() {
    auto [promise, fulfiller] = kj::newPromiseAndFulfiller<void>();
    // Those who no longer wait are swept out here, so that polls that time out do not pile up.
    std::erase_if(waiters_, [](auto& waiter) { return !waiter->isWaiting(); });
    waiters_.push_back(kj::mv(fulfiller));
    return kj::mv(promise);
}

}  // namespace noded::pub

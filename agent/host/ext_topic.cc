// topic: samples of plugins for subscribers.
#include <algorithm>

#include "agent/base/logger.h"
#include "agent/host/extensions.h"
#include "agent/host/host.h"
#include "agent/limits.h"

namespace noded::host {

namespace {

constexpr std::string_view kJson = "json/";

/// What follows "json/", if it is there.
std::string_view without_json(std::string_view topic) {
    return topic.starts_with(kJson) ? topic.substr(kJson.size()) : topic;
}

/// "ID/…" or "ID@…", also behind "json/".
bool is_below(std::string_view topic, const std::string& id) {
    const std::string_view rest = without_json(topic);
    return rest.starts_with(id) && rest.size() > id.size() &&
           (rest[id.size()] == '/' || rest[id.size()] == '@');
}

template <typename Test>
bool any_word(const Instance& instance, Test test) {
    return test(instance.description.id) || std::ranges::any_of(instance.topic_words, test);
}

bool belongs(std::string_view topic, const Instance& instance) {
    return any_word(instance, [&](const std::string& id) { return is_below(topic, id); });
}

/// A subscription to `prefix` takes topics of the plugin, or those that it could have.
bool concerns(std::string_view prefix, const Instance& instance) {
    if (kJson.starts_with(prefix)) return true;
    const std::string_view rest = without_json(prefix);
    return any_word(instance, [&](const std::string& id) {
        return id.starts_with(rest) || is_below(prefix, id);
    });
}

int send(Instance& instance, const std::string& topic, noded_bytes payload) {
    if (payload.size > limits::publish_bytes_max) {
        log_line(Severity::warning, "host",
                 "a sample of plugin " + instance.description.id + " with " +
                     std::to_string(payload.size) + " bytes is too large and was dropped");
        return -1;
    }
    return instance.host->topics().publish_sample(topic, {payload.data, payload.size}) ? 0 : 1;
}

void publish(const noded_host* face, const char* suffix, noded_bytes payload) noexcept {
    Instance& instance = require(face, "topic.publish");
    send(instance, instance.description.id + "/" + (suffix != nullptr ? suffix : ""), payload);
}

int publish_as(const noded_host* face, const char* topic, noded_bytes payload) noexcept {
    Instance& instance = require(face, "topic.publish_as");
    if (topic == nullptr || !belongs(topic, instance)) return -1;
    return send(instance, topic, payload);
}

void tell(Instance& instance) {
    instance.host->when_durable([&instance] {
        if (!instance.loaded() || instance.topics_changed == nullptr) return;
        PhaseScope scope(instance, Phase::reactor);
        instance.topics_changed(instance.self, instance.topics_argument);
    });
}

int watch(const noded_host* face, void (*changed)(void*, void*) NODED_NOEXCEPT,
          void* argument) noexcept {
    Instance& instance = require(face, "topic.watch");
    if (instance.topics_changed != nullptr || changed == nullptr) return -1;
    instance.topics_changed = changed;
    instance.topics_argument = argument;
    return 0;
}

void subscriptions(const noded_host* face,
                   void (*visit)(void* context, const char* prefix) NODED_NOEXCEPT,
                   void* context) noexcept {
    const Instance& instance = require(face, "topic.subscriptions");
    instance.host->topics().visit_subscriptions([&](const std::string& prefix) {
        if (concerns(prefix, instance)) visit(context, prefix.c_str());
    });
}

int own(const noded_host* face, const char* word) noexcept {
    Instance& instance = require(face, "topic.own");
    if (word == nullptr || !is_word(word) || word == std::string_view("event") ||
        word == std::string_view("json"))
        return -1;
    const auto has = [word](const std::string& id) { return id == word; };
    for (const auto& other : instance.host->instances())
        if (other.get() != &instance && any_word(*other, has)) return -1;
    if (!any_word(instance, has)) instance.topic_words.emplace_back(word);
    return 0;
}

}  // namespace

void Host::subscriptions_changed() {
    for (const auto& instance : instances_)
        if (instance->loaded() && instance->topics_changed != nullptr) tell(*instance);
}

bool Host::has_topics_for(const std::string& prefix) const {
    for (const auto& instance : instances_)
        if (instance->loaded() && instance->requires_extension(NODED_EXT_TOPIC) &&
            concerns(prefix, *instance))
            return true;
    return false;
}

const noded_ext_topic ext_topic = {sizeof(noded_ext_topic), publish, publish_as, watch,
                                   subscriptions, own};

}  // namespace noded::host

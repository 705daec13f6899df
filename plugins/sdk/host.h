// Host: what a C++ plugin asks of noded, one thin method per function of plugins/abi/host.h.
//
// Copyable, a handful of pointers. An extension that the descriptor does not require must not be
// used: CHECKed.
#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/check.h"
#include "agent/base/number.h"
#include "plugins/abi/host.h"
#include "plugins/abi/rpc.h"
#include "plugins/sdk/message.h"

namespace noded::sdk {

/// What an effect answers: goes into the outcome that it proposes, so that the chain can be
/// followed.
struct Cause {
    uint64_t seq = 0;
    uint8_t command_id[32] = {};

    static Cause of(const noded_event& event) {
        Cause cause;
        cause.seq = event.seq;
        memcpy(cause.command_id, event.command_id, sizeof cause.command_id);
        return cause;
    }
};

class Host {
public:
    explicit Host(const noded_host* host)
        : host_(host),
          events_(find<noded_ext_events>(NODED_EXT_EVENTS)),
          timer_(find<noded_ext_timer>(NODED_EXT_TIMER)),
          fd_(find<noded_ext_fd>(NODED_EXT_FD)),
          offload_(find<noded_ext_offload>(NODED_EXT_OFFLOAD)),
          topic_(find<noded_ext_topic>(NODED_EXT_TOPIC)),
          log_(find<noded_ext_log>(NODED_EXT_LOG)),
          paths_(find<noded_ext_paths>(NODED_EXT_PATHS)),
          rpc_(find<noded_ext_rpc>(NODED_EXT_RPC)),
          settings_(find<noded_ext_settings>(NODED_EXT_SETTINGS)) {}

    /// Proposes the outcome of an effect: an event of this plugin, through its own decide. False:
    /// refused, because it is larger than an event may be.
    template <typename T>
    bool propose(Message<T>& event, const Cause& cause) const {
        CHECK(events_ != nullptr);
        return events_->propose(host_, capnp::typeId<T>(), event.flat(), cause.seq,
                                cause.command_id) == 0;
    }
    /// Sends a command, of any plugin.
    template <typename T>
    void submit(Message<T>& command, const Cause& cause) const {
        CHECK(events_ != nullptr);
        events_->submit(host_, capnp::typeId<T>(), command.flat(), cause.seq, nullptr);
    }

    using Fire = void (*)(void* self, void* argument) noexcept;
    uint64_t start_timer(int64_t delay_ns, Fire fire, void* argument) const {
        CHECK(timer_ != nullptr);
        return timer_->start(host_, delay_ns, fire, argument);
    }
    void stop_timer(uint64_t handle) const { timer_->stop(host_, handle); }
    int64_t monotonic_ns() const { return timer_->monotonic_ns(host_); }
    int64_t realtime_ns() const { return timer_->realtime_ns(host_); }

    using Ready = void (*)(void* self, void* argument, uint32_t events) noexcept;
    uint64_t watch(int fd, uint32_t events, Ready ready, void* argument) const {
        CHECK(fd_ != nullptr);
        return fd_->watch(host_, fd, events, ready, argument);
    }
    void unwatch(uint64_t handle) const { fd_->unwatch(host_, handle); }

    /// Runs `work` on the offload lane, then `done` on the reactor. Both own what they captured.
    /// False: lane full.
    bool offload(std::function<void()> work, std::function<void()> done) const {
        CHECK(offload_ != nullptr);
        auto* job = new Job{std::move(work), std::move(done)};
        if (offload_->run(host_, run_work, run_done, job) == 0) return true;
        delete job;
        return false;
    }

    void publish(const char* suffix, noded_bytes payload) const {
        CHECK(topic_ != nullptr);
        topic_->publish(host_, suffix, payload);
    }
    /// Under a whole topic. True: everybody has it who wanted it.
    bool publish_as(const std::string& topic, noded_bytes payload) const {
        CHECK(topic_ != nullptr);
        return topic_->publish_as(host_, topic.c_str(), payload) == 0;
    }
    using Changed = void (*)(void* self, void* argument) noexcept;
    void watch_topics(Changed changed, void* argument) const {
        CHECK(topic_ != nullptr);
        topic_->watch(host_, changed, argument);
    }
    /// Topics below this word are the plugin's, too. False: they are somebody else's.
    bool own_topics(const char* word) const {
        CHECK(topic_ != nullptr);
        return topic_->own(host_, word) == 0;
    }
    /// The prefixes that take, or would take, topics of this plugin.
    std::vector<std::string> subscriptions() const {
        CHECK(topic_ != nullptr);
        std::vector<std::string> prefixes;
        topic_->subscriptions(host_, add_prefix, &prefixes);
        return prefixes;
    }

    void warn(const std::string& text) const { line(4, text); }
    void info(const std::string& text) const { line(6, text); }
    void line(int severity, const std::string& text) const {
        CHECK(log_ != nullptr);
        log_->line(host_, severity, text.c_str());
    }

    std::string state_dir() const { return paths_->state_dir(host_); }
    std::string runtime_dir() const { return paths_->runtime_dir(host_); }
    std::string libexec_dir() const { return paths_->libexec_dir(host_); }

    /// What the configuration says below plugins.<id>; nothing if it does not. In create() only.
    std::optional<std::string> setting(const char* key) const {
        CHECK(settings_ != nullptr);
        const char* const text = settings_->text(host_, key);
        return text != nullptr ? std::optional<std::string>(text) : std::nullopt;
    }
    /// A whole number from `min` to `max`; `otherwise` where it is not set. The error is a
    /// sentence.
    std::expected<uint64_t, std::string> setting_number(const char* key, uint64_t otherwise,
                                                        uint64_t min, uint64_t max) const {
        const auto text = setting(key);
        if (!text) return otherwise;
        uint64_t number = 0;
        if (to_number(*text, number) && number >= min && number <= max) return number;
        return std::unexpected(std::string(key) + " in the configuration takes a number from " +
                               std::to_string(min) + " to " + std::to_string(max) + ", not \"" +
                               *text + "\"");
    }

    template <typename T>
    void respond(uint64_t token, Message<T>& results, int fd_owned = -1) const {
        CHECK(rpc_ != nullptr);
        rpc_->respond(host_, token, results.flat(), fd_owned);
    }
    void refuse(uint64_t token, noded_rejection code, const std::string& message) const {
        CHECK(rpc_ != nullptr);
        rpc_->refuse(host_, token, code, message.c_str());
    }

private:
    struct Job {
        std::function<void()> work;
        std::function<void()> done;
    };
    static void run_work(void* argument) noexcept { static_cast<Job*>(argument)->work(); }
    static void run_done(void*, void* argument) noexcept {
        auto* job = static_cast<Job*>(argument);
        job->done();
        delete job;
    }

    static void add_prefix(void* context, const char* prefix) noexcept {
        static_cast<std::vector<std::string>*>(context)->emplace_back(prefix);
    }

    template <typename E>
    const E* find(const char* id) const {
        return static_cast<const E*>(host_->get_extension(host_, id));
    }

    const noded_host* host_;
    const noded_ext_events* events_;
    const noded_ext_timer* timer_;
    const noded_ext_fd* fd_;
    const noded_ext_offload* offload_;
    const noded_ext_topic* topic_;
    const noded_ext_log* log_;
    const noded_ext_paths* paths_;
    const noded_ext_rpc* rpc_;
    const noded_ext_settings* settings_;
};

}  // namespace noded::sdk

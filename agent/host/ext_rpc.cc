// rpc: calls of clients to plugins, and the plugins' answers.
#include <utility>

#include "agent/host/extensions.h"
#include "agent/host/host.h"
#include "agent/limits.h"

namespace noded::host {

namespace {

void respond(const noded_host* face, uint64_t token, noded_bytes results, int fd_owned) noexcept {
    Instance& instance = require(face, "rpc.respond");
    instance.host->answer(instance, token,
                          {true, Buffer(results.data, results.data + results.size), Fd(fd_owned),
                           {}});
}

void refuse(const noded_host* face, uint64_t token, enum noded_rejection code,
            const char* message) noexcept {
    Instance& instance = require(face, "rpc.refuse");
    instance.host->answer(
        instance, token,
        {false, {}, Fd(), {static_cast<uint16_t>(code), message != nullptr ? message : ""}});
}

}  // namespace

uint64_t Host::call(const std::string& plugin, uint16_t method, Bytes params, Caller caller, Fd fd,
                    CallDone done) {
    const auto refuse_call = [&](uint16_t code, std::string message) -> uint64_t {
        done({false, {}, Fd(), {code, std::move(message)}});
        return 0;
    };
    auto* instance = const_cast<Instance*>(find(plugin));
    if (instance == nullptr)
        return refuse_call(NODED_REJECT_NOT_FOUND, why_not(plugin));
    if (instance->rpc == nullptr || method >= instance->rpc->methods_count) {
        return refuse_call(NODED_REJECT_NOT_FOUND, "plugin " + plugin + " has no method number " +
                                                       std::to_string(method));
    }
    const uint64_t token = next_handle();
    calls_.emplace(token, PendingCall{instance, std::move(done)});
    if (pipeline_->quiescent()) {
        enter_call(token, method, params, caller, std::move(fd));
    } else {
        // The plugin may look at its state, so the call waits until that is durable.
        Buffer kept(params.begin(), params.end());
        when_durable([this, token, method, kept = std::move(kept), caller,
                      fd = std::move(fd)]() mutable {
            enter_call(token, method, kept, caller, std::move(fd));
        });
    }
    return calls_.contains(token) ? token : 0;
}

void Host::enter_call(uint64_t token, uint16_t method, Bytes params, Caller caller, Fd fd) {
    const auto at = calls_.find(token);
    if (at == calls_.end()) return;  // the client left meanwhile
    Instance& instance = *at->second.instance;
    const noded_call face{sizeof(noded_call), method, 0, token, {params.data(), params.size()},
                          caller.uid, caller.gid, fd.release(), -1};
    PhaseScope scope(instance, Phase::reactor);
    instance.rpc->call(instance.self, &face);
}

void Host::answer(Instance& from, uint64_t token, CallResult result) {
    const auto at = calls_.find(token);
    if (at == calls_.end() || at->second.instance != &from) return;
    // No client takes a larger message.
    if (result.results.size() > limits::rpc_message_bytes_max - limits::rpc_message_bytes_max / 8) {
        result.rejection = {NODED_REJECT_LIMIT,
                            "the answer has " + std::to_string(result.results.size()) +
                                " bytes, more than a message may have; ask for less"};
        result.answered = false;
        result.results.clear();
    }
    // The plugin may have looked at provisional state: what it says waits until that is durable.
    CallDone done = std::move(at->second.done);
    calls_.erase(at);
    pipeline_->when_durable([done = std::move(done), result = std::move(result)]() mutable {
        done(std::move(result));
    });
}

void Host::cancel(uint64_t token) {
    const auto at = calls_.find(token);
    if (at == calls_.end()) return;
    Instance& instance = *at->second.instance;
    calls_.erase(at);
    when_durable([&instance, token] {
        if (!instance.loaded() || instance.rpc->cancelled == nullptr) return;
        PhaseScope scope(instance, Phase::reactor);
        instance.rpc->cancelled(instance.self, token);
    });
}

const noded_ext_rpc ext_rpc = {sizeof(noded_ext_rpc), respond, refuse};

}  // namespace noded::host

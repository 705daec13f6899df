// The adapter from a C++ class to the C table that a plugin exports.
//
// A plugin class P provides (see plugins/container/plugin.cc for one of them):
//
//     static std::expected<std::unique_ptr<P>, std::string> create(Host);
//     void decide(const noded_command&, Decision&) const;   // [pure]
//     void fold(const noded_event&);                        // [pure] [replay]
//     void react(const noded_event&);                       // [reactor]
//     void reconcile();                                     // [reactor]
//     void save(const Sink&) const;                         // [pure]
//     bool load(noded_bytes);                               // [replay]
//     void stop();                                          // [reactor]
// nullptr for none; rpc_table<P>() makes one
//     const noded_plugin_rpc* rpc();
//     void call(const noded_call&);  void cancelled(uint64_t token);   // if it has one
//
// and defines its entry with NODED_DEFINE_PLUGIN(P, descriptor).
//
// Malformed bytes from outside make Cap'n Proto throw; here, and nowhere else in a plugin, that
// becomes a rejection. The same in fold is corruption that the log's checksums did not see: the
// process ends.
#pragma once

#include <kj/exception.h>

#include <cstring>
#include <expected>
#include <memory>
#include <string>

#include "plugins/abi/plugin.h"
#include "plugins/abi/rpc.h"
#include "plugins/sdk/host.h"
#include "plugins/sdk/message.h"

namespace noded::sdk {

class Decision {
public:
    explicit Decision(const noded_decision* out) : out_(out) {}

    template <typename T>
    void emit(Message<T>& event) {
        out_->emit(out_, capnp::typeId<T>(), event.flat());
    }
    /// Emits the proposed event as it is.
    void emit_proposed(const noded_command& proposal) {
        out_->emit(out_, proposal.type, proposal.payload);
    }
    void reject(noded_rejection code, const std::string& message) {
        out_->reject(out_, code, message.c_str());
    }

private:
    const noded_decision* out_;
};

class Sink {
public:
    explicit Sink(const noded_sink* sink) : sink_(sink) {}
    void write(noded_bytes bytes) const { sink_->write(sink_, bytes); }

private:
    const noded_sink* sink_;
};

template <typename P>
struct Adapter {
    static P& plugin(void* self) { return *static_cast<P*>(self); }

    static void* init(const noded_host* host) noexcept {
        auto created = P::create(Host(host));
        if (created) return created->release();
        host->fail(host, created.error().c_str());
        return nullptr;
    }
    static void decide(void* self, const noded_command* command,
                       const noded_decision* out) noexcept {
        Decision decision(out);
        try {
            plugin(self).decide(*command, decision);
        } catch (const kj::Exception& malformed) {
            decision.reject(NODED_REJECT_INVALID,
                            "the command's payload cannot be read: " +
                                std::string(malformed.getDescription().cStr()));
        }
    }
    static void fold(void* self, const noded_event* event) noexcept { plugin(self).fold(*event); }
    static void react(void* self, const noded_event* event) noexcept { plugin(self).react(*event); }
    static void reconcile(void* self) noexcept { plugin(self).reconcile(); }
    static void save(void* self, const noded_sink* sink) noexcept { plugin(self).save(Sink(sink)); }
    static int load(void* self, noded_bytes bytes) noexcept {
        try {
            return plugin(self).load(bytes) ? 1 : 0;
        } catch (const kj::Exception&) {
            return 0;
        }
    }
    static void stop(void* self) noexcept { plugin(self).stop(); }
    static void destroy(void* self) noexcept { delete static_cast<P*>(self); }
    static const void* get_extension(void* self, const char* id) noexcept {
        return strcmp(id, NODED_EXT_RPC) == 0 ? plugin(self).rpc() : nullptr;
    }

    static void call(void* self, const noded_call* call) noexcept {
        try {
            plugin(self).call(*call);
        } catch (const kj::Exception& malformed) {
            plugin(self).host().refuse(call->token, NODED_REJECT_INVALID,
                                       "the parameters cannot be read: " +
                                           std::string(malformed.getDescription().cStr()));
        }
    }
    static void cancelled(void* self, uint64_t token) noexcept { plugin(self).cancelled(token); }
};

template <typename P>
constexpr noded_plugin plugin_table(const noded_descriptor* descriptor) {
    using A = Adapter<P>;
    return {sizeof(noded_plugin), 0,      descriptor, A::init, A::decide, A::fold,    A::react,
            A::reconcile,         A::save, A::load,    A::stop, A::destroy, A::get_extension};
}

template <typename P>
constexpr noded_plugin_rpc rpc_table(uint64_t interface_id, const char* const* methods,
                                     uint32_t methods_count) {
    return {sizeof(noded_plugin_rpc), methods_count,      interface_id,
            methods,                  Adapter<P>::call, Adapter<P>::cancelled};
}

}  // namespace noded::sdk

/// The exported symbol; linked statically (several plugins in one program) it gets a name of its
/// own.
#ifndef NODED_PLUGIN_ENTRY
#define NODED_PLUGIN_ENTRY noded_plugin
#endif
#define NODED_DEFINE_PLUGIN(P, descriptor)            \
    extern "C" __attribute__((visibility("default"))) \
    const struct noded_plugin NODED_PLUGIN_ENTRY;     \
    const struct noded_plugin NODED_PLUGIN_ENTRY = ::noded::sdk::plugin_table<P>(&(descriptor))

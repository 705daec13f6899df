// The server behind echo.capnp, for tests and benchmarks of the transport.
#pragma once

#include <fcntl.h>
#include <kj/io.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "agent/limits.h"
#include "ipc/rpc/echo.capnp.h"
#include "ipc/rpc/unix_socket.h"

namespace noded::rpc::test {

/// A capability that is nothing but a descriptor.
class Descriptor final : public capnp::Capability::Server {
public:
    explicit Descriptor(kj::AutoCloseFd fd) : fd_(kj::mv(fd)) {}
    kj::Maybe<int> getFd() override { return fd_.get(); }
    DispatchCallResult dispatchCall(
        uint64_t, uint16_t, capnp::CallContext<capnp::AnyPointer, capnp::AnyPointer>) override {
        return {KJ_EXCEPTION(UNIMPLEMENTED, "a descriptor has no methods"), false};
    }

private:
    kj::AutoCloseFd fd_;
};

/// An anonymous file that holds `text`.
inline kj::AutoCloseFd file_with(std::string_view text) {
    kj::AutoCloseFd fd(memfd_create("text", MFD_CLOEXEC));
    [[maybe_unused]] const ssize_t written = pwrite(fd.get(), text.data(), text.size(), 0);
    return fd;
}

inline std::string text_in(int fd) {
    std::string text(256, '\0');
    const ssize_t count = pread(fd, text.data(), text.size(), 0);
    text.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return text;
}

class EchoServer final : public Echo::Server {
public:
    explicit EchoServer(const PeerCredentials& peer = {}) : peer_(peer) {}

protected:
    kj::Promise<void> echo(EchoContext context) override {
        const auto data = context.getParams().getData();
        context.getResults(capnp::MessageSize{data.size() / 8 + 16, 0}).setData(data);
        return kj::READY_NOW;
    }
    kj::Promise<void> hang(HangContext) override { return kj::NEVER_DONE; }
    kj::Promise<void> whoAmI(WhoAmIContext context) override {
        auto results = context.getResults();
        results.setUid(peer_.uid);
        results.setGid(peer_.gid);
        results.setPid(peer_.pid);
        return kj::READY_NOW;
    }
    kj::Promise<void> readFrom(ReadFromContext context) override {
        return context.getParams().getSource().getFd().then([context](kj::Maybe<int> fd) mutable {
            context.getResults().setText(
                text_in(KJ_REQUIRE_NONNULL(fd, "no descriptor came")).c_str());
        });
    }
    kj::Promise<void> open(OpenContext context) override {
        const auto text = context.getParams().getText();
        context.getResults().setSource(
            kj::heap<Descriptor>(file_with({text.begin(), text.size()})));
        return kj::READY_NOW;
    }
    kj::Promise<void> flood(FloodContext context) override {
        context.getResults().initData(limits::rpc_message_bytes_max);
        return kj::READY_NOW;
    }

private:
    PeerCredentials peer_;
};

}  // namespace noded::rpc::test

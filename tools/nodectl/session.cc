// See session.h.
#include "tools/nodectl/session.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "agent/base/check.h"
#include "plugins/abi/plugin.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {
namespace {

/// Carries one descriptor to noded.
class FdStream final : public schema::Stream::Server {
public:
    explicit FdStream(Fd fd) : fd_(std::move(fd)) {}
    kj::Maybe<int> getFd() override { return fd_.get(); }

private:
    Fd fd_;
};

std::span<const uint8_t> bytes_of(const kj::Array<capnp::word>& words) {
    return {reinterpret_cast<const uint8_t*>(words.begin()), words.asBytes().size()};
}

capnp::Data::Reader data_of(std::span<const uint8_t> bytes) {
    return {bytes.data(), bytes.size()};
}

template <typename Interface>
typename Interface::Client plugin_interface(schema::Node::Client& node, const char* name) {
    auto request = node.pluginRequest();
    request.setName(name);
    return request.send().getInterface().castAs<Interface>();
}

}  // namespace

bool Session::elsewhere() const { return is_remote(host_); }

static Result<std::unique_ptr<rpc::Client>> over(Result<Fd> socket) {
    if (!socket) return std::unexpected(socket.error());
    return rpc::Client::over(std::move(*socket));
}

Status Session::connect() {
    if (client_) return {};
    // docker's spelling of the same thing.
    if (host_.starts_with("unix://")) host_.erase(5, 2);
    if (!elsewhere() && !host_.starts_with("unix:"))
        return fail("cannot reach noded: a host is written as unix:PATH, tcp://HOST[:PORT] or "
                    "ssh://[USER@]HOST, not \"" + host_ + "\"");
    auto connected =
        elsewhere() ? over(connect_remote(host_, tls_files_)) : rpc::Client::connect(host_);
    if (!connected) return fail("cannot reach noded: " + connected.error().message);
    client_ = std::move(*connected);
    node_.emplace(client_->bootstrap().castAs<schema::Node>());
    return in_the_past() ? enter_the_past() : Status();
}

Result<Fd> Session::ask_for_the_past() {
    auto request = node_->pastRequest();
    auto at = request.initAt();
    if (at_.seq) at.setSeq(*at_.seq);
    if (at_.time_ns) at.setTimeNs(*at_.time_ns);
    const auto response = TRY(wait(request.send()));
    return fd_of(response.getConnection());
}

/// Leaves the connection to noded for the one to the node of then.
Status Session::enter_the_past() {
    Fd socket = TRY(ask_for_the_past());
    node_.reset();
    client_.reset();
    client_ = TRY(rpc::Client::over(std::move(socket)));
    node_.emplace(client_->bootstrap().castAs<schema::Node>());
    const auto info = TRY(wait(node_->infoRequest().send()));
    as_of_ns_ = info.getInfo().getAsOfNs();
    return {};
}

int64_t Session::now_ns() const { return in_the_past() ? as_of_ns_ : nodectl::now_ns(); }

void Session::disconnect() {
    container_.reset();
    storage_.reset();
    stats_.reset();
    node_.reset();
    client_.reset();
}

Status Session::travel(Bound at) {
    disconnect();
    at_ = at;
    return connect();
}

Status Session::reconnect(const std::function<Status()>& meanwhile) {
    constexpr useconds_t pause_us = 100'000;
    disconnect();
    write_all(STDERR_FILENO, "noded is gone: waiting for it to come back\n");
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kReconnectSeconds);
    for (;;) {
        const Status connected = connect();
        if (connected || std::chrono::steady_clock::now() >= end) return connected;
        if (meanwhile) TRY_STATUS(meanwhile());
        usleep(pause_us);
    }
}

schema::Container::Client& Session::container() {
    if (!container_) container_.emplace(plugin_interface<schema::Container>(*node_, "container"));
    return *container_;
}

schema::Storage::Client& Session::storage() {
    if (!storage_) storage_.emplace(plugin_interface<schema::Storage>(*node_, "storage"));
    return *storage_;
}

schema::Stats::Client& Session::stats() {
    if (!stats_) stats_.emplace(plugin_interface<schema::Stats>(*node_, "stats"));
    return *stats_;
}

/// As errno has it, for a caller that can go on after some.
static int errno_of(uint16_t rejection) {
    switch (rejection) {
        case NODED_REJECT_CONFLICT: return EBUSY;
        case NODED_REJECT_NOT_FOUND: return ENOENT;
        default: return 0;
    }
}

bool Session::is_in_use(const Error& error) {
    return error.code == EBUSY || error.code == ENOENT;
}

bool Session::is_lost(const Error& error) { return error.code == ECONNRESET; }

Error Session::explain(Error error) const {
    if (is_lost(error))
        error.message = "lost the connection to noded at " + host_ + " in the middle of a call";
    return error;
}

Submitted Session::submit_words(const CommandId& id, uint64_t type,
                                capnp::MessageBuilder& message) {
    auto request = node_->submitRequest();
    auto command = request.initCommand();
    const auto words = capnp::messageToFlatArray(message);
    command.setId(data_of(id.bytes));
    command.setType(type);
    command.setPayload(data_of(bytes_of(words)));
    command.setClient(client_words_);
    return request.send();
}

Result<Caused> Session::wait_caused(Submitted submitted) {
    const auto response = TRY(wait(kj::mv(submitted)));
    const auto outcome = response.getOutcome();
    if (outcome.isAccepted())
        return Caused{outcome.getAccepted().getFirstSeq(), outcome.getAccepted().getLastSeq()};
    const auto rejection = outcome.getRejected();
    return std::unexpected(Error{errno_of(rejection.getCode()), rejection.getMessage().cStr()});
}

Status Session::wait_accepted(Submitted submitted) {
    TRY(wait_caused(std::move(submitted)));
    return {};
}

StreamCall Session::stream_call(const char* plugin, uint16_t method, capnp::MessageBuilder& params,
                                Fd fd) {
    auto request = node_->callWithStreamRequest();
    const auto words = capnp::messageToFlatArray(params);
    request.setPlugin(plugin);
    request.setMethod(method);
    request.setParams(data_of(bytes_of(words)));
    if (fd.valid()) request.setStream(kj::heap<FdStream>(std::move(fd)));
    return request.send();
}

Result<Fd> Session::received_fd(capnp::Response<schema::Node::CallWithStreamResults>& response) {
    if (!response.hasStream()) return fail("the answer came without a descriptor");
    return fd_of(response.getStream());
}

Result<Fd> Session::fd_of(schema::Stream::Client stream) {
    const kj::Maybe<int> fd = TRY(wait(stream.getFd()));
    KJ_IF_MAYBE(number, fd) {
        // The capability owns its descriptor.
        const int copy = fcntl(*number, F_DUPFD_CLOEXEC, 3);
        if (copy < 0) return fail_errno(errno, "duplicate a descriptor");
        return Fd(copy);
    }
    return fail("the answer came without a descriptor");
}

CommandId mint_command_id() {
    CommandId id;
    CHECK(getrandom(id.bytes.data(), id.bytes.size(), 0) == static_cast<ssize_t>(id.bytes.size()));
    return id;
}

}  // namespace noded::nodectl

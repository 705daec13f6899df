// See readers.h.
#include "agent/past/readers.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "agent/limits.h"
#include "agent/past/child.h"
#include "agent/past/reader.h"

namespace noded::past {

/// Stays until its completion came, also when it was ended from here.
struct Readers::Reader final : reactor::Completion {
    Readers& owner;
    Child child;

    Reader(Readers& o, Child c) : owner(o), child(std::move(c)) {}
    void end() {
        if (child.pid == 0) return;
        kill(child.pid, SIGKILL);
        waitpid(child.pid, nullptr, 0);
        child.pid = 0;
    }
    void complete(int32_t, bool) override {
        end();   // it is over, or the reactor stops
        owner.ended(*this);
    }
};

Readers::Readers(reactor::Reactor& reactor, const Config& config, const log::Log& log)
    : reactor_(reactor), settings_(config), log_(log) {}

Readers::~Readers() { stop(); }

Result<Fd> Readers::open(const rpc_service::Moment& moment) {
    if (readers_.size() >= limits::past_readers_max) {
        return fail(std::to_string(readers_.size()) +
                    " others read the past, which is the limit; try again when one is done");
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail_errno(errno, "make a pair of sockets");
    Fd client(ends[0]);
    const Fd server(ends[1]);
    std::vector<std::string> arguments = {"noded", kReaderVerb, written_moment(moment),
                                          std::to_string(log_.durable_seq()),
                                          std::to_string(getpid())};
    for (std::string& setting : settings_.arguments()) arguments.push_back(std::move(setting));
    auto child = TRY(start_child(std::move(arguments), -1, server.get()));
    readers_.push_back(std::make_unique<Reader>(*this, std::move(child)));
    Reader& reader = *readers_.back();
    reactor_.poll(reader.child.pidfd.get(), POLLIN, false, reader);
    return client;
}

void Readers::ended(Reader& reader) {
    std::erase_if(readers_, [&](const auto& one) { return one.get() == &reader; });
}

void Readers::stop() {
    for (const auto& reader : readers_) reader->end();
}

}  // namespace noded::past

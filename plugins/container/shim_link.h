// ShimLink: noded's end of the control socket of one shim (shim/PROTOCOL.md). It frames packets and
// never blocks; what the packets mean is the business of its user.
//
// Reads until the socket is empty whenever the host says that it is readable. What cannot be sent
// at once waits in a bounded queue. Only effects make one; the user may delete it in shim_closed,
// never in shim_said.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/shim/control.h"
#include "plugins/sdk/host.h"

namespace noded::container {

class ShimLink;

class ShimUser {
public:
    virtual ~ShimUser() = default;
    virtual void shim_said(ShimLink& link, const ControlHeader& header, Bytes payload) = 0;
    /// The other end is gone: the last call for this link.
    virtual void shim_closed(ShimLink& link) = 0;
};

class ShimLink {
public:
    /// `id` names the container, empty for a shim that waits for one. `pidfd` is of a child of
    /// ours, else invalid.
    ShimLink(sdk::Host host, ShimUser& user, std::string id, Fd socket, Fd pidfd, uint32_t pid);
    ShimLink(const ShimLink&) = delete;
    ShimLink& operator=(const ShimLink&) = delete;

    /// Begins to watch; false when the host has no watch left.
    bool start();
    /// Stops watching. Must come before the destructor while the plugin lives on.
    void stop();

    /// The descriptors are sent along and closed. An error means that the shim is gone or
    /// hopelessly behind.
    Status send(ControlType type, uint32_t flags, uint64_t tag, Bytes payload,
                std::vector<Fd> fds = {});

    const std::string& id() const { return id_; }
    void adopt(std::string id) { id_ = std::move(id); }
    uint32_t pid() const { return pid_; }
    Fd take_pidfd() { return std::move(pidfd_); }

private:
    struct Packet {
        ControlType type;
        uint32_t flags;
        uint64_t tag;
        Buffer payload;
        std::vector<Fd> fds;
    };

    static void ready(void* self, void* argument, uint32_t events) noexcept;
    /// errno value, 0 if it went out.
    int send_now(const Packet& packet);
    void flush();
    void receive();

    sdk::Host host_;
    ShimUser& user_;
    std::string id_;
    Fd socket_;
    Fd pidfd_;
    uint32_t pid_;
    uint64_t watch_ = 0;
    std::deque<Packet> unsent_;
};

}  // namespace noded::container

// Link: bytes to and from another machine, over a pair of descriptors (ssh's standard streams) or a
// TLS connection. Nothing here blocks but with_deadline's callers; no exception is thrown.
//
// Both ends of a tunnel (tunnel.h) have one; made by nodectl and by `nodectl serve`.
#pragma once

#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::remote {

class Link {
public:
    virtual ~Link() = default;

    /// How many bytes came; 0: there come no more; nothing: none are there now.
    virtual Result<std::optional<size_t>> receive(std::span<char> into) = 0;
    /// How many bytes were taken; 0: none fit now. After that the same bytes must be given again.
    virtual Result<size_t> send(std::string_view bytes) = 0;
    /// Nothing more is sent; the other side receives its end.
    virtual void end() = 0;
    /// What receive() gives at once, though poll(2) says that there is nothing.
    virtual bool holds_more() const { return false; }

    /// Adds what poll(2) shall look at.
    virtual void watch(bool to_receive, bool to_send, std::vector<pollfd>& list) const = 0;
    /// The descriptors, for who closes all others.
    virtual std::vector<int> descriptors() const = 0;
};

using Deadline = std::chrono::steady_clock::time_point;

/// Waits until `link` can be received from (or sent to); an error with ETIMEDOUT at the deadline.
Status wait_for(const Link& link, bool to_send, Deadline deadline);

/// All of `bytes`, or exactly as many bytes as `into` takes.
Status send_all(Link& link, std::string_view bytes, Deadline deadline);
Status receive_all(Link& link, std::span<char> into, Deadline deadline);

/// Over two descriptors, which become non-blocking; they may be the same file.
std::unique_ptr<Link> plain_link(Fd in, Fd out);

}  // namespace noded::remote

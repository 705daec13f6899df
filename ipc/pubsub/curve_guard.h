// CurveGuard: the door at tcp://. Answers ZeroMQ's question who is let in (ZAP, RFC 27), and hears
// of those who came with wrong keys. A part of publisher_socket.cc.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "ipc/pubsub/publisher_socket.h"

namespace noded::ipc {

constexpr size_t kZ85Bytes = 40;  ///< of a key

class CurveGuard {
public:
    /// Makes `socket` listen at the endpoint of `curve`, too.
    static Result<std::unique_ptr<CurveGuard>> bind(void* context, void* socket,
                                                    const PublisherSocket::Curve& curve);
    ~CurveGuard();

    std::vector<int> fds() const;
    std::vector<std::string> work();
    const std::string& endpoint() const { return endpoint_; }

private:
    CurveGuard() = default;
    void answer_one(const std::vector<std::string>& parts, std::vector<std::string>& said);
    void hear_one(const std::vector<std::string>& parts, std::vector<std::string>& said);

    void* socket_ = nullptr;   ///< the publisher's
    void* zap_ = nullptr;      ///< REP
    void* monitor_ = nullptr;  ///< PAIR
    std::string endpoint_;
    std::set<std::string> clients_;
};

}  // namespace noded::ipc

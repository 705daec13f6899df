// Server: the gateway's side towards HTTP clients, on kj-http.
//
//     GET /metrics   200 with the metrics; 503 with a sentence while noded is away
//     GET /healthz   200 "ok", or 503 likewise
//     GET /          where the two are
#pragma once

#include <kj/async-io.h>
#include <kj/compat/http.h>

#include "tools/gateway/disk_usage.h"
#include "tools/gateway/node_link.h"

namespace noded::gateway {

class Server final : public kj::HttpService, kj::TaskSet::ErrorHandler {
public:
    Server(kj::AsyncIoContext& io, NodeLink& link, DiskUsage& disk_usage);

    /// Serves those who connect, for ever.
    kj::Promise<void> serve(kj::ConnectionReceiver& port);

    kj::Promise<void> request(kj::HttpMethod method, kj::StringPtr url,
                              const kj::HttpHeaders& headers, kj::AsyncInputStream& body,
                              Response& response) override;

private:
    void taskFailed(kj::Exception&& exception) override;
    void welcome(kj::Own<kj::AsyncIoStream> connection);
    kj::Promise<void> metrics(Format format, bool body, Response& response);
    kj::Promise<void> health(bool body, Response& response);
    kj::Promise<void> answer(Response& response, unsigned status, const char* words,
                             const char* type, std::string text, bool body) const;

    kj::AsyncIoContext& io_;
    NodeLink& link_;
    DiskUsage& disk_usage_;
    kj::HttpHeaderTable::Builder table_builder_;
    kj::HttpHeaderId accept_, allow_;
    kj::Own<kj::HttpHeaderTable> table_;
    kj::HttpServer http_;
    size_t connections_ = 0;
    size_t scrapes_ = 0;
    kj::TaskSet tasks_;
};

}  // namespace noded::gateway

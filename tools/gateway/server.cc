// HTTP clients and what they get, see server.h.
#include "tools/gateway/server.h"

#include <utility>

#include "tools/gateway/limits.h"

namespace noded::gateway {
namespace {

constexpr const char* kPlain = "text/plain; charset=utf-8";
constexpr const char* kIndex =
    "noded's gateway to Prometheus.\n\n/metrics  containers, the node and noded\n"
    "/healthz  whether noded answers\n";

kj::HttpServerSettings settings() {
    kj::HttpServerSettings settings;
    settings.headerTimeout = limits::header_seconds_max * kj::SECONDS;
    settings.pipelineTimeout = limits::idle_seconds_max * kj::SECONDS;
    return settings;
}

/// A refusal for one who connects when there are too many: no request was read.
constexpr kj::StringPtr kTooMany =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: text/plain\r\n"
    "Content-Length: 48\r\n\r\nthere are too many connections, try again later\n"_kj;

Format format_for(kj::Maybe<kj::StringPtr> accept) {
    KJ_IF_MAYBE (text, accept) {
        if (std::string_view(text->cStr()).find("application/openmetrics-text") !=
            std::string_view::npos)
            return Format::openmetrics;
    }
    return Format::text;
}

std::string text_of(const Scraped& scraped, Format format) {
    Exposition out(format);
    write_containers(scraped.answers, out);
    write_node(scraped.answers, out);
    write_noded(scraped.answers, out);
    return out.take();
}

std::string sentence(const kj::Exception& exception) {
    return std::string(exception.getDescription().cStr()) + "\n";
}

}  // namespace

Server::Server(kj::AsyncIoContext& io, NodeLink& link, DiskUsage& disk_usage)
    : io_(io),
      link_(link),
      disk_usage_(disk_usage),
      accept_(table_builder_.add("Accept")),
      allow_(table_builder_.add("Allow")),
      table_(table_builder_.build()),
      http_(io.provider->getTimer(), *table_, *this, settings()),
      tasks_(*this) {}

/// What a client does to its connection is of no interest to others.
void Server::taskFailed(kj::Exception&&) {}

kj::Promise<void> Server::serve(kj::ConnectionReceiver& port) {
    return port.accept().then([this, &port](kj::Own<kj::AsyncIoStream>&& connection) {
        welcome(kj::mv(connection));
        return serve(port);
    });
}

void Server::welcome(kj::Own<kj::AsyncIoStream> connection) {
    if (connections_ >= 2 * limits::connections_max) return;  // not even a refusal
    ++connections_;
    auto leave = kj::defer([this] { --connections_; });
    if (connections_ > limits::connections_max) {
        auto refused = connection->write(kTooMany.begin(), kTooMany.size());
        tasks_.add(io_.provider->getTimer()
                       .timeoutAfter(1 * kj::SECONDS, kj::mv(refused))
                       .attach(kj::mv(connection), kj::mv(leave)));
        return;
    }
    tasks_.add(http_.listenHttp(kj::mv(connection)).attach(kj::mv(leave)));
}

kj::Promise<void> Server::answer(Response& response, unsigned status, const char* words,
                                 const char* type, std::string text, bool body) const {
    kj::HttpHeaders headers(*table_);
    headers.set(kj::HttpHeaderId::CONTENT_TYPE, type);
    if (status == 405) headers.set(allow_, "GET, HEAD");
    auto stream = response.send(status, words, headers, text.size());
    if (!body) return kj::READY_NOW;
    auto kept = kj::heap<std::string>(std::move(text));
    auto written = stream->write(kept->data(), kept->size());
    return written.attach(kj::mv(stream), kj::mv(kept));
}

kj::Promise<void> Server::metrics(Format format, bool body, Response& response) {
    if (scrapes_ >= limits::scrapes_max)
        return answer(response, 503, "Service Unavailable", kPlain,
                      "so many scrapes are under way already, try again later\n", body);
    ++scrapes_;
    return link_.scrape()
        .then(
            [this, format, body, &response](std::shared_ptr<Scraped>&& scraped) {
                std::vector<std::string> running;
                for (const ContainerRow& row : scraped->answers.rows)
                    running.emplace_back(row.figures.getId().cStr());
                scraped->answers.layers = disk_usage_.look(running);
                return answer(response, 200, "OK", Exposition::content_type(format),
                              text_of(*scraped, format), body);
            },
            [this, body, &response](kj::Exception&& exception) {
                return answer(response, 503, "Service Unavailable", kPlain, sentence(exception),
                              body);
            })
        .attach(kj::defer([this] { --scrapes_; }));
}

kj::Promise<void> Server::health(bool body, Response& response) {
    return link_.check().then(
        [this, body, &response] { return answer(response, 200, "OK", kPlain, "ok\n", body); },
        [this, body, &response](kj::Exception&& exception) {
            return answer(response, 503, "Service Unavailable", kPlain, sentence(exception), body);
        });
}

kj::Promise<void> Server::request(kj::HttpMethod method, kj::StringPtr url,
                                  const kj::HttpHeaders& headers, kj::AsyncInputStream&,
                                  Response& response) {
    const bool body = method != kj::HttpMethod::HEAD;
    if (method != kj::HttpMethod::GET && method != kj::HttpMethod::HEAD)
        return answer(response, 405, "Method Not Allowed", kPlain,
                      "only GET and HEAD are answered here\n", true);
    std::string_view path(url.cStr());
    path = path.substr(0, path.find('?'));
    kj::Promise<void> done = nullptr;
    if (path == "/metrics") done = metrics(format_for(headers.get(accept_)), body, response);
    else if (path == "/healthz") done = health(body, response);
    else if (path == "/") done = answer(response, 200, "OK", kPlain, kIndex, body);
    else done = answer(response, 404, "Not Found", kPlain,
                       "there is nothing here: see /metrics and /healthz\n", body);
    // A client that does not read what it asked for is left.
    return io_.provider->getTimer().timeoutAfter(limits::request_seconds_max * kj::SECONDS,
                                                 kj::mv(done));
}

}  // namespace noded::gateway

// The connection to noded and the calls of one scrape, see node_link.h.
#include "tools/gateway/node_link.h"

#include <capnp/message.h>

#include <map>
#include <utility>

#include "tools/gateway/limits.h"

namespace noded::gateway {

struct NodeLink::Connection {
    explicit Connection(kj::Own<kj::AsyncIoStream> to)
        : stream(kj::mv(to)), client(*stream), node(client.bootstrap().castAs<schema::Node>()) {}

    template <typename Interface>
    typename Interface::Client plugin(const char* name) {
        auto request = node.pluginRequest();
        request.setName(name);
        return request.send().getInterface().castAs<Interface>();
    }

    kj::Own<kj::AsyncIoStream> stream;
    capnp::TwoPartyClient client;
    schema::Node::Client node;
};

namespace {

/// Keeps what an answer's readers point into.
template <typename T>
T& keep(Scraped& scraped, T&& response) {
    auto held = std::make_shared<T>(kj::mv(response));
    scraped.responses.push_back(held);
    return *held;
}

/// One scrape under way: first who there is, then, in one go, the node and the containers' figures.
struct Scrape {
    explicit Scrape(schema::Node::Client to, schema::Container::Client containers,
                    schema::Stats::Client stats)
        : node(kj::mv(to)), container(kj::mv(containers)), stats(kj::mv(stats)) {}

    kj::Promise<void> list(kj::String after);
    kj::Promise<void> read();
    kj::Promise<void> ask(const std::vector<std::string>& names);

    schema::Node::Client node;
    schema::Container::Client container;
    schema::Stats::Client stats;
    std::shared_ptr<Scraped> scraped = std::make_shared<Scraped>();
    std::map<std::string, schema::ContainerState::Reader> by_id;
};

kj::Promise<void> Scrape::list(kj::String after) {
    auto request = container.listRequest();
    request.setAfter(after);
    return request.send().then(
        [this](capnp::Response<schema::Container::ListResults>&& response) -> kj::Promise<void> {
            const auto& page = keep(*scraped, kj::mv(response));
            for (const auto state : page.getContainers()) {
                if (scraped->answers.containers.size() >= limits::containers_max) break;
                scraped->answers.containers.push_back(state);
                by_id.emplace(state.getId().cStr(), state);
            }
            const bool full = scraped->answers.containers.size() >= limits::containers_max;
            if (page.getNext().size() == 0 || full) return kj::READY_NOW;
            return list(kj::str(page.getNext()));
        });
}

/// Questions that are sent together are answered by one sample.
kj::Promise<void> Scrape::ask(const std::vector<std::string>& names) {
    auto request = stats.readRequest();
    request.setOnce(true);
    auto list = request.initContainers(static_cast<unsigned>(names.size()));
    for (unsigned i = 0; i < list.size(); ++i) list.set(i, names[i].c_str());
    return request.send().then([this](capnp::Response<schema::Stats::ReadResults>&& response) {
        const auto samples = keep(*scraped, kj::mv(response)).getSamples();
        if (samples.size() == 0) return;
        const auto sample = samples[samples.size() - 1];
        scraped->answers.node = sample;
        for (const auto figures : sample.getContainers()) {
            ContainerRow row{figures, {}};
            const auto state = by_id.find(figures.getId().cStr());
            if (state != by_id.end()) row.state = state->second;
            scraped->answers.rows.push_back(row);
        }
    });
}

kj::Promise<void> Scrape::read() {
    auto calls = kj::heapArrayBuilder<kj::Promise<void>>(
        2 + scraped->answers.containers.size() / limits::containers_per_question);
    std::vector<std::string> names;
    for (const auto& state : scraped->answers.containers) {
        if (state.getPhase() != schema::Phase::RUNNING) continue;
        names.push_back(state.getId().cStr());
        if (names.size() < limits::containers_per_question) continue;
        calls.add(ask(names));
        names.clear();
    }
    if (names.empty()) names.push_back("");  // the node alone
    calls.add(ask(names));
    return kj::joinPromises(calls.finish());
}

/// What went wrong, for the one who scrapes.
kj::Exception said(kj::Exception::Type type, std::string text) {
    return kj::Exception(type, __FILE__, __LINE__, kj::str(text.c_str()));
}

}  // namespace

kj::Promise<NodeLink::Shared> NodeLink::connect() {
    if (connection_) return connection_;
    const std::string path = path_;
    return io_.provider->getNetwork()
        .parseAddress(kj::str("unix:", path.c_str()))
        .then([](kj::Own<kj::NetworkAddress>&& address) {
            auto connected = address->connect();
            return connected.attach(kj::mv(address));
        })
        .then(
            [this](kj::Own<kj::AsyncIoStream>&& stream) -> kj::Promise<Shared> {
                connection_ = std::make_shared<Connection>(kj::mv(stream));
                return connection_;
            },
            [path](kj::Exception&& exception) -> kj::Promise<Shared> {
                return said(kj::Exception::Type::DISCONNECTED,
                            "cannot reach noded at unix:" + path + ": " +
                                exception.getDescription().cStr());
            });
}

template <typename T>
kj::Promise<T> NodeLink::in_time(kj::Promise<T> promise) {
    return io_.provider->getTimer()
        .timeoutAfter(limits::noded_seconds_max * kj::SECONDS, kj::mv(promise))
        .catch_([this](kj::Exception&& exception) -> kj::Promise<T> {
            if (exception.getType() != kj::Exception::Type::OVERLOADED) return kj::mv(exception);
            connection_.reset();
            return said(kj::Exception::Type::OVERLOADED,
                        "noded did not answer within " +
                            std::to_string(limits::noded_seconds_max) + " seconds");
        });
}

/// A connection that noded left while nobody used it is noticed here, and made anew.
template <typename T>
kj::Promise<T> NodeLink::with_connection(kj::Function<kj::Promise<T>(Shared)> use) {
    auto shared_use = std::make_shared<kj::Function<kj::Promise<T>(Shared)>>(kj::mv(use));
    const bool reused = connection_ != nullptr;
    const auto run = [shared_use](Shared connection) {
        auto result = (*shared_use)(connection);
        return result.attach(Shared(connection));
    };
    // A copy each: a promise keeps a reference to what is passed by name.
    return connect().then(kj::cp(run)).catch_(
        [this, run, reused](kj::Exception&& exception) -> kj::Promise<T> {
            connection_.reset();
            const bool gone = exception.getType() == kj::Exception::Type::DISCONNECTED;
            if (!reused || !gone) return kj::mv(exception);
            auto second = connect().then(kj::cp(run));
            return second.catch_([this](kj::Exception&& again) -> kj::Promise<T> {
                connection_.reset();
                return kj::mv(again);
            });
        });
}

kj::Promise<std::shared_ptr<Scraped>> NodeLink::scrape() {
    using Result = std::shared_ptr<Scraped>;
    return in_time(with_connection<Result>([](Shared connection) {
        auto scrape = kj::heap<Scrape>(connection->node,
                                       connection->plugin<schema::Container>("container"),
                                       connection->plugin<schema::Stats>("stats"));
        Scrape& now = *scrape;
        auto info = connection->node.infoRequest().send().then(
            [&now](capnp::Response<schema::Node::InfoResults>&& response) {
                now.scraped->answers.info = keep(*now.scraped, kj::mv(response)).getInfo();
            });
        return now.list(kj::str())
            .then([&now] { return now.read(); })
            .then([info = kj::mv(info)]() mutable { return kj::mv(info); })
            .then([&now] { return now.scraped; })
            .attach(kj::mv(scrape));
    }));
}

kj::Promise<Layer> NodeLink::layer(std::string container) {
    return connect().then([this, container = std::move(container)](Shared connection) {
        auto plugin = connection->plugin<schema::Container>("container");
        auto inspect = plugin.inspectRequest();
        inspect.setContainer(container);
        auto where = inspect.send().then(
            [](capnp::Response<schema::Container::InspectResults>&& response) -> std::string {
                return response.getState().getUpper().cStr();
            });
        auto request = plugin.filesRequest();
        request.setContainer(container);
        request.initJob().setVerb(schema::FilesVerb::SIZE);
        auto asked = request.send().then(
            [where = kj::mv(where)](
                capnp::Response<schema::Container::FilesResults>&& response) mutable {
                const uint64_t bytes = response.getResult().getSize();
                return where.then([bytes](std::string folder) {
                    return Layer{bytes, std::move(folder)};
                });
            });
        // The connection is also that of scrapes, which nobody who walks slowly is to disturb.
        return io_.provider->getTimer()
            .timeoutAfter(limits::walk_seconds_max * kj::SECONDS, kj::mv(asked))
            .attach(kj::mv(connection));
    });
}

kj::Promise<void> NodeLink::check() {
    return in_time(with_connection<void>(
        [](Shared connection) { return connection->node.versionRequest().send().ignoreResult(); }));
}

}  // namespace noded::gateway

// Commands through RPC over one connection, so many outstanding; and the proof that what was
// acknowledged is there: the node can be killed (SIGKILL) at full speed, what it had acknowledged
// goes into a file, and `check` compares that with the log of the node that was started again.
#include <signal.h>

#include <cstdio>
#include <unordered_map>

#include "bench/node/harness.h"

namespace noded::bench {
namespace {

constexpr uint64_t kFillOutstanding = 32;

class Load {
public:
    Load(schema::Node::Client node, const Arguments& arguments)
        : node_(std::move(node)), arguments_(arguments), begin_us_(now_us()) {}

    kj::Promise<void> caller() {
        const double sent = now_us();
        if (sent - begin_us_ >= arguments_.seconds * 1e6) {
            if (end_us_ == 0) end_us_ = sent;
            if (arguments_.kill == 0) return kj::READY_NOW;
            if (!killed_) kill(arguments_.kill, SIGKILL);
            killed_ = true;
        }
        const uint64_t number = next_++;
        return put(node_, number, 1, number).then(
            [this, sent, number](uint64_t seq) {
                if (end_us_ == 0) latencies_.push_back(now_us() - sent);
                told_.push_back({number, seq});
                return caller();
            },
            [this](kj::Exception&& lost) -> kj::Promise<void> {
                if (killed_) return kj::READY_NOW;
                return kj::mv(lost);
            });
    }

    double seconds() const { return (end_us_ - begin_us_) / 1e6; }
    const std::vector<double>& latencies() const { return latencies_; }
    const std::vector<Told>& told() const { return told_; }

private:
    schema::Node::Client node_;
    const Arguments& arguments_;
    const double begin_us_;
    double end_us_ = 0;
    bool killed_ = false;
    uint64_t next_ = 0;
    std::vector<double> latencies_;
    std::vector<Told> told_;
};

Status write_told(const std::string& path, const std::vector<Told>& told) {
    FILE* file = fopen(path.c_str(), "wb");
    if (file == nullptr) return fail_errno(errno, "create " + path);
    const size_t wrote = fwrite(told.data(), sizeof(Told), told.size(), file);
    if (fclose(file) != 0 || wrote != told.size()) return fail_errno(errno, "write " + path);
    return {};
}

Result<std::unordered_map<uint64_t, uint64_t>> read_told(const std::string& path) {
    FILE* file = fopen(path.c_str(), "rb");
    if (file == nullptr) return fail_errno(errno, "open " + path);
    std::unordered_map<uint64_t, uint64_t> told;
    Told one;
    while (fread(&one, sizeof one, 1, file) == 1) told.emplace(one.number, one.seq);
    fclose(file);
    return told;
}

}  // namespace

Status put_load(const Arguments& arguments) {
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    TRY(client->wait(node.versionRequest().send()));
    Load load(node, arguments);
    kj::Vector<kj::Promise<void>> callers;
    for (uint64_t i = 0; i < arguments.outstanding; ++i) callers.add(load.caller());
    TRY_STATUS(client->wait(kj::joinPromises(callers.releaseAsArray())));
    if (!arguments.told.empty()) TRY_STATUS(write_told(arguments.told, load.told()));
    print_load(load.latencies(), load.seconds());
    return {};
}

Status check_told(const Arguments& arguments) {
    auto told = TRY(read_told(arguments.told));
    const size_t expected = told.size();
    std::vector<bool> seen(OBJECTS_MAX);
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    for (uint64_t since = 1;;) {
        auto request = node.eventsRequest();
        request.setSince(since);
        request.setMax(1024);
        const auto response = TRY(client->wait(request.send()));
        const auto page = response.getPage();
        if (page.getEvents().size() == 0) break;
        for (const auto event : page.getEvents()) {
            if (event.getType() != OBJECT_PUT) continue;
            uint64_t number = 0;
            memcpy(&number, event.getCommandId().begin(), sizeof number);
            if (number >= seen.size() || seen[number])
                return fail("event " + std::to_string(event.getSeq()) + " repeats a command");
            seen[number] = true;
            const auto at = told.find(number);
            if (at == told.end()) continue;   // durable, but the answer was on its way
            if (at->second != event.getSeq())
                return fail("command " + std::to_string(number) + " is not where it was told");
            told.erase(at);
        }
        since = page.getNext();
    }
    if (!told.empty())
        return fail(std::to_string(told.size()) + " acknowledged commands are lost");
    printf("{\"acknowledged_and_found\":%zu}\n", expected);
    return {};
}

Status fill(const Arguments& arguments) {
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    const double begin = now_us();
    for (uint64_t number = 0; number < arguments.objects;) {
        kj::Vector<kj::Promise<void>> puts;
        for (uint64_t i = 0; i < kFillOutstanding && number < arguments.objects; ++i) {
            const auto count =
                std::min<uint64_t>(OBJECTS_PER_PUT_MAX, arguments.objects - number);
            puts.add(put(node, number, count, number).ignoreResult());
            number += count;
        }
        TRY_STATUS(client->wait(kj::joinPromises(puts.releaseAsArray())));
    }
    printf("{\"objects\":%llu,\"seconds\":%.3f}\n",
           static_cast<unsigned long long>(arguments.objects), (now_us() - begin) / 1e6);
    return {};
}

}  // namespace noded::bench

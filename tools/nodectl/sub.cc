// nodectl sub: what the node publishes (ops/docs/streams.md), a line per message. Samples of
// containers and of the node are shown as text or as JSON, events as `nodectl events` does.
#include <unistd.h>

#include <cstring>

#include "agent/base/bytes.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/dynamic_json.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"
#include "tools/nodectl/zmtp.h"

namespace noded::nodectl {
namespace {

constexpr std::string_view kEvents = "event/";
constexpr std::string_view kJson = "json/";
constexpr size_t kIdDigits = 64;

/// A message as words, which are aligned.
class Words {
public:
    explicit Words(std::string_view bytes) : words_(bytes.size() / sizeof(capnp::word)) {
        memcpy(words_.data(), bytes.data(), words_.size() * sizeof(capnp::word));
    }
    kj::ArrayPtr<const capnp::word> get() const { return {words_.data(), words_.size()}; }

private:
    std::vector<capnp::word> words_;
};

bool is_stats(std::string_view topic) {
    return topic.starts_with("stats/") || topic.starts_with("stats@");
}

std::string pair(const char* key, uint64_t value) {
    return std::string(" ") + key + "=" + std::to_string(value);
}

std::string container_line(const schema::ContainerFigures::Reader& row) {
    return " name=" + std::string(row.getName().cStr()) +
           pair("cpuNs", row.getCpu().getTotalNs()) +
           pair("throttledNs", row.getCpu().getThrottledNs()) +
           " memory=" + binary_size(row.getMemory().getWorkingSetBytes()) +
           pair("pids", row.getPids().getCurrent()) +
           " net=" + human_size(row.getNet().getReceivedBytes()) + "/" +
           human_size(row.getNet().getSentBytes()) + " io=" +
           human_size(row.getIo().getReadBytes()) + "/" + human_size(row.getIo().getWriteBytes());
}

std::string node_line(const schema::NodeFigures::Reader& node) {
    char load[64];
    snprintf(load, sizeof load, " load=%.2f,%.2f,%.2f", node.getLoad1(), node.getLoad5(),
             node.getLoad15());
    return pair("cpus", node.getCpus()) +
           pair("userNs", node.getCpu().getUserNs() + node.getCpu().getNiceNs()) +
           pair("systemNs", node.getCpu().getSystemNs()) +
           pair("idleNs", node.getCpu().getIdleNs()) + " available=" +
           binary_size(node.getMemory().getAvailableBytes()) + "/" +
           binary_size(node.getMemory().getTotalBytes()) + load;
}

class Subscriber {
public:
    Subscriber(Invocation& call, bool json)
        : session_(call.session), json_(json), schemas_(session_) {}

    /// A container may be named: topics have its id.
    Status add(std::string topic) {
        const size_t slash = topic.rfind('/');
        const std::string last = slash == std::string::npos ? "" : topic.substr(slash + 1);
        if (is_stats(topic) && !last.empty() && last != "node" && last.size() != kIdDigits) {
            const auto found = TRY(inspect_one(session_, last));
            topic = topic.substr(0, slash + 1) + found.getState().getId().cStr();
        }
        if (json_ && is_stats(topic)) topic = std::string(kJson) + topic;
        topics_.push_back(std::move(topic));
        return {};
    }

    /// `count` messages, or for ever if it is 0.
    Status run(uint64_t count) {
        for (uint64_t seen = 0;;) {
            auto opened = open();
            if (!opened && !Session::is_lost(opened.error()))
                return std::unexpected(opened.error());
            while (opened) {
                const auto message = opened->receive();
                if (!message && message.error().code == ECONNRESET) break;
                const auto parts = TRY(message);
                if (parts.size() < 2) continue;
                TRY_STATUS(show(parts[0], parts[1]));
                if (++seen == count) return {};
            }
            TRY_STATUS(session_.reconnect());
            schemas_.forget();
        }
    }

private:
    Result<ZmtpSubscriber> open() {
        const auto info = TRY(session_.wait(session_.node().infoRequest().send()));
        ZmtpSubscriber socket =
            TRY(ZmtpSubscriber::connect(info.getInfo().getPublishEndpoint().cStr()));
        for (const std::string& topic : topics_) TRY_STATUS(socket.subscribe(topic));
        return socket;
    }

    Status show(const std::string& topic, const std::string& payload) {
        if (payload.starts_with("{")) {
            Json message = Json::parse(payload, nullptr, false);
            if (message.is_object() && message.contains("error"))
                return fail(message["error"].get<std::string>());
            if (!message.is_object()) return say_size(topic, payload);
            Json line = {{"topic", topic}};
            line.update(message);
            print(json_ ? to_line(line) + "\n" : topic + " " + payload + "\n");
            return {};
        }
        if (topic.starts_with(kEvents)) return show_event(topic, payload);
        if (is_stats(topic)) return show_sample(topic, payload);
        return say_size(topic, payload);
    }

    /// Of a plugin whose payloads nobody here can read.
    Status say_size(const std::string& topic, const std::string& payload) {
        if (json_) print(to_line(Json{{"topic", topic}, {"bytes", payload.size()}}) + "\n");
        else print(topic + " " + std::to_string(payload.size()) + " bytes\n");
        return {};
    }

    Status show_event(const std::string& topic, const std::string& payload) {
        const Words words(payload);
        capnp::FlatArrayMessageReader reader(words.get());
        const auto event = reader.getRoot<schema::Event>();
        ShownEvent shown;
        shown.seq = event.getSeq();
        shown.time_ns = event.getTimeNs();
        shown.type = event.getType();
        shown.name = event.getName().cStr();
        shown.plugin = event.getPlugin().cStr();
        shown.command_id = to_hex({event.getCommandId().begin(), event.getCommandId().size()});
        shown.cause_seq = event.getCauseSeq();
        shown.payload = schemas_.decode(shown.plugin, shown.type, event.getPayload());
        Json line = {{"topic", topic}};
        line.update(event_json(shown));
        print((json_ ? to_line(line) : event_line(shown, true)) + "\n");
        return {};
    }

    Status show_sample(const std::string& topic, const std::string& payload) {
        const Words words(payload);
        capnp::FlatArrayMessageReader reader(words.get());
        const auto message = reader.getRoot<schema::StatsMessage>();
        std::string text = topic.substr(0, topic.rfind('/') + 1);
        text += message.isNode() ? "node" : short_id(message.getContainer().getId().cStr());
        text = rfc3339_fixed(message.getTimeNs()) + " " + text +
               pair("sequence", message.getSequence()) + pair("lost", message.getLost());
        text += message.isNode() ? node_line(message.getNode())
                                 : container_line(message.getContainer());
        print(text + "\n");
        return {};
    }

    Session& session_;
    const bool json_;
    PluginSchemas schemas_;
    std::vector<std::string> topics_;
};

}  // namespace

int subscribe(Invocation& call) {
    std::string output;
    std::optional<int64_t> count;
    const Option table[] = {
        {'n', "count", &count, "int", "End after so many messages"},
        {'o', "output", &output, "string", "text or json (one object per line)"},
    };
    if (const auto status = call.parse(table, {.min = 1})) return *status;
    if (!output.empty() && output != "json" && output != "text")
        return call.failed(Error{0, "invalid output \"" + output + "\": it is text or json"});
    if (count && *count <= 0)
        return call.failed(Error{0, "invalid --count " + std::to_string(*count) +
                                        ": it is a number of messages"});
    Subscriber subscriber(call, output == "json");
    for (const std::string& topic : call.arguments)
        OR_FAIL_STATUS(call, subscriber.add(topic));
    OR_FAIL_STATUS(call, subscriber.run(static_cast<uint64_t>(count.value_or(0))));
    return 0;
}

}  // namespace noded::nodectl

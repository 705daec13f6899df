// nodectl sub: what the node publishes (ops/docs/streams.md), a line per message. Samples of
// containers and of the node are shown as text or as JSON, events as `nodectl events` does, output
// of containers line by line.
#include <unistd.h>

#include <chrono>
#include <cstring>

#include "agent/base/bytes.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/curve.h"
#include "tools/nodectl/dynamic_json.h"
#include "tools/nodectl/event_line.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/sub_log.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"
#include "tools/nodectl/zmtp.h"

namespace noded::nodectl {
namespace {

constexpr std::string_view kEvents = "event/";
constexpr std::string_view kJson = "json/";
constexpr size_t kIdDigits = 64;

/// A node on another machine: nothing can be asked there, only subscribed to.
struct Server {
    std::string endpoint;
    CurveKey key{}, secret{};
};

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

bool is_log(std::string_view topic) { return topic.starts_with("log/"); }

std::string pair(const char* key, uint64_t value) {
    return std::string(" ") + key + "=" + std::to_string(value);
}

std::string container_line(const schema::ContainerFigures::Reader& row) {
    // What shares the node's network has the packets that the kernel counted for it.
    const auto net = row.hasNet() ? row.getNet() : row.getKernel().getNet();
    return " name=" + std::string(row.getName().cStr()) +
           pair("cpuNs", row.getCpu().getTotalNs()) +
           pair("throttledNs", row.getCpu().getThrottledNs()) +
           " memory=" + binary_size(row.getMemory().getWorkingSetBytes()) +
           pair("pids", row.getPids().getCurrent()) +
           " net=" + human_size(net.getReceivedBytes()) + "/" +
           human_size(net.getSentBytes()) + " io=" +
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
    Subscriber(Invocation& call, bool json, std::optional<uint64_t> tail,
               std::optional<Server> server)
        : session_(call.session),
          json_(json),
          schemas_(session_),
          tail_(tail),
          server_(std::move(server)),
          logs_(session_, [this](const LogOutput& output) { show_output(output); }) {}
    ~Subscriber() { end_line(); }
    Subscriber(const Subscriber&) = delete;
    Subscriber& operator=(const Subscriber&) = delete;

    /// A container may be named: topics have its id.
    Status add(std::string topic) {
        if (server_) return add_far(std::move(topic));
        const size_t slash = topic.rfind('/');
        const std::string last = slash == std::string::npos ? "" : topic.substr(slash + 1);
        if (is_stats(topic) && !last.empty() && last != "node" && last.size() != kIdDigits) {
            const auto found = TRY(inspect_one(session_, last));
            topic = topic.substr(0, slash + 1) + found.getState().getId().cStr();
        }
        if (is_log(topic)) topic = TRY(log_topic(topic));
        if (json_ && is_stats(topic)) topic = std::string(kJson) + topic;
        topics_.push_back(std::move(topic));
        return {};
    }

    /// `count` messages, or for ever if it is 0.
    Status run(uint64_t count) {
        for (;;) {
            auto opened = open();
            if (!opened && !Session::is_lost(opened.error()))
                return std::unexpected(opened.error());
            TRY_STATUS(read_tails());
            while (opened) {
                // A subscription takes a moment to arrive.
                constexpr int kArrivedMs = 500;
                if (catch_up_ && !opened->ready(kArrivedMs)) {
                    catch_up_ = false;
                    TRY_STATUS(logs_.catch_up());
                }
                if (seen_ >= count && count != 0) return {};
                const auto message = opened->receive();
                if (!message && message.error().code == ECONNRESET) break;
                const auto parts = TRY(message);
                if (parts.size() < 2) continue;
                TRY_STATUS(show(parts[0], parts[1]));
                if (seen_ >= count && count != 0) return {};
            }
            TRY_STATUS(server_ ? come_back() : session_.reconnect());
            schemas_.forget();
        }
    }

private:
    /// As JSON, which needs nobody who knows the types of events.
    Status add_far(std::string topic) {
        const size_t slash = topic.rfind('/');
        const std::string last = slash == std::string::npos ? "" : topic.substr(slash + 1);
        const std::string named = is_log(topic) ? parse_log_topic(topic).container : last;
        const bool is_id = named.empty() || named.size() == kIdDigits;
        if ((is_log(topic) && !is_id) || (is_stats(topic) && !is_id && named != "node"))
            return fail("\"" + topic + "\": with --server a container is named by its id, all " +
                        std::to_string(kIdDigits) + " digits of it");
        topics_.push_back(topic.starts_with(kJson) ? topic : std::string(kJson) + topic);
        return {};
    }

    /// "log/web/stdout" with the container's id.
    Result<std::string> log_topic(const std::string& topic) {
        const LogTopic parts = parse_log_topic(topic);
        if (parts.container.empty() || parts.container.size() == kIdDigits) return topic;
        const auto found = TRY(inspect_one(session_, parts.container));
        return "log/" + std::string(found.getState().getId().cStr()) +
               topic.substr(4 + parts.container.size());
    }

    /// Once, behind the subscriptions.
    Status read_tails() {
        if (!tail_) return {};
        for (const std::string& topic : topics_) {
            const LogTopic parts = parse_log_topic(topic);
            if (parts.container.size() == kIdDigits)
                TRY_STATUS(logs_.begin(parts.container, parts.out, parts.err, *tail_));
        }
        tail_.reset();
        catch_up_ = true;
        return {};
    }

    Status come_back() {
        constexpr useconds_t kPauseUs = 500'000;
        write_all(STDERR_FILENO, "the node is gone: waiting for it to come back\n");
        const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(kReconnectSeconds);
        for (;;) {
            usleep(kPauseUs);
            const auto opened = open();
            if (opened) return {};
            if (std::chrono::steady_clock::now() >= end) return std::unexpected(opened.error());
        }
    }

    Result<ZmtpSubscriber> open() {
        if (server_) {
            auto socket = TRY(
                ZmtpSubscriber::connect(server_->endpoint, server_->key, server_->secret));
            for (const std::string& topic : topics_) TRY_STATUS(socket.subscribe(topic));
            return socket;
        }
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
            ++seen_;
            print_line(json_ ? to_line(line) + "\n" : topic + " " + payload + "\n");
            return {};
        }
        if (is_log(topic)) return take_output(payload);
        ++seen_;
        if (topic.starts_with(kEvents)) return show_event(topic, payload);
        if (is_stats(topic)) return show_sample(topic, payload);
        return say_size(topic, payload);
    }

    /// Of a plugin whose payloads nobody here can read.
    Status say_size(const std::string& topic, const std::string& payload) {
        if (json_) print_line(to_line(Json{{"topic", topic}, {"bytes", payload.size()}}) + "\n");
        else print_line(topic + " " + std::to_string(payload.size()) + " bytes\n");
        return {};
    }

    Status take_output(const std::string& payload) {
        const Words words(payload);
        capnp::FlatArrayMessageReader reader(words.get());
        return logs_.take(reader.getRoot<schema::LogMessage>());
    }

    /// As text a line each, with the time of the message that it began in.
    void show_output(const LogOutput& output) {
        ++seen_;
        const char* stream = output.stream == schema::OutputStream::STDOUT ? "stdout" : "stderr";
        if (json_) {
            Json line = {{"topic", "log/" + output.container + "/" + stream},
                         {"position", output.position},
                         {"timeNano", output.time_ns}};
            if (output.sequence != 0) {
                line["sequence"] = output.sequence;
                line["lost"] = output.lost;
            }
            line["text"] = output.data;
            print(to_line(line) + "\n");
            return;
        }
        const std::string topic = " log/" + short_id(output.container) + "/" + stream + " ";
        const std::string head = rfc3339_fixed(output.time_ns) + topic;
        std::string text;
        if (open_line_ != topic) end_line();
        for (std::string_view rest = output.data; !rest.empty();) {
            const size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
            if (open_line_.empty()) text += head;
            text += rest.substr(0, end);
            open_line_ = rest[end - 1] == '\n' ? "" : topic;
            rest.remove_prefix(end);
        }
        print(text);
    }

    /// A message may end within a line, which the next one of its topic goes on with.
    void end_line() {
        if (!open_line_.empty()) print("\n");
        open_line_.clear();
    }
    void print_line(const std::string& text) {
        end_line();
        print(text);
    }

    Status show_event(const std::string& topic, const std::string& payload) {
        const Words words(payload);
        capnp::FlatArrayMessageReader reader(words.get());
        const auto event = reader.getRoot<schema::Event>();
        ShownEvent shown;
        shown.seq = event.getSeq();
        shown.time_ns = event.getTimeNs();
        shown.sender = sender_of(event);
        shown.type = event.getType();
        shown.name = event.getName().cStr();
        shown.plugin = event.getPlugin().cStr();
        shown.command_id = to_hex({event.getCommandId().begin(), event.getCommandId().size()});
        shown.cause_seq = event.getCauseSeq();
        shown.payload = schemas_.decode(shown.plugin, shown.type, event.getPayload());
        Json line = {{"topic", topic}};
        line.update(event_json(shown));
        print_line((json_ ? to_line(line) : event_line(shown, true)) + "\n");
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
        print_line(text + "\n");
        return {};
    }

    Session& session_;
    const bool json_;
    PluginSchemas schemas_;
    std::vector<std::string> topics_;
    std::optional<uint64_t> tail_;  ///< lines of output that are shown first
    std::optional<Server> server_;
    bool catch_up_ = false;
    uint64_t seen_ = 0;  ///< messages that were shown
    std::string open_line_;  ///< whose line is not at its end; empty: nobody's
    LogJoin logs_;
};

Result<std::optional<Server>> server_of(const std::string& endpoint, const std::string& server_key,
                                        const std::string& key, bool tail) {
    if (endpoint.empty()) {
        if (!server_key.empty() || !key.empty())
            return fail("--server-key and --key are for --server, which is not given");
        return std::nullopt;
    }
    if (server_key.empty() || key.empty())
        return fail("--server needs --server-key (the node's public key) and --key (a file with "
                    "your secret one, see 'nodectl keygen')");
    if (tail)
        return fail("--tail asks noded what was before, which --server cannot: leave it away");
    return Server{endpoint, TRY(read_curve_public(server_key)), TRY(read_curve_secret(key))};
}

}  // namespace

int subscribe(Invocation& call) {
    std::string output, server, server_key, key;
    std::optional<int64_t> count, tail;
    const Option table[] = {
        {'n', "count", &count, "int", "End after so many messages"},
        {0, "tail", &tail, "int", "Of log/CONTAINER/... also this many lines from before"},
        {0, "key", &key, "file", "With --server: the file of your secret key"},
        {0, "server", &server, "endpoint", "A node on another machine: tcp://HOST:PORT"},
        {0, "server-key", &server_key, "string",
         "With --server: its public key, or a file with it"},
        {'o', "output", &output, "string", "text or json (one object per line)"},
    };
    if (const auto status = call.parse(table, {.min = 1})) return *status;
    if (!output.empty() && output != "json" && output != "text")
        return call.failed(Error{0, "invalid output \"" + output + "\": it is text or json"});
    if (count && *count <= 0)
        return call.failed(Error{0, "invalid --count " + std::to_string(*count) +
                                        ": it is a number of messages"});
    if (tail && *tail < 0)
        return call.failed(Error{0, "invalid --tail " + std::to_string(*tail) +
                                        ": it is a number of lines"});
    auto far = OR_FAIL(call, server_of(server, server_key, key, tail.has_value()));
    if (!far && call.session.elsewhere()) return run_there(call, call.words);
    if (!far) OR_FAIL_STATUS(call, call.session.connect());
    Subscriber subscriber(call, output == "json",
                          tail ? std::optional<uint64_t>(*tail) : std::nullopt,
                          std::move(far));
    for (const std::string& topic : call.arguments)
        OR_FAIL_STATUS(call, subscriber.add(topic));
    OR_FAIL_STATUS(call, subscriber.run(static_cast<uint64_t>(count.value_or(0))));
    return 0;
}

}  // namespace noded::nodectl

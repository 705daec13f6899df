// Output of containers for subscribers, and readLog: logs are written here as shims do.
#include "plugins/container/log_topics.h"

#include <gtest/gtest.h>

#include <deque>

#include <nlohmann/json.hpp>

#include "plugins/container/limits.h"
#include "plugins/container/shim/test_log.h"
#include "plugins/container/test_plugin.h"

namespace noded::container {
namespace {

constexpr LogStream kOut = LogStream::standard_output;
constexpr LogStream kErr = LogStream::standard_error;

std::string form_of(const LogSubscription& one) {
    return std::string(one.forms[0] ? "words " : "") + (one.forms[1] ? "json " : "") +
           (one.streams[0] ? "out " : "") + (one.streams[1] ? "err " : "") + one.id_prefix;
}

TEST(LogSubscriptions, are_prefixes_of_topics) {
    const std::string id(64, 'a');
    const auto parsed = [](const std::string& prefix) {
        const auto one = parse_log_subscription(prefix);
        return one ? form_of(*one) : "no: " + one.error().message;
    };
    EXPECT_EQ(parsed(""), "words json out err ");
    EXPECT_EQ(parsed("lo"), "words out err ");
    EXPECT_EQ(parsed("log/"), "words out err ");
    EXPECT_EQ(parsed("json/"), "json out err ");
    EXPECT_EQ(parsed("json/log/3f"), "json out err 3f");
    EXPECT_EQ(parsed("log/" + id), "words out err " + id);
    EXPECT_EQ(parsed("log/" + id + "/std"), "words out err " + id);
    EXPECT_EQ(parsed("log/" + id + "/stdout"), "words out " + id);
    EXPECT_EQ(parsed("json/log/" + id + "/stderr"), "json err " + id);
    for (const std::string& bad : {std::string("log/web"), std::string("log/3f/stdout"),
                                  "log/" + id + "/stdin", "log/" + id + "0",
                                  "log/" + id + "/stdout/"})
        EXPECT_TRUE(parsed(bad).starts_with("no: the topics are log/<container id>/stdout")) << bad;
}

class LogTopicsTest : public testing::Test {
protected:
    LogTopicsTest() {
        prepare(host);
        host.inject<schema::ImageAdded>([](auto image) {
            image.setId("sha256:aa");
            image.setConfig("{\"config\":{\"Cmd\":[\"sh\"]}}");
            image.initNames(1).set(0, "box:latest");
        });
    }
    std::string create(uint8_t number) {
        CommandId id;
        id.bytes[0] = number;
        const auto outcome = host.command<schema::CreateContainer>(
            [](auto command) { command.getSpec().setImage("box"); }, {.id = id});
        EXPECT_TRUE(outcome.accepted) << outcome.message;
        return id.hex();
    }
    std::string folder(const std::string& id) { return host.state_dir("container") + "/" + id; }
    /// Time passes and what changed is noticed.
    void settle() {
        for (int i = 0; i < 10; ++i) {
            host.poll_fds();
            host.advance(limits::log_topic_pause_ns);
        }
    }
    /// "stdout 1: 0..2 behind 0 ab" a line, of what was published since the last call.
    std::string told() {
        std::string text;
        for (const auto& one : host.published()) {
            if (one.topic.starts_with("json/")) {
                text += "json " + std::string(as_text(one.payload)) + "\n";
                continue;
            }
            if (one.payload.size() > 0 && one.payload[0] == '{') {
                text += std::string(as_text(one.payload)) + "\n";
                continue;
            }
            sdk::Reading<schema::LogMessage> message({one.payload.data(), one.payload.size()});
            const auto data = message->getData().asChars();
            text += one.topic.substr(one.topic.rfind('/') + 1) + " " +
                    std::to_string(message->getSequence()) + ": " +
                    std::to_string(message->getPosition()) + " behind " +
                    std::to_string(message->getAfter()) +
                    (message->getLost() ? " lost " + std::to_string(message->getLost()) : "") +
                    (message->getLostBytes() ? " gone " + std::to_string(message->getLostBytes())
                                             : "") +
                    " " + std::string(data.begin(), data.end()) + "\n";
        }
        host.forget_published();
        return text;
    }
    std::string read(const std::string& id, int64_t tail, uint64_t position) {
        const uint64_t token = host.call<schema::Container::ReadLogParams>(
            "container", "readLog", [&](auto params) {
                params.setContainer(id.c_str());
                params.setTail(tail);
                params.setPosition(position);
            });
        const auto* answer = host.answer(token);
        if (answer == nullptr) return "?";
        if (answer->refused) return answer->message;
        sdk::Reading<schema::Container::ReadLogResults> results(answer->bytes());
        const auto part = results->getPart();
        std::string text;
        size_t bytes = 0;
        for (const auto chunk : part.getChunks()) {
            const auto data = chunk.getData().asChars();
            bytes += data.size();
            text += std::to_string(chunk.getPosition()) +
                    (chunk.getStream() == schema::OutputStream::STDERR ? "<" : "[") +
                    (data.size() < 100 ? std::string(data.begin(), data.end()) : "…") + "] ";
        }
        if (bytes > 1000) text = std::to_string(bytes) + " bytes ";
        return text + "to " + std::to_string(part.getPosition()) +
               (part.getMore() ? " more" : "") +
               (part.getLostBytes() ? " gone " + std::to_string(part.getLostBytes()) : "");
    }

    sdk::FakeHost host;
};

TEST_F(LogTopicsTest, nobody_subscribes_and_nothing_is_watched) {
    const std::string id = create(1);
    TestLog log(folder(id));
    log.write(1, kOut, "a\n");
    settle();
    const size_t watches = host.watches();
    EXPECT_EQ(told(), "");
    host.subscribe("log/" + id + "/stdout");
    EXPECT_EQ(host.watches(), watches + 1);
    host.subscribe("log/" + id + "/stdout", false);
    EXPECT_EQ(host.watches(), watches);
}

TEST_F(LogTopicsTest, what_is_written_from_then_on_is_told_with_its_position) {
    const std::string id = create(1);
    TestLog log(folder(id));
    log.write(1, kOut, "before\n");
    host.subscribe("log/" + id + "/stdout");
    EXPECT_EQ(told(), "");
    log.write(2, kOut, "one\n");
    log.write(3, kErr, "not this\n");
    settle();
    log.write(4, kOut, "two\n");
    settle();
    EXPECT_EQ(told(), "stdout 1: 7 behind 7 one\n\nstdout 2: 20 behind 11 two\n\n");
    host.subscribe("log/");
    log.write(5, kErr, "now\n");
    log.write(6, kOut, "three\n");
    settle();
    EXPECT_EQ(told(), "stderr 1: 24 behind 24 now\n\nstdout 3: 28 behind 24 three\n\n");
}

TEST_F(LogTopicsTest, more_than_are_begun_in_one_turn_are_all_told) {
    std::vector<std::string> ids;
    for (uint8_t i = 1; i <= limits::log_topic_turn_opens + 8; ++i) ids.push_back(create(i));
    std::deque<TestLog> logs;
    for (const std::string& id : ids) logs.emplace_back(folder(id)).write(1, kOut, "before\n");
    host.subscribe("log/");
    settle();
    for (TestLog& log : logs) log.write(2, kOut, "now\n");
    settle();
    std::string expected;
    for (size_t i = 0; i < ids.size(); ++i) expected += "stdout 1: 7 behind 7 now\n\n";
    EXPECT_EQ(told(), expected);
}

TEST_F(LogTopicsTest, one_that_comes_later_is_told_from_its_first_byte) {
    host.subscribe("log/");
    const std::string id = create(1);
    TestLog log(folder(id));
    log.write(1, kOut, "first\n");
    settle();
    EXPECT_EQ(told(), "") << "it has not started";
    host.command<schema::StartContainer>([&](auto command) { command.setContainer(id.c_str()); });
    host.inject<schema::RootfsPrepared>([&](auto event) {
        event.setContainerId(id.c_str());
        event.initLowers(1).set(0, "/lower");
        event.setUpper("/upper");
        event.setWork("/work");
    });
    FakeShim& shim = *test_sys->shims.front();
    shim.take();
    shim.say_started(77);
    settle();
    EXPECT_EQ(told(), "stdout 1: 0 behind 0 first\n\n");
}

TEST_F(LogTopicsTest, json_has_the_same_as_text) {
    const std::string id = create(1);
    TestLog log(folder(id));
    host.subscribe("json/log/" + id);
    log.write(5, kErr, "bad \xff byte\n");
    settle();
    ASSERT_EQ(host.published().size(), 1u);
    EXPECT_EQ(host.published()[0].topic, "json/log/" + id + "/stderr");
    const auto message =
        nlohmann::json::parse(std::string(as_text(host.published()[0].payload)));
    EXPECT_EQ(message["sequence"], "1");
    EXPECT_EQ(message["container"], id);
    EXPECT_EQ(message["stream"], "stderr");
    EXPECT_EQ(message["position"], "0");
    EXPECT_EQ(message["bytes"], 11);
    EXPECT_EQ(message["timeNs"], "5");
    EXPECT_EQ(message["text"], "bad \xef\xbf\xbd byte\n");
}

TEST_F(LogTopicsTest, what_is_gone_is_told) {
    const std::string id = create(1);
    TestLog log(folder(id));
    host.subscribe("log/" + id + "/stdout");
    log.write(1, kOut, "a\n");
    settle();
    log.lose(2, 100);
    log.write(3, kOut, "b\n");
    settle();
    EXPECT_EQ(told(), "stdout 1: 0 behind 0 a\n\nstdout 2: 102 behind 2 gone 100 b\n\n");
    // A subscriber that is too slow.
    host.set_subscriber_slow(true);
    log.write(4, kOut, "c\n");
    settle();
    host.set_subscriber_slow(false);
    log.write(5, kOut, "d\n");
    settle();
    EXPECT_EQ(told(), "stdout 3: 104 behind 104 c\n\nstdout 4: 106 behind 106 lost 1 d\n\n");
}

TEST_F(LogTopicsTest, a_flood_is_told_in_turns) {
    const std::string id = create(1);
    TestLog log(folder(id), 64 << 20);
    host.subscribe("log/" + id + "/stdout");
    for (int i = 0; i < 100; ++i) log.write(1, kOut, std::string(60'000, 'x') + "\n");
    host.poll_fds();
    const size_t first = host.published().size();
    EXPECT_GT(first, 0u);
    EXPECT_LT(first, 100u) << "a turn is limited";
    for (int i = 0; i < 100; ++i) settle();
    uint64_t end = 0;
    for (const auto& one : host.published()) {
        sdk::Reading<schema::LogMessage> message({one.payload.data(), one.payload.size()});
        EXPECT_EQ(message->getAfter(), end);
        EXPECT_EQ(message->getPosition(), end);
        EXPECT_LE(message->getData().size(), limits::log_topic_message_bytes);
        end += message->getData().size();
    }
    EXPECT_EQ(end, 100u * 60'001);
}

TEST_F(LogTopicsTest, a_subscription_to_nothing_is_told_so_once) {
    host.subscribe("log/web/stdout");
    EXPECT_EQ(
        told(),
        "{\"error\":\"the topics are log/<container id>/stdout and log/<container id>/stderr, "
        "with all 64 digits of the id\"}\n");
    host.subscribe("log/" + std::string(64, 'a') + "/stdout");
    EXPECT_NE(told().find("there is no container with this id now"), std::string::npos);
    host.subscribe("log/");
    EXPECT_EQ(told(), "");
}

TEST_F(LogTopicsTest, the_tail_is_read_and_what_follows_a_position) {
    const std::string id = create(1);
    TestLog log(folder(id));
    EXPECT_EQ(read(id, 10, 0), "to 0");
    log.write(1, kOut, "one\ntwo\n");
    log.write(2, kErr, "three\n");
    log.write(3, kOut, "four\n");
    EXPECT_EQ(read(id, 2, 0), "8<three\n] 14[four\n] to 19");
    EXPECT_EQ(read(id, 3, 0), "4[two\n] 8<three\n] 14[four\n] to 19");
    EXPECT_EQ(read(id, 100, 0), "0[one\ntwo\n] 8<three\n] 14[four\n] to 19");
    EXPECT_EQ(read(id, 0, 0), "to 19");
    EXPECT_EQ(read(id, -1, 8), "8<three\n] 14[four\n] to 19");
    EXPECT_EQ(read(id, -1, 6), "6[o\n] 8<three\n] 14[four\n] to 19");
    EXPECT_EQ(read(id, -1, 19), "to 19");
    EXPECT_EQ(read(id, -1, 1000), "to 1000");
    EXPECT_EQ(read("nobody", 1, 0), "No such container: nobody");
}

TEST_F(LogTopicsTest, a_long_log_is_read_in_parts_and_tells_what_was_rotated_away) {
    const std::string id = create(1);
    TestLog log(folder(id), 64 << 10);
    for (int i = 0; i < 40; ++i) log.write(1, kOut, std::string(59'999, 'x') + "\n");
    // "BYTES bytes to POSITION[ more]"
    uint64_t position = 0;
    int parts = 0;
    for (bool more = true; more; ++parts) {
        const std::string part = read(id, -1, position);
        const uint64_t bytes = strtoull(part.c_str(), nullptr, 10);
        EXPECT_LT(bytes, limits::log_part_bytes_max + log_block_bytes) << part;
        position += bytes;
        more = part.ends_with(" more");
        EXPECT_EQ(part, std::to_string(bytes) + " bytes to " + std::to_string(position) +
                            (more ? " more" : ""));
    }
    EXPECT_EQ(position, 40u * 60'000);
    EXPECT_EQ(parts, 3);
    log.remove_oldest();
    const std::string rest = read(id, -1, 0);
    EXPECT_TRUE(rest.ends_with(" more gone 65456")) << rest;
    EXPECT_TRUE(read(id, 100, 0).ends_with(" more")) << "a tail comes in parts, too";
}

}  // namespace
}  // namespace noded::container

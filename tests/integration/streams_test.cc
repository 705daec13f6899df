// What the node publishes, by the subscribers that ops/docs/streams.md shows: nodectl sub, and
// Python's zmq as a library that is not ours.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

using Json = nlohmann::json;
using StreamsTest = SharedNodeTest;

/// `script` has `sub`, a socket of zmq, connected to the node; ten seconds are its patience.
Ran python(const TestNode& node, const std::string& script) {
    return run_program({"/usr/bin/python3", "-c",
                        "import json, zmq\n"
                        "sub = zmq.Context().socket(zmq.SUB)\n"
                        "sub.setsockopt(zmq.RCVTIMEO, 10000)\n"
                        "sub.set_hwm(0)\n"   // of what it subscribes to, too
                        "sub.connect('ipc://" + node.runtime_dir() + "/events.sock')\n" + script});
}

TEST_F(StreamsTest, samples_come_as_json_with_dense_numbers) {
    const auto lines =
        lines_of(node->ok({"sub", "-n", "3", "-o", "json", "stats@20/node"}));
    ASSERT_EQ(lines.size(), 3u);
    uint64_t sequence = 0;
    for (const std::string& line : lines) {
        const Json message = Json::parse(line);
        EXPECT_EQ(message["topic"], "json/stats@20/node");
        EXPECT_EQ(message["lost"], "0");
        const uint64_t now = std::stoull(message["sequence"].get<std::string>());
        EXPECT_TRUE(sequence == 0 || now == sequence + 1) << now << " after " << sequence;
        sequence = now;
        EXPECT_GT(std::stoull(message["node"]["memory"]["totalBytes"].get<std::string>()), 0u);
    }
}

TEST_F(StreamsTest, a_container_is_found_by_name_and_shown_as_text) {
    const std::string id = node->ok({"run", "-d", "--name", "web", "busybox", "sleep", "1000"});
    const std::string line = node->ok({"sub", "-n", "1", "stats/web"});
    EXPECT_TRUE(says(line, " stats/" + id.substr(0, 12) + " sequence=")) << line;
    EXPECT_TRUE(says(line, " lost=0 name=web cpuNs=")) << line;
    EXPECT_TRUE(says(line, " pids=1 ")) << line;
    const std::string of_node = node->ok({"sub", "-n", "1", "stats/node"});
    EXPECT_TRUE(says(of_node, " stats/node sequence=")) << of_node;
    EXPECT_TRUE(says(of_node, " load=")) << of_node;
}

TEST_F(StreamsTest, events_come_as_they_happen) {
    Running stream(node->command({"sub", "-o", "json", "event/container/"}));
    // A subscription takes a moment to arrive.
    for (int i = 0; i < 50 && !says(stream.out(), "ContainerExited"); ++i) {
        node->ok({"run", "--rm", "busybox", "true"});
        stream.read_until("ContainerExited", 1);
    }
    ASSERT_TRUE(says(stream.out(), "ContainerExited")) << stream.out();
    for (const std::string& line : lines_of(stream.out())) {
        if (line.empty() || line.back() != '}') continue;   // the last may be cut
        const Json event = Json::parse(line);
        EXPECT_EQ(event["topic"], "event/container/" + event["type"].get<std::string>());
        EXPECT_TRUE(event["payload"].contains("id"));
    }
}

TEST_F(StreamsTest, a_library_that_is_not_ours_subscribes) {
    const std::string id = node->ok({"run", "-d", "--name", "web", "busybox", "sleep", "1000"});
    const Ran ran = python(*node,
                           "sub.subscribe('json/stats@50/" + id + "')\n"
                           "last = None\n"
                           "for _ in range(20):\n"
                           "    topic, payload = sub.recv_multipart()\n"
                           "    message = json.loads(payload)\n"
                           "    sequence = int(message['sequence'])\n"
                           "    assert last is None or sequence == last + 1, (last, sequence)\n"
                           "    last = sequence\n"
                           "print(topic.decode(), message['container']['name'])\n");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(trimmed(ran.out), "json/stats@50/" + id + " web");
}

TEST_F(StreamsTest, a_topic_that_does_not_exist_is_answered_by_a_sentence) {
    const Ran raw = python(*node,
                           "for topic in ['nothing/at/all', 'stats/nobody', 'stats@1000/node',\n"
                           "              'event/container/Nothing', 'x\"\\\\']:\n"
                           "    sub.subscribe(topic)\n"
                           "    name, payload = sub.recv_multipart()\n"
                           "    assert name.decode() == topic\n"
                           "    print(json.loads(payload)['error'])\n");
    EXPECT_EQ(raw.exit_code, 0) << raw.err;
    const auto lines = lines_of(raw.out);
    ASSERT_EQ(lines.size(), 5u) << raw.out;
    EXPECT_TRUE(says(lines[0], "the subscription \"nothing/at/all\" takes no topic")) << raw.out;
    EXPECT_TRUE(says(lines[1], "the topics are node and <container id>")) << raw.out;
    EXPECT_TRUE(says(lines[2], "a rate is 1 to 100")) << raw.out;
    EXPECT_TRUE(says(lines[3], "takes no topic")) << raw.out;
    const Ran unknown = node->nodectl({"sub", "nothing/at/all"});
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_TRUE(says(unknown.err, "takes no topic that there is")) << unknown.err;
    const Ran nobody = node->nodectl({"sub", "stats/nobody"});
    EXPECT_EQ(nobody.exit_code, 1);
    EXPECT_TRUE(says(nobody.err, "No such container: nobody")) << nobody.err;
    EXPECT_EQ(node->nodectl({"sub"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"sub", "-n", "0", "stats/node"}).exit_code, 1);
    EXPECT_EQ(node->nodectl({"sub", "-o", "xml", "stats/node"}).exit_code, 1);
}

TEST_F(StreamsTest, ten_thousand_subscriptions_are_refused_in_part_and_the_node_goes_on) {
    const Ran ran = python(*node,
                           "for i in range(10000): sub.subscribe('json/stats/%064x' % i)\n"
                           "error = ''\n"
                           "while 'is not served' not in error:\n"
                           "    topic, payload = sub.recv_multipart()\n"
                           "    error = json.loads(payload)['error']\n"
                           "print(error)\n");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_TRUE(says(ran.out, "more than 4096 different subscriptions")) << ran.out;
    EXPECT_EQ(node->ok({"run", "--rm", "busybox", "echo", "alive"}), "alive");
    EXPECT_TRUE(says(node->ok({"sub", "-n", "1", "stats/node"}), "stats/node"));
}

TEST_F(StreamsTest, nothing_is_sampled_once_the_last_subscriber_left) {
    node->ok({"sub", "-n", "1", "stats@50/node"});
    EXPECT_TRUE(eventually([&] {
        return !Json::parse(node->ok({"call", "stats", "status"}))["status"]["sampling"];
    }, 20));
}

TEST(StreamsAcrossRestarts, a_subscriber_goes_on_when_noded_is_back) {
    TestNode node;
    node.start();
    Running stream(node.command({"sub", "stats@10/node"}));
    ASSERT_TRUE(stream.read_until("sequence=3 "));
    node.kill();
    node.start();
    const size_t seen = stream.out().size();
    EXPECT_TRUE(eventually([&] {
        stream.read_until("never", 1);
        return stream.out().find("sequence=2 ", seen) != std::string::npos;
    }));
}

}  // namespace
}  // namespace noded::test

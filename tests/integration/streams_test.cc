// What the node publishes, by the subscribers that ops/docs/streams.md shows: nodectl sub, and
// Python's zmq as a library that is not ours.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
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

/// The numbers that a container counts, from a text that has them as `n=…`.
std::vector<int> numbers_in(const std::string& text) {
    std::vector<int> found;
    for (size_t at = 0; (at = text.find("n=", at)) != std::string::npos; at += 2)
        if (text.find('.', at) != std::string::npos) found.push_back(atoi(text.c_str() + at + 2));
    return found;
}

/// Each is one more than the one before.
void expect_without_gap(const std::vector<int>& numbers, size_t at_least) {
    ASSERT_GE(numbers.size(), at_least);
    for (size_t i = 1; i < numbers.size(); ++i)
        ASSERT_EQ(numbers[i], numbers[i - 1] + 1) << "at " << i;
}

constexpr const char* kCounts = "i=0; while :; do i=$((i+1)); echo n=$i.; sleep 0.01; done";

TEST_F(StreamsTest, output_is_published_as_it_is_written) {
    const std::string id = node->ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", kCounts});
    const Ran ran =
        python(*node,
               "other = zmq.Context().socket(zmq.SUB)\n"
               "other.setsockopt(zmq.RCVTIMEO, 10000)\n"
               "other.connect('ipc://" +
                   node->runtime_dir() +
                   "/events.sock')\n"
                   "for one in (sub, other): one.subscribe('json/log/" +
                   id +
                   "')\n"
                   "for one in (sub, other):\n"
                   "    last = None\n"
                   "    for _ in range(30):\n"
                   "        topic, payload = one.recv_multipart()\n"
                   "        message = json.loads(payload)\n"
                   "        assert topic.decode() == 'json/log/" +
                   id +
                   "/stdout', topic\n"
                   "        if last:\n"
                   "            assert int(message['sequence']) == int(last['sequence']) + 1\n"
                   "            end = int(last['position']) + last['bytes']\n"
                   "            assert message['after'] == message['position'] == str(end)\n"
                   "        last = message\n"
                   "        print(message['text'], end='')\n"
                   "    print('next')\n");
    ASSERT_EQ(ran.exit_code, 0) << ran.err << ran.out;
    const size_t half = ran.out.find("next");
    expect_without_gap(numbers_in(ran.out.substr(0, half)), 30);
    expect_without_gap(numbers_in(ran.out.substr(half)), 30);
}

TEST_F(StreamsTest, the_tail_comes_first_and_what_follows_has_no_gap) {
    node->ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", kCounts});
    ASSERT_TRUE(eventually([&] { return says(node->ok({"logs", "web"}), "n=40."); }));
    Running stream(node->command({"sub", "--tail", "10", "log/web/stdout"}));
    ASSERT_TRUE(stream.read_until("n=150."));
    const auto numbers = numbers_in(stream.out());
    expect_without_gap(numbers, 60);
    EXPECT_GE(numbers[0], 30) << "only the tail";
    const auto lines = lines_of(node->ok({"sub", "-n", "3", "--tail", "3", "-o", "json",
                                          "log/web/stdout"}));
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_TRUE(says(Json::parse(lines[0])["text"].get<std::string>(), "n="));
}

TEST_F(StreamsTest, the_tail_of_one_that_is_quiet_is_all_that_there_is) {
    node->ok({"run", "-d", "--name", "quiet", "busybox", "sh", "-c",
              "echo out; echo err >&2; sleep 1000"});
    ASSERT_TRUE(eventually([&] {
        const Ran ran = node->nodectl({"logs", "quiet"});
        return says(ran.out + ran.err, "out") && says(ran.out + ran.err, "err");
    }));
    const std::string both = node->ok({"sub", "-n", "2", "--tail", "9", "log/quiet"});
    EXPECT_TRUE(says(both, "/stdout out") && says(both, "/stderr err")) << both;
    const std::string one = node->ok({"sub", "-n", "1", "--tail", "9", "log/quiet/stderr"});
    EXPECT_FALSE(says(one, "stdout")) << one;
}

TEST_F(StreamsTest, the_tail_of_one_stream_is_lines_of_it_alone_and_a_line_stays_whole) {
    node->ok({"run", "-d", "--name", "mixed", "busybox", "sh", "-c",
              "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo out=$i.; echo err=$i. >&2; "
              "echo more >&2; done; printf 'half-'; while [ ! -e /go ]; do sleep 0.05; done; "
              "echo whole; sleep 1000"});
    ASSERT_TRUE(eventually([&] { return says(node->ok({"logs", "mixed"}), "half-"); }));
    Running stream(node->command({"sub", "--tail", "5", "log/mixed/stdout"}));
    ASSERT_TRUE(stream.read_until("/stdout half-")) << stream.out();
    EXPECT_TRUE(says(stream.out(), "/stdout out=97.\n")) << stream.out();
    EXPECT_FALSE(says(stream.out(), "out=96.")) << stream.out();
    node->ok({"exec", "mixed", "touch", "/go"});
    EXPECT_TRUE(stream.read_until("/stdout half-whole\n")) << stream.out();
    const auto all = lines_of(node->ok({"sub", "-n", "1", "--tail", "1000", "log/mixed/stderr"}));
    EXPECT_TRUE(says(all[0], "/stderr err=1.")) << all[0];
}

TEST_F(StreamsTest, a_container_that_comes_later_is_heard_from_its_first_word) {
    Running stream(node->command({"sub", "log/"}));
    for (int i = 0; i < 50 && !says(stream.out(), "hello"); ++i) {
        node->ok({"run", "--rm", "busybox", "echo", "hello"});
        stream.read_until("hello", 1);
    }
    EXPECT_TRUE(says(stream.out(), "/stdout hello")) << stream.out();
}

/// What Python prints of the first event of a type that a subscriber of JSON gets.
std::string told_as_json(const TestNode& node, const std::string& type, const std::string& print) {
    const Ran ran =
        python(node,
               "import subprocess\n"
               "sub.subscribe('json/event/container/" + type + "')\n"
               "sub.setsockopt(zmq.RCVTIMEO, 500)\n"
               "for _ in range(20):\n"
               "    subprocess.run(['" +
                   built("tools/nodectl/nodectl") + "', '--host', 'unix:" + node.runtime_dir() +
                   "/noded.sock', 'run', '--rm', 'busybox', 'sh', "
                   "'-c', 'exit 3'])\n"
                   "    try: topic, payload = sub.recv_multipart()\n"
                   "    except zmq.Again: continue\n"
                   "    event = json.loads(payload)\n"
                   "    print(" + print + ")\n"
                   "    break\n");
    return trimmed(ran.out) + ran.err;
}

TEST_F(StreamsTest, events_come_as_json_to_those_who_ask_so) {
    EXPECT_EQ(told_as_json(*node, "ContainerExited",
                           "event['type'], event['plugin'], event['payload']['exitCode'], "
                           "'command' in event"),
              "ContainerExited container 3 False");
    EXPECT_EQ(told_as_json(*node, "ContainerRequested",
                           "event['command']['type'], event['command']['client'], "
                           "event['command']['uid'], event['command']['pid'] > 0"),
              "RunContainer nodectl run 0 True");
}

TEST_F(StreamsTest, a_topic_that_does_not_exist_is_answered_by_a_sentence) {
    const Ran raw = python(*node,
                           "for topic in ['nothing/at/all', 'stats/nobody', 'stats@1000/node',\n"
                           "              'event/container/Nothing', 'x\"\\\\', 'log/web/stdout',\n"
                           "              'json/event/container/Nothing']:\n"
                           "    sub.subscribe(topic)\n"
                           "    name, payload = sub.recv_multipart()\n"
                           "    assert name.decode() == topic\n"
                           "    print(json.loads(payload)['error'])\n");
    EXPECT_EQ(raw.exit_code, 0) << raw.err;
    const auto lines = lines_of(raw.out);
    ASSERT_EQ(lines.size(), 7u) << raw.out;
    EXPECT_TRUE(says(lines[0], "the subscription \"nothing/at/all\" takes no topic")) << raw.out;
    EXPECT_TRUE(says(lines[1], "the topics are node and <container id>")) << raw.out;
    EXPECT_TRUE(says(lines[2], "a rate is 1 to 100")) << raw.out;
    EXPECT_TRUE(says(lines[3], "takes no topic")) << raw.out;
    EXPECT_TRUE(says(lines[5], "the topics are log/<container id>/stdout")) << raw.out;
    EXPECT_TRUE(says(lines[6], "takes no topic")) << raw.out;
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

/// Each of its messages has up to 64 KiB, and it is never read: what waits for it is bounded.
TEST_F(StreamsTest, a_subscriber_that_never_reads_costs_neither_memory_nor_the_others) {
    const std::string id = node->ok(
        {"run", "-d", "--name", "flood", "busybox", "sh", "-c",
         "sleep 1; dd if=/dev/zero bs=64k count=6000 2>/dev/null | tr '\\0' x; sleep 1000"});
    const Ran ran = python(*node,
                           "lazy = zmq.Context().socket(zmq.SUB)\n"
                           "lazy.set_hwm(1)\n"
                           "lazy.connect('ipc://" + node->runtime_dir() + "/events.sock')\n"
                           "lazy.subscribe('log/" + id + "/stdout')\n"
                           "sub.subscribe('json/stats@50/node')\n"
                           "last = None\n"
                           "for _ in range(500):\n"
                           "    now = int(json.loads(sub.recv_multipart()[1])['sequence'])\n"
                           "    assert last is None or now == last + 1, (last, now)\n"
                           "    last = now\n"
                           "for line in open('/proc/" + std::to_string(node->pid()) + "/status'):\n"
                           "    if line.startswith('VmRSS'): print(line.split()[1])\n");
    ASSERT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_GT(atol(ran.out.c_str()), 0);
    EXPECT_LT(atol(ran.out.c_str()), 250'000) << "KiB, of 375 MiB that were written";
}

TEST_F(StreamsTest, nothing_is_sampled_once_the_last_subscriber_left) {
    node->ok({"sub", "-n", "1", "stats@50/node"});
    EXPECT_TRUE(eventually([&] {
        return !Json::parse(node->ok({"call", "stats", "status"}))["status"]["sampling"];
    }, 20));
}

TEST(StreamsAcrossRestarts, output_goes_on_without_gap) {
    TestNode node;
    node.start();
    node.import_busybox();
    node.ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", kCounts});
    Running stream(node.command({"sub", "--tail", "0", "log/web/stdout"}));
    ASSERT_TRUE(stream.read_until("n=", 10));
    node.kill();
    sleep_ms(300);
    node.start();
    const auto before = numbers_in(stream.out());
    EXPECT_TRUE(eventually([&] {
        stream.read_until("never", 1);
        return numbers_in(stream.out()).size() > before.size() + 100;
    }));
    expect_without_gap(numbers_in(stream.out()), before.size() + 100);
}

// --- The page for subscribers: what it shows is run as it stands there ---------------------------

/// The code between ``` fences of one language, in order.
std::vector<std::string> examples(const std::string& language) {
    const std::string page = read_text(built("ops/docs/streams.md"));
    std::vector<std::string> found;
    const std::string fence = "```" + language + "\n";
    for (size_t at = 0; (at = page.find(fence, at)) != std::string::npos;) {
        at += fence.size();
        const size_t end = page.find("\n```", at);
        found.push_back(page.substr(at, end - at + 1));
        at = end;
    }
    return found;
}

/// A program with the node's endpoint and nodectl where the page expects them.
std::vector<std::string> with_node(const TestNode& node, std::vector<std::string> argv) {
    const std::string tools = built("tools/nodectl");
    argv.insert(argv.begin(),
                {"/usr/bin/env", "PATH=" + tools + ":/usr/bin:/bin",
                 "NODECTL_HOST=unix:" + node.runtime_dir() + "/noded.sock",
                 "NODED_EVENTS=ipc://" + node.runtime_dir() + "/events.sock"});
    return argv;
}

TEST_F(StreamsTest, the_pages_examples_in_python_run_as_they_stand_there) {
    const auto programs = examples("python");
    ASSERT_EQ(programs.size(), 2u);
    const std::string id = node->ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", kCounts});
    Running stats(with_node(*node, {"/usr/bin/python3", "-c", programs[0]}));
    EXPECT_TRUE(stats.read_until("%\n", 15)) << stats.out();
    EXPECT_TRUE(says(stats.out(), "web ")) << stats.out();
    ASSERT_TRUE(eventually([&] { return says(node->ok({"logs", "web"}), "n=40."); }));
    Running output(with_node(*node, {"/usr/bin/python3", "-c", programs[1], id}));
    EXPECT_TRUE(eventually([&] {
        output.read_until("never", 1);
        return numbers_in(output.out()).size() > 150;
    }, 15)) << output.out();
    expect_without_gap(numbers_in(output.out()), 150);
}

TEST_F(StreamsTest, the_pages_example_in_cpp_compiles_and_runs_as_it_stands_there) {
    const auto programs = examples("cpp");
    ASSERT_EQ(programs.size(), 1u);
    std::string commands;
    for (const std::string& line : lines_of(programs[0]))
        if (line.starts_with("// ")) commands += line.substr(3) + "\n";
    const std::string dir = node->dir() + "/example";
    std::filesystem::create_directories(dir + "/schemas");
    std::filesystem::copy_file(built("schemas/stats.capnp"), dir + "/schemas/stats.capnp");
    std::ofstream(dir + "/watch.cc") << programs[0];
    const Ran made = run_program({"/bin/sh", "-ec", "cd " + dir + "\n" + commands});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    {
        Running watch(with_node(*node, {dir + "/watch"}));
        EXPECT_TRUE(watch.read_until("\n2 ", 15)) << watch.out();
    }
    std::filesystem::remove_all(dir);
}

TEST_F(StreamsTest, the_pages_examples_for_the_shell_run_as_they_stand_there) {
    node->ok({"run", "-d", "--name", "web", "busybox", "sh", "-c", kCounts});
    int ran = 0;
    for (const std::string& line : lines_of(read_text(built("ops/docs/streams.md")))) {
        if (!line.starts_with("    nodectl ") || says(line, "jq") || says(line, "Exited") ||
            says(line, "tcp://") || says(line, "key"))
            continue;
        ++ran;
        Running program(with_node(*node, {"/bin/sh", "-c", line}));
        EXPECT_TRUE(program.read_until("\n")) << line << ": " << program.wait().err;
    }
    EXPECT_GE(ran, 4);
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

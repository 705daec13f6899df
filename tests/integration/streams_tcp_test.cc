// Streams over TCP with CURVE, through the whole path: keys from nodectl, the configuration, a real
// noded, nodectl and Python's zmq as subscribers, and those who have no business there.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {
namespace {

using Json = nlohmann::json;

class StreamsTcpTest : public testing::Test {
protected:
    StreamsTcpTest() {
        std::filesystem::create_directory(keys());
        for (const char* name : {"node", "friend", "stranger"})
            known_[name] = node.ok({"keygen", keys() + "/" + name});
    }
    std::string keys() const { return node.dir() + "/keys"; }
    std::string key(const std::string& name) const { return keys() + "/" + name; }
    std::vector<std::string> configured(const Json& settings) {
        const std::string path = node.dir() + "/config.json";
        std::ofstream(path) << settings.dump();
        return {"--config", path};
    }
    void start() {
        port = 20000 + getpid() % 20000;
        node.start(configured({{"publishTcp", "tcp://127.0.0.1:" + std::to_string(port)},
                               {"publishKeyFile", key("node")},
                               {"publishClients", {known_["friend"]}}}));
    }
    std::string server() const { return "tcp://127.0.0.1:" + std::to_string(port); }
    Ran sub(const std::string& server_key, const std::string& own_key,
            std::vector<std::string> more) const {
        std::vector<std::string> arguments = {"sub", "--server", server(), "--server-key",
                                              server_key, "--key", key(own_key)};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return node.nodectl(arguments);
    }
    /// Why a noded with these settings does not start.
    std::string refusal(const Json& settings) {
        std::vector<std::string> argv = {built("agent/noded"), "--state-dir", node.dir() + "/s2",
                                         "--runtime-dir", node.dir() + "/r2", "--plugin-dir",
                                         node.dir() + "/p2", "--libexec-dir", node.dir()};
        for (const char* sub : {"/s2", "/r2", "/p2"})
            std::filesystem::create_directories(node.dir() + sub);
        for (const std::string& word : configured(settings)) argv.push_back(word);
        const Ran ran = run_program(argv);
        EXPECT_NE(ran.exit_code, 0);
        return ran.err;
    }

    TestNode node;
    std::map<std::string, std::string> known_;
    int port = 0;
};

TEST_F(StreamsTcpTest, who_is_in_the_list_subscribes_from_afar) {
    start();
    node.import_busybox();
    const Ran ran = sub(known_["node"], "friend", {"-n", "2", "stats@20/node"});
    ASSERT_EQ(ran.exit_code, 0) << ran.err << node.diagnostics();
    const auto lines = lines_of(ran.out);
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_TRUE(says(lines[0], "json/stats@20/node")) << lines[0];
    EXPECT_EQ(sub(key("node") + ".pub", "friend", {"-n", "1", "stats/node"}).exit_code, 0)
        << "the key may be a file";
    const std::string id = node.ok({"run", "-d", "--name", "web", "busybox", "sh", "-c",
                                    "while :; do echo hello; sleep 0.05; done"});
    const Ran output = sub(known_["node"], "friend", {"-n", "1", "-o", "json", "log/" + id});
    EXPECT_EQ(Json::parse(output.out)["text"], "hello\n") << output.err;
    EXPECT_TRUE(says(sub(known_["node"], "friend", {"log/web/stdout"}).err,
                     "a container is named by its id"));
    // A library that is not ours.
    const Ran python = run_program(
        {"/usr/bin/python3", "-c",
         "import json, zmq\n"
         "sub = zmq.Context().socket(zmq.SUB)\n"
         "sub.setsockopt(zmq.RCVTIMEO, 10000)\n"
         "secret = open('" + key("friend") + "').read().strip().encode()\n"
         "sub.curve_serverkey = b'" + known_["node"] + "'\n"
         "sub.curve_secretkey = secret\n"
         "sub.curve_publickey = zmq.curve_public(secret)\n"
         "sub.connect('" + server() + "')\n"
         "sub.subscribe('json/stats/node')\n"
         "print(json.loads(sub.recv_multipart()[1])['sequence'])\n"});
    EXPECT_EQ(python.exit_code, 0) << python.err;
}

TEST_F(StreamsTcpTest, wrong_keys_are_refused_and_told_once) {
    start();
    const Ran stranger = sub(known_["node"], "stranger", {"-n", "1", "stats/node"});
    EXPECT_EQ(stranger.exit_code, 1);
    EXPECT_TRUE(says(stranger.err, "does not let this key in")) << stranger.err;
    EXPECT_TRUE(says(stranger.err, known_["stranger"])) << stranger.err;
    const Ran mistaken = sub(known_["stranger"], "friend", {"-n", "1", "stats/node"});
    EXPECT_EQ(mistaken.exit_code, 1);
    EXPECT_TRUE(says(mistaken.err, "is --server-key its public key?")) << mistaken.err;
    for (int i = 0; i < 5; ++i) sub(known_["node"], "stranger", {"-n", "1", "stats/node"});
    const auto times = [&](const std::string& text) {
        size_t count = 0;
        const std::string all = node.diagnostics();
        for (size_t at = 0; (at = all.find(text, at)) != std::string::npos; ++at) ++count;
        return count;
    };
    EXPECT_EQ(times("with the public key " + known_["stranger"] + " was not let in"), 1u)
        << node.diagnostics();
    EXPECT_TRUE(eventually([&] { return times("has another public key for this node") == 1; }))
        << node.diagnostics();
    EXPECT_FALSE(says(node.diagnostics(), trimmed(read_text(key("node"))))) << "the secret";
    EXPECT_EQ(sub(known_["node"], "friend", {"-n", "1", "stats/node"}).exit_code, 0);
}

TEST_F(StreamsTcpTest, a_wrong_configuration_says_what_is_wrong) {
    const Json good = {{"publishTcp", "tcp://127.0.0.1:1"},
                       {"publishKeyFile", key("node")},
                       {"publishClients", {known_["friend"]}}};
    const auto with = [&](const char* name, const Json& value) {
        Json changed = good;
        if (value.is_null()) changed.erase(name);
        else changed[name] = value;
        return refusal(changed);
    };
    EXPECT_TRUE(says(with("publishTcp", nullptr), "for publishTcp, which is not set"));
    EXPECT_TRUE(says(with("publishTcp", "127.0.0.1:1"), "written as tcp://ADDRESS:PORT"));
    EXPECT_TRUE(says(with("publishKeyFile", nullptr), "needs publishKeyFile"));
    EXPECT_TRUE(says(with("publishClients", nullptr), "needs publishClients"));
    EXPECT_TRUE(says(with("publishClients", {"short"}), "is no public key"));
    EXPECT_TRUE(says(with("publishKeyFile", key("nothing")), "ENOENT"));
    EXPECT_TRUE(says(with("publishKeyFile", node.dir() + "/config.json"), "chmod 600"));
    chmod(key("node").c_str(), 0644);
    EXPECT_TRUE(says(with("publishTcp", "tcp://127.0.0.1:1"), "chmod 600"));
    EXPECT_TRUE(says(node.nodectl({"keygen", key("node")}).err, "is there already"));
    EXPECT_EQ(node.nodectl({"sub", "--server", "tcp://x:1", "stats/node"}).exit_code, 1);
    EXPECT_EQ(node.nodectl({"sub", "--key", key("friend"), "stats/node"}).exit_code, 1);
    node.start();
}

}  // namespace
}  // namespace noded::test

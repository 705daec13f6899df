// Builds counter.c as a stranger does, outside of the repository with a copy of the headers, and
// tries what it promises.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "plugins/sdk/fake_host.h"

namespace noded {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kContainerStarted = 0xf2b7a6d1c0e4a014;
constexpr uint64_t kContainerExited = 0xf2b7a6d1c0e4a016;
constexpr uint64_t kResetCounter = 0xc0a7d3e19b52f001;

class Counter : public testing::Test {
protected:
    static void SetUpTestSuite() {
        char path[] = "/tmp/noded-example-XXXXXX";
        ASSERT_NE(mkdtemp(path), nullptr);
        dir = path;
        fs::create_directory(dir + "/headers");
        for (const char* header : {"plugin.h", "host.h", "rpc.h"})
            fs::copy(std::string("plugins/abi/") + header, dir + "/headers");
        fs::copy("plugins/example/counter.c", dir);
        const std::string build =
            "cd " + dir + " && gcc -std=c11 -shared -fPIC -Wall -Iheaders counter.c -o counter.so" +
            " 2>warnings && test ! -s warnings";
        ASSERT_EQ(system(build.c_str()), 0);
        void* object = dlopen((dir + "/counter.so").c_str(), RTLD_NOW | RTLD_LOCAL);
        ASSERT_NE(object, nullptr) << dlerror();
        table = static_cast<const noded_plugin*>(dlsym(object, NODED_PLUGIN_SYMBOL));
        ASSERT_NE(table, nullptr);
    }
    static void TearDownTestSuite() { fs::remove_all(dir); }

    void SetUp() override {
        ASSERT_NE(table, nullptr);
        ASSERT_EQ(host.load(table), "");
    }
    std::string call(const char* method) {
        const auto* answer = host.answer(host.call("counter", method, {}));
        return answer->refused ? answer->message : answer->text();
    }
    void count_some() {
        host.inject(kContainerStarted, {});
        host.inject(kContainerStarted, {});
        host.inject(kContainerExited, {});
    }

    static inline std::string dir;
    static inline const noded_plugin* table = nullptr;
    sdk::FakeHost host;
};

TEST_F(Counter, events_of_containers_are_counted_and_published) {
    count_some();
    const char* counts = R"({"started":2,"startFailed":0,"exited":1,"removed":0,"resets":0})";
    EXPECT_EQ(call("count"), counts);
    ASSERT_EQ(host.published().size(), 3u);
    EXPECT_EQ(host.published()[2].topic, "counter/total");
    EXPECT_EQ(as_text(host.published()[2].payload), counts);
}

TEST_F(Counter, counts_survive_a_restart_by_the_log_and_by_the_snapshot) {
    count_some();
    const std::string before = call("count");
    EXPECT_EQ(host.snapshot_trouble("counter"), "");
    host.restart();
    EXPECT_EQ(call("count"), before);
    host.restart_from_snapshot();
    EXPECT_EQ(call("count"), before);
    EXPECT_EQ(host.published().size(), 3u) << "a replay publishes nothing";
}

TEST_F(Counter, a_reset_is_a_command_that_can_be_refused) {
    const auto refused = host.command(kResetCounter, {});
    EXPECT_FALSE(refused.accepted);
    EXPECT_EQ(refused.message, "there is nothing to reset: the counter stands at zero");
    EXPECT_EQ(call("reset"), refused.message);
    count_some();
    EXPECT_TRUE(host.command(kResetCounter, {}).accepted);
    EXPECT_EQ(host.events().back().name, "CounterReset");
    EXPECT_EQ(call("count"),
              R"({"started":0,"startFailed":0,"exited":0,"removed":0,"resets":1})");
}

TEST_F(Counter, the_call_to_reset_sends_the_command_each_time_anew) {
    for (const char* resets : {"1", "2"}) {
        count_some();
        EXPECT_EQ(call("reset"), R"({"requested":true})");
        EXPECT_EQ(call("count"), std::string(R"({"started":0,"startFailed":0,"exited":0,)") +
                                     R"("removed":0,"resets":)" + resets + "}");
    }
}

TEST_F(Counter, the_shared_object_exports_one_symbol) {
    const std::string list = "nm -D --defined-only " + dir + "/counter.so | grep -vc noded_plugin";
    EXPECT_NE(system((list + " >/dev/null").c_str()), 0) << "something else is exported";
}

}  // namespace
}  // namespace noded

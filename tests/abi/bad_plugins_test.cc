// The bad plugins are bad in the way that their names say, and good otherwise: the loader's tests
// can rely on it.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <string>

#include "plugins/sdk/fake_host.h"

namespace noded {
namespace {

const noded_plugin* open_plugin(const std::string& name) {
    void* object = dlopen(("tests/abi/" + name + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(object, nullptr) << dlerror();
    return static_cast<const noded_plugin*>(dlsym(object, NODED_PLUGIN_SYMBOL));
}

TEST(BadPlugins, the_good_one_loads_and_survives_a_restart) {
    sdk::FakeHost host;
    const noded_plugin* good = open_plugin("good");
    ASSERT_EQ(host.load(good), "");
    EXPECT_TRUE(host.command(good->descriptor->commands.list[0].id, {}).accepted);
    EXPECT_EQ(host.events().size(), 1u);
    const Buffer before = host.snapshot("good");
    host.restart_from_snapshot();
    EXPECT_EQ(host.snapshot("good"), before);
    EXPECT_EQ(before[0], 1u);
}

TEST(BadPlugins, faults_of_the_object_and_the_descriptor_are_there) {
    EXPECT_EQ(open_plugin("bad_not_a_plugin"), nullptr);
    EXPECT_EQ(open_plugin("bad_no_descriptor")->descriptor, nullptr);
    EXPECT_EQ(open_plugin("bad_no_decide")->decide, nullptr);
    EXPECT_NE(open_plugin("bad_wrong_abi")->descriptor->abi_major, uint32_t(NODED_ABI_MAJOR));
    EXPECT_GT(open_plugin("bad_newer_minor")->descriptor->abi_minor, uint32_t(NODED_ABI_MINOR));
    EXPECT_STREQ(open_plugin("bad_duplicate_id")->descriptor->id, "good");
    EXPECT_STREQ(open_plugin("bad_id")->descriptor->id, "../Bad Id");
    EXPECT_EQ(open_plugin("bad_descriptor_count")->descriptor->folds.list, nullptr);
    EXPECT_EQ(open_plugin("bad_no_name")->descriptor->events.list[0].name, nullptr);
    const noded_descriptor& taken = *open_plugin("bad_command_taken")->descriptor;
    EXPECT_EQ(taken.commands.list[0].id, open_plugin("good")->descriptor->commands.list[0].id);
    EXPECT_STRNE(taken.id, "good");
}

TEST(BadPlugins, what_cannot_be_loaded_says_so) {
    sdk::FakeHost host;
    EXPECT_EQ(host.load(open_plugin("bad_fails_init")), "open /dev/flux: ENODEV (No such device)");
    EXPECT_EQ(host.load(open_plugin("bad_needs_missing")), "needs the plugin nowhere");
    EXPECT_EQ(host.load(open_plugin("bad_unknown_extension")),
              "requires the unknown extension noded.telepathy/1");
}

TEST(BadPlugins, undeclared_events_are_counted_and_have_no_effect) {
    for (const auto& [name, refused] : {std::pair("bad_undeclared_in_decide", 1u),
                                        std::pair("bad_undeclared_in_react", 100u)}) {
        sdk::FakeHost host;
        const noded_plugin* plugin = open_plugin(name);
        ASSERT_EQ(host.load(plugin), "");
        host.command(plugin->descriptor->commands.list[0].id, {});
        EXPECT_EQ(host.undeclared_events(), refused) << name;
        EXPECT_EQ(host.events().size(), 1u) << name;
    }
}

TEST(BadPlugins, a_host_call_from_a_pure_function_aborts) {
    for (const char* name : {"bad_host_call_in_decide", "bad_host_call_in_fold"}) {
        sdk::FakeHost host;
        const noded_plugin* plugin = open_plugin(name);
        ASSERT_EQ(host.load(plugin), "");
        EXPECT_DEATH(host.command(plugin->descriptor->commands.list[0].id, {}), "another context");
    }
}

}  // namespace
}  // namespace noded

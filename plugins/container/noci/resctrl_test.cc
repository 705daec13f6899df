// Classes of service in a folder that looks like the kernel's; no hardware is needed.
#include "plugins/container/noci/resctrl.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "plugins/container/noci/json_view.h"

namespace noded::noci {
namespace {

namespace fs = std::filesystem;

class Resctrl : public testing::Test {
protected:
    void SetUp() override {
        std::string path = testing::TempDir() + "/resctrl-XXXXXX";
        ASSERT_NE(mkdtemp(path.data()), nullptr);
        top_ = path;
        make_class("");
        make_class("/gold");
        write("/gold/schemata", "    MB:0= 70;1=100\n    L3:0=007f0;1=0001f\n");
    }
    void TearDown() override { fs::remove_all(top_); }
    void make_class(const std::string& name) {
        fs::create_directories(top_ + name + "/mon_groups/one");
        for (const char* file : {"/tasks", "/schemata", "/mon_groups/one/tasks"})
            write(name + file, "");
    }
    void write(const std::string& file, const std::string& text) {
        std::ofstream(top_ + file) << text;
    }
    std::string text(const std::string& file) const {
        return read_whole(top_ + file, 4096).value_or("?");
    }
    Status make(const IntelRdtConfig& asked) {
        return make_rdt_group(rdt_group(top_, asked, "one"), asked, 4711);
    }

    std::string top_;
};

TEST_F(Resctrl, a_class_that_has_a_name_is_used_as_it_is) {
    EXPECT_TRUE(make({.clos_id = "gold", .monitors = true}));
    EXPECT_EQ(text("/gold/tasks"), "4711");
    EXPECT_EQ(text("/gold/mon_groups/one/tasks"), "4711");
    EXPECT_TRUE(make({.clos_id = "/"}));
    EXPECT_EQ(text("/tasks"), "4711");
    const Status missing = make({.clos_id = "silver"});
    ASSERT_FALSE(missing);
    EXPECT_NE(missing.error().message.find("there is no class"), std::string::npos);
    EXPECT_FALSE(fs::exists(top_ + "/silver"));
}

TEST_F(Resctrl, and_has_to_say_what_is_asked_for) {
    EXPECT_TRUE(make({.clos_id = "gold", .l3_cache = "L3:0=7F0;1=1f", .bandwidth = "MB:0=70"}));
    const Status other = make({.clos_id = "gold", .l3_cache = "L3:0=7ff"});
    ASSERT_FALSE(other);
    EXPECT_NE(other.error().message.find("has L3:0=7f0, not 7ff"), std::string::npos)
        << other.error().message;
    EXPECT_FALSE(make({.clos_id = "gold", .schemata = {"L2:0=f"}}));
    EXPECT_EQ(text("/gold/schemata"), "    MB:0= 70;1=100\n    L3:0=007f0;1=0001f\n");
}

TEST_F(Resctrl, without_a_name_it_is_the_containers_own) {
    const IntelRdtConfig asked{
        .l3_cache = "L3:0=f", .bandwidth = "MB:0=20", .schemata = {"L2:0=1"}};
    const RdtGroup group = rdt_group(top_, asked, "one");
    EXPECT_EQ(group.folder, top_ + "/one");
    EXPECT_TRUE(group.is_own);
    EXPECT_TRUE(group.monitor.empty());
    // The kernel fills a new folder; here it is there before, and is nobody's to remove.
    make_class("/one");
    EXPECT_FALSE(rdt_group(top_, asked, "one").is_own);
    EXPECT_TRUE(make_rdt_group(group, asked, 4711));
    EXPECT_EQ(text("/one/schemata"), "L3:0=f\nMB:0=20\nL2:0=1\n");
    EXPECT_EQ(text("/one/tasks"), "4711");
}

TEST_F(Resctrl, only_what_was_made_for_the_container_is_removed) {
    fs::create_directories(top_ + "/own");
    EXPECT_TRUE(remove_rdt_group({.top = top_, .folder = top_ + "/own", .is_own = true}));
    EXPECT_FALSE(fs::exists(top_ + "/own"));
    fs::remove(top_ + "/gold/mon_groups/one/tasks");
    const std::string watch = top_ + "/gold/mon_groups/one";
    EXPECT_TRUE(remove_rdt_group({.top = top_, .folder = top_ + "/gold", .monitor = watch}));
    EXPECT_TRUE(fs::exists(top_ + "/gold"));
    EXPECT_FALSE(fs::exists(watch));
    EXPECT_TRUE(remove_rdt_group({}));
}

TEST_F(Resctrl, the_kernels_own_words_are_told) {
    fs::create_directories(top_ + "/info");
    write("/info/last_cmd_status", "no such domain\n");
    fs::create_directories(top_ + "/bare");
    const Status refused = make({.clos_id = "bare"});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("last_cmd_status: no such domain"), std::string::npos)
        << refused.error().message;
}

}  // namespace
}  // namespace noded::noci

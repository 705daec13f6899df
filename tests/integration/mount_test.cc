// Mounts that see, or show, what is mounted later; those below; and what an IPC namespace brings.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/test_node.h"

namespace noded::test {
namespace {

namespace fs = std::filesystem;

/// A tmpfs of the test's own, whose peers it chooses, with another one below.
struct MountTest : SharedNodeTest {
    void SetUp() override {
        folder = node->dir() + "/given";
        fs::create_directories(folder);
        ASSERT_EQ(mount("given", folder.c_str(), "tmpfs", 0, nullptr), 0);
        ASSERT_EQ(mount(nullptr, folder.c_str(), nullptr, MS_PRIVATE, nullptr), 0);
        fs::create_directories(folder + "/below");
        fs::create_directories(folder + "/late");
        ASSERT_EQ(mount("below", (folder + "/below").c_str(), "tmpfs", 0, nullptr), 0);
    }
    void TearDown() override {
        EXPECT_EQ(umount2(folder.c_str(), MNT_DETACH), 0);
        fs::remove(folder);
        SharedNodeTest::TearDown();
    }
    void share() const {
        ASSERT_EQ(mount(nullptr, folder.c_str(), nullptr, MS_SHARED | MS_REC, nullptr), 0);
    }
    /// Mounts on the host while the container runs; what that sees of it.
    std::string seen_later(const std::string& volume_options) const {
        node->ok({"run", "-d", "--name", "see", "-v", folder + ":/m" + volume_options, "busybox",
                  "sleep", "1000"});
        EXPECT_EQ(mount("late", (folder + "/late").c_str(), "tmpfs", 0, nullptr), 0);
        const std::string seen =
            node->ok({"exec", "see", "sh", "-c", "grep -c ' /m/late ' /proc/mounts; true"});
        EXPECT_EQ(umount2((folder + "/late").c_str(), MNT_DETACH), 0);
        node->ok({"rm", "-f", "see"});
        return seen;
    }
    static Ran run(std::vector<std::string> options, const std::string& script) {
        std::vector<std::string> all = {"run", "--rm"};
        all.insert(all.end(), options.begin(), options.end());
        all.insert(all.end(), {"busybox", "sh", "-c", script});
        return node->nodectl(all);
    }

    std::string folder;
};

TEST_F(MountTest, what_is_mounted_later_is_seen_by_a_slave_alone) {
    share();
    EXPECT_EQ(seen_later(""), "0");
    EXPECT_EQ(seen_later(":rprivate"), "0");
    EXPECT_EQ(seen_later(":rslave"), "1");
    EXPECT_EQ(seen_later(":ro,shared"), "1");
}

TEST_F(MountTest, a_source_that_is_missing_is_made_also_where_its_peers_are_asked_for) {
    share();
    const Ran ran = run({"-v", folder + "/made/for/it:/m:rslave"}, "echo here >/m/f");
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    EXPECT_EQ(read_text(folder + "/made/for/it/f"), "here\n");
    const Ran none =
        run({"--mount", "type=bind,source=" + folder + "/no,target=/m,bind-propagation=rslave"},
            "true");
    EXPECT_EQ(none.exit_code, 125);
    EXPECT_NE(none.err.find("bind source path does not exist: " + folder + "/no"),
              std::string::npos)
        << none.err;
    EXPECT_FALSE(fs::exists(folder + "/no"));
}

TEST_F(MountTest, what_a_container_mounts_is_seen_by_the_host_only_if_it_is_shared) {
    share();
    for (const char* how : {"rprivate", "rslave", "rshared"}) {
        node->ok({"run", "-d", "--privileged", "--name", "show", "--mount",
                  "type=bind,source=" + folder + ",target=/m,bind-propagation=" + how, "busybox",
                  "sleep", "1000"});
        EXPECT_EQ(node->ok({"inspect", "--format", "{{(index .Mounts 0).Propagation}}", "show"}),
                  how);
        node->ok({"exec", "show", "mount", "-t", "tmpfs", "inside", "/m/late"});
        const std::string mounts = read_text("/proc/self/mounts");
        EXPECT_EQ(mounts.find(folder + "/late") != std::string::npos,
                  std::string(how) == "rshared")
            << how;
        node->ok({"exec", "show", "umount", "/m/late"});
        node->ok({"rm", "-f", "show"});
    }
}

TEST_F(MountTest, a_private_place_has_no_peers_to_give) {
    const Ran shared = run({"-v", folder + ":/m:rshared"}, "true");
    EXPECT_EQ(shared.exit_code, 125);
    EXPECT_NE(shared.err.find("path " + folder + " is mounted on " + folder +
                              " but it is not a shared mount"),
              std::string::npos)
        << shared.err;
    const Ran slave = run({"-v", folder + "/late:/m:slave"}, "true");
    EXPECT_NE(slave.err.find("but it is not a shared or slave mount"), std::string::npos)
        << slave.err;
}

TEST_F(MountTest, a_link_is_judged_by_where_it_leads) {
    const std::string link = node->dir() + "/link";
    fs::create_symlink(folder, link);
    EXPECT_EQ(run({"-v", link + ":/m:rshared"}, "true").exit_code, 125);
    share();
    const Ran ran = run({"-v", link + ":/m:rshared"}, "echo in");
    EXPECT_EQ(ran.out, "in\n") << ran.err;
    fs::remove(link);
}

TEST_F(MountTest, what_is_mounted_below_comes_along_as_asked) {
    const auto bind = [&](const std::string& more) {
        return run({"--mount", "type=bind,source=" + folder + ",target=/m" + more},
                   "grep -c ' /m' /proc/mounts; for d in /m /m/below; do "
                   "touch $d/x 2>/dev/null && echo w || echo r; done");
    };
    EXPECT_EQ(bind("").out, "2\nw\nw\n");
    EXPECT_EQ(bind(",bind-recursive=disabled").out, "1\nw\nw\n");
    EXPECT_EQ(bind(",readonly").out, "2\nr\nr\n");
    EXPECT_EQ(bind(",readonly,bind-recursive=writable").out, "2\nr\nw\n");
    EXPECT_EQ(bind(",readonly,bind-recursive=readonly,bind-propagation=rprivate").out, "2\nr\nr\n");
}

TEST_F(MountTest, what_lies_deeper_is_mounted_later_in_whatever_order_it_was_asked_for) {
    const std::string late = folder + "/late";
    EXPECT_EQ(run({"-v", late + ":/m/sub", "-v", folder + ":/m"}, "touch /m/sub/inner; ls /m").out,
              "below\nlate\nsub\n");
    EXPECT_TRUE(fs::exists(late + "/inner"));
    EXPECT_EQ(run({"-v", late + ":/t/in", "--tmpfs", "/t/"}, "ls /t /t/in").out,
              "/t:\nin\n\n/t/in:\ninner\n");
    // As node_modules is kept apart from the folder of a project.
    EXPECT_EQ(run({"-v", "/m/sub", "-v", folder + ":/m"}, "ls /m/sub; ls /m").out,
              "below\nlate\nsub\n");
    // Before the first start, too.
    node->ok({"create", "--name", "deep", "-v", late + ":/m/sub", "-v", folder + ":/m", "busybox",
              "true"});
    EXPECT_EQ(node->nodectl({"cp", "deep:/m/sub/inner", "-"}).exit_code, 0);
    node->ok({"rm", "deep"});
}

TEST_F(MountTest, options_that_contradict_or_do_not_exist_are_refused) {
    const std::string bind = "type=bind,source=" + folder + ",target=/m,";
    for (const std::string& mount :
         {bind + "bind-recursive=maybe", bind + "bind-recursive=writable",
          bind + "ro,bind-recursive=readonly",
          std::string("type=tmpfs,target=/m,bind-propagation=rslave")}) {
        const Ran ran = run({"--mount", mount}, "true");
        EXPECT_EQ(ran.exit_code, 125) << mount;
        EXPECT_NE(ran.err.find("for \"--mount\" flag"), std::string::npos) << ran.err;
    }
    EXPECT_EQ(run({"-v", folder + ":/m:quick"}, "true").exit_code, 125);
    EXPECT_EQ(run({"-v", folder + ":/m:z,cached"}, "echo fine").out, "fine\n");
}

TEST_F(MountTest, links_of_the_image_that_lead_nowhere_have_their_ends_made_inside) {
    node->ok({"run", "--name", "maker", "busybox", "sh", "-c",
              "ln -s /not/there /whole; ln -s ../../../../tmp/noded-up /etc/up; "
              "ln -s /whole /chain; ln -s /one /two; ln -s /two /one"});
    node->ok({"commit", "maker", "linked"});
    const auto mounted = [&](const std::string& target, const std::string& shown) {
        return node->nodectl({"run", "--rm", "-v", folder + ":" + target, "--tmpfs", "/made/too",
                              "linked", "sh", "-c", "grep -c ' " + shown + " ' /proc/mounts"});
    };
    for (const auto& [target, shown] : std::initializer_list<std::pair<const char*, const char*>>{
             {"/whole", "/not/there"},
             {"/whole/below", "/not/there/below"},
             {"/chain/a/b", "/not/there/a/b"},
             {"/etc/up", "/tmp/noded-up"}}) {
        const Ran ran = mounted(target, shown);
        EXPECT_EQ(ran.out, "1\n") << target << ran.err;
    }
    EXPECT_FALSE(fs::exists("/not"));
    EXPECT_FALSE(fs::exists("/tmp/noded-up"));
    const std::string file = node->dir() + "/file";
    std::ofstream(file) << "text";
    EXPECT_EQ(node->ok({"run", "--rm", "-v", file + ":/chain", "linked", "cat", "/not/there"}),
              "text");
    const Ran loop = mounted("/one", "/one");
    EXPECT_EQ(loop.exit_code, 125);
    EXPECT_NE(loop.err.find("/one: ELOOP"), std::string::npos) << loop.err;
    fs::remove(file);
    node->ok({"rm", "maker"});
    node->ok({"rmi", "linked"});
}

TEST_F(MountTest, an_ipc_namespace_brings_its_shared_memory) {
    const char* count = "grep -c ' /dev/shm ' /proc/mounts; true";
    EXPECT_EQ(run({}, count).out, "1\n");
    EXPECT_EQ(run({"--ipc", "none"}, count).out, "0\n");
    const std::string file = "/dev/shm/noded-mount-test-" + std::to_string(node->pid());
    EXPECT_EQ(run({"--ipc", "host"}, "touch " + file).exit_code, 0);
    EXPECT_TRUE(fs::remove(file));
    const Ran wrong = run({"--ipc", "all"}, "true");
    EXPECT_EQ(wrong.exit_code, 125);
}

}  // namespace
}  // namespace noded::test

// The rules of paths, the messages between noded and the helper, and the comparison behind diff.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "agent/base/fd.h"
#include "plugins/container/files/changes.h"
#include "plugins/container/files/job.h"

namespace noded::files {
namespace {

namespace fs = std::filesystem;

TEST(FilesPath, dots_never_lead_above_the_root) {
    EXPECT_EQ(clean_path("/a//b/./c/"), "/a/b/c");
    EXPECT_EQ(clean_path("../../etc/../passwd"), "/passwd");
    EXPECT_EQ(clean_path("/.."), "/");
    EXPECT_EQ(clean_path(""), "/");
    EXPECT_EQ(directory_of("/a"), "/");
    EXPECT_EQ(directory_of("/a/b"), "/a");
    EXPECT_EQ(base_of("/a/b"), "b");
    EXPECT_EQ(base_of("/"), "/");
    EXPECT_TRUE(asks_for_content("/a/."));
    EXPECT_TRUE(asks_for_directory("/a/"));
    EXPECT_FALSE(asks_for_content("/a/"));
    EXPECT_FALSE(asks_for_directory("/a."));
}

TEST(FilesJob, messages_arrive_as_they_were_sent_or_not_at_all) {
    Job job{Verb::write, "/a=b", true, 1, 2, UINT64_MAX, true, {"/l1", "/l2"}, "/u", "/w", {}};
    job.binds = {{"/s", "/t", true, false}, {"/s2", "/t2", false, true, true, true}};
    const auto read = decode_job(encode(job));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, job);
    const Outcome outcome{"no", 2, true, 0100644, 1ull << 40, -5, "target", "/p"};
    const std::string text = encode(outcome);
    ASSERT_TRUE(decode_outcome(text));
    EXPECT_EQ(*decode_outcome(text), outcome);
    for (size_t size = 0; size < text.size(); ++size)
        EXPECT_FALSE(decode_outcome(text.substr(0, size))) << size;
    EXPECT_FALSE(decode_job("verb=99\0"));
}

struct ChangesTest : testing::Test {
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root";
        char name[] = "/tmp/noded-test-changes-XXXXXX";
        root = mkdtemp(name);
        for (const char* path : {"image/etc/old", "image/bin", "image/var", "upper"})
            fs::create_directories(root / path);
        for (const char* path : {"image/etc/passwd", "image/etc/old/a", "image/bin/sh"})
            std::ofstream(root / path) << path;
    }
    void TearDown() override {
        if (!root.empty()) fs::remove_all(root);
    }
    void whiteout(const std::string& path) {
        ASSERT_EQ(mknod((root / "upper" / path).c_str(), S_IFCHR, 0), 0);
    }
    std::string changes() {
        const Fd upper(open((root / "upper").c_str(), O_RDONLY | O_DIRECTORY));
        const Fd image(open((root / "image").c_str(), O_RDONLY | O_DIRECTORY));
        const auto found = changes_of(upper.get(), image.get());
        EXPECT_TRUE(found);
        std::string text;
        for (const Change& change : *found) text += change.kind + change.path + " ";
        return text;
    }

    fs::path root;
};

TEST_F(ChangesTest, letters_and_order_are_dockers) {
    fs::create_directories(root / "upper" / "etc");
    std::ofstream(root / "upper" / "etc" / "passwd") << "changed";
    std::ofstream(root / "upper" / "etc" / "added") << "new";
    whiteout("bin");
    whiteout("never-there");
    fs::create_directories(root / "upper" / "srv" / "www");
    EXPECT_EQ(changes(), "D/bin C/etc A/etc/added C/etc/passwd A/srv A/srv/www ");
}

TEST_F(ChangesTest, an_opaque_directory_hides_what_the_image_has_in_it) {
    fs::create_directories(root / "upper" / "etc");
    std::ofstream(root / "upper" / "etc" / "passwd") << "new";
    ASSERT_EQ(setxattr((root / "upper" / "etc").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
    EXPECT_EQ(changes(), "C/etc D/etc/old C/etc/passwd ");
}

TEST_F(ChangesTest, a_directory_where_nothing_differs_is_no_change) {
    fs::create_directories(root / "upper" / "var");
    fs::create_directories(root / "upper" / "proc");
    EXPECT_EQ(changes(), "");
    fs::permissions(root / "upper" / "var", fs::perms(0700));
    EXPECT_EQ(changes(), "C/var ");
}

TEST_F(ChangesTest, bytes_count_each_file_once) {
    std::ofstream(root / "upper" / "a") << "12345";
    fs::create_hard_link(root / "upper" / "a", root / "upper" / "b");
    fs::create_directories(root / "upper" / "d");
    std::ofstream(root / "upper" / "d" / "c") << "123";
    const Fd upper(open((root / "upper").c_str(), O_RDONLY | O_DIRECTORY));
    EXPECT_EQ(*bytes_in(upper.get()), 8u);
}

}  // namespace
}  // namespace noded::files

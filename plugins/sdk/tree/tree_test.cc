// Trees into tar streams and back: every type of file, what a tar has no room for, and archives
// that want out.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/base/fd.h"
#include "plugins/sdk/tree/extract.h"
#include "plugins/sdk/tree/write_tree.h"

namespace noded::tree {
namespace {

namespace fs = std::filesystem;

struct TreeTest : testing::Test {
    void SetUp() override {
        char name[] = "/tmp/noded-test-tree-XXXXXX";
        root = mkdtemp(name);
        fs::create_directory(root / "from");
        fs::create_directory(root / "to");
        archive.reset(memfd_create("archive", MFD_CLOEXEC));
    }
    void TearDown() override { fs::remove_all(root); }

    static void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }
    static std::string get(const fs::path& path) {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    Fd dir(const char* name) { return Fd(open((root / name).c_str(), O_RDONLY | O_DIRECTORY)); }

    Status pack(const std::string& name, WriteOptions options) {
        EXPECT_EQ(ftruncate(archive.get(), 0), 0);
        lseek(archive.get(), 0, SEEK_SET);
        const Fd from = dir("from");
        TarWriter out(archive.get());
        TRY_STATUS(write_tree(out, from.get(), name, options));
        return out.finish();
    }
    Result<Extracted> unpack(ExtractOptions options) {
        lseek(archive.get(), 0, SEEK_SET);
        const Fd to = dir("to");
        return extract(archive.get(), {to.get(), options.follow_in_root ? "/" : "."}, options);
    }
    /// An archive of one entry, made by libarchive.
    void make(const std::string& path, mode_t mode, const std::string& link = {},
              bool hard_link = false) {
        EXPECT_EQ(ftruncate(archive.get(), 0), 0);
        lseek(archive.get(), 0, SEEK_SET);
        auto* writer = archive_write_new();
        archive_write_set_format_pax(writer);
        archive_write_open_fd(writer, archive.get());
        auto* entry = archive_entry_new();
        archive_entry_set_pathname(entry, path.c_str());
        archive_entry_set_mode(entry, mode);
        archive_entry_set_size(entry, S_ISREG(mode) && link.empty() ? 4 : 0);
        if (hard_link) archive_entry_set_hardlink(entry, link.c_str());
        else if (!link.empty()) archive_entry_set_symlink(entry, link.c_str());
        ASSERT_EQ(archive_write_header(writer, entry), ARCHIVE_OK);
        if (S_ISREG(mode) && link.empty()) archive_write_data(writer, "evil", 4);
        archive_entry_free(entry);
        archive_write_free(writer);
    }

    fs::path root;
    Fd archive;
};

TEST_F(TreeTest, what_comes_out_is_what_went_in) {
    const fs::path from = root / "from";
    const std::string long_name(200, 'n');
    fs::create_directories(from / "top" / long_name / long_name);
    put(from / "top" / long_name / long_name / "deep", "deep");
    put(from / "top" / "b\xc3\xa4r", "umlaut");
    put(from / "top" / "large", std::string(300'000, 'x'));
    put(from / "top" / "one", "1");
    fs::create_hard_link(from / "top" / "one", from / "top" / "two");
    fs::create_symlink(std::string(150, 'l'), from / "top" / "link");
    ASSERT_EQ(mkfifo((from / "top" / "pipe").c_str(), 0640), 0);
    ASSERT_EQ(chmod((from / "top" / "one").c_str(), 04751), 0);
    ASSERT_EQ(chmod((from / "top").c_str(), 01777), 0);
    const timespec early[2] = {{-5, 0}, {-5, 0}};
    const timespec exact[2] = {{7, 250'000'001}, {7, 250'000'001}};
    ASSERT_EQ(utimensat(AT_FDCWD, (from / "top" / "large").c_str(), exact, 0), 0);
    ASSERT_EQ(utimensat(AT_FDCWD, (from / "top").c_str(), early, 0), 0);
    if (geteuid() == 0) {
        ASSERT_EQ(chown((from / "top" / "large").c_str(), 3'000'000, 12), 0);
    }

    ASSERT_TRUE(pack("top", {.root_name = "top"}));
    const auto done = unpack({});
    ASSERT_TRUE(done) << done.error().message;
    const fs::path top = root / "to" / "top";
    EXPECT_EQ(get(top / long_name / long_name / "deep"), "deep");
    EXPECT_EQ(get(top / "b\xc3\xa4r"), "umlaut");
    EXPECT_EQ(get(top / "large"), std::string(300'000, 'x'));
    EXPECT_EQ(fs::read_symlink(top / "link"), std::string(150, 'l'));
    EXPECT_EQ(fs::hard_link_count(top / "two"), 2u);
    struct stat info {};
    ASSERT_EQ(lstat((top / "pipe").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode, S_IFIFO | 0640);
    ASSERT_EQ(lstat((top / "one").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 04751u);
    ASSERT_EQ(lstat(top.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 01777u);
    EXPECT_EQ(info.st_mtim.tv_sec, -5);
    ASSERT_EQ(lstat((top / "large").c_str(), &info), 0);
    EXPECT_EQ(info.st_mtim.tv_sec, 7);
    EXPECT_EQ(info.st_mtim.tv_nsec, 250'000'001);
    if (geteuid() == 0) {
        EXPECT_EQ(info.st_uid, 3'000'000u);
    }
}

TEST_F(TreeTest, the_root_gets_another_name_on_the_way_in) {
    fs::create_directory(root / "from" / "a");
    put(root / "from" / "a" / "x", "x");
    fs::create_hard_link(root / "from" / "a" / "x", root / "from" / "a" / "y");
    ASSERT_TRUE(pack("a", {.root_name = "a"}));
    ASSERT_TRUE(unpack({.root_name = "b"}));
    EXPECT_EQ(get(root / "to" / "b" / "y"), "x");
    ASSERT_TRUE(unpack({.root_name = "."}));
    EXPECT_EQ(get(root / "to" / "x"), "x");
    EXPECT_FALSE(fs::exists(root / "to" / "a"));
}

TEST_F(TreeTest, an_upper_directory_becomes_a_layer) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    const fs::path from = root / "from";
    fs::create_directories(from / "fresh");
    put(from / "fresh" / "f", "f");
    ASSERT_EQ(mknod((from / "gone").c_str(), S_IFCHR, 0), 0);
    ASSERT_EQ(setxattr((from / "fresh").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
    ASSERT_TRUE(pack(".", {.root_name = ".", .layer = true}));
    ASSERT_TRUE(unpack({}));
    EXPECT_TRUE(fs::exists(root / "to" / ".wh.gone"));
    EXPECT_TRUE(fs::exists(root / "to" / "fresh" / ".wh..wh..opq"));
    EXPECT_EQ(get(root / "to" / "fresh" / "f"), "f");
    // What refers to a lower layer by another name cannot be told in one.
    ASSERT_EQ(setxattr((from / "fresh").c_str(), "trusted.overlay.redirect", "/x", 2, 0), 0);
    EXPECT_FALSE(pack(".", {.root_name = ".", .layer = true}));
}

TEST_F(TreeTest, archives_that_want_out_are_refused_or_stay_inside) {
    for (const char* path : {"../evil", "a/../../evil", "a/.."}) {
        make(path, S_IFREG | 0644);
        const auto done = unpack({.owners = false});
        ASSERT_FALSE(done) << path;
        EXPECT_NE(done.error().message.find("\"..\""), std::string::npos) << done.error().message;
    }
    make("/evil", S_IFREG | 0644);
    ASSERT_TRUE(unpack({.owners = false}));
    EXPECT_EQ(get(root / "to" / "evil"), "evil");
    make("link", S_IFREG | 0644, "../outside", true);
    EXPECT_FALSE(unpack({.owners = false}));
    // Through a link that is there already.
    fs::create_symlink(root, root / "to" / "up");
    make("up/evil", S_IFREG | 0644);
    EXPECT_FALSE(unpack({.owners = false}));
    EXPECT_FALSE(fs::exists(root / "evil"));
    // In a root of its own the same link leads inside of it.
    fs::create_symlink("/inner", root / "to" / "down");
    fs::create_directory(root / "to" / "inner");
    make("down/evil", S_IFREG | 0644);
    const auto inside = unpack({.owners = false, .follow_in_root = true});
    ASSERT_TRUE(inside) << inside.error().message;
    EXPECT_EQ(get(root / "to" / "inner" / "evil"), "evil");
}

TEST_F(TreeTest, a_link_that_takes_the_place_of_a_pipe_is_not_followed) {
    const fs::path secret = root / "secret", link = root / "link", pipe = root / "to" / "pipe";
    put(secret, "s");
    ASSERT_EQ(chmod(secret.c_str(), 0600), 0);
    make("pipe", S_IFIFO | 0777);
    std::atomic<bool> done = false;
    std::thread others([&] {
        while (!done)
            if (symlink(secret.c_str(), link.c_str()) == 0 || errno == EEXIST)
                rename(link.c_str(), pipe.c_str());
    });
    for (int i = 0; i < 5000; ++i) (void)unpack({.owners = false});
    done = true;
    others.join();
    struct stat info {};
    ASSERT_EQ(stat(secret.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(TreeTest, an_owner_that_is_no_id_is_refused) {
    TarEntry entry;
    entry.path = "f";
    entry.mode = S_IFREG | 0644;
    entry.uid = uint64_t{1} << 32;
    TarWriter out(archive.get());
    ASSERT_TRUE(out.entry(entry));
    ASSERT_TRUE(out.finish());
    const auto done = unpack({});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "set the owner of f: the container has no ids 4294967296:0");
}

TEST_F(TreeTest, a_directory_replaces_nothing_else_nor_the_other_way_round) {
    fs::create_directory(root / "to" / "d");
    put(root / "to" / "f", "old");
    make("d", S_IFREG | 0644);
    auto done = unpack({.owners = false});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "cannot overwrite directory \"d\" with non-directory");
    make("f", S_IFDIR | 0755);
    done = unpack({.owners = false});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "cannot overwrite non-directory \"f\" with directory");
    make("f", S_IFREG | 0600);
    ASSERT_TRUE(unpack({.owners = false}));
    EXPECT_EQ(get(root / "to" / "f"), "evil");
}

TEST_F(TreeTest, of_a_file_that_did_not_come_whole_nothing_is_left) {
    put(root / "from" / "f", std::string(100'000, 'f'));
    ASSERT_TRUE(pack("f", {.root_name = "f"}));
    ASSERT_EQ(ftruncate(archive.get(), 50'000), 0);
    put(root / "to" / "f", "old");
    const auto done = unpack({});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message, "the archive is truncated");
    EXPECT_EQ(get(root / "to" / "f"), "old");
    EXPECT_EQ(std::distance(fs::directory_iterator(root / "to"), {}), 1);
    ASSERT_EQ(ftruncate(archive.get(), 0), 0);
    EXPECT_TRUE(unpack({}));
}

TEST_F(TreeTest, a_way_back_is_found_while_others_rename) {
    std::atomic<bool> done = false;
    std::thread others([&] {
        const fs::path one = root / "one", two = root / "two";
        put(one, "");
        while (!done) {
            fs::rename(one, two);
            fs::rename(two, one);
        }
    });
    const Fd inside = dir(".");
    int failed = 0;
    for (int i = 0; i < 20'000; ++i)
        failed += !Fd(open_in_root(inside.get(), "from/../to/../from", O_PATH)).valid();
    done = true;
    others.join();
    EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace noded::tree

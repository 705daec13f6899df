// Unpacking through import_rootfs: what arrives on disk, and that hostile archives leave nothing
// there.
#include "plugins/storage/image/unpack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <fstream>

#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/test_archive.h"

namespace noded::image {
namespace {

using Strings = std::vector<std::string>;

std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct stat lstat_of(const std::string& path) {
    struct stat info = {};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path << ": " << strerror(errno);
    return info;
}

bool exists(const std::string& path) {
    struct stat info;
    return lstat(path.c_str(), &info) == 0;
}

std::string xattr_of(const std::string& path, const char* name) {
    char value[256];
    ssize_t size = lgetxattr(path.c_str(), name, value, sizeof value);
    return size < 0 ? "(none)" : std::string(value, size_t(size));
}

bool is_whiteout(const std::string& path) {
    struct stat info = lstat_of(path);
    return S_ISCHR(info.st_mode) && info.st_rdev == 0;
}

bool is_opaque(const std::string& path) { return xattr_of(path, "trusted.overlay.opaque") == "y"; }

/// Imports `tar`, expects a refusal, and that nothing is left of it, inside the store or beside it.
std::string refusal(std::string_view tar, const ImportOptions& options = {}) {
    TestStore store;
    auto image = store.import(tar, options);
    EXPECT_FALSE(image);
    EXPECT_EQ(store.content(), Strings{});
    return image ? "imported" : image.error().message;
}

TEST(Unpack, files_directories_and_links_arrive_with_their_metadata) {
    TestStore store;
    std::string tar =
        TarBuilder()
            .add({.name = "./", .type = '5', .mode = 0711, .uid = 3, .mtime = 1234})
            .add({.name = "./etc/",
                  .type = '5',
                  .mode = 0750,
                  .uid = 7,
                  .gid = 8,
                  .pax = {{"mtime", "1111111111.123456789"}}})
            .add({.name = "./etc/su", .content = "hello", .mode = 04755, .uid = 1, .gid = 2})
            .add({.name = "etc/link", .type = '2', .link = "/no/where", .uid = 9})
            .hard("etc/hard", "./etc/su")
            .device("null", '3', 1, 3)
            .device("disk", '4', 8, 1)
            .device("pipe", '6', 0, 0)
            .add({.name = "big", .uid = 0, .pax = {{"uid", "3000000000"}}})
            .file("a/b/c", "implicit parents")
            .finish();
    auto image = store.import(tar);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->diff_ids, Strings{digest_of(tar)});
    EXPECT_EQ(image->total_bytes, 5u + 16);
    EXPECT_TRUE(image->notices.empty());

    struct stat root = lstat_of(store.in(*image, ""));
    EXPECT_EQ(root.st_mode & 07777, 0711u);
    EXPECT_EQ(root.st_uid, 3u);
    EXPECT_EQ(root.st_mtim.tv_sec, 1234);
    struct stat etc = lstat_of(store.in(*image, "etc"));
    EXPECT_EQ(etc.st_mode, unsigned(S_IFDIR | 0750));
    EXPECT_EQ(etc.st_gid, 8u);
    EXPECT_EQ(etc.st_mtim.tv_sec, 1111111111) << "members were created later";
    EXPECT_EQ(etc.st_mtim.tv_nsec, 123456789);
    struct stat su = lstat_of(store.in(*image, "etc/su"));
    EXPECT_EQ(su.st_mode, unsigned(S_IFREG | 04755));
    EXPECT_EQ(su.st_uid, 1u);
    EXPECT_EQ(su.st_nlink, 2u);
    EXPECT_EQ(slurp(store.in(*image, "etc/hard")), "hello");
    EXPECT_EQ(lstat_of(store.in(*image, "etc/link")).st_uid, 9u);
    char target[64] = {};
    EXPECT_EQ(readlink(store.in(*image, "etc/link").c_str(), target, sizeof target), 9);
    EXPECT_EQ(lstat_of(store.in(*image, "null")).st_rdev, makedev(1, 3));
    EXPECT_EQ(lstat_of(store.in(*image, "disk")).st_mode & S_IFMT, unsigned(S_IFBLK));
    EXPECT_EQ(lstat_of(store.in(*image, "pipe")).st_mode & S_IFMT, unsigned(S_IFIFO));
    EXPECT_EQ(lstat_of(store.in(*image, "big")).st_uid, 3000000000u);
    EXPECT_EQ(lstat_of(store.in(*image, "a/b")).st_mode, unsigned(S_IFDIR | 0755));
}

TEST(Unpack, names_keep_their_bytes) {
    TestStore store;
    const std::string decomposed = "e\xcc\x81.crt", latin = "caf\xe9", longest(250, 'n');
    std::string deep = "d";
    for (int i = 0; i < 30; ++i) deep += "/" + std::string(100, 'x');
    std::string tar =
        TarBuilder()
            .add({.name = "short", .content = "1", .pax = {{"path", decomposed}}})
            .add({.name = latin, .content = "2"})
            .add({.name = "short", .content = "3", .pax = {{"path", longest}}})
            .add({.name = "short", .content = "4", .pax = {{"path", deep}}})
            .add({.name = "l", .type = '2', .link = "short", .pax = {{"linkpath", decomposed}}})
            .file("new\nline", "5")
            .finish();
    auto image = store.import(tar);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(slurp(store.in(*image, decomposed)), "1");
    EXPECT_EQ(slurp(store.in(*image, latin)), "2");
    EXPECT_EQ(slurp(store.in(*image, longest)), "3");
    EXPECT_EQ(slurp(store.in(*image, deep)), "4");
    EXPECT_EQ(slurp(store.in(*image, "new\nline")), "5");
    char target[64] = {};
    ASSERT_GT(readlink(store.in(*image, "l").c_str(), target, sizeof target), 0);
    EXPECT_EQ(target, decomposed);
}

TEST(Unpack, capabilities_and_user_xattrs_are_restored_and_others_reported) {
    TestStore store;
    const std::string capability(
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
    std::string tar = TarBuilder()
                          .add({.name = "ping",
                                .content = "x",
                                .mode = 0755,
                                .uid = 5,
                                .pax = {{"SCHILY.xattr.security.capability", capability},
                                        {"SCHILY.xattr.user.note", "a\nb"},
                                        {"SCHILY.xattr.user.overlay.opaque", "y"}}})
                          .add({.name = "dir",
                                .type = '5',
                                .pax = {{"SCHILY.xattr.trusted.overlay.opaque", "y"},
                                        {"SCHILY.xattr.trusted.overlay.redirect", "/etc"}}})
                          .finish();
    auto image = store.import(tar);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(xattr_of(store.in(*image, "ping"), "security.capability"), capability);
    EXPECT_EQ(xattr_of(store.in(*image, "ping"), "user.note"), "a\nb");
    EXPECT_EQ(xattr_of(store.in(*image, "ping"), "user.overlay.opaque"), "(none)");
    EXPECT_FALSE(is_opaque(store.in(*image, "dir")));
    EXPECT_EQ(xattr_of(store.in(*image, "dir"), "trusted.overlay.redirect"), "(none)");
    EXPECT_EQ(
        image->notices,
        Strings{
            "archive.tar: left out 3 extended attributes (only security.capability and user.* are "
            "restored)"});
}

TEST(Unpack, whiteouts_hide_lower_layers_only_in_any_order) {
    for (bool marker_first : {true, false}) {
        TestStore store;
        TarBuilder tar;
        auto markers = [&] {
            tar.file("d/.wh..wh..opq", "")
                .file(".wh.file", "")
                .file(".wh.dir", "")
                .file("x/.wh.gone", "");
        };
        if (marker_first) markers();
        tar.file("d/kept", "1").file("file", "2").dir("dir").file("dir/inner", "3");
        if (!marker_first) markers();
        tar.dir(".wh..wh.plnk").file(".wh..wh.plnk/1.2", "aufs").file(".wh..wh.aufs", "");
        auto image = store.import(tar.finish());
        ASSERT_TRUE(image) << image.error().message;
        EXPECT_TRUE(is_opaque(store.in(*image, "d")));
        EXPECT_EQ(slurp(store.in(*image, "d/kept")), "1");
        EXPECT_EQ(slurp(store.in(*image, "file")), "2");
        EXPECT_TRUE(is_opaque(store.in(*image, "dir"))) << "hides what the lower dir holds";
        EXPECT_EQ(slurp(store.in(*image, "dir/inner")), "3");
        EXPECT_TRUE(is_whiteout(store.in(*image, "x/gone")));
        EXPECT_FALSE(is_opaque(store.in(*image, "x")));
        EXPECT_FALSE(exists(store.in(*image, ".wh..wh.plnk")));
        EXPECT_FALSE(exists(store.in(*image, ".wh..wh.aufs")));
        EXPECT_FALSE(exists(store.in(*image, ".wh.file")));
    }
}

TEST(Unpack, a_whiteout_whose_directory_appears_as_a_parent_only_becomes_opaque) {
    TestStore store;
    auto image = store.import(TarBuilder().file(".wh.dir", "").file("dir/sub/new", "1").finish());
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_TRUE(is_opaque(store.in(*image, "dir")));
    EXPECT_EQ(slurp(store.in(*image, "dir/sub/new")), "1");
}

TEST(Unpack, later_entries_replace_earlier_ones) {
    TestStore store;
    auto image = store.import(TarBuilder()
                                  .file("a", "old")
                                  .file("a", "new")
                                  .dir("b")
                                  .file("b/deep/x", "1")
                                  .file("b", "file now")
                                  .link("c", "a")
                                  .file("c", "own")
                                  .file("d", "1")
                                  .dir("d")
                                  .file("d/y", "2")
                                  .dir("e", 0700)
                                  .file("e/z", "3")
                                  .dir("e", 0755)
                                  .finish());
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(slurp(store.in(*image, "a")), "new") << "and the link c did not write through";
    EXPECT_EQ(slurp(store.in(*image, "b")), "file now");
    EXPECT_EQ(slurp(store.in(*image, "c")), "own");
    EXPECT_EQ(slurp(store.in(*image, "d/y")), "2");
    EXPECT_EQ(slurp(store.in(*image, "e/z")), "3");
    EXPECT_EQ(lstat_of(store.in(*image, "e")).st_mode & 07777, 0755u);
    EXPECT_EQ(store.content().size(), 2u)
        << "one layer, one config, nothing in tmp; no skeleton of a tar that replaces its own";
}

TEST(Unpack, climbing_out_is_refused_and_names_the_entry) {
    EXPECT_EQ(refusal(TarBuilder().file("ok").file("a/../../evil").finish()),
              "unpack archive.tar: entry a/../../evil has \"..\" in its name");
    // What the archives try to reach; the store inside of it is not used.
    TestStore outside;
    const std::string dir = outside.dir();
    EXPECT_EQ(refusal(TarBuilder().file(dir + "/evil").finish()),
              "unpack archive.tar: entry " + dir + "/evil has an absolute name");
    EXPECT_EQ(refusal(TarBuilder().link("out", dir).file("out/evil").finish()),
              "unpack archive.tar: entry out/evil lies below out, which is a symbolic link");
    EXPECT_EQ(refusal(TarBuilder().link("o", dir).file("o/storage/evil").finish()),
              "unpack archive.tar: entry o/storage/evil lies below o, which is a symbolic link");
    EXPECT_EQ(refusal(TarBuilder().link("out", dir).dir("out/evil").finish()),
              "unpack archive.tar: entry out/evil lies below out, which is a symbolic link");
    EXPECT_EQ(refusal(TarBuilder().link("out", dir).file("out/.wh.evil").finish()),
              "unpack archive.tar: entry out/.wh.evil lies below out, which is a symbolic link");
    EXPECT_FALSE(exists(dir + "/evil"));
    EXPECT_FALSE(exists(dir + "/storage/evil"));
    EXPECT_EQ(refusal(TarBuilder().dir("d").link("d/in", ".").file("d/in/sub/x").finish()),
              "unpack archive.tar: entry d/in/sub/x lies below in, which is a symbolic link");
    EXPECT_EQ(refusal(TarBuilder().file("f").file("f/x").finish()),
              "unpack archive.tar: entry f/x lies below f, which is not a directory");
    EXPECT_EQ(refusal(TarBuilder().file("..").finish()),
              "unpack archive.tar: entry .. has \"..\" in its name");
    EXPECT_EQ(refusal(TarBuilder().file(".wh...").finish()),
              "unpack archive.tar: entry .wh... is a whiteout of no name");
    EXPECT_EQ(refusal(TarBuilder().file(".wh.").finish()),
              "unpack archive.tar: entry .wh. is a whiteout of no name");
    EXPECT_EQ(refusal(TarBuilder().file(".wh.d/x").finish()),
              "unpack archive.tar: entry .wh.d/x lies below a whiteout");
    EXPECT_EQ(refusal(TarBuilder().file("./").finish()).substr(0, 19), "unpack archive.tar:");
}

TEST(Unpack, symbolic_links_swapped_in_between_do_not_lead_out) {
    // The parent is known from the entry before; then it becomes a link.
    TestStore store;
    EXPECT_EQ(refusal(TarBuilder().file("d/a").link("d", store.dir()).file("d/evil").finish()),
              "unpack archive.tar: entry d/evil lies below d, which is a symbolic link");
    EXPECT_FALSE(exists(store.dir() + "/evil"));
    // The times of a directory that became a link must not be set on the link's target.
    std::string outside = store.dir() + "/outside";
    ASSERT_EQ(mkdir(outside.c_str(), 0755), 0);
    time_t before = lstat_of(outside).st_mtim.tv_sec;
    auto image = store.import(TarBuilder().dir("d").link("d", outside).finish());
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(lstat_of(outside).st_mtim.tv_sec, before);
}

TEST(Unpack, hard_links_reach_only_files_of_the_same_layer) {
    EXPECT_EQ(refusal(TarBuilder().hard("h", "../../../etc/passwd").finish()),
              "unpack archive.tar: entry h is a hard link, but its target: entry "
              "../../../etc/passwd has \"..\" in "
              "its name");
    EXPECT_EQ(refusal(TarBuilder().hard("h", "/etc/passwd").finish()),
              "unpack archive.tar: entry h is a hard link, but its target: entry /etc/passwd has "
              "an absolute name");
    EXPECT_EQ(
        refusal(TarBuilder().hard("h", "missing").finish()),
        "unpack archive.tar: entry h is a hard link to missing, which no entry before it created");
    EXPECT_EQ(
        refusal(TarBuilder().link("s", "/etc").hard("h", "s/passwd").finish()),
        "unpack archive.tar: entry h is a hard link to s/passwd, which no entry before it created");
    TestStore outside;
    std::ofstream(outside.paths().root + "/secret") << "x";
    EXPECT_EQ(refusal(TarBuilder().link("s", outside.dir()).hard("h", "s/storage/secret").finish()),
              "unpack archive.tar: entry h is a hard link to s/storage/secret, which no entry "
              "before it created");
    EXPECT_EQ(refusal(TarBuilder().dir("d").hard("h", "d").finish()),
              "unpack archive.tar: entry h is a hard link to d, which is a directory");
    EXPECT_EQ(refusal(TarBuilder().file("f").hard("f", "f").finish()),
              "unpack archive.tar: entry f is a hard link to f, itself");
    EXPECT_EQ(refusal(TarBuilder().file(".wh.w").hard("h", "w").finish()),
              "unpack archive.tar: entry h is a hard link to w, which is a whiteout");
}

TEST(Unpack, a_hard_link_to_a_symbolic_link_is_a_second_name_of_it) {
    TestStore store;
    auto image = store.import(TarBuilder().link("s", "/etc/passwd").hard("h", "s").finish());
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_TRUE(S_ISLNK(lstat_of(store.in(*image, "h")).st_mode));
    EXPECT_EQ(lstat_of(store.in(*image, "s")).st_nlink, 2u);
}

TEST(Unpack, a_device_that_would_become_a_whiteout_is_refused) {
    EXPECT_EQ(refusal(TarBuilder().device("dev/zero", '3', 0, 0).finish()),
              "unpack archive.tar: entry dev/zero is a character device 0/0, which overlayfs would "
              "take for a "
              "whiteout");
}

TEST(Unpack, directories_are_remembered_up_to_a_limit) {
    TestStore store;
    Source source = store.source(TarBuilder().dir("abc").dir("abc").dir("abc").finish());
    auto unpack = [&](uint64_t limit) {
        std::string scratch = store.dir() + "/scratch" + std::to_string(limit);
        EXPECT_EQ(mkdir(scratch.c_str(), 0700), 0);
        Fd tree(open(scratch.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        ContentStream stream({source.fd.get(), 0, {}}, "t", 1 << 20);
        UnpackOptions options;
        options.directory_path_bytes_max = limit;
        Strings notices;
        auto done = unpack_tar(stream, tree.get(), tree.get(), options, notices);
        return done ? "" : done.error().message;
    };
    EXPECT_EQ(unpack(9), "");
    EXPECT_EQ(unpack(8),
              "unpack t: the paths of its directories have more than 8 bytes (at abc)");
}

TEST(Unpack, limits_stop_bombs_while_they_unpack) {
    ImportOptions options;
    options.limits.unpacked_bytes = 1 << 20;
    std::string bomb = TarBuilder().file("small").file("bomb", std::string(8 << 20, '\0')).finish();
    for (const std::string& packed : {bomb, gzip(bomb), zstd(bomb)})
        EXPECT_EQ(
            refusal(packed, options),
            "unpack archive.tar: entry bomb: it unpacks to more than the limit of 1048576 "
            "bytes (unpackedBytesMax)");
    options = {};
    options.limits.entries = 2;
    EXPECT_EQ(refusal(TarBuilder().file("1").file("2").file("3").finish(), options),
              "unpack archive.tar: it has more than 2 entries (entriesMax; at 3)");
    EXPECT_EQ(refusal(TarBuilder().file("a/b/c").finish(), options),
              "unpack archive.tar: it has more than 2 entries (entriesMax; at a/b/c)");
    std::string wide =
        refusal(TarBuilder().add({.name = "n", .pax = {{"path", std::string(256, 'n')}}}).finish());
    EXPECT_NE(wide.find("n… has a component of more than 255 bytes in its name"), std::string::npos)
        << wide;
    std::string path = "p";
    while (path.size() < 4096) path += "/" + std::string(200, 'p');
    std::string message =
        refusal(TarBuilder().add({.name = "n", .pax = {{"path", path}}}).finish());
    EXPECT_NE(message.find("has a name of more than 4095 bytes"), std::string::npos) << message;
}

TEST(Unpack, truncation_is_noticed_wherever_it_happens) {
    std::string tar =
        TarBuilder().file("first", std::string(2000, 'a')).file("second", "b").finish();
    EXPECT_EQ(refusal(tar.substr(0, 1000)),
              "unpack archive.tar: entry first: the archive is truncated");
    EXPECT_EQ(refusal(tar.substr(0, 512 + 2048)),
              "unpack archive.tar: the archive is truncated: it has no end marker after 1 entries");
    EXPECT_EQ(refusal(tar.substr(0, 512 + 2048 + 100)),
              "unpack archive.tar: entry 2: the archive is truncated");
    EXPECT_EQ(refusal(gzip(tar).substr(0, 60)).substr(0, 19), "unpack archive.tar:");
    std::string packed = gzip(tar);
    EXPECT_EQ(refusal(packed.substr(0, packed.size() - 4)),
              "unpack archive.tar: it is truncated: its data ends early");
    packed[packed.size() - 6] ^= 1;
    EXPECT_EQ(refusal(packed),
              "unpack archive.tar: its gzip compression is damaged: incorrect data check");
    packed = zstd(tar);
    EXPECT_NE(refusal(packed.substr(0, packed.size() - 3)).find("it is truncated"),
              std::string::npos);
}

TEST(Unpack, what_is_no_tar_is_refused) {
    EXPECT_EQ(refusal(""), "unpack archive.tar: it is not a tar archive");
    EXPECT_EQ(refusal(std::string(5000, 'x')), "unpack archive.tar: it is not a tar archive");
    EXPECT_EQ(refusal(gzip("hello")), "unpack archive.tar: it is not a tar archive");
    EXPECT_EQ(refusal(gzip(gzip(TarBuilder().file("a").finish()))),
              "unpack archive.tar: it is not a tar archive");
    EXPECT_EQ(
        refusal(std::string("\xfd"
                            "7zXZ\0rest",
                            10)),
        "unpack archive.tar: it is compressed with xz; noded reads gzip, zstd and plain archives");
    std::string damaged = TarBuilder().file("a").file("b").finish();
    damaged[1024 + 3] ^= 1;
    EXPECT_NE(refusal(damaged).find("the archive is damaged"), std::string::npos);
}

TEST(Unpack, compression_changes_neither_diff_id_nor_image_id) {
    std::string tar = TarBuilder().file("a", std::string(700000, 'a')).finish();
    std::string halves =
        gzip(std::string_view(tar).substr(0, 5000)) + gzip(std::string_view(tar).substr(5000));
    std::string frames = zstd(std::string_view(tar).substr(0, 5000)) +
                         std::string("\x50\x2a\x4d\x18\x01\0\0\0x", 9) +
                         zstd(std::string_view(tar).substr(5000));
    std::string first_id;
    for (const std::string& packed : {tar, gzip(tar), zstd(tar), halves, frames}) {
        TestStore store;
        ImportOptions options;
        options.created = "2024-01-01T00:00:00Z";
        options.changes = {"CMD [\"/a\"]"};
        options.name = "docker.io/library/app";
        auto image = store.import(packed, options);
        ASSERT_TRUE(image) << image.error().message;
        EXPECT_EQ(image->diff_ids, Strings{digest_of(tar)});
        EXPECT_EQ(image->names, Strings{"app:latest"});
        EXPECT_EQ(image->id, digest_of(image->config_json));
        EXPECT_EQ(read_blob(store.paths(), image->id).value_or(""), image->config_json);
        if (first_id.empty()) first_id = image->id;
        EXPECT_EQ(image->id, first_id);
        auto config = parse_image_config(image->config_json);
        ASSERT_TRUE(config);
        EXPECT_EQ(config->config.cmd, Strings{"/a"});
        EXPECT_EQ(config->created, "2024-01-01T00:00:00Z");
        EXPECT_EQ(config->diff_ids, image->diff_ids);
    }
}

TEST(Unpack, archives_made_by_tar_round_trip) {
    TestStore store;
    std::string dir = store.dir() + "/made";
    std::string script =
        "set -e; mkdir -p " + dir + "/sub; cd " + dir +
        "; truncate -s 3G sub/sparse; printf end | dd of=sub/sparse bs=1 seek=2G conv=notrunc "
        "2>/dev/null; echo hello > file; ln file sub/hard; ln -s ../file sub/soft; mkfifo pipe; "
        "setfattr -n user.k -v v file 2>/dev/null || true; ";
    for (const char* format : {"gnu", "pax --xattrs", "ustar", "oldgnu"}) {
        std::string make = script + "tar -S --format=" + format + " -cf ../made.tar .";
        if (std::string_view(format) == "ustar")
            make = script + "rm sub/sparse; tar --format=ustar -cf ../made.tar .";
        ASSERT_EQ(system(make.c_str()), 0) << format;
        auto source = open_source(store.dir() + "/made.tar");
        ASSERT_TRUE(source);
        auto image = import_rootfs(store.paths(), *source, {});
        ASSERT_TRUE(image) << format << ": " << image.error().message;
        EXPECT_EQ(slurp(store.in(*image, "sub/hard")), "hello\n");
        EXPECT_EQ(lstat_of(store.in(*image, "file")).st_nlink, 2u);
        if (exists(dir + "/sub/sparse")) {
            struct stat sparse = lstat_of(store.in(*image, "sub/sparse"));
            EXPECT_EQ(sparse.st_size, 3LL << 30) << format;
            EXPECT_LT(sparse.st_blocks, 1000) << format;
        }
        ASSERT_EQ(system(("rm -r " + dir).c_str()), 0);
    }
}

TEST(Unpack, a_pipe_is_as_good_as_a_file) {
    TestStore store;
    std::string tar = TarBuilder().file("a", std::string(300000, 'a')).finish();
    { store.source(zstd(tar), "piped"); }
    FILE* pipe = popen(("cat " + store.dir() + "/piped").c_str(), "r");
    ASSERT_NE(pipe, nullptr);
    auto image = import_rootfs(store.paths(), Source{Fd(dup(fileno(pipe))), "-"}, {});
    EXPECT_EQ(pclose(pipe), 0);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(image->diff_ids, Strings{digest_of(tar)});
}

}  // namespace
}  // namespace noded::image

// The store: crash leftovers, removal, garbage, overlay directories; and layers under a real
// overlay mount.
#include "plugins/storage/image/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "plugins/storage/image/test_archive.h"

namespace noded::image {
namespace {

using Strings = std::vector<std::string>;

std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// Runs `body` in a child with a mount namespace of its own, where `dirs` is mounted on `target`;
/// returns what the body returns. The mount disappears with the child.
std::string under_overlay(const RootfsDirs& dirs, const std::string& target,
                          const std::function<std::string()>& body) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    mkdir(target.c_str(), 0755);
    pid_t child = fork();
    if (child == 0) {
        std::string options = "upperdir=" + dirs.upper + ",workdir=" + dirs.work + ",lowerdir=";
        for (size_t i = 0; i < dirs.lower.size(); ++i)
            options += (i == 0 ? "" : ":") + dirs.lower[i];
        std::string result;
        if (unshare(CLONE_NEWNS) != 0 ||
            mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
            result = std::string("unshare: ") + strerror(errno);
        else if (mount("overlay", target.c_str(), "overlay", 0, options.c_str()) != 0)
            result = std::string("mount overlay: ") + strerror(errno);
        else result = body();
        (void)!write(ends[1], result.data(), result.size());
        _exit(0);
    }
    close(ends[1]);
    std::string result;
    char buffer[4096];
    for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
        result.append(buffer, size_t(count));
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return result;
}

/// Every path below `root` with what it is: "dir/", "file=content".
std::string listing(const std::string& root) {
    std::set<std::string> lines;
    for (auto& entry : std::filesystem::recursive_directory_iterator(root)) {
        std::string name = entry.path().string().substr(root.size() + 1);
        lines.insert(entry.is_directory() ? name + "/" : name + "=" + slurp(entry.path()));
    }
    std::string out;
    for (const std::string& line : lines) out += line + " ";
    return out;
}

ImportedImage import_or_die(const TestStore& store, const std::string& tar) {
    auto image = store.import(tar);
    EXPECT_TRUE(image) << (image ? "" : image.error().message);
    return image ? *image : ImportedImage{};
}

TEST(ImageStore, whiteouts_and_opaque_directories_hide_under_a_real_overlay) {
    TestStore store;
    std::string low = TarBuilder()
                          .file("a", "low")
                          .file("b", "low")
                          .file("d/x", "low")
                          .file("d/y", "low")
                          .file("e/x", "low")
                          .file("f/x", "low")
                          .file("keep/z", "low")
                          .finish();
    std::string high = TarBuilder()
                           .file(".wh.a", "")
                           .file("b", "high")
                           .file("d/new", "high")
                           .file("d/.wh..wh..opq", "")
                           .file("e/.wh.x", "")
                           .file(".wh.f", "")
                           .dir("f")
                           .file("f/n", "high")
                           .finish();
    Strings layers = {import_or_die(store, low).diff_ids[0],
                      import_or_die(store, high).diff_ids[0]};
    auto dirs = prepare_rootfs(store.paths(), "c1", layers);
    ASSERT_TRUE(dirs) << dirs.error().message;
    std::string target = store.dir() + "/mnt";
    EXPECT_EQ(under_overlay(*dirs, target, [&] { return listing(target); }),
              "b=high d/ d/new=high e/ f/ f/n=high keep/ keep/z=low ");
    // Files that the container writes go to its upper and are there after a restart.
    EXPECT_EQ(under_overlay(*dirs, target,
                            [&] {
                                std::ofstream(target + "/b") << "mine";
                                return slurp(target + "/b");
                            }),
              "mine");
    auto again = prepare_rootfs(store.paths(), "c1", layers);
    ASSERT_TRUE(again);
    EXPECT_EQ(slurp(again->upper + "/b"), "mine");
    EXPECT_EQ(slurp(store.paths().layer(layers[1].substr(7)) + "/b"), "high");
    ASSERT_TRUE(remove_rootfs(store.paths(), "c1"));
    ASSERT_TRUE(remove_rootfs(store.paths(), "c1")) << "twice is as good as once";
    EXPECT_FALSE(std::filesystem::exists(store.paths().rootfs("c1")));
    EXPECT_TRUE(std::filesystem::is_empty(store.paths().tmp()));
}

TEST(ImageStore, an_opaque_root_hides_all_lower_layers) {
    TestStore store;
    Strings layers = {
        import_or_die(store, TarBuilder().file("low").finish()).diff_ids[0],
        import_or_die(store, TarBuilder().file(".wh..wh..opq", "").file("mid", "m").finish())
            .diff_ids[0],
        import_or_die(store, TarBuilder().file("top", "t").finish()).diff_ids[0]};
    auto dirs = prepare_rootfs(store.paths(), "c", layers);
    ASSERT_TRUE(dirs);
    EXPECT_EQ(dirs->lower.size(), 2u);
    std::string target = store.dir() + "/mnt";
    EXPECT_EQ(under_overlay(*dirs, target, [&] { return listing(target); }), "mid=m top=t ");
}

TEST(ImageStore, a_layer_that_an_image_has_twice_is_mounted_once) {
    TestStore store;
    std::string a = import_or_die(store, TarBuilder().file("a", "1").finish()).diff_ids[0];
    std::string b = import_or_die(store, TarBuilder().file(".wh.a", "").finish()).diff_ids[0];
    auto dirs = prepare_rootfs(store.paths(), "c", {a, b, a});
    ASSERT_TRUE(dirs);
    std::string target = store.dir() + "/mnt";
    EXPECT_EQ(under_overlay(*dirs, target, [&] { return listing(target); }), "a=1 ");
}

TEST(ImageStore, the_upper_looks_like_the_topmost_root) {
    TestStore store;
    auto image = import_or_die(
        store,
        TarBuilder().add({.name = "./", .type = '5', .mode = 01777, .uid = 5, .gid = 6}).finish());
    auto dirs = prepare_rootfs(store.paths(), "c", image.diff_ids);
    ASSERT_TRUE(dirs);
    struct stat info;
    ASSERT_EQ(stat(dirs->upper.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode, unsigned(S_IFDIR | 01777));
    EXPECT_EQ(info.st_uid, 5u);
    EXPECT_EQ(info.st_gid, 6u);
    dirs = prepare_rootfs(store.paths(), "empty", {});
    ASSERT_TRUE(dirs);
    ASSERT_EQ(stat(dirs->upper.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode, unsigned(S_IFDIR | 0755));
}

TEST(ImageStore, bad_ids_and_missing_layers_are_sentences) {
    TestStore store;
    const std::string missing = "sha256:" + std::string(64, '1');
    EXPECT_EQ(prepare_rootfs(store.paths(), "c", {missing}).error().message,
              "layer " + missing + " is not in the store");
    EXPECT_EQ(prepare_rootfs(store.paths(), "../c", {}).error().message,
              "\"../c\" is not a container id");
    EXPECT_FALSE(prepare_rootfs(store.paths(), "", {}));
    EXPECT_FALSE(prepare_rootfs(store.paths(), ".", {}));
    EXPECT_FALSE(remove_rootfs(store.paths(), "a/b"));
    EXPECT_FALSE(remove_layer(store.paths(), "sha256:../../etc"));
    EXPECT_TRUE(remove_layer(store.paths(), missing)) << "what is not there is gone";
    EXPECT_EQ(store.content(), Strings{});
}

TEST(ImageStore, garbage_is_what_nobody_names) {
    TestStore store;
    auto kept = import_or_die(store, TarBuilder().file("kept").finish());
    auto dead = import_or_die(store, TarBuilder().file("dead/deep/er").finish());
    ASSERT_TRUE(write_blob(store.paths(), as_bytes("loose")));
    EXPECT_EQ(collect_garbage(store.paths(), {kept.diff_ids[0]}, {kept.id}).value_or(99), 3u);
    EXPECT_EQ(store.content().size(), 3u) << "a layer, its skeleton, a config";
    EXPECT_EQ(slurp(store.in(kept, "kept")), "x");
    EXPECT_TRUE(read_blob(store.paths(), kept.id));
    EXPECT_FALSE(read_blob(store.paths(), dead.id));
    ASSERT_TRUE(remove_layer(store.paths(), kept.diff_ids[0]));
    ASSERT_TRUE(remove_blob(store.paths(), kept.id));
    EXPECT_EQ(store.content(), Strings{});
}

TEST(ImageStore, a_blob_with_flipped_bits_is_not_returned) {
    TestStore store;
    std::string digest = write_blob(store.paths(), as_bytes("content")).value_or("");
    std::ofstream(store.paths().blob(digest.substr(7))) << "Content";
    auto blob = read_blob(store.paths(), digest);
    ASSERT_FALSE(blob);
    EXPECT_NE(blob.error().message.find("instead of " + digest), std::string::npos);
}

TEST(ImageStore, opening_removes_work_in_progress_however_deep) {
    TestStore store;
    auto kept = import_or_die(store, TarBuilder().file("kept").finish());
    // Deeper than a path can name and than descriptors could be held open.
    Fd dir(open(store.paths().tmp().c_str(), O_RDONLY | O_DIRECTORY));
    for (int i = 0; i < 1500; ++i) {
        ASSERT_EQ(mkdirat(dir.get(), "deep", 0), 0);
        ASSERT_EQ(mkdirat(dir.get(), "0", 0755), 0) << "a name that removal would choose itself";
        dir.reset(openat(dir.get(), "deep", O_RDONLY | O_DIRECTORY));
        ASSERT_TRUE(dir.valid());
        Fd(openat(dir.get(), "file", O_CREAT | O_WRONLY, 0600));
    }
    ASSERT_EQ(symlinkat(store.dir().c_str(), dir.get(), "link"), 0);
    dir.reset();
    ASSERT_TRUE(open_store(store.paths()));
    EXPECT_TRUE(std::filesystem::is_empty(store.paths().tmp()));
    EXPECT_EQ(slurp(store.in(kept, "kept")), "x");
}

TEST(ImageStore, ext4_is_asked_to_keep_containers_apart) {
    TestStore store;
    struct statfs info;
    ASSERT_EQ(statfs(store.paths().tmp().c_str(), &info), 0);
    if (info.f_type != EXT4_SUPER_MAGIC) GTEST_SKIP() << "no ext4";
    const Fd tmp(open(store.paths().tmp().c_str(), O_RDONLY | O_DIRECTORY));
    int flags = 0;
    ASSERT_EQ(ioctl(tmp.get(), FS_IOC_GETFLAGS, &flags), 0);
    EXPECT_NE(flags & FS_TOPDIR_FL, 0);
}

TEST(ImageStore, sizes_count_a_file_with_two_names_once) {
    TestStore store;
    auto image = import_or_die(store, TarBuilder()
                                          .file("a/b/one", std::string(1000, '1'))
                                          .hard("two", "a/b/one")
                                          .file("c", "22")
                                          .file("c", "333")
                                          .finish());
    EXPECT_EQ(image.layer_bytes, std::vector<uint64_t>{1003});
}

}  // namespace
}  // namespace noded::image

// Archives that are written: layers to the byte as they were read, images with the ids they have.
#include "plugins/storage/image/save.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "plugins/storage/image/test_archive.h"

namespace noded::image {
namespace {

using Strings = std::vector<std::string>;

SavedImage saved(const ImportedImage& image) {
    return {image.id, image.config_json, image.diff_ids, image.names};
}

struct Written {
    Result<Strings> notices;
    std::string bytes;
};

Written save(const TestStore& store, const std::vector<SavedImage>& images) {
    const Fd file(memfd_create("archive", MFD_CLOEXEC));
    Written written{save_archive(store.paths(), file.get(), images, false), {}};
    char buffer[4096];
    ssize_t got;
    for (off_t at = 0; (got = pread(file.get(), buffer, sizeof buffer, at)) > 0; at += got)
        written.bytes.append(buffer, size_t(got));
    return written;
}

/// Saves, loads elsewhere, and compares.
void expect_the_same_elsewhere(const TestStore& store, const std::vector<ImportedImage>& images) {
    std::vector<SavedImage> wanted;
    for (const ImportedImage& image : images) wanted.push_back(saved(image));
    const Written written = save(store, wanted);
    ASSERT_TRUE(written.notices) << written.notices.error().message;
    EXPECT_EQ(*written.notices, Strings{});
    EXPECT_EQ(save(store, wanted).bytes, written.bytes) << "twice the same";
    TestStore other;
    const auto loaded = other.load(written.bytes);
    ASSERT_TRUE(loaded) << loaded.error().message;
    ASSERT_EQ(loaded->size(), images.size());
    for (size_t i = 0; i < images.size(); ++i) {
        EXPECT_EQ((*loaded)[i].id, images[i].id);
        EXPECT_EQ((*loaded)[i].diff_ids, images[i].diff_ids);
        EXPECT_EQ((*loaded)[i].names, images[i].names);
    }
    EXPECT_TRUE(std::filesystem::is_empty(store.paths().tmp()));
}

std::vector<ImportedImage> load(const TestStore& store, const std::string& archive) {
    auto images = store.load(archive);
    EXPECT_TRUE(images) << images.error().message;
    return images.value_or(std::vector<ImportedImage>{});
}

/// All that a tar may have which an unpacked tree does not tell.
std::string odd_tar() {
    const std::string big(700'000, 'b');  // more than one step of reading
    TarBuilder tar;
    tar.dir("./").dir("d", 0711).file("d/small", "s").file("d/empty", "").file("big", big);
    tar.add({.name = "short", .content = std::string(513, 'q'), .pax = {{"path", "long/name/of"}}});
    tar.add({.name = "dated",
             .content = "x",
             .pax = {{"mtime", "1.5"}, {"SCHILY.xattr.user.a", "b"}}});
    tar.add({.name = "sized", .content = "12345", .pax = {{"size", "5"}}});
    tar.add({.name = "all", .type = 'g', .content = "16 comment=here\n"});
    tar.link("l", "d/small").hard("h", "d/small").device("c", '3', 1, 3).device("p", '6', 0, 0);
    tar.file(".wh.gone", "").file("d/.wh..wh..opq", "").file("./last", std::string(512, 'z'));
    return tar.finish() + std::string(3000, '\0');
}

TEST(ImageSave, what_was_loaded_comes_out_with_the_same_digests) {
    const TestImage image{{TarBuilder().file("a", "low").file("b", "low").finish(), odd_tar()}};
    for (const auto& pack : {gzip, zstd}) {
        TestStore store;
        expect_the_same_elsewhere(store, load(store, tar_of(oci_layout(image, "app:1", pack))));
    }
    TestStore store;
    expect_the_same_elsewhere(store, load(store, tar_of(docker_archive(image, "app:1"))));
}

TEST(ImageSave, archives_without_an_end_marker_come_out_as_they_are) {
    TestStore store;
    const TestImage image{{TarBuilder().file("a", "1234").without_end_marker()}};
    expect_the_same_elsewhere(store, load(store, tar_of(oci_layout(image, "app:1", gzip))));
}

TEST(ImageSave, several_images_share_their_layers) {
    TestStore store;
    const std::string base = TarBuilder().file("base", std::string(5000, 'b')).finish();
    auto first = load(store, tar_of(docker_archive({{base}}, "one:1")));
    auto second =
        load(store, tar_of(docker_archive({{base, TarBuilder().file("top").finish()}}, "two:1")));
    expect_the_same_elsewhere(store, {first[0], second[0]});
    const Written written = save(store, {saved(first[0]), saved(second[0])});
    const std::string member = "blobs/sha256/" + digest_of(base).substr(7) + std::string(1, '\0');
    const size_t at = written.bytes.find(member);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(written.bytes.find(member, at + 1), std::string::npos) << "written once";
}

TEST(ImageSave, a_layer_without_a_skeleton_is_written_anew_and_the_user_is_told) {
    const std::string twice = TarBuilder().file("a", "old").file("a", "new").finish();
    for (const bool odd : {true, false}) {
        TestStore store;
        const std::string tar = odd ? twice : TarBuilder().file("a", "new").finish();
        const auto images = load(store, tar_of(docker_archive({{tar}}, "app:1")));
        const std::string skeleton = store.paths().skeleton(digest_of(tar).substr(7));
        EXPECT_EQ(std::filesystem::exists(skeleton), !odd);
        std::filesystem::remove(skeleton);
        const Written written = save(store, {saved(images[0])});
        ASSERT_TRUE(written.notices) << written.notices.error().message;
        ASSERT_EQ(written.notices->size(), 1u);
        TestStore other;
        const auto loaded = load(other, written.bytes);
        EXPECT_NE(written.notices->front().find(loaded[0].id), std::string::npos);
        EXPECT_EQ(loaded[0].names, Strings{"app:1"});
        std::ifstream file(other.in(loaded[0], "a"));
        EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "new");
        EXPECT_TRUE(std::filesystem::is_empty(store.paths().tmp()));
    }
}

TEST(ImageSave, a_layer_that_changed_on_the_disk_is_no_archive) {
    TestStore store;
    const TestImage image{{TarBuilder().file("a").finish()}};
    const auto images = load(store, tar_of(docker_archive(image, "app")));
    std::ofstream(store.in(images[0], "a")) << "y";
    const Written written = save(store, {saved(images[0])});
    ASSERT_FALSE(written.notices);
    EXPECT_NE(written.notices.error().message.find("has changed on the disk of the node"),
              std::string::npos)
        << written.notices.error().message;
    std::ofstream(store.paths().skeleton(images[0].diff_ids[0].substr(7))) << "rubbish";
    EXPECT_FALSE(save(store, {saved(images[0])}).notices);
}

/// libarchive takes a file whose name ends in a slash for a directory.
TEST(ImageSave, what_the_unpacker_reads_otherwise_takes_no_memory) {
    TestStore store;
    TarBuilder tar;
    tar.add({.name = "d/", .content = std::string(100, 'x')});
    for (int i = 0; i < 100; ++i) tar.file("f" + std::to_string(i), std::string(100, 'x'));
    const std::string bytes = tar.finish() + std::string(20 << 20, '\0');
    (void)store.import(bytes);  // taken or not
    EXPECT_FALSE(std::filesystem::exists(store.paths().skeleton(digest_of(bytes).substr(7))));
}

TEST(ImageSave, sparse_files_and_unknown_types_have_no_skeleton) {
    for (const TarMember& odd :
         {TarMember{.name = "s", .content = "0000000000", .pax = {{"GNU.sparse.major", "1"}}},
          TarMember{.name = "a", .content = "again"}, TarMember{.name = ".wh.x", .content = "y"}}) {
        TestStore store;
        const std::string tar = TarBuilder().file("a").add(odd).finish();
        const auto image = store.import(tar);
        if (!image) continue;  // refused altogether
        EXPECT_FALSE(std::filesystem::exists(store.paths().skeleton(digest_of(tar).substr(7))))
            << odd.name;
    }
}

}  // namespace
}  // namespace noded::image

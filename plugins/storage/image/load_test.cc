// Image archives: both formats, in every wrapping, with wrong digests, and as other tools write
// them.
#include "plugins/storage/image/load.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/test_archive.h"

namespace noded::image {
namespace {

using Strings = std::vector<std::string>;
using Files = std::map<std::string, std::string>;

std::string plain(std::string_view text) { return std::string(text); }

std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

TestImage two_layers() {
    return {{TarBuilder().file("a", "low").file("b", "low").finish(),
             TarBuilder().file("b", "high").file(".wh.a", "").finish()}};
}

void expect_two_layers(const TestStore& store, const Result<std::vector<ImportedImage>>& images,
                       const Strings& names) {
    ASSERT_TRUE(images) << images.error().message;
    ASSERT_EQ(images->size(), 1u);
    const ImportedImage& image = (*images)[0];
    TestImage made = two_layers();
    EXPECT_EQ(image.id, digest_of(made.config()));
    EXPECT_EQ(image.config_json, made.config());
    EXPECT_EQ(image.diff_ids, (Strings{digest_of(made.tars[0]), digest_of(made.tars[1])}));
    EXPECT_EQ(image.layer_bytes, (std::vector<uint64_t>{6, 4}));
    EXPECT_EQ(image.total_bytes, 10u);
    EXPECT_EQ(image.names, names);
    EXPECT_EQ(slurp(store.in(image, "b", 0)), "low");
    EXPECT_EQ(slurp(store.in(image, "b", 1)), "high");
}

/// Loads, expects a refusal, and that nothing is left of it.
std::string refusal(const Files& files, const UnpackLimits& limits = {}) {
    TestStore store;
    auto images = store.load(tar_of(files), limits);
    EXPECT_FALSE(images);
    EXPECT_EQ(store.content(), Strings{});
    return images ? "loaded" : images.error().message;
}

TEST(ImageLoad, docker_archives_load_however_they_are_wrapped) {
    std::string archive = tar_of(docker_archive(two_layers(), "docker.io/library/app:1"));
    for (const std::string& wrapped : {archive, gzip(archive), zstd(archive)}) {
        TestStore store;
        expect_two_layers(store, store.load(wrapped), {"app:1"});
        EXPECT_EQ(store.content().size(), 5u)
            << "two layers with skeletons, one config, nothing in tmp";
    }
}

TEST(ImageLoad, docker_archives_of_version_25_load_by_their_manifest) {
    TestStore store;
    TestImage image = two_layers();
    Files files = oci_layout(image, "ignored", plain);
    std::string layers;
    for (const std::string& tar : image.tars)
        layers +=
            (layers.empty() ? "\"" : ",\"") + ("blobs/sha256/" + digest_of(tar).substr(7)) + "\"";
    files["manifest.json"] = R"([{"Config":"blobs/sha256/)" + digest_of(image.config()).substr(7) +
                             R"(","RepoTags":["app:1","host:5000/app:2"],"Layers":[)" + layers +
                             "]}]";
    expect_two_layers(store, store.load(tar_of(files)), {"app:1", "host:5000/app:2"});
    // The name of a blob is a promise.
    files["blobs/sha256/" + digest_of(image.tars[1]).substr(7)] = image.tars[0];
    EXPECT_EQ(refusal(files), "archive.tar: blobs/sha256/" + digest_of(image.tars[1]).substr(7) +
                                  " has digest " + digest_of(image.tars[0]) + " instead of " +
                                  digest_of(image.tars[1]));
}

TEST(ImageLoad, oci_layouts_load_with_any_compression_and_as_directories) {
    for (auto pack : {plain, gzip, zstd}) {
        Files files = oci_layout(two_layers(), "docker.io/library/app:1", pack);
        TestStore store;
        auto images = store.load(tar_of(files));
        expect_two_layers(store, images, {"app:1"});
        ASSERT_TRUE(images);
        EXPECT_TRUE(read_blob(store.paths(), (*images)[0].manifest_digest));

        TestStore second;
        std::string dir = second.dir() + "/layout";
        std::filesystem::create_directories(dir + "/blobs/sha256");
        for (auto& [name, content] : files)
            std::ofstream(dir + "/" + name, std::ios::binary) << content;
        auto source = open_source(dir);
        ASSERT_TRUE(source);
        expect_two_layers(second, load_archive(second.paths(), *source, {}), {"app:1"});
    }
}

TEST(ImageLoad, shared_layers_may_be_links_inside_the_archive) {
    TestImage image{{TarBuilder().file("a").finish()}};
    image.tars.push_back(image.tars[0]);
    Files files = docker_archive(image, "app");
    TarBuilder tar;
    for (auto& [name, content] : files)
        if (name != "layer1/layer.tar") tar.file(name, content);
    TestStore store;
    auto images =
        store.load(TarBuilder(tar).link("layer1/layer.tar", "../layer0/layer.tar").finish());
    ASSERT_TRUE(images) << images.error().message;
    EXPECT_EQ((*images)[0].diff_ids, Strings(2, digest_of(image.tars[0])));
    TestStore other;
    images = other.load(TarBuilder(tar).link("layer1/layer.tar", "../../etc/passwd").finish());
    ASSERT_FALSE(images);
    EXPECT_EQ(other.content(), Strings{});
    images = other.load(TarBuilder(tar).link("layer1/layer.tar", "layer.tar").finish());
    ASSERT_FALSE(images);
    EXPECT_EQ(images.error().message, "archive.tar: layer1/layer.tar is a link that leads nowhere");
}

TEST(ImageLoad, nested_indexes_give_the_platform_that_runs_here) {
    TestImage right = two_layers(), wrong = two_layers();
    wrong.architecture = "arm64";
    Files files;
    const std::string index_type = "application/vnd.oci.image.index.v1+json";
    const std::string manifest_type = "application/vnd.oci.image.manifest.v1+json";
    auto manifest_of = [&](const TestImage& image) {
        std::string index = oci_layout(image, "x", gzip)["index.json"];
        for (auto& [name, content] : oci_layout(image, "x", gzip))
            if (name.starts_with("blobs/")) files[name] = content;
        for (auto& [name, content] : oci_layout(image, "x", gzip))
            if (content.find("\"layers\":[{") != std::string::npos) return content;
        return std::string();
    };
    std::string inner = R"({"manifests":[)" +
                        add_blob(files, manifest_type, manifest_of(wrong),
                                 R"(,"platform":{"os":"linux","architecture":"arm64"})") +
                        "," +
                        add_blob(files, manifest_type, "{}",
                                 R"(,"platform":{"os":"unknown","architecture":"unknown"})") +
                        "," +
                        add_blob(files, manifest_type, manifest_of(right),
                                 R"(,"platform":{"os":"linux","architecture":"amd64"})") +
                        "]}";
    std::string outer = R"({"manifests":[)" + add_blob(files, index_type, inner) + "]}";
    files["oci-layout"] = "{}";
    files["index.json"] =
        R"({"manifests":[)" +
        add_blob(files, index_type, outer,
                 R"(,"annotations":{"io.containerd.image.name":"docker.io/library/multi:2",)"
                 R"("org.opencontainers.image.ref.name":"2"})") +
        "]}";
    TestStore store;
    expect_two_layers(store, store.load(tar_of(files)), {"multi:2"});

    files["index.json"] = R"({"manifests":[)" +
                          add_blob(files, manifest_type, manifest_of(wrong),
                                   R"(,"platform":{"os":"linux","architecture":"arm64"})") +
                          "]}";
    EXPECT_EQ(refusal(files), "archive.tar has no image for linux/amd64, only for linux/arm64");
}

TEST(ImageLoad, names_come_from_annotations_and_a_bare_latest_is_a_tag) {
    TestStore store;
    auto names = [&](const std::string& ref) {
        auto images = store.load(tar_of(oci_layout(two_layers(), ref, gzip)));
        return images ? (*images)[0].names : Strings{images.error().message};
    };
    EXPECT_EQ(names("busybox"), Strings{"busybox:latest"});
    EXPECT_EQ(names("quay.io/a/b:3"), Strings{"quay.io/a/b:3"});
    EXPECT_EQ(names("latest"), Strings{});
    EXPECT_EQ(names("Not Valid"), Strings{});
}

TEST(ImageLoad, layers_that_are_there_are_not_unpacked_again_but_checked) {
    TestStore store;
    TestImage image = two_layers();
    Files files = oci_layout(image, "app", gzip);
    ASSERT_TRUE(store.load(tar_of(files)));
    std::string layer = store.paths().layer(digest_of(image.tars[0]).substr(7));
    struct stat before, after;
    ASSERT_EQ(stat(layer.c_str(), &before), 0);
    Strings content = store.content();
    auto again = store.load(tar_of(files));
    expect_two_layers(store, again, {"app:latest"});
    ASSERT_EQ(stat(layer.c_str(), &after), 0);
    EXPECT_EQ(before.st_ino, after.st_ino);
    EXPECT_EQ(store.content(), content);
    UnpackLimits none;
    none.unpacked_bytes = 3072;  // one layer, not two
    EXPECT_TRUE(store.load(tar_of(files), none)) << "nothing was unpacked that could be too large";
    EXPECT_FALSE(TestStore().load(tar_of(files), none));
    std::string blob = "blobs/sha256/" + digest_of(gzip(image.tars[0])).substr(7);
    files[blob][30] ^= 1;
    EXPECT_FALSE(store.load(tar_of(files)));
    EXPECT_EQ(store.content(), content) << "a failed load takes back only what it added";
}

/// An archive whose image has this config, whatever its layers say.
Files with_config(Files files, const std::string& before, const std::string& after) {
    add_blob(files, "c", after);
    for (auto& [name, content] : Files(files)) {
        size_t at = content.find(digest_of(before));
        if (at == std::string::npos) continue;
        std::string manifest = content;
        EXPECT_EQ(before.size(), after.size()) << "the descriptor states the size";
        manifest.replace(at, 71, digest_of(after));
        files["blobs/sha256/" + digest_of(manifest).substr(7)] = manifest;
        std::string& index = files["index.json"];
        index.replace(index.find(digest_of(content)), 71, digest_of(manifest));
    }
    return files;
}

TEST(ImageLoad, a_layer_of_the_store_is_no_layer_of_an_archive_that_lacks_it) {
    TestStore store;
    TestImage theirs{{TarBuilder().file("secret").finish()}};
    ASSERT_TRUE(store.load(tar_of(oci_layout(theirs, "theirs", gzip))));
    Strings content = store.content();
    TestImage mine{{TarBuilder().file("mine").finish()}};
    for (auto pack : {plain, gzip}) {
        Files lying =
            with_config(oci_layout(mine, "mine", pack), mine.config(), theirs.config());
        auto images = store.load(tar_of(lying));
        ASSERT_FALSE(images);
        EXPECT_NE(images.error().message.find("uncompressed, has digest " +
                                              digest_of(mine.tars[0]) + " instead of " +
                                              digest_of(theirs.tars[0])),
                  std::string::npos)
            << images.error().message;
        EXPECT_EQ(store.content(), content);
    }
}

TEST(ImageLoad, an_archive_has_so_many_names_and_no_more) {
    TestImage image{{TarBuilder().file("a").finish()}};
    Files files = docker_archive(image, "app");
    auto with_names = [&](size_t images, size_t names, size_t length) {
        std::string config = digest_of(image.config()).substr(7) + ".json";
        std::string list;
        for (size_t i = 0; i < images; ++i) {
            std::string tags;
            for (size_t n = 0; n < names; ++n)
                tags += (n == 0 ? "\"" : ",\"") + std::string(length, 'n') + ":" +
                        std::string(60, 't') + std::to_string(i) + "." + std::to_string(n) + "\"";
            list += (i == 0 ? "" : ",") + (R"({"Config":")" + config + R"(","RepoTags":[)") + tags +
                    R"(],"Layers":["layer0/layer.tar"]})";
        }
        files["manifest.json"] = "[" + list + "]";
        return files;
    };
    TestStore store;
    EXPECT_TRUE(store.load(tar_of(with_names(16, 64, 150))));
    EXPECT_EQ(refusal(with_names(17, 64, 9)), "archive.tar has more than 1024 names of images");
    EXPECT_EQ(refusal(with_names(16, 64, 220)),
              "archive.tar has more than 256 KiB of names of images");
}

TEST(ImageLoad, a_wrong_digest_names_blob_expected_and_got) {
    TestImage image = two_layers();
    Files files = docker_archive(image, "app");
    files["layer1/layer.tar"] = TarBuilder().file("evil").finish();
    EXPECT_EQ(refusal(files), "archive.tar: layer1/layer.tar, uncompressed, has digest " +
                                  digest_of(files["layer1/layer.tar"]) + " instead of " +
                                  digest_of(image.tars[1]));
    files = docker_archive(image, "app");
    std::string config = digest_of(image.config()).substr(7) + ".json";
    files[config] += " ";
    EXPECT_EQ(refusal(files), "archive.tar: " + config + " has digest " + digest_of(files[config]) +
                                  " instead of " + digest_of(image.config()));
    files = oci_layout(image, "app", plain);
    for (auto& [name, content] : files) {
        if (!name.starts_with("blobs/")) continue;
        Files tampered = files;
        tampered[name] += " ";
        EXPECT_EQ(refusal(tampered), "archive.tar: " + name + " has digest " +
                                         digest_of(tampered[name]) + " instead of " +
                                         digest_of(content));
    }
    files = oci_layout(image, "app", plain);
    // The blob is what its descriptor says, but not what the config says.
    TestImage liar = image;
    liar.tars[1] = TarBuilder().file("other").finish();
    files = oci_layout(liar, "app", gzip);
    std::string config_text = liar.config(), lie = image.config();
    Files lying = files;
    std::string before = add_blob(lying, "c", config_text), after = add_blob(lying, "c", lie);
    for (auto& [name, content] : files)
        if (size_t at = content.find(digest_of(config_text)); at != std::string::npos) {
            std::string manifest = content;
            manifest.replace(at, 71, digest_of(lie));
            std::string old_digest = digest_of(content);
            lying["blobs/sha256/" + digest_of(manifest).substr(7)] = manifest;
            size_t in_index = lying["index.json"].find(old_digest);
            ASSERT_NE(in_index, std::string::npos);
            lying["index.json"].replace(in_index, 71, digest_of(manifest));
        }
    std::string message = refusal(lying);
    EXPECT_NE(message.find("uncompressed, has digest " + digest_of(liar.tars[1]) + " instead of " +
                           digest_of(image.tars[1])),
              std::string::npos)
        << message;
}

TEST(ImageLoad, bad_archives_are_refused_with_a_sentence) {
    EXPECT_EQ(refusal({{"x", "y"}}),
              "archive.tar is not an image archive: it has neither manifest.json (docker "
              "save) nor index.json (OCI)");
    EXPECT_EQ(refusal({{"manifest.json", "{"}}), "archive.tar: manifest.json is not valid JSON");
    EXPECT_EQ(refusal({{"manifest.json", "{}"}}),
              "archive.tar: manifest.json is not an array of images");
    EXPECT_EQ(refusal({{"manifest.json", std::string(100, '[')}}),
              "archive.tar: manifest.json is nested more than 64 levels deep");
    EXPECT_EQ(refusal({{"manifest.json", R"([{"Config":"../../etc/passwd","Layers":[]}])"}}),
              "entry ../../etc/passwd has \"..\" in its name");
    EXPECT_EQ(refusal({{"manifest.json", R"([{"Config":"gone.json","Layers":[]}])"}}),
              "archive.tar: gone.json is not in the archive");
    TestImage image = two_layers();
    image.os = "windows";
    EXPECT_NE(refusal(docker_archive(image, "app")).find("does not run on linux"),
              std::string::npos);
    Files files = docker_archive(two_layers(), "app");
    std::string& manifest = files["manifest.json"];
    manifest.replace(manifest.find("\"layer0/layer.tar\","), 19, "");
    EXPECT_NE(refusal(files).find("names 2 layers, but its manifest 1"), std::string::npos);
    UnpackLimits small;
    small.unpacked_bytes = 3000;
    EXPECT_NE(refusal(docker_archive(two_layers(), "app"), small).find("more than the limit of"),
              std::string::npos);
}

TEST(ImageLoad, a_layer_may_end_with_its_last_content_but_not_before) {
    TestImage image = two_layers();
    const std::string whole = TarBuilder().dir("more").file("more/word", "umoci").finish();
    image.tars[1] = whole.substr(0, 1024 + 5);
    TestStore store;
    auto images = store.load(tar_of(docker_archive(image, "app")));
    ASSERT_TRUE(images) << images.error().message;
    std::ifstream word(store.in(images->at(0), "more/word", 1));
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(word), {}), "umoci");
    image.tars[1] = whole.substr(0, 1024 + 4);
    EXPECT_NE(refusal(docker_archive(image, "app")).find("more/word: the archive is truncated"),
              std::string::npos);
}

TEST(ImageLoad, truncated_archives_are_refused_at_any_length) {
    TestStore store;
    std::string archive = tar_of(docker_archive(two_layers(), "app"));
    for (size_t length = 0; length < archive.size() - 1024; length += 256)
        ASSERT_FALSE(store.load(archive.substr(0, length))) << length;
    EXPECT_EQ(store.load(archive.substr(0, 600)).error().message.substr(0, 43),
              "archive.tar is truncated: it ends inside of");
    std::string packed = gzip(archive);
    for (size_t length = 0; length < packed.size(); length += 37)
        ASSERT_FALSE(store.load(packed.substr(0, length))) << length;
    EXPECT_EQ(store.content(), Strings{});
}

bool have(const char* tool) {
    return system((std::string("command -v ") + tool + " >/dev/null 2>&1").c_str()) == 0;
}

TEST(ImageLoad, archives_made_by_umoci_and_skopeo_load) {
    if (!have("umoci") || !have("skopeo")) GTEST_SKIP() << "umoci or skopeo is not installed";
    TestStore store;
    std::string cd =
        "set -e; cd " + store.dir() + "; export TMPDIR=$PWD HOME=$PWD; exec >log 2>&1; ";
    ASSERT_EQ(
        system((cd + "umoci init --layout l; umoci new --image l:v1; umoci unpack --image l:v1 b; "
                     "mkdir b/rootfs/dir; echo 1 > b/rootfs/dir/a; echo 1 > b/rootfs/gone; "
                     "umoci repack --refresh-bundle --image l:v1 b; rm b/rootfs/gone; echo 2 > "
                     "b/rootfs/dir/b; "
                     "umoci repack --refresh-bundle --image l:v1 b; "
                     "umoci config --image l:v1 --config.cmd /bin/x --config.env K=V; "
                     "skopeo --insecure-policy copy oci:l:v1 docker-archive:d.tar:app:1; "
                     "skopeo --insecure-policy copy oci:l:v1 oci-archive:o.tar:quay.io/a/app:2; "
                     "skopeo --insecure-policy copy --dest-compress-format zstd oci:l:v1 "
                     "oci-archive:z.tar:zip:3")
                   .c_str()),
        0)
        << slurp(store.dir() + "/log");
    std::string id;
    for (auto& [file, name] : std::map<std::string, std::string>{{"l", "v1:latest"},
                                                                 {"d.tar", "app:1"},
                                                                 {"o.tar", "quay.io/a/app:2"},
                                                                 {"z.tar", "zip:3"}}) {
        TestStore other;
        auto source = open_source(store.dir() + "/" + file);
        ASSERT_TRUE(source) << file;
        auto images = load_archive(other.paths(), *source, {});
        ASSERT_TRUE(images) << file << ": " << images.error().message;
        ASSERT_EQ(images->size(), 1u) << file;
        const ImportedImage& image = (*images)[0];
        EXPECT_EQ(image.names, Strings{name});
        if (id.empty()) id = image.id;
        EXPECT_EQ(image.diff_ids.size(), 2u);
        EXPECT_EQ(slurp(other.in(image, "dir/a", 0)), "1\n") << file;
        EXPECT_EQ(slurp(other.in(image, "dir/b", 1)), "2\n") << file;
        struct stat gone;
        ASSERT_EQ(lstat(other.in(image, "gone", 1).c_str(), &gone), 0) << file;
        EXPECT_TRUE(S_ISCHR(gone.st_mode) && gone.st_rdev == 0) << file;
        auto config = parse_image_config(image.config_json);
        ASSERT_TRUE(config);
        EXPECT_EQ(config->config.cmd, Strings{"/bin/x"}) << file;
        EXPECT_EQ(config->config.env.back(), "K=V") << file;
    }
}

}  // namespace
}  // namespace noded::image

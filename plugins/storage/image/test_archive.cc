// Archives for tests, see test_archive.h.
#include "plugins/storage/image/test_archive.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <fstream>

#include "agent/base/check.h"
#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/load.h"

namespace noded::image {
namespace {

void put(char* field, size_t size, std::string_view text) {
    memcpy(field, text.data(), std::min(size, text.size()));
}

/// Digits from the right, a NUL at the end.
void put_octal(char* field, size_t size, uint64_t value) {
    for (size_t i = size - 1; i-- > 0; value /= 8) field[i] = char('0' + value % 8);
}

std::string padded(std::string_view content) {
    std::string out(content);
    out.resize((out.size() + 511) / 512 * 512, '\0');
    return out;
}

/// A ustar header (tar(5)); the fields stand at fixed offsets.
std::string header(const TarMember& member, const std::string& name, char type, size_t size) {
    char block[512] = {};
    put(block, 100, name);
    put_octal(block + 100, 8, member.mode);
    put_octal(block + 108, 8, member.uid);
    put_octal(block + 116, 8, member.gid);
    put_octal(block + 124, 12, size);
    put_octal(block + 136, 12, uint64_t(member.mtime));
    memset(block + 148, ' ', 8);
    block[156] = type;
    put(block + 157, 100, member.link);
    put(block + 257, 8, std::string_view("ustar\00000", 8));
    put_octal(block + 329, 8, member.major);
    put_octal(block + 337, 8, member.minor);
    unsigned sum = 0;
    for (char c : block) sum += static_cast<unsigned char>(c);
    put_octal(block + 148, 7, sum);
    return std::string(block, sizeof block);
}

/// "LENGTH KEY=VALUE\n", the length counting itself.
std::string pax_record(const std::string& key, const std::string& value) {
    std::string tail = " " + key + "=" + value + "\n";
    size_t length = tail.size();
    while (std::to_string(length).size() + tail.size() != length)
        length = std::to_string(length).size() + tail.size();
    return std::to_string(length) + tail;
}

}  // namespace

TarBuilder& TarBuilder::add(const TarMember& member) {
    std::string records;
    for (auto& [key, value] : member.pax) records += pax_record(key, value);
    if (!records.empty()) bytes_ += header({}, "pax", 'x', records.size()) + padded(records);
    bytes_ +=
        header(member, member.name, member.type, member.content.size()) + padded(member.content);
    return *this;
}

TarBuilder& TarBuilder::file(const std::string& name, const std::string& content) {
    return add({.name = name, .content = content});
}
TarBuilder& TarBuilder::dir(const std::string& name, unsigned mode) {
    return add({.name = name, .type = '5', .mode = mode});
}
TarBuilder& TarBuilder::link(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '2', .link = target, .mode = 0777});
}
TarBuilder& TarBuilder::hard(const std::string& name, const std::string& target) {
    return add({.name = name, .type = '1', .link = target});
}
TarBuilder& TarBuilder::device(const std::string& name, char type, unsigned major, unsigned minor) {
    return add({.name = name, .type = type, .major = major, .minor = minor});
}

std::string gzip(std::string_view plain) {
    z_stream state = {};
    CHECK(deflateInit2(&state, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&state, plain.size()), '\0');
    state.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(plain.data()));
    state.avail_in = unsigned(plain.size());
    state.next_out = reinterpret_cast<uint8_t*>(out.data());
    state.avail_out = unsigned(out.size());
    CHECK(deflate(&state, Z_FINISH) == Z_STREAM_END);
    out.resize(state.total_out);
    deflateEnd(&state);
    return out;
}

std::string zstd(std::string_view plain) {
    std::string out(ZSTD_compressBound(plain.size()), '\0');
    size_t size = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3);
    CHECK(!ZSTD_isError(size));
    out.resize(size);
    return out;
}

std::string digest_of(std::string_view content) { return sha256_digest(as_bytes(content)); }

TestStore::TestStore() {
    char path[] = "/tmp/noded-image-test-XXXXXX";
    CHECK(mkdtemp(path) != nullptr);
    dir_ = path;
    paths_.root = dir_ + "/storage";
    auto opened = open_store(paths_);
    CHECK_MSG(opened.has_value(), opened ? "" : opened.error().message.c_str());
}

TestStore::~TestStore() {
    Fd dir(open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    CHECK(empty_directory(dir.get()).has_value());
    CHECK(rmdir(dir_.c_str()) == 0);
}

Source TestStore::source(std::string_view content, const std::string& name) const {
    std::string path = dir_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    auto source = open_source(path);
    CHECK(source.has_value());
    source->name = name;
    return std::move(*source);
}

Result<ImportedImage> TestStore::import(std::string_view tar, const ImportOptions& options) const {
    return import_rootfs(paths_, source(tar), options);
}

Result<std::vector<ImportedImage>> TestStore::load(std::string_view archive,
                                                   const UnpackLimits& limits) const {
    return load_archive(paths_, source(archive), limits);
}

std::string TestStore::in(const ImportedImage& image, const std::string& name, size_t layer) const {
    return paths_.layer(image.diff_ids.at(layer).substr(7)) + "/" + name;
}

std::vector<std::string> TestStore::content() const {
    std::vector<std::string> names;
    for (const std::string& path :
         {paths_.layers(), paths_.skeletons(), paths_.blobs(), paths_.rootfs(), paths_.tmp()}) {
        DIR* dir = opendir(path.c_str());
        CHECK(dir != nullptr);
        while (dirent* entry = readdir(dir))
            if (entry->d_name[0] != '.') names.push_back(entry->d_name);
        closedir(dir);
    }
    std::ranges::sort(names);
    return names;
}

std::string TestImage::config() const {
    std::string ids;
    for (const std::string& tar : tars) ids += (ids.empty() ? "\"" : ",\"") + digest_of(tar) + "\"";
    return R"({"architecture":")" + architecture + R"(","os":")" + os +
           R"(","config":{"Cmd":["/bin/sh"],"Env":["PATH=/bin"]},)"
           R"("rootfs":{"type":"layers","diff_ids":[)" +
           ids + "]},\"history\":[]}";
}

std::string tar_of(const std::map<std::string, std::string>& files) {
    TarBuilder tar;
    for (auto& [name, content] : files) tar.file(name, content);
    return tar.finish();
}

std::map<std::string, std::string> docker_archive(const TestImage& image, const std::string& name) {
    std::map<std::string, std::string> files;
    std::string config = digest_of(image.config()).substr(7) + ".json";
    files[config] = image.config();
    std::string layers;
    for (size_t i = 0; i < image.tars.size(); ++i) {
        std::string member = "layer" + std::to_string(i) + "/layer.tar";
        files[member] = image.tars[i];
        layers += (i == 0 ? "\"" : ",\"") + member + "\"";
    }
    files["manifest.json"] = R"([{"Config":")" + config + R"(","RepoTags":[")" + name +
                             R"("],"Layers":[)" + layers + "]}]";
    return files;
}

std::string add_blob(std::map<std::string, std::string>& files, const std::string& media_type,
                     const std::string& content, const std::string& more) {
    std::string digest = digest_of(content);
    files["blobs/sha256/" + digest.substr(7)] = content;
    return R"({"mediaType":")" + media_type + R"(","digest":")" + digest + R"(","size":)" +
           std::to_string(content.size()) + more + "}";
}

std::map<std::string, std::string> oci_layout(const TestImage& image, const std::string& ref_name,
                                              std::string (*pack)(std::string_view)) {
    std::map<std::string, std::string> files;
    std::string layers;
    for (const std::string& tar : image.tars)
        layers += (layers.empty() ? "" : ",") +
                  add_blob(files, "application/vnd.oci.image.layer.v1.tar+gzip", pack(tar));
    std::string config =
        add_blob(files, "application/vnd.oci.image.config.v1+json", image.config());
    std::string manifest =
        R"({"schemaVersion":2,"config":)" + config + R"(,"layers":[)" + layers + "]}";
    std::string annotations =
        R"(,"annotations":{"org.opencontainers.image.ref.name":")" + ref_name + "\"}";
    files["oci-layout"] = R"({"imageLayoutVersion":"1.0.0"})";
    files["index.json"] =
        R"({"schemaVersion":2,"manifests":[)" +
        add_blob(files, "application/vnd.oci.image.manifest.v1+json", manifest, annotations) + "]}";
    return files;
}

}  // namespace noded::image

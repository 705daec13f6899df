// What the tests of this folder share: tars written header by header (so that they can be hostile),
// compression, image archives, and a store in a directory of its own that is removed afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/storage/image/import.h"
#include "plugins/storage/image/store.h"

namespace noded::image {

/// One ustar member. Fields that are absent get harmless values.
struct TarMember {
    std::string name;
    char type = '0';  ///< typeflag of tar(5)
    std::string content;
    std::string link;
    unsigned mode = 0644;
    uint64_t uid = 0;
    uint64_t gid = 0;
    int64_t mtime = 1'000'000'000;
    unsigned major = 0;
    unsigned minor = 0;
    std::map<std::string, std::string> pax;  ///< records of an extended header before it
};

class TarBuilder {
public:
    TarBuilder& add(const TarMember& member);
    TarBuilder& file(const std::string& name, const std::string& content = "x");
    TarBuilder& dir(const std::string& name, unsigned mode = 0755);
    TarBuilder& link(const std::string& name, const std::string& target);
    TarBuilder& hard(const std::string& name, const std::string& target);
    TarBuilder& device(const std::string& name, char type, unsigned major, unsigned minor);
    /// With the end marker.
    std::string finish() const { return bytes_ + std::string(1024, '\0'); }
    std::string without_end_marker() const { return bytes_; }

private:
    std::string bytes_;
};

std::string gzip(std::string_view plain);
std::string zstd(std::string_view plain);
std::string digest_of(std::string_view content);

/// A store below a fresh directory in /tmp; everything is removed at the end.
class TestStore {
public:
    TestStore();
    ~TestStore();
    TestStore(const TestStore&) = delete;
    TestStore& operator=(const TestStore&) = delete;

    const StorePaths& paths() const { return paths_; }
    const std::string& dir() const { return dir_; }
    /// Writes a file beside the store and opens it.
    Source source(std::string_view content, const std::string& name = "archive.tar") const;
    Result<ImportedImage> import(std::string_view tar, const ImportOptions& options = {}) const;
    Result<std::vector<ImportedImage>> load(std::string_view archive,
                                            const UnpackLimits& limits = {}) const;
    /// Path of a file in an image's only layer.
    std::string in(const ImportedImage& image, const std::string& name, size_t layer = 0) const;
    /// Names of everything in layers/, skeletons/, blobs/sha256/, rootfs/ and tmp/, sorted.
    std::vector<std::string> content() const;

private:
    std::string dir_;
    StorePaths paths_;
};

/// One image in the making: config and layers, written out in any of the formats that load reads.
struct TestImage {
    std::vector<std::string> tars;  ///< plain, lowest first
    std::string architecture = "amd64";
    std::string os = "linux";

    std::string config() const;
};

/// A tar of `files`, in the order of their names.
std::string tar_of(const std::map<std::string, std::string>& files);

/// docker save before version 25: manifest.json, HEX.json and ID/layer.tar.
std::map<std::string, std::string> docker_archive(const TestImage& image, const std::string& name);

/// An OCI layout. `pack` compresses each layer.
std::map<std::string, std::string> oci_layout(const TestImage& image, const std::string& ref_name,
                                              std::string (*pack)(std::string_view));

/// Adds a blob to a layout and returns its descriptor as JSON text, `more` being further members
/// (", …").
std::string add_blob(std::map<std::string, std::string>& files, const std::string& media_type,
                     const std::string& content, const std::string& more = "");

}  // namespace noded::image

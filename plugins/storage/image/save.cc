// Archives of images, see save.h.
#include "plugins/storage/image/save.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "agent/base/check.h"
#include "agent/base/open_inside.h"
#include "plugins/sdk/tree/write_tree.h"
#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/json.h"
#include "plugins/storage/image/reference.h"
#include "plugins/storage/image/skeleton.h"

namespace noded::image {
namespace {

constexpr const char* kLayerType = "application/vnd.oci.image.layer.v1.tar";
constexpr const char* kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";

/// A layer as the archive has it.
struct Layer {
    std::string digest;
    uint64_t size = 0;
    Fd skeleton;
    Fd tar;  ///< instead, of a layer without a skeleton
};

std::string dump(const Json& value) {
    return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json descriptor(const char* type, const std::string& digest, uint64_t size) {
    return {{"mediaType", type}, {"digest", digest}, {"size", size}};
}

std::string member_of(const std::string& digest) {
    return "blobs/sha256/" + digest.substr(digest.find(':') + 1);
}

class Saver {
public:
    Saver(const StorePaths& paths, int out, const std::atomic<bool>& stop)
        : paths_(paths), stop_(stop), out_(out) {}

    Result<std::vector<std::string>> run(const std::vector<SavedImage>& images);

private:
    /// What stands in the lists at the end.
    struct Listed {
        Json docker = Json::array();
        Json manifests = Json::array();
    };

    Result<Layer*> layer(const std::string& diff_id);
    Result<Layer> plan(const std::string& diff_id);
    Result<Layer> write_anew(const std::string& hex);
    Status go_on() const;

    Status image(const SavedImage& image, Listed& listed);
    Result<std::string> config_of(const SavedImage& image);
    Status layer_blob(const std::string& diff_id);
    Status layer_content(const std::string& diff_id, const Layer& planned);
    Status from_skeleton(const Layer& layer, int tree, Sha256& hash);
    Status file_content(int file, uint64_t size, Sha256& hash);
    Status directory(const std::string& path);
    Status file(const std::string& path, std::string_view content);
    Status blob(const std::string& digest, std::string_view content);

    const StorePaths& paths_;
    const std::atomic<bool>& stop_;
    tree::TarWriter out_;
    std::optional<Workspace> work_;
    std::map<std::string, Layer> layers_;  ///< by diff id
    std::set<std::string> written_;        ///< digests of blobs
    std::vector<std::string> notices_;
};

Status Saver::go_on() const {
    if (stop_) return fail("nobody waits for the archive any more");
    return {};
}

// Layers.

Result<Layer*> Saver::layer(const std::string& diff_id) {
    auto found = layers_.find(diff_id);
    if (found == layers_.end()) found = layers_.emplace(diff_id, TRY(plan(diff_id))).first;
    return &found->second;
}

Result<Layer> Saver::plan(const std::string& diff_id) {
    TRY_STATUS(go_on());
    const std::string hex = TRY(digest_hex(diff_id));
    if (!has_layer(paths_, hex)) return fail("layer " + diff_id + " is not in the store");
    Layer layer;
    layer.digest = diff_id;
    layer.skeleton.reset(open(paths_.skeleton(hex).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!layer.skeleton.valid()) {
        if (errno != ENOENT) return fail_errno(errno, "open the skeleton of layer " + diff_id);
        return write_anew(hex);
    }
    const auto add = [&layer](uint64_t size) {
        layer.size += size;
        return Status();
    };
    TRY_STATUS(read_skeleton(layer.skeleton.get(), "the skeleton of layer " + diff_id,
                             {[&](Bytes bytes) { return add(bytes.size()); },
                              [&](const std::string&, uint64_t size) { return add(size); }}));
    return layer;
}

/// Another tar of the same files. It goes to the disk first, since the config names its digest.
Result<Layer> Saver::write_anew(const std::string& hex) {
    if (!work_) work_.emplace(TRY(Workspace::make(paths_)));
    const std::string name = hex + ".tar";
    Layer layer;
    layer.tar.reset(openat(work_->fd(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!layer.tar.valid()) return fail_errno(errno, "create " + work_->path() + "/" + name);
    (void)unlinkat(work_->fd(), name.c_str(), 0);
    const Fd tree(open(paths_.layer(hex).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!tree.valid()) return fail_errno(errno, "open layer " + hex);
    tree::TarWriter writer(layer.tar.get());
    tree::WriteOptions options;
    options.root_name = ".";
    options.layer = true;
    const std::function<Status()> may_go_on = [this] { return go_on(); };
    options.go_on = &may_go_on;
    TRY_STATUS(tree::write_tree(writer, tree.get(), ".", options));
    TRY_STATUS(writer.finish());
    layer.size = writer.bytes();
    Sha256 hash;
    Buffer buffer(limits::stream_buffer_bytes);
    for (uint64_t at = 0; at < layer.size;) {
        TRY_STATUS(go_on());
        const ssize_t got = pread(layer.tar.get(), buffer.data(), buffer.size(), off_t(at));
        if (got < 0) return fail_errno(errno, "read " + work_->path() + "/" + name);
        if (got == 0) return fail(work_->path() + "/" + name + " has lost its end");
        hash.update({buffer.data(), size_t(got)});
        at += uint64_t(got);
    }
    layer.digest = hash.finish();
    return layer;
}

Status Saver::file_content(int file, uint64_t size, Sha256& hash) {
    Buffer buffer(size_t(std::min<uint64_t>(size, limits::stream_buffer_bytes)));
    while (size > 0) {
        TRY_STATUS(go_on());
        const auto want = size_t(std::min<uint64_t>(size, buffer.size()));
        const ssize_t got = read(file, buffer.data(), want);
        if (got < 0) return fail_errno(errno, "read a file of a layer");
        if (got == 0) return fail("a file of a layer is shorter than it was");
        const Bytes bytes(buffer.data(), size_t(got));
        hash.update(bytes);
        TRY_STATUS(out_.piece(bytes));
        size -= uint64_t(got);
    }
    return {};
}

Status Saver::from_skeleton(const Layer& layer, int tree, Sha256& hash) {
    const auto plain = [&](Bytes bytes) {
        hash.update(bytes);
        return out_.piece(bytes);
    };
    const auto content_of = [&](const std::string& path, uint64_t size) -> Status {
        open_how how = {};
        how.flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
        how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
        const Fd content(open_inside(tree, path, how));
        if (!content.valid()) return fail_errno(errno, "open a file of a layer");
        return file_content(content.get(), size, hash);
    };
    return read_skeleton(layer.skeleton.get(), "the skeleton of layer " + layer.digest,
                         {plain, content_of});
}

Status Saver::layer_blob(const std::string& diff_id) {
    Layer& planned = *TRY(layer(diff_id));
    if (!written_.insert(planned.digest).second) return {};
    tree::TarEntry entry;
    entry.path = member_of(planned.digest);
    entry.mode = S_IFREG | 0644;
    entry.size = planned.size;
    TRY_STATUS(out_.entry(entry));
    TRY_STATUS(layer_content(diff_id, planned));
    // No other image of the archive needs them again, and there may be many.
    planned.skeleton.reset();
    planned.tar.reset();
    return {};
}

Status Saver::layer_content(const std::string& diff_id, const Layer& planned) {
    if (planned.tar.valid()) {
        if (lseek(planned.tar.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "read a layer");
        return out_.content(planned.tar.get(), planned.size, "layer " + planned.digest);
    }
    const Fd tree(open(paths_.layer(TRY(digest_hex(diff_id))).c_str(),
                       O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!tree.valid()) return fail_errno(errno, "open layer " + diff_id);
    Sha256 hash;
    TRY_STATUS(from_skeleton(planned, tree.get(), hash));
    if (const std::string got = hash.finish(); got != diff_id)
        return fail("layer " + diff_id + " has changed on the disk of the node: it is " + got +
                    " now");
    return out_.padding(planned.size);
}

// The archive.

Status Saver::directory(const std::string& path) {
    tree::TarEntry entry;
    entry.path = path;
    entry.mode = S_IFDIR | 0755;
    return out_.entry(entry);
}

Status Saver::file(const std::string& path, std::string_view content) {
    tree::TarEntry entry;
    entry.path = path;
    entry.mode = S_IFREG | 0644;
    entry.size = content.size();
    TRY_STATUS(out_.entry(entry));
    TRY_STATUS(out_.piece(as_bytes(content)));
    return out_.padding(content.size());
}

Status Saver::blob(const std::string& digest, std::string_view content) {
    if (!written_.insert(digest).second) return {};
    return file(member_of(digest), content);
}

/// The image's own bytes, unless one of its layers had to be written anew.
Result<std::string> Saver::config_of(const SavedImage& image) {
    bool changed = false;
    Json diff_ids = Json::array();
    for (const std::string& diff_id : image.diff_ids) {
        const Layer& planned = *TRY(layer(diff_id));
        changed |= planned.digest != diff_id;
        diff_ids.push_back(planned.digest);
    }
    if (!changed) return image.config_json;
    Json config = TRY(parse_json(image.config_json, "the config of image " + image.id));
    config["rootfs"]["diff_ids"] = std::move(diff_ids);
    return dump(config);
}

Status Saver::image(const SavedImage& image, Listed& listed) {
    const std::string config = TRY(config_of(image));
    const std::string id = sha256_digest(as_bytes(config));
    if (id != image.id)
        notices_.push_back("in the archive, image " + image.id + " is " + id +
                           ": how the archive of one of its layers was written is not known here");
    Json manifest = {{"schemaVersion", 2}, {"mediaType", kManifestType}};
    manifest["config"] = descriptor(kConfigType, id, config.size());
    manifest["layers"] = Json::array();
    Json paths = Json::array();
    Json sources = Json::object();
    TRY_STATUS(blob(id, config));
    for (const std::string& diff_id : image.diff_ids) {
        const Layer& planned = *TRY(layer(diff_id));
        const Json described = descriptor(kLayerType, planned.digest, planned.size);
        manifest["layers"].push_back(described);
        paths.push_back(member_of(planned.digest));
        sources[planned.digest] = described;
        TRY_STATUS(layer_blob(diff_id));
    }
    const std::string text = dump(manifest);
    const std::string digest = sha256_digest(as_bytes(text));
    TRY_STATUS(blob(digest, text));
    const Json described = descriptor(kManifestType, digest, text.size());
    for (const std::string& name : image.names) {
        const Reference reference = TRY(parse_reference(name));
        Json named = described;
        named["annotations"] = {
            {"io.containerd.image.name", reference.name() + ":" + reference.tag},
            {"org.opencontainers.image.ref.name", reference.tag}};
        listed.manifests.push_back(std::move(named));
    }
    if (image.names.empty()) listed.manifests.push_back(described);
    listed.docker.push_back({{"Config", member_of(id)},
                             {"RepoTags", image.names.empty() ? Json() : Json(image.names)},
                             {"Layers", std::move(paths)},
                             {"LayerSources", std::move(sources)}});
    return {};
}

Result<std::vector<std::string>> Saver::run(const std::vector<SavedImage>& images) {
    Listed listed;
    TRY_STATUS(directory("blobs"));
    TRY_STATUS(directory("blobs/sha256"));
    for (const SavedImage& one : images) TRY_STATUS(image(one, listed));
    const Json index = {{"schemaVersion", 2},
                        {"mediaType", kIndexType},
                        {"manifests", std::move(listed.manifests)}};
    const std::string texts[] = {dump(index), dump(listed.docker)};
    for (const std::string& text : texts)
        if (text.size() > limits::manifest_bytes_max)
            return fail("the list of images and layers would be longer than what load takes: save "
                        "them in parts");
    TRY_STATUS(file("index.json", texts[0]));
    TRY_STATUS(file("manifest.json", texts[1]));
    TRY_STATUS(file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
    TRY_STATUS(out_.finish());
    return std::move(notices_);
}

}  // namespace

Result<std::vector<std::string>> save_archive(const StorePaths& paths, int out,
                                              const std::vector<SavedImage>& images,
                                              const std::atomic<bool>& stop) {
    CHECK(!images.empty());
    return Saver(paths, out, stop).run(images);
}

}  // namespace noded::image

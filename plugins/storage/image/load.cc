// Loading of image archives, see load.h. Two readers (docker's manifest.json, OCI's index.json)
// turn an archive into ImageParts, and one function turns these into an image in the store.
#include "plugins/storage/image/load.h"

#include <algorithm>
#include <set>

#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/entry_path.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/json.h"
#include "plugins/storage/image/layer.h"
#include "plugins/storage/image/members.h"
#include "plugins/storage/image/reference.h"

namespace noded::image {
namespace {

constexpr const char* kImageName = "io.containerd.image.name";
constexpr const char* kRefName = "org.opencontainers.image.ref.name";

/// Where the parts of one image lie in the archive.
struct ImageParts {
    struct Layer {
        std::string member;
        std::string digest;  ///< of the member as it lies there; empty: not stated
    };
    std::string config_member;
    std::string config;    ///< verified
    std::string manifest;  ///< OCI only, verified
    std::vector<Layer> layers;
    std::vector<std::string> names;
    std::vector<std::string> notices;
};

/// A content descriptor (image-spec, descriptor.md).
struct Descriptor {
    std::string media_type;
    std::string digest;
    std::string hex;
    uint64_t size = 0;
    std::string os;  ///< of "platform"; empty where there is none
    std::string architecture;
    std::string image_name;  ///< annotations
    std::string ref_name;

    std::string member() const { return "blobs/sha256/" + hex; }
    bool has_platform() const { return !os.empty(); }
    bool runs_here() const { return os == "linux" && architecture == "amd64"; }
    bool is_index() const {
        return media_type.ends_with(".image.index.v1+json") ||
               media_type.ends_with(".manifest.list.v2+json");
    }
};

class Loader {
public:
    Loader(const StorePaths& paths, const Source& source, const UnpackLimits& limits,
           Members members)
        : paths_(paths),
          source_(source),
          limits_(limits),
          members_(std::move(members)),
          additions_(paths) {}

    Result<std::vector<ImportedImage>> run();

private:
    Result<std::vector<ImageParts>> read_parts();
    Status check_names(const std::vector<ImageParts>& parts);
    Result<std::vector<ImageParts>> read_docker();
    Result<ImageParts> read_docker_image(const Json& element);
    void add_repositories(ImageParts& parts);

    Result<std::vector<ImageParts>> read_oci();
    Result<std::optional<Descriptor>> choose(const Descriptor& descriptor, size_t depth);
    Result<std::vector<Descriptor>> read_index(const std::string& text, const std::string& shown);
    Result<std::string> read_verified(const Descriptor& descriptor, size_t bytes_max);
    Result<ImageParts> read_manifest(const Descriptor& descriptor);

    Result<ImportedImage> store(ImageParts parts);
    Status store_layer(const ImageParts::Layer& layer, const std::string& diff_id,
                       std::vector<std::string>& notices);

    const StorePaths& paths_;
    const Source& source_;
    const UnpackLimits& limits_;
    Members members_;
    Additions additions_;
    uint64_t unpacked_ = 0;
    /// Members and the diff ids they were asked to have; the first that fails ends the load.
    std::set<std::pair<std::string, std::string>> checked_;
    std::vector<std::string> seen_platforms_;  ///< of what does not run here
};

void add_name(ImageParts& parts, const std::string& name) {
    auto reference = parse_reference(name);
    std::string familiar = reference ? reference->familiar() : "";
    if (reference && !reference->digest.empty()) familiar.clear();
    if (std::ranges::find(parts.names, familiar) != parts.names.end()) return;
    if (familiar.empty())
        parts.notices.push_back("the name \"" + name.substr(0, 200) + "\" was left out: " +
                                (reference ? "it has a digest" : reference.error().message));
    else if (parts.names.size() < limits::names_per_image_max) parts.names.push_back(familiar);
}

// docker save.

/// The digest that a member's name promises: "blobs/sha256/HEX", "HEX.json", "sha256:HEX". Empty:
/// none. The HEX of layers' names means different things to different tools, hence only the first
/// form counts for them.
std::string promised_digest(std::string_view member, bool config) {
    constexpr std::string_view blobs = "blobs/sha256/";
    if (member.starts_with(blobs)) {
        std::string_view hex = member.substr(blobs.size());
        return is_sha256_hex(hex) ? "sha256:" + std::string(hex) : "";
    }
    if (!config) return {};
    if (member.starts_with("sha256:")) member.remove_prefix(7);
    if (member.ends_with(".json")) member.remove_suffix(5);
    return is_sha256_hex(member) ? "sha256:" + std::string(member) : "";
}

/// Archives without RepoTags may still have docker's older file of names: {"repo": {"tag": "id"}}.
void Loader::add_repositories(ImageParts& parts) {
    auto text = members_.read("repositories", limits::manifest_bytes_max);
    Json repositories = text ? parse_json(*text, "repositories").value_or(Json()) : Json();
    if (!repositories.is_object()) return;
    for (auto& [repository, tags] : repositories.items()) {
        if (!tags.is_object()) continue;
        for (auto& [tag, ignored] : tags.items()) add_name(parts, repository + ":" + tag);
    }
}

Result<ImageParts> Loader::read_docker_image(const Json& element) {
    ImageParts parts;
    std::string shown = members_.shown("manifest.json");
    parts.config_member = json_text(json_member(element, "Config"));
    const Json& layers = json_member(element, "Layers");
    const Json& tags = json_member(element, "RepoTags");
    if (parts.config_member.empty()) return fail(shown + " has an image without Config");
    if (!layers.is_array() && !layers.is_null()) return fail(shown + ": Layers is not an array");
    if (!tags.is_array() && !tags.is_null()) return fail(shown + ": RepoTags is not an array");
    if (layers.size() > limits::layers_per_image_max)
        return fail(shown + " has an image of more than 127 layers");
    for (const Json& layer : layers) {
        if (!layer.is_string()) return fail(shown + ": Layers has an element that is not a string");
        parts.layers.push_back({json_text(layer), promised_digest(json_text(layer), false)});
    }
    for (const Json& tag : tags) add_name(parts, json_text(tag));
    parts.config = TRY(members_.read(parts.config_member, limits::config_bytes_max));
    std::string promised = promised_digest(parts.config_member, true);
    std::string got = sha256_digest(as_bytes(parts.config));
    if (!promised.empty() && promised != got)
        return wrong_digest(members_.shown(parts.config_member), got, promised);
    return parts;
}

Result<std::vector<ImageParts>> Loader::read_docker() {
    std::string shown = members_.shown("manifest.json");
    std::string text = TRY(members_.read("manifest.json", limits::manifest_bytes_max));
    Json root = TRY(parse_json(text, shown));
    if (!root.is_array()) return fail(shown + " is not an array of images");
    if (root.size() > limits::images_per_archive_max)
        return fail(shown + " has more than 256 images");
    std::vector<ImageParts> images;
    for (const Json& element : root) images.push_back(TRY(read_docker_image(element)));
    if (images.size() == 1 && images[0].names.empty()) add_repositories(images[0]);
    return images;
}

// OCI layout.

Result<Descriptor> read_descriptor(const Json& value, const std::string& shown) {
    if (!value.is_object()) return fail(shown + " has a descriptor that is not an object");
    const Json& size = json_member(value, "size");
    const Json& platform = json_member(value, "platform");
    const Json& annotations = json_member(value, "annotations");
    Descriptor out;
    out.media_type = json_text(json_member(value, "mediaType"));
    out.digest = json_text(json_member(value, "digest"));
    auto hex = digest_hex(out.digest);
    if (!hex) return context(hex.error(), shown + " has a bad descriptor");
    out.hex = *hex;
    if (!size.is_number_unsigned()) return fail(shown + ": " + out.digest + " has no size");
    out.size = size.get<uint64_t>();
    out.os = json_text(json_member(platform, "os"));
    out.architecture = json_text(json_member(platform, "architecture"));
    out.image_name = json_text(json_member(annotations, kImageName));
    out.ref_name = json_text(json_member(annotations, kRefName));
    return out;
}

Result<std::vector<Descriptor>> Loader::read_index(const std::string& text,
                                                   const std::string& shown) {
    Json root = TRY(parse_json(text, shown));
    const Json& manifests = json_member(root, "manifests");
    if (!manifests.is_array()) return fail(shown + " has no array of manifests");
    if (manifests.size() > limits::index_manifests_max)
        return fail(shown + " has more than 1024 manifests");
    std::vector<Descriptor> out;
    for (const Json& element : manifests) out.push_back(TRY(read_descriptor(element, shown)));
    return out;
}

Result<std::string> Loader::read_verified(const Descriptor& descriptor, size_t bytes_max) {
    std::string content = TRY(members_.read(descriptor.member(), bytes_max));
    std::string shown = members_.shown(descriptor.member());
    std::string got = sha256_digest(as_bytes(content));
    if (got != descriptor.digest) return wrong_digest(shown, got, descriptor.digest);
    if (content.size() != descriptor.size)
        return fail(shown + " has " + std::to_string(content.size()) + " bytes instead of " +
                    std::to_string(descriptor.size));
    return content;
}

/// The manifest behind a descriptor that runs here: itself, or of an index the first that says
/// linux/amd64, or its only one where nothing says anything.
Result<std::optional<Descriptor>> Loader::choose(const Descriptor& descriptor, size_t depth) {
    if (!descriptor.is_index()) {
        if (!descriptor.has_platform() || descriptor.runs_here()) return descriptor;
        seen_platforms_.push_back(descriptor.os + "/" + descriptor.architecture);
        return std::nullopt;
    }
    std::string shown = members_.shown(descriptor.member());
    if (depth >= limits::index_depth_max) return fail(shown + " is an index nested too deep");
    std::string text = TRY(read_verified(descriptor, limits::manifest_bytes_max));
    std::vector<Descriptor> entries = TRY(read_index(text, shown));
    for (const Descriptor& entry : entries)
        if (entry.runs_here() || entry.is_index())
            if (auto chosen = TRY(choose(entry, depth + 1))) return chosen;
    if (entries.size() == 1 && !entries[0].has_platform() && !entries[0].is_index())
        return entries[0];
    for (const Descriptor& entry : entries)
        seen_platforms_.push_back(entry.has_platform() ? entry.os + "/" + entry.architecture
                                                       : "no platform");
    return std::nullopt;
}

Result<ImageParts> Loader::read_manifest(const Descriptor& descriptor) {
    ImageParts parts;
    std::string shown = members_.shown(descriptor.member());
    parts.manifest = TRY(read_verified(descriptor, limits::manifest_bytes_max));
    Json root = TRY(parse_json(parts.manifest, shown));
    const Json& layers = json_member(root, "layers");
    if (!layers.is_array()) return fail(shown + " is not an image manifest: it has no layers");
    if (layers.size() > limits::layers_per_image_max)
        return fail(shown + " has an image of more than 127 layers");
    Descriptor config = TRY(read_descriptor(json_member(root, "config"), shown));
    parts.config_member = config.member();
    parts.config = TRY(read_verified(config, limits::config_bytes_max));
    for (const Json& element : layers) {
        Descriptor layer = TRY(read_descriptor(element, shown));
        parts.layers.push_back({layer.member(), layer.digest});
    }
    return parts;
}

/// containerd writes the whole name; ref.name is the whole name (skopeo), a repository, or a bare
/// tag (umoci), and "latest" alone cannot be anything but a tag.
void add_annotated_names(ImageParts& parts, const Descriptor& descriptor) {
    if (!descriptor.image_name.empty()) add_name(parts, descriptor.image_name);
    else if (descriptor.ref_name == "latest")
        parts.notices.push_back("the archive gives the tag \"latest\" but no repository name");
    else if (!descriptor.ref_name.empty()) add_name(parts, descriptor.ref_name);
}

Result<std::vector<ImageParts>> Loader::read_oci() {
    std::string shown = members_.shown("index.json");
    std::string layout = TRY(members_.read("oci-layout", limits::manifest_bytes_max));
    TRY(parse_json(layout, members_.shown("oci-layout")));
    std::string text = TRY(members_.read("index.json", limits::manifest_bytes_max));
    std::vector<Descriptor> entries = TRY(read_index(text, shown));
    if (entries.size() > limits::images_per_archive_max)
        return fail(shown + " has more than 256 images");
    std::vector<ImageParts> images;
    std::vector<std::string> chosen_digests;
    for (const Descriptor& entry : entries) {
        auto chosen = TRY(choose(entry, 0));
        if (!chosen) continue;
        // One manifest under several names is one image.
        auto before = std::ranges::find(chosen_digests, chosen->digest);
        if (before == chosen_digests.end()) {
            images.push_back(TRY(read_manifest(*chosen)));
            before = chosen_digests.insert(chosen_digests.end(), chosen->digest);
        }
        add_annotated_names(images[size_t(before - chosen_digests.begin())], entry);
    }
    return images;
}

// Both.

Result<std::vector<ImageParts>> Loader::read_parts() {
    if (members_.has("manifest.json")) return read_docker();
    if (members_.has("index.json")) return read_oci();
    if (members_.has("repositories"))
        return fail(source_.name +
                    " was made by docker before version 1.10; load it there and save it again");
    return fail(source_.name +
                " is not an image archive: it has neither manifest.json (docker save) nor "
                "index.json (OCI)");
}

Status Loader::check_names(const std::vector<ImageParts>& parts) {
    size_t names = 0;
    size_t bytes = 0;
    for (const ImageParts& one : parts) {
        names += one.names.size();
        for (const std::string& name : one.names) bytes += name.size();
    }
    if (names > limits::names_per_archive_max)
        return fail(source_.name + " has more than 1024 names of images");
    if (bytes > limits::name_bytes_per_archive_max)
        return fail(source_.name + " has more than 256 KiB of names of images");
    return {};
}

Status Loader::store_layer(const ImageParts::Layer& layer, const std::string& diff_id,
                           std::vector<std::string>& notices) {
    Member member = TRY(members_.find(layer.member));
    LayerExpectation expected{layer.digest, diff_id};
    std::string shown = members_.shown(layer.member);
    // Images share layers; what was read once need not be read again for the next image.
    if (!checked_.emplace(layer.member, diff_id).second) return {};
    if (has_layer(paths_, TRY(digest_hex(diff_id))))
        return verify_layer(member.extent, shown, limits_.unpacked_bytes, expected);
    ContentStream stream(member.extent, shown, limits_.unpacked_bytes - unpacked_);
    UnpackOptions options;
    options.entries_max = limits_.entries;
    options.require_end_marker = false;
    TRY(additions_.layer(stream, expected, options, notices));
    unpacked_ += stream.bytes();
    return {};
}

Result<ImportedImage> Loader::store(ImageParts parts) {
    std::string shown = members_.shown(parts.config_member);
    auto config = parse_image_config(parts.config);
    if (!config) return context(config.error(), shown);
    if (config->os != "linux")
        return fail(shown + " is of an image for \"" + config->os +
                    "\", which does not run on linux");
    if (config->diff_ids.size() != parts.layers.size())
        return fail(shown + " names " + std::to_string(config->diff_ids.size()) +
                    " layers, but its manifest " + std::to_string(parts.layers.size()));
    ImportedImage image;
    image.notices = std::move(parts.notices);
    if (config->architecture != "amd64")
        image.notices.push_back("the image is for " + config->architecture +
                                ", this node is amd64");
    for (size_t i = 0; i < parts.layers.size(); ++i) {
        TRY_STATUS(store_layer(parts.layers[i], config->diff_ids[i], image.notices));
        image.layer_bytes.push_back(TRY(layer_size(paths_, TRY(digest_hex(config->diff_ids[i])))));
        image.total_bytes += image.layer_bytes.back();
    }
    image.diff_ids = std::move(config->diff_ids);
    image.names = std::move(parts.names);
    image.id = TRY(additions_.blob(as_bytes(parts.config)));
    image.config_json = std::move(parts.config);
    if (!parts.manifest.empty())
        image.manifest_digest = TRY(additions_.blob(as_bytes(parts.manifest)));
    if (image.notices.size() > limits::notices_max) image.notices.resize(limits::notices_max);
    return image;
}

Result<std::vector<ImportedImage>> Loader::run() {
    std::vector<ImageParts> parts = TRY(read_parts());
    if (parts.empty()) {
        std::string platforms;
        for (size_t i = 0; i < std::min<size_t>(seen_platforms_.size(), 16); ++i)
            platforms += (i == 0 ? ", only for " : ", ") + show_name(seen_platforms_[i]);
        return fail(source_.name + " has no image for linux/amd64" + platforms);
    }
    TRY_STATUS(check_names(parts));
    std::vector<ImportedImage> images;
    for (ImageParts& one : parts) images.push_back(TRY(store(std::move(one))));
    additions_.keep();
    return images;
}

}  // namespace

Result<std::vector<ImportedImage>> load_archive(const StorePaths& paths, const Source& source,
                                                const UnpackLimits& limits) {
    Members members = TRY(Members::open(paths, source, limits.unpacked_bytes));
    return Loader(paths, source, limits, std::move(members)).run();
}

}  // namespace noded::image

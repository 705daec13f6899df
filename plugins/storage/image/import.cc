// Import of root file systems, see import.h. What could be refused early is refused before the
// first byte is read.
#include "plugins/storage/image/import.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/image_config.h"
#include "plugins/storage/image/layer.h"
#include "plugins/storage/image/reference.h"

namespace noded::image {
namespace {

Result<RuntimeConfig> runtime_config(const std::vector<std::string>& changes) {
    RuntimeConfig config;
    for (const std::string& change : changes) TRY_STATUS(apply_change(config, change));
    return config;
}

Status refuse_directory(const Source& source) {
    struct stat info;
    if (fstat(source.fd.get(), &info) != 0) return fail_errno(errno, "stat " + source.name);
    if (S_ISDIR(info.st_mode))
        return fail(source.name + " is a directory; import reads a tar archive");
    return {};
}

}  // namespace

Result<Source> open_source(const std::string& path) {
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(errno, "open " + path);
    return Source{std::move(fd), path};
}

Result<ImportedImage> import_rootfs(const StorePaths& paths, const Source& source,
                                    const ImportOptions& options) {
    ImportedImage image;
    if (!options.name.empty()) image.names = {TRY(parse_reference(options.name)).familiar()};
    ImageConfig config;
    config.architecture = "amd64";
    config.os = "linux";
    config.created = options.created;
    config.config = TRY(runtime_config(options.changes));
    config.history.push_back({options.created, "", options.comment, false});
    // The same bounds that a config from elsewhere has to keep.
    if (auto parsed = parse_image_config(image_config_json(config)); !parsed)
        return std::unexpected(parsed.error());
    TRY_STATUS(refuse_directory(source));

    Additions additions(paths);
    ContentStream stream({source.fd.get(), 0, {}}, source.name, options.limits.unpacked_bytes);
    UnpackOptions unpack;
    unpack.entries_max = options.limits.entries;
    std::string diff_id = TRY(additions.layer(stream, {}, unpack, image.notices));
    image.diff_ids = config.diff_ids = {diff_id};
    image.total_bytes = TRY(layer_size(paths, TRY(digest_hex(diff_id))));
    image.layer_bytes = {image.total_bytes};
    image.config_json = image_config_json(config);
    image.id = TRY(additions.blob(as_bytes(image.config_json)));
    additions.keep();
    return image;
}

}  // namespace noded::image

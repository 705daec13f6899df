// Commit, see commit.h. The upper directory goes through a pipe as a tar and is unpacked as any
// layer that came from elsewhere: one way to make layers, one digest of them.
#include "plugins/storage/image/commit.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <numeric>
#include <system_error>
#include <thread>

#include "agent/base/check.h"
#include "plugins/sdk/tree/write_tree.h"
#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/layer.h"
#include "plugins/storage/image/reference.h"

namespace noded::image {
namespace {

Status write_layer(int out, int upper, const tree::IdRanges& ids) {
    tree::TarWriter writer(out);
    tree::WriteOptions options;
    options.root_name = ".";
    options.layer = true;
    options.ids = ids;
    TRY_STATUS(tree::write_tree(writer, upper, ".", options));
    return writer.finish();
}

/// The diff id of the new layer.
Result<std::string> add_layer(Additions& additions, const std::string& path,
                              const CommitOptions& options,
                              std::vector<std::string>& notices) {
    const Fd upper(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!upper.valid()) return fail_errno(errno, "open the files of the container");
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    Fd reading(ends[0]);
    Status written;
    std::thread writer;
    try {
        writer = std::thread([&written, &upper, &options, out = Fd(ends[1])] {
            written = write_layer(out.get(), upper.get(), options.ids);
        });
    } catch (const std::system_error& error) {
        return fail_errno(error.code().value(), "make a thread for the files of the container");
    }
    UnpackOptions unpack;
    unpack.entries_max = options.limits.entries;
    auto diff_id = [&]() -> Result<std::string> {
        ContentStream stream({reading.get(), 0, {}}, "the container",
                             options.limits.unpacked_bytes);
        return additions.layer(stream, {}, unpack, notices);
    }();
    reading.reset();  // a writer that is not read to its end goes on, and fails
    writer.join();
    if (!written && written.error().code != EPIPE) return std::unexpected(written.error());
    return diff_id;
}

Result<ImageConfig> new_config(const CommitOptions& options) {
    ImageConfig config = options.base;
    for (const std::string& change : options.changes)
        TRY_STATUS(apply_change(config.config, change));
    config.created = options.created;
    config.author = options.author;
    config.history.push_back({options.created, options.created_by, options.comment, false});
    if (config.diff_ids.size() >= limits::layers_per_image_max)
        return fail("the image of the container has " +
                    std::to_string(limits::layers_per_image_max) +
                    " layers already; export and import it");
    return config;
}

}  // namespace

Result<ImportedImage> commit_upper(const StorePaths& paths, const std::string& upper,
                                   const CommitOptions& options) {
    CHECK(options.layer_bytes.size() == options.base.diff_ids.size());
    ImportedImage image;
    if (!options.name.empty()) image.names = {TRY(parse_reference(options.name)).familiar()};
    ImageConfig config = TRY(new_config(options));
    Additions additions(paths);
    const std::string diff_id = TRY(add_layer(additions, upper, options, image.notices));
    config.diff_ids.push_back(diff_id);
    image.config_json = image_config_json(config);
    // The same bounds that a config from elsewhere has to keep.
    if (auto parsed = parse_image_config(image.config_json); !parsed)
        return std::unexpected(parsed.error());
    image.diff_ids = config.diff_ids;
    image.layer_bytes = options.layer_bytes;
    image.layer_bytes.push_back(TRY(layer_size(paths, TRY(digest_hex(diff_id)))));
    image.total_bytes =
        std::accumulate(image.layer_bytes.begin(), image.layer_bytes.end(), uint64_t{0});
    image.id = TRY(additions.blob(as_bytes(image.config_json)));
    additions.keep();
    return image;
}

}  // namespace noded::image

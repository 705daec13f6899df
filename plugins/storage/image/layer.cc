// Layers into the store, see layer.h.
#include "plugins/storage/image/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/storage/image/digest.h"

namespace noded::image {
namespace {

constexpr const char* kSkeleton = "skeleton";

Result<Fd> make_subdir(const Workspace& work, const char* name) {
    if (mkdirat(work.fd(), name, 0755) != 0)
        return fail_errno(errno, "create directory " + work.path() + "/" + name);
    Fd dir(openat(work.fd(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir.valid()) return fail_errno(errno, "open directory " + work.path() + "/" + name);
    return dir;
}

Result<Fd> make_skeleton(const Workspace& work) {
    Fd file(openat(work.fd(), kSkeleton, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno(errno, "create " + work.path() + "/" + kSkeleton);
    return file;
}

Status check(const std::string& name, const std::string& got, const std::string& expected) {
    if (!expected.empty() && got != expected) return wrong_digest(name, got, expected);
    return {};
}

}  // namespace

std::unexpected<Error> wrong_digest(const std::string& name, const std::string& got,
                                    const std::string& expected) {
    return fail(name + " has digest " + got + " instead of " + expected);
}

// What cannot be removed is garbage that no event refers to; collect_garbage finds it.
Additions::~Additions() {
    if (kept_) return;
    for (const std::string& diff_id : layers_) (void)remove_layer(paths_, diff_id);
    for (const std::string& digest : blobs_) (void)remove_blob(paths_, digest);
}

Result<std::string> Additions::layer(ContentStream& stream, const LayerExpectation& expected,
                                     const UnpackOptions& options,
                                     std::vector<std::string>& notices) {
    Workspace work = TRY(Workspace::make(paths_));
    Fd tree = TRY(make_subdir(work, "tree"));
    Fd trash = TRY(make_subdir(work, "trash"));
    const Fd skeleton = TRY(make_skeleton(work));
    SkeletonWriter writer(skeleton.get());
    UnpackOptions with_skeleton = options;
    with_skeleton.skeleton = &writer;
    TRY_STATUS(unpack_tar(stream, tree.get(), trash.get(), with_skeleton, notices));
    TRY_STATUS(check(stream.name(), stream.stored_digest(), expected.stored_digest));
    TRY_STATUS(check(stream.name() + ", uncompressed,", stream.digest(), expected.diff_id));
    std::string diff_id = stream.digest();
    const std::string hex = TRY(digest_hex(diff_id));
    if (TRY(writer.finish())) TRY_STATUS(install_skeleton(paths_, work, kSkeleton, hex));
    if (TRY(install_layer(paths_, work, "tree", hex)))
        layers_.push_back(diff_id);
    return diff_id;
}

Result<std::string> Additions::blob(Bytes content) {
    bool known = has_blob(paths_, TRY(digest_hex(sha256_digest(content))));
    std::string digest = TRY(write_blob(paths_, content));
    if (!known) blobs_.push_back(digest);
    return digest;
}

Status verify_layer(Extent extent, const std::string& name, uint64_t bytes_max,
                    const LayerExpectation& expected) {
    ContentStream stream(extent, name, bytes_max);
    if (auto drained = stream.drain(); !drained) return context(drained.error(), "read " + name);
    TRY_STATUS(check(name, stream.stored_digest(), expected.stored_digest));
    return check(name + ", uncompressed,", stream.digest(), expected.diff_id);
}

}  // namespace noded::image

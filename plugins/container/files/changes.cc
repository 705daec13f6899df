// The walk over an upper directory, see changes.h.
#include "plugins/container/files/changes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "agent/base/fd.h"
#include "plugins/sdk/tree/write_tree.h"

namespace noded::files {
namespace {

constexpr size_t kDepthMax = 2048;
constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/// False where there is nothing.
bool look_up(int dir, const std::string& name, struct stat& info) {
    return dir >= 0 && fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
           !tree::is_whiteout(info);
}

/// Mounts cover these, so what is there was made by a start and not by the container.
bool is_of_start(const std::string& path) {
    static constexpr std::string_view kPaths[] = {"/proc",     "/sys",          "/dev",
                                                  "/etc/hosts", "/etc/hostname",
                                                  "/etc/resolv.conf"};
    return std::ranges::find(kPaths, path) != std::end(kPaths);
}

class Comparison {
public:
    explicit Comparison(const tree::IdRanges& ids) : ids_(ids) {}
    Result<std::vector<Change>> run(int upper, int image) {
        TRY_STATUS(directory(upper, image, "", 0));
        return std::move(changes_);
    }

private:
    Status directory(int upper, int image, const std::string& path, size_t depth);
    Status member(int upper, int image, const std::string& name, const std::string& path,
                  size_t depth);
    Status folder(int upper, int image, const std::string& name, const std::string& path,
                  size_t depth);

    const tree::IdRanges& ids_;
    std::vector<Change> changes_;
};

Status Comparison::directory(int upper, int image, const std::string& path, size_t depth) {
    if (depth > kDepthMax) return fail("a directory is nested deeper than 2048");
    const std::vector<std::string> own = TRY(tree::names_in(upper, "the changes at " + path));
    std::vector<std::string> names = own;
    if (image >= 0 && tree::is_opaque(upper)) {
        // What the image has here is gone, unless it was made anew.
        names = TRY(tree::names_in(image, "the image at " + path));
        names.insert(names.end(), own.begin(), own.end());
        std::ranges::sort(names);
        names.erase(std::ranges::unique(names).begin(), names.end());
    }
    for (const std::string& name : names) {
        const std::string full = path + "/" + name;
        if (std::ranges::binary_search(own, name))
            TRY_STATUS(member(upper, image, name, full, depth));
        else
            changes_.push_back({'D', full});
    }
    return {};
}

Status Comparison::member(int upper, int image, const std::string& name, const std::string& path,
                          size_t depth) {
    struct stat now {};
    struct stat before {};
    if (fstatat(upper, name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};  // it went away while we look
        return fail_errno(errno, "look at " + path);
    }
    const bool was_there = look_up(image, name, before);
    if (tree::is_whiteout(now)) {
        if (was_there) changes_.push_back({'D', path});
        return {};
    }
    if (S_ISDIR(now.st_mode)) return folder(upper, image, name, path, depth);
    if (!was_there && now.st_size == 0 && is_of_start(path)) return {};
    changes_.push_back({was_there ? 'C' : 'A', path});
    return {};
}

/// One that is only on the way to a change is changed, too; one where nothing differs is not.
Status Comparison::folder(int upper, int image, const std::string& name, const std::string& path,
                          size_t depth) {
    struct stat now {};
    struct stat before {};
    const Fd dir(openat(upper, name.c_str(), kOpenDir));
    if (!dir.valid() || fstat(dir.get(), &now) != 0) {
        if (errno == ENOENT) return {};
        return fail_errno(errno, "open " + path);
    }
    const bool was_there = look_up(image, name, before);
    const Fd old(was_there && S_ISDIR(before.st_mode) ? openat(image, name.c_str(), kOpenDir) : -1);
    const bool same = old.valid() && now.st_mode == before.st_mode &&
                      tree::to_container(ids_, false, now.st_uid) == before.st_uid &&
                      tree::to_container(ids_, true, now.st_gid) == before.st_gid;
    const size_t at = changes_.size();
    changes_.push_back({was_there ? 'C' : 'A', path});
    TRY_STATUS(directory(dir.get(), old.get(), path, depth + 1));
    const bool nothing_below = changes_.size() == at + 1;
    if (nothing_below && (same || (!was_there && is_of_start(path)))) changes_.pop_back();
    return {};
}

Status add_bytes(int dir, std::set<ino_t>& seen, uint64_t& sum, size_t depth) {
    if (depth > kDepthMax) return fail("a directory is nested deeper than 2048");
    for (const std::string& name : TRY(tree::names_in(dir, "the changes"))) {
        struct stat info {};
        if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISREG(info.st_mode) && (info.st_nlink == 1 || seen.insert(info.st_ino).second))
            sum += uint64_t(info.st_size);
        if (!S_ISDIR(info.st_mode)) continue;
        const Fd below(openat(dir, name.c_str(), kOpenDir));
        if (below.valid()) TRY_STATUS(add_bytes(below.get(), seen, sum, depth + 1));
    }
    return {};
}

}  // namespace

Result<std::vector<Change>> changes_of(int upper, int image, const tree::IdRanges& ids) {
    return Comparison(ids).run(upper, image);
}

Result<uint64_t> bytes_in(int upper) {
    std::set<ino_t> seen;
    uint64_t sum = 0;
    TRY_STATUS(add_bytes(upper, seen, sum, 0));
    return sum;
}

}  // namespace noded::files

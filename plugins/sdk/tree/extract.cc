// Extraction, see extract.h. libarchive only reads; what touches the disk is here.
#include "plugins/sdk/tree/extract.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <vector>

#include "agent/base/check.h"
#include "agent/base/fd.h"
#include "agent/base/open_inside.h"
#include "plugins/sdk/tree/write_tree.h"

namespace noded::tree {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kPathBytesMax = 4095;
constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr mode_t kModeBits = 07777;

/// Only harmless characters of a name that a stranger chose.
std::string shown(std::string_view name) {
    std::string out;
    for (const char c : name.substr(0, 256)) out += static_cast<unsigned char>(c) < 32 ? '?' : c;
    return name.size() > 256 ? out + "…" : out;
}

struct Name {
    std::string parent;  ///< relative, empty for the directory itself
    std::string name;    ///< empty for the directory itself

    std::string full() const { return parent.empty() ? name : parent + "/" + name; }
};

/// Without "." and empty components; ".." is refused.
Result<std::vector<std::string>> components_of(std::string_view raw) {
    if (raw.size() > kPathBytesMax) return fail("it has more than 4095 bytes");
    std::vector<std::string> parts;
    while (!raw.empty()) {
        const size_t slash = std::min(raw.find('/'), raw.size());
        const std::string_view part = raw.substr(0, slash);
        raw.remove_prefix(std::min(slash + 1, raw.size()));
        if (part == "..") return fail("it has \"..\" in it");
        if (!part.empty() && part != ".") parts.emplace_back(part);
    }
    return parts;
}

class Extractor {
public:
    Extractor(int in, const Place& place, const ExtractOptions& options)
        : in_(in), place_(place), options_(options), buffer_(kReadBytes) {}

    Result<Extracted> run();

private:
    struct FreeArchive {
        void operator()(archive* reader) const { archive_read_free(reader); }
    };
    struct Directory {
        std::string path;
        timespec times[2];
        mode_t mode;
    };

    static la_ssize_t feed(archive* reader, void* self, const void** block);
    std::unexpected<Error> broken(archive* reader) const;
    bool stopped() const { return options_.stop != nullptr && *options_.stop; }

    Result<Name> name_of(const char* raw) const;
    Fd open_dir(const std::string& path) const;
    Result<int> parent_of(const Name& name);
    Status one(archive* reader, archive_entry* entry);
    Status place_object(archive* reader, archive_entry* entry, const Name& name, int parent);
    Status directory(archive_entry* entry, const Name& name, int parent);
    Status regular(archive* reader, archive_entry* entry, const Name& name, int parent);
    Status in_place(int file, const Name& name, int parent);
    Status node(archive_entry* entry, const Name& name, int parent);
    Status hard_link(archive_entry* entry, const Name& name, int parent);
    Status write_content(archive* reader, const Name& name, int file);
    Status set_owner(archive_entry* entry, const Name& name, int dir, const char* at) const;
    Status set_metadata(archive_entry* entry, const Name& name, int fd) const;
    Status set_directories();
    /// Makes the name free; code EBUSY: it is a mount, which stays.
    Status clear(const Name& name, int parent) const;

    int in_;
    const Place& place_;
    const ExtractOptions& options_;
    std::vector<uint8_t> buffer_;
    std::optional<Error> read_error_;
    Extracted done_;
    Fd parent_;
    std::optional<std::string> parent_path_;
    std::vector<Directory> directories_;  ///< set last: a new member touches its directory
};

std::unexpected<Error> trouble(const char* what, const Name& name) {
    return fail_errno(errno, std::string(what) + " " + shown(name.full()));
}

timespec mtime_of(archive_entry* entry) {
    return {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
}

// Reading.

la_ssize_t Extractor::feed(archive* reader, void* self, const void** block) {
    auto* extractor = static_cast<Extractor*>(self);
    *block = extractor->buffer_.data();
    for (;;) {
        const ssize_t got = read(extractor->in_, extractor->buffer_.data(), kReadBytes);
        if (got >= 0 && !extractor->stopped()) {
            extractor->done_.bytes += uint64_t(got);
            return got;
        }
        if (got < 0 && errno == EINTR && !extractor->stopped()) continue;
        extractor->read_error_ = extractor->stopped()
                                     ? Error{EINTR, "the copy was interrupted"}
                                     : fail_errno(errno, "read the archive").error();
        archive_set_error(reader, EIO, "read failed");
        return -1;
    }
}

std::unexpected<Error> Extractor::broken(archive* reader) const {
    if (read_error_) return std::unexpected(*read_error_);
    const char* reason = archive_error_string(reader);
    const std::string text = reason != nullptr ? reason : "unknown error";
    if (text.find("runcated") != text.npos || text.find("end-of-file") != text.npos)
        return fail("the archive is truncated");
    return fail("the archive is damaged: " + text);
}

Result<Extracted> Extractor::run() {
    std::unique_ptr<archive, FreeArchive> reader(archive_read_new());
    CHECK(reader != nullptr);
    CHECK(archive_read_support_format_tar(reader.get()) == ARCHIVE_OK);
    CHECK(archive_read_support_filter_none(reader.get()) == ARCHIVE_OK);
    if (archive_read_open(reader.get(), this, nullptr, feed, nullptr) != ARCHIVE_OK) {
        if (read_error_) return std::unexpected(*read_error_);
        // An archive of nothing is none that libarchive knows.
        if (done_.bytes == 0) return done_;
        return fail("it is not a tar archive");
    }
    for (;;) {
        archive_entry* entry = nullptr;
        const int result = archive_read_next_header(reader.get(), &entry);
        if (result == ARCHIVE_EOF) break;
        // A warning is of the conversion of names, which are bytes here.
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return broken(reader.get());
        TRY_STATUS(one(reader.get(), entry));
        ++done_.entries;
    }
    TRY_STATUS(set_directories());
    // A writer that is not read to its end would fail.
    const void* rest = nullptr;
    while (feed(reader.get(), this, &rest) > 0) {
    }
    if (read_error_) return std::unexpected(*read_error_);
    return done_;
}

// Finding the place.

Result<Name> Extractor::name_of(const char* raw) const {
    if (raw == nullptr) return fail("the archive has an entry without a name");
    auto parts = components_of(raw);
    if (!parts) return fail("refused entry " + shown(raw) + ": " + parts.error().message);
    // Of an archive of "." the first component is that dot.
    const bool has_root = !std::string_view(raw).starts_with("./");
    if (options_.root_name && has_root && !parts->empty()) parts->erase(parts->begin());
    Name name;
    if (options_.root_name && *options_.root_name != ".") name.name = *options_.root_name;
    for (std::string& part : *parts) {
        if (!name.name.empty()) name.parent = name.full();
        name.name = std::move(part);
    }
    return name;
}

Fd Extractor::open_dir(const std::string& path) const {
    if (options_.follow_in_root)
        return Fd(open_in_root(place_.root, place_.path + "/" + path, kOpenDir));
    open_how how = {};
    how.flags = kOpenDir;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    return Fd(open_inside(place_.root, path, how));
}

/// Missing parents are made, as every tar does. Valid until the next call.
Result<int> Extractor::parent_of(const Name& name) {
    if (parent_path_ == name.parent) return parent_.get();
    Fd dir = open_dir(name.parent);
    if (!dir.valid() && errno == ENOENT) {
        std::string made;
        for (const std::string& part : TRY(components_of(name.parent))) {
            Fd above = open_dir(made);
            made += (made.empty() ? "" : "/") + part;
            if (!above.valid() ||
                (mkdirat(above.get(), part.c_str(), 0755) != 0 && errno != EEXIST))
                return fail_errno(errno, "make the directory " + shown(made));
        }
        dir = open_dir(name.parent);
    }
    if (!dir.valid()) return fail_errno(errno, "open the directory " + shown(name.parent));
    parent_ = std::move(dir);
    parent_path_ = name.parent;
    return parent_.get();
}

Status Extractor::clear(const Name& name, int parent) const {
    struct stat info {};
    if (fstatat(parent, name.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return {};
        return trouble("look at", name);
    }
    if (S_ISDIR(info.st_mode))
        return fail("cannot overwrite directory \"" + shown(name.full()) +
                    "\" with non-directory");
    if (unlinkat(parent, name.name.c_str(), 0) != 0) return trouble("replace", name);
    return {};
}

// Placing.

Status Extractor::one(archive* reader, archive_entry* entry) {
    const Name name = TRY(name_of(archive_entry_pathname(entry)));
    if (name.name.empty()) {
        // The directory itself was there before, and stays as it is.
        if (archive_entry_filetype(entry) == AE_IFDIR) return {};
        return fail("the archive has a file without a name");
    }
    const int parent = TRY(parent_of(name));
    return place_object(reader, entry, name, parent);
}

Status Extractor::place_object(archive* reader, archive_entry* entry, const Name& name,
                               int parent) {
    if (archive_entry_hardlink(entry) != nullptr) return hard_link(entry, name, parent);
    switch (archive_entry_filetype(entry)) {
        case AE_IFDIR: return directory(entry, name, parent);
        case AE_IFREG: return regular(reader, entry, name, parent);
        case AE_IFLNK:
        case AE_IFCHR:
        case AE_IFBLK:
        case AE_IFIFO: return node(entry, name, parent);
    }
    return fail("refused entry " + shown(name.full()) + ": its type is not known");
}

Status Extractor::directory(archive_entry* entry, const Name& name, int parent) {
    if (mkdirat(parent, name.name.c_str(), 0700) != 0) {
        if (errno != EEXIST) return trouble("make the directory", name);
        struct stat info {};
        if (fstatat(parent, name.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
            return trouble("look at", name);
        if (!S_ISDIR(info.st_mode))
            return fail("cannot overwrite non-directory \"" + shown(name.full()) +
                        "\" with directory");
    }
    const Fd dir(openat(parent, name.name.c_str(), kOpenDir | O_NOFOLLOW));
    if (!dir.valid()) return trouble("open the directory", name);
    TRY_STATUS(set_metadata(entry, name, dir.get()));
    const timespec time = mtime_of(entry);
    const mode_t mode = archive_entry_perm(entry) & kModeBits;
    directories_.push_back({name.full(), {time, time}, mode});
    // Members must be possible until all are there.
    if ((mode & 0700) != 0700) (void)fchmod(dir.get(), mode | 0700);
    return {};
}

Status Extractor::write_content(archive* reader, const Name& name, int file) {
    for (;;) {
        const void* block = nullptr;
        size_t size = 0;
        la_int64_t offset = 0;
        const int result = archive_read_data_block(reader, &block, &size, &offset);
        if (result == ARCHIVE_EOF) return {};
        if (result != ARCHIVE_OK) return broken(reader);
        for (size_t at = 0; at < size;) {
            const ssize_t wrote =
                pwrite(file, static_cast<const char*>(block) + at, size - at, offset + off_t(at));
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote < 0) return trouble("write", name);
            at += size_t(wrote);
        }
    }
}

/// Without a name until it is whole, where the file system can do that.
Status Extractor::regular(archive* reader, archive_entry* entry, const Name& name, int parent) {
    struct stat before {};
    if (fstatat(parent, name.name.c_str(), &before, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISDIR(before.st_mode))
        return clear(name, parent);
    Fd file(openat(parent, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    const bool nameless = file.valid();
    if (!nameless) {
        if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
            return trouble("create", name);
        TRY_STATUS(clear(name, parent));
        file.reset(openat(parent, name.name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC,
                          0600));
        if (!file.valid()) return trouble("create", name);
    }
    Status status = write_content(reader, name, file.get());
    // The file has its size also where it ends in a hole.
    if (status && ftruncate(file.get(), archive_entry_size(entry)) != 0)
        status = trouble("write", name);
    if (status) status = set_metadata(entry, name, file.get());
    const timespec time = mtime_of(entry);
    const timespec times[2] = {time, time};
    if (status) (void)futimens(file.get(), times);
    if (!nameless) {
        if (!status) unlinkat(parent, name.name.c_str(), 0);
        return status;
    }
    TRY_STATUS(status);
    if (auto cleared = clear(name, parent); !cleared)
        return cleared.error().code == EBUSY ? in_place(file.get(), name, parent) : cleared;
    const std::string self = "/proc/self/fd/" + std::to_string(file.get());
    if (linkat(file.get(), "", parent, name.name.c_str(), AT_EMPTY_PATH) != 0 &&
        linkat(AT_FDCWD, self.c_str(), parent, name.name.c_str(), AT_SYMLINK_FOLLOW) != 0)
        return trouble("create", name);
    return {};
}

/// A file that is a mount of its own, as /etc/hosts may be: only its content can change.
Status Extractor::in_place(int file, const Name& name, int parent) {
    const Fd target(openat(parent, name.name.c_str(),
                           O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!target.valid()) return trouble("open", name);
    off_t from = 0;
    for (;;) {
        const ssize_t moved = sendfile(target.get(), file, &from, kReadBytes);
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0) return trouble("write", name);
        if (moved == 0) return {};
    }
}

Status Extractor::node(archive_entry* entry, const Name& name, int parent) {
    const auto type = archive_entry_filetype(entry);
    if (type == AE_IFCHR && archive_entry_rdev(entry) == 0)
        return fail("refused entry " + shown(name.full()) +
                    ": overlayfs would take the device 0/0 for a whiteout");
    TRY_STATUS(clear(name, parent));
    const char* at = name.name.c_str();
    if (type == AE_IFLNK) {
        const char* target = archive_entry_symlink(entry);
        if (target == nullptr) return fail("the link " + shown(name.full()) + " has no target");
        if (symlinkat(target, parent, at) != 0) return trouble("create", name);
    } else if (mknodat(parent, at, archive_entry_mode(entry), archive_entry_rdev(entry)) != 0) {
        return trouble("create", name);
    }
    if (options_.owners) TRY_STATUS(set_owner(entry, name, parent, at));
    // Whoever is in the container may have put a link in its place, which leads to the host from
    // here.
    if (type != AE_IFLNK && fchmodat(parent, at, archive_entry_perm(entry) & kModeBits,
                                     AT_SYMLINK_NOFOLLOW) != 0)
        return trouble("set the mode of", name);
    const timespec time = mtime_of(entry);
    const timespec times[2] = {time, time};
    (void)utimensat(parent, at, times, AT_SYMLINK_NOFOLLOW);
    return {};
}

Status Extractor::hard_link(archive_entry* entry, const Name& name, int parent) {
    const Name target = TRY(name_of(archive_entry_hardlink(entry)));
    if (target.name.empty()) return fail("the link " + shown(name.full()) + " has no target");
    if (target.full() == name.full()) return {};
    const Fd from = open_dir(target.parent);
    if (!from.valid()) return trouble("open the directory of", target);
    TRY_STATUS(clear(name, parent));
    if (linkat(from.get(), target.name.c_str(), parent, name.name.c_str(), 0) != 0)
        return trouble("link", name);
    return {};
}

/// `at` in `dir`; empty for `dir` itself.
Status Extractor::set_owner(archive_entry* entry, const Name& name, int dir, const char* at) const {
    const int64_t uid = archive_entry_uid(entry);
    const int64_t gid = archive_entry_gid(entry);
    const auto on_host = [&](bool is_gid, int64_t id) {
        return id == uint32_t(id) ? to_host(options_.ids, is_gid, uint32_t(id)) : UINT32_MAX;
    };
    const uint32_t owner = on_host(false, uid);
    const uint32_t group = on_host(true, gid);
    if (owner == UINT32_MAX || group == UINT32_MAX)
        return fail("set the owner of " + shown(name.full()) + ": the container has no ids " +
                    std::to_string(uid) + ":" + std::to_string(gid));
    if (fchownat(dir, at, owner, group, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0)
        return trouble("set the owner of", name);
    return {};
}

/// In this order: a change of the owner clears setuid bits and capabilities.
Status Extractor::set_metadata(archive_entry* entry, const Name& name, int fd) const {
    if (options_.owners) TRY_STATUS(set_owner(entry, name, fd, ""));
    if (fchmod(fd, archive_entry_perm(entry) & kModeBits) != 0)
        return trouble("set the mode of", name);
    if (!options_.xattrs) return {};
    const char* key = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    archive_entry_xattr_reset(entry);
    while (archive_entry_xattr_next(entry, &key, &value, &size) == ARCHIVE_OK) {
        if (key == nullptr || !is_kept_xattr(key)) continue;
        if (fsetxattr(fd, key, value, size, 0) != 0 && errno != EOPNOTSUPP)
            return trouble("set an extended attribute of", name);
    }
    return {};
}

Status Extractor::set_directories() {
    for (auto at = directories_.rbegin(); at != directories_.rend(); ++at) {
        const Fd dir = open_dir(at->path);
        if (!dir.valid()) continue;  // somebody else was faster
        (void)futimens(dir.get(), at->times);
        if ((at->mode & 0700) != 0700 && fchmod(dir.get(), at->mode) != 0)
            return fail_errno(errno, "set the mode of " + shown(at->path));
    }
    return {};
}

}  // namespace

Result<Extracted> extract(int in, const Place& place, const ExtractOptions& options) {
    return Extractor(in, place, options).run();
}

int open_in_root(int root, const std::string& path, int flags) {
    open_how how = {};
    how.flags = uint64_t(flags);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return open_inside(root, path, how);
}

}  // namespace noded::tree

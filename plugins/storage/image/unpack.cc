// Unpacking of layers, see unpack.h. The rules:
//
// Paths. Absolute names and names with ".." are refused. Parents are resolved by openat2 beneath
// the tree and without following any symbolic link, so nothing that the archive creates can lead
// outside; missing parents are created 0755 root. A later entry replaces an earlier one of its
// name, except that a directory stays and takes the new metadata.
//
// Whiteouts (image-spec, layer.md). ".wh.NAME" becomes a character device 0/0, ".wh..wh..opq" the
// opaque attribute of its directory, other ".wh..wh." names are aufs' own and skipped. Both hide
// lower layers only, never what this layer brings, whichever comes first: NAME itself beats its
// whiteout, and a directory NAME beside ".wh.NAME" becomes opaque. A member that is a character
// device 0/0 is refused: unpacked as it is, overlayfs would take it for a whiteout, and left out, a
// file would be missing without a word; no real device has that number.
//
// Metadata. Numeric owners, mode with setuid, mtime with nanoseconds; of the extended attributes
// security.capability and user.* (but user.overlay.*, like trusted.*, would speak to overlayfs in
// the archive's name). Order matters: chown clears setuid and capabilities.
//
// libarchive converts pax names from UTF-8 to the thread's locale and normalises them on the way (a
// decomposed "é" would get another name). In the locale "C" the conversion fails with a warning and
// leaves the bytes alone, which is what a file system wants; so the thread has that locale while it
// unpacks.
#include "plugins/storage/image/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <memory>

#include "agent/base/check.h"
#include "agent/base/fd.h"
#include "agent/base/open_inside.h"
#include "plugins/sdk/tree/write_tree.h"
#include "plugins/storage/image/entry_path.h"

namespace noded::image {
namespace {

constexpr int kOpenDir = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";

/// Holds the thread in the "C" locale; see above.
class PlainLocale {
public:
    PlainLocale() : plain_(newlocale(LC_ALL_MASK, "C", nullptr)) {
        CHECK(plain_ != nullptr);
        before_ = uselocale(plain_);
    }
    ~PlainLocale() {
        uselocale(before_);
        freelocale(plain_);
    }
    PlainLocale(const PlainLocale&) = delete;
    PlainLocale& operator=(const PlainLocale&) = delete;

private:
    locale_t plain_;
    locale_t before_;
};

Fd open_beneath(int root, const std::string& path) {
    open_how how = {};
    how.flags = kOpenDir;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    return Fd(open_inside(root, path, how));
}

class Unpacker {
public:
    Unpacker(ContentStream& stream, int tree, int trash, const UnpackOptions& options,
             std::vector<std::string>& notices)
        : stream_(stream), tree_(tree), trash_(trash), options_(options), notices_(notices) {}

    Status run();

private:
    struct FreeArchive {
        void operator()(archive* reader) const { archive_read_free(reader); }
    };
    struct DirTimes {
        std::string path;
        timespec times[2];
    };
    /// What stood at a name before.
    enum class Before { nothing, directory, whiteout };

    Result<Bytes> next_bytes();
    static la_ssize_t feed(archive* reader, void* self, const void** block);
    Bytes missing_padding();
    Status open_archive(archive* reader);
    Status check_header(archive* reader, archive_entry* entry, int result);
    Status check_end(archive* reader);
    Status check_count(const std::string& shown);
    std::unexpected<Error> broken(archive* reader, const std::string& where);

    Status unpack_entry(archive* reader, archive_entry* entry);
    Status place(archive* reader, archive_entry* entry, const EntryPath& path, int parent);
    Status place_regular(archive* reader, archive_entry* entry, const EntryPath& path, int parent);
    Status place_directory(archive_entry* entry, const EntryPath& path, int parent);
    Status place_symlink(archive_entry* entry, const EntryPath& path, int parent);
    Status place_node(archive_entry* entry, const EntryPath& path, int parent);
    Status place_hardlink(archive_entry* entry, const EntryPath& path, int parent);
    Status place_whiteout(const EntryPath& path, int parent);

    Status write_content(archive* reader, archive_entry* entry, const EntryPath& path, int file);
    Status set_metadata(archive_entry* entry, const EntryPath& path, int fd);
    Status set_metadata_at(archive_entry* entry, const EntryPath& path, int parent);
    Status set_xattrs(archive_entry* entry, const EntryPath& path, int fd);
    Status set_opaque(int dir, const std::string& shown);
    Status set_dir_times();

    Result<int> parent_of(const EntryPath& path);
    Result<Fd> make_parents(const EntryPath& path);
    Result<Fd> step_into(int dir, const std::string& name, const EntryPath& path);
    Result<Before> clear(int parent, const EntryPath& path, bool for_directory);
    void left_out(const std::string& what);
    void not_in_layer();

    ContentStream& stream_;
    int tree_;
    int trash_;
    const UnpackOptions& options_;
    std::vector<std::string>& notices_;
    std::optional<Error> stream_error_;  ///< what feed() could not tell libarchive
    bool in_content_ = false;  ///< the content of an entry is not yet complete
    bool padded_ = false;
    uint64_t entries_ = 0;
    uint64_t implied_parents_ = 0;
    uint64_t trashed_ = 0;
    uint64_t xattrs_left_out_ = 0;
    /// Parent of the entry before, which mostly is the next one's as well. An entry can only
    /// replace what is in its parent, so the directory behind this descriptor always is the one
    /// that the path names.
    Fd parent_;
    std::optional<std::string> parent_path_;
    std::vector<DirTimes> dir_times_;  ///< set last: creating a member touches its directory
    uint64_t dir_path_bytes_ = 0;      ///< of dir_times_
};

std::unexpected<Error> entry_error(const EntryPath& path, std::string what) {
    return fail("entry " + path.shown() + " " + std::move(what));
}

std::unexpected<Error> entry_errno(int error_number, const EntryPath& path,
                                   const std::string& what) {
    return fail_errno(error_number, what + " entry " + path.shown());
}

// Reading.

Result<Bytes> Unpacker::next_bytes() {
    const Bytes bytes = TRY(stream_.next());
    if (options_.skeleton != nullptr) options_.skeleton->take(bytes);
    return bytes;
}

la_ssize_t Unpacker::feed(archive* reader, void* self, const void** block) {
    auto* unpacker = static_cast<Unpacker*>(self);
    auto bytes = unpacker->next_bytes();
    if (!bytes) {
        unpacker->stream_error_ = bytes.error();
        archive_set_error(reader, EIO, "read failed");
        return -1;
    }
    if (bytes->empty()) *bytes = unpacker->missing_padding();
    *block = bytes->data();
    return la_ssize_t(bytes->size());
}

/// Builders that leave out the end marker may leave out the zeros after the last file's content as
/// well (umoci does), and libarchive would take that for truncation. Content itself is never made
/// up.
Bytes Unpacker::missing_padding() {
    static constexpr uint8_t kZeros[512] = {};
    const size_t past_block = stream_.bytes() % sizeof kZeros;
    if (options_.require_end_marker || in_content_ || padded_ || past_block == 0) return {};
    padded_ = true;
    return Bytes(kZeros).subspan(past_block);
}

/// The stream's own error if there is one, else libarchive's.
std::unexpected<Error> Unpacker::broken(archive* reader, const std::string& where) {
    if (stream_error_) return context(*stream_error_, where);
    const char* reason = archive_error_string(reader);
    std::string_view text = reason != nullptr ? reason : "unknown error";
    if (text.find("runcated") != text.npos || text.find("end-of-file") != text.npos)
        return fail(where + ": the archive is truncated");
    return fail(where + ": the archive is damaged: " + std::string(text));
}

Status Unpacker::open_archive(archive* reader) {
    CHECK(archive_read_support_format_tar(reader) == ARCHIVE_OK);
    CHECK(archive_read_support_filter_none(reader) == ARCHIVE_OK);
    if (archive_read_open(reader, this, nullptr, feed, nullptr) == ARCHIVE_OK) return {};
    if (stream_error_) return std::unexpected(*stream_error_);
    return fail("it is not a tar archive");
}

Status Unpacker::check_header(archive* reader, archive_entry* entry, int result) {
    // ARCHIVE_RETRY means that a header was damaged and the next one may be better; that is no
    // comfort here.
    bool readable = result == ARCHIVE_OK || result == ARCHIVE_WARN;
    const char* name = readable ? archive_entry_pathname(entry) : nullptr;
    std::string where = "entry " + std::to_string(entries_ + 1);
    if (name != nullptr) where += " (" + show_name(name) + ")";
    if (!readable) return broken(reader, where);
    const char* warning = result == ARCHIVE_WARN ? archive_error_string(reader) : nullptr;
    // The one warning that is expected, see the locale above. Anything else that libarchive would
    // skip over is damage.
    if (warning != nullptr && strstr(warning, "onver") == nullptr) return broken(reader, where);
    if (name == nullptr) return fail(where + " has no name");
    ++entries_;
    return check_count(show_name(name));
}

/// A parent that no entry describes costs an inode like any other: one long name may have 2,000.
Status Unpacker::check_count(const std::string& shown) {
    if (entries_ + implied_parents_ <= options_.entries_max) return {};
    return fail("it has more than " + std::to_string(options_.entries_max) +
                " entries (entriesMax; at " + shown + ")");
}

/// libarchive takes the end of the bytes for the end of the archive, also where tar's end marker
/// (at least one block of zeros) is missing.
Status Unpacker::check_end(archive* reader) {
    while (!TRY(next_bytes()).empty()) {
    }
    uint64_t end = uint64_t(archive_read_header_position(reader));
    if (options_.require_end_marker && stream_.bytes() < end + 512)
        return fail("the archive is truncated: it has no end marker after " +
                    std::to_string(entries_) + " entries");
    return {};
}

Status Unpacker::run() {
    PlainLocale locale;
    std::unique_ptr<archive, FreeArchive> reader(archive_read_new());
    CHECK(reader != nullptr);
    TRY_STATUS(open_archive(reader.get()));
    while (true) {
        archive_entry* entry = nullptr;
        int result = archive_read_next_header(reader.get(), &entry);
        if (result == ARCHIVE_EOF) break;
        TRY_STATUS(check_header(reader.get(), entry, result));
        TRY_STATUS(unpack_entry(reader.get(), entry));
    }
    if (stream_error_) return std::unexpected(*stream_error_);
    TRY_STATUS(check_end(reader.get()));
    if (xattrs_left_out_ > 0)
        left_out(std::to_string(xattrs_left_out_) +
                 " extended attributes (only security.capability and user.* are restored)");
    return set_dir_times();
}

// Finding the place.

void Unpacker::left_out(const std::string& what) {
    if (notices_.size() < limits::notices_max)
        notices_.push_back(stream_.name() + ": left out " + what);
}

/// The archive has the content of a file that the layer does not have, or no longer.
void Unpacker::not_in_layer() {
    if (options_.skeleton != nullptr) options_.skeleton->give_up();
}

/// Opens, or creates, the directory `name` in `dir`.
Result<Fd> Unpacker::step_into(int dir, const std::string& name, const EntryPath& path) {
    Fd next(openat(dir, name.c_str(), kOpenDir));
    if (next.valid()) return next;
    struct stat info;
    bool exists = fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
    bool whiteout = exists && tree::is_whiteout(info);
    if (exists && !whiteout)
        return entry_error(path,
                           "lies below " + show_name(name) + ", which is " +
                               (S_ISLNK(info.st_mode) ? "a symbolic link" : "not a directory"));
    if (whiteout && unlinkat(dir, name.c_str(), 0) != 0)
        return entry_errno(errno, path, "replace whiteout for");
    ++implied_parents_;
    TRY_STATUS(check_count(path.shown()));
    if (mkdirat(dir, name.c_str(), 0755) != 0) return entry_errno(errno, path, "create parent of");
    next.reset(openat(dir, name.c_str(), kOpenDir));
    if (!next.valid()) return entry_errno(errno, path, "open parent of");
    // Independent of umask and of a setgid directory above.
    if (fchown(next.get(), 0, 0) != 0 || fchmod(next.get(), 0755) != 0)
        return entry_errno(errno, path, "set metadata of parent of");
    if (whiteout) TRY_STATUS(set_opaque(next.get(), path.parent));
    return next;
}

Result<Fd> Unpacker::make_parents(const EntryPath& path) {
    Fd dir = open_beneath(tree_, "");
    if (!dir.valid()) return entry_errno(errno, path, "open the root for");
    std::string_view rest = path.parent;
    while (!rest.empty()) {
        size_t slash = rest.find('/');
        std::string name(rest.substr(0, slash));
        rest = slash == std::string_view::npos ? "" : rest.substr(slash + 1);
        dir = TRY(step_into(dir.get(), name, path));
    }
    return dir;
}

/// The descriptor stays this object's and valid until the next call.
Result<int> Unpacker::parent_of(const EntryPath& path) {
    if (parent_path_ == path.parent) return parent_.get();
    Fd dir = open_beneath(tree_, path.parent);
    if (!dir.valid()) {
        if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
            return entry_errno(errno, path, "open parent of");
        dir = TRY(make_parents(path));
    }
    parent_ = std::move(dir);
    parent_path_ = path.parent;
    return parent_.get();
}

/// Makes the name free. A directory that another directory would replace stays.
Result<Unpacker::Before> Unpacker::clear(int parent, const EntryPath& path, bool for_directory) {
    struct stat info;
    if (fstatat(parent, path.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return Before::nothing;
        return entry_errno(errno, path, "look for");
    }
    if (S_ISDIR(info.st_mode) && for_directory) return Before::directory;
    if (!tree::is_whiteout(info)) not_in_layer();
    if (S_ISDIR(info.st_mode)) {
        std::string aside = std::to_string(trashed_++);
        if (renameat(parent, path.name.c_str(), trash_, aside.c_str()) != 0)
            return entry_errno(errno, path, "move aside the directory at");
        return Before::nothing;
    }
    if (unlinkat(parent, path.name.c_str(), 0) != 0) return entry_errno(errno, path, "replace");
    return tree::is_whiteout(info) ? Before::whiteout : Before::nothing;
}

// Placing.

Status Unpacker::unpack_entry(archive* reader, archive_entry* entry) {
    EntryPath path = TRY(clean_entry_path(archive_entry_pathname(entry)));
    if (path.has_component_prefix(kWhiteoutMeta) && path.name != kOpaque) {
        if (archive_entry_size(entry) > 0) not_in_layer();
        return {};
    }
    if (path.parent_has_prefix(kWhiteout)) return entry_error(path, "lies below a whiteout");
    int parent = TRY(parent_of(path));
    if (path.name.starts_with(kWhiteout) && archive_entry_size(entry) > 0) not_in_layer();
    if (path.name == kOpaque) return set_opaque(parent, path.parent);
    if (path.name.starts_with(kWhiteout)) return place_whiteout(path, parent);
    return place(reader, entry, path, parent);
}

Status Unpacker::place(archive* reader, archive_entry* entry, const EntryPath& path, int parent) {
    bool directory =
        archive_entry_filetype(entry) == AE_IFDIR && archive_entry_hardlink(entry) == nullptr;
    if (path.is_root() && !directory) return fail("the archive's root is not a directory");
    if (archive_entry_hardlink(entry) != nullptr) return place_hardlink(entry, path, parent);
    switch (archive_entry_filetype(entry)) {
        case AE_IFREG: return place_regular(reader, entry, path, parent);
        case AE_IFDIR: return place_directory(entry, path, parent);
        case AE_IFLNK: return place_symlink(entry, path, parent);
        case AE_IFCHR:
        case AE_IFBLK:
        case AE_IFIFO: return place_node(entry, path, parent);
        default: return entry_error(path, "has a type that no layer can hold");
    }
}

Status Unpacker::place_regular(archive* reader, archive_entry* entry, const EntryPath& path,
                               int parent) {
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    Fd file(openat(parent, path.name.c_str(), flags, 0600));
    if (!file.valid() && errno == EEXIST) {
        TRY(clear(parent, path, false));
        file.reset(openat(parent, path.name.c_str(), flags, 0600));
    }
    if (!file.valid()) return entry_errno(errno, path, "create");
    TRY_STATUS(write_content(reader, entry, path, file.get()));
    if (options_.skeleton != nullptr)
        options_.skeleton->placed(path.full(), uint64_t(archive_entry_size(entry)));
    return set_metadata(entry, path, file.get());
}

Status Unpacker::write_content(archive* reader, archive_entry* entry, const EntryPath& path,
                               int file) {
    const off_t whole = archive_entry_size(entry);
    off_t end = 0;
    in_content_ = whole > 0;
    while (true) {
        const void* block;
        size_t size;
        la_int64_t offset;
        int result = archive_read_data_block(reader, &block, &size, &offset);
        if (result == ARCHIVE_EOF) break;
        if (result != ARCHIVE_OK) return broken(reader, "entry " + path.shown());
        const char* bytes = static_cast<const char*>(block);
        end = offset + off_t(size);
        in_content_ = end < whole;
        while (size > 0) {
            ssize_t count = pwrite(file, bytes, size, offset);
            if (count < 0) return entry_errno(errno, path, "write");
            bytes += count;
            offset += count;
            size -= size_t(count);
        }
    }
    in_content_ = false;
    // A sparse file may end in a hole.
    if (whole > end && ftruncate(file, whole) != 0) return entry_errno(errno, path, "extend");
    return {};
}

Status Unpacker::place_directory(archive_entry* entry, const EntryPath& path, int parent) {
    Fd dir;
    if (path.is_root()) {
        dir = open_beneath(tree_, "");
    } else {
        Before before = Before::nothing;
        if (mkdirat(parent, path.name.c_str(), 0700) != 0) {
            if (errno != EEXIST) return entry_errno(errno, path, "create directory");
            before = TRY(clear(parent, path, true));
            if (before != Before::directory && mkdirat(parent, path.name.c_str(), 0700) != 0)
                return entry_errno(errno, path, "create directory");
        }
        dir.reset(openat(parent, path.name.c_str(), kOpenDir));
        if (dir.valid() && before == Before::whiteout)
            TRY_STATUS(set_opaque(dir.get(), path.full()));
    }
    if (!dir.valid()) return entry_errno(errno, path, "open directory");
    TRY_STATUS(set_metadata(entry, path, dir.get()));
    struct stat info;
    if (fstat(dir.get(), &info) != 0) return entry_errno(errno, path, "stat");
    std::string full = path.full();
    dir_path_bytes_ += full.size();
    if (dir_path_bytes_ > options_.directory_path_bytes_max)
        return fail("the paths of its directories have more than " +
                    std::to_string(options_.directory_path_bytes_max) + " bytes (at " +
                    path.shown() + ")");
    dir_times_.push_back({std::move(full), {info.st_atim, info.st_mtim}});
    return {};
}

Status Unpacker::place_symlink(archive_entry* entry, const EntryPath& path, int parent) {
    const char* target = archive_entry_symlink(entry);
    if (target == nullptr || *target == 0)
        return entry_error(path, "is a symbolic link to nothing");
    if (strlen(target) > limits::link_target_bytes_max)
        return entry_error(path, "is a symbolic link with a target of more than 4095 bytes");
    if (symlinkat(target, parent, path.name.c_str()) != 0) {
        if (errno != EEXIST) return entry_errno(errno, path, "create symbolic link");
        TRY(clear(parent, path, false));
        if (symlinkat(target, parent, path.name.c_str()) != 0)
            return entry_errno(errno, path, "create symbolic link");
    }
    return set_metadata_at(entry, path, parent);
}

Status Unpacker::place_node(archive_entry* entry, const EntryPath& path, int parent) {
    mode_t type = archive_entry_filetype(entry);
    dev_t device = type == AE_IFIFO ? 0
                                    : makedev(unsigned(archive_entry_rdevmajor(entry)),
                                              unsigned(archive_entry_rdevminor(entry)));
    if (type == AE_IFCHR && device == 0)
        return entry_error(path,
                           "is a character device 0/0, which overlayfs would take for a whiteout");
    if (mknodat(parent, path.name.c_str(), type | 0600, device) != 0) {
        if (errno != EEXIST) return entry_errno(errno, path, "create device");
        TRY(clear(parent, path, false));
        if (mknodat(parent, path.name.c_str(), type | 0600, device) != 0)
            return entry_errno(errno, path, "create device");
    }
    return set_metadata_at(entry, path, parent);
}

/// Owner, mode and times are the inode's and came with its first name.
Status Unpacker::place_hardlink(archive_entry* entry, const EntryPath& path, int parent) {
    auto cleaned = clean_entry_path(archive_entry_hardlink(entry));
    if (!cleaned)
        return entry_error(path, "is a hard link, but its target: " + cleaned.error().message);
    const EntryPath& target = *cleaned;
    std::string shown = "is a hard link to " + target.shown();
    if (target.full() == path.full()) return entry_error(path, shown + ", itself");
    Fd dir = open_beneath(tree_, target.parent);
    struct stat info;
    if (!dir.valid() || fstatat(dir.get(), target.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return entry_error(path, shown + ", which no entry before it created");
    // A second name for a symbolic link is harmless: linkat does not follow it, and nor does what
    // comes later.
    if (S_ISDIR(info.st_mode)) return entry_error(path, shown + ", which is a directory");
    if (tree::is_whiteout(info)) return entry_error(path, shown + ", which is a whiteout");
    if (linkat(dir.get(), target.name.c_str(), parent, path.name.c_str(), 0) == 0) return {};
    if (errno != EEXIST) return entry_errno(errno, path, "create hard link");
    TRY(clear(parent, path, false));
    if (linkat(dir.get(), target.name.c_str(), parent, path.name.c_str(), 0) != 0)
        return entry_errno(errno, path, "create hard link");
    return {};
}

Status Unpacker::place_whiteout(const EntryPath& path, int parent) {
    EntryPath hidden{path.parent, path.name.substr(kWhiteout.size())};
    if (hidden.name.empty() || hidden.name == "." || hidden.name == "..")
        return entry_error(path, "is a whiteout of no name");
    if (mknodat(parent, hidden.name.c_str(), S_IFCHR, 0) == 0) return {};
    if (errno != EEXIST) return entry_errno(errno, path, "create whiteout for");
    Fd dir(openat(parent, hidden.name.c_str(), kOpenDir));
    if (dir.valid()) return set_opaque(dir.get(), hidden.full());
    return {};  // Another file of this layer: it hides the lower one by being there.
}

// Metadata.

struct Owner {
    uid_t uid;
    gid_t gid;
};

Result<Owner> owner_of(archive_entry* entry, const EntryPath& path) {
    la_int64_t uid = archive_entry_uid(entry);
    la_int64_t gid = archive_entry_gid(entry);
    // The last value is chown(2)'s "leave it".
    if (uid < 0 || gid < 0 || uid >= la_int64_t(UINT32_MAX) || gid >= la_int64_t(UINT32_MAX))
        return entry_error(path, "has an owner outside of 0 to 4294967294");
    return Owner{uid_t(uid), gid_t(gid)};
}

void times_of(archive_entry* entry, timespec times[2]) {
    times[1] = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    times[0] = archive_entry_atime_is_set(entry)
                   ? timespec{archive_entry_atime(entry), archive_entry_atime_nsec(entry)}
                   : times[1];
}

/// Regular files and directories.
Status Unpacker::set_metadata(archive_entry* entry, const EntryPath& path, int fd) {
    Owner owner = TRY(owner_of(entry, path));
    if (fchown(fd, owner.uid, owner.gid) != 0) return entry_errno(errno, path, "change owner of");
    if (fchmod(fd, archive_entry_perm(entry) & 07777) != 0)
        return entry_errno(errno, path, "change mode of");
    TRY_STATUS(set_xattrs(entry, path, fd));
    timespec times[2];
    times_of(entry, times);
    if (futimens(fd, times) != 0) return entry_errno(errno, path, "set times of");
    return {};
}

/// Symbolic links, devices and fifos; the kernel lets none of them have the attributes that are
/// restored.
Status Unpacker::set_metadata_at(archive_entry* entry, const EntryPath& path, int parent) {
    const char* name = path.name.c_str();
    Owner owner = TRY(owner_of(entry, path));
    xattrs_left_out_ += uint64_t(archive_entry_xattr_count(entry));
    if (fchownat(parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0)
        return entry_errno(errno, path, "change owner of");
    if (archive_entry_filetype(entry) != AE_IFLNK &&
        fchmodat(parent, name, archive_entry_perm(entry) & 07777, 0) != 0)
        return entry_errno(errno, path, "change mode of");
    timespec times[2];
    times_of(entry, times);
    if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
        return entry_errno(errno, path, "set times of");
    return {};
}

Status Unpacker::set_xattrs(archive_entry* entry, const EntryPath& path, int fd) {
    const char* name;
    const void* value;
    size_t size;
    if (size_t(archive_entry_xattr_reset(entry)) > limits::xattrs_per_entry_max)
        return entry_error(path, "has more than 64 extended attributes");
    while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK) {
        if (name == nullptr || !tree::is_kept_xattr(name)) {
            ++xattrs_left_out_;
            continue;
        }
        if (size > limits::xattr_bytes_max)
            return entry_error(path, "has an extended attribute of more than 65536 bytes");
        if (fsetxattr(fd, name, value, size, 0) != 0)
            return entry_errno(errno, path, "set extended attribute " + show_name(name) + " of");
    }
    return {};
}

Status Unpacker::set_opaque(int dir, const std::string& shown) {
    if (fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) != 0)
        return fail_errno(errno, "mark directory " + show_name(shown) + " opaque");
    return {};
}

Status Unpacker::set_dir_times() {
    for (const DirTimes& dir : dir_times_) {
        Fd fd = open_beneath(tree_, dir.path);
        // A later entry may have put something else there.
        if (!fd.valid() && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) continue;
        if (!fd.valid() || futimens(fd.get(), dir.times) != 0)
            return fail_errno(errno, "set times of directory " + show_name(dir.path));
    }
    return {};
}

}  // namespace

Status unpack_tar(ContentStream& stream, int tree, int trash, const UnpackOptions& options,
                  std::vector<std::string>& notices) {
    // The root looks like any directory that no entry describes.
    if (fchown(tree, 0, 0) != 0 || fchmod(tree, 0755) != 0)
        return fail_errno(errno, "set metadata of the layer's root");
    auto done = Unpacker(stream, tree, trash, options, notices).run();
    if (!done) return context(done.error(), "unpack " + stream.name());
    return {};
}

}  // namespace noded::image

// Members of archives that hold images, see members.h. The index remembers where each member's
// bytes lie, so that nothing is unpacked twice and layers are streamed straight out of the archive.
#include "plugins/storage/image/members.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/check.h"
#include "agent/base/open_inside.h"
#include "plugins/sdk/tree/tar_writer.h"
#include "plugins/storage/image/entry_path.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {
namespace {

struct FreeArchive {
    void operator()(archive* reader) const { archive_read_free(reader); }
};

/// The target of a symbolic link as a member's name; empty if it leads out of the archive.
std::string resolve_link(const std::string& from, std::string_view target) {
    std::string base = clean_entry_path(from).value_or(EntryPath{}).parent;
    while (!target.empty()) {
        size_t slash = target.find('/');
        std::string_view part = target.substr(0, slash);
        target = slash == std::string_view::npos ? "" : target.substr(slash + 1);
        if (part.empty() || part == ".") continue;
        if (part != "..") {
            base += (base.empty() ? "" : "/") + std::string(part);
            continue;
        }
        if (base.empty()) return {};
        size_t last = base.rfind('/');
        base.resize(last == std::string::npos ? 0 : last);
    }
    return base;
}

}  // namespace

std::string Members::shown(const std::string& name) const {
    return source_.name + ": " + show_name(name);
}

Result<Members> Members::open(const StorePaths& paths, const Source& source, uint64_t bytes_max) {
    Members members(source);
    members.fd_ = source.fd.get();
    struct stat info;
    if (fstat(members.fd_, &info) != 0) return fail_errno(errno, "stat " + source.name);
    members.directory_ = S_ISDIR(info.st_mode);
    if (members.directory_) return members;
    uint8_t first[16];
    ssize_t count = S_ISREG(info.st_mode) ? pread(members.fd_, first, sizeof first, 0) : 0;
    if (count < 0) return fail_errno(errno, "read " + source.name);
    if (!S_ISREG(info.st_mode) || is_compressed(Bytes(first, size_t(count))))
        TRY_STATUS(members.spool(paths, bytes_max));
    TRY_STATUS(members.index());
    return members;
}

Status Members::spool(const StorePaths& paths, uint64_t bytes_max) {
    work_ = std::make_unique<Workspace>(TRY(Workspace::make(paths)));
    spool_.reset(openat(work_->fd(), "spool", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!spool_.valid()) return fail_errno(errno, "create " + work_->path() + "/spool");
    ContentStream stream({fd_, 0, {}}, source_.name, bytes_max);
    while (true) {
        auto bytes = stream.next();
        if (!bytes) return context(bytes.error(), "unpack " + source_.name);
        if (bytes->empty()) break;
        TRY_STATUS(
            tree::write_fully(spool_.get(), *bytes, "write " + work_->path() + "/spool"));
    }
    fd_ = spool_.get();
    return {};
}

Status Members::index() {
    struct stat info;
    if (fstat(fd_, &info) != 0) return fail_errno(errno, "stat " + source_.name);
    uint64_t whole = uint64_t(info.st_size);
    if (lseek(fd_, 0, SEEK_SET) != 0) return fail_errno(errno, "seek in " + source_.name);
    std::unique_ptr<archive, FreeArchive> reader(archive_read_new());
    CHECK(reader != nullptr);
    CHECK(archive_read_support_format_tar(reader.get()) == ARCHIVE_OK);
    if (archive_read_open_fd(reader.get(), fd_, 65536) != ARCHIVE_OK)
        return fail(source_.name + " is not a tar archive");
    uint64_t end = 0;
    while (true) {
        archive_entry* entry = nullptr;
        int result = archive_read_next_header(reader.get(), &entry);
        end = uint64_t(archive_read_header_position(reader.get()));
        if (result == ARCHIVE_EOF) break;
        bool readable = result == ARCHIVE_OK || result == ARCHIVE_WARN;
        const char* name = readable ? archive_entry_pathname(entry) : nullptr;
        if (name == nullptr)
            return fail(source_.name + " is damaged or truncated at byte " + std::to_string(end) +
                        ": " + (archive_error_string(reader.get()) ?: "a member has no name"));
        auto path = clean_entry_path(name);
        if (!path) return context(path.error(), source_.name);
        if (places_.size() >= limits::archive_members_max)
            return fail(source_.name + " has more than 65536 members");
        Place place;
        if (const char* hard = archive_entry_hardlink(entry)) {
            place.link = resolve_link("", hard);
        } else if (archive_entry_filetype(entry) == AE_IFLNK) {
            place.link = resolve_link(path->full(), archive_entry_symlink(entry) ?: "");
        } else if (archive_entry_filetype(entry) != AE_IFREG) {
            continue;
        }
        place.offset = uint64_t(archive_filter_bytes(reader.get(), 0));
        place.size = place.link.empty() ? uint64_t(archive_entry_size(entry)) : 0;
        if (place.size > whole || place.offset > whole - place.size)
            return fail(source_.name + " is truncated: it ends inside of " + path->shown());
        places_[path->full()] = std::move(place);
    }
    if (whole < end + 512) return fail(source_.name + " is truncated: it has no end marker");
    return {};
}

Result<Member> Members::find_file(const std::string& name) const {
    open_how how = {};
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    Fd fd(open_inside(fd_, name, how));
    if (!fd.valid()) return fail_errno(errno, "open " + shown(name));
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return fail_errno(errno, "stat " + shown(name));
    if (!S_ISREG(info.st_mode)) return fail(shown(name) + " is not a regular file");
    int raw = fd.get();
    return Member{std::move(fd), {raw, 0, uint64_t(info.st_size)}};
}

Result<Member> Members::find(const std::string& name) const {
    std::string path = TRY(clean_entry_path(name)).full();
    if (directory_) return find_file(path);
    for (size_t hop = 0; hop < limits::archive_link_hops_max; ++hop) {
        auto place = places_.find(path);
        if (place == places_.end()) return fail(shown(name) + " is not in the archive");
        if (place->second.link.empty())
            return Member{{}, {fd_, place->second.offset, place->second.size}};
        path = place->second.link;
    }
    return fail(shown(name) + " is a link that leads nowhere");
}

Result<std::string> Members::read(const std::string& name, size_t bytes_max) const {
    Member member = TRY(find(name));
    if (*member.extent.size > bytes_max)
        return fail(shown(name) + " has more than " + std::to_string(bytes_max) + " bytes");
    std::string content(*member.extent.size, '\0');
    size_t filled = 0;
    while (filled < content.size()) {
        ssize_t count = pread(member.extent.fd, content.data() + filled, content.size() - filled,
                              off_t(member.extent.offset + filled));
        if (count < 0) return fail_errno(errno, "read " + shown(name));
        if (count == 0) return fail(shown(name) + " is truncated");
        filled += size_t(count);
    }
    return content;
}

}  // namespace noded::image

// TarWriter, see tar_writer.h. The format is that of POSIX.1-2017, pax.
#include "plugins/sdk/tree/tar_writer.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/base/check.h"

namespace noded::tree {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kBuffer = 64 << 10;
constexpr size_t kCopyBytes = 256 << 10;
constexpr size_t kMoveBytes = 1 << 20;
constexpr uint64_t kSizeMax = (uint64_t{1} << 33) - 1;  ///< eleven octal digits
constexpr uint64_t kIdMax = (uint64_t{1} << 21) - 1;    ///< seven

struct Header {
    char name[100];
    char mode[8];
    char uid[8];
    char gid[8];
    char size[12];
    char mtime[12];
    char checksum[8];
    char type;
    char link[100];
    char magic[8];
    char user[32];
    char group[32];
    char major[8];
    char minor[8];
    char prefix[155];
    char padding[12];
};
static_assert(sizeof(Header) == kBlock);

/// What does not fit loses its upper digits; a pax record then says it whole.
template <size_t N>
void put_octal(char (&field)[N], uint64_t value) {
    for (size_t at = N - 1; at-- > 0; value /= 8) field[at] = char('0' + value % 8);
}

template <size_t N>
void put_text(char (&field)[N], const std::string& text) {
    memcpy(field, text.data(), std::min(text.size(), N));
}

char type_of(const TarEntry& entry) {
    if (entry.hard_link) return '1';
    switch (entry.mode & S_IFMT) {
        case S_IFLNK: return '2';
        case S_IFCHR: return '3';
        case S_IFBLK: return '4';
        case S_IFDIR: return '5';
        case S_IFIFO: return '6';
    }
    return '0';
}

/// "27 path=…\n", whose number counts itself.
void add_record(std::string& out, const std::string& key, std::string_view value) {
    const size_t rest = key.size() + value.size() + 3;
    size_t length = rest + std::to_string(rest).size();
    length = rest + std::to_string(length).size();
    out += std::to_string(length) + " " + key + "=";
    out += value;
    out += '\n';
}

bool is_ascii(const std::string& text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 128; });
}

/// Before 1970 without a fraction: readers do not agree on which way it counts.
std::string time_text(const timespec& time) {
    if (time.tv_sec < 0) return std::to_string(time.tv_sec);
    const std::string digits = std::to_string(1'000'000'000 + time.tv_nsec).substr(1);
    return std::to_string(time.tv_sec) + "." + digits;
}

/// What the plain header has no room for.
std::string records_of(const TarEntry& entry, const std::string& path) {
    std::string out;
    const bool long_path = path.size() > sizeof Header::name;
    const bool long_link = entry.link.size() > sizeof Header::link;
    // Names are bytes: without this a reader may take them for UTF-8 and change them.
    if ((long_path && !is_ascii(path)) || (long_link && !is_ascii(entry.link)))
        add_record(out, "hdrcharset", "BINARY");
    if (long_path) add_record(out, "path", path);
    if (long_link) add_record(out, "linkpath", entry.link);
    if (entry.size > kSizeMax) add_record(out, "size", std::to_string(entry.size));
    if (entry.uid > kIdMax) add_record(out, "uid", std::to_string(entry.uid));
    if (entry.gid > kIdMax) add_record(out, "gid", std::to_string(entry.gid));
    if (entry.mtime.tv_nsec != 0 || entry.mtime.tv_sec < 0)
        add_record(out, "mtime", time_text(entry.mtime));
    for (const auto& [name, value] : entry.xattrs) add_record(out, "SCHILY.xattr." + name, value);
    return out;
}

}  // namespace

Status write_fully(int fd, Bytes bytes, const std::string& what) {
    while (!bytes.empty()) {
        const ssize_t wrote = write(fd, bytes.data(), bytes.size());
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return fail_errno(errno, what);
        bytes = bytes.subspan(size_t(wrote));
    }
    return {};
}

Status TarWriter::flush() {
    TRY_STATUS(write_fully(out_, buffer_, "write the archive"));
    buffer_.clear();
    return {};
}

Status TarWriter::put(Bytes bytes) {
    if (bytes.size() >= kBuffer) {
        TRY_STATUS(flush());
        bytes_ += bytes.size();
        return write_fully(out_, bytes, "write the archive");
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    bytes_ += bytes.size();
    return buffer_.size() >= kBuffer ? flush() : Status();
}

Status TarWriter::put_zeros(uint64_t count) {
    static constexpr uint8_t kZeros[4096] = {};
    while (count > 0) {
        const size_t now = size_t(std::min<uint64_t>(count, sizeof kZeros));
        TRY_STATUS(put({kZeros, now}));
        count -= now;
    }
    return {};
}

Status TarWriter::header(const TarEntry& entry, const std::string& path, char type,
                         uint64_t size) {
    Header header = {};
    put_text(header.name, path);
    put_octal(header.mode, entry.mode & 07777);
    put_octal(header.uid, std::min(entry.uid, kIdMax));
    put_octal(header.gid, std::min(entry.gid, kIdMax));
    put_octal(header.size, std::min(size, kSizeMax));
    put_octal(header.mtime, uint64_t(std::clamp<int64_t>(entry.mtime.tv_sec, 0, kSizeMax)));
    header.type = type;
    put_text(header.link, entry.link);
    memcpy(header.magic, "ustar\00000", 8);
    if (type == '3' || type == '4') {
        put_octal(header.major, major(entry.device));
        put_octal(header.minor, minor(entry.device));
    }
    memset(header.checksum, ' ', sizeof header.checksum);
    const auto* raw = reinterpret_cast<const uint8_t*>(&header);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; ++i) sum += raw[i];
    char digits[7] = {};
    put_octal(digits, sum);
    memcpy(header.checksum, digits, sizeof digits);  // and a blank
    return put({raw, sizeof header});
}

Status TarWriter::extended(const TarEntry& entry, const std::string& path) {
    const std::string records = records_of(entry, path);
    if (records.empty()) return {};
    TarEntry carrier;
    carrier.mode = S_IFREG | 0644;
    const std::string name = "PaxHeaders/" + path.substr(path.size() > 80 ? path.size() - 80 : 0);
    TRY_STATUS(header(carrier, name, 'x', records.size()));
    TRY_STATUS(put(as_bytes(records)));
    return put_zeros((kBlock - records.size() % kBlock) % kBlock);
}

Status TarWriter::entry(const TarEntry& entry) {
    CHECK(!entry.path.empty());
    const char type = type_of(entry);
    const std::string path = type == '5' ? entry.path + "/" : entry.path;
    TRY_STATUS(extended(entry, path));
    return header(entry, path, type, type == '0' ? entry.size : 0);
}

/// Fewer bytes than asked for: the rest is to be copied, or the file has ended.
Result<uint64_t> TarWriter::move_inside_kernel(int file, uint64_t size,
                                               const std::string& shown) {
    uint64_t done = 0;
    while (done < size) {
        const ssize_t moved =
            sendfile(out_, file, nullptr, size_t(std::min<uint64_t>(size - done, kMoveBytes)));
        if (moved < 0 && errno == EINTR) continue;
        if (moved < 0 && (errno == EINVAL || errno == ENOSYS)) return done;
        if (moved < 0) return fail_errno(errno, "send " + shown);
        if (moved == 0) return done;
        done += uint64_t(moved);
    }
    return done;
}

Result<uint64_t> TarWriter::copy(int file, uint64_t size, const std::string& shown) {
    std::vector<uint8_t> block(size_t(std::min<uint64_t>(size, kCopyBytes)));
    uint64_t done = 0;
    while (done < size) {
        const ssize_t got =
            read(file, block.data(), size_t(std::min<uint64_t>(size - done, block.size())));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, "read " + shown);
        if (got == 0) break;
        TRY_STATUS(put({block.data(), size_t(got)}));
        done += uint64_t(got);
    }
    return done;
}

Status TarWriter::content(int file, uint64_t size, const std::string& shown) {
    uint64_t done = 0;
    // Small ones are gathered: a system call for each would cost more than the copy.
    if (size >= kBuffer) {
        TRY_STATUS(flush());
        done = TRY(move_inside_kernel(file, size, shown));
        bytes_ += done;
    }
    if (done < size) done += TRY(copy(file, size - done, shown));
    return put_zeros(size - done + (kBlock - size % kBlock) % kBlock);
}

Status TarWriter::padding(uint64_t size) {
    return put_zeros((kBlock - size % kBlock) % kBlock);
}

Status TarWriter::finish() {
    TRY_STATUS(put_zeros(2 * kBlock));
    return flush();
}

}  // namespace noded::tree

// See files.h.
#include "tools/nodectl/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

namespace noded::nodectl {
namespace {

constexpr size_t kTextBytesMax = 16 << 20;
constexpr size_t kCopyBytes = 1 << 20;

Result<Fd> open_path(const std::string& path) {
    const bool standard = path == "-";
    Fd fd(standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                   : open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(errno, "open " + path);
    return fd;
}

Result<Fd> temporary_file() {
    const char* folder = getenv("TMPDIR");
    if (folder == nullptr || *folder == 0) folder = "/var/tmp";
    Fd fd(open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd.valid()) return fd;
    // A file system without O_TMPFILE.
    std::string name = std::string(folder) + "/nodectl.XXXXXX";
    fd.reset(mkostemp(name.data(), O_CLOEXEC));
    if (!fd.valid()) return fail_errno(errno, "create a temporary file in " + std::string(folder));
    unlink(name.c_str());
    return fd;
}

/// The next bytes; 0 at the end.
Result<size_t> read_some(const Fd& fd, char* buffer, size_t size, const std::string& path) {
    for (;;) {
        const ssize_t count = read(fd.get(), buffer, size);
        if (count >= 0) return static_cast<size_t>(count);
        if (errno != EINTR) return fail_errno(errno, "read " + path);
    }
}

Status copy_all(const Fd& from, const Fd& to, const std::string& path) {
    const auto buffer = std::make_unique<char[]>(kCopyBytes);
    for (;;) {
        const size_t count = TRY(read_some(from, buffer.get(), kCopyBytes, path));
        if (count == 0) return {};
        for (size_t done = 0; done < count;) {
            const ssize_t written = write(to.get(), buffer.get() + done, count - done);
            if (written < 0 && errno != EINTR)
                return fail_errno(errno, "copy " + path + " to a temporary file");
            if (written > 0) done += static_cast<size_t>(written);
        }
    }
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
    const Fd fd = TRY(open_path(path));
    std::string text;
    char buffer[64 << 10];
    for (;;) {
        const size_t count = TRY(read_some(fd, buffer, sizeof buffer, path));
        if (count == 0) return text;
        text.append(buffer, count);
        if (text.size() > kTextBytesMax) return fail("read " + path + ": it has more than 16 MiB");
    }
}

Result<Fd> open_archive(const std::string& path) {
    Fd fd = TRY(open_path(path));
    struct stat status {};
    if (fstat(fd.get(), &status) != 0) return fail_errno(errno, "look at " + path);
    if (S_ISDIR(status.st_mode)) return fail_errno(EISDIR, "open " + path);
    const bool at_start = lseek(fd.get(), 0, SEEK_CUR) == 0;
    if (S_ISREG(status.st_mode) && at_start) return fd;
    Fd copy = TRY(temporary_file());
    TRY_STATUS(copy_all(fd, copy, path));
    lseek(copy.get(), 0, SEEK_SET);
    return copy;
}

}  // namespace noded::nodectl

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

/// The next bytes; 0 at the end.
Result<size_t> read_some(const Fd& fd, char* buffer, size_t size, const std::string& path) {
    for (;;) {
        const ssize_t count = read(fd.get(), buffer, size);
        if (count >= 0) return static_cast<size_t>(count);
        if (errno != EINTR) return fail_errno(errno, "read " + path);
    }
}

}  // namespace

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

Status copy_all(const Fd& from, const Fd& to, const std::string& what) {
    const auto buffer = std::make_unique<char[]>(kCopyBytes);
    for (;;) {
        const size_t count = TRY(read_some(from, buffer.get(), kCopyBytes, what));
        if (count == 0) return {};
        for (size_t done = 0; done < count;) {
            const ssize_t written = write(to.get(), buffer.get() + done, count - done);
            if (written < 0 && errno != EINTR) return fail_errno(errno, "copy " + what);
            if (written > 0) done += static_cast<size_t>(written);
        }
    }
}

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

Status write_whole(const std::string& path, const std::function<Status(Fd file)>& write) {
    const auto invalid = [](const std::string& why) { return fail("invalid output path: " + why); };
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    struct stat status {};
    if (!folder.empty() && (stat(folder.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)))
        return invalid("directory \"" + folder + "\" does not exist");
    // A device would be replaced.
    if (stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode))
        return fail_errno(EISDIR, "create " + path);
    if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
        return invalid("\"" + path + "\" must be a directory or a regular file");
    const std::string partial = path + ".part-" + std::to_string(getpid());
    // Without a name where that can be had: then nothing is left of what is interrupted.
    const char* const here = folder.empty() ? "." : folder.c_str();
    Fd file(open(here, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    const bool named = !file.valid();
    if (named) file.reset(open(partial.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno(errno, "create " + path);
    const Fd kept(fcntl(file.get(), F_DUPFD_CLOEXEC, 3));
    const std::string whole = "/proc/self/fd/" + std::to_string(kept.get());
    Status done = write(std::move(file));
    if (done && !named &&
        linkat(AT_FDCWD, whole.c_str(), AT_FDCWD, partial.c_str(), AT_SYMLINK_FOLLOW) != 0)
        done = fail_errno(errno, "create " + path);
    if (done && rename(partial.c_str(), path.c_str()) != 0)
        done = fail_errno(errno, "create " + path);
    if (!done) unlink(partial.c_str());
    return done;
}

}  // namespace noded::nodectl

// The kernel behind Sys, see sys.h.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/fd.h"
#include "plugins/stats/limits.h"
#include "plugins/stats/sys.h"

namespace noded::stats {
namespace {

constexpr size_t kFirstBytes = 16 << 10;  ///< more than nearly every file has

/// One for all files: what was read is looked at before the next read.
using Buffer = std::string;

class LinuxFile final : public File {
public:
    LinuxFile(Fd fd, std::string path, std::shared_ptr<Buffer> buffer)
        : fd_(std::move(fd)), path_(std::move(path)), buffer_(std::move(buffer)) {}

    Result<std::string_view> read() override {
        size_t size = 0;
        while (size < limits::file_bytes_max) {
            if (size == buffer_->size()) buffer_->resize(buffer_->size() * 2);
            const ssize_t got = pread(fd_.get(), buffer_->data() + size, buffer_->size() - size,
                                      static_cast<off_t>(size));
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail_errno(errno, "read " + path_);
            // Such a file gives all that it has at once, or line by line what fits into a page.
            if (got == 0) break;
            size += static_cast<size_t>(got);
            if (size < kWholeBytes) break;
        }
        return std::string_view(buffer_->data(), size);
    }

    bool changed() override {
        pollfd look{.fd = fd_.get(), .events = POLLPRI, .revents = 0};
        return poll(&look, 1, 0) != 0;
    }

private:
    /// A read that gave less has met the end: no line of a long file is half a page.
    static constexpr size_t kWholeBytes = 2048;

    Fd fd_;
    const std::string path_;
    const std::shared_ptr<Buffer> buffer_;
};

int64_t clock_ns(clockid_t clock) {
    timespec now{};
    clock_gettime(clock, &now);
    return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class LinuxSys final : public Sys {
public:
    explicit LinuxSys(LoadCounters load) : load_(load) {}

    Result<std::unique_ptr<File>> open(const std::string& path) override {
        Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!fd.valid()) return fail_errno(errno, "open " + path);
        return std::make_unique<LinuxFile>(std::move(fd), path, buffer_);
    }
    int64_t monotonic_ns() override { return clock_ns(CLOCK_MONOTONIC); }
    int64_t realtime_ns() override { return clock_ns(CLOCK_REALTIME); }
    uint64_t ticks_per_second() override { return static_cast<uint64_t>(sysconf(_SC_CLK_TCK)); }
    size_t files_max() override {
        rlimit limit{};
        return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
    }

    bool measure(Filesystem& filesystem) override {
        struct statvfs info {};
        if (statvfs(filesystem.mount_point.c_str(), &info) != 0) return false;
        filesystem.size = info.f_blocks * info.f_frsize;
        filesystem.free = info.f_bfree * info.f_frsize;
        filesystem.available = info.f_bavail * info.f_frsize;
        filesystem.files = info.f_files;
        filesystem.files_free = info.f_ffree;
        return filesystem.size > 0;
    }

    uint64_t cgroup_id(const std::string& folder) override {
        struct stat info {};
        return stat(folder.c_str(), &info) == 0 ? info.st_ino : 0;
    }
    Result<std::unique_ptr<Counters>> load_counters(const std::string& mount) override {
        return load_(mount);
    }

private:
    const LoadCounters load_;
    const std::shared_ptr<Buffer> buffer_ = std::make_shared<Buffer>(kFirstBytes, '\0');
};

}  // namespace

std::shared_ptr<Sys> linux_sys(LoadCounters load) { return std::make_shared<LinuxSys>(load); }

}  // namespace noded::stats

// See storage_file.h.
#include "agent/log/storage_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <mutex>

#include "agent/base/check.h"
#include "agent/base/fd.h"
#include "agent/log/aligned.h"
#include "agent/log/file_lock.h"

namespace noded::log {

namespace {

constexpr size_t kZeroChunk = 1 << 20;

/// O_DIRECT if the filesystem accepts it, else through the page cache; -1 and errno.
int open_direct(int directory, const std::string& name, int flags) {
    int fd = openat(directory, name.c_str(), flags | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EINVAL) fd = openat(directory, name.c_str(), flags | O_CLOEXEC, 0600);
    return fd;
}

/// Writes all of `data`; 0 or an errno.
int write_fully(int fd, Bytes data, uint64_t offset) {
    while (!data.empty()) {
        const ssize_t wrote = pwrite(fd, data.data(), data.size(), static_cast<off_t>(offset));
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return errno;
        if (wrote == 0) return EIO;
        data = data.subspan(static_cast<size_t>(wrote));
        offset += static_cast<uint64_t>(wrote);
    }
    return 0;
}

/// The directory and what its files may take; shared with the work on the offload lane.
struct Directory {
    explicit Directory(Fd opened) : fd(std::move(opened)) {}
    int get() const { return fd.get(); }
    void hold(Fd file) {
        const std::lock_guard lock(mutex);
        released.push_back(std::move(file));
    }
    std::vector<Fd> take_released() {
        const std::lock_guard lock(mutex);
        return std::exchange(released, {});
    }

    const Fd fd;
    std::mutex mutex;
    /// Files without a name: their blocks and pages go with the descriptor, which takes its time.
    std::vector<Fd> released;
    std::atomic<uint64_t> bytes_max = UINT64_MAX;
    std::atomic<uint64_t> reserve = 0;
    std::atomic<uint64_t> archive_bytes_max = UINT64_MAX;
};

/// Of which limit a file takes its bytes, and how much of it is left to others.
struct Share {
    bool archive = false;
    uint64_t reserve = 0;
};

using TellFile = std::function<void(const std::string& name, const struct stat& info)>;

/// Told each file of the folder `folder` below the directory; 0 or an errno.
int each_file_in(int directory, const char* folder, const std::string& prefix,
                 const TellFile& tell) {
    // A descriptor of its own, because reading a directory moves the position.
    const int fd = openat(directory, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    DIR* stream = fdopendir(fd);
    CHECK(stream != nullptr);
    errno = 0;
    while (const dirent* found = readdir(stream)) {
        struct stat info;
        if (found->d_name[0] != '.' && fstatat(fd, found->d_name, &info, 0) == 0 &&
            S_ISREG(info.st_mode)) {
            tell(prefix + found->d_name, info);
        }
        errno = 0;
    }
    const int error = errno;
    closedir(stream);
    return error;
}

int each_file(int directory, const TellFile& tell) {
    if (const int error = each_file_in(directory, ".", "", tell); error != 0) return error;
    const int error = each_file_in(directory, kArchiveFolder, kArchiveFolder + std::string("/"),
                                   tell);
    return error == ENOENT ? 0 : error;
}

uint64_t bytes_of(const struct stat& info) {
    return std::max<uint64_t>(static_cast<uint64_t>(info.st_size),
                              static_cast<uint64_t>(info.st_blocks) * kSector);
}

/// Makes the file longer within `space`; 0 or an errno. Its size is claimed before it is compared,
/// so that of two that claim at once, in threads or processes, never both get the last of it.
int claim(const Directory& directory, const Share& share, int fd, uint64_t bytes) {
    struct stat before;
    if (fstat(fd, &before) != 0) return errno;
    if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return errno;
    const uint64_t bytes_max = share.archive ? directory.archive_bytes_max : directory.bytes_max;
    if (static_cast<uint64_t>(before.st_size) >= bytes || bytes_max == UINT64_MAX) return 0;
    uint64_t used = 0;
    const int error =
        each_file(directory.get(), [&](const std::string& name, const struct stat& info) {
            if (is_in_archive(name) == share.archive) used += bytes_of(info);
        });
    if (error == 0 && used + share.reserve <= bytes_max) return 0;
    if (ftruncate(fd, before.st_size) != 0) return errno;
    return error != 0 ? error : EDQUOT;
}

/// Makes the file `bytes` zeros, really written and durable; 0 or an errno.
int zero_fill(const Directory& directory, int fd, uint64_t bytes) {
    const Share share{false, directory.reserve};
    if (const int error = claim(directory, share, fd, bytes); error != 0) return error;
    if (bytes == 0) return fdatasync(fd) == 0 ? 0 : errno;
    // First the space, so that a full disk is known before a byte is written.
    if (fallocate(fd, 0, 0, static_cast<off_t>(bytes)) != 0 && errno != EOPNOTSUPP) return errno;
    AlignedBuffer zeros(kZeroChunk);
    memset(zeros.data(), 0, zeros.size());
    for (uint64_t at = 0; at < bytes; at += kZeroChunk) {
        const auto chunk = zeros.span(0, std::min<uint64_t>(kZeroChunk, bytes - at));
        if (const int error = write_fully(fd, chunk, at); error != 0) return error;
    }
    return fdatasync(fd) == 0 ? 0 : errno;
}

/// Makes the names in the folder of `name` durable; 0 or an errno.
int sync_names_of(int directory, const std::string& name) {
    if (fsync(directory) != 0) return errno;
    const size_t slash = name.rfind('/');
    if (slash == std::string::npos) return 0;
    const Fd folder(openat(directory, name.substr(0, slash).c_str(),
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder.valid() && fsync(folder.get()) == 0 ? 0 : errno;
}

/// A complete file under its name, or nothing; 0 or an errno. `draft` is the name until then.
int make_zeroed(const Directory& directory, const std::string& name, uint64_t bytes,
                const std::string& draft) {
    const int at = directory.get();
    if (const size_t slash = draft.rfind('/');
        slash != std::string::npos && mkdirat(at, draft.substr(0, slash).c_str(), 0700) != 0 &&
        errno != EEXIST) {
        return errno;
    }
    const Fd file(open_direct(at, draft, O_RDWR | O_CREAT));
    int error = file.valid() ? zero_fill(directory, file.get(), bytes) : errno;
    if (error == 0 && renameat2(at, draft.c_str(), at, name.c_str(), RENAME_NOREPLACE) != 0) {
        error = errno;
    }
    if (error != 0) unlinkat(at, draft.c_str(), 0);
    // Also for EEXIST: who gave that name just now, on another thread, may not have got here yet.
    if (error != 0 && error != EEXIST) return error;
    const int synced = sync_names_of(at, name);
    return error != 0 && synced == 0 ? error : synced;
}

/// The sentence for an errno of the functions above.
std::unexpected<Error> failed(const Directory& directory, int error, const std::string& doing,
                              bool archive = false) {
    if (error != EDQUOT) return fail_errno(error, doing);
    const std::string limit =
        archive ? "the archives are at their limit of " +
                      std::to_string(directory.archive_bytes_max) + " bytes (archiveBytesMax)"
                : "log and snapshots are at their limit of " +
                      std::to_string(directory.bytes_max) + " bytes (logBytesMax)";
    return std::unexpected(Error{EDQUOT, doing + ": " + limit});
}

class FileOnDisk final : public File, private reactor::Completion {
public:
    FileOnDisk(reactor::Reactor* reactor, std::shared_ptr<const Directory> directory,
               std::string path, bool archive, Fd fd, uint64_t size)
        : reactor_(reactor),
          directory_(std::move(directory)),
          path_(std::move(path)),
          archive_(archive),
          fd_(std::move(fd)),
          size_(size) {}

    uint64_t size() const override { return size_; }

    void write_durable(uint64_t offset, Bytes data, WriteDone& done) override {
        CHECK_MSG(reactor_ != nullptr, "a read-only storage never writes");
        CHECK_MSG(done_ == nullptr, "one durable write per file at a time");
        CHECK(!data.empty() && offset + data.size() <= size_);
        offset_ = offset;
        left_ = data;
        done_ = &done;
        reactor_->write(fd_.get(), left_, offset_, true, *this);
    }

    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) override {
        size_t got = 0;
        while (got < into.size()) {
            const ssize_t read = pread(fd_.get(), into.data() + got, into.size() - got,
                                       static_cast<off_t>(offset + got));
            if (read < 0 && errno == EINTR) continue;
            if (read < 0)
                return fail_errno(errno,
                                  "read " + path_ + " at byte " + std::to_string(offset + got));
            got += static_cast<size_t>(read);
            // O_DIRECT ends a read within a block only at the end of the file, and cannot go on
            // from there.
            if (read == 0 || got % kBlock != 0) break;
        }
        return got;
    }

    Status write_now(uint64_t offset, Bytes data) override {
        if (reactor_ == nullptr) return fail_errno(EROFS, "write " + path_);
        const uint64_t end = offset + data.size();
        int error = end <= size_ ? 0 : claim(*directory_, {archive_, 0}, fd_.get(), end);
        if (error == 0) error = write_fully(fd_.get(), data, offset);
        if (error == 0 && fdatasync(fd_.get()) != 0) error = errno;
        if (error != 0) {
            return failed(*directory_, error,
                          "write " + path_ + " at byte " + std::to_string(offset), archive_);
        }
        size_ = std::max(size_, offset + data.size());
        return {};
    }

private:
    void complete(int32_t result, bool more) override {
        CHECK(done_ != nullptr && !more);
        if (result > 0 && static_cast<size_t>(result) < left_.size()) {
            offset_ += static_cast<uint64_t>(result);
            left_ = left_.subspan(static_cast<size_t>(result));
            reactor_->write(fd_.get(), left_, offset_, true, *this);
            return;
        }
        Status status;
        if (result <= 0) {
            status = fail_errno(result == 0 ? EIO : -result,
                                "write " + path_ + " at byte " + std::to_string(offset_));
        }
        std::exchange(done_, nullptr)->written(std::move(status));
    }

    reactor::Reactor* reactor_;
    std::shared_ptr<const Directory> directory_;
    std::string path_;
    const bool archive_;
    Fd fd_;
    uint64_t size_;
    uint64_t offset_ = 0;
    Bytes left_;
    WriteDone* done_ = nullptr;
};

class FileStorage final : public Storage, private reactor::Completion {
public:
    FileStorage(reactor::Reactor* reactor, std::string path, std::shared_ptr<Directory> directory)
        : reactor_(reactor), path_(std::move(path)), directory_(std::move(directory)) {}

    Result<std::vector<std::string>> list() override;
    Result<std::vector<FileSize>> sizes() override;
    void limit(const Space& space) override {
        directory_->bytes_max = space.bytes_max;
        directory_->reserve = space.reserve;
        directory_->archive_bytes_max = space.archive_bytes_max;
    }
    Result<std::unique_ptr<File>> open(const std::string& name) override;
    Result<std::unique_ptr<File>> create_zeroed(const std::string& name, uint64_t bytes) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& name) override;
    Status release(const std::string& name, const std::string& keep_as) override;
    Status sync_names() override;
    bool prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                        WriteDone& done) override;
    bool aside(std::function<Status(Storage&)> work, WriteDone& done) override;

private:
    /// Work that runs aside; each of an owner of its own, so that neither another one nor a segment
    /// that is needed waits for it.
    struct Aside final : reactor::Completion {
        const void* offload_owner() const override { return this; }
        void complete(int32_t, bool) override {
            WriteDone* const told = std::exchange(done, nullptr);
            told->written(std::move(*status));
        }
        WriteDone* done = nullptr;   ///< null: it is free
        std::shared_ptr<Status> status;
    };
    /// The log looks behind its end and reads a stretch, an archive is being made, and names are
    /// synced.
    static constexpr size_t kAsideMax = 4;

    void complete(int32_t result, bool more) override;
    std::string path_of(const std::string& name) const { return path_ + "/" + name; }

    reactor::Reactor* reactor_;
    std::string path_;
    std::shared_ptr<Directory> directory_;
    std::string preparing_;
    WriteDone* prepared_ = nullptr;
    Aside aside_[kAsideMax];
};

/// Lowers the priority of this thread while it lives, where it can be raised again: without
/// CAP_SYS_NICE it cannot, and the thread is not ours alone. So one step is tried first.
class Niced {
public:
    Niced() {
        errno = 0;
        before_ = getpriority(PRIO_PROCESS, thread_);
        if (errno != 0 || before_ + kSteps > 19) return;
        lowered_ = setpriority(PRIO_PROCESS, thread_, before_ + 1) == 0 &&
                   setpriority(PRIO_PROCESS, thread_, before_) == 0 &&
                   setpriority(PRIO_PROCESS, thread_, before_ + kSteps) == 0;
    }
    ~Niced() {
        if (lowered_) setpriority(PRIO_PROCESS, thread_, before_);
    }

private:
    static constexpr int kSteps = 10;
    const id_t thread_ = static_cast<id_t>(gettid());
    int before_ = 0;
    bool lowered_ = false;
};

Result<std::vector<std::string>> FileStorage::list() {
    std::vector<std::string> names;
    for (FileSize& file : TRY(sizes())) names.push_back(std::move(file.name));
    return names;
}

Result<std::vector<FileSize>> FileStorage::sizes() {
    std::vector<FileSize> sizes;
    const int error =
        each_file(directory_->get(), [&](const std::string& name, const struct stat& info) {
            sizes.push_back({name, bytes_of(info)});
        });
    if (error != 0) return fail_errno(error, "list " + path_);
    return sizes;
}

Result<std::unique_ptr<File>> FileStorage::open(const std::string& name) {
    Fd fd(open_direct(directory_->get(), name, reactor_ != nullptr ? O_RDWR : O_RDONLY));
    if (!fd.valid()) return fail_errno(errno, "open " + path_of(name));
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return fail_errno(errno, "stat " + path_of(name));
    return std::make_unique<FileOnDisk>(reactor_, directory_, path_of(name), is_in_archive(name),
                                        std::move(fd), static_cast<uint64_t>(info.st_size));
}

Result<std::unique_ptr<File>> FileStorage::create_zeroed(const std::string& name, uint64_t bytes) {
    if (reactor_ == nullptr) return fail_errno(EROFS, "create " + path_of(name));
    // Not the draft of prepare_zeroed, which may be at work on the same name.
    const int error =
        make_zeroed(*directory_, name, bytes, name + ".now" + kUnfinishedSuffix);
    if (error != 0) return failed(*directory_, error, "create " + path_of(name));
    return open(name);
}

Status FileStorage::rename(const std::string& from, const std::string& to) {
    const std::string doing = "rename " + path_of(from) + " to " + to;
    if (reactor_ == nullptr) return fail_errno(EROFS, doing);
    if (renameat(directory_->get(), from.c_str(), directory_->get(), to.c_str()) != 0) {
        return fail_errno(errno, doing);
    }
    if (const int error = sync_names_of(directory_->get(), to); error != 0)
        return fail_errno(error, doing);
    return {};
}

Status FileStorage::remove(const std::string& name) {
    const std::string doing = "remove " + path_of(name);
    if (reactor_ == nullptr) return fail_errno(EROFS, doing);
    if (unlinkat(directory_->get(), name.c_str(), 0) != 0) return fail_errno(errno, doing);
    if (const int error = sync_names_of(directory_->get(), name); error != 0)
        return fail_errno(error, doing);
    return {};
}

Status FileStorage::release(const std::string& name, const std::string& keep_as) {
    const std::string doing = "release " + path_of(name);
    if (reactor_ == nullptr) return fail_errno(EROFS, doing);
    const int at = directory_->get();
    if (!keep_as.empty()) {
        if (renameat(at, name.c_str(), at, keep_as.c_str()) != 0) return fail_errno(errno, doing);
        return {};
    }
    Fd file(openat(at, name.c_str(), O_PATH | O_CLOEXEC));
    if (unlinkat(at, name.c_str(), 0) != 0) return fail_errno(errno, doing);
    if (file.valid()) directory_->hold(std::move(file));
    return {};
}

Status FileStorage::sync_names() {
    directory_->take_released();
    int error = fsync(directory_->get()) == 0 ? 0 : errno;
    const Fd archive(openat(directory_->get(), kArchiveFolder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (error == 0 && archive.valid() && fsync(archive.get()) != 0) error = errno;
    if (error != 0) return fail_errno(error, "sync " + path_);
    return {};
}

bool FileStorage::prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                                 WriteDone& done) {
    CHECK_MSG(reactor_ != nullptr, "a read-only storage never writes");
    CHECK_MSG(prepared_ == nullptr, "one preparation at a time");
    const std::string draft = reuse.empty() ? name + kUnfinishedSuffix : reuse;
    auto work = [directory = directory_, name, bytes, draft, reused = !reuse.empty()]() -> int32_t {
        // Nothing is written into what a power failure could still give its old name back.
        if (reused && fsync(directory->get()) != 0) return -errno;
        return -make_zeroed(*directory, name, bytes, draft);
    };
    if (!reactor_->offload(std::move(work), *this)) return false;
    preparing_ = name;
    prepared_ = &done;
    return true;
}

bool FileStorage::aside(std::function<Status(Storage&)> work, WriteDone& done) {
    CHECK_MSG(reactor_ != nullptr, "a read-only storage never writes");
    if (std::ranges::find(aside_, &done, &Aside::done) != std::end(aside_)) return false;
    const auto free = std::ranges::find(aside_, nullptr, &Aside::done);
    if (free == std::end(aside_)) return false;
    // The reactor may give the work back unfinished.
    auto status = std::make_shared<Status>(fail_errno(ECANCELED, "work in " + path_));
    // On the same directory, but an object of its own: this one may be gone before the work ends.
    auto storage = std::make_shared<FileStorage>(reactor_, path_, directory_);
    auto call = [storage, status, work = std::move(work)]() -> int32_t {
        const Niced niced;
        *status = work(*storage);
        return 0;
    };
    if (!reactor_->offload(std::move(call), *free)) return false;
    free->done = &done;
    free->status = std::move(status);
    return true;
}

void FileStorage::complete(int32_t result, bool more) {
    CHECK(prepared_ != nullptr && !more);
    Status status;
    if (result != 0) status = failed(*directory_, -result, "prepare " + path_of(preparing_));
    std::exchange(prepared_, nullptr)->written(std::move(status));
}

/// Whoever reads, or writes only what is left to it, keeps nobody out.
enum class Lock { none, exclusive };

Result<std::unique_ptr<Storage>> open_directory(reactor::Reactor* reactor,
                                                const std::string& directory, Lock lock) {
    auto fd = std::make_shared<Directory>(
        Fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    if (!fd->fd.valid()) return fail_errno(errno, "open " + directory);
    if (lock == Lock::exclusive && !lock_exclusive(fd->get())) {
        return fail_errno(errno, "lock " + directory + ", which another process has open");
    }
    return std::make_unique<FileStorage>(reactor, directory, std::move(fd));
}

/// The name of a directory that was made just now, and of the one that it stands in, which may be
/// as new: without them all in it is lost with the power.
Status sync_way_to(const std::string& directory) {
    std::string above = directory;
    for (int level = 0; level < 2 && !above.empty(); ++level) {
        above = above.substr(0, above.rfind('/'));
        const Fd folder(
            ::open(above.empty() ? "/" : above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        // EINVAL: a file system that has nothing to sync.
        if (!folder.valid() || (fsync(folder.get()) != 0 && errno != EINVAL))
            return fail_errno(errno, "sync " + above + "/");
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<Storage>> open_file_storage(reactor::Reactor& reactor,
                                                   const std::string& directory) {
    if (mkdir(directory.c_str(), 0700) == 0) {
        TRY_STATUS(sync_way_to(directory));
    } else if (errno != EEXIST) {
        return fail_errno(errno, "make " + directory);
    }
    return open_directory(&reactor, directory, Lock::exclusive);
}

Result<std::unique_ptr<Storage>> open_file_storage_beside(reactor::Reactor& reactor,
                                                          const std::string& directory) {
    return open_directory(&reactor, directory, Lock::none);
}

Result<std::unique_ptr<Storage>> open_file_storage_read_only(const std::string& directory) {
    return open_directory(nullptr, directory, Lock::none);
}

}  // namespace noded::log

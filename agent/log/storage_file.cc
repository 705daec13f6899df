// See storage_file.h.
#include "agent/log/storage_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

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

/// Makes the file `bytes` zeros, really written and durable; 0 or an errno.
int zero_fill(int fd, uint64_t bytes) {
    if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) return errno;
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

/// A complete file under its name, or nothing; 0 or an errno. `draft` is the name until then.
int make_zeroed(int directory, const std::string& name, uint64_t bytes, const std::string& draft) {
    const Fd file(open_direct(directory, draft, O_RDWR | O_CREAT));
    int error = file.valid() ? zero_fill(file.get(), bytes) : errno;
    if (error == 0 &&
        renameat2(directory, draft.c_str(), directory, name.c_str(), RENAME_NOREPLACE) != 0) {
        error = errno;
    }
    if (error != 0) unlinkat(directory, draft.c_str(), 0);
    // Also for EEXIST: who gave that name just now, on another thread, may not have got here yet.
    if ((error == 0 || error == EEXIST) && fsync(directory) != 0) return errno;
    return error;
}

class FileOnDisk final : public File, private reactor::Completion {
public:
    FileOnDisk(reactor::Reactor* reactor, std::string path, Fd fd, uint64_t size)
        : reactor_(reactor), path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

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
        int error = write_fully(fd_.get(), data, offset);
        if (error == 0 && fdatasync(fd_.get()) != 0) error = errno;
        if (error != 0)
            return fail_errno(error, "write " + path_ + " at byte " + std::to_string(offset));
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
    std::string path_;
    Fd fd_;
    uint64_t size_;
    uint64_t offset_ = 0;
    Bytes left_;
    WriteDone* done_ = nullptr;
};

class FileStorage final : public Storage, private reactor::Completion {
public:
    FileStorage(reactor::Reactor* reactor, std::string path, std::shared_ptr<const Fd> directory)
        : reactor_(reactor), path_(std::move(path)), directory_(std::move(directory)) {}

    Result<std::vector<std::string>> list() override;
    Result<std::unique_ptr<File>> open(const std::string& name) override;
    Result<std::unique_ptr<File>> create_zeroed(const std::string& name, uint64_t bytes) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& name) override;
    bool prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                        WriteDone& done) override;

private:
    void complete(int32_t result, bool more) override;
    Status sync_names(const std::string& doing);
    std::string path_of(const std::string& name) const { return path_ + "/" + name; }

    reactor::Reactor* reactor_;
    std::string path_;
    std::shared_ptr<const Fd> directory_;  ///< shared with the work on the offload lane
    std::string preparing_;
    WriteDone* prepared_ = nullptr;
};

Result<std::vector<std::string>> FileStorage::list() {
    // A descriptor of its own, because reading a directory moves the position.
    const int fd = openat(directory_->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(errno, "list " + path_);
    DIR* stream = fdopendir(fd);
    CHECK(stream != nullptr);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* found = readdir(stream)) {
        if (found->d_name[0] != '.') names.emplace_back(found->d_name);
        errno = 0;
    }
    const int error = errno;
    closedir(stream);
    if (error != 0) return fail_errno(error, "list " + path_);
    return names;
}

Result<std::unique_ptr<File>> FileStorage::open(const std::string& name) {
    Fd fd(open_direct(directory_->get(), name, reactor_ != nullptr ? O_RDWR : O_RDONLY));
    if (!fd.valid()) return fail_errno(errno, "open " + path_of(name));
    struct stat info;
    if (fstat(fd.get(), &info) != 0) return fail_errno(errno, "stat " + path_of(name));
    return std::make_unique<FileOnDisk>(reactor_, path_of(name), std::move(fd),
                                        static_cast<uint64_t>(info.st_size));
}

Result<std::unique_ptr<File>> FileStorage::create_zeroed(const std::string& name, uint64_t bytes) {
    if (reactor_ == nullptr) return fail_errno(EROFS, "create " + path_of(name));
    // Not the draft of prepare_zeroed, which may be at work on the same name.
    const int error =
        make_zeroed(directory_->get(), name, bytes, name + ".now" + kUnfinishedSuffix);
    if (error != 0) return fail_errno(error, "create " + path_of(name));
    return open(name);
}

Status FileStorage::sync_names(const std::string& doing) {
    if (fsync(directory_->get()) != 0) return fail_errno(errno, doing);
    return {};
}

Status FileStorage::rename(const std::string& from, const std::string& to) {
    const std::string doing = "rename " + path_of(from) + " to " + to;
    if (reactor_ == nullptr) return fail_errno(EROFS, doing);
    if (renameat(directory_->get(), from.c_str(), directory_->get(), to.c_str()) != 0) {
        return fail_errno(errno, doing);
    }
    return sync_names(doing);
}

Status FileStorage::remove(const std::string& name) {
    const std::string doing = "remove " + path_of(name);
    if (reactor_ == nullptr) return fail_errno(EROFS, doing);
    if (unlinkat(directory_->get(), name.c_str(), 0) != 0) return fail_errno(errno, doing);
    return sync_names(doing);
}

bool FileStorage::prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                                 WriteDone& done) {
    CHECK_MSG(reactor_ != nullptr, "a read-only storage never writes");
    CHECK_MSG(prepared_ == nullptr, "one preparation at a time");
    const std::string draft = reuse.empty() ? name + kUnfinishedSuffix : reuse;
    auto work = [directory = directory_, name, bytes, draft]() -> int32_t {
        return -make_zeroed(directory->get(), name, bytes, draft);
    };
    if (!reactor_->offload(std::move(work), *this)) return false;
    preparing_ = name;
    prepared_ = &done;
    return true;
}

void FileStorage::complete(int32_t result, bool more) {
    CHECK(prepared_ != nullptr && !more);
    Status status;
    if (result != 0) status = fail_errno(-result, "prepare " + path_of(preparing_));
    std::exchange(prepared_, nullptr)->written(std::move(status));
}

/// Whoever reads, or writes only what is left to it, keeps nobody out.
enum class Lock { none, exclusive };

Result<std::unique_ptr<Storage>> open_directory(reactor::Reactor* reactor,
                                                const std::string& directory, Lock lock) {
    auto fd =
        std::make_shared<const Fd>(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd->valid()) return fail_errno(errno, "open " + directory);
    if (lock == Lock::exclusive && !lock_exclusive(fd->get())) {
        return fail_errno(errno, "lock " + directory + ", which another process has open");
    }
    return std::make_unique<FileStorage>(reactor, directory, std::move(fd));
}

}  // namespace

Result<std::unique_ptr<Storage>> open_file_storage(reactor::Reactor& reactor,
                                                   const std::string& directory) {
    if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
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

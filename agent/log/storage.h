// Storage: the seam below log and snapshots, one directory of files. The real one is files and the
// reactor (storage_file.h); the one in memory (storage_mem.h) loses, tears and flips what it is
// told to.
//
// What all files take together is bounded, and apart from them what those of the archive take:
// beyond it making or growing one is EDQUOT, as beyond the disk it is ENOSPC.
//
// All reads and writes are block-aligned (limits::log_block_bytes) in address, offset and size,
// because the real files are opened with O_DIRECT where the filesystem accepts it.
#pragma once

#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded::log {

class WriteDone {
public:
    virtual ~WriteDone() = default;
    virtual void written(Status status) = 0;
};

class File {
public:
    virtual ~File() = default;
    virtual uint64_t size() const = 0;
    /// Durable when `done` is told. `data` stays valid until then; one such write per file at a
    /// time.
    virtual void write_durable(uint64_t offset, Bytes data, WriteDone& done) = 0;
    /// Blocking; for recovery, replay and snapshots. Short only at the end of the file.
    virtual Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) = 0;
    virtual Status write_now(uint64_t offset,
                             Bytes data) = 0;  ///< blocking and durable; may grow the file
};

struct FileSize {
    std::string name;
    uint64_t bytes = 0;   ///< what it takes on the disk
};

/// What all files together may take.
struct Space {
    uint64_t bytes_max = UINT64_MAX;   ///< but those of the archive
    /// So much of it is left by files made as zeros (segments) to those that grow (snapshots):
    /// only a snapshot leads out of a log that is full.
    uint64_t reserve = 0;
    uint64_t archive_bytes_max = UINT64_MAX;
};

/// Neither the disk nor the storage's own limit has room.
inline bool is_lack_of_space(const Error& error) {
    return error.code == ENOSPC || error.code == EDQUOT;
}

/// A folder of the directory; the names of its files begin with it and a slash. It is made by
/// the first file in it.
inline constexpr char kArchiveFolder[] = "archive";
inline bool is_in_archive(std::string_view name) {
    return name.starts_with(kArchiveFolder) && name.substr(sizeof kArchiveFolder - 1, 1) == "/";
}

/// Names that end like this are files in the making: whoever makes files removes those it finds at
/// start.
inline constexpr char kUnfinishedSuffix[] = ".unfinished";

class Storage {
public:
    virtual ~Storage() = default;
    virtual Result<std::vector<std::string>> list() = 0;
    virtual Result<std::vector<FileSize>> sizes() = 0;
    /// Holds from now on for files made or grown through this object.
    virtual void limit(const Space& space) = 0;
    virtual Result<std::unique_ptr<File>> open(const std::string& name) = 0;
    /// A file of `bytes` zeros, really written (an overwrite then needs no metadata commit);
    /// durable with its name, which appears only when the file is complete. EEXIST if the name is
    /// taken; that is durable then, too.
    virtual Result<std::unique_ptr<File>> create_zeroed(const std::string& name,
                                                        uint64_t bytes) = 0;
    virtual Status rename(const std::string& from,
                          const std::string& to) = 0;    ///< durable, replaces
    virtual Status remove(const std::string& name) = 0;  ///< durable
    /// Removes the file, or gives it the name `keep_as`, for `reuse` below, without waiting for the
    /// disk: a power failure before `sync_names` may bring it back under its name.
    virtual Status release(const std::string& name, const std::string& keep_as) = 0;
    /// What was released is so for good, and its space free. Blocking.
    virtual Status sync_names() = 0;
    /// create_zeroed off the reactor's thread; at most one at a time. `reuse` names a file that is
    /// overwritten with zeros and becomes the new one, "" for none. False if there is no lane free
    /// for it; then nothing happens.
    virtual bool prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                                WriteDone& done) = 0;
    /// Runs `work`, which may block for long and use what it is given, beside the reactor's thread
    /// and with a lower priority; for each `done` at most one at a time, and never many. `work`
    /// must own all else it touches. False if there is no lane free for it; then nothing happens.
    virtual bool aside(std::function<Status(Storage&)> work, WriteDone& done) = 0;
};

}  // namespace noded::log

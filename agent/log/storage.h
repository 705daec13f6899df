// Storage: the seam below log and snapshots, one directory of files. The real one is files and the reactor
// (storage_file.h); the simulator's loses, tears and flips what it is told to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
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
    /// Durable when `done` is told. `data` is block-aligned in address, size and offset, and stays valid until then.
    virtual void write_durable(uint64_t offset, Bytes data, WriteDone& done) = 0;
    /// Blocking; for recovery, replay and snapshots. Short only at the end of the file.
    virtual Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) = 0;
    virtual Status write_now(uint64_t offset, Bytes data) = 0;  ///< blocking and durable
    virtual Status truncate(uint64_t size) = 0;                 ///< durable
};

class Storage {
public:
    virtual ~Storage() = default;
    virtual Result<std::vector<std::string>> list() = 0;
    virtual Result<std::unique_ptr<File>> open(const std::string& name) = 0;
    /// A file of `bytes` zeros, really written (an overwrite then needs no metadata commit); durable with its name.
    virtual Result<std::unique_ptr<File>> create_zeroed(const std::string& name, uint64_t bytes) = 0;
    virtual Status rename(const std::string& from, const std::string& to) = 0;  ///< durable
    virtual Status remove(const std::string& name) = 0;                         ///< durable
    /// create_zeroed off the reactor's thread; at most one at a time.
    virtual void prepare_zeroed(const std::string& name, uint64_t bytes, WriteDone& done) = 0;
};

}  // namespace noded::log

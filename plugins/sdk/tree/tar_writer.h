// TarWriter: entries as a tar stream (POSIX pax, with ustar headers where they suffice) into a
// descriptor. libarchive reads tar for us; its writer cannot be linked into a static program, and
// this one moves the content of files inside the kernel.
//
// Used by write_tree.h. The descriptor is borrowed; it may be a pipe, a socket or a file.
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded::tree {

struct TarEntry {
    std::string path;  ///< bytes as they are; of a directory without a slash at the end
    mode_t mode = 0;   ///< with the type, as in struct stat
    uint64_t uid = 0;
    uint64_t gid = 0;
    uint64_t size = 0;  ///< of a regular file
    timespec mtime{};
    dev_t device = 0;       ///< of a device node
    std::string link;       ///< target of a symbolic link, or what a hard link is another name of
    bool hard_link = false;
    std::vector<std::pair<std::string, std::string>> xattrs;
};

class TarWriter {
public:
    explicit TarWriter(int out) : out_(out) {}
    TarWriter(const TarWriter&) = delete;
    TarWriter& operator=(const TarWriter&) = delete;

    /// A regular file's content follows with content().
    Status entry(const TarEntry& entry);
    /// Exactly `size` bytes: what the file has lost meanwhile is zeros, what it has gained is left
    /// out. `shown` is for errors.
    Status content(int file, uint64_t size, const std::string& shown);
    /// The same piece by piece, `size` bytes altogether, and what fills up the last block.
    Status piece(Bytes bytes) { return put(bytes); }
    Status padding(uint64_t size);
    /// The end marker, and all that is still buffered.
    Status finish();

    uint64_t bytes() const { return bytes_; }

private:
    Status put(Bytes bytes);
    Status put_zeros(uint64_t count);
    Status flush();
    Status header(const TarEntry& entry, const std::string& path, char type, uint64_t size);
    Status extended(const TarEntry& entry, const std::string& path);
    Result<uint64_t> move_inside_kernel(int file, uint64_t size, const std::string& shown);
    Result<uint64_t> copy(int file, uint64_t size, const std::string& shown);

    int out_;
    uint64_t bytes_ = 0;
    std::vector<uint8_t> buffer_;
};

/// Writes all of it; EINTR is no error.
Status write_fully(int fd, Bytes bytes, const std::string& what);

}  // namespace noded::tree

// The members of an archive that holds images: a tar (plain, gzip or zstd, from a file or a pipe)
// or a directory, read by name and in any order. Private to load.cc.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/storage/image/import.h"
#include "plugins/storage/image/store.h"
#include "plugins/storage/image/stream.h"

namespace noded::image {

struct Member {
    Fd owned;       ///< of a directory's file; invalid for a tar's member
    Extent extent;  ///< size always given
};

class Members {
public:
    /// `source` must outlive the object. Compressed archives and pipes are first written to a file
    /// below tmp/, of at most `bytes_max`, because the parts of an image lie in it in any order.
    static Result<Members> open(const StorePaths& paths, const Source& source, uint64_t bytes_max);

    bool has(const std::string& name) const { return bool(find(name)); }
    /// Follows symbolic and hard links inside the archive.
    Result<Member> find(const std::string& name) const;
    /// The content of a small member.
    Result<std::string> read(const std::string& name, size_t bytes_max) const;
    /// "ARCHIVE: NAME", for error sentences.
    std::string shown(const std::string& name) const;

private:
    struct Place {
        uint64_t offset = 0;
        uint64_t size = 0;
        std::string link;  ///< not empty: another member's name
    };

    explicit Members(const Source& source) : source_(source) {}
    Status spool(const StorePaths& paths, uint64_t bytes_max);
    Status index();
    Result<Member> find_file(const std::string& name) const;

    const Source& source_;
    std::unique_ptr<Workspace> work_;  ///< of the spool file
    Fd spool_;
    int fd_ = -1;  ///< the plain tar, or the directory
    bool directory_ = false;
    std::map<std::string, Place> places_;
};

}  // namespace noded::image

// ContentStream: the bytes of one archive or blob, decompressed and hashed while they pass.
//
// gzip, zstd and plain content are told apart by their first bytes, whatever name or media type
// says: archives made by other tools lie about it. zlib and libzstd are called directly, not
// through libarchive's filters, because those skip gzip's CRC, undo compression within compression
// (the diff id would be wrong) and hide the compressed bytes. Used by import, load and unpack.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/result.h"
#include "plugins/storage/image/digest.h"

namespace noded::image {

/// Where content lies: a whole descriptor (also a pipe), or `size` bytes at `offset` of a regular
/// file. The descriptor is borrowed.
struct Extent {
    int fd = -1;
    uint64_t offset = 0;
    std::optional<uint64_t> size;  ///< absent: to the end
};

/// Whether content that begins like this is gzip or zstd.
bool is_compressed(Bytes first);

/// Errors of a stream do not name it ("it is truncated"): the caller knows what it was doing.
class ContentStream {
public:
    /// `name` is what an operator calls it; more than `bytes_max` uncompressed bytes are an error.
    ContentStream(Extent extent, std::string name, uint64_t bytes_max);
    ~ContentStream();

    /// The next uncompressed bytes, empty at the end; valid until the next call.
    Result<Bytes> next();
    /// Reads what is left, so that the digests cover everything.
    Status drain();

    const std::string& name() const { return name_; }
    uint64_t bytes() const { return bytes_; }
    /// Digest of the content as it lies there, and of the uncompressed content. After the end only.
    std::string stored_digest();
    std::string digest();

    /// One way of decompressing; private to stream.cc.
    class Codec;

private:
    Result<Bytes> read_input();
    Status choose_codec();

    Extent extent_;
    std::string name_;
    uint64_t bytes_max_;
    uint64_t bytes_ = 0;
    uint64_t consumed_ = 0;
    bool seekable_ = false;
    bool started_ = false;
    bool ended_ = false;
    Bytes input_;  ///< read, not yet decompressed; points into buffer_
    Buffer buffer_;
    std::unique_ptr<Codec> codec_;
    Sha256 stored_hash_;
    /// only where the uncompressed content differs from the stored one
    std::optional<Sha256> hash_;
    std::string stored_digest_;
    std::string digest_;
};

}  // namespace noded::image

// BlockWriter: a stream of bytes into a file, chunk by chunk in whole blocks, so that what is
// written is never held as a whole. Used by snapshot and archive.
#pragma once

#include <algorithm>

#include "agent/base/crc32c.h"
#include "agent/log/aligned.h"
#include "agent/log/storage.h"

namespace noded::log {

class BlockWriter {
public:
    /// Begins at `offset` of the file; both are whole numbers of blocks.
    BlockWriter(File& file, uint64_t offset, size_t chunk_bytes)
        : file_(file), buffer_(chunk_bytes), offset_(offset) {}

    Status put(Bytes bytes) {
        while (!bytes.empty()) {
            const size_t part = std::min(bytes.size(), buffer_.size() - filled_);
            memcpy(buffer_.data() + filled_, bytes.data(), part);
            filled_ += part;
            bytes = bytes.subspan(part);
            if (filled_ == buffer_.size()) TRY_STATUS(flush());
        }
        return {};
    }

    Status put_zeros(size_t count) {
        static constexpr uint8_t kZeros[kBlock] = {};
        for (size_t part; count > 0; count -= part) {
            part = std::min(count, sizeof kZeros);
            TRY_STATUS(put({kZeros, part}));
        }
        return {};
    }

    /// Writes what is there, padded with zeros to a whole block.
    Status flush() {
        const size_t bytes = round_up(filled_, kBlock);
        if (bytes == 0) return {};
        memset(buffer_.data() + filled_, 0, bytes - filled_);
        crc_ = crc32c(buffer_.span(0, bytes), crc_);
        TRY_STATUS(file_.write_now(offset_, buffer_.span(0, bytes)));
        offset_ += bytes;
        filled_ = 0;
        return {};
    }

    /// Where in the file the next byte goes.
    uint64_t offset() const { return offset_ + filled_; }
    /// Of all that was flushed.
    uint32_t crc() const { return crc_; }

private:
    File& file_;
    AlignedBuffer buffer_;
    size_t filled_ = 0;
    uint64_t offset_;
    uint32_t crc_ = 0;
};

}  // namespace noded::log

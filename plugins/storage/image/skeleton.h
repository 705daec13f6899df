// The skeleton of a layer: its tar without the contents of its files. Those lie in the unpacked
// layer already; with both, `save` writes the tar again to the byte, so that its digest, and the id
// of the image with it, stay what they were. A thousand files take some ten kilobytes.
//
//   "noded skeleton 1\n", then, all of it in zstd:
//   0, u32 length, bytes              bytes of the tar as they are
//   1, u64 size, u32 length, path     the content of that file of the layer
//
// Numbers are little-endian. Of an archive that this cannot describe (sparse files, two files of
// one name, a hard link with content) there is no skeleton; save then writes another tar of the
// layer.
//
// SkeletonWriter sees the bytes of the tar as they are read and hears from the unpacker where each
// file went; it never decides what is unpacked. The reader trusts its file as far as the digest of
// the tar proves what came out.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

namespace noded::image {

class SkeletonWriter {
public:
    /// Writes to `file`, which is borrowed.
    explicit SkeletonWriter(int file);
    ~SkeletonWriter();
    SkeletonWriter(const SkeletonWriter&) = delete;
    SkeletonWriter& operator=(const SkeletonWriter&) = delete;

    /// The next bytes of the tar. The unpacker is never ahead of them.
    void take(Bytes bytes);
    /// The next file that has content: it lies, with `size` bytes, at `path` of the layer.
    void placed(const std::string& path, uint64_t size);
    /// The layer does not have all that the tar has.
    void give_up();
    /// After all of the tar. False: there is none, and the file holds rubbish.
    Result<bool> finish();

private:
    /// What follows next in the tar.
    enum class Next { header, raw, content, pax, rest };
    struct Compressor;
    /// Bytes as they are, or the content of a file, whose path is told later.
    struct Part {
        Buffer bytes;
        uint64_t size = 0;
        bool file = false;
    };

    void header(Bytes block);
    void open_body(char type, uint64_t size);
    void end_of_pax();
    void keep(Bytes bytes);
    void write_ready();
    void write_bytes(Bytes bytes);
    void write(Bytes bytes);

    std::unique_ptr<Compressor> out_;
    int file_;
    bool failed_ = false;
    Status written_;
    Next next_ = Next::header;
    Buffer block_;               ///< of a header, or of a pax body, so far
    uint64_t left_ = 0;          ///< of what is next
    uint64_t padding_ = 0;       ///< behind the content of a file
    std::string pax_size_;       ///< what an extended header says of the next entry
    std::deque<Part> parts_;     ///< not written: a file's path is still to come
    size_t waiting_bytes_ = 0;   ///< of parts_
};

/// What a reader does with each part, in their order.
struct SkeletonParts {
    std::function<Status(Bytes bytes)> bytes;
    std::function<Status(const std::string& path, uint64_t size)> file;
};

/// `shown` is for errors.
Status read_skeleton(int file, const std::string& shown, const SkeletonParts& parts);

}  // namespace noded::image

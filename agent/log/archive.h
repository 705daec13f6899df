// Archives: sealed segments compressed with zstd, in a folder below the log (FORMAT.md, Archive).
//
// An archive under its name is whole: it was durable and read back before it got it. Read, it is a
// File with the content of the segment, so that whoever reads segments reads archives, too, and
// holds no more of it than two frames. Every byte of it is judged when it is read.
//
// Made on the offload lane for keeper.cc, read through reader.cc, judged by logdump.
#pragma once

#include "agent/log/segment.h"

namespace noded::log {

/// What an archive's name tells.
struct ArchiveName {
    uint64_t segment_id = 0;
    uint64_t first_seq = 0;
    uint64_t last_seq = 0;
};

/// "archive/segment-<id>-<first>-<last>.zst"
std::string archive_file(const ArchiveName& name);
std::optional<ArchiveName> archive_in_file(std::string_view file);

/// Adds what archives the listing `files` has to the `segments` of a log, ascending ones: beside
/// them and below them. A sentence if some do not lead on to them and are passed over, else
/// nothing. Reads nothing.
std::string add_archives(const std::vector<FileSize>& files, std::vector<SegmentInfo>& segments);

/// The file of the segment, or its archive where only that is there; also where the segment was
/// released since it was listed. `last_seq` is that of its last record, 0 while it is open. Of an
/// archive the index and the first time are noted in `segment`.
Result<std::unique_ptr<File>> open_segment(Storage& storage, uint64_t log_id, SegmentInfo& segment,
                                           uint64_t last_seq);

class Archive final : public File {
public:
    /// Judges header and table. `file` is where it stands, which is not its name while it is made.
    static Result<std::unique_ptr<Archive>> open(Storage& storage, const std::string& file,
                                                 const ArchiveName& name);
    ~Archive() override;

    uint64_t size() const override { return header_.segment_bytes; }
    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) override;
    void write_durable(uint64_t offset, Bytes data, WriteDone& done) override;
    Status write_now(uint64_t offset, Bytes data) override;

    const ArchiveHeader& header() const { return header_; }
    const std::vector<ArchiveFrame>& frames() const { return frames_; }
    /// What a frame holds, valid until the next call. The error says at which byte of the archive
    /// what is wrong.
    Result<Bytes> frame(size_t i);

private:
    struct Decoder;

    Archive(std::string name, std::unique_ptr<File> file);
    Status read_header(const ArchiveName& name);
    Status read_table();
    Result<Bytes> compressed(size_t i);
    std::unexpected<Error> damaged(uint64_t position, const std::string& why) const;

    const std::string name_;
    const std::unique_ptr<File> file_;
    ArchiveHeader header_{};
    std::vector<ArchiveFrame> frames_;
    std::vector<uint64_t> offsets_;   ///< of the frames, and of the end of the last one
    AlignedBuffer compressed_;
    AlignedBuffer content_;
    std::optional<size_t> decoded_;   ///< the frame in content_
    std::unique_ptr<Decoder> decoder_;
};

struct ArchiveMade {
    uint64_t bytes = 0;
    std::string damage;   ///< of the segment; it was archived as it is
};

/// Makes the archive of a sealed segment: when it returns, that is durable, was read back and has
/// its name. A failure leaves nothing. Blocking.
Result<ArchiveMade> make_archive(Storage& storage, uint64_t segment_id, uint64_t last_seq);

}  // namespace noded::log

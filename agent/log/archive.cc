// See archive.h.
#include "agent/log/archive.h"

#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "agent/base/crc32c.h"
#include "agent/log/block_writer.h"
#include "agent/log/reader.h"

namespace noded::log {

namespace {

constexpr size_t kFrame = limits::archive_frame_bytes;
constexpr size_t kFrameCompressedMax = ZSTD_COMPRESSBOUND(kFrame);
constexpr size_t kSkippableHeader = 8;
constexpr size_t kChunk = 1 << 20;
constexpr int kLevel = 3;   ///< zstd's own choice between time and size
constexpr std::string_view kArchiveSuffix = ".zst";
constexpr size_t kDigits = 16;

uint64_t frames_of(uint64_t segment_bytes) { return (segment_bytes + kFrame - 1) / kFrame; }

size_t header_bytes_of(uint64_t frames) {
    return round_up(sizeof(ArchiveHeader) + frames * sizeof(ArchiveFrame), kBlock);
}

uint32_t header_crc(const ArchiveHeader& header) {
    return crc32c({reinterpret_cast<const uint8_t*>(&header), offsetof(ArchiveHeader, crc)});
}

/// Size of the skippable frame behind content that ends at `end`.
size_t padding_after(uint64_t end) { return round_up(end + kSkippableHeader, kBlock) - end; }

ArchiveName name_of(const SegmentInfo& segment, uint64_t last_seq) {
    return {segment.id, segment.first_seq, last_seq};
}

/// Where reading may begin, as the archive tells it.
void note_places(const Archive& archive, SegmentInfo& segment) {
    if (segment.index.size() > 1) return;
    segment.index = new_segment_info(segment.id, segment.first_seq, archive.size()).index;
    for (size_t i = 0; i < archive.frames().size(); ++i) {
        const ArchiveFrame& frame = archive.frames()[i];
        if (frame.batch_seq > segment.index.back().seq)
            note_batch(segment, frame.batch_seq, i * kFrame + frame.batch_offset);
    }
    if (archive.header().first_time_ns != 0)
        segment.first_time_ns = archive.header().first_time_ns;
}

}  // namespace

std::string archive_file(const ArchiveName& name) {
    return numbered_name(kArchiveFolder + std::string("/") + std::string(kSegmentPrefix),
                         name.segment_id) +
           numbered_name("-", name.first_seq) + numbered_name("-", name.last_seq) +
           std::string(kArchiveSuffix);
}

std::optional<ArchiveName> archive_in_file(std::string_view file) {
    if (!is_in_archive(file)) return std::nullopt;
    const std::string_view inner = file.substr(sizeof kArchiveFolder);
    const size_t id_end = kSegmentPrefix.size() + kDigits;
    const size_t first_end = id_end + 1 + kDigits;
    const size_t last_end = first_end + 1 + kDigits;
    if (inner.size() != last_end + kArchiveSuffix.size()) return std::nullopt;
    const auto id = number_in_name(inner.substr(0, id_end), kSegmentPrefix);
    const auto first = number_in_name(inner.substr(id_end, 1 + kDigits), "-");
    const auto last = number_in_name(inner.substr(first_end, 1 + kDigits), "-");
    if (!id || !first || !last || *first > *last || !inner.ends_with(kArchiveSuffix))
        return std::nullopt;
    return ArchiveName{*id, *first, *last};
}

std::string add_archives(const std::vector<FileSize>& files, std::vector<SegmentInfo>& segments) {
    struct Found {
        ArchiveName name;
        uint64_t bytes;
    };
    std::vector<Found> found;
    for (const FileSize& file : files) {
        if (const auto name = archive_in_file(file.name)) found.push_back({*name, file.bytes});
    }
    std::ranges::sort(found, std::greater<>(), [](const Found& a) { return a.name.segment_id; });
    for (const auto& [name, bytes] : found) {
        const auto segment = std::ranges::find(segments, name.segment_id, &SegmentInfo::id);
        if (segment != segments.end()) {
            if (segment + 1 != segments.end() && segment->first_seq == name.first_seq &&
                (segment + 1)->first_seq == name.last_seq + 1) {
                segment->archive_bytes = bytes;
            }
        } else if (!segments.empty() && name.segment_id + 1 == segments.front().id &&
                   name.last_seq + 1 == segments.front().first_seq) {
            SegmentInfo info = new_segment_info(name.segment_id, name.first_seq, 0);
            info.archive_bytes = bytes;
            segments.insert(segments.begin(), std::move(info));
        } else if (segments.empty() || name.segment_id < segments.front().id) {
            return archive_file(name) +
                   " is passed over, and what is older: nothing leads on from it to the log";
        }
    }
    return "";
}

Result<std::unique_ptr<File>> open_segment(Storage& storage, uint64_t log_id, SegmentInfo& segment,
                                           uint64_t last_seq) {
    if (segment.in_log()) {
        auto file = storage.open(segment_name(segment.id));
        if (file || file.error().code != ENOENT || last_seq == 0) return file;
    }
    const ArchiveName name = name_of(segment, last_seq);
    auto archive = TRY(Archive::open(storage, archive_file(name), name));
    if (log_id != 0 && archive->header().log_id != log_id)
        return fail(archive_file(name) + " belongs to another log");
    note_places(*archive, segment);
    return archive;
}

// ------------------------------------------------------------------------------------------
// Reading.

struct Archive::Decoder {
    ZSTD_DCtx* context = ZSTD_createDCtx();
    Decoder() { CHECK_MSG(context != nullptr, "out of memory for an archive"); }
    ~Decoder() { ZSTD_freeDCtx(context); }
};

Archive::Archive(std::string name, std::unique_ptr<File> file)
    : name_(std::move(name)),
      file_(std::move(file)),
      compressed_(kFrameCompressedMax + 4 * kBlock),
      content_(kFrame),
      decoder_(std::make_unique<Decoder>()) {}

Archive::~Archive() = default;

std::unexpected<Error> Archive::damaged(uint64_t position, const std::string& why) const {
    return fail("log " + name_ + " at byte " + std::to_string(position) + ": " + why +
                "; the file was left as it is. Restore it from a copy, or remove it and what is "
                "older in its folder: noded starts without them");
}

Result<std::unique_ptr<Archive>> Archive::open(Storage& storage, const std::string& file,
                                               const ArchiveName& name) {
    std::unique_ptr<Archive> archive(new Archive(file, TRY(storage.open(file))));
    TRY_STATUS(archive->read_header(name));
    TRY_STATUS(archive->read_table());
    return archive;
}

Status Archive::read_header(const ArchiveName& name) {
    const uint64_t bytes = file_->size();
    if (bytes < 2 * kBlock || bytes % kBlock != 0)
        return damaged(bytes, "the file ends here, which is no size of an archive");
    if (TRY(file_->read_at(0, content_.span(0, kBlock))) != kBlock)
        return damaged(0, "the file became shorter while it was read");
    memcpy(&header_, content_.data(), sizeof header_);
    std::string why;
    if (header_.crc != header_crc(header_))
        why = "the checksum of the header does not match";
    else if (header_.magic != kArchiveMagic || header_.skippable_magic != kSkippableMagic)
        why = "this is not an archive of a noded log";
    else if (header_.version != kArchiveVersion)
        why = "format " + std::to_string(header_.version) +
              " was written by another noded, this one reads " + std::to_string(kArchiveVersion);
    else if (header_.segment_id != name.segment_id || header_.first_seq != name.first_seq ||
             header_.last_seq != name.last_seq)
        why = "the header says that this is " +
              archive_file({header_.segment_id, header_.first_seq, header_.last_seq});
    else if (header_.file_bytes != bytes)
        why = "the file has " + std::to_string(bytes) + " bytes, its header says " +
              std::to_string(header_.file_bytes);
    else if (header_.log_id == 0 || header_.frame_bytes != kFrame ||
             header_.segment_bytes < 2 * kBlock || header_.segment_bytes % kBlock != 0 ||
             frames_of(header_.segment_bytes) != header_.frames ||
             header_bytes_of(header_.frames) != header_.header_bytes ||
             header_.header_bytes >= bytes ||
             header_.skippable_bytes != header_.header_bytes - kSkippableHeader ||
             !all_zero(header_.reserved))
        why = "the header holds impossible values";
    if (why.empty()) return {};
    return damaged(0, why);
}

Status Archive::read_table() {
    AlignedBuffer head(header_.header_bytes);
    if (TRY(file_->read_at(0, head.span(0, head.size()))) != head.size())
        return damaged(0, "the file became shorter while it was read");
    const Bytes table = Bytes(head.span(0, head.size())).subspan(sizeof header_);
    if (crc32c(table) != header_.table_crc)
        return damaged(sizeof header_, "the checksum of the table of frames does not match");
    frames_.resize(header_.frames);
    memcpy(frames_.data(), table.data(), frames_.size() * sizeof(ArchiveFrame));
    uint64_t offset = header_.header_bytes;
    for (const ArchiveFrame& frame : frames_) {
        offsets_.push_back(offset);
        offset += frame.bytes;
        const uint64_t at = (offsets_.size() - 1) * kFrame + frame.batch_offset;
        if (frame.bytes > kFrameCompressedMax || offset > header_.file_bytes ||
            frame.batch_offset >= kFrame || frame.batch_offset % kBlock != 0 ||
            at >= header_.segment_bytes || frame.reserved != 0)
            return damaged(sizeof header_, "the table of frames holds impossible values");
    }
    offsets_.push_back(offset);
    if (offset + padding_after(offset) != header_.file_bytes)
        return damaged(offset, "the frames do not lead to the end of the file");
    return {};
}

/// The frame as it stands in the file; with the last one what is behind it is judged.
Result<Bytes> Archive::compressed(size_t i) {
    const bool last = i + 1 == frames_.size();
    const uint64_t begin = offsets_[i] / kBlock * kBlock;
    const uint64_t end = last ? header_.file_bytes : round_up(offsets_[i + 1], kBlock);
    const auto read = compressed_.span(0, end - begin);
    if (TRY(file_->read_at(begin, read)) != read.size())
        return damaged(offsets_[i], "the file became shorter while it was read");
    const Bytes frame = Bytes(read).subspan(offsets_[i] - begin, frames_[i].bytes);
    if (crc32c(frame) != frames_[i].crc)
        return damaged(offsets_[i], "the checksum of the frame does not match");
    if (!last) return frame;
    const Bytes rest = Bytes(read).subspan(offsets_[i + 1] - begin);
    uint32_t head[2];
    memcpy(head, rest.data(), sizeof head);
    if (head[0] != kSkippableMagic || head[1] != rest.size() - kSkippableHeader ||
        !all_zero(rest.subspan(kSkippableHeader)))
        return damaged(offsets_[i + 1], "what follows the last frame is not as written");
    return frame;
}

Result<Bytes> Archive::frame(size_t i) {
    CHECK(i < frames_.size());
    const size_t expected = std::min<uint64_t>(kFrame, size() - i * kFrame);
    if (decoded_ != i) {
        decoded_.reset();
        const Bytes from = TRY(compressed(i));
        const size_t got = ZSTD_decompressDCtx(decoder_->context, content_.data(), expected,
                                               from.data(), from.size());
        if (ZSTD_isError(got))
            return damaged(offsets_[i],
                           std::string("the frame cannot be unpacked: ") + ZSTD_getErrorName(got));
        if (got != expected)
            return damaged(offsets_[i], "the frame holds " + std::to_string(got) + " bytes");
        decoded_ = i;
    }
    return content_.span(0, expected);
}

Result<size_t> Archive::read_at(uint64_t offset, std::span<uint8_t> into) {
    size_t got = 0;
    while (got < into.size() && offset + got < size()) {
        const size_t i = (offset + got) / kFrame;
        const Bytes rest = TRY(frame(i)).subspan((offset + got) % kFrame);
        const size_t part = std::min(rest.size(), into.size() - got);
        memcpy(into.data() + got, rest.data(), part);
        got += part;
    }
    return got;
}

void Archive::write_durable(uint64_t, Bytes, WriteDone&) {
    CHECK_MSG(false, "an archive is never written to");
}

Status Archive::write_now(uint64_t, Bytes) { return fail_errno(EROFS, "write to " + name_); }

// ------------------------------------------------------------------------------------------
// Making.

namespace {

struct Encoder {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    Encoder() {
        CHECK_MSG(context != nullptr, "out of memory for an archive");
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kLevel);
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    }
    ~Encoder() { ZSTD_freeCCtx(context); }
};

class ArchiveMaker {
public:
    ArchiveMaker(Storage& storage, uint64_t segment_id, uint64_t last_seq)
        : storage_(storage), name_{segment_id, 0, last_seq} {}

    Result<ArchiveMade> make();

private:
    Status open();
    void find_places();
    Status write(File& file);
    Result<ArchiveFrame> write_frame(uint64_t offset, BlockWriter& to);
    Status write_header(File& file, uint64_t file_bytes);
    Status read_back(const std::string& draft);

    Storage& storage_;
    ArchiveName name_;
    std::unique_ptr<File> segment_;
    ArchiveHeader header_{};
    std::vector<ArchiveFrame> frames_;
    Encoder encoder_;
    AlignedBuffer content_{kFrame};
    Buffer compressed_ = Buffer(kFrameCompressedMax);
    uint32_t content_crc_ = 0;
    ArchiveMade made_;
};

Status ArchiveMaker::open() {
    segment_ = TRY(storage_.open(segment_name(name_.segment_id)));
    const auto block = content_.span(0, kBlock);
    if (segment_->size() < 2 * kBlock || TRY(segment_->read_at(0, block)) != kBlock)
        return damage(name_.segment_id, 0, "the file is too short");
    SegmentHeader header;
    std::string why = "the segment header is missing";
    if (parse_segment_header(block, name_.segment_id, segment_->size(), header, why) !=
        HeaderState::valid)
        return damage(name_.segment_id, 0, why);
    name_.first_seq = header.first_seq;
    header_ = {.skippable_magic = kSkippableMagic,
               .magic = kArchiveMagic,
               .version = kArchiveVersion,
               .frames = static_cast<uint32_t>(frames_of(header.segment_bytes)),
               .log_id = header.log_id,
               .segment_id = header.segment_id,
               .first_seq = header.first_seq,
               .last_seq = name_.last_seq,
               .segment_bytes = header.segment_bytes,
               .frame_bytes = kFrame};
    header_.header_bytes = static_cast<uint32_t>(header_bytes_of(header_.frames));
    header_.skippable_bytes = header_.header_bytes - kSkippableHeader;
    frames_.resize(header_.frames);
    return {};
}

/// Reads every record, for times, for places where reading can begin, and for damage.
void ArchiveMaker::find_places() {
    std::vector<SegmentInfo> segments;
    segments.push_back(
        new_segment_info(name_.segment_id, name_.first_seq, header_.segment_bytes));
    segments.push_back(new_segment_info(name_.segment_id + 1, name_.last_seq + 1, 2 * kBlock));
    const Status read =
        read_segments(storage_, header_.log_id, segments, name_.first_seq, name_.last_seq,
                      [this](const Record& record) {
                          if (header_.first_time_ns == 0) header_.first_time_ns = record.time_ns;
                          header_.last_time_ns = record.time_ns;
                          return true;
                      });
    if (!read) made_.damage = read.error().message;
    for (const IndexPoint& point : segments.front().index) {
        ArchiveFrame& frame = frames_[point.offset / kFrame];
        if (frame.batch_seq != 0) continue;
        frame.batch_seq = point.seq;
        frame.batch_offset = static_cast<uint32_t>(point.offset % kFrame);
    }
}

/// Compresses what stands from `offset` on; places are filled in by others.
Result<ArchiveFrame> ArchiveMaker::write_frame(uint64_t offset, BlockWriter& to) {
    const auto content =
        content_.span(0, std::min<uint64_t>(kFrame, header_.segment_bytes - offset));
    if (TRY(segment_->read_at(offset, content)) != content.size())
        return fail("the segment became shorter while it was read");
    const size_t bytes = ZSTD_compress2(encoder_.context, compressed_.data(), compressed_.size(),
                                        content.data(), content.size());
    if (ZSTD_isError(bytes))
        return fail(std::string("compress a segment: ") + ZSTD_getErrorName(bytes));
    content_crc_ = crc32c(content, content_crc_);
    const Bytes compressed(compressed_.data(), bytes);
    TRY_STATUS(to.put(compressed));
    return ArchiveFrame{0, 0, static_cast<uint32_t>(bytes), crc32c(compressed), 0};
}

Status ArchiveMaker::write(File& file) {
    BlockWriter body(file, header_.header_bytes, kChunk);
    for (size_t i = 0; i < frames_.size(); ++i) {
        const ArchiveFrame frame = TRY(write_frame(i * kFrame, body));
        frames_[i].bytes = frame.bytes;
        frames_[i].crc = frame.crc;
    }
    const size_t padding = padding_after(body.offset());
    const uint32_t head[2] = {kSkippableMagic,
                              static_cast<uint32_t>(padding - kSkippableHeader)};
    TRY_STATUS(body.put({reinterpret_cast<const uint8_t*>(head), sizeof head}));
    TRY_STATUS(body.put_zeros(padding - sizeof head));
    TRY_STATUS(body.flush());
    return write_header(file, body.offset());
}

Status ArchiveMaker::write_header(File& file, uint64_t file_bytes) {
    AlignedBuffer head(header_.header_bytes);
    memset(head.data(), 0, head.size());
    memcpy(head.data() + sizeof header_, frames_.data(), frames_.size() * sizeof(ArchiveFrame));
    header_.file_bytes = file_bytes;
    header_.table_crc = crc32c(Bytes(head.span(0, head.size())).subspan(sizeof header_));
    header_.crc = header_crc(header_);
    memcpy(head.data(), &header_, sizeof header_);
    return file.write_now(0, head.span(0, head.size()));
}

Status ArchiveMaker::read_back(const std::string& draft) {
    const auto archive = TRY(Archive::open(storage_, draft, name_));
    uint32_t crc = 0;
    for (size_t i = 0; i < archive->frames().size(); ++i) crc = crc32c(TRY(archive->frame(i)), crc);
    if (crc != content_crc_) return fail(draft + " reads back differently");
    made_.bytes = archive->header().file_bytes;
    return {};
}

Result<ArchiveMade> ArchiveMaker::make() {
    TRY_STATUS(open());
    find_places();
    const std::string file = archive_file(name_);
    const std::string draft = file + kUnfinishedSuffix;
    for (const std::string& left : TRY(storage_.list())) {
        if (left == draft) TRY_STATUS(storage_.remove(draft));
    }
    auto opened = storage_.create_zeroed(draft, 0);
    Status done = opened ? write(**opened) : std::unexpected(opened.error());
    if (done) done = read_back(draft);
    if (done) done = storage_.rename(draft, file);
    if (done) return std::move(made_);
    if (opened) (void)storage_.remove(draft);   // its space is needed; the next attempt tries again
    return std::unexpected(done.error());
}

}  // namespace

Result<ArchiveMade> make_archive(Storage& storage, uint64_t segment_id, uint64_t last_seq) {
    return ArchiveMaker(storage, segment_id, last_seq).make();
}

}  // namespace noded::log

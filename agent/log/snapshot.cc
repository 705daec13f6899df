// See snapshot.h. Both directions stream through one aligned buffer, so a large state is not held
// twice.
#include "agent/log/snapshot.h"

#include <algorithm>
#include <cerrno>
#include <functional>

#include "agent/base/crc32c.h"
#include "agent/log/block_writer.h"
#include "agent/log/segment.h"

namespace noded::log {

namespace {

constexpr size_t kChunk = 4 << 20;

std::string snapshot_name(uint64_t seq) { return numbered_name(kSnapshotPrefix, seq); }

/// The body, from block 1 on, and then the header in front of it.
class SnapshotWriter {
public:
    explicit SnapshotWriter(File& file) : file_(file), body_(file, kBlock, kChunk) {}

    Status write_section(const SnapshotSection& section) {
        const SectionHeader header{static_cast<uint32_t>(section.name.size()), 0,
                                   section.data.size()};
        TRY_STATUS(body_.put({reinterpret_cast<const uint8_t*>(&header), sizeof header}));
        TRY_STATUS(put_padded(as_bytes(section.name)));
        return put_padded(section.data);
    }

    Status finish(uint64_t seq, size_t sections) {
        TRY_STATUS(body_.flush());
        SnapshotHeader header{};
        header.magic = kSnapshotMagic;
        header.version = kSnapshotVersion;
        header.sections = static_cast<uint32_t>(sections);
        header.seq = seq;
        header.file_bytes = body_.offset();
        header.body_crc = body_.crc();
        header.crc = crc32c({reinterpret_cast<const uint8_t*>(&header), kHeaderCrcBytes});
        AlignedBuffer block(kBlock);
        memset(block.data(), 0, kBlock);
        memcpy(block.data(), &header, sizeof header);
        return file_.write_now(0, block.span(0, kBlock));
    }

private:
    Status put_padded(Bytes bytes) {
        TRY_STATUS(body_.put(bytes));
        return body_.put_zeros(round_up(bytes.size(), kWordSize) - bytes.size());
    }

    File& file_;
    BlockWriter body_;
};

/// The body of a snapshot as a stream, checksummed as it passes.
class SnapshotReader {
public:
    explicit SnapshotReader(File& file) : file_(file), buffer_(kChunk), end_(file.size()) {}

    /// Errors begin with the place in the file.
    Result<SnapshotHeader> header(uint64_t seq) {
        auto header = read_header(seq);
        if (!header) return context(header.error(), "at byte 0");
        return header;
    }

    Result<SnapshotHeader> read_header(uint64_t seq) {
        if (end_ < kBlock || end_ % kBlock != 0) return fail("its size is impossible");
        const auto block = buffer_.span(0, kBlock);
        if (TRY(file_.read_at(0, block)) < kBlock) return fail("it is cut short");
        SnapshotHeader header;
        memcpy(&header, block.data(), sizeof header);
        if (!header_crc_matches(block)) return fail("the checksum of its header does not match");
        if (header.magic != kSnapshotMagic) return fail("it is not a snapshot");
        if (header.version != kSnapshotVersion) {
            return fail("its format is " + std::to_string(header.version) + ", this noded reads " +
                        std::to_string(kSnapshotVersion));
        }
        if (header.seq != seq) return fail("it is of seq " + std::to_string(header.seq));
        if (header.file_bytes != end_)
            return fail("it has " + std::to_string(end_) + " bytes instead of " +
                        std::to_string(header.file_bytes));
        if (!all_zero(Bytes(block).subspan(sizeof header)) || !all_zero(header.reserved)) {
            return fail("its header is not as written");
        }
        return header;
    }

    Status get(std::span<uint8_t> into) {
        while (!into.empty()) {
            if (used_ == filled_) TRY_STATUS(refill());
            const size_t part = std::min(into.size(), filled_ - used_);
            memcpy(into.data(), buffer_.data() + used_, part);
            used_ += part;
            into = into.subspan(part);
        }
        return {};
    }

    Status get_padded(std::span<uint8_t> into) {
        uint8_t padding[kWordSize];
        TRY_STATUS(get(into));
        return get({padding, round_up(into.size(), kWordSize) - into.size()});
    }

    Result<Snapshot::Section> section() {
        const uint64_t at = offset_ - (filled_ - used_);
        auto section = read_section();
        if (!section) return context(section.error(), "at byte " + std::to_string(at));
        return section;
    }

    Result<Snapshot::Section> read_section() {
        SectionHeader header;
        TRY_STATUS(get({reinterpret_cast<uint8_t*>(&header), sizeof header}));
        if (header.name_bytes > limits::plugin_name_bytes_max || header.data_bytes > end_ ||
            header.data_bytes > limits::plugin_snapshot_bytes_max) {
            return fail("it has a section of an impossible size");
        }
        Snapshot::Section section;
        section.name.resize(header.name_bytes);
        TRY_STATUS(
            get_padded({reinterpret_cast<uint8_t*>(section.name.data()), section.name.size()}));
        section.data.resize(header.data_bytes);
        TRY_STATUS(get_padded(section.data));
        return section;
    }

    /// The checksum of the whole body, after what is left of it.
    Result<uint32_t> body_crc() {
        while (offset_ < end_) TRY_STATUS(refill());
        return crc_;
    }

private:
    Status refill() {
        if (offset_ == end_) return fail("it ends within a section");
        const size_t want = std::min<uint64_t>(buffer_.size(), end_ - offset_);
        filled_ = used_ = 0;
        if (TRY(file_.read_at(offset_, buffer_.span(0, want))) != want)
            return fail("it is cut short");
        crc_ = crc32c(buffer_.span(0, want), crc_);
        offset_ += want;
        filled_ = want;
        return {};
    }

    File& file_;
    AlignedBuffer buffer_;
    const uint64_t end_;
    uint64_t offset_ = kBlock;
    size_t used_ = 0;
    size_t filled_ = 0;
    uint32_t crc_ = 0;
};

/// What a crash or a full disk left behind.
Status remove_unfinished(Storage& storage) {
    for (const std::string& name : TRY(storage.list())) {
        if (!name.starts_with(kSnapshotPrefix) || !name.ends_with(kUnfinishedSuffix)) continue;
        TRY_STATUS(storage.remove(name));
    }
    return {};
}

}  // namespace

const Snapshot::Section* Snapshot::find(std::string_view name) const {
    for (const Section& section : sections) {
        if (section.name == name) return &section;
    }
    return nullptr;
}

Result<std::vector<uint64_t>> list_snapshots(Storage& storage) {
    std::vector<uint64_t> seqs;
    for (const std::string& name : TRY(storage.list())) {
        if (const auto seq = number_in_name(name, kSnapshotPrefix)) seqs.push_back(*seq);
    }
    std::sort(seqs.begin(), seqs.end(), std::greater<>());
    return seqs;
}

Result<Snapshot> load_snapshot(Storage& storage, uint64_t seq) {
    const auto file = TRY(storage.open(snapshot_name(seq)));
    SnapshotReader reader(*file);
    const SnapshotHeader header = TRY(reader.header(seq));
    Snapshot snapshot{seq, {}};
    for (uint32_t i = 0; i < header.sections; ++i)
        snapshot.sections.push_back(TRY(reader.section()));
    if (TRY(reader.body_crc()) != header.body_crc) {
        return fail("at byte " + std::to_string(kBlock) +
                    ": the checksum of what follows from there does not match");
    }
    return snapshot;
}

static Status write_file(Storage& storage, const std::string& name, uint64_t seq,
                         std::span<const SnapshotSection> sections) {
    const auto file = TRY(storage.create_zeroed(name, 0));
    SnapshotWriter writer(*file);
    for (const SnapshotSection& section : sections) TRY_STATUS(writer.write_section(section));
    return writer.finish(seq, sections.size());
}

Status write_snapshot(Storage& storage, uint64_t seq, std::span<const SnapshotSection> sections) {
    for (const SnapshotSection& section : sections) {
        if (section.name.size() > limits::plugin_name_bytes_max ||
            section.data.size() > limits::plugin_snapshot_bytes_max) {
            return fail("the snapshot of " + std::string(section.name) + " has " +
                        std::to_string(section.data.size()) + " bytes, more than " +
                        std::to_string(limits::plugin_snapshot_bytes_max));
        }
    }
    const std::string name = snapshot_name(seq);
    const std::string unfinished = name + kUnfinishedSuffix;
    TRY_STATUS(remove_unfinished(storage));
    const Status written = write_file(storage, unfinished, seq, sections);
    if (!written) {
        (void)storage.remove(unfinished);   // its space is needed; the next snapshot tries again
        return written;
    }
    return storage.rename(unfinished, name);
}

Status remove_snapshot(Storage& storage, uint64_t seq) {
    return storage.remove(snapshot_name(seq));
}

Result<std::optional<Snapshot>> load_newest_snapshot(Storage& storage, std::string* notice,
                                                     uint64_t last) {
    CHECK(notice != nullptr);
    notice->clear();
    for (const uint64_t seq : TRY(list_snapshots(storage))) {
        if (seq > last) continue;
        auto snapshot = load_snapshot(storage, seq);
        if (snapshot) return std::move(*snapshot);
        if (!notice->empty()) *notice += "; ";
        *notice += snapshot_name(seq) + " is passed over: " + snapshot.error().message;
    }
    return std::nullopt;
}

}  // namespace noded::log

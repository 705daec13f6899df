// Skeletons, see skeleton.h. Of tar this knows only what says how long the body of an entry is
// (POSIX.1-2017 pax, and GNU's long names); whatever it does not know makes it give up.
#include "plugins/storage/image/skeleton.h"

#include <string.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>

#include "agent/base/check.h"
#include "plugins/sdk/tree/write_tree.h"
#include "plugins/storage/image/limits.h"
#include "plugins/storage/image/stream.h"

namespace noded::image {

static_assert(std::endian::native == std::endian::little);

struct SkeletonWriter::Compressor {
    Compressor() : state(ZSTD_createCStream()), output(ZSTD_CStreamOutSize()) {
        CHECK(state != nullptr);
        // Headers of tar are mostly zeros: more effort would save nothing.
        ZSTD_CCtx_setParameter(state, ZSTD_c_compressionLevel, 1);
    }
    ~Compressor() { ZSTD_freeCStream(state); }
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;

    Status put(int file, Bytes bytes, ZSTD_EndDirective how) {
        ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
        for (;;) {
            ZSTD_outBuffer out{output.data(), output.size(), 0};
            const size_t left = ZSTD_compressStream2(state, &out, &in, how);
            CHECK(!ZSTD_isError(left));
            TRY_STATUS(tree::write_fully(file, {output.data(), out.pos}, "write a skeleton"));
            if (how == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
        }
    }

    ZSTD_CStream* state;
    Buffer output;
};

namespace {

constexpr std::string_view kMagic = "noded skeleton 1\n";
constexpr size_t kBlock = 512;
constexpr size_t kSizeAt = 124, kSizeBytes = 12, kTypeAt = 156;
/// libarchive takes no longer extended headers.
constexpr uint64_t kPaxBytesMax = 1 << 20;
constexpr uint8_t kBytesPart = 0, kFilePart = 1;
/// The unpacker is a step of reading behind; further only in an archive that it reads otherwise.
constexpr size_t kWaitingBytesMax = 8 << 20;
static_assert(kWaitingBytesMax > 4 * limits::stream_buffer_bytes);

template <typename T>
void append(Buffer& out, T value) {
    const auto* raw = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), raw, raw + sizeof value);
}

/// The size field: octal digits, or a number in base 256. Nothing that makes no sense.
std::optional<uint64_t> size_of(Bytes field) {
    uint64_t value = 0;
    if ((field[0] & 0x80) != 0) {
        if (field[0] != 0x80) return std::nullopt;
        for (const uint8_t byte : field.subspan(1)) {
            if (value >> 55 != 0) return std::nullopt;
            value = value << 8 | byte;
        }
        return value;
    }
    std::string_view text = as_text(field);
    text = text.substr(0, text.find('\0'));
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    if (text.empty()) return 0;
    const auto [end, error] = std::from_chars(text.begin(), text.end(), value, 8);
    if (error != std::errc() || end != text.end()) return std::nullopt;
    return value;
}

}  // namespace

SkeletonWriter::SkeletonWriter(int file) : out_(std::make_unique<Compressor>()), file_(file) {
    write(as_bytes(kMagic));
}

SkeletonWriter::~SkeletonWriter() = default;

void SkeletonWriter::give_up() {
    failed_ = true;
    parts_.clear();
}

void SkeletonWriter::take(Bytes bytes) {
    while (!bytes.empty() && !failed_) {
        if (next_ == Next::rest) return keep(bytes);
        if (next_ == Next::header) {
            const size_t now = std::min(bytes.size(), kBlock - block_.size());
            block_.insert(block_.end(), bytes.begin(), bytes.begin() + ptrdiff_t(now));
            keep(bytes.first(now));
            bytes = bytes.subspan(now);
            if (block_.size() == kBlock) header(Buffer(std::exchange(block_, {})));
            continue;
        }
        const Bytes now = bytes.first(size_t(std::min<uint64_t>(bytes.size(), left_)));
        bytes = bytes.subspan(now.size());
        left_ -= now.size();
        if (next_ != Next::content) keep(now);
        if (next_ == Next::pax) block_.insert(block_.end(), now.begin(), now.end());
        if (left_ > 0) continue;
        if (next_ == Next::pax) end_of_pax();
        const bool pad = next_ == Next::content && padding_ > 0;
        next_ = pad ? Next::raw : Next::header;
        if (pad) left_ = std::exchange(padding_, 0);
    }
}

/// Everything from the first block of zeros on is no entry any more.
void SkeletonWriter::header(Bytes block) {
    if (std::ranges::all_of(block, [](uint8_t byte) { return byte == 0; })) {
        next_ = Next::rest;
        return;
    }
    const auto size = size_of(block.subspan(kSizeAt, kSizeBytes));
    if (!size) return give_up();
    open_body(char(block[kTypeAt]), *size);
}

void SkeletonWriter::open_body(char type, uint64_t size) {
    const bool file = type == '0' || type == '\0' || type == '7';
    const bool extends = type == 'x' || type == 'g' || type == 'L' || type == 'K';
    if (type == '1' && (size > 0 || !pax_size_.empty())) return give_up();
    if (!file && !extends && (type < '1' || type > '6')) return give_up();
    // Links, devices and directories have no body, whatever their header says.
    if (!file && !extends) size = 0;
    if (file && !pax_size_.empty()) {
        const auto [end, error] =
            std::from_chars(pax_size_.data(), pax_size_.data() + pax_size_.size(), size);
        if (error != std::errc() || end != pax_size_.data() + pax_size_.size()) return give_up();
    }
    if (!extends) pax_size_.clear();
    if (size > INT64_MAX) return give_up();
    padding_ = (kBlock - size % kBlock) % kBlock;
    if (size == 0) return;
    if (file) {
        parts_.push_back({{}, size, true});
        next_ = Next::content;
        left_ = size;
        return;
    }
    if (type == 'x' && size > kPaxBytesMax) return give_up();
    next_ = type == 'x' ? Next::pax : Next::raw;
    left_ = size + std::exchange(padding_, 0);
}

/// "LENGTH KEY=VALUE\n", one after the other; only what says something of the body matters here.
void SkeletonWriter::end_of_pax() {
    const Buffer body = std::exchange(block_, {});
    std::string_view rest = as_text(body);
    while (!rest.empty() && rest[0] != '\0') {
        size_t length = 0;
        const auto [end, error] = std::from_chars(rest.begin(), rest.end(), length);
        const auto used = size_t(end - rest.begin());
        if (error != std::errc() || length > rest.size() || length < used + 2) return give_up();
        const std::string_view record = rest.substr(used + 1, length - used - 2);
        const std::string_view key = record.substr(0, record.find('='));
        if (key.starts_with("GNU.sparse") || key.starts_with("SUN.holes") ||
            key == "SCHILY.realsize")
            return give_up();
        if (key == "size") pax_size_ = record.substr(std::min(record.size(), key.size() + 1));
        rest.remove_prefix(length);
    }
}

/// Bytes of which nothing is known but what they are.
void SkeletonWriter::keep(Bytes bytes) {
    if (parts_.empty()) return write_bytes(bytes);
    waiting_bytes_ += bytes.size();
    if (waiting_bytes_ > kWaitingBytesMax) return give_up();
    if (parts_.back().file) parts_.emplace_back();
    Buffer& last = parts_.back().bytes;
    last.insert(last.end(), bytes.begin(), bytes.end());
}

void SkeletonWriter::placed(const std::string& path, uint64_t size) {
    if (failed_ || size == 0) return;
    if (parts_.empty() || !parts_.front().file || parts_.front().size != size) return give_up();
    parts_.pop_front();
    Buffer record{kFilePart};
    append(record, size);
    append(record, uint32_t(path.size()));
    record.insert(record.end(), path.begin(), path.end());
    write(record);
    write_ready();
}

void SkeletonWriter::write_ready() {
    while (!parts_.empty() && !parts_.front().file) {
        write_bytes(parts_.front().bytes);
        waiting_bytes_ -= parts_.front().bytes.size();
        parts_.pop_front();
    }
}

void SkeletonWriter::write_bytes(Bytes bytes) {
    while (!bytes.empty()) {
        const size_t now = std::min(bytes.size(), limits::stream_buffer_bytes);
        Buffer head{kBytesPart};
        append(head, uint32_t(now));
        write(head);
        write(bytes.first(now));
        bytes = bytes.subspan(now);
    }
}

void SkeletonWriter::write(Bytes bytes) {
    if (written_) written_ = out_->put(file_, bytes, ZSTD_e_continue);
}

Result<bool> SkeletonWriter::finish() {
    // A header that is not whole, or a file that the unpacker never came to.
    if (failed_ || !parts_.empty() || next_ == Next::content || next_ == Next::pax) return false;
    if (written_) written_ = out_->put(file_, {}, ZSTD_e_end);
    if (!written_) return std::unexpected(written_.error());
    return true;
}

namespace {

/// Exactly so many bytes, one after the other, out of a stream.
class Reader {
public:
    Reader(int file, const std::string& shown) : stream_({file, 0, {}}, shown, UINT64_MAX) {}

    /// Nothing is left.
    Result<bool> at_end() {
        if (rest_.empty()) rest_ = TRY(stream_.next());
        return rest_.empty();
    }
    Result<Buffer> take(size_t count) {
        Buffer out;
        while (out.size() < count) {
            if (TRY(at_end())) return fail(stream_.name() + " is truncated");
            const size_t now = std::min(rest_.size(), count - out.size());
            out.insert(out.end(), rest_.begin(), rest_.begin() + ptrdiff_t(now));
            rest_ = rest_.subspan(now);
        }
        return out;
    }
    template <typename T>
    Result<T> number() {
        const Buffer raw = TRY(take(sizeof(T)));
        T value;
        memcpy(&value, raw.data(), sizeof value);
        return value;
    }
    std::unexpected<Error> damaged() { return fail(stream_.name() + " is damaged"); }

private:
    ContentStream stream_;
    Bytes rest_;
};

}  // namespace

Status read_skeleton(int file, const std::string& shown, const SkeletonParts& parts) {
    Reader reader(file, shown);
    if (as_text(TRY(reader.take(kMagic.size()))) != kMagic) return reader.damaged();
    while (!TRY(reader.at_end())) {
        const auto kind = TRY(reader.number<uint8_t>());
        if (kind != kBytesPart && kind != kFilePart) return reader.damaged();
        const uint64_t size = kind == kFilePart ? TRY(reader.number<uint64_t>()) : 0;
        const auto length = TRY(reader.number<uint32_t>());
        if (length > limits::stream_buffer_bytes) return reader.damaged();
        const Buffer bytes = TRY(reader.take(length));
        TRY_STATUS(kind == kFilePart ? parts.file(std::string(as_text(bytes)), size)
                                     : parts.bytes(bytes));
    }
    return {};
}

}  // namespace noded::image

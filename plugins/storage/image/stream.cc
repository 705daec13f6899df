// Content streams, see stream.h.
#include "plugins/storage/image/stream.h"

#include <errno.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "agent/base/check.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {

/// Turns `input` (consumed from its front) into decompressed bytes. Nothing left to give: an empty
/// span.
class ContentStream::Codec {
public:
    virtual ~Codec() = default;
    virtual Result<Bytes> decode(Bytes& input) = 0;
    /// False while the content stops in the middle of something.
    virtual bool complete() const = 0;
};

namespace {

class PlainCodec final : public ContentStream::Codec {
public:
    Result<Bytes> decode(Bytes& input) override { return std::exchange(input, {}); }
    bool complete() const override { return true; }
};

/// One or more gzip members (RFC 1952), as pigz and estargz write them; zlib checks CRC and length
/// of each.
class GzipCodec final : public ContentStream::Codec {
public:
    GzipCodec() : output_(limits::stream_buffer_bytes) {
        CHECK(inflateInit2(&state_, 16 + MAX_WBITS) == Z_OK);
    }
    ~GzipCodec() override { inflateEnd(&state_); }

    Result<Bytes> decode(Bytes& input) override {
        state_.next_out = output_.data();
        state_.avail_out = unsigned(output_.size());
        while (state_.avail_out > 0) {
            if (member_ended_) {
                if (input.empty()) break;
                CHECK(inflateReset(&state_) == Z_OK);
                member_ended_ = false;
            }
            state_.next_in = const_cast<uint8_t*>(input.data());
            state_.avail_in = unsigned(input.size());
            int result = inflate(&state_, Z_NO_FLUSH);
            input = input.last(state_.avail_in);
            if (result == Z_STREAM_END) member_ended_ = true;
            else if (result == Z_BUF_ERROR) break;
            else if (result != Z_OK)
                return fail(std::string("its gzip compression is damaged: ") +
                            (state_.msg != nullptr ? state_.msg : zError(result)));
        }
        return Bytes(output_.data(), output_.size() - state_.avail_out);
    }
    bool complete() const override { return member_ended_; }

private:
    z_stream state_ = {};
    Buffer output_;
    bool member_ended_ = false;
};

/// One or more zstd frames (RFC 8878), skippable ones between them.
class ZstdCodec final : public ContentStream::Codec {
public:
    ZstdCodec() : state_(ZSTD_createDStream()), output_(limits::stream_buffer_bytes) {
        CHECK(state_ != nullptr);
    }
    ~ZstdCodec() override { ZSTD_freeDStream(state_); }

    Result<Bytes> decode(Bytes& input) override {
        ZSTD_outBuffer out{output_.data(), output_.size(), 0};
        while (out.pos < out.size) {
            ZSTD_inBuffer in{input.data(), input.size(), 0};
            size_t before = out.pos;
            size_t result = ZSTD_decompressStream(state_, &out, &in);
            if (ZSTD_isError(result))
                return fail(std::string("its zstd compression is damaged: ") +
                            ZSTD_getErrorName(result));
            input = input.subspan(in.pos);
            // Without progress the result says nothing new: the frame ended before.
            if (in.pos == 0 && out.pos == before) break;
            frame_ended_ = result == 0;
        }
        return Bytes(output_.data(), out.pos);
    }
    bool complete() const override { return frame_ended_; }

private:
    ZSTD_DStream* state_;
    Buffer output_;
    bool frame_ended_ = false;
};

bool begins_with(Bytes input, std::initializer_list<uint8_t> magic) {
    return input.size() >= magic.size() && std::equal(magic.begin(), magic.end(), input.begin());
}

bool is_zstd(Bytes input) {
    if (begins_with(input, {0x28, 0xb5, 0x2f, 0xfd})) return true;
    return input.size() >= 4 && (input[0] & 0xf0) == 0x50 &&
           begins_with(input.subspan(1), {0x2a, 0x4d, 0x18});
}

}  // namespace

bool is_compressed(Bytes first) { return begins_with(first, {0x1f, 0x8b}) || is_zstd(first); }

ContentStream::ContentStream(Extent extent, std::string name, uint64_t bytes_max)
    : extent_(extent),
      name_(std::move(name)),
      bytes_max_(bytes_max),
      buffer_(limits::stream_buffer_bytes) {
    seekable_ = lseek(extent_.fd, 0, SEEK_CUR) >= 0;
    CHECK_MSG(seekable_ || (extent_.offset == 0 && !extent_.size), "a pipe has no extents");
}

ContentStream::~ContentStream() = default;

/// The next stored bytes. Fills the buffer even where a pipe gives little, which keeps later steps
/// large.
Result<Bytes> ContentStream::read_input() {
    size_t filled = 0;
    while (filled < buffer_.size()) {
        size_t want = buffer_.size() - filled;
        if (extent_.size) want = size_t(std::min<uint64_t>(want, *extent_.size - consumed_));
        if (want == 0) break;
        ssize_t count = seekable_ ? pread(extent_.fd, buffer_.data() + filled, want,
                                          off_t(extent_.offset + consumed_))
                                  : read(extent_.fd, buffer_.data() + filled, want);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(errno, "read " + name_);
        if (count == 0) break;
        filled += size_t(count);
        consumed_ += uint64_t(count);
    }
    Bytes input(buffer_.data(), filled);
    stored_hash_.update(input);
    return input;
}

Status ContentStream::choose_codec() {
    started_ = true;
    input_ = TRY(read_input());
    if (begins_with(input_, {0xfd, '7', 'z', 'X', 'Z', 0}))
        return fail("it is compressed with xz; noded reads gzip, zstd and plain archives");
    if (begins_with(input_, {'B', 'Z', 'h'}) && input_.size() > 10 &&
        begins_with(input_.subspan(4), {0x31, 0x41, 0x59, 0x26, 0x53, 0x59}))
        return fail("it is compressed with bzip2; noded reads gzip, zstd and plain archives");
    if (begins_with(input_, {0x1f, 0x8b})) codec_ = std::make_unique<GzipCodec>();
    else if (is_zstd(input_)) codec_ = std::make_unique<ZstdCodec>();
    else codec_ = std::make_unique<PlainCodec>();
    bool plain = dynamic_cast<PlainCodec*>(codec_.get()) != nullptr;
    if (!plain) hash_.emplace();
    return {};
}

Result<Bytes> ContentStream::next() {
    if (!started_) TRY_STATUS(choose_codec());
    while (!ended_) {
        Bytes output = TRY(codec_->decode(input_));
        if (!output.empty()) {
            bytes_ += output.size();
            if (bytes_ > bytes_max_)
                return fail("it unpacks to more than the limit of " + std::to_string(bytes_max_) +
                            " bytes (unpackedBytesMax)");
            if (hash_) hash_->update(output);
            return output;
        }
        if (!input_.empty()) return fail("its compressed data makes no progress");
        input_ = TRY(read_input());
        if (!input_.empty()) continue;
        ended_ = true;
        if (!codec_->complete() || (extent_.size && consumed_ < *extent_.size))
            return fail("it is truncated: its data ends early");
    }
    return Bytes{};
}

Status ContentStream::drain() {
    while (!TRY(next()).empty()) {
    }
    return {};
}

std::string ContentStream::stored_digest() {
    CHECK_MSG(ended_, "digests exist at the end");
    if (stored_digest_.empty()) stored_digest_ = stored_hash_.finish();
    return stored_digest_;
}

std::string ContentStream::digest() {
    if (!hash_ && digest_.empty()) digest_ = stored_digest();
    CHECK_MSG(ended_, "digests exist at the end");
    if (digest_.empty()) digest_ = hash_->finish();
    return digest_;
}

}  // namespace noded::image

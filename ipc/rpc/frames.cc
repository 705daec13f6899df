// Frames; see the header.
#include "ipc/rpc/frames.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>

#include "agent/base/bytes.h"
#include "agent/base/check.h"

namespace noded::rpc {

namespace {

using capnp::word;

// A hundred small calls; a larger message gets memory of its own.
constexpr size_t buffer_bytes = 32 << 10;
// An output buffer that grew beyond this is given back.
constexpr size_t kept_bytes_max = 256 << 10;
constexpr size_t segments_max = 512;  // As in Cap'n Proto itself.
constexpr size_t first_piece_bytes_max = buffer_bytes / 4;
constexpr size_t fd_batches_max = 8;  // More are descriptors without messages.

// A message is read more than once (by the RPC system, the permission check, the method), but not
// much more.
capnp::ReaderOptions reader_options() {
    capnp::ReaderOptions options;
    options.traversalLimitInWords = 8 * limits::rpc_message_bytes_max / sizeof(word);
    return options;
}

kj::Array<kj::AutoCloseFd> owned(std::vector<Fd> fds) {
    if (fds.empty()) return nullptr;
    auto array = kj::heapArray<kj::AutoCloseFd>(fds.size());
    for (size_t i = 0; i < fds.size(); ++i) array[i] = kj::AutoCloseFd(fds[i].release());
    return array;
}

std::vector<Fd> descriptors_of(const msghdr& message) {
    std::vector<Fd> fds;
    if (message.msg_controllen == 0) return fds;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(const_cast<msghdr*>(&message), part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            fds.emplace_back(fd);
        }
    }
    return fds;
}

uint32_t number_at(const uint8_t* bytes) {
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return number;
}

}  // namespace

ReceivedMessage::ReceivedMessage(kj::Array<word> words, std::vector<Fd> fds,
                                 std::shared_ptr<Load> load)
    : words_(kj::mv(words)),
      reader_(words_.asPtr(), reader_options()),
      fds_(owned(std::move(fds))),
      load_(std::move(load)) {
    ++load_->messages;
    load_->bytes += words_.asBytes().size();
}

ReceivedMessage::~ReceivedMessage() noexcept(false) {
    --load_->messages;
    load_->bytes -= words_.asBytes().size();
}

FrameReader::FrameReader() : buffer_(kj::heapArray<word>(buffer_bytes / kWordSize)) {}

void FrameReader::prepare(msghdr& message) {
    auto bytes = buffer_.asBytes();
    if (large_ != nullptr) {
        auto rest = large_.asBytes();
        space_ = {rest.begin() + large_filled_, rest.size() - large_filled_};
    } else {
        if (begin_ > 0) {
            // Frames are whole words, so what is moved to the front stays aligned.
            memmove(bytes.begin(), bytes.begin() + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
        }
        space_ = {bytes.begin() + end_, bytes.size() - end_};
    }
    CHECK(space_.iov_len > 0);
    message = msghdr{};
    message.msg_iov = &space_;
    message.msg_iovlen = 1;
    message.msg_control = control_;
    message.msg_controllen = sizeof control_;
}

Status FrameReader::received(const msghdr& message, size_t count) {
    CHECK(count <= space_.iov_len);
    std::vector<Fd> fds = descriptors_of(message);
    if (large_ != nullptr) {
        // No message begins here, so descriptors belong to none and are closed.
        large_filled_ += count;
        return {};
    }
    if (!fds.empty()) {
        if (batches_.size() >= fd_batches_max)
            return fail("receive descriptors: they belong to no message");
        batches_.push_back({received_, received_ + count, std::move(fds)});
    }
    received_ += count;
    end_ += count;
    return {};
}

// The frame at the front, if enough of it is here to know its size.
Result<std::optional<FrameReader::Frame>> FrameReader::measure() const {
    const size_t available = end_ - begin_;
    if (available < kWordSize) return std::nullopt;
    const uint8_t* bytes = buffer_.asBytes().begin() + begin_;
    const size_t segments = static_cast<size_t>(number_at(bytes)) + 1;
    if (segments > segments_max) {
        return fail("receive a message of " + std::to_string(segments) + " segments: at most " +
                    std::to_string(segments_max) + " are taken");
    }
    const size_t table = round_up((segments + 1) * sizeof(uint32_t), kWordSize);
    if (available < table) return std::nullopt;
    size_t total = table;
    for (size_t i = 1; i <= segments; ++i)
        total += number_at(bytes + i * sizeof(uint32_t)) * kWordSize;
    if (total > limits::rpc_message_bytes_max) {
        return fail("receive a message of " + std::to_string(total) + " bytes: the limit is " +
                    std::to_string(limits::rpc_message_bytes_max));
    }
    return Frame{total, available >= total};
}

Result<kj::Own<ReceivedMessage>> FrameReader::next() {
    if (large_ != nullptr) {
        if (large_filled_ < large_.asBytes().size()) return kj::Own<ReceivedMessage>();
        auto message =
            kj::heap<ReceivedMessage>(kj::mv(large_), std::exchange(large_fds_, {}), load_);
        large_ = nullptr;
        return kj::mv(message);
    }
    const std::optional<Frame> frame = TRY(measure());
    if (!frame) return kj::Own<ReceivedMessage>();
    if (frame->whole) return take(*frame);
    if (frame->bytes > buffer_bytes) begin_large(*frame);
    return kj::Own<ReceivedMessage>();
}

kj::Own<ReceivedMessage> FrameReader::take(const Frame& frame) {
    auto words = kj::heapArray<word>(frame.bytes / kWordSize);
    memcpy(words.begin(), buffer_.asBytes().begin() + begin_, frame.bytes);
    std::vector<Fd> fds;
    if (!batches_.empty()) fds = take_fds(position(), position() + frame.bytes);
    begin_ += frame.bytes;
    return kj::heap<ReceivedMessage>(kj::mv(words), std::move(fds), load_);
}

void FrameReader::begin_large(const Frame& frame) {
    large_fds_ = take_fds(position(), position() + frame.bytes);
    batches_.clear();
    large_ = kj::heapArray<word>(frame.bytes / kWordSize);
    large_filled_ = end_ - begin_;
    memcpy(large_.begin(), buffer_.asBytes().begin() + begin_, large_filled_);
    begin_ = end_ = 0;
}

// Descriptors of the message at [begin, end) of the stream. The kernel ends a receive with the
// piece that carried descriptors, and their message is the last in it: so they belong to the last
// message that begins within their batch.
std::vector<Fd> FrameReader::take_fds(uint64_t begin, uint64_t end) {
    while (!batches_.empty()) {
        FdBatch& batch = batches_.front();
        if (batch.begin >= end || (batch.end > end && batch.begin <= begin)) return {};
        const bool begins_within = batch.begin <= begin && begin < batch.end;
        if (!begins_within && batch.end > end) return {};
        std::vector<Fd> fds = std::move(batch.fds);
        batches_.pop_front();
        if (begins_within) return fds;
    }
    return {};
}

Status FrameWriter::add(kj::ArrayPtr<const int> fds,
                        kj::ArrayPtr<const kj::ArrayPtr<const word>> segments) {
    CHECK(segments.size() > 0);
    const size_t table = round_up((segments.size() + 1) * sizeof(uint32_t), kWordSize);
    size_t total = table;
    for (const auto& segment : segments) total += segment.asBytes().size();
    if (total > limits::rpc_message_bytes_max) {
        return fail("send a message of " + std::to_string(total) + " bytes: the limit is " +
                    std::to_string(limits::rpc_message_bytes_max));
    }
    std::vector<Fd> owned;
    for (const int fd : fds) {
        owned.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!owned.back().valid())
            return fail_errno(errno, "duplicate a descriptor that is to be sent");
    }
    const size_t begin = bytes_.size();
    bytes_.resize(begin + table);
    uint8_t* numbers = bytes_.data() + begin;
    auto put = [&numbers](size_t number) {
        const auto narrow = static_cast<uint32_t>(number);
        memcpy(numbers, &narrow, sizeof narrow);
        numbers += sizeof narrow;
    };
    put(segments.size() - 1);
    for (const auto& segment : segments) put(segment.size());
    for (const auto& segment : segments) {
        const auto bytes = segment.asBytes();
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    if (!owned.empty()) marks_.push_back({begin, bytes_.size(), std::move(owned)});
    return {};
}

Result<size_t> FrameWriter::send_some(int socket) {
    size_t end = bytes_.size();
    msghdr message{};
    alignas(cmsghdr) char control[CMSG_SPACE(limits::rpc_fds_per_message_max * sizeof(int))];
    const bool with_fds =
        !marks_.empty() && (marks_.front().begin == sent_ ||
                            (!begun_ && marks_.front().end <= first_piece_bytes_max));
    if (with_fds) {
        const std::vector<Fd>& fds = marks_.front().fds;
        if (fds.size() > limits::rpc_fds_per_message_max)
            return fail("send a message: too many descriptors");
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
        cmsghdr* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
        for (size_t i = 0; i < fds.size(); ++i) {
            const int fd = fds[i].get();
            memcpy(CMSG_DATA(part) + i * sizeof fd, &fd, sizeof fd);
        }
        end = marks_.front().end;
    } else if (!marks_.empty()) {
        end = marks_.front().begin;
    }
    iovec piece{bytes_.data() + sent_, end - sent_};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    ssize_t count = 0;
    do {
        count = sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count < 0) return fail_errno(errno, "send to the peer");
    begun_ = true;
    if (with_fds) marks_.pop_front();
    return static_cast<size_t>(count);
}

// A peer that is always a little behind must not make the buffer grow without end, and what is
// moved is never more than what was sent.
void FrameWriter::forget_sent() {
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(sent_));
    for (Mark& mark : marks_) {
        mark.begin -= sent_;
        mark.end -= sent_;
    }
    sent_ = 0;
}

Result<bool> FrameWriter::flush(int socket) {
    while (pending() > 0) {
        const size_t count = TRY(send_some(socket));
        if (count == 0) {
            if (sent_ > kept_bytes_max && sent_ > pending()) forget_sent();
            return false;
        }
        sent_ += count;
    }
    CHECK(marks_.empty());
    bytes_.clear();
    sent_ = 0;
    if (bytes_.capacity() > kept_bytes_max) bytes_.shrink_to_fit();
    return true;
}

}  // namespace noded::rpc

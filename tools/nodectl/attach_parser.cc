// See attach_parser.h.
#include "tools/nodectl/attach_parser.h"

#include <algorithm>

namespace noded::nodectl {

Status AttachParser::feed(std::string_view bytes, const Sink& sink) {
    while (!bytes.empty()) {
        if (!in_frame_) {
            const size_t take = std::min(bytes.size(), sizeof header_ - partial_.size());
            partial_.append(bytes, 0, take);
            bytes.remove_prefix(take);
            if (partial_.size() < sizeof header_) return {};
            memcpy(&header_, partial_.data(), sizeof header_);
            partial_.clear();
            if (header_.length > attach_frame_bytes_max) {
                return fail("read the attach stream: a frame of " + std::to_string(header_.length) +
                            " bytes");
            }
            remaining_ = header_.length;
            in_frame_ = remaining_ > 0;
            continue;
        }
        const std::string_view piece = bytes.substr(0, remaining_);
        bytes.remove_prefix(piece.size());
        remaining_ -= static_cast<uint32_t>(piece.size());
        in_frame_ = remaining_ > 0;
        if (header_.kind == AttachKind::stdout_data || header_.kind == AttachKind::stderr_data) {
            sink(header_.kind, piece);
        } else if (header_.kind == AttachKind::exit || header_.kind == AttachKind::lost) {
            partial_ += piece;
            if (in_frame_) continue;
            const size_t least =
                header_.kind == AttachKind::exit ? sizeof(AttachExit) : sizeof(uint64_t);
            if (partial_.size() >= least) sink(header_.kind, partial_);
            partial_.clear();
        }
    }
    return {};
}

std::string attach_frame(AttachKind kind, std::string_view bytes) {
    const AttachHeader header{
        .kind = kind, .zero = {}, .length = static_cast<uint32_t>(bytes.size())};
    std::string frame(reinterpret_cast<const char*>(&header), sizeof header);
    frame += bytes;
    return frame;
}

}  // namespace noded::nodectl

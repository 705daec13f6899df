// Attach frames and blocks of a log as nodectl reads them, cut anywhere: the same output however
// they were cut, or the same error.
#include "agent/base/check.h"
#include "tests/fuzz/input.h"
#include "tools/nodectl/attach_parser.h"
#include "tools/nodectl/log_printer.h"

namespace noded::nodectl {
namespace {

template <typename Feed>
Status in_pieces(std::string_view bytes, size_t piece, const Feed& feed) {
    while (!bytes.empty()) {
        const std::string_view part = bytes.substr(0, piece);
        bytes.remove_prefix(part.size());
        // A copy of its own, so that a read past its end is seen.
        const std::string copy(part);
        if (Status status = feed(copy); !status) return status;
    }
    return {};
}

std::string attached(std::string_view bytes, size_t piece) {
    std::string output;
    AttachParser parser;
    const Status status = in_pieces(bytes, piece, [&](std::string_view part) {
        return parser.feed(part, [&](AttachKind kind, std::string_view data) {
            if (kind == AttachKind::exit) CHECK(data.size() >= sizeof(AttachExit));
            for (const char c : data) output += {static_cast<char>(kind), c};
        });
    });
    return output + (status ? "" : status.error().message);
}

/// A block of a log while it is being written: so many bytes more each time that it is read.
std::string printed(std::string_view bytes, size_t piece, const LogFilter& filter) {
    std::string output;
    LogPrinter printer(filter, [&](LogStream, std::string_view text) { output += text; });
    LogBlock header{};
    bytes = bytes.substr(0, log_block_bytes);
    memcpy(&header, bytes.data(), std::min(bytes.size(), sizeof header));
    header.open &= 6;
    printer.jump(header, header.lost);
    size_t at = sizeof header;
    bool wanted = true;
    for (size_t end = 0; end < bytes.size() && wanted;) {
        end += std::min(piece, bytes.size() - end);
        const std::string copy(bytes.substr(0, end));
        LogFrame frame;
        while (wanted && log_next(copy, &at, &frame) == LogStep::frame)
            wanted = printer.frame(frame);
    }
    return output;
}

}  // namespace
}  // namespace noded::nodectl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace noded::nodectl;
    noded::fuzz::Input input(data, size);
    const size_t piece = 1 + input.number();
    const uint8_t choice = input.number();
    LogFilter filter;
    filter.timestamps = (choice & 1) != 0;
    if ((choice & 2) != 0) filter.from_line = choice >> 4;
    if ((choice & 4) != 0) filter.since_ns = input.number<uint16_t>();
    const std::string bytes = input.rest_text();
    CHECK(attached(bytes, piece) == attached(bytes, SIZE_MAX));
    CHECK(printed(bytes, piece, filter) == printed(bytes, SIZE_MAX, filter));
    return 0;
}

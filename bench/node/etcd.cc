// etcd: the call KV.Put of its gRPC interface, each a stream of one HTTP/2 connection (RFC 9113).
// As much of both protocols as one client needs that sends the same header each time.
#include <arpa/inet.h>

#include <cstdio>

#include "bench/node/peer_load.h"

namespace noded::bench {
namespace {

enum Frame : uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoAway = 7,
                       kWindow = 8 };
enum Flag : uint8_t { kAck = 1, kEndStream = 1, kEndHeaders = 4 };
constexpr size_t kFrameHeader = 9;
constexpr int64_t kFirstWindow = 65'535;
constexpr uint32_t kLargestWindow = 0x7FFFFFFF;

std::string big_endian(uint32_t value) {
    const uint32_t swapped = htonl(value);
    return {reinterpret_cast<const char*>(&swapped), sizeof swapped};
}

std::string frame(Frame type, uint8_t flags, uint32_t stream, const std::string& body) {
    std::string bytes = big_endian(static_cast<uint32_t>(body.size())).substr(1);
    bytes += static_cast<char>(type);
    bytes += static_cast<char>(flags);
    return bytes + big_endian(stream) + body;
}

/// HPACK (RFC 7541): indexed fields, and literals that enter no table.
std::string request_header() {
    const auto text = [](const std::string& value) {
        return static_cast<char>(value.size()) + value;
    };
    return std::string("\x83\x86") +                          // :method POST, :scheme http
           "\x04" + text("/etcdserverpb.KV/Put") +            // :path
           "\x01" + text("localhost") +                       // :authority
           "\x0f\x10" + text("application/grpc") +            // content-type
           std::string(1, '\0') + text("te") + text("trailers");
}

class Etcd final : public Protocol {
public:
    std::string hello() override {
        const std::string window = std::string("\0\x04", 2) + big_endian(kLargestWindow);
        return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(kSettings, 0, 0, window) +
               frame(kWindow, 0, 0, big_endian(kLargestWindow - kFirstWindow));
    }
    bool request(uint64_t number, std::string& out) override {
        char key[17];
        snprintf(key, sizeof key, "%016llx", static_cast<unsigned long long>(number));
        // PutRequest: 1 key, 2 value.
        std::string message = std::string("\x0a\x10") + key + "\x12";
        message += static_cast<char>(0x80 | (value_.size() & 0x7F));
        message += static_cast<char>(value_.size() >> 7);
        message += value_;
        const std::string body =
            std::string(1, '\0') + big_endian(static_cast<uint32_t>(message.size())) + message;
        if (static_cast<int64_t>(body.size()) > window_) return false;
        window_ -= static_cast<int64_t>(body.size());
        const auto stream = static_cast<uint32_t>(2 * streams_.size() + 1);
        streams_.push_back({number, false});
        out += frame(kHeaders, kEndHeaders, stream, header_) +
               frame(kData, kEndStream, stream, body);
        return true;
    }
    Status answers(std::string& in, std::string& out,
                   const std::function<void(uint64_t)>& each) override {
        size_t at = 0;
        while (in.size() - at >= kFrameHeader) {
            const size_t bytes = word(in, at) >> 8;
            if (in.size() - at < kFrameHeader + bytes) break;
            const std::string body = in.substr(at + kFrameHeader, bytes);
            TRY_STATUS(take(static_cast<uint8_t>(in[at + 3]), static_cast<uint8_t>(in[at + 4]),
                            word(in, at + 5) & kLargestWindow, body, out, each));
            at += kFrameHeader + bytes;
        }
        in.erase(0, at);
        return {};
    }

private:
    struct Stream {
        uint64_t number;
        bool has_data;   ///< an error is answered by a header alone
    };

    static uint32_t word(const std::string& bytes, size_t at) {
        uint32_t value;
        memcpy(&value, bytes.data() + at, sizeof value);
        return ntohl(value);
    }
    Status take(uint8_t type, uint8_t flags, uint32_t id, const std::string& body,
                std::string& out, const std::function<void(uint64_t)>& each) {
        if (type == kSettings && (flags & kAck) == 0) out += frame(kSettings, kAck, 0, "");
        if (type == kPing && (flags & kAck) == 0) out += frame(kPing, kAck, 0, body);
        if (type == kWindow && id == 0) window_ += word(body, 0);
        if (type == kReset || type == kGoAway) return fail("etcd ends the connection: " + body);
        if (type != kData && type != kHeaders) return {};
        if (id / 2 >= streams_.size()) return fail("etcd answers what was not asked");
        Stream& stream = streams_[id / 2];
        if (type == kData && !body.empty()) stream.has_data = true;
        if (type == kHeaders && (flags & kEndStream) != 0) {
            if (!stream.has_data) return fail("etcd refused a put");
            each(stream.number);
        }
        return {};
    }

    const std::string header_ = request_header();
    const std::string value_ = std::string(kValueBytes, 'v');
    int64_t window_ = kFirstWindow;
    std::vector<Stream> streams_;   ///< by half of their id
};

}  // namespace

Status etcd_load(const Arguments& arguments) {
    return peer_load(arguments, [] { return std::make_unique<Etcd>(); });
}

}  // namespace noded::bench

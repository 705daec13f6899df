// The client's side of CURVE (RFC 26, and RFC 25 for ZMTP): who a subscriber is, and that nobody
// else reads along. Keys are 32 bytes; in files and on command lines 40 characters of Z85 (RFC 32).
//
// The arithmetic is libsodium's; here is only which bytes go where.
// Called by zmtp.cc and keygen.cc.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace noded::nodectl {

using CurveKey = std::array<uint8_t, 32>;

std::string to_z85(const CurveKey& key);
/// Nothing if it is none.
std::optional<CurveKey> from_z85(std::string_view text);

struct CurvePair {
    CurveKey public_key{}, secret_key{};
};
CurvePair make_curve_pair();
CurveKey curve_public(const CurveKey& secret);

/// The secret of a file that `nodectl keygen` made.
Result<CurveKey> read_curve_secret(const std::string& path);
/// 40 characters, or a file that has them ("FILE.pub").
Result<CurveKey> read_curve_public(const std::string& text_or_path);

/// One connection. Commands are bodies without their frame.
class CurveClient {
public:
    CurveClient(const CurveKey& server, const CurveKey& secret);

    const CurveKey& own_public() const { return own_.public_key; }
    std::string hello();
    /// The answer to WELCOME; `metadata` goes along. An error: the server's key is another one.
    Result<std::string> initiate(std::string_view welcome, std::string_view metadata);
    Status ready(std::string_view command);

    struct Message {
        bool more = false;
        bool command = false;
        std::string body;
    };
    std::string seal(const Message& message);
    Result<Message> open(std::string_view sealed) const;

private:
    std::string short_nonce(const char* prefix);

    CurveKey server_;
    CurvePair own_, transient_;
    CurveKey server_transient_{};
    CurveKey shared_{};  ///< of both transient keys
    uint64_t nonce_ = 0;
};

}  // namespace noded::nodectl

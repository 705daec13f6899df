// SHA-256 digests in the two forms that the store needs: "sha256:HEX" as images write them, and
// bare HEX as files are named. Used by every file of this folder that reads or writes content.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "agent/base/bytes.h"
#include "agent/base/result.h"

struct SHA256state_st;

namespace noded::image {

/// A running SHA-256 (OpenSSL, which uses the CPU's own instructions where there are some).
class Sha256 {
public:
    Sha256();
    void update(Bytes data);
    /// "sha256:HEX" of everything so far; nothing may follow.
    std::string finish();

private:
    struct Free {
        void operator()(SHA256state_st* context) const;
    };
    std::unique_ptr<SHA256state_st, Free> context_;
};

std::string sha256_digest(Bytes data);

/// True for exactly 64 lower-case hexadecimal digits.
bool is_sha256_hex(std::string_view text);

/// The HEX of "sha256:HEX"; any other algorithm or form is refused. Safe to use as a file name.
Result<std::string> digest_hex(std::string_view digest);

}  // namespace noded::image

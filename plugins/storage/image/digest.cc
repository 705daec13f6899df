// Digests: see digest.h. The functions of SHA-256 itself instead of EVP: those come with providers,
// a configuration and two megabytes of a library, for the same instructions.
#include "plugins/storage/image/digest.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include "agent/base/check.h"

namespace noded::image {

constexpr std::string_view kPrefix = "sha256:";

void Sha256::Free::operator()(SHA256state_st* context) const { delete context; }

Sha256::Sha256() : context_(new SHA256state_st) { CHECK(SHA256_Init(context_.get()) == 1); }

void Sha256::update(Bytes data) {
    CHECK_MSG(context_ != nullptr, "a finished digest takes no more data");
    CHECK(SHA256_Update(context_.get(), data.data(), data.size()) == 1);
}

std::string Sha256::finish() {
    CHECK_MSG(context_ != nullptr, "a digest finishes once");
    uint8_t value[SHA256_DIGEST_LENGTH];
    CHECK(SHA256_Final(value, context_.get()) == 1);
    context_.reset();
    return std::string(kPrefix) + to_hex(Bytes(value, sizeof value));
}

std::string sha256_digest(Bytes data) {
    Sha256 hash;
    hash.update(data);
    return hash.finish();
}

bool is_sha256_hex(std::string_view text) {
    if (text.size() != 64) return false;
    for (char c : text)
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    return true;
}

Result<std::string> digest_hex(std::string_view digest) {
    if (!digest.starts_with(kPrefix) || !is_sha256_hex(digest.substr(kPrefix.size())))
        return fail("\"" + std::string(digest.substr(0, 100)) +
                    "\" is not a digest of the form sha256:<64 hexadecimal digits>");
    return std::string(digest.substr(kPrefix.size()));
}

}  // namespace noded::image

// Digests: see digest.h. EVP calls fail only without memory or without SHA-256 in the library, both
// of which are beyond repair, so they are CHECKed.
#include "plugins/storage/image/digest.h"

#include <openssl/evp.h>

#include "agent/base/check.h"

namespace noded::image {

constexpr std::string_view kPrefix = "sha256:";

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    CHECK(context_ != nullptr);
    CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(Bytes data) {
    CHECK_MSG(context_ != nullptr, "a finished digest takes no more data");
    CHECK(EVP_DigestUpdate(context_.get(), data.data(), data.size()) == 1);
}

std::string Sha256::finish() {
    CHECK_MSG(context_ != nullptr, "a digest finishes once");
    uint8_t value[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    CHECK(EVP_DigestFinal_ex(context_.get(), value, &size) == 1);
    CHECK(size == 32);
    context_.reset();
    return std::string(kPrefix) + to_hex(Bytes(value, size));
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

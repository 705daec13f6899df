// See curve.h.
#include "tools/nodectl/curve.h"

#include <fcntl.h>
#include <sodium.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/check.h"
#include "agent/base/fd.h"

namespace noded::nodectl {
namespace {

constexpr std::string_view kDigits =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
constexpr size_t kZ85Bytes = 40;
constexpr size_t kKeyBytes = 32, kNonceBytes = 24, kMacBytes = crypto_box_MACBYTES;
constexpr size_t kCookieBytes = 96;
constexpr std::string_view kWelcome = "\x07WELCOME", kReady = "\x05READY", kMessage = "\x07MESSAGE";

const uint8_t* bytes(std::string_view text) {
    return reinterpret_cast<const uint8_t*>(text.data());
}
uint8_t* bytes(std::string& text) { return reinterpret_cast<uint8_t*>(text.data()); }
std::string_view text(const CurveKey& key) {
    return {reinterpret_cast<const char*>(key.data()), key.size()};
}

std::string big_endian(uint64_t value) {
    std::string out(8, '\0');
    for (size_t i = 8; i-- > 0; value >>= 8) out[i] = char(value & 0xff);
    return out;
}

std::string box(std::string_view plain, std::string_view nonce, const CurveKey& to,
                const CurveKey& from) {
    CHECK(nonce.size() == kNonceBytes);
    std::string out(plain.size() + kMacBytes, '\0');
    CHECK(crypto_box_easy(bytes(out), bytes(plain), plain.size(), bytes(nonce), to.data(),
                          from.data()) == 0);
    return out;
}

std::optional<std::string> open_box(std::string_view sealed, std::string_view nonce,
                                    const CurveKey& shared) {
    CHECK(nonce.size() == kNonceBytes);
    if (sealed.size() < kMacBytes) return std::nullopt;
    std::string out(sealed.size() - kMacBytes, '\0');
    if (crypto_box_open_easy_afternm(bytes(out), bytes(sealed), sealed.size(), bytes(nonce),
                                     shared.data()) != 0)
        return std::nullopt;
    return out;
}

Result<std::string> first_word(const std::string& path) {
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(errno, "open " + path);
    std::string text(4096, '\0');
    const ssize_t size = read(fd.get(), text.data(), text.size());
    if (size < 0) return fail_errno(errno, "read " + path);
    text.resize(static_cast<size_t>(size));
    return text.substr(0, text.find_first_of(" \t\r\n"));
}

}  // namespace

std::string to_z85(const CurveKey& key) {
    std::string out;
    for (size_t at = 0; at < key.size(); at += 4) {
        uint32_t value = 0;
        for (size_t i = 0; i < 4; ++i) value = value << 8 | key[at + i];
        char group[5];
        for (size_t i = 5; i-- > 0; value /= 85) group[i] = kDigits[value % 85];
        out.append(group, 5);
    }
    return out;
}

std::optional<CurveKey> from_z85(std::string_view text) {
    if (text.size() != kZ85Bytes) return std::nullopt;
    CurveKey key;
    for (size_t group = 0; group < kZ85Bytes / 5; ++group) {
        uint64_t value = 0;
        for (const char c : text.substr(group * 5, 5)) {
            const size_t digit = kDigits.find(c);
            if (digit == std::string_view::npos) return std::nullopt;
            value = value * 85 + digit;
        }
        if (value > UINT32_MAX) return std::nullopt;
        for (size_t i = 4; i-- > 0; value >>= 8) key[group * 4 + i] = uint8_t(value & 0xff);
    }
    return key;
}

CurvePair make_curve_pair() {
    CHECK(sodium_init() >= 0);
    CurvePair pair;
    CHECK(crypto_box_keypair(pair.public_key.data(), pair.secret_key.data()) == 0);
    return pair;
}

CurveKey curve_public(const CurveKey& secret) {
    CurveKey key;
    CHECK(crypto_scalarmult_base(key.data(), secret.data()) == 0);
    return key;
}

Result<CurveKey> read_curve_secret(const std::string& path) {
    const auto key = from_z85(TRY(first_word(path)));
    if (!key) return fail(path + " does not hold a secret key: make one with 'nodectl keygen'");
    return *key;
}

Result<CurveKey> read_curve_public(const std::string& text_or_path) {
    if (const auto key = from_z85(text_or_path)) return *key;
    const auto word = first_word(text_or_path);
    const auto key = word ? from_z85(*word) : std::nullopt;
    if (!key)
        return fail("\"" + text_or_path + "\" is neither a public key (40 characters) nor a file "
                    "that has one");
    return *key;
}

CurveClient::CurveClient(const CurveKey& server, const CurveKey& secret)
    : server_(server), transient_(make_curve_pair()) {
    own_ = {curve_public(secret), secret};
}

/// What was a nonce once never is again in this connection.
std::string CurveClient::short_nonce(const char* prefix) {
    return prefix + big_endian(++nonce_);
}

std::string CurveClient::hello() {
    constexpr size_t kPadding = 72, kSignature = 64;
    const std::string nonce = short_nonce("CurveZMQHELLO---");
    return std::string("\x05HELLO") + std::string("\x01\x00", 2) + std::string(kPadding, '\0') +
           std::string(text(transient_.public_key)) + nonce.substr(16) +
           box(std::string(kSignature, '\0'), nonce, server_, transient_.secret_key);
}

Result<std::string> CurveClient::initiate(std::string_view welcome, std::string_view metadata) {
    constexpr size_t kLongNonce = 16;
    const size_t head = kWelcome.size() + kLongNonce;
    if (!welcome.starts_with(kWelcome) ||
        welcome.size() != head + kKeyBytes + kCookieBytes + kMacBytes)
        return fail("what noded answered is no CURVE");
    CurveKey with_server;
    if (crypto_box_beforenm(with_server.data(), server_.data(), transient_.secret_key.data()) != 0)
        return fail("the key of noded is none");
    const auto opened =
        open_box(welcome.substr(head),
                 "WELCOME-" + std::string(welcome.substr(kWelcome.size(), kLongNonce)),
                 with_server);
    if (!opened) return fail("the answer was not made with the key of noded");
    memcpy(server_transient_.data(), opened->data(), kKeyBytes);
    if (crypto_box_beforenm(shared_.data(), server_transient_.data(),
                            transient_.secret_key.data()) != 0)
        return fail("the key of noded's connection is none");
    std::string vouch_nonce(kLongNonce, '\0');
    randombytes_buf(vouch_nonce.data(), vouch_nonce.size());
    const std::string vouch =
        box(std::string(text(transient_.public_key)) + std::string(text(server_)),
            "VOUCH---" + vouch_nonce, server_transient_, own_.secret_key);
    const std::string plain =
        std::string(text(own_.public_key)) + vouch_nonce + vouch + std::string(metadata);
    const std::string nonce = short_nonce("CurveZMQINITIATE");
    return std::string("\x08INITIATE") + opened->substr(kKeyBytes) + nonce.substr(16) +
           box(plain, nonce, server_transient_, transient_.secret_key);
}

Status CurveClient::ready(std::string_view command) {
    constexpr size_t kShortNonce = 8;
    if (!command.starts_with(kReady) || command.size() < kReady.size() + kShortNonce)
        return fail("what noded answered is no CURVE");
    command.remove_prefix(kReady.size());
    const std::string nonce = "CurveZMQREADY---" + std::string(command.substr(0, kShortNonce));
    if (!open_box(command.substr(kShortNonce), nonce, shared_))
        return fail("the answer was not made with the key of noded");
    return {};
}

std::string CurveClient::seal(const Message& message) {
    const std::string nonce = short_nonce("CurveZMQMESSAGEC");
    std::string plain(1, char((message.more ? 1 : 0) | (message.command ? 2 : 0)));
    plain += message.body;
    std::string out(plain.size() + kMacBytes, '\0');
    CHECK(crypto_box_easy_afternm(bytes(out), bytes(plain), plain.size(), bytes(nonce),
                                  shared_.data()) == 0);
    return std::string(kMessage) + nonce.substr(16) + out;
}

Result<CurveClient::Message> CurveClient::open(std::string_view sealed) const {
    constexpr size_t kShortNonce = 8;
    if (!sealed.starts_with(kMessage) || sealed.size() < kMessage.size() + kShortNonce)
        return fail("noded sent something that is not encrypted");
    sealed.remove_prefix(kMessage.size());
    const std::string nonce = "CurveZMQMESSAGES" + std::string(sealed.substr(0, kShortNonce));
    const auto plain = open_box(sealed.substr(kShortNonce), nonce, shared_);
    if (!plain || plain->empty()) return fail("a message was changed on its way from noded");
    const auto flags = static_cast<uint8_t>((*plain)[0]);
    return Message{(flags & 1) != 0, (flags & 2) != 0, plain->substr(1)};
}

}  // namespace noded::nodectl

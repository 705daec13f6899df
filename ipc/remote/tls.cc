// See tls.h. OpenSSL's functions: ssl(7), SSL_CTX_new(3) and those named there.
#include "ipc/remote/tls.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "ipc/remote/tcp.h"

namespace noded::remote {
namespace {

struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* connection) const { SSL_free(connection); }
    void operator()(X509* certificate) const { X509_free(certificate); }
};

/// What OpenSSL says of its last failure.
std::string reason() {
    const unsigned long error = ERR_get_error();
    const char* text = error != 0 ? ERR_reason_error_string(error) : nullptr;
    ERR_clear_error();
    return text != nullptr ? text : "unknown error";
}

/// Why a key was not taken.
std::string key_trouble() {
    const unsigned long error = ERR_peek_last_error();
    const int why = ERR_GET_REASON(error);
    if (ERR_GET_LIB(error) == ERR_LIB_X509 &&
        (why == X509_R_KEY_VALUES_MISMATCH || why == X509_R_KEY_TYPE_MISMATCH))
        return "it belongs to another certificate";
    return reason();
}

class TlsLink final : public Link {
public:
    TlsLink(Fd socket, std::unique_ptr<SSL, Free> connection)
        : socket_(std::move(socket)), connection_(std::move(connection)) {}

    Result<std::optional<size_t>> receive(std::span<char> into) override {
        ERR_clear_error();
        size_t got = 0;
        if (SSL_read_ex(connection_.get(), into.data(), into.size(), &got) == 1) return got;
        switch (SSL_get_error(connection_.get(), 0)) {
            case SSL_ERROR_ZERO_RETURN: return size_t{0};
            case SSL_ERROR_WANT_READ: return wants_to_send_ = false, std::nullopt;
            case SSL_ERROR_WANT_WRITE: return wants_to_send_ = true, std::nullopt;
            default: return trouble("receive from the other machine");
        }
    }

    Result<size_t> send(std::string_view bytes) override {
        ERR_clear_error();
        size_t sent = 0;
        if (bytes.empty()) return sent;
        if (SSL_write_ex(connection_.get(), bytes.data(), bytes.size(), &sent) == 1) return sent;
        switch (SSL_get_error(connection_.get(), 0)) {
            case SSL_ERROR_WANT_READ:
            case SSL_ERROR_WANT_WRITE: return size_t{0};
            default: return trouble("send to the other machine");
        }
    }

    void end() override {
        ERR_clear_error();
        SSL_shutdown(connection_.get());
        shutdown(socket_.get(), SHUT_WR);
    }

    bool holds_more() const override { return SSL_pending(connection_.get()) > 0; }

    void watch(bool to_receive, bool to_send, std::vector<pollfd>& list) const override {
        short events = to_receive ? POLLIN : 0;
        if (to_send || (to_receive && wants_to_send_)) events |= POLLOUT;
        if (events != 0) list.push_back({socket_.get(), events, 0});
    }

    std::vector<int> descriptors() const override { return {socket_.get()}; }

    Status shake_hands(Deadline deadline) {
        for (;;) {
            ERR_clear_error();
            const int done = SSL_do_handshake(connection_.get());
            if (done == 1) return {};
            const int error = SSL_get_error(connection_.get(), done);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) return refusal();
            TRY_STATUS(wait_for(*this, error == SSL_ERROR_WANT_WRITE, deadline));
        }
    }

    std::string peer() const {
        const std::unique_ptr<X509, Free> known(SSL_get1_peer_certificate(connection_.get()));
        if (!known) return "nobody";
        char text[256] = {};
        X509_NAME_get_text_by_NID(X509_get_subject_name(known.get()), NID_commonName, text,
                                  sizeof text);
        // A certificate's words are its maker's.
        std::string name = text;
        std::ranges::replace_if(
            name, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
        return name;
    }

private:
    std::unexpected<Error> trouble(const char* what) const {
        const int error = errno;
        const int why = ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_SSL
                            ? ERR_GET_REASON(ERR_peek_error())
                            : 0;
        if (why == SSL_R_UNEXPECTED_EOF_WHILE_READING) return fail_errno(ECONNRESET, what);
        if (why > SSL_AD_REASON_OFFSET)
            return fail(std::string("the other side does not accept this side's certificate: ") +
                        SSL_alert_desc_string_long(why - SSL_AD_REASON_OFFSET));
        if (ERR_peek_error() == 0) return fail_errno(error != 0 ? error : ECONNRESET, what);
        return fail(std::string(what) + ": " + reason());
    }

    std::unexpected<Error> refusal() const {
        const long verified = SSL_get_verify_result(connection_.get());
        if (verified != X509_V_OK)
            return fail(std::string("the other side's certificate is not accepted: ") +
                        X509_verify_cert_error_string(verified));
        return trouble("begin TLS");
    }

    Fd socket_;
    std::unique_ptr<SSL, Free> connection_;
    bool wants_to_send_ = false;
};

/// OpenSSL has no words for a file that is not there.
Status check_certificate(const std::string& what, const std::string& path) {
    if (access(path.c_str(), R_OK) == 0) return {};
    const int error = errno;
    return fail(fail_errno(error, "read " + what + " " + path).error().message +
                ": ops/docs/remote.md says how it is made and how another place is named");
}

/// Nobody is asked for one; `wanted` is whether there was occasion.
int no_password(char*, int, int, void* wanted) {
    *static_cast<bool*>(wanted) = true;
    return -1;
}

Status check_secret(const std::string& path) {
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return fail_errno(errno, "read the key " + path);
    if ((info.st_mode & 077) != 0)
        return fail("the key " + path + " can be read by others than its owner: chmod 600 " + path);
    return {};
}

bool is_address(const std::string& host) {
    unsigned char bytes[sizeof(in6_addr)];
    return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
           inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

struct TlsContext::Impl {
    Side side;
    std::unique_ptr<SSL_CTX, Free> context;
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::TlsContext(TlsContext&&) noexcept = default;
TlsContext::~TlsContext() = default;

Result<TlsContext> TlsContext::make(Side side, const TlsFiles& files) {
    auto impl = std::make_unique<Impl>();
    impl->side = side;
    impl->context.reset(
        SSL_CTX_new(side == Side::client ? TLS_client_method() : TLS_server_method()));
    SSL_CTX* context = impl->context.get();
    if (context == nullptr) return fail("begin TLS: " + reason());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 0);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    TRY_STATUS(check_certificate("the authority's certificate", files.authority));
    if (SSL_CTX_load_verify_file(context, files.authority.c_str()) != 1)
        return fail("read the authority's certificate " + files.authority + ": " + reason());
    TRY_STATUS(check_certificate("the certificate", files.certificate));
    if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1)
        return fail("read the certificate " + files.certificate + ": " + reason());
    TRY_STATUS(check_secret(files.key));
    bool locked = false;
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &locked);
    if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1)
        return fail("read the key " + files.key + " of " + files.certificate + ": " +
                    (locked ? "it is locked with a password: store it without" : key_trouble()));
    return TlsContext(std::move(impl));
}

Result<std::unique_ptr<Link>> TlsContext::begin(Fd socket, const std::string& host,
                                                Deadline deadline) const {
    std::unique_ptr<SSL, Free> connection(SSL_new(impl_->context.get()));
    if (!connection) return fail("begin TLS: " + reason());
    fcntl(socket.get(), F_SETFL, fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
    keep_alive(socket.get());
    SSL* ssl = connection.get();
    SSL_set_fd(ssl, socket.get());
    if (impl_->side == Side::node) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        const bool set = is_address(host)
                             ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1
                             : SSL_set1_host(ssl, host.c_str()) == 1 &&
                                   SSL_set_tlsext_host_name(ssl, host.c_str()) == 1;
        if (!set) return fail("begin TLS with " + host + ": " + reason());
    }
    auto link = std::make_unique<TlsLink>(std::move(socket), std::move(connection));
    TRY_STATUS(link->shake_hands(deadline));
    return link;
}

std::string peer_name(const Link& link) {
    const auto* tls = dynamic_cast<const TlsLink*>(&link);
    return tls != nullptr ? tls->peer() : "";
}

}  // namespace noded::remote

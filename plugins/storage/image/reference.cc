// The reference grammar, see reference.h. Written by hand because the grammar is regular and small,
// and a regular expression over hostile input is neither.
#include "plugins/storage/image/reference.h"

#include <algorithm>

#include "plugins/storage/image/digest.h"
#include "plugins/storage/image/limits.h"

namespace noded::image {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kOfficial = "library/";

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_alnum(char c) { return is_lower_alnum(c) || is_upper(c); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::unexpected<Error> invalid() { return fail("invalid reference format"); }

/// Letters, digits and inner hyphens.
bool is_domain_component(std::string_view part) {
    if (part.empty() || part.front() == '-' || part.back() == '-') return false;
    return std::ranges::all_of(part, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_ipv6_literal(std::string_view host) {
    if (host.size() < 4 || host.front() != '[' || host.back() != ']') return false;
    return std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':';
    });
}

bool is_domain(std::string_view domain) {
    std::string_view host = domain;
    size_t colon = domain.rfind(':');
    if (colon != std::string_view::npos && domain.back() != ']') {
        host = domain.substr(0, colon);
        std::string_view port = domain.substr(colon + 1);
        if (port.empty() || !std::ranges::all_of(port, is_digit)) return false;
    }
    if (is_ipv6_literal(host)) return true;
    while (true) {
        size_t dot = host.find('.');
        if (!is_domain_component(host.substr(0, dot))) return false;
        if (dot == std::string_view::npos) return true;
        host.remove_prefix(dot + 1);
    }
}

/// Runs of lower-case letters and digits, between them one of '.', '_', '__' or any number of '-'.
bool is_path_component(std::string_view part) {
    size_t at = 0;
    while (true) {
        size_t start = at;
        while (at < part.size() && is_lower_alnum(part[at])) ++at;
        if (at == start) return false;
        if (at == part.size()) return true;
        size_t separator = at;
        while (at < part.size() && !is_lower_alnum(part[at])) ++at;
        std::string_view between = part.substr(separator, at - separator);
        bool hyphens = between.find_first_not_of('-') == std::string_view::npos;
        if (!hyphens && between != "." && between != "_" && between != "__") return false;
    }
}

bool is_path(std::string_view path) {
    while (true) {
        size_t slash = path.find('/');
        if (!is_path_component(path.substr(0, slash))) return false;
        if (slash == std::string_view::npos) return true;
        path.remove_prefix(slash + 1);
    }
}

bool is_tag(std::string_view tag) {
    if (tag.empty() || tag.size() > limits::tag_bytes_max) return false;
    if (!is_alnum(tag.front()) && tag.front() != '_') return false;
    return std::ranges::all_of(
        tag, [](char c) { return is_alnum(c) || c == '_' || c == '.' || c == '-'; });
}

/// Separates the domain from the path as docker does: the first part is a domain only if it looks
/// like one.
void split_domain(std::string_view name, Reference& out) {
    size_t slash = name.find('/');
    std::string_view first = name.substr(0, slash);
    bool domain = slash != std::string_view::npos &&
                  (first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
                   std::ranges::any_of(first, is_upper));
    out.domain = domain ? std::string(first) : std::string(kDefaultDomain);
    out.path = std::string(domain ? name.substr(slash + 1) : name);
    if (out.domain == "index.docker.io") out.domain = kDefaultDomain;
    if (out.domain == kDefaultDomain && out.path.find('/') == std::string::npos)
        out.path.insert(0, kOfficial);
}

}  // namespace

std::string Reference::familiar_name() const {
    if (domain != kDefaultDomain) return name();
    if (path.starts_with(kOfficial) && path.find('/', kOfficial.size()) == std::string::npos)
        return path.substr(kOfficial.size());
    return path;
}

std::string Reference::familiar() const {
    std::string text = familiar_name();
    if (!tag.empty()) text += ":" + tag;
    if (!digest.empty()) text += "@" + digest;
    return text;
}

Result<Reference> parse_reference(std::string_view text) {
    if (text.size() > limits::repository_bytes_max + limits::tag_bytes_max + 80) return invalid();
    if (is_sha256_hex(text))
        return fail("invalid repository name (" + std::string(text) +
                    "), cannot specify 64-byte hexadecimal strings");
    Reference out;
    std::string_view rest = text;
    if (size_t at = rest.find('@'); at != std::string_view::npos) {
        if (!digest_hex(rest.substr(at + 1))) return invalid();
        out.digest = rest.substr(at + 1);
        rest = rest.substr(0, at);
    }
    size_t colon = rest.rfind(':');
    size_t slash = rest.rfind('/');
    if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
        if (!is_tag(rest.substr(colon + 1))) return invalid();
        out.tag = rest.substr(colon + 1);
        rest = rest.substr(0, colon);
    } else if (out.digest.empty()) {
        out.tag = "latest";
    }
    split_domain(rest, out);
    std::string lower = out.path;
    for (char& c : lower)
        if (is_upper(c)) c = char(c - 'A' + 'a');
    if (!is_domain(out.domain) || !is_path(lower)) return invalid();
    if (out.path != lower)
        return fail("invalid reference format: repository name (" + out.path +
                    ") must be lowercase");
    if (out.path.size() > limits::repository_bytes_max)
        return fail("repository name must not be more than 255 characters");
    return out;
}

}  // namespace noded::image

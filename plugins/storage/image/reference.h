// Image references in docker's grammar (distribution/reference):
// [domain[:port]/]path[:tag][@digest].
//
// Pure. Called by decide (names of commands), by the archive loader (names that archives carry) and
// by listings.
#pragma once

#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace noded::image {

struct Reference {
    std::string domain;  ///< "docker.io", "host:5000", "localhost"
    std::string path;    ///< "library/busybox"
    std::string tag;     ///< "latest"; empty only where a digest stands alone
    std::string digest;  ///< "sha256:…" or empty

    /// Complete repository name: "docker.io/library/busybox".
    std::string name() const { return domain + "/" + path; }
    /// What docker shows: without docker.io/ and library/.
    std::string familiar_name() const;
    /// familiar_name with tag and digest: "busybox:latest", "host:5000/a/b:tag@sha256:…".
    std::string familiar() const;

    bool operator==(const Reference&) const = default;
};

/// Normalises `text`; a reference with neither tag nor digest gets the tag "latest". The error's
/// message is docker's: "invalid reference format" and kin.
Result<Reference> parse_reference(std::string_view text);

}  // namespace noded::image

// What an import or load adds to the store, layer by layer, and takes back if it fails. Private to
// import.cc and load.cc.
#pragma once

#include <string>
#include <vector>

#include "plugins/storage/image/store.h"
#include "plugins/storage/image/stream.h"
#include "plugins/storage/image/unpack.h"

namespace noded::image {

struct LayerExpectation {
    std::string stored_digest;  ///< of the blob as it lies in the archive; empty: not known
    std::string diff_id;        ///< of the uncompressed tar; empty: not known
};

/// "NAME has digest GOT instead of EXPECTED".
std::unexpected<Error> wrong_digest(const std::string& name, const std::string& got,
                                    const std::string& expected);

/// What one call added. Unless it is kept, everything that was not there before is removed again.
class Additions {
public:
    explicit Additions(const StorePaths& paths) : paths_(paths) {}
    ~Additions();
    Additions(const Additions&) = delete;
    Additions& operator=(const Additions&) = delete;

    /// Unpacks and installs a layer, and returns its diff id. With another digest than expected
    /// nothing is installed.
    Result<std::string> layer(ContentStream& stream, const LayerExpectation& expected,
                              const UnpackOptions& options, std::vector<std::string>& notices);
    /// Writes a blob and returns its digest.
    Result<std::string> blob(Bytes content);
    void keep() { kept_ = true; }

private:
    const StorePaths& paths_;
    std::vector<std::string> layers_;
    std::vector<std::string> blobs_;
    bool kept_ = false;
};

/// Checks both digests of a layer that need not be unpacked. The stored one alone would let an
/// image name a layer of the store that its archive does not have.
Status verify_layer(Extent extent, const std::string& name, uint64_t bytes_max,
                    const LayerExpectation& expected);

}  // namespace noded::image

// What several image verbs share: what a command did to images, and looking at all of them.
#pragma once

#include <string>
#include <vector>

#include "tools/nodectl/session.h"

namespace noded::nodectl {

/// From the events that a RemoveImage caused.
struct ImagesGone {
    std::vector<std::string> untagged;  ///< names
    std::vector<std::string> deleted;   ///< ids
};

Result<ImagesGone> images_gone(Session& session, const Caused& caused);

/// All images, each with its config and layers, newest first.
class WholeImages {
public:
    static Result<WholeImages> fetch(Session& session);
    /// Valid as long as this is.
    std::vector<schema::Image::Reader> images() const;

private:
    std::vector<capnp::Response<schema::Storage::InspectImageResults>> answers_;
};

/// Whether an image's config has what a --filter label= asks for.
bool image_has_label(const schema::Image::Reader& whole, const std::string& filter);

}  // namespace noded::nodectl

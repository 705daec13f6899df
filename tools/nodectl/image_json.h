// An image as docker shows it: rows of images, and the object of inspect.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "schemas/storage.capnp.h"
#include "tools/nodectl/json.h"
#include "tools/nodectl/rows.h"

namespace noded::nodectl {

/// "host:5000/a/b:tag" to "host:5000/a/b" and "tag"; the tag may be empty.
std::pair<std::string, std::string> split_image_name(const std::string& name);

/// One row per name; one with <none> for an image without names.
std::vector<Row> image_rows(const schema::Image::Reader& image, bool truncate, int64_t now_ns);

Json image_json(const schema::Image::Reader& image);

struct HistoryForm {
    bool truncate = true;
    bool human = true;  ///< sizes and times for the eye
    int64_t now_ns = 0;
};

/// What the image says of how it was made, the last step first; the image as inspectImage has it.
std::vector<Row> history_rows(const schema::Image::Reader& image, const HistoryForm& form);

}  // namespace noded::nodectl

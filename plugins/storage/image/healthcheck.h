// The HEALTHCHECK instruction of a Dockerfile, as `commit --change` and `import --change` take it.
// Pure. Private to image_config.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace noded::image {

/// "NONE", or "[--interval=5s] [--timeout=…] [--start-period=…] [--start-interval=…] [--retries=3]
/// CMD COMMAND". The JSON object that an image config has for it.
Result<std::string> healthcheck_json(std::string_view arguments);

/// A JSON array of strings as it stands; nothing for anything else.
std::vector<std::string> exec_form(std::string_view text);

}  // namespace noded::image

// Files of the user: read whole, or opened as a regular file that can be handed to noded.
#pragma once

#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::nodectl {

/// At most 16 MiB. "-" is standard input.
Result<std::string> read_file(const std::string& path);

/// Opened for reading from its beginning. What is not a regular file ("-", a pipe) is copied to an
/// unlinked temporary file first, since noded reads archives where it likes.
Result<Fd> open_archive(const std::string& path);

}  // namespace noded::nodectl

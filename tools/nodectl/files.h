// Files of the user: read whole, or opened as a regular file that can be handed to noded.
#pragma once

#include <functional>
#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::nodectl {

/// At most 16 MiB. "-" is standard input.
Result<std::string> read_file(const std::string& path);

/// Opened for reading from its beginning. What is not a regular file ("-", a pipe) is copied to an
/// unlinked temporary file first, since noded reads archives where it likes.
Result<Fd> open_archive(const std::string& path);

/// Unlinked, in TMPDIR or /var/tmp.
Result<Fd> temporary_file();

/// All that `from` has from where it stands; `what` is for errors.
Status copy_all(const Fd& from, const Fd& to, const std::string& what);

/// Makes a file whole or not at all: what `write` leaves half done is removed. For its owner alone,
/// as docker's archives are: there may be secrets in it.
Status write_whole(const std::string& path, const std::function<Status(Fd file)>& write);

}  // namespace noded::nodectl

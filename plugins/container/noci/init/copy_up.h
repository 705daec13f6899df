// The option tmpcopyup: a fresh tmpfs begins with what the rootfs has at its place.
#pragma once

namespace noded::noci {

/// Copies what is in the folder `from` (O_PATH) to the folder `to` (O_PATH) with owners and modes:
/// folders, files and links; other types are left out. 0 or a negative errno.
long copy_up(int from, int to);

}  // namespace noded::noci

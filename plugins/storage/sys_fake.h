// FakeSys: the store in memory, for tests of the plugin's behaviour. An archive is a file whose
// text says what it holds: one line per image, "CONFIG-NUMBER NAME LAYER…", for example "1 box:1 a
// b".
#pragma once

#include <map>
#include <set>
#include <string>

#include "plugins/storage/sys.h"

namespace noded::storage {

/// The disk survives restarts of the plugin; the Sys does not.
struct FakeDisk {
    std::set<std::string> layers;  ///< diff ids
    std::set<std::string> blobs;
    std::map<std::string, std::vector<std::string>> rootfs;  ///< container to layers
    size_t detached = 0;  ///< rootfs that wait to be deleted
    size_t spares = 0;
    bool full = false;    ///< whatever writes fails with ENOSPC
    size_t imports = 0;
    size_t sweeps = 0;
    size_t commits = 0;
};

/// "sha256:" and the bytes of `name` in hexadecimal, filled up with zeros.
std::string fake_digest(std::string_view name);

std::shared_ptr<Sys> make_fake_sys(FakeDisk& disk);

}  // namespace noded::storage

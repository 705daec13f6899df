// /etc/hosts, /etc/hostname and /etc/resolv.conf of a container, which images do not bring along:
// files of a tmpfs, mounted one by one. A spare makes them ahead, all but the host name; a start
// without a spare makes them in the tmpfs of /dev, of which nothing is left to see. Called by the
// steps of a child.
//
// A container without a network of its own making has nobody to ask but itself: hosts has the names
// of loopback. With the network of the host it is the host's. resolv.conf is the host's in any
// case.
#pragma once

#include "plugins/container/shim/child.h"

namespace noded::shim {

constexpr size_t name_file_bytes_max = 8 << 10;  ///< of hosts and resolv.conf; more is cut

struct NameTexts {
    Text<name_file_bytes_max> hosts;
    Text<name_file_bytes_max> resolv_conf;
};

/// While the host's files are in sight.
void read_name_texts(bool of_host, NameTexts* out);
/// Makes the files in `folder` ("/dev/"), which is attached in this mount namespace.
void make_name_files(Start& start, const char* folder, const NameTexts& texts, NameFiles* out);
void close_name_files(const NameFiles& files);

}  // namespace noded::shim

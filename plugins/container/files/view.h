// View: the root of a container's file tree as a descriptor, whether it runs or not.
//
// Of a running one it is what its first process sees, with all mounts. Of another one the overlay
// and the bind mounts are mounted in a mount namespace of this process alone: the host's mount
// table never has them, and they are gone with the process, however that ends. Where the container
// has ids of its own, a view shows those of the host that stand for them.
#pragma once

#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/files/job.h"

namespace noded::files {

/// Two overlays that write to one upper directory would not see each other's changes. The lock is
/// kept until this process ends.
Status lock_upper(const Job& job);
/// With mounts, as for stat, read and write; the volumes are made first. Where there are binds and
/// ids, files are made as the container's root makes them afterwards; a change of ids takes away
/// what prctl(PR_SET_PDEATHSIG) has set.
Result<Fd> open_view(const Job& job);
/// In a bind whose ids are mapped nobody else can make any (EOVERFLOW). The rights of this process
/// stay.
Status make_files_as_root_of(const Job& job);
/// The root file system alone, read-only, with what the container changed.
Result<Fd> open_whole(const Job& job);
/// The same as the image has it, with the image's ids.
Result<Fd> open_image(const Job& job);

}  // namespace noded::files

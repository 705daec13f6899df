// Anonymous volumes: folders of a container that begin with what its image has at their place.
//
// A volume is filled once, by whoever needs it first: a start, or cp into a container that never
// ran. It is copied into a draft that is renamed when it is whole, so what is there under its name
// is whole, whenever this process ends.
#pragma once

#include "agent/base/result.h"
#include "plugins/container/files/job.h"

namespace noded::files {

/// Makes those of the job's volumes that are not there yet. The caller has the lock on the upper
/// directory.
Status fill_volumes(const Job& job);

}  // namespace noded::files

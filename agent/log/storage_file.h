// The real Storage: one directory, files opened with O_DIRECT where the filesystem accepts it,
// durable writes as one RWF_DSYNC write through the reactor, zeroing on its offload lane.
//
// Made once by main for the log's directory. All calls but write_durable, prepare_zeroed and aside
// may come from any thread (snapshots are written on the offload lane). The directory is locked
// while a storage that writes exists.
#pragma once

#include "agent/log/storage.h"
#include "agent/reactor/reactor.h"

namespace noded::log {

/// Makes the directory if it is not there. EWOULDBLOCK if another process has it open. The reactor
/// must not run any more when the storage or a file of it is destroyed with an operation under way.
Result<std::unique_ptr<Storage>> open_file_storage(reactor::Reactor& reactor,
                                                   const std::string& directory);

/// For a process of noded's own beside the one that holds the directory's lock: it takes none, and
/// writes only files that the other one leaves to it (agent/past).
Result<std::unique_ptr<Storage>> open_file_storage_beside(reactor::Reactor& reactor,
                                                          const std::string& directory);

/// For tools: reads only, also beside a noded that writes; what is read then may be a moment old,
/// and a write under way may be seen in part. Everything that writes fails with EROFS.
Result<std::unique_ptr<Storage>> open_file_storage_read_only(const std::string& directory);

}  // namespace noded::log

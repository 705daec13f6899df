// A log that another process writes, opened beside it for reading: what was durable up to a seq
// that the writer named. Nothing is judged that lies behind that seq, because the writer may be at
// it; nothing is written and nothing is locked. Used by agent/past.
#pragma once

#include "agent/log/log.h"

namespace noded::log {

/// The records of the log in `storage`, which must outlive it, up to `last`. The writer may release
/// old segments at any time: a read of them then fails.
Result<std::unique_ptr<Log>> open_log_beside(Storage& storage, uint64_t last);

}  // namespace noded::log

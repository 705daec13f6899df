// Jobs on the files of a container, as noded does them (FilesJob in schemas/container.capnp). Used
// by cp, diff, export and the sizes of ps and inspect.
#pragma once

#include <functional>
#include <string>

#include "tools/nodectl/session.h"

namespace noded::nodectl {

struct FilesAsk {
    schema::FilesVerb verb;
    std::string container;
    std::string path;
    bool follow = false;
};

/// What stat tells.
struct PathInfo {
    bool exists = false;
    uint32_t mode = 0;
    std::string path;  ///< where it is, absolute in the container
};

Result<PathInfo> stat_in_container(Session& session, const std::string& container,
                                   const std::string& path, bool follow);

/// The job's bytes go straight through this descriptor.
Status files_through(Session& session, const FilesAsk& ask, Fd fd);

/// `work` runs on a thread of its own at this side's end of the job's stream while noded works at
/// the other. The error is that of the side that failed first.
Status files_with(Session& session, const FilesAsk& ask, const std::function<Status(int)>& work);

struct FileSizes {
    uint64_t written = 0;  ///< by the container
    uint64_t image = 0;
};

/// Of each container and its image; asked for together. 0 for what is gone meanwhile.
Result<std::vector<FileSizes>> file_sizes(Session& session,
                                          const std::vector<std::string>& containers,
                                          const std::vector<std::string>& images);

}  // namespace noded::nodectl

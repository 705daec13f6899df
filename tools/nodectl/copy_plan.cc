// See copy_plan.h.
#include "tools/nodectl/copy_plan.h"

#include "plugins/container/files/job.h"

namespace noded::nodectl {

CopyEnd parse_copy_end(const std::string& text) {
    const size_t colon = text.find(':');
    const bool plain = text.starts_with('/') || text.starts_with('.');
    if (plain || colon == text.npos || colon == 0) return {{}, text};
    return {text.substr(0, colon), text.substr(colon + 1)};
}

Result<CopyPlan> plan_copy(const CopySource& source, const CopyTarget& target) {
    if (files::asks_for_directory(source.path) && !source.is_directory)
        return fail(source.path + ": not a directory");
    const bool content = files::asks_for_content(source.path) || source.name == "/";
    if (target.exists && target.is_directory)
        return CopyPlan{target.real, content && source.is_directory ? "." : source.name};
    if (target.exists && source.is_directory)
        return fail("cannot copy a directory to the file " + target.path);
    if (files::asks_for_directory(target.path) && !source.is_directory)
        return fail(target.path + (target.exists ? ": not a directory"
                                                 : ": the destination directory must exist"));
    return CopyPlan{files::directory_of(target.real), files::base_of(target.real)};
}

}  // namespace noded::nodectl

// nodectl export: the root file system of a container as a tar, without what is mounted in it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "tools/nodectl/files.h"
#include "tools/nodectl/files_call.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

int export_container(Invocation& call) {
    std::string output;
    const Option options[] = {
        {'o', "output", &output, "string", "Write to a file, instead of STDOUT"},
    };
    if (const auto status = call.parse(options, {.min = 1, .max = 1})) return *status;
    const FilesAsk ask{schema::FilesVerb::WHOLE, call.arguments[0], {}, false};
    if (!output.empty()) {
        OR_FAIL_STATUS(call, write_whole(output, [&](Fd file) {
                           return files_through(call.session, ask, std::move(file));
                       }));
        return 0;
    }
    if (isatty(STDOUT_FILENO) != 0)
        return call.failed(
            Error{0, "cowardly refusing to save to a terminal. Use the -o flag or redirect"});
    Fd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    OR_FAIL_STATUS(call, files_through(call.session, ask, std::move(out)));
    return 0;
}

}  // namespace noded::nodectl

// nodectl export: the root file system of a container as a tar, without what is mounted in it.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "tools/nodectl/files_call.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// What is not whole is worth nothing, so it gets its name at the end. As docker's, it is for its
/// owner alone: there may be secrets in it.
Status export_to(Session& session, const FilesAsk& ask, const std::string& path) {
    const std::string partial = path + ".part-" + std::to_string(getpid());
    Fd file(open(partial.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (!file.valid()) return fail_errno(errno, "create " + path);
    Status done = files_through(session, ask, std::move(file));
    if (done && rename(partial.c_str(), path.c_str()) != 0)
        done = fail_errno(errno, "create " + path);
    if (!done) unlink(partial.c_str());
    return done;
}

}  // namespace

int export_container(Invocation& call) {
    std::string output;
    const Option options[] = {
        {'o', "output", &output, "string", "Write to a file, instead of STDOUT"},
    };
    if (const auto status = call.parse(options, {.min = 1, .max = 1})) return *status;
    const FilesAsk ask{schema::FilesVerb::WHOLE, call.arguments[0], {}, false};
    if (!output.empty()) {
        OR_FAIL_STATUS(call, export_to(call.session, ask, output));
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

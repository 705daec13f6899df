// nodectl image save: images as an archive that docker, podman and nodectl load.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "tools/nodectl/container_options.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

Status save_into(Invocation& call, Fd file) {
    Payload<schema::Storage::SaveParams> params;
    set_texts(params.root.initReferences(static_cast<unsigned>(call.arguments.size())),
              call.arguments);
    const auto answer = TRY(call.session.wait(call.session.call_with_stream<schema::Storage>(
        "storage", "save", params, std::move(file))));
    const auto bytes = answer.getResults();
    capnp::FlatArrayMessageReader reader(words_of(bytes));
    for (const auto notice : reader.getRoot<schema::Storage::SaveResults>().getNotices())
        write_all(STDERR_FILENO, std::string(notice.cStr()) + "\n");
    return {};
}

/// noded writes into regular files alone, so that nobody's slow pipe holds it.
Status save_to_stdout(Invocation& call) {
    Fd out(fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3));
    struct stat status {};
    if (!out.valid() || fstat(out.get(), &status) != 0) return fail_errno(errno, "look at stdout");
    const bool writable = (fcntl(out.get(), F_GETFL) & O_ACCMODE) != O_RDONLY;
    if (S_ISREG(status.st_mode) && writable) return save_into(call, std::move(out));
    const Fd copy = TRY(temporary_file());
    Fd again(fcntl(copy.get(), F_DUPFD_CLOEXEC, 3));
    if (!again.valid()) return fail_errno(errno, "open a temporary file again");
    TRY_STATUS(save_into(call, std::move(again)));
    if (lseek(copy.get(), 0, SEEK_SET) != 0) return fail_errno(errno, "read a temporary file");
    return copy_all(copy, out, "the archive to stdout");
}

/// What it prints there is the archive.
int save_there(Invocation& call) {
    std::vector<std::string> words{"--"};
    words.insert(words.end(), call.arguments.begin(), call.arguments.end());
    return run_there(call, words);
}

}  // namespace

int image_save(Invocation& call) {
    std::string output;
    const Option options[] = {
        {'o', "output", &output, "string", "Write to a file, instead of STDOUT"},
    };
    if (const auto status = call.parse(options, {.min = 1})) return *status;
    if (output.empty() && isatty(STDOUT_FILENO) != 0)
        return call.failed(
            Error{0, "cowardly refusing to save to a terminal. Use the -o flag or redirect"});
    const bool elsewhere = call.session.elsewhere();
    int status = 0;
    if (output.empty()) {
        if (elsewhere) return save_there(call);
        OR_FAIL_STATUS(call, save_to_stdout(call));
        return 0;
    }
    const auto saved = write_whole(output, [&](Fd file) -> Status {
        if (!elsewhere) return save_into(call, std::move(file));
        if (dup2(file.get(), STDOUT_FILENO) < 0) return fail_errno(errno, "write to " + output);
        status = save_there(call);
        if (status != 0) return fail("it was said there why");
        return {};
    });
    if (status != 0) return status;
    OR_FAIL_STATUS(call, saved);
    return 0;
}

}  // namespace noded::nodectl

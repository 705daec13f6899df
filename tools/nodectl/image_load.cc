// nodectl image load: images from an archive of docker save or an OCI layout in a tar.
#include <unistd.h>

#include "tools/nodectl/files.h"
#include "tools/nodectl/import_wait.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

int image_load(Invocation& call) {
    std::string input = "-";
    bool quiet = false;
    const Option options[] = {
        {'i', "input", &input, "string", "Read from tar archive file, instead of STDIN"},
        {'q', "quiet", &quiet, "", "Suppress the load output"},
    };
    if (const auto status = call.parse(options, {.max = 0})) return *status;
    if (input == "-" && isatty(STDIN_FILENO) != 0) {
        return call.failed(
            Error{0, "requested load from stdin, but stdin is a terminal: use -i FILE"});
    }
    Fd archive = OR_FAIL(call, open_archive(input));
    if (call.session.elsewhere())
        return run_there(call, std::vector<std::string>(quiet ? 1 : 0, "-q"), std::move(archive));
    Payload<schema::LoadImages> command;
    const Imported imported =
        OR_FAIL(call, give_and_wait(call.session, std::move(archive), command));
    if (quiet) return 0;
    for (const std::string& name : imported.names) print("Loaded image: " + name + "\n");
    if (imported.names.empty()) {
        for (const std::string& id : imported.ids) print("Loaded image ID: " + id + "\n");
    }
    return 0;
}

}  // namespace noded::nodectl

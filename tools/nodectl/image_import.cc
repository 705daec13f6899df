// nodectl image import: a root file system archive becomes an image. Prints its id.
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/import_wait.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

int image_import(Invocation& call) {
    std::vector<std::string> changes;
    std::string message;
    const Option options[] = {
        {'c', "change", &changes, "list", "Apply Dockerfile instruction to the created image"},
        {'m', "message", &message, "string", "Set commit message for imported image"},
    };
    if (const auto status = call.parse(options, {.min = 1, .max = 2})) return *status;
    Fd archive = OR_FAIL(call, open_archive(call.arguments[0]));
    Payload<schema::ImportImage> command;
    if (call.arguments.size() > 1) command.root.setReference(call.arguments[1]);
    set_texts(command.root.initChanges(static_cast<unsigned>(changes.size())), changes);
    command.root.setMessage(message);
    const Imported imported =
        OR_FAIL(call, give_and_wait(call.session, std::move(archive), command));
    for (const std::string& id : imported.ids) print(id + "\n");
    return 0;
}

}  // namespace noded::nodectl

// nodectl image import: a root file system archive becomes an image. Prints its id.
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/import_wait.h"
#include "tools/nodectl/remote.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

namespace {

/// The archive is the standard input of the nodectl there.
std::vector<std::string> words_there(const Invocation& call,
                                     const std::vector<std::string>& changes,
                                     const std::string& message) {
    std::vector<std::string> words;
    for (const std::string& change : changes) words.insert(words.end(), {"--change", change});
    words.insert(words.end(), {"--message", message, "--", "-"});
    words.insert(words.end(), call.arguments.begin() + 1, call.arguments.end());
    return words;
}

}  // namespace

int image_import(Invocation& call) {
    std::vector<std::string> changes;
    std::string message;
    const Option options[] = {
        {'c', "change", &changes, "list", "Apply Dockerfile instruction to the created image"},
        {'m', "message", &message, "string", "Set commit message for imported image"},
    };
    if (const auto status = call.parse(options, {.min = 1, .max = 2})) return *status;
    if (message.empty()) message = "Imported from -";
    Fd archive = OR_FAIL(call, open_archive(call.arguments[0]));
    if (call.session.elsewhere())
        return run_there(call, words_there(call, changes, message), std::move(archive));
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

// nodectl commit: a container becomes an image. Prints its id.
#include "tools/nodectl/container_options.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/import_wait.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {

int commit(Invocation& call) {
    std::string author;
    std::string message;
    std::vector<std::string> changes;
    bool pause = true;
    const Option options[] = {
        {'a', "author", &author, "string", "Author (e.g., \"Jo Do <jo@example.org>\")"},
        {'c', "change", &changes, "list", "Apply Dockerfile instruction to the created image"},
        {'m', "message", &message, "string", "Commit message"},
        {'p', "pause", &pause, "", "Pause container during commit (default true)"},
    };
    if (const auto status = call.parse(options, {.min = 1, .max = 2})) return *status;
    Payload<schema::CommitContainer> command;
    command.root.setContainer(call.arguments[0]);
    if (call.arguments.size() > 1) command.root.setReference(call.arguments[1]);
    command.root.setAuthor(author);
    command.root.setMessage(message);
    set_texts(command.root.initChanges(static_cast<unsigned>(changes.size())), changes);
    command.root.setKeepRunning(!pause);
    const CommandId id = mint_command_id();
    auto submitted = call.session.submit(id, command);
    auto waiting = send_wait_import(call.session, id);
    const Caused caused = OR_FAIL(call, call.session.wait_caused(std::move(submitted)));
    const auto made = imported_of(call.session, std::move(waiting));
    // It was paused for this: who asked may rely on that it runs again.
    if (caused.last > caused.first)
        (void)call.session.wait(
            send_wait(call.session, call.arguments[0], schema::Container::Until::UNPAUSED));
    if (!made) return call.failed(made.error());
    for (const std::string& image : made->ids) print(image + "\n");
    return 0;
}

}  // namespace noded::nodectl

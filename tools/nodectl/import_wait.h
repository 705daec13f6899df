// An archive given to the storage plugin, and the command that makes images of it: import and load
// share this.
#pragma once

#include <string>
#include <vector>

#include "tools/nodectl/session.h"

namespace noded::nodectl {

struct Imported {
    std::vector<std::string> ids;
    std::vector<std::string> names;
};

/// Gives the archive, submits, waits for the outcome.
template <typename Command>
Result<Imported> give_and_wait(Session& session, Fd archive, Payload<Command>& command);

/// The parts that do not depend on the command.
struct ArchiveGift {
    StreamCall given;
    CommandId id;
};
ArchiveGift give_archive(Session& session, Fd archive);
Result<Imported> wait_imported(Session& session, ArchiveGift gift, Submitted submitted);

/// The outcome of the import, or commit, with this id.
using ImportWait = capnp::RemotePromise<schema::Storage::WaitImportResults>;
ImportWait send_wait_import(Session& session, const CommandId& id);
Result<Imported> imported_of(Session& session, ImportWait waiting);

template <typename Command>
Result<Imported> give_and_wait(Session& session, Fd archive, Payload<Command>& command) {
    ArchiveGift gift = give_archive(session, std::move(archive));
    Submitted submitted = session.submit(gift.id, command);
    return wait_imported(session, std::move(gift), std::move(submitted));
}

}  // namespace noded::nodectl

// See import_wait.h.
#include "tools/nodectl/import_wait.h"

namespace noded::nodectl {
namespace {

capnp::Data::Reader data_of(const CommandId& id) {
    return {id.bytes.data(), id.bytes.size()};
}

}  // namespace

ArchiveGift give_archive(Session& session, Fd archive) {
    const CommandId id = mint_command_id();
    Payload<schema::Storage::GiveParams> params;
    params.root.setCommandId(data_of(id));
    return {
        session.call_with_stream<schema::Storage>("storage", "give", params, std::move(archive)),
        id};
}

ImportWait send_wait_import(Session& session, const CommandId& id) {
    auto request = session.storage().waitImportRequest();
    request.setCommandId(data_of(id));
    return request.send();
}

Result<Imported> wait_imported(Session& session, ArchiveGift gift, Submitted submitted) {
    auto waiting = send_wait_import(session, gift.id);
    const auto given = session.wait(kj::mv(gift.given));
    TRY_STATUS(session.wait_accepted(std::move(submitted)));
    if (!given) return std::unexpected(given.error());
    return imported_of(session, std::move(waiting));
}

Result<Imported> imported_of(Session& session, ImportWait waiting) {
    const auto response = TRY(session.wait(kj::mv(waiting)));
    if (response.getError().size() > 0) return fail(response.getError().cStr());
    Imported imported;
    for (const auto id : response.getIds()) imported.ids.push_back(id.cStr());
    for (const auto name : response.getNames()) imported.names.push_back(name.cStr());
    return imported;
}

}  // namespace noded::nodectl

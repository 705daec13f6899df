// See event_words.h.
#include "agent/pub/event_words.h"

#include <cstdio>

#include "agent/log/sender.h"

namespace noded::pub {

static void fill_sender(schema::Sender::Builder to, Bytes part, const host::Host& host) {
    const log::Sender from = log::decode_sender(part);
    to.setCommandType(from.command_type);
    if (const std::string* name = host.name_of_command(from.command_type))
        to.setCommand(name->c_str());
    to.setUid(from.uid);
    to.setGid(from.gid);
    to.setPid(from.pid);
    to.setClient(kj::heapString(from.client.data(), from.client.size()));
}

void fill_event(schema::Event::Builder to, const core::Event& from, const host::Host& host) {
    to.setSeq(from.seq);
    to.setTimeNs(from.time_ns);
    to.setType(from.type);
    to.setCauseSeq(from.cause_seq);
    to.setCommandId(kj::arrayPtr(from.command_id.bytes.data(), from.command_id.bytes.size()));
    to.setPayload(kj::arrayPtr(from.payload.data(), from.payload.size()));
    const std::string* name = nullptr;
    if (const host::Instance* owner = host.owner_of_event(from.type, &name)) {
        to.setName(name->c_str());
        to.setPlugin(owner->description.id.c_str());
    }
    if (!from.sender.empty()) fill_sender(to.initSender(), from.sender, host);
}

PayloadJson sender_json(Bytes sender, const host::Host& host) {
    const log::Sender from = log::decode_sender(sender);
    const std::string* name = host.name_of_command(from.command_type);
    char number[24];
    snprintf(number, sizeof number, "0x%016llx",
             static_cast<unsigned long long>(from.command_type));
    return {{"type", name != nullptr ? *name : number},
            {"client", from.client},
            {"uid", from.uid},
            {"gid", from.gid},
            {"pid", from.pid}};
}

}  // namespace noded::pub

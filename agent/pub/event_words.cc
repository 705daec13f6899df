// Fills the schema's Event; see event_words.h.
#include "agent/pub/event_words.h"

namespace noded::pub {

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
}

}  // namespace noded::pub

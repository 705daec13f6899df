// See sender.h.
#include "agent/log/sender.h"

#include <cstring>

#include "agent/base/check.h"
#include "agent/log/format.h"

namespace noded::log {

static_assert(sizeof(SenderHeader) + limits::command_client_bytes_max ==
              limits::command_sender_bytes_max);
static_assert(limits::command_client_bytes_max % kWordSize == 0);

Bytes encode_sender(const Sender& sender, EncodedSender& into) {
    CHECK(sender.client.size() <= limits::command_client_bytes_max);
    const SenderHeader header{sender.command_type, sender.uid, sender.gid, sender.pid,
                              static_cast<uint32_t>(sender.client.size())};
    const size_t size = sizeof header + round_up(sender.client.size(), kWordSize);
    memset(into.data(), 0, size);
    memcpy(into.data(), &header, sizeof header);
    if (!sender.client.empty())
        memcpy(into.data() + sizeof header, sender.client.data(), sender.client.size());
    return Bytes(into).first(size);
}

Result<size_t> sender_bytes(Bytes from) {
    SenderHeader header;
    if (from.size() < sizeof header) return fail("the record's sender is cut short");
    memcpy(&header, from.data(), sizeof header);
    const size_t size = sizeof header + round_up(size_t{header.client_bytes}, kWordSize);
    if (header.client_bytes > limits::command_client_bytes_max || size > from.size())
        return fail("the record's sender claims impossible words of " +
                    std::to_string(header.client_bytes) + " bytes");
    return size;
}

Sender decode_sender(Bytes part) {
    SenderHeader header;
    CHECK(part.size() >= sizeof header);
    memcpy(&header, part.data(), sizeof header);
    CHECK(header.client_bytes <= part.size() - sizeof header);
    const Bytes client = part.subspan(sizeof header, header.client_bytes);
    return {header.command_type, header.uid, header.gid, header.pid,
            {reinterpret_cast<const char*>(client.data()), client.size()}};
}

}  // namespace noded::log

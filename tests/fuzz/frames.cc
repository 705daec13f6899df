// Bytes of a peer as RPC messages: whatever comes, in whatever pieces, ends in messages within the
// limits or in a sentence, and the same messages however it was cut.
#include "ipc/rpc/frames.h"

#include <capnp/any.h>
#include <capnp/rpc.capnp.h>

#include "agent/base/check.h"
#include "tests/fuzz/input.h"

namespace noded::rpc {
namespace {

struct Outcome {
    std::vector<size_t> words;
    std::string error;
    bool operator==(const Outcome&) const = default;
};

/// Reads what a server would: the message and, of a call, its parameters.
void look_at(capnp::MessageReader& message) {
    try {
        const auto root = message.getRoot<capnp::rpc::Message>();
        [[maybe_unused]] const auto size = root.totalSize();
        if (root.isCall()) root.getCall().getParams().getContent().targetSize();
        if (root.isReturn() && root.getReturn().isResults())
            root.getReturn().getResults().getContent().targetSize();
    } catch (const kj::Exception& malformed) {
        CHECK(malformed.getDescription().size() > 0);
    }
}

bool take_all(FrameReader& reader, Outcome& outcome) {
    for (;;) {
        auto message = reader.next();
        if (!message) {
            outcome.error = message.error().message;
            CHECK(!outcome.error.empty());
            return false;
        }
        if (message->get() == nullptr) return true;
        size_t words = 0;
        for (unsigned id = 0; id < 512; ++id) {
            const auto segment = (*message)->reader().getSegment(id);
            if (segment == nullptr) break;
            words += segment.size();
        }
        outcome.words.push_back(words);
        look_at((*message)->reader());
    }
}

/// Hands on `bytes` in pieces of at most `piece` bytes.
Outcome receive(Bytes bytes, size_t piece) {
    FrameReader reader;
    Outcome outcome;
    while (!bytes.empty()) {
        msghdr message;
        reader.prepare(message);
        CHECK(message.msg_iovlen == 1 && message.msg_iov[0].iov_len > 0);
        const size_t count = std::min({piece, bytes.size(), message.msg_iov[0].iov_len});
        memcpy(message.msg_iov[0].iov_base, bytes.data(), count);
        message.msg_controllen = 0;
        bytes = bytes.subspan(count);
        if (Status status = reader.received(message, count); !status) {
            outcome.error = status.error().message;
            break;
        }
        if (!take_all(reader, outcome)) break;
    }
    return outcome;
}

}  // namespace
}  // namespace noded::rpc

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace noded;
    fuzz::Input input(data, size);
    const size_t piece = 1 + input.number<uint8_t>();
    const Bytes bytes = input.rest();
    CHECK(rpc::receive(bytes, piece) == rpc::receive(bytes, SIZE_MAX));
    return 0;
}

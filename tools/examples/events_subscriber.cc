// Prints topic and seq of every event of a node, from its ZeroMQ endpoint.
//
// usage: events_subscriber [RUNTIME_DIR]
//
// A subscriber that was away reads what it missed with `nodectl events --since SEQ`: seqs have no
// gaps.
#include <capnp/serialize.h>

#include <cstdio>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>
#include <zmq.hpp>
#include <zmq_addon.hpp>

#include "schemas/node.capnp.h"

int main(int argc, char** argv) {
    zmq::context_t context;
    zmq::socket_t socket(context, zmq::socket_type::sub);
    socket.connect("ipc://" + std::string(argc > 1 ? argv[1] : "/run/noded") + "/events.sock");
    socket.set(zmq::sockopt::subscribe, "event/");
    std::vector<zmq::message_t> frames;
    while (zmq::recv_multipart(socket, std::back_inserter(frames))) {
        // The words need not be aligned in the frame.
        auto words = kj::heapArray<capnp::word>(frames[1].size() / sizeof(capnp::word));
        memcpy(words.asBytes().begin(), frames[1].data(), words.asBytes().size());
        capnp::FlatArrayMessageReader reader(words);
        const auto event = reader.getRoot<noded::schema::Event>();
        printf("%s %llu\n", frames[0].to_string().c_str(),
               static_cast<unsigned long long>(event.getSeq()));
        fflush(stdout);
        frames.clear();
    }
}

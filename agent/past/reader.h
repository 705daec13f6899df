// Reader: noded as its own child, which folds the log beside the live writer up to a moment and
// then answers on one socket as the node would have answered then.
//
// It neither reconciles nor reacts nor decides, so nothing that a plugin does to the kernel
// happens. Plugins find their directories empty: they are on file systems that only this process
// sees, under the very paths that the node has, because answers name them. It ends when its client
// is gone or asks nothing for limits::past_reader_idle_ns. Started by Readers, run by main.
#pragma once

namespace noded::past {

/// First argument of noded when it is one; then the moment, the newest durable seq and the pid of
/// the parent, then what a node is told.
inline constexpr char kReaderVerb[] = "past";

/// The whole of a reader's main. Why something cannot be known is told to the client.
int reader_main(int argc, char** argv);

}  // namespace noded::past

// InitProcess: the program of noci/init at work, and what noci and it say to each other (plan.h).
#pragma once

#include <string>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/noci/init/plan.h"

namespace noded::noci {

/// A packet; `end` if the other side is gone.
struct Heard {
    bool end = false;
    Say say{};
    int number = 0;
    std::string text;
    Fd fd;
};

Result<Heard> hear(int socket);
Status say_go(int socket, int passed_fd = -1);

/// A socket pair for the two sides, above the descriptors that a container may be given.
struct SyncPair {
    Fd ours;
    Fd theirs;
};
Result<SyncPair> make_sync(int lowest_fd);
/// The same descriptor with a number that no descriptor of the container's can have.
Result<Fd> lift(Fd fd, int lowest_fd);

/// Starts it with these descriptors besides the standard ones and the container's; its pid.
Result<int> spawn_init(const Buffer& plan, const std::vector<int>& passed, int lowest_fd);

}  // namespace noded::noci

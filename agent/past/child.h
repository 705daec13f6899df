// A child of noded that is noded itself, with other work: a replica, or a reader of the past. It
// has none of its parent's descriptors but those that it is given, and ends with its parent.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "agent/config.h"

namespace noded::past {

struct Child {
    pid_t pid = 0;
    Fd pidfd;   ///< readable when it has ended
};

/// Descriptor of the socket that a child is given.
constexpr int kChildSocket = 3;

/// Starts the program that this process is. `output` becomes its standard output and error, -1
/// leaves them as they are here; `socket` becomes kChildSocket, -1 is none.
Result<Child> start_child(std::vector<std::string> arguments, int output, int socket);

/// How children know the node. What its plugins are told is in memory that they read by their
/// parent's descriptor: a command line is for anybody to read, and a file may have changed.
class ChildSettings {
public:
    explicit ChildSettings(const Config& config);
    /// For read_config.
    std::vector<std::string> arguments() const;

private:
    const Config& config_;
    Fd plugins_;  ///< invalid: they are told nothing
};

/// First in a child's main: it ends with `parent` and takes little time from it. False if that is
/// gone.
bool become_child(pid_t parent);

}  // namespace noded::past

// nodectl wait: blocks until containers stop and prints their exit codes, in the order given.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int wait_container(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1})) return *status;
    std::vector<Waited> waits;
    // Asking for the container first refuses a full id that nobody knows: a wait for one would wait
    // for its creation.
    for (const std::string& name : call.arguments)
        waits.push_back(send_wait(call.session, name, Until::EXITED));
    int status = 0;
    for (size_t i = 0; i < waits.size(); i++) {
        if (auto known = inspect_one(call.session, call.arguments[i]); !known) {
            status = call.failed(known.error());
            continue;
        }
        auto result = call.session.wait(kj::mv(waits[i]));
        if (!result) {
            status = call.failed(result.error());
            continue;
        }
        print(std::to_string(result->getResult().getExitCode()) + "\n");
    }
    return status;
}

}  // namespace noded::nodectl

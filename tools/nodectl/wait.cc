// nodectl wait: blocks until containers stop and prints their exit codes, in the order given.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

int wait_container(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1})) return *status;
    struct One {
        Inspected known;
        Waited waited;
    };
    // Asking for the container as well refuses a full id that nobody knows: a wait for one would
    // wait for its creation. All are asked for at once: one may be removed when it ends, while
    // another is still waited for.
    std::vector<One> all;
    for (const std::string& name : call.arguments)
        all.push_back({send_inspect(call.session, name),
                       send_wait(call.session, name, Until::EXITED)});
    int status = 0;
    for (One& one : all) {
        if (auto known = call.session.wait(kj::mv(one.known)); !known) {
            status = call.failed(known.error());
            continue;
        }
        auto result = call.session.wait(kj::mv(one.waited));
        if (!result) {
            status = call.failed(result.error());
            continue;
        }
        print(std::to_string(result->getResult().getExitCode()) + "\n");
    }
    return status;
}

}  // namespace noded::nodectl

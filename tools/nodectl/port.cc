// nodectl port: the published ports of a container. Without a network of its own a node publishes
// none, so that the list is empty, and a port that is asked for is refused as docker does.
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/units.h"

namespace noded::nodectl {

int port(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1, .max = 2})) return *status;
    OR_FAIL(call, inspect_one(call.session, call.arguments[0]));
    if (call.arguments.size() == 1) return 0;
    const std::string& wanted = call.arguments[1];
    const size_t slash = std::min(wanted.find('/'), wanted.size());
    const std::string number = wanted.substr(0, slash);
    const std::string protocol = slash + 1 < wanted.size() ? wanted.substr(slash + 1) : "tcp";
    const auto value = parse_number(number);
    if (!value || *value > 65535)
        return call.failed(Error{0, "invalid port \"" + wanted +
                                        "\": write it as PORT or PORT/PROTOCOL, like 80/tcp"});
    return call.failed(Error{0, "No public port '" + number + "/" + protocol +
                                    "' published for " + call.arguments[0]});
}

}  // namespace noded::nodectl

// nodectl version: of nodectl and of the noded that it talks to.
#include "tools/nodectl/rows.h"
#include "tools/nodectl/verb.h"
#include "agent/base/version.h"

namespace noded::nodectl {

int version(Invocation& call) {
    std::string format;
    const Option options[] = {
        {'f', "format", &format, "string", "Format output using a Go template, or json"},
    };
    if (const auto status = call.parse(options, {.max = 0})) return *status;
    const auto response =
        OR_FAIL(call, call.session.wait(call.session.node().versionRequest().send()));
    const auto server = response.getVersion();
    const Json document = {
        {"Client", {{"Version", kVersion}, {"Os", "linux"}, {"Arch", "amd64"}}},
        {"Server",
         {{"Version", server.getVersion().cStr()},
          {"PluginAbi", server.getAbi().cStr()},
          {"KernelVersion", server.getKernel().cStr()},
          {"Os", "linux"},
          {"Arch", "amd64"},
          {"Pid", server.getPid()}}},
    };
    const std::string text =
        std::string("Client: nodectl\n Version:           ") + kVersion +
        "\n\nServer: noded\n Version:           " + server.getVersion().cStr() +
        "\n Plugin ABI:        " + server.getAbi().cStr() +
        "\n Kernel:            " + server.getKernel().cStr() +
        "\n Process:           " + std::to_string(server.getPid()) + "\n";
    print(OR_FAIL(call, render_document(document, format, text)));
    return 0;
}

}  // namespace noded::nodectl

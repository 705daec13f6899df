// nodectl diff: what a container changed in its image.
#include <unistd.h>

#include "tools/nodectl/files_call.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// "A/new\0C/etc\0" as docker shows it.
std::string lines_of(std::string_view changes) {
    std::string out;
    while (!changes.empty()) {
        const size_t end = std::min(changes.find('\0'), changes.size());
        out += changes.substr(0, 1);
        out += ' ';
        out += changes.substr(1, end - 1);
        out += '\n';
        changes.remove_prefix(std::min(end + 1, changes.size()));
    }
    return out;
}

}  // namespace

int diff(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1, .max = 1})) return *status;
    std::string changes;
    const FilesAsk ask{schema::FilesVerb::DIFF, call.arguments[0], {}, false};
    OR_FAIL_STATUS(call, files_with(call.session, ask, [&](int stream) -> Status {
                       char buffer[64 << 10];
                       for (;;) {
                           const ssize_t got = read(stream, buffer, sizeof buffer);
                           if (got < 0) return fail_errno(errno, "read the changes");
                           if (got == 0) return {};
                           changes.append(buffer, size_t(got));
                       }
                   }));
    print(lines_of(changes));
    return 0;
}

}  // namespace noded::nodectl

// nodectl keygen: a pair of keys for tcp:// (ops/docs/streams.md), of a node or of a subscriber.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "agent/base/fd.h"
#include "tools/nodectl/curve.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

/// A new file: a key is never written over.
Status write_new(const std::string& path, mode_t mode, const std::string& text) {
    Fd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (!fd.valid() && errno == EEXIST)
        return fail(path + " is there already: keys are not written over, choose another name");
    if (!fd.valid()) return fail_errno(errno, "make " + path);
    const ssize_t wrote = write(fd.get(), text.data(), text.size());
    if (wrote == static_cast<ssize_t>(text.size())) return {};
    const int error = wrote < 0 ? errno : ENOSPC;
    unlink(path.c_str());
    return fail_errno(error, "write " + path);
}

}  // namespace

int keygen(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1, .max = 1})) return *status;
    const std::string& path = call.arguments[0];
    const CurvePair pair = make_curve_pair();
    const std::string known = to_z85(pair.public_key);
    OR_FAIL_STATUS(call, write_new(path, 0600, to_z85(pair.secret_key) + "\n"));
    if (const Status written = write_new(path + ".pub", 0644, known + "\n"); !written) {
        unlink(path.c_str());
        return call.failed(written.error());
    }
    print(known + "\n");
    return 0;
}

}  // namespace noded::nodectl

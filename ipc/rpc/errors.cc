// KJ exceptions as errors; see the header.
#include "ipc/rpc/errors.h"

#include <cerrno>
#include <string_view>

namespace noded::rpc {

Error to_error(const kj::Exception& exception) {
    const kj::StringPtr description = exception.getDescription();
    std::string_view text(description.begin(), description.size());
    // Cap'n Proto marks what the other side said; a user does not care which side speaks.
    constexpr std::string_view remote = "remote exception: ";
    while (text.starts_with(remote)) text.remove_prefix(remote.size());
    int code = EIO;
    switch (exception.getType()) {
        case kj::Exception::Type::FAILED:
            code = EIO;
            break;
        case kj::Exception::Type::OVERLOADED:
            code = EBUSY;
            break;
        case kj::Exception::Type::DISCONNECTED:
            code = ECONNRESET;
            break;
        case kj::Exception::Type::UNIMPLEMENTED:
            code = ENOSYS;
            break;
    }
    return {code, std::string(text)};
}

kj::Exception to_exception(const Error& error) {
    const bool gone = error.code == EPIPE || error.code == ECONNRESET || error.code == ECANCELED ||
                      error.code == ENOTCONN;
    return kj::Exception(gone ? kj::Exception::Type::DISCONNECTED : kj::Exception::Type::FAILED,
                         __FILE__, __LINE__,
                         kj::heapString(error.message.data(), error.message.size()));
}

}  // namespace noded::rpc

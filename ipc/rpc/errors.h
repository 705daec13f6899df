// KJ exceptions as errors: the only place where they are translated, besides the event port.
#pragma once

#include <kj/async.h>
#include <kj/exception.h>

#include "agent/base/result.h"

namespace noded::rpc {

/// What the other side, or the connection to it, said; the code is the nearest errno value.
Error to_error(const kj::Exception& exception);

/// The reverse, for promises: EPIPE, ECONNRESET and kin become DISCONNECTED, all else FAILED.
kj::Exception to_exception(const Error& error);

/// Waits for a promise; an exception becomes an Error.
template <typename T>
Result<T> wait_for(kj::Promise<T>&& promise, kj::WaitScope& scope) {
    Result<T> result = std::unexpected(Error{});
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions([&] {
                     if constexpr (std::is_void_v<T>) {
                         promise.wait(scope);
                         result = {};
                     } else {
                         result = promise.wait(scope);
                     }
                 })) {
        result = std::unexpected(to_error(*exception));
    }
    return result;
}

}  // namespace noded::rpc

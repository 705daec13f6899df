// A refusal of a call as the exception that Cap'n Proto carries to the client: the sentence is its
// description.
#pragma once

#include <kj/async.h>
#include <kj/exception.h>

#include "agent/core/domain.h"

namespace noded::rpc_service {

inline kj::Exception exception_of(const core::Rejection& rejection) {
    const bool busy = rejection.code == core::kRejectBusy;
    return kj::Exception(busy ? kj::Exception::Type::OVERLOADED : kj::Exception::Type::FAILED,
                         "noded", 0, kj::heapString(rejection.message.c_str()));
}

[[noreturn]] inline void throw_refusal(const core::Rejection& rejection) {
    kj::throwFatalException(exception_of(rejection));
}

inline kj::Promise<void> refusal(const core::Rejection& rejection) {
    return exception_of(rejection);
}

}  // namespace noded::rpc_service

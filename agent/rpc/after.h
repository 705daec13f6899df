// A deadline of the reactor as a promise.
#pragma once

#include <kj/async.h>

#include "agent/reactor/reactor.h"

namespace noded::rpc_service {

/// Resolves `delay_ns` from now; dropping the promise cancels the timer.
kj::Promise<void> after(reactor::Reactor& reactor, int64_t delay_ns);

}  // namespace noded::rpc_service

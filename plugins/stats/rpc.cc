// Calls of clients (interface Stats in schemas/stats.capnp), one function per method.
#include "plugins/stats/plugin.h"

#include "agent/base/fd.h"
#include "plugins/sdk/message.h"
#include "plugins/stats/limits.h"

namespace noded::stats {

using sdk::Reading;

namespace {

/// Ordinals of the interface's methods.
enum class Method : uint16_t { read, status };

}  // namespace

void StatsPlugin::call(const noded_call& call) {
    const Fd unwanted(call.fd_owned);
    switch (Method(call.method)) {
        case Method::read: {
            Reading<schema::Stats::ReadParams> in(call.params);
            const auto names = in->getContainers();
            if (names.size() > limits::containers_asked_max)
                return host_.refuse(call.token, NODED_REJECT_LIMIT,
                                    "at most " + std::to_string(limits::containers_asked_max) +
                                        " containers can be asked for at once; name none for all");
            Question question;
            question.token = call.token;
            question.after = in->getAfter();
            question.once = in->getOnce();
            for (const auto name : names) question.containers.emplace(name.cStr());
            return sampler_.ask(std::move(question));
        }
        case Method::status: {
            sdk::Message<schema::Stats::StatusResults> results;
            sampler_.status(results->initStatus());
            return host_.respond(call.token, results);
        }
    }
    host_.refuse(call.token, NODED_REJECT_INVALID,
                 "the stats interface has no method " + std::to_string(call.method));
}

}  // namespace noded::stats

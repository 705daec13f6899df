// topic: samples of plugins for subscribers.
#include "agent/base/logger.h"
#include "agent/host/extensions.h"
#include "agent/host/host.h"
#include "agent/limits.h"

namespace noded::host {

static void publish(const noded_host* face, const char* suffix, noded_bytes payload) noexcept {
    Instance& instance = require(face, "topic.publish");
    if (payload.size > limits::publish_bytes_max) {
        return log_line(Severity::warning, "host",
                        "a sample of plugin " + instance.description.id + " with " +
                            std::to_string(payload.size) + " bytes is too large and was dropped");
    }
    const std::string topic = instance.description.id + "/" + (suffix != nullptr ? suffix : "");
    instance.host->topics().publish_sample(topic, {payload.data, payload.size});
}

const noded_ext_topic ext_topic = {sizeof(noded_ext_topic), publish};

}  // namespace noded::host

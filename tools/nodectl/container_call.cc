// See container_call.h.
#include "tools/nodectl/container_call.h"

namespace noded::nodectl {

Waited send_wait(Session& session, const std::string& container, Until until) {
    auto request = session.container().waitRequest();
    request.setContainer(container);
    request.setUntil(until);
    return request.send();
}

Inspected send_inspect(Session& session, const std::string& container) {
    auto request = session.container().inspectRequest();
    request.setContainer(container);
    return request.send();
}

Result<capnp::Response<schema::Container::InspectResults>> inspect_one(
    Session& session, const std::string& container) {
    return session.wait(send_inspect(session, container));
}

Status check_stop_seconds(const std::optional<int64_t>& seconds, const char* option) {
    if (!seconds || (*seconds >= -1 && *seconds <= INT32_MAX)) return {};
    return fail("invalid " + std::string(option) + " " + std::to_string(*seconds) +
                ": it is a number of seconds");
}

Error start_failure(const schema::Container::WaitResult::Reader& result) {
    const int code =
        result.getExitCode() != 0 ? static_cast<int>(result.getExitCode()) : kRunFailed;
    return {code, result.getError().cStr()};
}

int Batch::finish(Invocation& call) {
    int status = 0;
    for (One& one : all) {
        auto done = call.session.wait_caused(std::move(*one.submitted));
        if (done && done->last != 0 && one.waited) {
            if (auto result = call.session.wait(kj::mv(*one.waited)); !result)
                done = std::unexpected(result.error());
        }
        if (done) {
            print(one.name + "\n");
        } else {
            status = call.failed(done.error());
        }
    }
    return status;
}

}  // namespace noded::nodectl

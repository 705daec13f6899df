// See container_call.h.
#include "tools/nodectl/container_call.h"

#include "tools/nodectl/filters.h"

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

Result<ContainerList> ContainerList::fetch(Session& session) {
    ContainerList list;
    std::string after;
    do {
        auto request = session.container().listRequest();
        request.setAfter(after);
        list.pages_.push_back(TRY(session.wait(request.send())));
        after = list.pages_.back().getNext().cStr();
    } while (!after.empty());
    return list;
}

std::vector<schema::ContainerState::Reader> ContainerList::states() const {
    std::vector<schema::ContainerState::Reader> states;
    for (const auto& page : pages_) {
        for (const auto state : page.getContainers()) states.push_back(state);
    }
    return states;
}

bool container_has_label(const schema::ContainerState::Reader& state, const std::string& filter) {
    std::string found;
    return label_matches(filter, [&](std::string_view key) -> const std::string* {
        for (const auto label : state.getSpec().getLabels()) {
            if (key != std::string_view(label.getKey().cStr())) continue;
            found = label.getValue().cStr();
            return &found;
        }
        return nullptr;
    });
}

int32_t stop_seconds(const std::optional<int64_t>& seconds) {
    if (!seconds) return -1;
    return *seconds < 0 ? -2 : static_cast<int32_t>(std::min<int64_t>(*seconds, INT32_MAX));
}

std::optional<int> StopOptions::parse(Invocation& call) {
    const Option options[] = {
        {'s', "signal", &signal, "string", "Signal to send to the container"},
        {'t', "time", &seconds, "int",
         "Seconds to wait before killing the container (-1: for ever)"},
        {0, "timeout", &seconds, "int", nullptr},
    };
    if (const auto status = call.parse(options, {.min = 1})) return status;
    return std::nullopt;
}

bool is_no_such_container(const Error& error) {
    return error.message.starts_with("No such container: ");
}

Result<std::optional<uint32_t>> exit_code_in_log(Session& session, const std::string& id,
                                                 uint64_t seq) {
    std::optional<uint32_t> code;
    for (;;) {
        auto request = session.node().eventsRequest();
        request.setSince(seq);
        request.setMax(UINT32_MAX);
        const auto response = TRY(session.wait(request.send()));
        const auto page = response.getPage();
        if (page.getEvents().size() == 0) return code;
        for (const auto event : page.getEvents()) {
            if (event.getType() != capnp::typeId<schema::ContainerExited>()) continue;
            const auto bytes = event.getPayload();
            capnp::FlatArrayMessageReader reader(words_of(bytes));
            const auto exited = reader.getRoot<schema::ContainerExited>();
            if (id == exited.getId().cStr()) code = exited.getExitCode();
        }
        seq = page.getNext();
    }
}

Error start_failure(const schema::Container::WaitResult::Reader& result) {
    const int code =
        result.getExitCode() != 0 ? static_cast<int>(result.getExitCode()) : kRunFailed;
    return {code, result.getError().cStr()};
}

Status wait_started(Session& session, const std::string& name, Submitted submitted) {
    TRY_STATUS(session.wait_accepted(std::move(submitted)));
    // Only now: before the start was decided the wait would be answered by the run before.
    const auto waited = TRY(session.wait(send_wait(session, name, Until::STARTED)));
    if (waited.getResult().getStartFailed())
        return std::unexpected(start_failure(waited.getResult()));
    print(name + "\n");
    return {};
}

int Batch::finish(Invocation& call) {
    int status = 0;
    for (One& one : all) {
        auto done = call.session.wait_caused(std::move(*one.submitted));
        if (done && done->last != 0 && one.waited) {
            const auto result = call.session.wait(kj::mv(*one.waited));
            if (!result)
                done = std::unexpected(result.error());
            else if (one.may_fail && result->getResult().getStartFailed())
                done = std::unexpected(Error{0, result->getResult().getError().cStr()});
        }
        if (done) {
            print(one.name + "\n");
        } else {
            const bool missing = is_no_such_container(done.error());
            Error error = done.error();
            if (trouble != nullptr) error.message = trouble + one.name + ": " + error.message;
            const int failed = call.failed(error);
            if (!missing_is_fine || !missing) status = failed;
        }
    }
    return status;
}

}  // namespace noded::nodectl

// See attached.h.
#include "tools/nodectl/attached.h"

#include <unistd.h>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/output.h"

namespace noded::nodectl {

kj::Promise<Ended> ended(Waited waited) {
    return waited.then([](capnp::Response<schema::Container::WaitResults>&& response) {
        const auto result = response.getResult();
        return Ended{static_cast<int>(result.getExitCode()), result.getError().cStr(),
                     result.getStartFailed()};
    });
}

std::function<void(int)> SignalForwarder::handler() {
    return [this](int number) {
        tasks_.add(send_wait(session_, container_, Until::STARTED).then([this, number](auto&&) {
            Payload<schema::KillContainer> command;
            command.root.setContainer(container_);
            command.root.setSignal(std::to_string(number));
            return session_.submit(mint_command_id(), command).ignoreResult();
        }));
    };
}

std::optional<int> check_terminal(bool tty, bool interactive) {
    if (!tty || !interactive || isatty(STDIN_FILENO) != 0) return std::nullopt;
    print_error("the input device is not a TTY");
    return 1;
}

std::optional<int> aim(const schema::ResolvedSpec::Reader& spec, bool interactive,
                       RelayOptions& relay) {
    relay.tty = spec.getTty();
    relay.open_stdin = interactive && spec.getOpenStdin();
    // Of one that was made to run in the background, input stays open for the next.
    relay.ends_input = spec.getStdinOnce();
    return check_terminal(relay.tty, relay.open_stdin);
}

Attachment::Attachment(Session& session, StreamCall call, Fd near, RelayOptions options)
    : session_(session),
      relay_(session, std::move(near), std::move(options)),
      call_(call.then([](auto&&) {}, [this](kj::Exception&& exception) {
                    error_ = rpc::to_error(exception).message;
                }).eagerlyEvaluate(nullptr)) {}

Result<Finished> Attachment::finish(kj::Promise<Ended> ended) {
    auto end = relay_.end().fork();
    auto left = end.addBranch().then([](Relay::End how) -> kj::Promise<Finished> {
        if (how == Relay::End::detached) return Finished{.ended = {}, .detached = true};
        return kj::NEVER_DONE;
    });
    auto answered = ended.then(
        [](Ended&& how) { return Finished{.ended = std::move(how), .detached = false}; });
    auto finished = session_.wait<Finished>(answered.exclusiveJoin(kj::mv(left)));
    if (!finished && !Session::is_lost(finished.error())) {
        relay_.stop_input();
        return finished;
    }
    if (finished && (finished->detached || finished->ended.start_failed)) {
        relay_.stop_input();
        return finished;
    }
    if (!finished) relay_.noded_is_gone();
    const auto how = session_.wait<Relay::End>(end.addBranch());
    relay_.stop_input();
    if (!how) return std::unexpected(how.error());
    if (!finished) {
        const auto code = relay_.exit_code();
        if (!code) return finished;
        return Finished{.ended = {.code = *code}};
    }
    if (*how == Relay::End::closed && !error_.empty()) return fail(error_);
    if (*how == Relay::End::closed)
        print_error("the output ended early and may be incomplete: see nodectl logs");
    return finished;
}

Result<Finished> follow(Session& session, const schema::ContainerState::Reader& state,
                        uint32_t flags, bool sig_proxy, RelayOptions relay,
                        const std::function<Status()>& begin) {
    const std::string id = state.getId().cStr();
    const bool removed = state.getSpec().getAutoRemove();
    SignalForwarder signals(session, id);
    if (sig_proxy && !relay.tty) relay.on_signal = signals.handler();
    Payload<schema::Container::AttachParams> params;
    params.root.setContainer(id);
    params.root.setFlags(flags);
    const auto attachment = TRY(Attachment::begin(session, "attach", params, std::move(relay)));
    if (begin) TRY_STATUS(begin());
    auto waited = ended(send_wait(session, id, removed ? Until::REMOVED : Until::EXITED));
    TRY_STATUS(attachment->relay().begin_input());
    return attachment->finish(kj::mv(waited));
}

}  // namespace noded::nodectl

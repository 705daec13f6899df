// nodectl wait: blocks until containers stop and prints their exit codes, in the order given.
#include <span>

#include "tools/nodectl/container_call.h"

namespace noded::nodectl {
namespace {

/// One argument. `name` becomes the id once that is known: a name may come to mean another one
/// while noded is restarted.
struct One {
    std::string name;
    uint64_t created_seq = 0;   ///< once it is known
    std::optional<Inspected> known;
    std::optional<Waited> waited;
};

// Asking for the container as well refuses a full id that nobody knows: a wait for one would wait
// for its creation. All are asked for at once: one may be removed when it ends, while another is
// still waited for.
void ask(Session& session, std::span<One> all) {
    for (One& one : all) {
        one.known = send_inspect(session, one.name);
        one.waited = send_wait(session, one.name, Until::EXITED);
    }
}

Result<uint32_t> answer(Session& session, One& one) {
    {
        const auto known = TRY(session.wait(kj::mv(*one.known)));
        one.name = known.getState().getId().cStr();
        one.created_seq = known.getState().getCreatedSeq();
        // As in docker what does not run is not waited for, though it never did.
        const auto state = known.getState();
        if (state.getPhase() == schema::Phase::CREATED) return state.getExitCode();
    }
    const auto result = TRY(session.wait(kj::mv(*one.waited)));
    return result.getResult().getExitCode();
}

/// One that ended and was removed while noded was away: the log knows how it ended.
Result<uint32_t> answer_or_look_up(Session& session, One& one) {
    auto code = answer(session, one);
    if (code || one.created_seq == 0 || !is_no_such_container(code.error())) return code;
    const auto logged = TRY(exit_code_in_log(session, one.name, one.created_seq));
    return logged ? Result<uint32_t>(*logged) : code;
}

/// The answer for the first of `rest`; asks anew for all of them when noded is restarted.
Result<uint32_t> answer_first(Session& session, std::span<One> rest) {
    for (;;) {
        auto code = answer_or_look_up(session, rest.front());
        if (code || !Session::is_lost(code.error())) return code;
        for (One& one : rest) {
            one.known.reset();
            one.waited.reset();
        }
        TRY_STATUS(session.reconnect());
        ask(session, rest);
    }
}

}  // namespace

int wait_container(Invocation& call) {
    if (const auto status = call.parse({}, {.min = 1})) return *status;
    std::vector<One> all;
    for (const std::string& name : call.arguments) all.push_back({name, 0, {}, {}});
    ask(call.session, all);
    int status = 0;
    for (size_t i = 0; i < all.size(); ++i) {
        const auto code = answer_first(call.session, std::span(all).subspan(i));
        if (code) {
            print(std::to_string(*code) + "\n");
        } else {
            status = call.failed(code.error());
            if (Session::is_lost(code.error())) break;
        }
    }
    return status;
}

}  // namespace noded::nodectl

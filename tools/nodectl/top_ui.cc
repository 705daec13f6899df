// `nodectl top` without a container: the node at a glance. Samples come from the plugin stats as
// they are taken, keys from the terminal; what is looked at closely is asked for with each sample.
#include <signal.h>
#include <unistd.h>

#include <kj/async-unix.h>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/top.h"
#include "tools/nodectl/top_screen.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"
#include "tools/nodectl/watched_fd.h"

namespace noded::nodectl {
namespace {

constexpr size_t kLinesKept = 2000;      ///< of output
constexpr size_t kLineBytesMax = 4096;   ///< that are kept of each; no terminal shows more

class TopUi {
public:
    TopUi(Session& session, std::string node_name)
        : session_(session), node_name_(std::move(node_name)) {}

    Status run() {
        for (;;) {
            const Status shown = show();
            if (shown || !Session::is_lost(shown.error())) return shown;
            model_.forget();
            seq_ = 0;
            TRY_STATUS(come_back());
            if (left_) return {};
        }
    }

private:
    /// Until the user leaves, or noded does.
    Status show() {
        WatchedFd keys(session_.port(), STDIN_FILENO);
        auto sample = next_sample();
        for (;;) {
            screen_.draw(model_, node_name_);
            auto key = keys.readable();
            auto resized = session_.port().onSignal(SIGWINCH).then([this](siginfo_t&&) {
                screen_.resized();
            });
            auto any = sample.addBranch().exclusiveJoin(kj::mv(key)).exclusiveJoin(kj::mv(resized));
            TRY(session_.wait<bool>(any.then([] { return true; })));
            const std::string before = screen_.detail().id + char(screen_.detail().processes);
            if (!screen_.take_keys(model_)) return {};
            const bool other = before != screen_.detail().id + char(screen_.detail().processes);
            if (other) read_to_ = 0;
            if (came_ || other) TRY_STATUS(look_closer());
            if (std::exchange(came_, false)) sample = next_sample();
        }
    }

    kj::ForkedPromise<void> next_sample() {
        auto request = session_.stats().readRequest();
        request.setAfter(seq_);
        return request.send()
            .then([this](capnp::Response<schema::Stats::ReadResults>&& response) {
                for (const auto one : response.getSamples()) {
                    model_.take(one);
                    seq_ = one.getSeq();
                }
                came_ = true;
            })
            .fork();
    }

    Status look_closer() {
        TopDetail& detail = screen_.detail();
        if (detail.id.empty()) return {};
        const Status read = detail.processes ? read_processes(detail) : read_output(detail);
        if (!read && Session::is_lost(read.error())) return read;
        detail.trouble = read ? "" : read.error().message;
        return {};
    }

    Status read_processes(TopDetail& detail) {
        auto request = session_.container().topRequest();
        request.setContainer(detail.id);
        const auto response = TRY(session_.wait(request.send()));
        // As narrow as can be: what is executed is at the end of the line.
        std::string text = process_table(response.getProcesses(), 0);
        detail.lines.clear();
        for (std::string_view rest = text; !rest.empty();) {
            const size_t end = std::min(rest.find('\n'), rest.size());
            detail.lines.emplace_back(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return {};
    }

    /// The tail at first, then what follows.
    Status read_output(TopDetail& detail) {
        constexpr int64_t kTail = 200;
        auto request = session_.container().readLogRequest();
        request.setContainer(detail.id);
        request.setTail(read_to_ == 0 ? kTail : -1);
        request.setPosition(read_to_);
        const auto response = TRY(session_.wait(request.send()));
        const auto part = response.getPart();
        if (read_to_ == 0) {
            detail.lines.clear();
            open_line_ = false;
        }
        for (const auto chunk : part.getChunks()) {
            const auto data = chunk.getData().asChars();
            add_output(detail, {data.begin(), data.size()});
        }
        read_to_ = part.getPosition();
        return {};
    }

    void add_output(TopDetail& detail, std::string_view text) {
        while (!text.empty()) {
            const size_t end = text.find('\n');
            const std::string_view line = text.substr(0, end);
            if (!open_line_ || detail.lines.empty()) detail.lines.emplace_back();
            std::string& last = detail.lines.back();
            last += line.substr(0, kLineBytesMax - std::min(last.size(), kLineBytesMax));
            open_line_ = end == std::string_view::npos;
            text.remove_prefix(open_line_ ? text.size() : end + 1);
        }
        if (detail.lines.size() > kLinesKept)
            detail.lines.erase(detail.lines.begin(),
                               detail.lines.end() - ptrdiff_t(kLinesKept));
    }

    Status come_back() {
        screen_.message = "noded is gone: waiting for it to come back (q leaves)";
        screen_.draw(model_, node_name_);
        const Status back = session_.reconnect([this]() -> Status {
            if (screen_.take_keys(model_)) return {};
            left_ = true;
            return fail("left");
        });
        screen_.message.clear();
        screen_.redraw();
        return left_ ? Status() : back;
    }

    Session& session_;
    const std::string node_name_;
    TopModel model_;
    TopScreen screen_;
    uint64_t seq_ = 0;
    uint64_t read_to_ = 0;   ///< position of the output that is shown; 0: none yet
    bool open_line_ = false;
    bool came_ = false;      ///< a sample
    bool left_ = false;
};

}  // namespace

int top_of_node(Invocation& call) {
    OR_FAIL_STATUS(call, TopScreen::check_terminal());
    kj::UnixEventPort::captureSignal(SIGWINCH);
    const auto info = OR_FAIL(call, call.session.wait(call.session.node().infoRequest().send()));
    Status shown;
    {
        TopUi ui(call.session, info.getInfo().getNodeName().cStr());
        shown = ui.run();
    }
    OR_FAIL_STATUS(call, shown);
    return 0;
}

}  // namespace noded::nodectl

// An open-loop client while a plugin that is dropped into the plugin directory folds the history,
// a slice of it per turn of the node.
#include <cerrno>
#include <cstdio>

#include "bench/node/open_loop.h"

namespace noded::bench {
namespace {

class LateLoop final : public OpenLoop {
public:
    LateLoop(schema::Node::Client node, kj::Timer& timer, const Arguments& arguments)
        : OpenLoop(std::move(node), timer, arguments),
          from_(arguments.command[0]),
          to_(arguments.command[1]) {}

    double dropped_us() const { return dropped_us_; }
    int error() const { return error_; }

private:
    void begin() override {
        forget();
        dropped_us_ = now_us();
        if (rename(from_.c_str(), to_.c_str()) != 0) error_ = errno;
    }
    kj::Promise<bool> ask() override {
        return node().pluginsRequest().send().then([](auto&& response) {
            for (const auto plugin : response.getPlugins())
                if (plugin.getId() == "late-objects" && plugin.getStatus() == "loaded")
                    return true;
            return false;
        });
    }

    const std::string from_, to_;
    double dropped_us_ = 0;
    int error_ = 0;
};

}  // namespace

Status late_pause(const Arguments& arguments) {
    if (arguments.objects < OBJECTS_PER_PUT_MAX || arguments.command.size() != 2)
        return fail("--objects says how many there are, -- FROM TO which plugin goes where");
    const auto client = TRY(rpc::Client::connect(arguments.host));
    auto node = client->bootstrap().castAs<schema::Node>();
    LateLoop loop(node, client->event_port().getTimer(), arguments);
    TRY_STATUS(client->wait(loop.run()));
    if (!loop.trouble().empty()) return fail(loop.trouble());
    if (loop.error() != 0) return fail_errno(loop.error(), "move " + arguments.command[0]);
    if (!loop.happened()) return fail("the plugin was not loaded");
    loop.print(loop.dropped_us());
    return {};
}

}  // namespace noded::bench

// LogTopics: what containers write, for those who subscribed to it.
//
//     log/<container id>/<stdout|stderr>        LogMessage of schemas/container.capnp
//     json/log/<container id>/<stdout|stderr>   the same as JSON
//
// A subscription is a prefix: "log/" is all. The log's files are read once for all subscribers, and
// only those of containers that somebody subscribed to; a folder that changes says so (inotify(7)).
// Nobody is waited for: what is read so late that it was rotated away is told as lost. Everything
// here runs on the reactor, in turns of limited size.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/shim/log_folder.h"
#include "plugins/container/state.h"
#include "plugins/sdk/host.h"

namespace noded::container {

/// What a prefix asks for.
struct LogSubscription {
    bool forms[2] = {};    ///< words of Cap'n Proto, JSON
    bool streams[2] = {};  ///< stdout, stderr
    std::string id_prefix;

    bool whole_id() const;
};

/// An error says what there is instead. Pure.
Result<LogSubscription> parse_log_subscription(std::string_view prefix);

class LogTopics {
public:
    /// `folder_of` is where a container's log is.
    LogTopics(const sdk::Host& host, const State& state,
              std::function<std::string(const std::string&)> folder_of)
        : host_(host), state_(state), folder_of_(std::move(folder_of)) {}

    /// Begins to look at subscriptions. Called once, by reconcile.
    void begin();
    /// A container was created: all that it will write is told to those who subscribed before.
    void created(const std::string& id);
    /// It has a log now.
    void started(const std::string& id);
    void removed(const std::string& id);
    void stop();

private:
    /// One topic of a container.
    struct Topic {
        bool wanted = false;
        uint64_t sequence = 0;
        uint64_t lost = 0;
        uint64_t end = 0;  ///< behind the newest message, or where following began
        uint64_t lost_bytes = 0;
    };
    struct Follow {
        std::string id;
        std::unique_ptr<LogFolder> log;  ///< null: there is none yet
        int watch = -1;
        bool from_start = false;  ///< it wrote nothing when following began
        std::array<Topic, 4> topics;  ///< form * 2 + stream
    };

    struct Piece {
        uint64_t position = 0;
        int64_t time_ns = 0;
        std::string_view bytes;
    };

    static void on_topics(void* self, void* argument) noexcept;
    static void on_inotify(void* self, void* argument, uint32_t events) noexcept;
    static void on_timer(void* self, void* argument) noexcept;

    void look();
    void look_once();
    std::array<bool, 4> wanted(const std::string& id) const;
    void follow(const std::string& id, const std::array<bool, 4>& which, bool is_new);
    void forget(const std::string& id);
    void open(Follow& follow);
    void open_some();
    std::string watch_folder(Follow& follow);
    void take_changes();
    void turn();
    void go_on_later();
    bool read(Follow& follow, size_t bytes_max);
    void publish(Follow& follow, const LogFrame& frame);
    void publish_as(Follow& follow, size_t which, const Piece& piece);
    void notice(const std::string& prefix, const std::string& message) const;

    const sdk::Host host_;
    const State& state_;
    const std::function<std::string(const std::string&)> folder_of_;
    std::vector<LogSubscription> subscriptions_;
    std::set<std::string> known_;  ///< prefixes that were looked at
    std::map<std::string, Follow> follows_;  ///< by container id
    std::map<int, std::string> watches_;     ///< of inotify, to the id
    std::set<std::string> changed_;          ///< ids of those that may have more
    std::set<std::string> to_open_;          ///< ids of those that are not followed yet
    size_t opens_left_ = 0;                  ///< in this turn
    Fd inotify_;
    uint64_t inotify_watch_ = 0;
    uint64_t timer_ = 0;
    int64_t turn_ns_ = 0;   ///< of the newest turn
    bool busy_ = false;     ///< a send may tell of subscriptions in its middle
    bool topics_changed_ = false;
    bool too_many_told_ = false;
    bool stopped_ = false;
};

}  // namespace noded::container

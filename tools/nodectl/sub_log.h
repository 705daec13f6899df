// LogJoin: messages of log/… without gap or duplicate, joined to what was written before.
//
// Each message says where it begins and behind what; what was missed between (the tail that is
// asked for first, a subscriber that was too slow, a noded that was away) is read by
// Container.readLog. Called by sub.cc.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "agent/base/result.h"
#include "schemas/container.capnp.h"
#include "tools/nodectl/session.h"

namespace noded::nodectl {

/// A piece of output to be shown.
struct LogOutput {
    std::string container;  ///< id
    schema::OutputStream stream{};
    uint64_t position = 0;
    int64_t time_ns = 0;
    std::string_view data;
    uint64_t sequence = 0;  ///< and how often somebody lost one: of messages; 0: it was read
    uint64_t lost = 0;
};

class LogJoin {
public:
    using Show = std::function<void(const LogOutput&)>;
    LogJoin(Session& session, Show show) : session_(session), show_(std::move(show)) {}

    /// Shows the last `lines` of a container, of the streams that are wanted.
    Status begin(const std::string& container, bool out, bool err, uint64_t lines);
    Status take(const schema::LogMessage::Reader& message);
    /// What was written before the subscription was there, if nothing came since then to tell.
    Status catch_up();

private:
    using Key = std::pair<std::string, schema::OutputStream>;

    struct Tail {
        uint64_t position = 0;  ///< it begins somewhere behind
        uint64_t lines_before = 0;  ///< between, of the stream
    };
    Result<Tail> find_tail(const std::string& container, schema::OutputStream stream,
                           uint64_t lines);
    Status show_from(const std::string& container, int64_t tail, uint64_t position,
                     const std::function<bool(schema::OutputStream)>& wanted);
    /// One part; those chunks are shown that `wanted` takes, up to `end`.
    Result<uint64_t> read(const std::string& container, int64_t tail, uint64_t position,
                          const std::function<bool(schema::OutputStream)>& wanted, uint64_t end,
                          bool* more);
    Status fill(const Key& key, uint64_t from, uint64_t end);

    Session& session_;
    const Show show_;
    std::map<Key, uint64_t> seen_;  ///< up to which position
    uint64_t lines_skipped_ = 0;    ///< that are still to be left out of what is read
};

/// `log/<id>/stdout`: container and stream of a topic; of a shorter prefix they are empty.
struct LogTopic {
    std::string container;
    bool out = false;
    bool err = false;
};
LogTopic parse_log_topic(std::string_view topic);

}  // namespace noded::nodectl

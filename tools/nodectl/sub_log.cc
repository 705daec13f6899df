// See sub_log.h.
#include "tools/nodectl/sub_log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "tools/nodectl/output.h"

namespace noded::nodectl {

LogTopic parse_log_topic(std::string_view topic) {
    constexpr std::string_view kLog = "log/";
    if (!topic.starts_with(kLog)) return {};
    topic.remove_prefix(kLog.size());
    const size_t slash = topic.find('/');
    const std::string_view stream =
        slash == std::string_view::npos ? std::string_view() : topic.substr(slash + 1);
    return {std::string(topic.substr(0, slash)), std::string_view("stdout").starts_with(stream),
            std::string_view("stderr").starts_with(stream)};
}

Result<uint64_t> LogJoin::read(const std::string& container, int64_t tail, uint64_t position,
                               const std::function<bool(schema::OutputStream)>& wanted,
                               uint64_t end, bool* more) {
    auto request = session_.container().readLogRequest();
    request.setContainer(container);
    request.setTail(tail);
    request.setPosition(position);
    const auto response = TRY(session_.wait(request.send()));
    const auto part = response.getPart();
    if (part.getLostBytes() > 0)
        write_all(STDERR_FILENO, "[" + std::to_string(part.getLostBytes()) +
                                     " bytes of output were lost]\n");
    for (const auto chunk : part.getChunks()) {
        if (!wanted(chunk.getStream()) || chunk.getPosition() >= end) continue;
        LogOutput output;
        output.container = container;
        output.stream = chunk.getStream();
        output.position = chunk.getPosition();
        output.time_ns = chunk.getTimeNs();
        const auto data = chunk.getData().asChars();
        output.data = {data.begin(), std::min<size_t>(data.size(), end - chunk.getPosition())};
        show_(output);
    }
    *more = part.getMore();
    return part.getPosition();
}

Status LogJoin::begin(const std::string& container, bool out, bool err, uint64_t lines) {
    const auto wanted = [&](schema::OutputStream stream) {
        return stream == schema::OutputStream::STDOUT ? out : err;
    };
    bool more = false;
    uint64_t position =
        TRY(read(container, static_cast<int64_t>(lines), 0, wanted, UINT64_MAX, &more));
    while (more) position = TRY(read(container, -1, position, wanted, UINT64_MAX, &more));
    for (const auto stream : {schema::OutputStream::STDOUT, schema::OutputStream::STDERR})
        if (wanted(stream)) seen_[{container, stream}] = position;
    return {};
}

/// What of the stream lies between; a container that is gone meanwhile has nothing more to tell.
Status LogJoin::fill(const Key& key, uint64_t from, uint64_t end) {
    const auto wanted = [&](schema::OutputStream stream) { return stream == key.second; };
    bool more = true;
    while (more && from < end) {
        const auto read_to = read(key.first, -1, from, wanted, end, &more);
        if (!read_to && read_to.error().code == ENOENT) return {};
        const uint64_t next = TRY(read_to);
        if (next <= from) return {};
        from = next;
    }
    return {};
}

Status LogJoin::catch_up() {
    for (auto& [key, position] : seen_) {
        bool more = true;
        while (more)
            position = TRY(read(
                key.first, -1, position,
                [&](schema::OutputStream stream) { return stream == key.second; }, UINT64_MAX,
                &more));
    }
    return {};
}

Status LogJoin::take(const schema::LogMessage::Reader& message) {
    const Key key(message.getContainer().cStr(), message.getStream());
    const auto seen = seen_.find(key);
    if (seen != seen_.end()) {
        if (message.getPosition() < seen->second) return {};
        if (message.getAfter() > seen->second)
            TRY_STATUS(fill(key, seen->second, message.getPosition()));
    }
    LogOutput output;
    output.container = key.first;
    output.stream = key.second;
    output.position = message.getPosition();
    output.time_ns = message.getTimeNs();
    output.sequence = message.getSequence();
    output.lost = message.getLost();
    const auto data = message.getData().asChars();
    output.data = {data.begin(), data.size()};
    if (message.getLostBytes() > 0)
        write_all(STDERR_FILENO, "[" + std::to_string(message.getLostBytes()) +
                                     " bytes of output were lost]\n");
    show_(output);
    seen_[key] = message.getPosition() + data.size();
    return {};
}

}  // namespace noded::nodectl

// See sub_log.h.
#include "tools/nodectl/sub_log.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

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
        while (lines_skipped_ > 0 && !output.data.empty()) {
            const size_t line = std::min(output.data.find('\n'), output.data.size() - 1) + 1;
            if (output.data[line - 1] == '\n') --lines_skipped_;
            output.data.remove_prefix(line);
            output.position += line;
        }
        if (!output.data.empty()) show_(output);
    }
    *more = part.getMore();
    return part.getPosition();
}

Status LogJoin::begin(const std::string& container, bool out, bool err, uint64_t lines) {
    const auto wanted = [&](schema::OutputStream stream) {
        return stream == schema::OutputStream::STDOUT ? out : err;
    };
    if (out == err || lines == 0)
        return show_from(container, static_cast<int64_t>(lines), 0, wanted);
    const auto tail = TRY(find_tail(
        container, out ? schema::OutputStream::STDOUT : schema::OutputStream::STDERR, lines));
    lines_skipped_ = tail.lines_before;
    const Status shown = show_from(container, -1, tail.position, wanted);
    lines_skipped_ = 0;
    return shown;
}

Status LogJoin::show_from(const std::string& container, int64_t tail, uint64_t position,
                          const std::function<bool(schema::OutputStream)>& wanted) {
    bool more = false;
    position = TRY(read(container, tail, position, wanted, UINT64_MAX, &more));
    while (more) position = TRY(read(container, -1, position, wanted, UINT64_MAX, &more));
    for (const auto stream : {schema::OutputStream::STDOUT, schema::OutputStream::STDERR})
        if (wanted(stream)) seen_[{container, stream}] = position;
    return {};
}

/// noded counts lines of both streams together: of one alone more are asked for, until there are
/// enough of it or no more at all.
Result<LogJoin::Tail> LogJoin::find_tail(const std::string& container, schema::OutputStream stream,
                                         uint64_t lines) {
    constexpr uint64_t kFactor = 8, kAskedMax = INT64_MAX / kFactor;
    std::optional<uint64_t> first_before;
    for (uint64_t asked = lines;; asked *= kFactor) {
        uint64_t found = 0;
        std::optional<uint64_t> first;
        bool open = false;  // the last line has no end yet
        uint64_t position = 0;
        for (bool more = true, begun = false; more; begun = true) {
            auto request = session_.container().readLogRequest();
            request.setContainer(container);
            request.setTail(begun ? -1 : static_cast<int64_t>(asked));
            request.setPosition(position);
            const auto response = TRY(session_.wait(request.send()));
            const auto part = response.getPart();
            for (const auto chunk : part.getChunks()) {
                if (!first) first = chunk.getPosition();
                if (chunk.getStream() != stream) continue;
                const auto data = chunk.getData().asChars();
                found += static_cast<uint64_t>(std::count(data.begin(), data.end(), '\n'));
                open = data.size() > 0 && data.back() != '\n';
            }
            position = part.getPosition();
            more = part.getMore();
        }
        found += open ? 1 : 0;
        if (!first) return Tail{position, 0};
        // It may begin later than before: what is old is rotated away.
        const bool all = first_before && *first >= *first_before;
        if (found >= lines || asked > kAskedMax || all)
            return Tail{*first, found > lines ? found - lines : 0};
        first_before = first;
    }
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

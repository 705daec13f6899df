// Both sides' codec, and the rules of paths. Pure.
#include "plugins/container/files/job.h"

#include <functional>

#include "agent/base/number.h"

namespace noded::files {
namespace {

class Fields {
public:
    void add(std::string_view key, std::string_view value) {
        text_ += key;
        text_ += '=';
        text_ += value;
        text_ += '\0';
    }
    void add(std::string_view key, int64_t value) { add(key, std::to_string(value)); }
    std::string take() { return std::move(text_); }

private:
    std::string text_;
};

using Take = std::function<bool(std::string_view key, std::string_view value)>;

Status each_field(std::string_view text, const Take& take) {
    while (!text.empty()) {
        const size_t end = text.find('\0');
        const size_t equals = text.find('=');
        if (end == text.npos || equals >= end) return fail("a message of the files helper is cut");
        const std::string_view key = text.substr(0, equals);
        if (!take(key, text.substr(equals + 1, end - equals - 1)))
            return fail("a message of the files helper has the unknown field " + std::string(key));
        text.remove_prefix(end + 1);
    }
    return {};
}

bool boolean(std::string_view text, bool& out) {
    out = text == "1";
    return text == "1" || text == "0";
}

bool verb(std::string_view text, Verb& out) {
    uint32_t value = 0;
    if (!to_number(text, value) || value >= verbs_known) return false;
    out = Verb(value);
    return true;
}

bool string(std::string_view text, std::string& out) {
    out = text;
    return true;
}

/// "u 0 100000 65536" or "g …".
std::string text_of(const tree::IdRange& range) {
    return std::string(range.gid ? "g " : "u ") + std::to_string(range.container) + " " +
           std::to_string(range.host) + " " + std::to_string(range.count);
}

bool ids(std::string_view text, tree::IdRanges& out) {
    tree::IdRange range;
    range.gid = text.starts_with('g');
    uint32_t* const numbers[] = {&range.container, &range.host, &range.count};
    for (uint32_t* to : numbers) {
        const size_t space = text.find(' ');
        if (space == text.npos) return false;
        text.remove_prefix(space + 1);
        if (!to_number(text.substr(0, text.find(' ')), *to)) return false;
    }
    out.push_back(range);
    return true;
}

bool job_field(Job& job, std::string_view key, std::string_view value) {
    if (key == "verb") return verb(value, job.verb);
    if (key == "path") return string(value, job.path);
    if (key == "follow") return boolean(value, job.follow);
    if (key == "parent") return to_number(value, job.parent);
    if (key == "pid") return to_number(value, job.pid);
    if (key == "pid-start") return to_number(value, job.pid_start_time);
    if (key == "read-only") return boolean(value, job.read_only);
    if (key == "upper") return string(value, job.upper);
    if (key == "work") return string(value, job.work);
    if (key == "lower") return job.lowers.emplace_back(value), true;
    if (key == "ids") return ids(value, job.ids);
    // A bind begins with its source; what follows is about the last one.
    if (key == "bind") return job.binds.push_back({std::string(value), {}}), true;
    if (job.binds.empty()) return false;
    if (key == "bind-target") return string(value, job.binds.back().target);
    if (key == "bind-read-only") return boolean(value, job.binds.back().read_only);
    if (key == "bind-recursive") return boolean(value, job.binds.back().recursive);
    if (key == "bind-volume") return boolean(value, job.binds.back().volume);
    if (key == "bind-copies") return boolean(value, job.binds.back().copies);
    return false;
}

bool outcome_field(Outcome& outcome, std::string_view key, std::string_view value) {
    if (key == "error") return string(value, outcome.error);
    if (key == "code") return to_number(value, outcome.code);
    if (key == "exists") return boolean(value, outcome.exists);
    if (key == "mode") return to_number(value, outcome.mode);
    if (key == "size") return to_number(value, outcome.size);
    if (key == "mtime") return to_number(value, outcome.mtime_ns);
    if (key == "link") return string(value, outcome.link);
    if (key == "path") return string(value, outcome.path);
    return key == "end";
}

}  // namespace

std::string encode(const Job& job) {
    Fields out;
    out.add("verb", int64_t(job.verb));
    out.add("path", job.path);
    out.add("follow", job.follow);
    out.add("parent", job.parent);
    out.add("pid", job.pid);
    out.add("pid-start", std::to_string(job.pid_start_time));
    out.add("read-only", job.read_only);
    for (const std::string& lower : job.lowers) out.add("lower", lower);
    out.add("upper", job.upper);
    out.add("work", job.work);
    for (const tree::IdRange& range : job.ids) out.add("ids", text_of(range));
    for (const Bind& bind : job.binds) {
        out.add("bind", bind.source);
        out.add("bind-target", bind.target);
        out.add("bind-read-only", bind.read_only);
        out.add("bind-recursive", bind.recursive);
        out.add("bind-volume", bind.volume);
        out.add("bind-copies", bind.copies);
    }
    return out.take();
}

std::string encode(const Outcome& outcome) {
    Fields out;
    out.add("error", outcome.error);
    out.add("code", outcome.code);
    out.add("exists", outcome.exists);
    out.add("mode", outcome.mode);
    out.add("size", std::to_string(outcome.size));
    out.add("mtime", outcome.mtime_ns);
    out.add("link", outcome.link);
    out.add("path", outcome.path);
    out.add("end", "");
    return out.take();
}

Result<Job> decode_job(std::string_view text) {
    Job job;
    TRY_STATUS(each_field(text, [&](auto key, auto value) { return job_field(job, key, value); }));
    return job;
}

Result<Outcome> decode_outcome(std::string_view text) {
    Outcome outcome;
    bool whole = false;
    TRY_STATUS(each_field(text, [&](auto key, auto value) {
        whole = key == "end";
        return outcome_field(outcome, key, value);
    }));
    if (!whole) return fail("the files helper ended without an answer");
    return outcome;
}

std::string clean_path(std::string_view path) {
    std::string out;
    while (!path.empty()) {
        const size_t slash = std::min(path.find('/'), path.size());
        const std::string_view part = path.substr(0, slash);
        path.remove_prefix(std::min(slash + 1, path.size()));
        if (part.empty() || part == ".") continue;
        if (part == "..") {
            out.erase(std::min(out.rfind('/'), out.size()));
        } else {
            out += '/';
            out += part;
        }
    }
    return out.empty() ? "/" : out;
}

bool asks_for_content(std::string_view path) { return path.ends_with("/.") || path == "."; }

bool asks_for_directory(std::string_view path) {
    return path.ends_with('/') || asks_for_content(path);
}

std::string directory_of(const std::string& clean) {
    const size_t slash = clean.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : clean.substr(0, slash);
}

std::string base_of(const std::string& clean) {
    return clean == "/" ? clean : clean.substr(clean.rfind('/') + 1);
}

}  // namespace noded::files

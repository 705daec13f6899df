// See log.h.
#include "plugins/container/noci/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cctype>
#include <ctime>
#include <nlohmann/json.hpp>

namespace noded::noci {
namespace {

void write_all(int fd, const std::string& text) {
    for (size_t at = 0; at < text.size();) {
        const ssize_t count = ::write(fd, text.data() + at, text.size() - at);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        at += size_t(count);
    }
}

std::string time_text() {
    const time_t now = time(nullptr);
    tm parts{};
    gmtime_r(&now, &parts);
    char text[64];
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::string quoted(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        if (c == '\n') out += "\\n";
        else if (c == '\t') out += "\\t";
        else out += c;
    }
    return out + "\"";
}

}  // namespace

Result<Log> Log::open(const std::string& file, const std::string& format, bool debug) {
    Log log;
    log.debug_ = debug;
    if (format != "text" && format != "json" && !format.empty())
        return fail("invalid log-format: " + format);
    log.json_ = format == "json";
    if (file.empty()) return log;
    const std::string path = file.starts_with("file:") ? file.substr(5) : file;
    log.file_.reset(::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644));
    if (!log.file_.valid()) return fail_errno(errno, "open " + path);
    return log;
}

void Log::write(const char* level, const std::string& message) const {
    const int fd = file_.valid() ? file_.get() : STDERR_FILENO;
    if (json_) {
        const nlohmann::ordered_json line = {
            {"level", level}, {"msg", message}, {"time", time_text()}};
        return write_all(
            fd, line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    }
    if (isatty(fd) != 0) {
        std::string name(level, 4);
        for (char& c : name) c = char(toupper(static_cast<unsigned char>(c)));
        return write_all(fd, name + "[0000] " + message + "\n");
    }
    write_all(fd, "time=\"" + time_text() + "\" level=" + level + " msg=" + quoted(message) + "\n");
}

void Log::fatal(const std::string& message) const {
    error(message);
    if (file_.valid()) write_all(STDERR_FILENO, message + "\n");
}

}  // namespace noded::noci

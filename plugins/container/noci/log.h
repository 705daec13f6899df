// Where noci tells what it has to say: standard error, or the file of --log, as text or JSON, in
// the form that other engines read the last error from.
#pragma once

#include <string>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace noded::noci {

class Log {
public:
    Log() = default;
    /// `format` is "text" or "json"; `file` is a path, "file:" may stand before it; an empty one is
    /// standard error.
    static Result<Log> open(const std::string& file, const std::string& format, bool debug);

    void error(const std::string& message) const { write("error", message); }
    void warning(const std::string& message) const { write("warning", message); }
    void debug(const std::string& message) const {
        if (debug_) write("debug", message);
    }
    /// An error that ends noci: also on standard error when the log is a file.
    void fatal(const std::string& message) const;

private:
    void write(const char* level, const std::string& message) const;

    Fd file_;
    bool json_ = false;
    bool debug_ = false;
};

}  // namespace noded::noci

// What nodectl writes: results on stdout, sentences on stderr. A reader that went away ends nodectl
// as SIGPIPE would.
#pragma once

#include <csignal>
#include <memory>
#include <string>
#include <string_view>

namespace noded::nodectl {

/// Writes all of it, blocking. Dies of SIGPIPE if nobody reads any more.
void write_all(int fd, std::string_view text);

/// Collects for stdout and stderr in order: what goes to the one is written before what goes to the
/// other.
class Output {
public:
    ~Output() { flush(); }
    void add(int fd, std::string_view text);
    void flush();

private:
    static constexpr size_t kBufferBytes = 32 << 10;

    int fd_ = 1;
    std::unique_ptr<char[]> buffer_;  ///< once there is anything small
    size_t pending_ = 0;
};

/// A result on stdout.
void print(std::string_view text);

/// "Error: MESSAGE" on stderr.
void print_error(std::string_view message);

/// Ends the process as a write to a closed pipe does.
[[noreturn]] void die_of_sigpipe();

/// While there is one, a write to who hung up is an error and not the end of the process.
class NoSigpipe {
public:
    NoSigpipe() : before_(signal(SIGPIPE, SIG_IGN)) {}
    ~NoSigpipe() { signal(SIGPIPE, before_); }
    NoSigpipe(const NoSigpipe&) = delete;
    NoSigpipe& operator=(const NoSigpipe&) = delete;

private:
    void (*before_)(int);
};

}  // namespace noded::nodectl

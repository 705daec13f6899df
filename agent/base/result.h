// Result<T>: a value, or an Error that says what was tried, on what, and what the kernel answered.
//
// Operating errors (disk full, peer gone) travel as values and are logged once, at the edge. Bugs
// and corruption are CHECKs (base/check.h). Used by every folder; uses nothing of ours.
#pragma once

#include <cstring>
#include <expected>
#include <string>
#include <utility>

namespace noded {

struct Error {
    int code = 0;         ///< errno value, 0 where no system call is behind it
    std::string message;  ///< "mount overlay on web/rootfs: EBUSY (Device or resource busy)"
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// An error without a system call behind it.
inline std::unexpected<Error> fail(std::string message) {
    return std::unexpected(Error{0, std::move(message)});
}

/// An error from a system call: `what` says what was tried and on what, e.g. "open /a/b".
inline std::unexpected<Error> fail_errno(int error_number, std::string what) {
    const char* name = strerrorname_np(error_number);
    what += ": ";
    what += name != nullptr ? name : "unknown error";
    what += " (";
    what += strerrordesc_np(error_number) != nullptr ? strerrordesc_np(error_number) : "?";
    what += ")";
    return std::unexpected(Error{error_number, std::move(what)});
}

/// Adds what the caller was doing in front of an error.
inline std::unexpected<Error> context(const Error& error, std::string doing) {
    return std::unexpected(Error{error.code, std::move(doing) + ": " + error.message});
}

/// Unwraps a Result or returns its error from the enclosing function.
#define TRY(expression)                                                  \
    ({                                                                   \
        auto try_result_ = (expression);                                 \
        if (!try_result_) return std::unexpected(std::move(try_result_.error())); \
        std::move(*try_result_);                                         \
    })

/// The same for a Status.
#define TRY_STATUS(expression)                                           \
    do {                                                                 \
        auto try_status_ = (expression);                                 \
        if (!try_status_) return std::unexpected(std::move(try_status_.error())); \
    } while (0)

}  // namespace noded

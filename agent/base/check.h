// CHECK: assertions that are on in production. A failed one prints the condition and aborts; the
// log makes a restart cheap and a wrong fold is worse than a restart. Never CHECK what a kernel, a
// peer or a user sent.
#pragma once

namespace noded {

[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const char* message) noexcept;

}  // namespace noded

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) [[unlikely]]                                              \
            ::noded::check_failed(__FILE__, __LINE__, #condition, "");              \
    } while (0)

/// `message` is a C string that says what the broken condition means.
#define CHECK_MSG(condition, message)                                               \
    do {                                                                            \
        if (!(condition)) [[unlikely]]                                              \
            ::noded::check_failed(__FILE__, __LINE__, #condition, (message));       \
    } while (0)

// The handful of functions that a compiler expects to find in every program, for those without a C
// library.
#include <stddef.h>

extern "C" {

// The compiler may call these for plain assignments and loops, so they must not themselves become
// such calls.
__attribute__((used)) void* memcpy(void* to, const void* from, size_t size) {
    void* const start = to;
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
    return start;
}

__attribute__((used)) void* memset(void* to, int byte, size_t size) {
    void* const start = to;
    asm volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
    return start;
}

__attribute__((used)) void* memmove(void* to, const void* from, size_t size) {
    if (to <= from || static_cast<char*>(to) >= static_cast<const char*>(from) + size)
        return memcpy(to, from, size);
    auto* last_to = static_cast<char*>(to) + size - 1;
    auto* last_from = static_cast<const char*>(from) + size - 1;
    asm volatile("std; rep movsb; cld" : "+D"(last_to), "+S"(last_from), "+c"(size) : : "memory");
    return to;
}

__attribute__((used)) int memcmp(const void* left, const void* right, size_t size) {
    const auto* a = static_cast<const unsigned char*>(left);
    const auto* b = static_cast<const unsigned char*>(right);
    for (size_t i = 0; i < size; ++i)
        if (a[i] != b[i]) return a[i] - b[i];
    return 0;
}

__attribute__((used)) void* memchr(const void* bytes, int byte, size_t size) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (size_t i = 0; i < size; ++i)
        if (at[i] == static_cast<unsigned char>(byte)) return const_cast<unsigned char*>(at + i);
    return nullptr;
}

__attribute__((used)) size_t strlen(const char* text) {
    size_t length = 0;
    while (text[length] != 0) {
        asm volatile("" : "+r"(length));
        ++length;
    }
    return length;
}

}  // extern "C"

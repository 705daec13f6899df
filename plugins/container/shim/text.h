// Text<N>: a sentence or a path put together in a fixed buffer. What does not fit is cut; a cut
// path is noticed by `cut`. Used by the programs that have no C library.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string_view>

namespace noded::shim {

template <size_t N>
class Text {
public:
    Text() = default;
    template <typename... Parts>
    explicit Text(Parts... parts) {
        (add(parts), ...);
    }

    Text& add(std::string_view part) {
        for (char c : part) put(c);
        return *this;
    }
    Text& add(const char* part) { return add(std::string_view(part)); }
    Text& add(uint64_t number) {
        char digits[20];
        size_t count = 0;
        do {
            digits[count++] = static_cast<char>('0' + number % 10);
            number /= 10;
        } while (number != 0);
        while (count > 0) put(digits[--count]);
        return *this;
    }
    Text& add(uint32_t number) { return add(uint64_t{number}); }

    void clear() { size_ = 0, data_[0] = 0, cut_ = false; }
    bool cut() const { return cut_; }
    bool empty() const { return size_ == 0; }
    const char* c_str() const { return data_; }
    std::string_view view() const { return {data_, size_}; }

private:
    void put(char c) {
        if (size_ + 1 >= N) {
            cut_ = true;
            return;
        }
        data_[size_++] = c;
        data_[size_] = 0;
    }

    size_t size_ = 0;
    bool cut_ = false;
    char data_[N] = {};
};

}  // namespace noded::shim

// AlignedBuffer: memory that O_DIRECT accepts, block-aligned and a whole number of blocks. Pages
// are touched only when used.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>

#include "agent/base/check.h"
#include "agent/log/format.h"

namespace noded::log {

class AlignedBuffer {
public:
    explicit AlignedBuffer(size_t bytes)
        : size_(round_up(bytes, kBlock)),
          data_(static_cast<uint8_t*>(aligned_alloc(kBlock, round_up(bytes, kBlock)))) {
        CHECK_MSG(data_ != nullptr, "out of memory for a log buffer");
    }

    uint8_t* data() { return data_.get(); }
    const uint8_t* data() const { return data_.get(); }
    size_t size() const { return size_; }
    std::span<uint8_t> span(size_t offset, size_t bytes) {
        CHECK(offset <= size_ && bytes <= size_ - offset);
        return {data_.get() + offset, bytes};
    }

private:
    struct Free {
        void operator()(uint8_t* memory) const { free(memory); }
    };
    size_t size_;
    std::unique_ptr<uint8_t, Free> data_;
};

}  // namespace noded::log

// TestLog writes the log of a container as a shim does (LOG.md), for tests of those who read it.
#pragma once

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/fd.h"
#include "plugins/container/shim/log_frames.h"

namespace noded {

template <typename T>
std::string raw(const T& value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Writes a log as a shim does: `write` is one read of the container's output.
class TestLog {
public:
    /// In a new folder, which goes with it.
    explicit TestLog(uint64_t segment_bytes = 1 << 20) : segment_bytes_(segment_bytes) {
        std::string name = "/tmp/log_test.XXXXXX";
        folder_ = mkdtemp(name.data());
    }
    /// In this folder, which is made.
    explicit TestLog(std::string folder, uint64_t segment_bytes = 1 << 20)
        : folder_(std::move(folder)), segment_bytes_(segment_bytes) {
        std::filesystem::create_directories(folder_);
    }
    ~TestLog() { std::filesystem::remove_all(folder_); }
    TestLog(const TestLog&) = delete;
    TestLog& operator=(const TestLog&) = delete;

    void write(uint64_t time_ns, LogStream stream, std::string_view text) {
        do {
            const uint64_t at = end_ % log_block_bytes;
            if (at == 0 || log_room(at) == 0) begin_block(time_ns);
            const size_t size = std::min<size_t>(text.size(), log_room(end_ % log_block_bytes));
            const std::string_view piece = text.substr(0, size);
            const bool partial = stream != LogStream::lost && piece.back() != '\n';
            const LogHeader header{time_ns, static_cast<uint32_t>(size), stream,
                                   static_cast<uint8_t>(partial ? log_partial : 0), 0};
            append(raw(header) + std::string(piece));
            tally_.add({header, piece});
            text.remove_prefix(size);
        } while (!text.empty());
    }
    void lose(uint64_t time_ns, uint64_t count) { write(time_ns, LogStream::lost, raw(count)); }
    void rotate() { end_ = base_ = next_block(), rotated_ = true; }

    std::vector<std::filesystem::path> segments() const {
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::directory_iterator(folder_))
            found.push_back(entry.path());
        std::ranges::sort(found);
        return found;
    }
    void remove_oldest() { std::filesystem::remove(segments().at(0)); }
    void damage(uint64_t at, const std::string& bytes) {
        std::fstream file(segments().at(0), std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(at));
        file << bytes;
    }
    void cut(uint64_t bytes) {
        const std::filesystem::path newest = segments().back();
        std::filesystem::resize_file(newest, std::filesystem::file_size(newest) - bytes);
    }
    Fd open() const { return Fd(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); }

private:
    uint64_t next_block() const {
        return (end_ + log_block_bytes - 1) / log_block_bytes * log_block_bytes;
    }
    void begin_block(uint64_t time_ns) {
        append(std::string(next_block() - end_, '\0'));
        if (rotated_ || end_ == 0 || end_ - base_ >= segment_bytes_) base_ = end_;
        rotated_ = false;
        append(raw(log_sealed({log_block_magic, tally_.open, end_, time_ns, tally_.lines,
                               tally_.bytes, tally_.lost})));
    }
    void append(const std::string& bytes) {
        if (end_ == base_) {
            char name[log_segment_name_bytes + 1];
            log_segment_name(base_, name);
            file_ = std::ofstream(folder_ + "/" + name);
        }
        file_ << bytes << std::flush;
        end_ += bytes.size();
    }

    std::string folder_;
    std::ofstream file_;  ///< the newest segment
    uint64_t segment_bytes_;
    uint64_t base_ = 0;
    uint64_t end_ = 0;
    bool rotated_ = false;
    LogTally tally_{};
};

}  // namespace noded

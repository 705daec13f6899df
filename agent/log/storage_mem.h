// MemStorage: a directory in memory that behaves like a disk and fails like one. For tests and the
// simulator.
//
// Writes under way are lost or torn at sectors by `crash`; completions are told from `run`, never
// from inside a call. Blocking writes are durable at once, and so are names, but for those of
// released files: a power failure may bring these back until the folder is synced, by `sync_names`
// or with the next name in it that is durable. One thread.
#pragma once

#include <deque>
#include <functional>
#include <map>

#include "agent/log/storage.h"

namespace noded::log {

class MemStorage final : public Storage {
public:
    MemStorage();
    ~MemStorage() override;

    Result<std::vector<std::string>> list() override;
    Result<std::vector<FileSize>> sizes() override;
    void limit(const Space& space) override { space_ = space; }
    Result<std::unique_ptr<File>> open(const std::string& name) override;
    Result<std::unique_ptr<File>> create_zeroed(const std::string& name, uint64_t bytes) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& name) override;
    Status release(const std::string& name, const std::string& keep_as) override;
    Status sync_names() override;
    bool prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                        WriteDone& done) override;
    bool aside(std::function<Status(Storage&)> work, WriteDone& done) override;

    /// Completes the oldest operation under way that is not held; false if there is none.
    bool run_one();
    /// Completes all of them and what they start; returns how many.
    size_t run();
    size_t under_way() const { return pending_.size(); }

    /// Who used this storage ends: of the writes under way only the sectors stay for which
    /// `kept(number)` is true, counted from 0 over all of them in the order of issue. Nobody is
    /// told; whoever used this storage must be gone before the next `run`.
    void crash(const std::function<bool(size_t sector)>& kept);

    /// And the power fails: released files whose names are not synced, for which `back(name)` is
    /// true, stand there again under their names, with their content; the others are gone for good.
    void lose_names(const std::function<bool(const std::string& name)>& back);
    /// There are names that this would take back.
    bool has_names_to_lose() const { return !released_.empty(); }

    /// Told before each change that is durable at once (names, blocking writes, new files): where a
    /// simulator lets the power fail, by an exception of its own.
    void before_change(std::function<void()> told) { before_change_ = std::move(told); }

    /// What of a blocking write is on the disk when `before_change` throws from it: those of its
    /// sectors for which `kept(number)` is true. Without this none is.
    void tear_blocking_writes(std::function<bool(size_t sector)> kept) { torn_ = std::move(kept); }

    /// The next blocking write to a file whose name begins like this lands so many bytes behind its
    /// place, and says that all is well, once.
    void misdirect_next_write_to(std::string beginning, uint64_t by) {
        misdirect_to_ = std::move(beginning);
        misdirect_to_by_ = by;
    }

    /// The next write_durable lands so many bytes behind its place (as far as the file goes), and
    /// its completion says that all is well, once.
    void misdirect_next_write(uint64_t by) { misdirect_by_ = by; }

    /// The next write_durable fails with this errno, once.
    void fail_next_write(int error_number) { next_write_error_ = error_number; }
    /// Of the disk; making or growing a file beyond that is ENOSPC.
    void set_capacity(uint64_t bytes) { capacity_ = bytes; }
    uint64_t bytes_used() const { return used(false) + used(true); }
    /// No lane is free for prepare_zeroed, so that segments are made in line.
    void refuse_preparations(bool refuse) { refuse_preparations_ = refuse; }

    /// Preparations and work aside stay under way, however long it takes.
    void hold_preparations(bool hold) { hold_preparations_ = hold; }

    /// The bytes of a file, to be looked at and damaged. The file must exist.
    Buffer& bytes(const std::string& name);
    bool exists(const std::string& name) const { return files_.contains(name); }
    /// What it was told to do wrong, and how often it did.
    struct Met {
        uint64_t failed_writes = 0;
        uint64_t misdirected_writes = 0;   ///< by misdirect_next_write
        std::map<std::string, uint64_t> misdirected_to;   ///< by misdirect_next_write_to
        uint64_t no_space = 0;         ///< ENOSPC was the answer
        uint64_t names_back = 0;
    };
    const Met& met() const { return met_; }
    void put(const std::string& name, Buffer content);

private:
    class MemFile;
    struct Pending {
        std::shared_ptr<Buffer> content;  ///< of a write, else null
        uint64_t offset = 0;
        Bytes data;
        std::string name;  ///< of a preparation
        uint64_t bytes = 0;
        std::string reuse;
        std::function<Status(Storage&)> work;   ///< that runs aside
        int error_number = 0;
        uint64_t misdirected_by = 0;
        WriteDone* done = nullptr;
    };

    /// Its name is gone, but not yet on the disk.
    struct Released {
        std::string name;
        std::string kept_as;
        std::shared_ptr<Buffer> content;
    };

    uint64_t used(bool archive) const;
    int lack_of_space(bool archive, uint64_t bytes, uint64_t reserve);
    void change() const {
        if (before_change_) before_change_();
    }
    void tear(Buffer& content, uint64_t offset, Bytes data) const;
    void synced_names_with(const std::string& name);
    Status make(const std::string& name, uint64_t bytes);
    Status finish(Pending& operation);

    std::map<std::string, std::shared_ptr<Buffer>> files_;
    std::deque<Pending> pending_;
    uint64_t capacity_ = UINT64_MAX;
    Space space_;
    int next_write_error_ = 0;
    uint64_t misdirect_by_ = 0;
    std::string misdirect_to_;
    uint64_t misdirect_to_by_ = 0;
    std::vector<Released> released_;   ///< in the order in which they were
    Met met_;
    std::function<void()> before_change_;
    std::function<bool(size_t)> torn_;
    bool refuse_preparations_ = false;
    bool hold_preparations_ = false;
};

}  // namespace noded::log

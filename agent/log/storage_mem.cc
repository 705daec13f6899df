// See storage_mem.h. It also holds its callers to the alignment that O_DIRECT asks for.
#include "agent/log/storage_mem.h"

#include <algorithm>
#include <cerrno>

#include "agent/base/check.h"
#include "agent/log/format.h"

namespace noded::log {

class MemStorage::MemFile final : public File {
public:
    MemFile(MemStorage& storage, std::string name, std::shared_ptr<Buffer> content)
        : storage_(storage), name_(std::move(name)), content_(std::move(content)) {}

    uint64_t size() const override { return content_->size(); }

    void write_durable(uint64_t offset, Bytes data, WriteDone& done) override {
        check_aligned(offset, data);
        CHECK_MSG(offset + data.size() <= content_->size(), "a durable write never grows its file");
        Pending operation;
        operation.content = content_;
        operation.offset = offset;
        operation.data = data;
        operation.done = &done;
        operation.error_number = std::exchange(storage_.next_write_error_, 0);
        operation.misdirected_by = std::exchange(storage_.misdirect_by_, 0);
        storage_.pending_.push_back(std::move(operation));
    }

    Result<size_t> read_at(uint64_t offset, std::span<uint8_t> into) override {
        check_aligned(offset, into);
        if (offset >= content_->size()) return 0;
        const size_t size = std::min<uint64_t>(into.size(), content_->size() - offset);
        memcpy(into.data(), content_->data() + offset, size);
        return size;
    }

    Status write_now(uint64_t offset, Bytes data) override {
        check_aligned(offset, data);
        try {
            storage_.change();
        } catch (...) {
            storage_.tear(*content_, offset, data);
            throw;
        }
        if (storage_.misdirect_to_by_ != 0 && name_.starts_with(storage_.misdirect_to_)) {
            offset += std::exchange(storage_.misdirect_to_by_, 0);
            ++storage_.met_.misdirected_to[storage_.misdirect_to_];
        }
        const uint64_t end = offset + data.size();
        if (end > content_->size()) {
            const int lack =
                storage_.lack_of_space(is_in_archive(name_), end - content_->size(), 0);
            if (lack != 0) return fail_errno(lack, "write");
            content_->resize(end);
        }
        memcpy(content_->data() + offset, data.data(), data.size());
        return {};
    }

private:
    static void check_aligned(uint64_t offset, Bytes data) {
        CHECK(offset % kBlock == 0 && data.size() % kBlock == 0 && !data.empty());
        CHECK(reinterpret_cast<uintptr_t>(data.data()) % kBlock == 0);
    }

    MemStorage& storage_;
    const std::string name_;   ///< that it had when it was opened
    std::shared_ptr<Buffer> content_;
};

MemStorage::MemStorage() = default;
MemStorage::~MemStorage() = default;

uint64_t MemStorage::used(bool archive) const {
    uint64_t sum = 0;
    for (const auto& [name, content] : files_)
        if (is_in_archive(name) == archive) sum += content->size();
    return sum;
}

/// 0 if `bytes` more have room, beside `reserve` of the storage's own limit.
int MemStorage::lack_of_space(bool archive, uint64_t bytes, uint64_t reserve) {
    if (bytes > capacity_ || bytes_used() > capacity_ - bytes) {
        ++met_.no_space;
        return ENOSPC;
    }
    const uint64_t bytes_max = archive ? space_.archive_bytes_max : space_.bytes_max;
    if (bytes > 0 && bytes + reserve + used(archive) > bytes_max) return EDQUOT;
    return 0;
}

void MemStorage::tear(Buffer& content, uint64_t offset, Bytes data) const {
    if (!torn_) return;
    if (content.size() < offset + data.size()) content.resize(offset + data.size());
    for (size_t at = 0; at < data.size(); at += kSector)
        if (torn_(at / kSector)) memcpy(content.data() + offset + at, data.data() + at, kSector);
}

Result<std::vector<FileSize>> MemStorage::sizes() {
    std::vector<FileSize> sizes;
    for (const auto& [name, content] : files_) sizes.push_back({name, content->size()});
    return sizes;
}

Result<std::vector<std::string>> MemStorage::list() {
    std::vector<std::string> names;
    for (const auto& [name, content] : files_) names.push_back(name);
    return names;
}

Result<std::unique_ptr<File>> MemStorage::open(const std::string& name) {
    const auto found = files_.find(name);
    if (found == files_.end()) return fail_errno(ENOENT, "open " + name);
    return std::make_unique<MemFile>(*this, name, found->second);
}

Status MemStorage::make(const std::string& name, uint64_t bytes) {
    if (exists(name)) return fail_errno(EEXIST, "create " + name);
    const bool archive = is_in_archive(name);
    if (const int lack = lack_of_space(archive, bytes, archive ? 0 : space_.reserve); lack != 0)
        return fail_errno(lack, "create " + name);
    files_[name] = std::make_shared<Buffer>(bytes);
    synced_names_with(name);
    return {};
}

/// The folder of `name` is synced, and the one above it.
void MemStorage::synced_names_with(const std::string& name) {
    std::erase_if(released_, [&](const Released& released) {
        return !is_in_archive(released.name) || is_in_archive(name);
    });
}

Result<std::unique_ptr<File>> MemStorage::create_zeroed(const std::string& name, uint64_t bytes) {
    change();
    TRY_STATUS(make(name, bytes));
    return open(name);
}

Status MemStorage::rename(const std::string& from, const std::string& to) {
    change();
    const auto found = files_.find(from);
    if (found == files_.end()) return fail_errno(ENOENT, "rename " + from + " to " + to);
    auto content = std::move(found->second);
    files_.erase(found);
    files_[to] = std::move(content);
    synced_names_with(to);
    return {};
}

Status MemStorage::remove(const std::string& name) {
    change();
    if (files_.erase(name) == 0) return fail_errno(ENOENT, "remove " + name);
    synced_names_with(name);
    return {};
}

Status MemStorage::release(const std::string& name, const std::string& keep_as) {
    change();
    const auto found = files_.find(name);
    if (found == files_.end()) return fail_errno(ENOENT, "release " + name);
    released_.push_back({name, keep_as, std::move(found->second)});
    files_.erase(found);
    if (!keep_as.empty()) files_[keep_as] = released_.back().content;
    return {};
}

Status MemStorage::sync_names() {
    change();
    released_.clear();
    return {};
}

bool MemStorage::prepare_zeroed(const std::string& name, uint64_t bytes, const std::string& reuse,
                                WriteDone& done) {
    if (refuse_preparations_) return false;
    Pending operation;
    operation.name = name;
    operation.bytes = bytes;
    operation.reuse = reuse;
    operation.done = &done;
    pending_.push_back(std::move(operation));
    return true;
}

bool MemStorage::aside(std::function<Status(Storage&)> work, WriteDone& done) {
    if (refuse_preparations_) return false;
    Pending operation;
    operation.work = std::move(work);
    operation.done = &done;
    pending_.push_back(std::move(operation));
    return true;
}

Status MemStorage::finish(Pending& operation) {
    if (operation.work) return operation.work(*this);
    if (operation.content == nullptr) {
        // Nothing is written into what could still get its old name back.
        if (!operation.reuse.empty()) synced_names_with(operation.reuse);
        if (!operation.reuse.empty() && files_.erase(operation.reuse) == 0)
            return fail_errno(ENOENT, "reuse " + operation.reuse);
        return make(operation.name, operation.bytes);
    }
    if (operation.error_number != 0) {
        ++met_.failed_writes;
        return fail_errno(operation.error_number, "write");
    }
    if (operation.misdirected_by != 0) ++met_.misdirected_writes;
    uint64_t at = operation.offset + operation.misdirected_by;
    if (at + operation.data.size() > operation.content->size()) at = 0;
    memcpy(operation.content->data() + at, operation.data.data(), operation.data.size());
    return {};
}

bool MemStorage::run_one() {
    const auto next = std::ranges::find_if(pending_, [this](const Pending& operation) {
        return operation.content != nullptr || !hold_preparations_;
    });
    if (next == pending_.end()) return false;
    Pending operation = std::move(*next);
    pending_.erase(next);
    const Status status = finish(operation);
    operation.done->written(status);
    return true;
}

size_t MemStorage::run() {
    size_t count = 0;
    while (run_one()) ++count;
    return count;
}

void MemStorage::crash(const std::function<bool(size_t sector)>& kept) {
    size_t sector = 0;
    for (const Pending& operation : pending_) {
        if (operation.content == nullptr) continue;
        for (size_t at = 0; at < operation.data.size(); at += kSector, ++sector) {
            if (!kept(sector)) continue;
            memcpy(operation.content->data() + operation.offset + at, operation.data.data() + at,
                   kSector);
        }
    }
    pending_.clear();
}

void MemStorage::lose_names(const std::function<bool(const std::string& name)>& back) {
    // The last one first, as if they had never been.
    for (auto released = released_.rbegin(); released != released_.rend(); ++released) {
        if (!back(released->name)) continue;
        const auto kept = files_.find(released->kept_as);
        if (kept != files_.end() && kept->second == released->content) files_.erase(kept);
        files_[released->name] = released->content;
        ++met_.names_back;
    }
    released_.clear();
}

Buffer& MemStorage::bytes(const std::string& name) {
    const auto found = files_.find(name);
    CHECK(found != files_.end());
    return *found->second;
}

void MemStorage::put(const std::string& name, Buffer content) {
    files_[name] = std::make_shared<Buffer>(std::move(content));
}

}  // namespace noded::log

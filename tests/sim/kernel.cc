// Shims, processes and folders of a simulated machine, see kernel.h.
#include "tests/sim/kernel.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "agent/base/check.h"
#include "plugins/container/shim/launch_decode.h"

namespace noded::sim {

using container::FakeShim;
using container::ShimPacket;

namespace {

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool is_id(const std::string& text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// A large one travels in a memfd.
Buffer spec_in(const ShimPacket& packet) {
    if ((packet.header.flags & control_spec_in_memfd) == 0)
        return Buffer(packet.payload.begin(), packet.payload.end());
    struct stat info = {};
    CHECK(!packet.fds.empty() && fstat(packet.fds[0].get(), &info) == 0);
    Buffer bytes(static_cast<size_t>(info.st_size));
    CHECK(pread(packet.fds[0].get(), bytes.data(), bytes.size(), 0) == info.st_size);
    return bytes;
}

}  // namespace

std::string Kernel::Shim::run() const { return id + "/" + last_part(folder); }

Kernel::Shim* Kernel::find(uint64_t number) {
    const auto found = std::ranges::find_if(
        shims_, [&](const auto& shim) { return shim->number == number && shim->alive; });
    return found == shims_.end() ? nullptr : found->get();
}

Kernel::Shim* Kernel::by_folder(const std::string& folder) {
    const auto found = std::ranges::find_if(
        shims_, [&](const auto& shim) { return shim->alive && shim->folder == folder; });
    return found == shims_.end() ? nullptr : found->get();
}

/// By a path of a cgroup, or of a file in it: whose process still lives in there.
Kernel::Shim* Kernel::by_container(const std::string& path) {
    const auto found = std::ranges::find_if(shims_, [&](const auto& shim) {
        return shim->child != 0 && path.find(shim->id) != std::string::npos;
    });
    return found == shims_.end() ? nullptr : found->get();
}

uint32_t Kernel::new_pid() {
    if (!old_pids_.empty() && happens("pid_reuse", faults_.pid_reuse))
        return old_pids_[world_.random.below(old_pids_.size())];
    return ++last_pid_;
}

void Kernel::check_effect(const std::string& intent, const std::string& what) const {
    if (!history_.has(intent)) world_.fail(what + " before " + intent + " was durable");
}

// ------------------------------------------------------------------------------------- the Sys

Result<SpawnedShim> Kernel::spawn_shim(const std::string& program, const SpareGroups& groups) {
    if (happens("spawn_failure", faults_.spawn_failure))
        return fail_errno(EAGAIN, "spawn the shim");
    auto spawned = TRY(FakeSys::spawn_shim(program, groups));
    auto shim = std::make_unique<Shim>();
    shim->number = ++numbers_;
    shim->pid = newest().pid();
    shim->ends.push_back(&newest());
    tell("shim " + std::to_string(shim->number) + " is spawned");
    shims_.push_back(std::move(shim));
    return spawned;
}

Result<Fd> Kernel::connect_shim(const std::string& folder) {
    Shim* shim = by_folder(folder);
    if (shim == nullptr) return fail_errno(ECONNREFUSED, "connect to the shim of " + folder);
    listening.insert(folder);
    auto socket = TRY(FakeSys::connect_shim(folder));
    connected_pid_ = shim->pid;
    shim->ends.push_back(&newest());
    return socket;
}

Result<bool> Kernel::make_folder(const std::string& path, uint32_t mode) {
    const std::string id = last_part(parent_of(path));
    if (is_id(id) && path.find("/runtime/") != std::string::npos)
        check_effect("start/" + id + "/" + last_part(path), "a start of " + id);
    return FakeSys::make_folder(path, mode);
}

Status Kernel::remove_folder(const std::string& path) {
    const bool busy =
        folders.contains(path) && (by_container(path) != nullptr || mount_is_busy());
    if (busy) return fail_errno(EBUSY, "remove the folder " + path);
    if (happens("folder_left", faults_.folder_left)) return {};
    return FakeSys::remove_folder(path);
}

Result<std::string> Kernel::read_file(const std::string& path) {
    if (path.ends_with("/cgroup.procs")) {
        const Shim* shim = by_container(path);
        return shim != nullptr ? std::to_string(shim->child) + "\n" : std::string();
    }
    if (path.starts_with("/proc/") && path.ends_with("/stat")) {
        const auto pid = uint32_t(strtoul(path.c_str() + 6, nullptr, 10));
        const auto found =
            std::ranges::find_if(shims_, [&](const auto& shim) { return shim->child == pid; });
        if (pid != 0 && found != shims_.end())
            return std::to_string(pid) + " (sh) S 1 1 1 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 " +
                   std::to_string((*found)->child_started) + " 1 1";
        return fail_errno(ENOENT, "open " + path);
    }
    return FakeSys::read_file(path);
}

Status Kernel::write_file(const std::string& path, std::string_view text) {
    if (path.ends_with("/cgroup.freeze")) {
        const std::string id = last_part(parent_of(path));
        check_effect((text == "1" ? "freeze/" : "thaw/") + id, "a freeze of " + id);
        tell(id + (text == "1" ? " is frozen" : " is thawed"));
        if (Shim* shim = by_container(path)) shim->frozen = text == "1";
    }
    if (!path.ends_with("/cgroup.kill")) return FakeSys::write_file(path, text);
    if (Shim* shim = by_container(path)) end_container(*shim, 137);
    return {};
}

Status Kernel::kill_process(uint32_t pid, int signal) {
    for (const auto& shim : shims_) {
        if (shim->alive && shim->pid == pid && signal == 9) return die(*shim), Status();
        if (shim->child != 0 && shim->child == pid)
            return end_container(*shim, 128 + signal), Status();
    }
    return fail_errno(ESRCH, "kill " + std::to_string(pid));
}

// ------------------------------------------------------------------------------------- shims

bool Kernel::step() {
    bool happened = false;
    for (size_t i = 0; i < shims_.size(); ++i) {
        Shim& shim = *shims_[i];
        if (!shim.alive) continue;
        for (size_t end = 0; end < shim.ends.size() && shim.alive;) {
            FakeShim& at = *shim.ends[end];
            if (auto packet = at.take()) {
                take(shim, at, std::move(*packet));
                happened = true;
            } else if (at.hung_up()) {
                at.die();
                shim.ends.erase(shim.ends.begin() + long(end));
                happened = true;
            } else {
                ++end;
            }
        }
        // Nobody can launch anything through it any more.
        if (shim.alive && shim.ends.empty() && shim.state == ShimState::waiting) die(shim);
    }
    std::erase_if(shims_, [](const auto& shim) { return !shim->alive && shim->child == 0; });
    return happened;
}

void Kernel::take(Shim& shim, FakeShim& end, ShimPacket packet) {
    switch (packet.header.type) {
        case ControlType::launch: return launch(shim, packet);
        case ControlType::signal: {
            SignalRequest request{};
            const size_t size = std::min(sizeof request, packet.payload.size());
            memcpy(&request, packet.payload.data(), size);
            end.say_result(packet.header.tag, 0);
            // Half of the containers do not care for anything but SIGKILL.
            const bool obeys =
                request.signal == 9 || (shim.child % 2 == 0 && !shim.frozen);
            if (shim.child != 0 && obeys) end_container(shim, int32_t(128 + request.signal));
            return;
        }
        case ControlType::exec: return execute(shim, end, packet);
        case ControlType::status:
            return end.say_status(packet.header.tag, shim.state, shim.child, shim.code, shim.execs);
        case ControlType::release:
            if (shim.child != 0) return end.say_result(packet.header.tag, EBUSY, "it still runs");
            files.erase(shim.folder + "/" + exit_record_name);
            return die(shim);
        default: return end.say_result(packet.header.tag, 0);
    }
}

void Kernel::launch(Shim& shim, const ShimPacket& packet) {
    const auto spec = std::make_unique<launch::Launch>();
    const Buffer bytes = spec_in(packet);
    const char* wrong = launch::decode(bytes.data(), bytes.size(), spec.get());
    if (wrong != nullptr) return world_.fail(std::string("a launch cannot be read: ") + wrong);
    shim.id = spec->id;
    shim.folder = spec->runtime;
    shim.state = ShimState::starting;
    tell("shim " + std::to_string(shim.number) + " launches " + shim.run());
    check_effect("start/" + shim.run(), "a launch of " + shim.id);
    for (const auto& other : shims_)
        if (other.get() != &shim && other->id == shim.id && (other->alive || other->child != 0))
            world_.fail("two shims of container " + shim.id);
    if (!has_rootfs(shim) && !without_rootfs.contains(shim.id) &&
        history_.is_open("start/" + shim.run()))
        world_.fail("container " + shim.id + " is launched without its rootfs");
    const bool slow = happens("slow_start", faults_.slow_start);
    const int64_t delay = slow ? world_.random.between(1, 90) * 1'000'000'000
                               : world_.random.between(100'000, 3'000'000);
    world_.after(delay, [this, number = shim.number] {
        if (Shim* at = find(number); at != nullptr && at->state == ShimState::starting) start(*at);
    });
}

void Kernel::start(Shim& shim) {
    if (!has_rootfs(shim) || happens("start_failure", faults_.start_failure)) {
        shim.state = ShimState::start_failed;
        shim.code = 127;
        tell("start of " + shim.run() + " fails");
        put_exit_record(shim.folder, shim.id, shim.state, shim.code, "no such program");
        for (FakeShim* end : shim.ends) end->say_start_failed(shim.code, "no such program");
        return;
    }
    shim.state = ShimState::running;
    shim.child = new_pid();
    shim.child_started = uint64_t(world_.now_ns / 1000) + 1;
    tell(shim.run() + " runs as pid " + std::to_string(shim.child));
    for (FakeShim* end : shim.ends) end->say_started(shim.child);
    const double kind = double(world_.random.below(1000)) / 1000;
    const int64_t life = kind < 0.6 ? world_.random.between(1'000, 20'000'000)
                                    : world_.random.between(20'000'000, 40'000'000'000);
    if (kind > 0.9) return;   // a service: it runs until it is stopped
    live_on(shim.number, life);
}

void Kernel::live_on(uint64_t number, int64_t for_ns) {
    world_.after(for_ns, [this, number] {
        Shim* at = find(number);
        if (at == nullptr || at->child == 0) return;
        if (at->frozen) return live_on(number, 1'000'000'000);
        if (happens("shim_killed", faults_.shim_killed)) return die(*at);
        const bool oom = happens("oom_kill", faults_.oom_kill);
        end_container(*at, oom ? 137 : int32_t(world_.random.below(3)));
    });
}

void Kernel::end_container(Shim& shim, int32_t code) {
    CHECK(shim.child != 0);
    old_pids_.push_back(shim.child);
    tell(shim.run() + " ends with " + std::to_string(code) + (shim.alive ? "" : ", an orphan"));
    shim.child = 0;
    if (!shim.alive) return;   // an orphan: nobody sees its end
    shim.state = ShimState::exited;
    shim.code = code;
    put_exit_record(shim.folder, shim.id, shim.state, code);
    for (FakeShim* end : shim.ends) end->say_exited(code);
}

void Kernel::execute(Shim& shim, FakeShim& end, const ShimPacket& packet) {
    const auto spec = std::make_unique<launch::Launch>();
    const Buffer bytes = spec_in(packet);
    if (launch::decode(bytes.data(), bytes.size(), spec.get()) != nullptr) return;
    const std::string exec_id = spec->id;
    if (!history_.has("exec/" + exec_id)) world_.fail("an exec before it was durable");
    if (shim.child == 0)
        return end.say_exec(ControlType::exec_failed, exec_id, 126, "the container is gone");
    ExecReply reply{};
    strncpy(reply.exec.text, exec_id.c_str(), sizeof reply.exec.text - 1);
    reply.state = ShimState::running;
    shim.execs.push_back(reply);
    end.say_exec(ControlType::exec_started, exec_id, 0);
    world_.after(world_.random.between(10'000, 50'000'000), [this, number = shim.number, exec_id] {
        Shim* at = find(number);
        if (at == nullptr) return;
        for (ExecReply& exec : at->execs)
            if (exec_id == exec.exec.text) exec.state = ShimState::exited;
        for (FakeShim* to : at->ends) to->say_exec(ControlType::exec_exited, exec_id, 0);
    });
}

/// A container whose shim dies lives on until somebody kills it.
void Kernel::die(Shim& shim) {
    tell("shim " + std::to_string(shim.number) + " of " + shim.id + " dies");
    shim.alive = false;
    for (FakeShim* end : shim.ends) end->die();
    shim.ends.clear();
}

/// What tells noded that it is on a machine that was started anew.
void Kernel::boot() {
    files["/proc/sys/kernel/random/boot_id"] = "boot-" + std::to_string(++boots_) + "\n";
    files["/sys/devices/system/cpu/online"] = "0-3\n";
}

void Kernel::power_failure() {
    tell("the power fails");
    boot();
    for (const auto& shim : shims_) {
        shim->child = 0;
        die(*shim);
    }
    shims_.clear();
    std::erase_if(files, [](const auto& file) {
        return file.first.find("/runtime/") != std::string::npos;
    });
    std::erase_if(folders, [](const std::string& path) {
        return path.find("/runtime/") != std::string::npos ||
               path.find("/noded/") != std::string::npos;
    });
    // Folders that nobody synced may go with it.
    for (auto at = disk.rootfs.begin(); at != disk.rootfs.end();)
        at = world_.random.chance(0.2) ? disk.rootfs.erase(at) : std::next(at);
}

bool Kernel::is_running(const std::string& run) const {
    return std::ranges::any_of(shims_, [&](const auto& shim) {
        return shim->alive && shim->child != 0 && shim->run() == run;
    });
}

std::vector<std::string> Kernel::running() const {
    std::vector<std::string> found;
    for (const auto& shim : shims_)
        if (shim->child != 0) found.push_back(shim->run());
    return found;
}

/// What is there belongs to a container that the log knows, and to a run that is not over.
void Kernel::check_at_rest() const {
    for (const auto& shim : shims_)
        if (shim->state != ShimState::waiting && !history_.is_open("run/" + shim->run()))
            world_.fail("a shim of " + shim->run() + " is left, whose run is over");
    for (const auto& shim : shims_) {
        if (shim->child == 0 || !history_.pause_is_known(shim->run())) continue;
        if (shim->frozen != history_.is_paused(shim->run()))
            world_.fail("container " + shim->run() + (shim->frozen ? " is" : " is not") +
                        " frozen, the log says otherwise");
    }
    for (const std::string& path : folders) {
        const std::string id = last_part(path);
        if (is_id(id) && !history_.is_open("create/" + id))
            world_.fail("the folder " + path + " belongs to no container");
    }
    for (const auto& [id, layers] : disk.rootfs)
        if (!history_.is_open("create/" + id) && !left_until_start.contains(id))
            world_.fail("the rootfs of " + id + " belongs to no container");
}

// ------------------------------------------------------------------------------------- storage

namespace {

class StorageSys final : public storage::Sys {
public:
    explicit StorageSys(Kernel& kernel)
        : kernel_(kernel), fake_(storage::make_fake_sys(kernel.disk)) {}

    Status open() override {
        kernel_.left_until_start.clear();
        return fake_->open();
    }
    Result<std::vector<image::ImportedImage>> import(storage::ImportJob& job) override {
        if (kernel_.storage_fails()) return fail_errno(EIO, "write a layer");
        return fake_->import(job);
    }
    Result<image::ImportedImage> commit(const storage::CommitJob& job) override {
        if (kernel_.storage_fails()) return fail_errno(EIO, "write a layer");
        return fake_->commit(job);
    }
    Result<std::vector<std::string>> save(storage::SaveJob& job) override {
        return fake_->save(job);
    }
    Result<size_t> sweep(const storage::Keep& keep) override { return fake_->sweep(keep); }
    Result<image::RootfsDirs> prepare_rootfs(
        const std::string& container, const std::vector<std::string>& layers) override {
        kernel_.check_effect("rootfs/" + container, "a rootfs of " + container);
        kernel_.without_rootfs.erase(container);
        if (kernel_.storage_fails()) {
            kernel_.without_rootfs.insert(container);
            return fail_errno(EIO, "create the rootfs of " + container);
        }
        return fake_->prepare_rootfs(container, layers);
    }
    size_t spares() override { return fake_->spares(); }
    void make_spares() override { fake_->make_spares(); }
    Status detach_rootfs(const std::string& container) override {
        if (kernel_.disk.rootfs.contains(container))
            kernel_.check_effect("remove/" + container, "the end of the rootfs of " + container);
        if (kernel_.storage_fails() || kernel_.mount_is_busy()) {
            kernel_.left_until_start.insert(container);
            return fail_errno(EBUSY, "remove the rootfs of " + container);
        }
        return fake_->detach_rootfs(container);
    }
    void delete_detached() override { fake_->delete_detached(); }
    Result<std::vector<std::string>> rootfs_ids() override { return fake_->rootfs_ids(); }

private:
    Kernel& kernel_;
    std::shared_ptr<storage::Sys> fake_;
};

}  // namespace

std::shared_ptr<storage::Sys> make_storage_sys(Kernel& kernel) {
    return std::make_shared<StorageSys>(kernel);
}

}  // namespace noded::sim

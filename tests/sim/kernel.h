// Kernel: the machine below one simulated node: folders, cgroups, shims and their containers. It
// survives the death of noded; a power failure leaves only what is on disk.
//
// Shims are played after PROTOCOL.md at the other ends of the plugin's sockets. Each change that a
// plugin makes is an effect, and is checked against the history: its intent must be durable.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "plugins/container/sys_fake.h"
#include "plugins/storage/sys_fake.h"
#include "tests/sim/history.h"
#include "tests/sim/world.h"

namespace noded::sim {

/// Probabilities, each of its own occasion.
struct KernelFaults {
    double start_failure = 0;
    double slow_start = 0;
    double oom_kill = 0;       ///< of a container, instead of its own end
    double shim_killed = 0;    ///< the shim dies without a record
    double pid_reuse = 0;
    double mount_busy = 0;     ///< a removal of a folder is EBUSY
    double spawn_failure = 0;
    double folder_left = 0;    ///< a canary: a removal of a folder says that it was made
    double storage_error = 0;  ///< what storage does to its disk is EIO
    double plugin_error = 0;   ///< of the stranger (stranger.h), at each of its occasions
};

class Kernel final : public container::FakeSys {
public:
    Kernel(World& world, History& history, const KernelFaults& faults)
        : world_(world), history_(history), faults_(faults) {
        boot();
    }

    storage::FakeDisk disk;
    /// Containers whose rootfs could not be removed: the next start of noded does it.
    std::set<std::string> left_until_start;
    /// Those whose rootfs could not be made, perhaps after a power failure took the one they had.
    std::set<std::string> without_rootfs;

    /// Takes what was sent to the shims and lets them act; true if something happened.
    bool step();
    /// Everything that is not on disk is gone.
    void power_failure();
    bool plugin_errs() { return happens("plugin_error", faults_.plugin_error); }
    bool mount_is_busy() { return happens("mount_busy", faults_.mount_busy); }
    bool storage_fails() { return happens("storage_error", faults_.storage_error); }
    bool is_running(const std::string& id_and_run) const;
    std::vector<std::string> running() const;   ///< "ID/RUN"
    void check_at_rest() const;
    /// The effect of storage is checked here too.
    void check_effect(const std::string& intent, const std::string& what) const;

    Result<SpawnedShim> spawn_shim(const std::string& program, const SpareGroups& groups) override;
    Result<Fd> connect_shim(const std::string& folder) override;
    uint32_t peer_pid(int) override { return connected_pid_; }
    Result<bool> make_folder(const std::string& path, uint32_t mode) override;
    Status remove_folder(const std::string& path) override;
    Result<std::string> read_file(const std::string& path) override;
    Status write_file(const std::string& path, std::string_view text) override;
    Status kill_process(uint32_t pid, int signal) override;

private:
    struct Shim {
        uint64_t number = 0;
        uint32_t pid = 0;
        bool alive = true;
        std::vector<container::FakeShim*> ends;
        std::string id;
        std::string folder;
        ShimState state = ShimState::waiting;
        uint32_t child = 0;         ///< pid of the container while it lives
        uint64_t child_started = 0;
        bool frozen = false;        ///< its child does nothing and dies of SIGKILL alone
        int32_t code = 0;
        std::vector<ExecReply> execs;
        std::string run() const;
    };
    void take(Shim& shim, container::FakeShim& end, container::ShimPacket packet);
    void launch(Shim& shim, const container::ShimPacket& packet);
    void execute(Shim& shim, container::FakeShim& end, const container::ShimPacket& packet);
    void boot();
    void live_on(uint64_t shim, int64_t for_ns);
    void start(Shim& shim);
    void end_container(Shim& shim, int32_t code);
    void die(Shim& shim);
    Shim* find(uint64_t number);
    Shim* by_folder(const std::string& folder);
    Shim* by_container(const std::string& path);
    bool has_rootfs(const Shim& shim) const { return disk.rootfs.contains(shim.id); }
    bool happens(const char* fault, double probability) {
        return world_.occurs(fault, probability);
    }
    uint32_t new_pid();
    void tell(const std::string& what) const { world_.tell(history_.node() + "'s kernel", what); }

    World& world_;
    History& history_;
    const KernelFaults& faults_;
    std::vector<std::unique_ptr<Shim>> shims_;
    std::vector<uint32_t> old_pids_;
    uint32_t last_pid_ = 5000;
    uint32_t connected_pid_ = 0;
    uint64_t numbers_ = 0;
    uint32_t boots_ = 0;
};

/// Makes storage's Sys over the kernel's disk, with its effects checked.
std::shared_ptr<storage::Sys> make_storage_sys(Kernel& kernel);

}  // namespace noded::sim

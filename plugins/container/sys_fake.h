// FakeSys: files and cgroups in memory, and shims that a test plays itself at the other end of real
// sockets. It outlives the plugin's restarts, as a kernel does.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plugins/container/shim/control.h"
#include "plugins/container/sys.h"

namespace noded::container {

/// A packet that the plugin sent.
struct ShimPacket {
    ControlHeader header{};
    Buffer payload;
    std::vector<Fd> fds;
};

/// One end of the conversation, played by the test.
class FakeShim {
public:
    FakeShim(Fd end, Fd alive, uint32_t pid)
        : end_(std::move(end)), alive_(std::move(alive)), pid_(pid) {}

    uint32_t pid() const { return pid_; }
    /// The next packet; nothing if there is none, or the plugin hung up.
    std::optional<ShimPacket> take();
    bool hung_up() const;
    void send(ControlType type, uint64_t tag, Bytes payload);

    void say_started(uint32_t pid);
    void say_start_failed(int32_t code, std::string_view sentence);
    void say_exited(int32_t code);
    void say_exec(ControlType type, std::string_view exec_id, int32_t code,
                  std::string_view sentence = {});
    void say_status(uint64_t tag, ShimState state, uint32_t pid, int32_t code,
                    const std::vector<ExecReply>& execs = {});
    void say_result(uint64_t tag, int32_t error, std::string_view sentence = {});
    /// Its process ends.
    void die();

    uint32_t version = control_version;   ///< that it tells

private:
    Fd end_;
    Fd alive_;  ///< the other end of what the plugin takes for a pidfd
    uint32_t pid_;
};

/// A helper with a job on files, played by the test.
struct FakeFiles {
    std::string job;
    Fd stream;
    Fd outcome;  ///< closed: it has ended
    uint32_t pid = 0;
};

class FakeSys : public Sys {
public:
    std::vector<FakeFiles> files_helpers;  ///< in the order in which they were spawned
    /// in the order in which they were spawned or connected to
    std::vector<std::unique_ptr<FakeShim>> shims;
    std::set<std::string> listening;  ///< run folders in which a shim still listens
    std::map<std::string, std::string> files;
    std::set<std::string> folders;
    std::map<std::string, DeviceNumber> devices;
    std::vector<std::pair<uint32_t, int>> killed;
    std::string spawn_error;     ///< not empty: no shim can be spawned
    uint32_t busy_removals = 0;  ///< so many removals of folders fail with EBUSY
    bool freezes = true;  ///< processes of a group that is to be frozen stop at once

    FakeSys();

    FakeShim& newest() { return *shims.back(); }
    /// Of a container in a phase, what its run left in memory: cgroups, folders, files.
    std::vector<std::string> traces_of(const std::string& id) const;
    void put_exit_record(const std::string& folder, const std::string& id, ShimState state,
                         int32_t code, std::string_view sentence = {});

    Result<SpawnedShim> spawn_shim(const std::string& program, const SpareGroups& groups) override;
    Result<SpawnedFiles> spawn_files(const std::string& program, const std::string& job,
                                     Fd stream) override;
    void reap(int) override { ++reaped; }
    void await_end(int, int64_t) override {}
    std::string stamp(const std::string&) override { return resolv_conf_stamp; }
    std::string resolv_conf_stamp;
    Result<Fd> connect_shim(const std::string& folder) override;
    uint32_t peer_pid(int) override { return 4321; }
    Result<bool> make_folder(const std::string& path, uint32_t mode) override;
    Status remove_tree(const std::string& path) override;
    Status move(const std::string& from, const std::string& to) override;
    Status remove_folder(const std::string& path) override;
    bool exists(const std::string& path) override {
        return folders.contains(path) || files.contains(path);
    }
    std::vector<std::string> folders_in(const std::string& path) override;
    Result<std::string> read_file(const std::string& path) override;
    Status write_file(const std::string& path, std::string_view text) override;
    Result<std::string> mount_line(const std::string&) override {
        return std::string("21 1 0:1 / / rw - ext4 d rw");
    }
    Status make_file(const std::string&) override { return {}; }
    Status make_link(const std::string&, const std::string&) override { return {}; }
    Status attach_device_program(const std::string&, const std::vector<DeviceRule>&) override {
        return {};
    }
    Result<Fd> open_read(const std::string& path) override;
    Result<Fd> make_memfd(Bytes content) override;
    Result<DeviceNumber> device_number(const std::string& path) override;
    std::vector<std::string> host_devices() override;
    Status kill_process(uint32_t pid, int signal) override;

    uint32_t reaped = 0;
};

}  // namespace noded::container

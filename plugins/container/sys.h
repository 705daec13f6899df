// Sys: the plugin's kernel seam. Folders, processes, cgroups and sockets go through here;
// sys_linux.cc is the kernel, sys_fake.cc keeps files in memory and lets a test play the shim at
// the other end of a socket pair.
//
// Every function may be called on any thread: removals run on the offload lane.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/bytes.h"
#include "agent/base/fd.h"
#include "agent/base/result.h"
#include "plugins/container/device_program.h"
#include "plugins/container/shim/shim_client.h"

namespace noded::container {

/// A device node of the host as cgroups name it.
struct DeviceNumber {
    char type = 'c';  ///< or 'b'
    uint32_t major = 0;
    uint32_t minor = 0;
};

/// A process with a job on files, see files/job.h.
struct SpawnedFiles {
    uint32_t pid = 0;
    Fd pidfd;
    Fd outcome;  ///< non-blocking; at its end the outcome is whole, or the process is gone
};

class Sys {
public:
    virtual ~Sys() = default;

    virtual Result<SpawnedShim> spawn_shim(const std::string& program,
                                           const SpareGroups& groups) = 0;
    /// `job` is an encoded files::Job, `stream` an invalid descriptor for a job without one.
    virtual Result<SpawnedFiles> spawn_files(const std::string& program, const std::string& job,
                                             Fd stream) = 0;
    virtual void reap(int pidfd) = 0;
    /// Blocks until the process has ended, so long at most. At the very end of noded only.
    virtual void await_end(int pidfd, int64_t nanoseconds) = 0;
    /// Another text when a file is another or was changed; empty when there is none.
    virtual std::string stamp(const std::string& path) = 0;
    /// To the shim that listens in a run's folder.
    virtual Result<Fd> connect_shim(const std::string& folder) = 0;
    /// Of the process that listens at the other end; 0 if it is not known.
    virtual uint32_t peer_pid(int socket) = 0;

    /// Of the folder of a log: clients who are not root read it, too, once noded handed it over.
    static constexpr uint32_t log_folder_mode = 0755;

    /// True if it was not there before. A mode that is not the default one is set in any case.
    virtual Result<bool> make_folder(const std::string& path, uint32_t mode = 0700) = 0;
    /// What is not there is removed already.
    virtual Status remove_tree(const std::string& path) = 0;
    virtual Status move(const std::string& from, const std::string& to) = 0;
    /// One empty folder or cgroup; what is not there is removed already.
    virtual Status remove_folder(const std::string& path) = 0;
    virtual bool exists(const std::string& path) = 0;
    /// Names of the folders in a folder; none if it cannot be read.
    virtual std::vector<std::string> folders_in(const std::string& path) = 0;

    virtual Result<std::string> read_file(const std::string& path) = 0;
    /// Into an existing file, with one write: control files of cgroups.
    virtual Status write_file(const std::string& path, std::string_view text) = 0;
    virtual Status attach_device_program(const std::string& folder,
                                         const std::vector<DeviceRule>& rules) = 0;
    /// An empty one, mode 0644; one that is there stays as it is.
    virtual Status make_file(const std::string& path) = 0;
    /// A symbolic link; whatever is there stays as it is.
    virtual Status make_link(const std::string& path, const std::string& target) = 0;
    virtual Result<Fd> open_read(const std::string& path) = 0;
    /// An anonymous file with this content.
    virtual Result<Fd> make_memfd(Bytes content) = 0;
    /// The line of /proc/self/mountinfo about the mount that holds what is at a path, links
    /// followed; where nothing is, what will be made there.
    virtual Result<std::string> mount_line(const std::string& path) = 0;
    virtual Result<DeviceNumber> device_number(const std::string& path) = 0;
    /// Paths of the device nodes in /dev, but for terminals and those that every container has.
    virtual std::vector<std::string> host_devices() = 0;
    virtual Status kill_process(uint32_t pid, int signal) = 0;
};

/// Field 22 of /proc/PID/stat (proc(5)): with the pid it names a process for ever. 0 if there is no
/// such process.
uint64_t process_start_time(Sys& sys, uint32_t pid);

}  // namespace noded::container

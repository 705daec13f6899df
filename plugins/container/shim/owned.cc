// The user namespace of a container, and the namespaces that it owns, as the shim makes them before
// the child begins; what the child does with them is in userns.cc. Called by spawn().
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>

#include "plugins/container/shim/shim.h"
#include "plugins/container/shim/userns.h"

namespace noded::shim {
namespace {

using Path = Text<launch::path_bytes_max + 32>;

constexpr const char* owned_names[] = {"net", "ipc", "uts"};
constexpr unsigned owned_flags[] = {CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS};

void write_map(Text<1024>& out, const launch::Launch& container, bool group) {
    for (uint32_t i = 0; i < container.id_map_count; ++i) {
        const launch::IdMap& map = container.id_maps[i];
        if ((map.group != 0) == group)
            out.add(map.container).add(" ").add(map.host).add(" ").add(map.count).add("\n");
    }
}

long write_once(const char* path, std::string_view text) {
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
    const long result = fd < 0 ? fd : sys(SYS_write, fd, text.data(), text.size());
    close_fd(fd);
    return result;
}

/// A process that holds new namespaces until it is killed.
[[noreturn]] void holding_child(void*) {
    sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
    for (;;) sys(SYS_pause);
}

}  // namespace

/// The namespaces that a container's rights are over, made by a process that nobody needs once they
/// are open. False with a sentence.
bool Shim::make_user_namespace(Start& start, Sentence* error) {
    const launch::Launch& spec = *start.container;
    clone_args arguments = {};
    arguments.flags = CLONE_VM | CLONE_NEWUSER;
    for (unsigned flag : owned_flags) arguments.flags |= spec.namespaces & flag;
    arguments.exit_signal = SIGCHLD;
    reap_zygote();
    arguments.stack = reinterpret_cast<uint64_t>(stacks_[processes_max]);
    arguments.stack_size = child_stack_bytes;
    const long pid = clone_sharing_memory(arguments, holding_child, nullptr);
    const char* what = "make";
    long result = pid;
    const Text<32> process("/proc/", static_cast<uint64_t>(pid < 0 ? 0 : pid));
    for (bool group : {false, true}) {
        Text<1024> map;
        write_map(map, spec, group);
        if (result >= 0) {
            what = "set the ids of";
            result = write_once(Path(process.view(), group ? "/gid_map" : "/uid_map").c_str(),
                                map.view());
        }
    }
    const auto open_one = [&](const char* name, int* fd) {
        if (result < 0) return;
        what = "open";
        result = *fd = static_cast<int>(sys(SYS_openat, AT_FDCWD,
                                            Path(process.view(), "/ns/", name).c_str(),
                                            O_RDONLY | O_CLOEXEC));
    };
    open_one("user", &start.user_fd);
    for (size_t i = 0; i < 3; ++i)
        if ((spec.namespaces & owned_flags[i]) != 0) open_one(owned_names[i], &start.owned[i]);
    if (pid > 0) {
        sys(SYS_kill, pid, SIGKILL);
        sys(SYS_wait4, pid, nullptr, 0, nullptr);
    }
    if (result >= 0) return true;
    error->clear();
    error->add(what).add(" a user namespace: ").add(error_name(result));
    if (result == -ENOSPC) error->add(" (see /proc/sys/user/max_user_namespaces)");
    drop_user_namespace(start);
    return false;
}

/// The child has its own copies by now, and goes on reading the numbers.
void Shim::drop_user_namespace(const Start& start) {
    if (start.user_fd >= 0) sys(SYS_close, start.user_fd);
    for (int fd : start.owned)
        if (fd >= 0) sys(SYS_close, fd);
}

}  // namespace noded::shim

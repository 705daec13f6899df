// The last part of a child's way: terminal and standard streams, user, rights, and the exec itself.
// Order: everything that needs the shim's rights first; the command is looked up with the user's
// rights; a seccomp filter without no_new_privs needs CAP_SYS_ADMIN, so it is loaded one step
// before the capabilities go, otherwise it is the last thing.
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

#include "plugins/container/shim/child.h"
#include "plugins/container/shim/userns.h"
#include "plugins/container/shim/users.h"

namespace noded::shim {
namespace {

constexpr char default_path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

using Path = Text<launch::path_bytes_max + 1>;

/// A running container may have put anything at that path: no link is followed, and what is opened
/// is looked at again. A negative errno if it is not that character device.
int open_device(const char* path, int flags, unsigned major, unsigned minor) {
    open_how how = {.flags = static_cast<uint64_t>(O_RDWR | O_NOCTTY | O_CLOEXEC | flags),
                    .mode = 0,
                    .resolve = RESOLVE_NO_SYMLINKS};
    int fd = open_path(AT_FDCWD, path, how);
    struct stat info;
    long result = fd < 0 ? fd : sys(SYS_fstat, fd, &info);
    if (result == 0 && (!S_ISCHR(info.st_mode) || info.st_rdev != (major << 8 | minor)))
        result = -ENODEV;
    if (result < 0) close_fd(fd);
    return result < 0 ? static_cast<int>(result) : fd;
}

/// A terminal of the container's own devpts.
int open_terminal(Start& start) {
    int master = open_device("/dev/pts/ptmx", O_NONBLOCK, 5, 2);
    const int unlocked = 0;
    long result = master;
    if (result >= 0) result = sys(SYS_ioctl, master, TIOCSPTLCK, &unlocked);
    if (result == 0) result = sys(SYS_ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (result < 0) give_up(start, 125, "open a terminal at", "/dev/pts/ptmx", result);
    const launch::Window& window = start.process->window;
    const winsize size = {window.rows, window.columns, 0, 0};
    if (window.rows != 0 || window.columns != 0) sys(SYS_ioctl, master, TIOCSWINSZ, &size);
    uint32_t number = 0;
    if (!start.is_exec && sys(SYS_ioctl, master, TIOCGPTN, &number) == 0) {
        int console = open_target(start, "/dev/console", false);
        const long bound = sys(SYS_mount, Text<32>("/dev/pts/", number).c_str(), "/dev/console",
                               nullptr, MS_BIND, nullptr);
        if (bound < 0) give_up(start, 125, "mount the terminal on", "/dev/console", bound);
        close_fd(console);
    }
    if (start.exact != nullptr) {
        start.exact->send_terminal(start, master);
    } else if (const long sent = send_descriptor(start.report_fd, master); sent < 0) {
        give_up(start, 125, "hand over", "the terminal", sent);
    }
    close_fd(master);
    const int terminal = static_cast<int>(result);
    result = sys(SYS_ioctl, terminal, TIOCSCTTY, 0);
    if (result < 0) give_up(start, 125, "take", "the terminal", result);
    return terminal;
}

/// A device that noci was started with, a terminal or /dev/null, is somebody else's.
bool is_foreign(const Start& start, int fd) {
    if (start.exact == nullptr || start.process->has(launch::flag_tty)) return false;
    struct stat info;
    return sys(SYS_fstat, fd, &info) < 0 || S_ISCHR(info.st_mode);
}

void set_stdio(Start& start, const User& user) {
    int stdio[3] = {start.stdio[0], start.stdio[1], start.stdio[2]};
    if (start.process->has(launch::flag_tty)) stdio[0] = stdio[1] = stdio[2] = open_terminal(start);
    int nothing = -1;
    for (int i = 0; i < 3; ++i) {
        // Owned by the user, or /dev/stdout could not be opened again by a user that is not root.
        if (stdio[i] >= 0 && user.uid != 0 && !is_foreign(start, stdio[i]))
            sys(SYS_fchown, stdio[i], user.uid, -1);
        // The container's own: a user who owns the host's could change its mode.
        if (stdio[i] < 0 && nothing < 0) {
            nothing = open_device("/dev/null", 0, 1, 3);
            if (nothing < 0) give_up(start, 125, "open", "/dev/null", nothing);
        }
        const int from = stdio[i] >= 0 ? stdio[i] : nothing;
        const long result = from < 0 || from == i ? from : sys(SYS_dup3, from, i, 0);
        if (result < 0) give_up(start, 125, "open", "the standard streams", result);
    }
    if (start.exact != nullptr) start.exact->close_rest(start);
    else keep_only(&start.report_fd, 1);
}

const char* find_variable(const launch::Launch& process, std::string_view name) {
    for (uint32_t i = 0; i < process.environment.count; ++i) {
        const std::string_view variable = process.environment.items[i];
        if (variable.size() > name.size() && variable[name.size()] == '=' &&
            variable.starts_with(name))
            return variable.data() + name.size() + 1;
    }
    return nullptr;
}

void add_variable(launch::Launch& process, std::string_view name, const char* variable) {
    if (find_variable(process, name) == nullptr)
        process.environment.items[process.environment.count++] = variable;
}

/// Those that a process may have at most. Of an exec with --privileged all that the shim has.
uint64_t capabilities_of(const Start& start) {
    return start.process->has(launch::flag_privileged) ? ~uint64_t{0}
                                                       : start.container->capabilities;
}

/// Loads the group list and ids but keeps the permitted capabilities: seccomp may still need one of
/// them.
void set_user(Start& start, const User& user) {
    for (int capability = 0; capability < 64; ++capability) {
        if ((capabilities_of(start) >> capability & 1) != 0) continue;
        // past the last one
        if (sys(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0) == -EINVAL) break;
    }
    const bool keeps_groups = start.exact != nullptr && start.exact->keeps_groups;
    long result = keeps_groups ? 0 : sys(SYS_setgroups, user.group_count, user.groups);
    // In a user namespace that somebody without rights made nobody leaves a group.
    if (result == -EPERM && start.exact != nullptr && user.group_count == 0) result = 0;
    if (result == 0) result = sys(SYS_setresgid, user.gid, user.gid, user.gid);
    if (user.uid != 0) sys(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
    if (result == 0) result = sys(SYS_setresuid, user.uid, user.uid, user.uid);
    if (user.uid != 0) sys(SYS_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
    if (result < 0) give_up(start, 125, "become user", Text<16>(user.uid).view(), result);
}

void set_capabilities(Start& start, uint64_t effective, uint64_t permitted,
                      uint64_t inheritable = 0) {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    for (int i = 0; i < 2; ++i) {
        data[i].effective = static_cast<uint32_t>(effective >> (32 * i));
        data[i].permitted = static_cast<uint32_t>(permitted >> (32 * i));
        data[i].inheritable = static_cast<uint32_t>(inheritable >> (32 * i));
    }
    const long result = sys(SYS_capset, &header, data);
    if (result < 0) give_up(start, 125, "set", "the capabilities", result);
}

uint64_t permitted_capabilities() {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2] = {};
    sys(SYS_capget, &header, data);
    return uint64_t{data[1].permitted} << 32 | data[0].permitted;
}

void load_seccomp(Start& start) {
    const launch::Launch& container = *start.container;
    if (container.seccomp_count == 0) return;
    const sock_fprog program = {static_cast<unsigned short>(container.seccomp_count),
                                static_cast<sock_filter*>(const_cast<void*>(container.seccomp))};
    const long result = start.exact != nullptr
                            ? start.exact->load_filter(start, &program)
                            : sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    if (result < 0) give_up(start, 125, "load", "the seccomp filter", result);
}

/// 0, or why the file cannot be executed. `overrides`: by who has CAP_DAC_OVERRIDE from then on.
long executable(const char* path, bool overrides) {
    struct stat info;
    const long result = sys(SYS_newfstatat, AT_FDCWD, path, &info, 0);
    if (result < 0) return result;
    if (S_ISDIR(info.st_mode)) return -EISDIR;
    if (overrides && (info.st_mode & 0111) != 0) return 0;
    return sys(SYS_faccessat, AT_FDCWD, path, 1 /* X_OK */) < 0 ? -EACCES : 0;
}

/// Docker's words: its clients derive the exit code from them.
[[noreturn]] void give_up_exec(Start& start, std::string_view command, long error) {
    if (error == -EACCES || error == -EPERM)
        give_up(start, 126, Sentence("exec: \"", command, "\": permission denied").view());
    if (error == -EISDIR)
        give_up(start, 126, Sentence("exec: \"", command, "\": is a directory").view());
    if (error == -ENOEXEC)
        give_up(start, 126, Sentence("exec ", command, ": exec format error").view());
    if (error == -ENOENT || error == -ENOTDIR)
        give_up(start, 127, Sentence("exec ", command, ": no such file or directory").view());
    give_up(start, 126, "exec", command, error);
}

/// Looks the command up as docker does: by PATH of the container's environment unless it has a
/// slash.
void find_command(Start& start, Path* out) {
    const std::string_view command = start.process->arguments.items[0];
    const bool overrides =
        start.exact != nullptr && (start.exact->effective >> CAP_DAC_OVERRIDE & 1) != 0;
    if (command.find('/') != std::string_view::npos) {
        out->add(command);
        const long error = executable(out->c_str(), overrides);
        if (error == -ENOENT || error == -ENOTDIR)
            give_up(
                start, 127,
                Sentence("exec: \"", command, "\": stat ", command, ": no such file or directory")
                    .view());
        if (error < 0) give_up_exec(start, command, error);
        return;
    }
    const char* folders = find_variable(*start.process, "PATH");
    std::string_view rest(folders != nullptr ? folders : "");
    while (!rest.empty() && !command.empty()) {
        const size_t colon = rest.find(':');
        const std::string_view folder(rest.data(),
                                      colon == std::string_view::npos ? rest.size() : colon);
        rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
        out->clear();
        out->add(folder.empty() ? std::string_view(".") : folder).add("/").add(command);
        if (!out->cut() && executable(out->c_str(), overrides) == 0) return;
    }
    give_up(start, 127,
            Sentence("exec: \"", command, "\": executable file not found in $PATH").view());
}

void enter_folder(Start& start) {
    const char* cwd = start.process->cwd;
    int folder = open_in_container(cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const long result = folder < 0 ? folder : sys(SYS_fchdir, folder);
    close_fd(folder);
    if (result < 0 && start.exact != nullptr)
        give_up(start, 125,
                Sentence("chdir to cwd (\"", cwd, "\") set in config.json failed: ",
                         error_words(result))
                    .view());
    if (result < 0)
        give_up(start,
                result == -ENOENT   ? 127
                : result == -EACCES ? 126
                                    : 125,
                "change to the working directory", cwd, result);
}

/// What docker's rules add to the environment of a container.
void add_usual_variables(const Start& start, const char* hostname) {
    launch::Launch& process = *start.process;
    add_variable(process, "PATH", default_path);
    if (start.container->hostname != nullptr) add_variable(process, "HOSTNAME", hostname);
    if (process.has(launch::flag_tty)) add_variable(process, "TERM", "TERM=xterm");
}

/// The sets that the process begins with; `rights` is what this child has to give.
void set_final_capabilities(Start& start, const User& user, uint64_t rights) {
    const Exact* exact = start.exact;
    const uint64_t wanted = capabilities_of(start) & rights;
    // The kernel clears a plain user's effective set at exec; clear it now, so that the exec is
    // checked as that user's.
    if (exact == nullptr) {
        const uint64_t given = user.uid == 0 ? wanted : 0;
        return set_capabilities(start, given, given);
    }
    const uint64_t permitted = exact->permitted & rights;
    set_capabilities(start, exact->effective & permitted, permitted, exact->inheritable & rights);
    for (int capability = 0; capability < 64; ++capability)
        if ((exact->ambient & permitted & exact->inheritable) >> capability & 1)
            sys(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
}

/// "nofile", by the kernel's number.
std::string_view name_of_rlimit(uint32_t resource) {
    static constexpr std::string_view names[] = {
        "cpu",     "fsize", "data",  "stack",      "core",     "rss",  "nproc",  "nofile",
        "memlock", "as",    "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"};
    return resource < sizeof names / sizeof *names ? names[resource] : "unknown";
}

}  // namespace

void set_rlimits(Start& start) {
    for (uint32_t i = 0; i < start.container->rlimit_count; ++i) {
        const launch::Rlimit& wanted = start.container->rlimits[i];
        uint64_t limit[2] = {wanted.soft, wanted.hard};
        long result = sys(SYS_prlimit64, 0, wanted.resource, limit, nullptr);
        uint64_t now[2] = {};
        if (result == -EPERM) sys(SYS_prlimit64, 0, wanted.resource, nullptr, now);
        if (result == -EPERM && start.exact == nullptr) {
            Text<256> sentence("set the limit ", name_of_rlimit(wanted.resource), " to ");
            if (wanted.hard == ~0ul) sentence.add("unlimited");
            else sentence.add(wanted.hard);
            sentence.add(": EPERM: noded has ").add(now[1]).add(" and may not raise it so far");
            give_up(start, 125, sentence.view());
        }
        if (result == -EPERM) {
            // Engines ask for what they were built with. Without CAP_SYS_RESOURCE a hard limit
            // cannot be raised: come as near as the machine allows.
            for (uint64_t& value : limit) value = value < now[1] ? value : now[1];
            result = sys(SYS_prlimit64, 0, wanted.resource, limit, nullptr);
            start.warnings.add("resource limit ")
                .add(wanted.resource)
                .add(" could not be raised: EPERM\n");
        }
        if (result < 0)
            give_up(start, 125, "set resource limit", Text<16>(wanted.resource).view(), result);
    }
}

void become_process(Start& start) {
    launch::Launch& process = *start.process;
    const Exact* exact = start.exact;
    User user;
    resolve_user(start, &user);
    const Text<520> home("HOME=", user.home.view());
    const Text<96> hostname("HOSTNAME=",
                            start.container->hostname != nullptr ? start.container->hostname : "");
    if (exact == nullptr) add_usual_variables(start, hostname.c_str());
    add_variable(process, "HOME", home.c_str());

    set_stdio(start, user);
    // In a user namespace there is no right to raise one: it was done before.
    if (!is_mapped(start.container)) set_rlimits(start);
    enter_folder(start);
    sys(SYS_umask, exact == nullptr ? 022 : exact->umask);
    // not the host's keys; absent on some kernels
    if (exact == nullptr || !exact->keeps_keyring)
        sys(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr);
    const uint64_t rights = permitted_capabilities();
    set_user(start, user);
    Path path;
    find_command(start, &path);
    if (exact != nullptr) exact->ready(start);

    const bool early_filter = !start.container->has(launch::flag_no_new_privs);
    if (user.uid != 0) set_capabilities(start, rights, rights);
    if (early_filter) load_seccomp(start);
    set_final_capabilities(start, user, rights);
    if (!early_filter) {
        const long result = sys(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (result < 0) give_up(start, 125, "set", "no_new_privs", result);
        load_seccomp(start);
    }
    // setresuid and capset have cleared it
    if (exact == nullptr) sys(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (exact != nullptr) exact->last(start);
    start.executing = true;
    const long result =
        sys(SYS_execve, path.c_str(), process.arguments.items, process.environment.items);
    give_up_exec(start, path.view(), result);
}

}  // namespace noded::shim

// The shim's beginning and its loop. Spawned by noded with one end of a SOCK_SEQPACKET pair as
// descriptor 3, and a mount namespace with nothing in it as 4, before noded even knows which
// container this shim will be for; lives until noded has acknowledged the container's end
// (PROTOCOL.md).
#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "plugins/container/shim/shim.h"

namespace noded::shim {
namespace {

constexpr int control_fd = 3, no_mounts_fd = 4;
constexpr int own_oom_score = -998;

/// A container's command may be a script whose interpreter is /proc/self/exe, which is this file
/// until its exec succeeds. On a read-only mount (ShimSpawner makes one) nobody can come back later
/// and write to it; otherwise there is no container.
bool protected_from_writing() {
    struct statfs info;
    return sys(SYS_statfs, "/proc/self/exe", &info) == 0 && (info.f_flags & ST_RDONLY) != 0;
}

/// A noded that could not make the namespace gives none.
int given_namespace() {
    const bool is_one = sys(SYS_ioctl, no_mounts_fd, NS_GET_NSTYPE) == CLONE_NEWNS;
    return is_one ? no_mounts_fd : -1;
}

/// A shim belongs to no terminal and no service's output, holds nothing of noded's, and ignores
/// noded's dispositions of signals.
void detach_from_parent(int no_mounts) {
    sys(SYS_prctl, PR_SET_NAME, "noded-shim");
    // Children share this memory until their exec; a container's processes must not trace them
    // there.
    sys(SYS_prctl, PR_SET_DUMPABLE, 0);
    sys(SYS_setsid);
    sys(SYS_umask, 077);
    sys(SYS_close_range, (no_mounts >= 0 ? no_mounts : control_fd) + 1, ~0u, 0);
    sys(SYS_fcntl, control_fd, F_SETFD, FD_CLOEXEC);
    if (no_mounts >= 0) sys(SYS_fcntl, no_mounts, F_SETFD, FD_CLOEXEC);
    const long nothing = sys(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3 && nothing >= 0; ++fd) sys(SYS_dup3, nothing, fd, O_CLOEXEC);
    if (nothing > 2) sys(SYS_close, nothing);
    struct {
        void* handler;
        unsigned long flags;
        void* restorer;
        uint64_t mask;
    } by_default = {};
    for (int signal = 1; signal <= 64; ++signal)
        sys(SYS_rt_sigaction, signal, &by_default, nullptr, sizeof by_default.mask);
    const uint64_t all = ~uint64_t{0};
    sys(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof all);
}

}  // namespace

/// The arguments are the groups of v1 that the spare waits in: folder and shown name of each.
int shim_main(int argc, const char* const* argv) {
    static Shim shim;
    if (sys(SYS_fcntl, control_fd, F_GETFD) < 0 || !protected_from_writing()) return 1;
    const int no_mounts = given_namespace();
    detach_from_parent(no_mounts);
    return shim.run(no_mounts, argv + 1, argc > 0 ? static_cast<size_t>(argc - 1) / 2 : 0);
}

void Shim::watch(int fd, Source source, size_t index, size_t part, uint32_t events) {
    epoll_event event = {};
    event.events = events;
    event.data.u64 = static_cast<uint64_t>(source) << 32 | index << 8 | part;
    if (sys(SYS_epoll_ctl, epoll_fd_, EPOLL_CTL_ADD, fd, &event) == -EEXIST)
        sys(SYS_epoll_ctl, epoll_fd_, EPOLL_CTL_MOD, fd, &event);
}

void Shim::unwatch(int fd) {
    epoll_event unused = {};
    sys(SYS_epoll_ctl, epoll_fd_, EPOLL_CTL_DEL, fd, &unused);
}

void Shim::prepare() {
    const uint64_t signals = 1ull << (SIGTERM - 1) | 1ull << (SIGINT - 1) | 1ull << (SIGCHLD - 1);
    epoll_fd_ = static_cast<int>(sys(SYS_epoll_create1, EPOLL_CLOEXEC));
    signal_fd_ = static_cast<int>(
        sys(SYS_signalfd4, -1, &signals, sizeof signals, SFD_CLOEXEC | SFD_NONBLOCK));
    own_oom_fd_ =
        static_cast<int>(sys(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
    lower_oom_score();
    char text[16] = {};
    const long size = sys(SYS_pread64, own_oom_fd_, text, sizeof text - 1, 0);
    for (long i = text[0] == '-'; i < size && text[i] >= '0'; ++i)
        own_oom_score_ = own_oom_score_ * 10 + (text[i] - '0');
    if (text[0] == '-') own_oom_score_ = -own_oom_score_;
    watch(signal_fd_, Source::signals, 0, 0, EPOLLIN);
    container().used = true;
    container().state = ShimState::waiting;
    add_connection(control_fd);
    make_spare();
}

/// Without CAP_SYS_RESOURCE the score stays what noded's was; that is no reason to refuse a
/// container.
void Shim::lower_oom_score() {
    const Text<16> text("-", static_cast<uint32_t>(-own_oom_score));
    sys(SYS_pwrite64, own_oom_fd_, text.c_str(), text.view().size(), 0);
}

int Shim::run(int no_mounts, const char* const* groups, size_t group_count) {
    spare_.no_mounts = no_mounts;
    spare_.own = -1;
    spare_.group_count = group_count <= launch::cgroups_max ? group_count : 0;
    spare_.groups = groups;
    prepare();
    while (!released_ || serves_clients()) {
        epoll_event events[16];
        const long count = sys(SYS_epoll_wait, epoll_fd_, events, 16, -1);
        if (count < 0 && count != -EINTR) return 1;
        for (long i = 0; i < count; ++i) dispatch(events[i].data.u64, events[i].events);
        tidy_execs();
    }
    return 0;
}

bool Shim::serves_clients() const {
    for (const Client& client : clients_)
        if (client.used && !client.hung_up) return true;
    return false;
}

/// A slot may have been closed or reused by an earlier event of the same batch; every handler looks
/// before it acts, and no descriptor blocks.
void Shim::dispatch(uint64_t code, uint32_t events) {
    const size_t index = code >> 8 & 0xffffff;
    const size_t part = code & 0xff;
    switch (static_cast<Source>(code >> 32)) {
        case Source::signals: return on_signals();
        case Source::listener: return on_listener();
        case Source::connection: return on_connection(index);
        case Source::report: return on_report(index);
        case Source::output: return on_output(index, part);
        case Source::input: return on_input_writable(index);
        case Source::client: return on_client(index, events);
    }
}

void Shim::on_signals() {
    signalfd_siginfo info;
    bool children = false;
    while (sys(SYS_read, signal_fd_, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) children = true;
        else forward_stop();
    }
    if (children) reap();
}

/// A host that shuts down sends SIGTERM to everything: the container hears its own stop signal, and
/// the shim stays to record how it ended. A shim without a container just goes.
void Shim::forward_stop() {
    if (container().state == ShimState::running)
        sys(SYS_kill, container().pid, container().launch->stop_signal);
    else if (container().state == ShimState::waiting || released_) exit_group(0);
}

}  // namespace noded::shim

// Where noci's init begins: reads its plan, and the steps of both stages in order. See init.h.
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>

#include "plugins/container/noci/init/hook.h"
#include "plugins/container/noci/init/init.h"

namespace noded::noci {

Init init;

using shim::sys;

void say(int fd, Say what, int number, std::string_view text, int passed_fd) {
    Packet packet = {what, number};
    iovec parts[2] = {{&packet, sizeof packet}, {const_cast<char*>(text.data()), text.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof passed_fd)] = {};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    if (passed_fd >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof passed_fd);
        memcpy(CMSG_DATA(rights), &passed_fd, sizeof passed_fd);
    }
    sys(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
}

bool hear(int fd, Packet* packet, int* passed_fd) {
    iovec part = {packet, sizeof *packet};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    long size;
    do {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        size = sys(SYS_recvmsg, fd, &message, MSG_CMSG_CLOEXEC);
    } while (size == -EINTR);
    const cmsghdr* rights = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
    if (rights != nullptr && rights->cmsg_type == SCM_RIGHTS)
        memcpy(passed_fd, CMSG_DATA(rights), sizeof *passed_fd);
    return size == sizeof *packet;
}

bool hear_go(int fd, int* passed_fd) {
    Packet packet = {};
    return hear(fd, &packet, passed_fd) && packet.say == Say::go;
}

void give_up(std::string_view sentence) { shim::give_up(init.start, 125, sentence); }

void give_up(std::string_view what, std::string_view on, long error) {
    shim::give_up(init.start, 125, what, on, error);
}

namespace {

void tell_failure(shim::Start& start) {
    say(init.report_fd, Say::failed, init.made ? 0 : 1, start.message.view());
}

/// With the name of the terminal as the text, as runc sends it.
void send_terminal(shim::Start&, int master) {
    uint32_t number = 0;
    sys(SYS_ioctl, master, 0x80045430ul /* TIOCGPTN */, &number);
    const shim::Text<32> name("/dev/pts/", number);
    iovec part = {const_cast<char*>(name.c_str()), name.view().size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof master)] = {};
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof master);
    memcpy(CMSG_DATA(rights), &master, sizeof master);
    const long sent = sys(SYS_sendmsg, init.plan->console_fd, &message, MSG_NOSIGNAL);
    if (sent < 0) give_up("send the terminal to", "the console socket", sent);
}

void close_rest(shim::Start&) {
    const unsigned first = 3 + init.plan->preserved;
    int kept[4] = {init.report_fd, init.plan->listen_fd, init.state_fd, -1};
    for (unsigned from = first;;) {
        unsigned next = ~0u;
        for (int fd : kept)
            if (fd >= 0 && static_cast<unsigned>(fd) >= from && static_cast<unsigned>(fd) < next)
                next = static_cast<unsigned>(fd);
        if (next > from) sys(SYS_close_range, from, next == ~0u ? next : next - 1, 0);
        if (next == ~0u) return;
        from = next + 1;
    }
}

void write_attribute(const char* folder, const char* prefix, TextAt value, const char* what) {
    const char* text = init.text(value);
    if (text == nullptr) return;
    const shim::Text<64> modern("/proc/self/attr/", folder, folder[0] != 0 ? "/" : "", "exec");
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, modern.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd == -ENOENT)
        fd = static_cast<int>(
            sys(SYS_openat, AT_FDCWD, "/proc/self/attr/exec", O_WRONLY | O_CLOEXEC));
    const shim::Text<1024> label(prefix, text);
    const long result = fd < 0 ? fd : sys(SYS_write, fd, label.c_str(), label.view().size());
    shim::close_fd(fd);
    if (result < 0) give_up(what, text, result);
}

[[noreturn]] void end_waiting(int) { shim::exit_group(125); }

/// The first process of a PID namespace hears nothing that it does not handle; while it waits for
/// its start it shall end like any other. The exec takes the handlers away.
void end_on_signals() {
    struct {
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)();
        uint64_t mask;
    } action = {end_waiting, 0x04000000 /* SA_RESTORER */, nullptr, 0};
    for (const int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM})
        sys(SYS_rt_sigaction, number, &action, nullptr, sizeof action.mask);
}

/// Until somebody who starts the container says go; one who is killed before may be followed by
/// another.
void await_start(int* state) {
    end_on_signals();
    for (;;) {
        long connection;
        do {
            connection = sys(SYS_accept4, init.plan->listen_fd, nullptr, nullptr, SOCK_CLOEXEC);
        } while (connection == -EINTR);
        if (connection < 0) shim::exit_group(125);
        init.report_fd = init.start.report_fd = static_cast<int>(connection);
        if (hear_go(init.report_fd, state)) break;
        sys(SYS_close, init.report_fd);
    }
    sys(SYS_close, init.plan->listen_fd);
}

void confine() {
    write_attribute("apparmor", "exec ", init.plan->apparmor, "apply the apparmor profile");
    write_attribute("", "", init.plan->selinux, "set the selinux label");
}

/// Between create and start. The last thing that can be done with the caller's file descriptors.
void wait_for_start() {
    const Plan& plan = *init.plan;
    say(init.report_fd, Say::ready, 0, init.start.warnings.view());
    int state = -1;
    // Nobody could start the container of a noci that was killed before it has noted everything.
    if (!hear_go(init.report_fd, &state)) shim::exit_group(125);
    if (plan.listen_fd >= 0) {
        sys(SYS_close, init.report_fd);
        await_start(&state);
    }
    if (state >= 0) {
        shim::close_fd(init.state_fd);
        init.state_fd = state;
    }
    if (plan.start_container_hooks.count == 0) shim::close_fd(init.state_fd);
    // Of a thread's own rights: under the filter another one does the waiting.
    if (plan.filtered_wait == FilteredWait::none) confine();
    say(init.report_fd, Say::executing, 0, "");
}

void be_ready(shim::Start&) {
    if (init.plan->filtered_wait == FilteredWait::none) wait_for_start();
    else confine();
}

/// They are as confined as the process itself.
void run_start_hooks(shim::Start&) {
    if (init.plan->start_container_hooks.count == 0) return;
    run_hooks(init.plan->start_container_hooks, "startContainer");
    shim::close_fd(init.state_fd);
}

// Who hands over the descriptor of seccomp notifications: not the process that is under the filter,
// because the filter may stop any system call of its own. A thread that came before the filter
// waits for the number in memory and the other one looks whether it was sent; the exec ends it. The
// same thread waits for the start where that comes after the filter, and the other one in the one
// system call that noci has found the filter to allow.
int listener_number;
int listener_sent;
int started;          ///< a futex
int started_pipe[2];  ///< for the other way to wait
alignas(16) char courier_stack[32 << 10];

[[noreturn]] void courier(void*) {
    const timespec moment = {0, 200'000};
    int fd;
    while ((fd = __atomic_load_n(&listener_number, __ATOMIC_ACQUIRE)) == 0)
        sys(SYS_nanosleep, &moment, nullptr);
    if (fd > 0) {
        int unused = -1;
        say(init.report_fd, Say::listener, 0, "", fd);
        hear_go(init.report_fd, &unused);
        // The agent's alone: when it ends nobody shall wait for its answers.
        sys(SYS_close, fd);
    }
    __atomic_store_n(&listener_sent, 1, __ATOMIC_RELEASE);
    if (fd > 0 && init.plan->filtered_wait != FilteredWait::none) {
        wait_for_start();
        __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
        sys(SYS_futex, &started, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
        const char word = 0;
        if (started_pipe[1] > 0) sys(SYS_write, started_pipe[1], &word, 1);
    }
    for (;;) sys(SYS_exit, 0);
}

/// Under the filter, until the courier has heard of the start.
void await_courier() {
    const bool reads = init.plan->filtered_wait == FilteredWait::read;
    char word;
    while (__atomic_load_n(&started, __ATOMIC_ACQUIRE) == 0) {
        if (reads) sys(SYS_read, started_pipe[0], &word, 1);
        else sys(SYS_futex, &started, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
}

long load_filter(shim::Start&, const void* program) {
    const unsigned flags = init.plan->seccomp_flags;
    if ((flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) == 0)
        return sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    if (init.plan->filtered_wait == FilteredWait::read) {
        const long piped = sys(SYS_pipe2, started_pipe, O_CLOEXEC);
        if (piped < 0) return piped;
    }
    clone_args arguments = {};
    arguments.flags = CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | CLONE_THREAD;
    arguments.stack = reinterpret_cast<uint64_t>(courier_stack);
    arguments.stack_size = sizeof courier_stack;
    const long thread = shim::clone_sharing_memory(arguments, courier, nullptr);
    if (thread < 0) return thread;
    const long fd = sys(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    __atomic_store_n(&listener_number, fd < 0 ? -1 : static_cast<int>(fd), __ATOMIC_RELEASE);
    while (__atomic_load_n(&listener_sent, __ATOMIC_ACQUIRE) == 0) asm volatile("pause");
    if (fd >= 0 && init.plan->filtered_wait != FilteredWait::none) await_courier();
    return fd < 0 ? fd : 0;
}

void fill_start() {
    const Plan& plan = *init.plan;
    init.exact = {.uid = plan.uid,
                  .gid = plan.gid,
                  .group_count = plan.groups.count,
                  .groups = init.list<uint32_t>(plan.groups).items,
                  .keeps_groups = plan.keeps_groups != 0,
                  .umask = plan.umask,
                  .keeps_keyring = true,   // joined earlier, under its name
                  .effective = plan.effective,
                  .permitted = plan.permitted,
                  .inheritable = plan.inheritable,
                  .ambient = plan.ambient,
                  .send_terminal = send_terminal,
                  .close_rest = close_rest,
                  .ready = be_ready,
                  .load_filter = load_filter,
                  .last = run_start_hooks};
    shim::Start& start = init.start;
    start.process = init.launch;
    start.container = init.launch;
    start.is_exec = plan.is_exec != 0;
    start.report_fd = plan.sync_fd;
    for (int i = 0; i < 3; ++i) start.stdio[i] = i;
    start.exact = &init.exact;
    start.tell = tell_failure;
    init.report_fd = plan.sync_fd;
    init.rootfs_fd = init.userns_fd = init.state_fd = init.mapper_fd = -1;
}

bool read_plan(int fd) {
    struct stat info;
    if (sys(SYS_fstat, fd, &info) < 0 || info.st_size < static_cast<long>(sizeof(Plan)))
        return false;
    const long mapped = sys(SYS_mmap, nullptr, info.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                            fd, 0);
    if (mapped < 0 && mapped > -4096) return false;
    init.block = reinterpret_cast<char*>(mapped);
    init.plan = reinterpret_cast<const Plan*>(init.block);
    const long room = sys(SYS_mmap, nullptr, sizeof(launch::Launch), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room < 0 && room > -4096) return false;
    // Zero already; only what is not zero by default has to be written.
    init.launch = reinterpret_cast<launch::Launch*>(room);
    init.launch->cwd = "/";
    init.launch->user = "";
    return true;
}

int number_of(const char* text) {
    int number = 0;
    for (; text != nullptr && *text >= '0' && *text <= '9'; ++text)
        number = number * 10 + (*text - '0');
    return number;
}

void join_keyring() {
    if (init.plan->keeps_keyring != 0) return;
    const long result = sys(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, init.text(init.plan->keyring));
    // Absent on some kernels; a full quota is no reason to have no container either.
    if (result < 0 && result != -ENOSYS)
        init.start.warnings.add("join a session keyring: ")
            .add(shim::error_name(result))
            .add("\n");
}

/// What of a process a namespace does not hold.
void set_scheduling() {
    const Plan& plan = *init.plan;
    if (plan.sets_personality != 0) {
        const long result = sys(SYS_personality, plan.personality);
        if (result < 0) give_up("set", "the personality", result);
    }
    if (plan.sets_memory_policy != 0) {
        const Items<uint64_t> nodes = init.list<uint64_t>(plan.memory_nodes);
        // The kernel takes one bit less than it is told of.
        const uint64_t bits = nodes.count != 0 ? nodes.count * 64 + 1 : 0;
        const long result = sys(SYS_set_mempolicy, plan.memory_mode,
                                nodes.count != 0 ? nodes.items : nullptr, bits);
        if (result < 0) give_up("set", "the memory policy", result);
    }
    if (plan.sets_io_priority != 0) {
        const long result = sys(SYS_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, plan.io_priority);
        if (result < 0) give_up("set", "the I/O priority", result);
    }
    if (plan.sets_scheduler != 0) {
        const long result = sys(SYS_sched_setattr, 0, &plan.scheduler, 0);
        if (result == -EPERM && plan.has_cpus != 0)
            give_up("process scheduler can't be used together with AllowedCPUs");
        if (result < 0) give_up("error setting scheduler:", "sched_setattr", result);
    }
}

[[noreturn]] void second_stage() {
    const Plan& plan = *init.plan;
    shim::Start& start = init.start;
    // A group of processes of its own: what is typed at noci's terminal is not for it.
    sys(SYS_setsid);
    if ((plan.new_namespaces & CLONE_NEWCGROUP) != 0) {
        const long result = sys(SYS_unshare, CLONE_NEWCGROUP);
        if (result < 0) give_up("make", "a cgroup namespace", result);
    }
    join_keyring();
    if (init.userns_fd >= 0 || (plan.exec_namespaces & CLONE_NEWUSER) != 0) {
        sys(SYS_setresgid, 0, 0, 0);
        sys(SYS_setresuid, 0, 0, 0);
    }
    set_scheduling();
    if (plan.is_exec == 0) {
        if ((plan.new_namespaces & CLONE_NEWNET) != 0) shim::raise_loopback(start);
        make_file_tree();
        shim::set_hostname(start);
        shim::set_domainname(start);
        shim::set_sysctls(start);
        close_file_tree();
    }
    init.made = true;
    shim::become_process(start);
}

}  // namespace

void run_hooks(ListAt hooks, const char* kind) {
    uint32_t number = 0;
    for (const Hook& hook : init.list<Hook>(hooks)) {
        const char* arguments[256];
        const char* environment[256];
        const auto fill = [](const char** out, ListAt from) {
            uint32_t count = 0;
            for (TextAt at : init.list<TextAt>(from))
                if (count < 255) out[count++] = init.text_or_empty(at);
            out[count] = nullptr;
        };
        fill(arguments, hook.arguments);
        fill(environment, hook.environment);
        shim::Text<1024> error("error running ", kind, " hook #", number++, ": ");
        // Inside, a hook that says nothing of its environment has that of the process.
        const bool inherits = hook.environment.count == 0 && init.made;
        const HookCall call = {init.text(hook.path), arguments,
                               inherits ? init.launch->environment.items : environment,
                               hook.timeout_seconds, init.state_fd};
        if (!run_hook(call, &error)) give_up(error.view());
    }
}

[[noreturn]] void init_main(long* stack) {
    const long count = stack[0];
    char** arguments = reinterpret_cast<char**>(stack + 1);
    // "noci init FD": the descriptor of the plan.
    if (count != 3 || !read_plan(number_of(arguments[2]))) shim::exit_group(125);
    sys(SYS_prctl, PR_SET_NAME, "noci:init");
    // Files in /proc of a process that nobody may look into belong to the host's root.
    if (init.plan->unprivileged == 0) sys(SYS_prctl, PR_SET_DUMPABLE, 0);
    sys(SYS_close_range, 3 + init.plan->preserved, ~0u, CLOSE_RANGE_CLOEXEC);
    shim::open_signals();
    sys(SYS_umask, 0);
    const ListAt bytes = init.plan->launch;
    fill_start();
    const char* problem = launch::decode(init.block + bytes.offset, bytes.count, init.launch);
    if (problem != nullptr) give_up(problem);
    first_stage();
    second_stage();
}

}  // namespace noded::noci

extern "C" {

[[noreturn]] __attribute__((used)) void noci_init_start(long* stack) {
    noded::noci::init_main(stack);
}

// The kernel enters with an aligned stack that begins with the arguments.
asm(".globl _start\n"
    "_start:\n"
    "    xor %ebp, %ebp\n"
    "    mov %rsp, %rdi\n"
    "    and $-16, %rsp\n"
    "    call noci_init_start\n");

}  // extern "C"

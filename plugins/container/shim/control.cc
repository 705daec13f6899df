// The conversation with noded. A connection that does not take its messages is dropped: noded
// connects again and asks for the status, which says everything. Nothing that noded does or leaves
// undone reaches the container.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "plugins/container/shim/shim.h"

namespace noded::shim {
namespace {

template <typename T>
bool read_request(const uint8_t* payload, size_t size, T* out) {
    if (size != sizeof *out) return false;
    memcpy(out, payload, sizeof *out);
    return out->exec.text[sizeof out->exec.text - 1] == 0;
}

size_t take_descriptors(msghdr& message, int* fds) {
    size_t count = 0;
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    if (rights == nullptr || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS)
        return 0;
    const size_t received = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (; count < received && count < control_fds_max; ++count)
        memcpy(&fds[count], CMSG_DATA(rights) + count * sizeof(int), sizeof(int));
    return count;
}

}  // namespace

void Shim::add_connection(int fd) {
    for (size_t i = 0; i < control_connections_max; ++i) {
        if (connections_[i].used) continue;
        connections_[i] = {true, fd};
        watch(fd, Source::connection, i, 0, EPOLLIN);
        return;
    }
    sys(SYS_close, fd);
}

void Shim::on_listener() {
    if (!listening_) return;
    const long fd = sys(SYS_accept4, listener_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    ucred peer = {};
    socklen_t size = sizeof peer;
    sys(SYS_getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    if (peer.uid == static_cast<uid_t>(sys(SYS_geteuid))) add_connection(static_cast<int>(fd));
    else sys(SYS_close, fd);
}

void Shim::drop_connection(Connection& connection) {
    if (!connection.used) return;
    unwatch(connection.fd);
    close_fd(connection.fd);
    connection.used = false;
    // A spare shim whose noded is gone, or one whose spec was refused, has nobody left to hear
    // from.
    bool reachable = listening_;
    for (const Connection& other : connections_) reachable = reachable || other.used;
    const ShimState state = container().state;
    if (!reachable && (state == ShimState::waiting || state == ShimState::start_failed)) finish();
}

void Shim::on_connection(size_t index) {
    Connection& from = connections_[index];
    if (!from.used) return;
    iovec part = {packet_, sizeof packet_};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * control_fds_max)];
    msghdr message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const long size = sys(SYS_recvmsg, from.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size == -EAGAIN || size == -EINTR) return;
    if (size < static_cast<long>(sizeof(ControlHeader))) return drop_connection(from);
    int fds[control_fds_max] = {-1, -1, -1, -1};
    const size_t fd_count = take_descriptors(message, fds);
    ControlHeader header;
    memcpy(&header, packet_, sizeof header);
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        answer(from, header.tag, EMSGSIZE, "the packet is too large");
    else
        handle(from, header, packet_ + sizeof header, static_cast<size_t>(size) - sizeof header,
               fds, fd_count);
    for (int& fd : fds) close_fd(fd);  // what was kept is -1 now
}

void Shim::handle(Connection& from, const ControlHeader& header, const uint8_t* payload,
                  size_t size, int* fds, size_t fd_count) {
    const bool in_memfd = (header.flags & control_spec_in_memfd) != 0;
    const bool attaches = (header.flags & control_attach_socket) != 0;
    const size_t fds_needed =
        header.type == ControlType::attach ? 1 : size_t{in_memfd} + size_t{attaches};
    SignalRequest signal;
    ResizeRequest resize;
    if (fd_count != fds_needed)
        return answer(from, header.tag, EINVAL,
                      "the descriptors are not those that the flags name");
    const int memfd = in_memfd ? fds[0] : -1;
    int attach_fd = attaches || header.type == ControlType::attach ? fds[fd_count - 1] : -1;
    if (attach_fd >= 0) fds[fd_count - 1] = -1;
    switch (header.type) {
        case ControlType::launch:
            if (container().state == ShimState::waiting)
                return launch(header.tag, header.flags, payload, size, memfd, attach_fd);
            close_fd(attach_fd);
            return answer(from, header.tag, EALREADY, "this shim has had its container");
        case ControlType::exec:
            return exec(from, header.tag, header.flags, payload, size, memfd, attach_fd);
        case ControlType::attach: {
            if (container().state == ShimState::waiting) {
                close_fd(attach_fd);
                return answer(from, header.tag, ESRCH, "attach: there is no container yet");
            }
            Client* client = add_client(0, attach_fd, header.flags);
            if (client == nullptr)
                return answer(from, header.tag, EUSERS, "attach: too many clients are attached");
            answer(from, header.tag, 0, "");
            pump_output(*client);
            return;
        }
        case ControlType::signal:
            if (read_request(payload, size, &signal))
                return handle_signal(from, header.tag, signal);
            break;
        case ControlType::resize:
            if (read_request(payload, size, &resize))
                return handle_resize(from, header.tag, resize);
            break;
        case ControlType::status: return send_status(from, header.tag);
        case ControlType::release: return handle_release(from, header.tag);
        default: break;
    }
    close_fd(attach_fd);
    answer(from, header.tag, EINVAL, "the request is unknown or malformed");
}

Process* Shim::find(const ExecId& id) {
    if (id.text[0] == 0) return &container();
    for (size_t i = 1; i < processes_max; ++i)
        if (processes_[i].used && std::string_view(processes_[i].id.text) == id.text)
            return &processes_[i];
    return nullptr;
}

void Shim::handle_signal(Connection& from, uint64_t tag, const SignalRequest& request) {
    Process* process = find(request.exec);
    if (process == nullptr || process->ended() || process->pid <= 0)
        return answer(from, tag, ESRCH, "signal: the process is not running");
    if ((tag & control_signal_once) != 0) {
        if (tag <= last_signal_) return answer(from, tag, 0, "");
        last_signal_ = tag;
    }
    // Not yet reaped, so the number cannot belong to anybody else.
    const long result = sys(SYS_kill, process->pid, request.signal);
    answer(from, tag, static_cast<int>(-result),
           result < 0 ? Text<64>("signal: kill: ", error_name(result)).view() : "");
}

void Shim::handle_resize(Connection& from, uint64_t tag, const ResizeRequest& request) {
    Process* process = find(request.exec);
    if (process == nullptr || !process->tty() || !process->output_open[0])
        return answer(from, tag, ENOTTY, "resize: there is no terminal");
    const struct winsize size = {request.rows, request.columns, 0, 0};
    const long result = sys(SYS_ioctl, process->output_fd[0], TIOCSWINSZ, &size);
    answer(from, tag, static_cast<int>(-result), result < 0 ? "resize: the terminal refused" : "");
}

void Shim::handle_release(Connection& from, uint64_t tag) {
    const ShimState state = container().state;
    if (state == ShimState::starting || state == ShimState::running)
        return answer(from, tag, EBUSY, "release: the container is running");
    finish();
}

/// The runtime folder is noded's again before the connections close, which is how noded learns of
/// it. Clients that are behind keep the shim a little longer; the log is open and may be removed.
void Shim::finish() {
    hold_log();
    if (listening_) {
        sys(SYS_unlinkat, AT_FDCWD, shim_socket_name, 0);
        sys(SYS_unlinkat, AT_FDCWD, exit_record_name, 0);
        unwatch(listener_fd_);
        close_fd(listener_fd_);
        listening_ = false;
    }
    sys(SYS_chdir, "/");
    dismiss_zygote();
    reap_zygote();
    drop_mounts();
    released_ = true;
    for (Connection& connection : connections_) {
        if (connection.used) close_fd(connection.fd);
        connection.used = false;
    }
}

void Shim::answer(Connection& to, uint64_t tag, int error, std::string_view sentence) {
    const ResultReply reply = {error};
    send(to, ControlType::result, tag, &reply, sizeof reply, sentence);
}

bool Shim::send(Connection& to, ControlType type, uint64_t tag, const void* fixed,
                size_t fixed_size, std::string_view text) {
    ControlHeader header = {type, 0, tag};
    iovec parts[3] = {{&header, sizeof header},
                      {const_cast<void*>(fixed), fixed_size},
                      {const_cast<char*>(text.data()), text.size()}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 3;
    const long sent = sys(SYS_sendmsg, to.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) drop_connection(to);
    return sent >= 0;
}

bool Shim::send_to_all(ControlType type, uint64_t tag, const void* fixed, size_t fixed_size,
                       std::string_view text) {
    bool reached = false;
    for (Connection& connection : connections_)
        if (connection.used && send(connection, type, tag, fixed, fixed_size, text)) reached = true;
    return reached;
}

void Shim::send_status(Connection& to, uint64_t tag) {
    struct {
        StatusReply status;
        ExecReply execs[execs_max];
    } reply = {};
    const Process& process = container();
    reply.status.version = control_version;
    reply.status.state = process.state;
    memcpy(reply.status.id, process.id.text, sizeof reply.status.id);
    reply.status.started = process.started;
    reply.status.exit = process.exit;
    for (size_t i = 1; i < processes_max; ++i)
        if (processes_[i].used) reply.execs[reply.status.exec_count++] = exec_reply(processes_[i]);
    const size_t size = sizeof(StatusReply) + reply.status.exec_count * sizeof(ExecReply);
    const bool failed = process.state == ShimState::start_failed;
    if (!send(to, ControlType::status_reply, tag, &reply, size,
              failed ? process.start.message.view() : ""))
        return;
    for (size_t i = 1; i < processes_max; ++i)
        if (processes_[i].used && processes_[i].ended()) processes_[i].reported = true;
}

}  // namespace noded::shim

// Output and input. The container's output goes to the log (log.cc) first and at once, whatever
// clients do; a client of the container is a cursor over the log. An exec has no log: its output
// waits in its pipe until its own client has taken what came before.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstring>

#include "plugins/container/shim/shim.h"

namespace noded::shim {
namespace {

constexpr char end_of_transmission = 4;  ///< what a terminal takes for the end of input

}  // namespace

void Shim::close_output(Process& process, size_t part) {
    if (!process.output_open[part]) return;
    unwatch(process.output_fd[part]);
    close_fd(process.output_fd[part]);
    process.output_open[part] = process.output_watched[part] = false;
}

/// A container's terminal says HUP as long as nobody has it open, but it may be opened again: told
/// once is enough there.
uint32_t Shim::output_events(const Process& process) {
    if (process.tty() && !process.is_exec) return EPOLLIN | EPOLLET;
    return EPOLLIN;
}

void Shim::watch_outputs(size_t index, bool wanted) {
    Process& process = processes_[index];
    for (size_t part = 0; part < 2; ++part) {
        if (!process.output_open[part] || process.output_watched[part] == wanted) continue;
        if (wanted)
            watch(process.output_fd[part], Source::output, index, part, output_events(process));
        else unwatch(process.output_fd[part]);
        process.output_watched[part] = wanted;
    }
}

/// One read of up to a frame, one write, then the next event's turn.
void Shim::on_output(size_t index, size_t part) {
    Process& process = processes_[index];
    if (!process.used || !process.output_open[part]) return;
    if (process.is_exec) {
        Client* client = client_of_exec(index);
        if (client != nullptr && !client->hung_up) return pump_output(*client);
    }
    const long size =
        sys(SYS_read, process.output_fd[part], scratch_ + log_front, log_frame_room());
    if (size == -EAGAIN || size == -EINTR) return;
    const bool terminal = process.tty() && !process.is_exec;
    if (size <= 0) return terminal ? void() : close_output(process, part);
    if (process.is_exec) return;  // nobody listens
    append_log(static_cast<uint8_t>(part + 1), static_cast<size_t>(size));
    pump_clients(index);
    // Told once, so asked again.
    if (terminal)
        watch(process.output_fd[part], Source::output, index, part, output_events(process));
}

/// The container is dead and all its processes with it: what is in the pipes is all there will ever
/// be. The bound is for a container that shares the host's PID namespace, where a survivor might
/// write for ever.
void Shim::drain_outputs(size_t index) {
    Process& process = processes_[index];
    for (size_t part = 0; part < 2; ++part) {
        for (int reads = 0; reads < 4096 && process.output_open[part]; ++reads) {
            const long size = sys(SYS_read, process.output_fd[part], scratch_ + log_front,
                                  log_frame_room());
            if (size <= 0) break;
            append_log(static_cast<uint8_t>(part + 1), static_cast<size_t>(size));
        }
        close_output(process, part);
    }
    if (log_.lost > 0) note_loss();
}

Client* Shim::add_client(size_t process, int fd, uint32_t flags) {
    const size_t first = process == 0 ? 0 : attach_clients_max;
    const size_t last = process == 0 ? attach_clients_max : clients_max;
    for (size_t i = first; i < last; ++i) {
        Client& client = clients_[i];
        if (client.used) continue;
        memset(&client, 0, offsetof(Client, input));
        client.used = true;
        client.fd = fd;
        client.flags = flags;
        client.process = static_cast<uint32_t>(process);
        const bool replay = (flags & attach_from_start) != 0;
        client.cursor = replay ? log_.begin : log_.end;
        client.seen_bytes = replay ? log_.begin_bytes : log_.tally.bytes;
        client.input_ended = (flags & attach_stdin) == 0;
        update_interest(client);
        return &client;
    }
    sys(SYS_close, fd);
    return nullptr;
}

Client* Shim::client_of_exec(size_t process) {
    for (size_t i = attach_clients_max; i < clients_max; ++i)
        if (clients_[i].used && clients_[i].process == process) return &clients_[i];
    return nullptr;
}

void Shim::drop_client(Client& client) {
    const size_t process = client.process;
    if (client.watched != 0) unwatch(client.fd);
    close_fd(client.fd);
    client.used = false;
    // A container's terminal stays as it is, as docker's: whose window is closed leaves a shell at
    // work behind. Nobody can come back to an exec's.
    const bool stays = process == 0 && processes_[process].tty();
    if ((client.flags & attach_stdin) != 0 && (client.flags & attach_stdin_once) != 0 && !stays)
        end_input(process);
    if (process != 0) watch_outputs(process, true);  // from now on read and thrown away
}

/// EPOLLHUP and EPOLLERR cannot be turned off, so a client that is gone leaves the set at once.
void Shim::update_interest(Client& client) {
    uint32_t events = 0;
    if (!client.hung_up) {
        events = EPOLLERR;  // always reported anyway, and never zero while in the set
        if (!client.input_ended && !client.input_blocked) events |= EPOLLIN;
        if (client.output_begin < client.output_end) events |= EPOLLOUT;
    }
    if (events == client.watched) return;
    if (events == 0) unwatch(client.fd);
    else watch(client.fd, Source::client, static_cast<size_t>(&client - clients_), 0, events);
    client.watched = events;
}

void Shim::on_client(size_t index, uint32_t events) {
    Client& client = clients_[index];
    if (!client.used) return;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
        client.hung_up = true;
        if (client.input_ended) return drop_client(client);
        update_interest(client);
        if (!client.input_blocked) pump_input(client);
        return;
    }
    if ((events & EPOLLOUT) != 0) pump_output(client);
    if (client.used && (events & EPOLLIN) != 0 && !client.input_blocked && !client.input_ended)
        pump_input(client);
}

void Shim::pump_clients(size_t process) {
    for (Client& client : clients_)
        if (client.used && client.process == process) pump_output(client);
}

/// Sends until the socket is full or there is nothing more to send.
void Shim::pump_output(Client& client) {
    while (client.used && !client.hung_up) {
        while (client.output_begin < client.output_end) {
            const long sent = sys(SYS_sendto, client.fd, client.output + client.output_begin,
                                  client.output_end - client.output_begin,
                                  MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
            if (sent == -EINTR) continue;
            if (sent == -EAGAIN) {
                if (client.process != 0) watch_outputs(client.process, false);
                return update_interest(client);
            }
            if (sent < 0) {
                client.hung_up = true;
                return client.input_ended ? drop_client(client) : pump_input(client);
            }
            client.output_begin += static_cast<uint32_t>(sent);
        }
        client.output_begin = client.output_end = 0;
        if (client.last_frame_queued) return drop_client(client);
        if (!fill(client)) {
            if (client.process != 0) watch_outputs(client.process, true);
            return update_interest(client);
        }
    }
}

/// Queues what comes next for this client; false when there is nothing now.
bool Shim::fill(Client& client) {
    if (client.process != 0) return fill_from_exec(client);
    if (client.cursor < log_.end) return fill_from_log(client);
    if (!container().ended()) return false;
    queue_exit(client);
    return true;
}

void Shim::queue_exit(Client& client) {
    const AttachHeader header = {AttachKind::exit, {}, sizeof(AttachExit)};
    const AttachExit body = {processes_[client.process].exit.code};
    memcpy(client.output + client.output_end, &header, sizeof header);
    memcpy(client.output + client.output_end + sizeof header, &body, sizeof body);
    client.output_end += sizeof header + sizeof body;
    client.last_frame_queued = true;
}

/// Tells a client that output was lost: to a full disk, or to rotation because it was too slow.
/// What one block holds always leaves room for it.
void Shim::queue_lost(Client& client, uint64_t count) {
    const AttachHeader header = {AttachKind::lost, {}, sizeof count};
    if (client_output_bytes - client.output_end < sizeof header + sizeof count) return;
    memcpy(client.output + client.output_end, &header, sizeof header);
    memcpy(client.output + client.output_end + sizeof header, &count, sizeof count);
    client.output_end += sizeof header + sizeof count;
}

/// Queues a data frame of as many bytes as fit, or swallows them when the client did not ask for
/// this stream.
size_t Shim::queue(Client& client, uint8_t stream, const uint8_t* bytes, size_t size) {
    constexpr uint32_t flag_of_stream[3] = {0, attach_stdout, attach_stderr};
    if (stream > 2 || (client.flags & flag_of_stream[stream]) == 0) return size;
    const size_t room = client_output_bytes - client.output_end;
    if (room <= sizeof(AttachHeader)) return 0;
    if (size > room - sizeof(AttachHeader)) size = room - sizeof(AttachHeader);
    const AttachHeader header = {static_cast<AttachKind>(stream), {}, static_cast<uint32_t>(size)};
    memcpy(client.output + client.output_end, &header, sizeof header);
    memcpy(client.output + client.output_end + sizeof header, bytes, size);
    client.output_end += static_cast<uint32_t>(sizeof header + size);
    return size;
}

/// Reads from the exec's pipes only when everything read before has been sent.
bool Shim::fill_from_exec(Client& client) {
    Process& process = processes_[client.process];
    bool queued = false;
    for (size_t part = 0; part < 2; ++part) {
        if (!process.output_open[part]) continue;
        const long size = sys(SYS_read, process.output_fd[part], scratch_,
                              client_output_bytes / 2 - sizeof(AttachHeader));
        if (size > 0) {
            const size_t taken =
                queue(client, static_cast<uint8_t>(part + 1), scratch_, static_cast<size_t>(size));
            queued = queued || taken > 0;
        } else if (size != -EAGAIN && size != -EINTR) {
            close_output(process, part);
        }
    }
    if (queued) return true;
    if (!process.ended()) return false;
    // A terminal hangs up. Pipes stay open: what the exec left running in the background shall not
    // die of its next line.
    if (process.tty()) close_output(process, 0);
    queue_exit(client);
    return true;
}

void Shim::pump_input(Client& client) {
    while (client.used) {
        while (take_input(client)) {
        }
        if (!client.used) return;
        if (client.input_blocked) return update_interest(client);
        const uint32_t held = client.input_end - client.input_begin;
        memmove(client.input, client.input + client.input_begin, held);
        client.input_begin = 0;
        client.input_end = held;
        const long count = sys(SYS_recvfrom, client.fd, client.input + held,
                               client_input_bytes - held, MSG_DONTWAIT);
        if (count > 0) {
            client.input_end += static_cast<uint32_t>(count);
            continue;
        }
        if (count == -EINTR) continue;
        if (count == -EAGAIN && !client.hung_up) return update_interest(client);
        client.input_ended = true;
        if (client.hung_up) return drop_client(client);
        return update_interest(client);
    }
}

/// Takes one step through the received frames; false when more bytes are needed or standard input
/// is full.
bool Shim::take_input(Client& client) {
    const uint8_t* bytes = client.input + client.input_begin;
    const uint32_t held = client.input_end - client.input_begin;
    Process& process = processes_[client.process];
    if (!client.in_frame) {
        AttachHeader header;
        if (held < sizeof header) return false;
        memcpy(&header, bytes, sizeof header);
        if (header.length > attach_frame_bytes_max) {
            drop_client(client);
            return false;
        }
        client.input_begin += sizeof header;
        client.in_frame = header.length > 0;
        client.frame_kind = header.kind;
        client.frame_left = header.length;
        if (header.kind == AttachKind::stdin_end) end_input(client.process);
        if (header.kind == AttachKind::stay) client.flags &= ~uint32_t{attach_stdin_once};
        return true;
    }
    if (held == 0) return false;
    size_t taken = held < client.frame_left ? held : client.frame_left;
    if (client.frame_kind == AttachKind::stdin_data) {
        taken = feed(client, process, bytes, taken);
    } else if (client.frame_kind == AttachKind::resize &&
               client.frame_left == sizeof(AttachResize)) {
        if (held < sizeof(AttachResize)) return false;
        AttachResize wanted;
        memcpy(&wanted, bytes, sizeof wanted);
        const struct winsize window = {wanted.rows, wanted.columns, 0, 0};
        if (process.tty() && process.output_open[0])
            sys(SYS_ioctl, process.output_fd[0], TIOCSWINSZ, &window);
    }
    client.input_begin += static_cast<uint32_t>(taken);
    client.frame_left -= static_cast<uint32_t>(taken);
    client.in_frame = client.frame_left > 0;
    return taken > 0;
}

/// Writes to standard input. Returns what was taken; input without a reader is taken and forgotten.
size_t Shim::feed(Client& client, Process& process, const uint8_t* bytes, size_t size) {
    if (process.input_expected) {
        client.input_blocked = true;
        return 0;
    }
    if (!process.input_open) return size;
    const long written = sys(SYS_write, process.input_fd, bytes, size);
    if (written == -EAGAIN) {
        client.input_blocked = true;
        if (!process.input_watched)
            watch(process.input_fd, Source::input, client.process, 0, EPOLLOUT);
        process.input_watched = true;
        return 0;
    }
    if (written == -EINTR) return 0;
    if (written >= 0) return static_cast<size_t>(written);
    close_input(process);
    return size;
}

void Shim::on_input_writable(size_t index) {
    Process& process = processes_[index];
    if (!process.used) return;
    if (process.input_watched) unwatch(process.input_fd);
    process.input_watched = false;
    for (Client& client : clients_) {
        if (!client.used || client.process != index || !client.input_blocked) continue;
        client.input_blocked = false;
        pump_input(client);
    }
}

/// Half-close: of a terminal, the character that means it.
void Shim::end_input(size_t index) {
    Process& process = processes_[index];
    if (process.tty() && process.input_open)
        sys(SYS_write, process.input_fd, &end_of_transmission, 1);
    else close_input(process);
}

void Shim::close_input(Process& process) {
    if (!process.input_open) return;
    if (process.input_watched) unwatch(process.input_fd);
    close_fd(process.input_fd);
    process.input_open = process.input_watched = false;
    // Whoever waited to write can throw the rest away.
    on_input_writable(static_cast<size_t>(&process - processes_));
}

}  // namespace noded::shim

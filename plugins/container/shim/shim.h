// The shim's state and its parts. One thread, one epoll loop, fixed tables: everything has a limit
// and nothing is allocated but the specs. All members are zero when empty, so that the tables cost
// no memory until they are used. Flow: main.cc dispatches → control.cc (noded's requests) ·
// lifecycle.cc (start, exec, exit) · streams.cc (attach clients) · log.cc (the container's output).
#pragma once

#include "plugins/container/shim/attach_frames.h"
#include "plugins/container/shim/child.h"
#include "plugins/container/shim/log_frames.h"

namespace noded::shim {

constexpr size_t processes_max = 1 + execs_max;  ///< the first is the container
constexpr size_t clients_max = attach_clients_max + execs_max;
constexpr size_t child_stack_bytes = 64 << 10;  ///< several paths of 4 KiB live on it
constexpr size_t client_input_bytes = 16 << 10;
constexpr size_t client_output_bytes = log_block_bytes;
constexpr size_t log_front = sizeof(LogBlock) + sizeof(LogHeader);

/// What an epoll event is about; Shim::watch packs it into the event's 64 bits.
enum class Source : uint8_t { signals, listener, connection, report, output, input, client };

/// The container's first process or an exec.
struct Process {
    bool used;
    bool is_exec;
    bool reaped;
    bool reported;        ///< noded was told how it ended
    bool input_expected;  ///< there will be a terminal, but it has not arrived
    bool input_open;
    bool input_watched;
    bool output_open[2];  ///< stdout or terminal, stderr
    bool output_watched[2];
    ShimState state;
    int pid;
    int report_fd;
    int input_fd;
    int output_fd[2];
    uint64_t tag;  ///< of the request that asked for it
    StartedReply started;
    ExitReply exit;
    launch::Launch* launch;  ///< at the start of `memory`, its strings behind it
    char* memory;
    size_t memory_bytes;
    Start start;
    ExecId id;

    bool tty() const { return launch != nullptr && launch->has(launch::flag_tty); }
    bool ended() const { return state == ShimState::exited || state == ShimState::start_failed; }
};

/// One attach socket. Of the container: a cursor over the log. Of an exec: a relay that holds the
/// exec's output back.
struct Client {
    bool used;
    bool hung_up;        ///< the other side is gone, its last input is still being fed
    bool input_blocked;  ///< standard input takes no more for now
    bool input_ended;    ///< nothing more comes from the socket
    bool in_frame;
    bool last_frame_queued;
    uint8_t frame_stream;   ///< of the log frame that is being sent in pieces
    AttachKind frame_kind;  ///< of the frame that is being received
    uint32_t flags;         ///< ControlFlag attach_*
    uint32_t process;       ///< index
    int fd;
    uint32_t watched;      ///< epoll events asked for, 0 if not in the set
    uint64_t cursor;       ///< position in the log of what is to be queued next
    uint64_t seen_bytes;   ///< that the container had written up to the cursor
    uint32_t cursor_left;  ///< bytes of the log frame at `cursor` not yet queued, 0 between frames
    uint32_t frame_left;   ///< bytes of the received frame not yet taken
    uint32_t input_begin, input_end;
    uint32_t output_begin, output_end;
    uint8_t input[client_input_bytes];
    uint8_t output[client_output_bytes];
};

struct Connection {
    bool used;
    int fd;
};

struct Log {
    bool open;
    bool held;  ///< the segments are open, because their names may be gone
    int folder_fd;
    int fd;  ///< of the newest segment, -1 if there is none
    uint64_t base;  ///< where it begins
    uint64_t end;
    uint64_t begin;  ///< where this start's output begins
    uint64_t begin_bytes;
    uint64_t lost;     ///< bytes that could not be written and are not yet noted in the file
    uint64_t time_ns;  ///< of the last frame
    LogTally tally;
    uint64_t segment_bytes;
    uint32_t segments_max;
    uint32_t count;
    uint64_t bases[launch::log_segments_max];  ///< of all segments, oldest first
    int held_fd[launch::log_segments_max];
};

class Shim {
public:
    /// The spare's groups as main() has them; `no_mounts` as in Spare.
    int run(int no_mounts, const char* const* groups, size_t group_count);

private:
    // main.cc
    void prepare();
    void dispatch(uint64_t code, uint32_t events);
    void on_signals();
    void forward_stop();
    bool serves_clients() const;
    void watch(int fd, Source source, size_t index, size_t part, uint32_t events);
    void unwatch(int fd);
    Process& container() { return processes_[0]; }

    // control.cc
    void add_connection(int fd);
    void on_listener();
    void on_connection(size_t index);
    void drop_connection(Connection& connection);
    void handle(Connection& from, const ControlHeader& header, const uint8_t* payload, size_t size,
                int* fds, size_t fd_count);
    void answer(Connection& to, uint64_t tag, int error, std::string_view sentence);
    bool send(Connection& to, ControlType type, uint64_t tag, const void* fixed, size_t fixed_size,
              std::string_view text);
    bool send_to_all(ControlType type, uint64_t tag, const void* fixed, size_t fixed_size,
                     std::string_view text);
    void send_status(Connection& to, uint64_t tag);
    void handle_signal(Connection& from, uint64_t tag, const SignalRequest& request);
    void handle_resize(Connection& from, uint64_t tag, const ResizeRequest& request);
    void handle_release(Connection& from, uint64_t tag);
    void finish();
    Process* find(const ExecId& id);

    // lifecycle.cc
    const char* read_spec(Process& process, const uint8_t* payload, size_t size, int memfd);
    void free_process(Process& process);
    void make_spare();
    Spare* take_spare();
    bool zygote_fits();
    void dismiss_zygote();
    void reap_zygote();
    void drop_spare();
    void launch(uint64_t tag, uint32_t flags, const uint8_t* payload, size_t size, int memfd,
                int attach_fd);
    void exec(Connection& from, uint64_t tag, uint32_t flags, const uint8_t* payload, size_t size,
              int memfd, int attach_fd);
    void drop_mounts();
    bool give_rootfs(Process& process, Sentence* error);
    bool spawn(Process& process, bool streams, Sentence* error);
    bool begin_fork(Start& start);
    bool finish_fork(Process& process, Sentence* error);
    bool forked(Process& process, long result, Sentence* error);
    long open_streams(Process& process);
    bool join_pid_namespace(const launch::Launch& spec, Sentence* error);
    bool make_user_namespace(Start& start, Sentence* error);  ///< owned.cc
    void drop_user_namespace(const Start& start);
    bool open_runtime(Sentence* error);
    void on_report(size_t index);
    void take_terminal(size_t index, int master);
    void start_done(size_t index);
    void start_failed(size_t index, int code, std::string_view sentence);
    void reap();
    void ended(size_t index, int status);
    void container_ended();
    void write_exit_record();
    bool out_of_memory();
    void lower_oom_score();
    ExecReply exec_reply(const Process& process);
    bool is_done(size_t index, bool even_with_output);
    void tidy_execs();
    size_t free_place();

    // log.cc
    bool open_log(const char* path, Sentence* error);
    void append_log(uint8_t stream, size_t size);
    size_t log_frame_room() const;
    bool put_frame(LogStream stream, uint8_t* data, size_t size);
    bool note_loss();
    void list_segments();
    void note_segment(uint64_t position);
    void drop_oldest_segment();
    int open_segment(uint64_t base, int flags);
    long resume_segment(uint64_t base);
    bool begin_segment();
    void hold_log();
    uint32_t segment_of(Client& client);
    long read_log(const Client& client, uint32_t segment);
    bool fill_from_log(Client& client);

    // streams.cc
    void on_output(size_t index, size_t part);
    void drain_outputs(size_t index);
    void close_output(Process& process, size_t part);
    uint32_t output_events(const Process& process);
    void watch_outputs(size_t index, bool wanted);
    Client* add_client(size_t process, int fd, uint32_t flags);
    Client* client_of_exec(size_t process);
    void drop_client(Client& client);
    void on_client(size_t index, uint32_t events);
    void on_input_writable(size_t index);
    void pump_output(Client& client);
    void pump_clients(size_t process);
    bool fill(Client& client);
    bool fill_from_exec(Client& client);
    void queue_exit(Client& client);
    void queue_lost(Client& client, uint64_t count);
    size_t queue(Client& client, uint8_t stream, const uint8_t* bytes, size_t size);
    void pump_input(Client& client);
    bool take_input(Client& client);
    size_t feed(Client& client, Process& process, const uint8_t* bytes, size_t size);
    void end_input(size_t process);
    void close_input(Process& process);
    void update_interest(Client& client);

    int epoll_fd_;
    int signal_fd_;
    int listener_fd_;
    int container_pidfd_;
    int rootfs_fd_;
    int mounts_fd_;          ///< the container's mount namespace
    int own_oom_fd_;
    int own_oom_score_;
    bool listening_;
    bool holds_pidfd_;
    bool holds_rootfs_;
    bool holds_mounts_;
    bool drops_rootfs_late_;
    /// nothing is left to do but to send clients what they have not taken yet
    bool released_;
    int spare_pid_;  ///< of the zygote; 0: it is gone
    Spare spare_;
    Start spare_start_;
    clone_args fork_;  ///< of the child that is being made
    int forked_pidfd_;
    int group_fd_;
    bool in_pid_namespace_;  ///< children are born into the container's PID namespace
    uint32_t starting_;      ///< children that still share this memory
    uint64_t last_signal_;   ///< tag of the last signal that was to be sent once
    Log log_;
    Connection connections_[control_connections_max];
    Process processes_[processes_max];
    Client clients_[clients_max];
    alignas(16) uint8_t packet_[control_packet_bytes_max];
    alignas(16) uint8_t scratch_[log_block_bytes];
    /// the last is the zygote's
    alignas(4096) char stacks_[processes_max + 1][child_stack_bytes];
};

}  // namespace noded::shim

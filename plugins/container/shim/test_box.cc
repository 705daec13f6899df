// The helpers of test_box.h. They throw on what must not happen, which a test reports as its
// failure.
#include "plugins/container/shim/test_box.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "plugins/container/shim/log_frames.h"
#include "plugins/container/shim/seccomp_profile.h"

namespace noded {
namespace {

constexpr int patience_ms = 10'000;

template <typename T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    return std::move(*result);
}

void must(Status status) {
    if (!status) throw std::runtime_error(status.error().message);
}

bool readable(int fd) {
    pollfd one = {fd, POLLIN, 0};
    return poll(&one, 1, patience_ms) == 1;
}

/// LAUNCH or EXEC with a spec of any legal size; `attach_fd` may be -1, `flags` are those of the
/// attach socket.
Status send_spec(int socket, ControlType type, uint64_t tag, Bytes spec, int attach_fd,
                 uint32_t flags) {
    std::vector<int> fds;
    Fd memfd;
    if (sizeof(ControlHeader) + spec.size() > control_packet_bytes_max) {
        memfd.reset(memfd_create("launch-spec", MFD_CLOEXEC));
        if (!memfd.valid()) return fail_errno(errno, "make a memfd for a launch spec");
        if (write(memfd.get(), spec.data(), spec.size()) != static_cast<ssize_t>(spec.size()))
            return fail_errno(errno, "write a launch spec to a memfd");
        fds.push_back(memfd.get());
        flags |= control_spec_in_memfd;
        spec = {};
    }
    if (attach_fd >= 0) {
        fds.push_back(attach_fd);
        flags |= control_attach_socket;
    }
    return send_control(socket, type, flags, tag, spec, fds);
}

/// An error when there is none, or the shim has gone.
Result<ControlPacket> receive_control(int socket) {
    ControlPacket packet;
    packet.payload.resize(control_packet_bytes_max);
    iovec parts[2] = {{&packet.header, sizeof packet.header},
                      {packet.payload.data(), packet.payload.size()}};
    msghdr message = {};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t size = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) return fail_errno(errno, "receive from the shim");
    if (size == 0) return fail("the shim has gone");
    if (size < static_cast<ssize_t>(sizeof packet.header))
        return fail("the shim sent a packet that is too short");
    packet.payload.resize(static_cast<size_t>(size) - sizeof packet.header);
    return packet;
}

/// What follows the fixed part.
std::string control_text(const ControlPacket& packet, size_t fixed_size) {
    if (packet.payload.size() <= fixed_size) return {};
    return std::string(
        as_text({packet.payload.data() + fixed_size, packet.payload.size() - fixed_size}));
}

void make_rootfs(const std::string& root) {
    namespace fs = std::filesystem;
    for (const char* folder : {"bin", "etc", "proc", "sys", "dev", "tmp", "root", "home/alice"})
        fs::create_directories(root + "/" + folder);
    chmod((root + "/tmp").c_str(), 01777);
    fs::copy_file("/bin/busybox", root + "/bin/busybox");
    for (const char* name :
         {"sh",    "true",     "false", "echo",  "cat",   "id",       "stty", "ls",
          "sleep", "hostname", "ps",    "head",  "yes",   "mount",    "grep", "test",
          "kill",  "seq",      "wc",    "stat",  "touch", "readlink", "pwd",  "env",
          "dd",    "unshare",  "ip",    "mknod", "cut",   "sort",     "mkdir"})
        fs::create_symlink("busybox", root + "/bin/" + name);
    std::ofstream(root + "/etc/passwd")
        << "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1001:Alice:/home/alice:/bin/sh\n";
    std::ofstream(root + "/etc/group")
        << "root:x:0:\nalice:x:1001:\nstaff:x:50:bob,alice\naudio:x:63:alice\n";
}

const Buffer& default_filter() {
    static const Buffer filter = must(seccomp_default_bpf(default_capabilities()));
    return filter;
}

}  // namespace

Result<ShimExit> read_exit_record(const std::string& runtime_dir) {
    const std::string path = runtime_dir + "/" + exit_record_name;
    const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return fail_errno(errno, "open " + path);
    char content[sizeof(ExitRecord) + shim_message_bytes_max];
    const ssize_t size = read(file.get(), content, sizeof content);
    if (size < 0) return fail_errno(errno, "read " + path);
    return parse_exit_record(path, {content, static_cast<size_t>(size)});
}

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    std::stringstream content;
    content << file.rdbuf();
    return content.str();
}

AttachEnd::AttachEnd() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        throw std::runtime_error("socketpair");
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
}

void AttachEnd::send(AttachKind kind, Bytes body) {
    const AttachHeader header = {kind, {}, static_cast<uint32_t>(body.size())};
    Buffer bytes(sizeof header);
    std::memcpy(bytes.data(), &header, sizeof header);
    bytes.insert(bytes.end(), body.begin(), body.end());
    size_t at = 0;
    while (at < bytes.size()) {
        const ssize_t sent =
            ::send(ours_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) throw std::runtime_error("the shim closed the attach socket");
        at += static_cast<size_t>(sent);
    }
}

void AttachEnd::feed(std::string_view bytes) { send(AttachKind::stdin_data, as_bytes(bytes)); }
void AttachEnd::end_input() { send(AttachKind::stdin_end, {}); }
void AttachEnd::resize(uint16_t rows, uint16_t columns) {
    const AttachResize window = {rows, columns};
    send(AttachKind::resize, {reinterpret_cast<const uint8_t*>(&window), sizeof window});
}

void AttachEnd::take_frames() {
    for (;;) {
        AttachHeader header;
        if (received_.size() < sizeof header) return;
        std::memcpy(&header, received_.data(), sizeof header);
        if (received_.size() - sizeof header < header.length) return;
        const std::string body = received_.substr(sizeof header, header.length);
        received_.erase(0, sizeof header + header.length);
        if (header.kind == AttachKind::stdout_data) output_.out += body;
        if (header.kind == AttachKind::stderr_data) output_.err += body;
        if (header.kind == AttachKind::lost) {
            uint64_t count;
            std::memcpy(&count, body.data(), sizeof count);
            output_.lost += count;
        }
        if (header.kind == AttachKind::exit) {
            AttachExit exit;
            std::memcpy(&exit, body.data(), sizeof exit);
            output_.code = exit.code;
        }
    }
}

const AttachedOutput& AttachEnd::read_until(
    const std::function<bool(const AttachedOutput&)>& done) {
    while (!done(output_) && !output_.closed) {
        if (!readable(ours_.get()))
            throw std::runtime_error("nothing more came through the attach socket: " + output_.out);
        char bytes[64 << 10];
        const ssize_t count = recv(ours_.get(), bytes, sizeof bytes, 0);
        if (count <= 0) output_.closed = true;
        else received_.append(bytes, static_cast<size_t>(count));
        take_frames();
    }
    return output_;
}

const AttachedOutput& AttachEnd::read_all() {
    return read_until([](const AttachedOutput&) { return false; });
}

ShimBox::ShimBox(bool with_shim) {
    char name[] = "/tmp/noded-shim-test.XXXXXX";
    folder_ = mkdtemp(name);
    for (const char* folder : {"lower", "upper", "work", "run"})
        std::filesystem::create_directory(scratch(folder));
    make_rootfs(layer());
    const char* given = std::getenv("NODED_SHIM");
    // Built beside the test.
    const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    shim_path_ = given != nullptr ? given : (folder / "shim").string();
    if (with_shim) spawn();
}

ShimBox::~ShimBox() {
    if (pid_ > 0) {
        kill(pid_, SIGKILL);  // and the container with it
        waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    // The work folder of an overlay is busy until the last process of the container is gone.
    for (int attempt = 0; attempt < 100 && std::filesystem::exists(folder_, ignored); ++attempt) {
        std::filesystem::remove_all(folder_, ignored);
        if (ignored) usleep(10'000);
    }
}

void ShimBox::spawn(bool empties_mounts) {
    SpawnedShim shim = must(ShimSpawner(empties_mounts).spawn(shim_path_));
    control_ = std::move(shim.control);
    pidfd_ = std::move(shim.pidfd);
    pid_ = shim.pid;
}

LaunchSpec ShimBox::spec(const std::vector<std::string>& arguments) const {
    LaunchSpec spec;
    spec.id = "0123456789ab";
    spec.arguments = arguments;
    spec.lowers = {layer()};
    spec.upper = scratch("upper");
    spec.work = scratch("work");
    spec.hostname = "box";
    spec.capabilities = default_capabilities();
    spec.seccomp = default_filter();
    spec.masked_paths = default_masked_paths();
    spec.read_only_paths = default_read_only_paths();
    spec.namespaces = default_namespaces();
    std::filesystem::create_directories(scratch("log"));
    spec.log_folder = scratch("log");
    spec.log_limits = {16 << 20, 5, 0};
    spec.runtime_dir = runtime();
    return spec;
}

LaunchSpec ShimBox::spec(const std::string& script) const {
    return spec(std::vector<std::string>{"sh", "-c", script});
}

void ShimBox::launch(const LaunchSpec& spec, AttachEnd* attach, uint32_t flags) {
    const Buffer bytes = must(launch_encode(spec));
    must(send_spec(control_.get(), ControlType::launch, ++tag_, bytes,
                   attach != nullptr ? attach->shim_end() : -1, flags));
    if (attach != nullptr) attach->passed();
}

ControlPacket ShimBox::wait_for(ControlType type) {
    for (size_t i = 0; i < kept_.size(); ++i) {
        if (kept_[i].header.type != type) continue;
        ControlPacket packet = std::move(kept_[i]);
        kept_.erase(kept_.begin() + static_cast<ptrdiff_t>(i));
        return packet;
    }
    for (;;) {
        if (!readable(control_.get())) throw std::runtime_error("the shim does not answer");
        ControlPacket packet = must(receive_control(control_.get()));
        if (packet.header.type == type) return packet;
        if (packet.header.type == ControlType::start_failed)
            throw std::runtime_error("start failed: " + control_text(packet, sizeof(ExitReply)));
        kept_.push_back(std::move(packet));
    }
}

StartedReply ShimBox::start(const LaunchSpec& spec, AttachEnd* attach, uint32_t flags) {
    launch(spec, attach, flags);
    return must(control_body<StartedReply>(wait_for(ControlType::started)));
}

int ShimBox::run(const LaunchSpec& spec) {
    start(spec);
    return wait_exit().code;
}

std::pair<int, std::string> ShimBox::run_failing(const LaunchSpec& spec) {
    launch(spec);
    const ControlPacket packet = wait_for(ControlType::start_failed);
    return {must(control_body<ExitReply>(packet)).code, control_text(packet, sizeof(ExitReply))};
}

ExitReply ShimBox::wait_exit() {
    return must(control_body<ExitReply>(wait_for(ControlType::exited)));
}

void ShimBox::release() { must(send_control(control_.get(), ControlType::release, 0, ++tag_, {})); }

int ShimBox::request(ControlType type, Bytes payload, uint32_t flags, const std::vector<int>& fds) {
    must(send_control(control_.get(), type, flags, ++tag_, payload, fds));
    return must(control_body<ResultReply>(wait_for(ControlType::result))).error;
}

int ShimBox::signal(int number, const std::string& exec) {
    const SignalRequest request_body = {exec_id(exec), static_cast<uint32_t>(number)};
    return request(ControlType::signal,
                   {reinterpret_cast<const uint8_t*>(&request_body), sizeof request_body});
}

int ShimBox::signal_once(int number, uint64_t seq) {
    const uint64_t before = std::exchange(tag_, (control_signal_once | seq) - 1);
    const int result = signal(number);
    tag_ = before;
    return result;
}

int ShimBox::attach(AttachEnd& end, uint32_t flags) {
    const int result = request(ControlType::attach, {}, flags, {end.shim_end()});
    end.passed();
    return result;
}

ProcessSpec ShimBox::process(const std::string& id, const std::string& script) const {
    ProcessSpec process;
    process.id = id;
    process.arguments = {"sh", "-c", script};
    return process;
}

std::pair<ControlType, std::string> ShimBox::exec(const ProcessSpec& process, AttachEnd* attach,
                                                  uint32_t flags) {
    const Buffer bytes = must(exec_encode(process));
    must(send_spec(control_.get(), ControlType::exec, ++tag_, bytes,
                   attach != nullptr ? attach->shim_end() : -1, flags));
    if (attach != nullptr) attach->passed();
    for (;;) {
        if (!readable(control_.get())) throw std::runtime_error("the shim does not answer an exec");
        ControlPacket packet = must(receive_control(control_.get()));
        if (packet.header.tag != tag_) {
            kept_.push_back(std::move(packet));
            continue;
        }
        const size_t fixed =
            packet.header.type == ControlType::result ? sizeof(ResultReply) : sizeof(ExecReply);
        return {packet.header.type, control_text(packet, fixed)};
    }
}

void ShimBox::reconnect() {
    kept_.clear();
    control_ = must(connect_shim(runtime()));
}

StatusReply ShimBox::status(std::vector<ExecReply>* execs) {
    must(send_control(control_.get(), ControlType::status, 0, ++tag_, {}));
    const ControlPacket packet = wait_for(ControlType::status_reply);
    const StatusReply reply = must(control_body<StatusReply>(packet));
    for (uint32_t i = 0; execs != nullptr && i < reply.exec_count; ++i) {
        ExecReply exec;
        std::memcpy(&exec, packet.payload.data() + sizeof reply + i * sizeof exec, sizeof exec);
        execs->push_back(exec);
    }
    return reply;
}

std::string ShimBox::logged(uint8_t stream) const {
    std::string found;
    for (const std::string& segment : log_segments()) {
        const std::string bytes = read_file(segment);
        for (size_t block = 0; block < bytes.size(); block += log_block_bytes) {
            const std::string_view part = std::string_view(bytes).substr(block, log_block_bytes);
            LogFrame frame;
            size_t at = sizeof(LogBlock);
            while (log_next(part, &at, &frame) == LogStep::frame)
                if (static_cast<uint8_t>(frame.header.stream) == stream) found += frame.bytes;
        }
    }
    return found;
}

std::vector<std::string> ShimBox::log_segments() const {
    std::vector<std::string> names;
    if (!std::filesystem::exists(scratch("log"))) return names;
    for (const auto& entry : std::filesystem::directory_iterator(scratch("log")))
        names.push_back(entry.path());
    std::sort(names.begin(), names.end());
    return names;
}

std::string ShimBox::file(const std::string& path, const std::string& content) const {
    const std::string full = layer() + "/" + path;
    std::filesystem::create_directories(std::filesystem::path(full).parent_path());
    std::ofstream(full) << content;
    return full;
}

bool ShimBox::wait_shim_gone() {
    if (!readable(pidfd_.get())) return false;
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
    return true;
}

}  // namespace noded

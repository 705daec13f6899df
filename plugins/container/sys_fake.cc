// FakeSys, see sys_fake.h.
#include "plugins/container/sys_fake.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "agent/base/check.h"

namespace noded::container {
namespace {

template <typename T>
Bytes bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

Buffer joined(Bytes fixed, std::string_view text) {
    Buffer out(fixed.begin(), fixed.end());
    out.insert(out.end(), text.begin(), text.end());
    return out;
}

ExitReply exit_reply(int32_t code) {
    ExitReply reply{};
    reply.code = code;
    reply.signal = code > 128 ? code - 128 : 0;
    reply.time_ns = 1'700'000'100'000'000'000;
    return reply;
}

std::pair<Fd, Fd> socket_pair(int type) {
    int ends[2];
    CHECK(socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    return {Fd(ends[0]), Fd(ends[1])};
}

/// "/sys/fs/cgroup/cpu rw" in a hybrid machine with two v1 hierarchies.
constexpr const char* kMounts =
    "32 31 0:29 / /cg/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "36 31 0:33 / /cg/devices rw,relatime - cgroup cgroup rw,devices\n"
    "34 31 0:31 / /cg/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
    "41 31 0:38 / /cg/unified rw,relatime - cgroup2 cgroup2 rw\n";

}  // namespace

std::optional<ShimPacket> FakeShim::take() {
    if (!end_.valid()) return std::nullopt;
    ShimPacket packet;
    packet.payload.resize(control_packet_bytes_max);
    iovec parts[2] = {{&packet.header, sizeof packet.header},
                      {packet.payload.data(), packet.payload.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(control_fds_max * sizeof(int))];
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(end_.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < ssize_t(sizeof packet.header)) return std::nullopt;
    packet.payload.resize(size_t(got) - sizeof packet.header);
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; ++i) {
            int fd = -1;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
            packet.fds.emplace_back(fd);
        }
    }
    return packet;
}

bool FakeShim::hung_up() const {
    pollfd polled{end_.get(), POLLIN, 0};
    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLHUP) != 0;
}

void FakeShim::send(ControlType type, uint64_t tag, Bytes payload) {
    // The plugin may be gone: then nobody hears it, as with a real shim.
    if (!hung_up()) CHECK(send_control(end_.get(), type, 0, tag, payload).has_value());
}

void FakeShim::say_started(uint32_t pid) {
    StartedReply reply{};
    reply.pid = int32_t(pid);
    send(ControlType::started, 0, bytes_of(reply));
}

void FakeShim::say_start_failed(int32_t code, std::string_view sentence) {
    send(ControlType::start_failed, 0, joined(bytes_of(exit_reply(code)), sentence));
}

void FakeShim::say_exited(int32_t code) {
    send(ControlType::exited, 0, bytes_of(exit_reply(code)));
}

void FakeShim::say_exec(ControlType type, std::string_view id, int32_t code,
                        std::string_view sentence) {
    ExecReply reply{};
    reply.exec = exec_id(id);
    reply.code = code;
    send(type, 0, joined(bytes_of(reply), sentence));
}

void FakeShim::say_status(uint64_t tag, ShimState state, uint32_t pid, int32_t code,
                          const std::vector<ExecReply>& execs) {
    StatusReply reply{};
    reply.version = version;
    reply.state = state;
    reply.started.pid = int32_t(pid);
    reply.exit = exit_reply(code);
    reply.exec_count = uint32_t(execs.size());
    const std::string_view list(reinterpret_cast<const char*>(execs.data()),
                                execs.size() * sizeof(ExecReply));
    send(ControlType::status_reply, tag, joined(bytes_of(reply), list));
}

void FakeShim::say_result(uint64_t tag, int32_t error, std::string_view sentence) {
    const ResultReply reply{error};
    send(ControlType::result, tag, joined(bytes_of(reply), sentence));
}

void FakeShim::die() {
    end_.reset();
    alive_.reset();
}

FakeSys::FakeSys() {
    files["/proc/self/mountinfo"] = kMounts;
    files["/proc/77/stat"] = "77 (sh) S 1 77 77 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 5555 1 1";
    for (const char* mount : {"/cg/cpu", "/cg/devices", "/cg/cpuset", "/cg/unified"})
        folders.insert(mount);
}

std::vector<std::string> FakeSys::traces_of(const std::string& id) const {
    std::vector<std::string> found;
    for (const std::string& path : folders)
        if (path.find(id) != std::string::npos) found.push_back(path);
    for (const auto& [path, content] : files)
        if (path.find(id) != std::string::npos) found.push_back(path);
    return found;
}

void FakeSys::put_exit_record(const std::string& folder, const std::string& id, ShimState state,
                              int32_t code, std::string_view sentence) {
    ExitRecord record{};
    record.magic = exit_record_magic;
    record.version = exit_record_version;
    record.state = state;
    record.message_length = uint32_t(sentence.size());
    memcpy(record.id, id.data(), std::min(id.size(), sizeof record.id - 1));
    record.started.pid = 77;
    record.exit = exit_reply(code);
    record.checksum = exit_checksum(record, sentence.data());
    const Buffer bytes = joined(bytes_of(record), sentence);
    files[folder + "/" + exit_record_name] = std::string(as_text(bytes));
}

Result<SpawnedShim> FakeSys::spawn_shim(const std::string&, const SpareGroups&) {
    if (!spawn_error.empty()) return fail(spawn_error);
    auto [ours, theirs] = socket_pair(SOCK_SEQPACKET);
    auto [pidfd, alive] = socket_pair(SOCK_STREAM);
    const uint32_t pid = 1000 + uint32_t(shims.size());
    shims.push_back(std::make_unique<FakeShim>(std::move(theirs), std::move(alive), pid));
    return SpawnedShim{std::move(ours), int(pid), std::move(pidfd)};
}

Result<SpawnedFiles> FakeSys::spawn_files(const std::string&, const std::string& job, Fd stream) {
    if (!spawn_error.empty()) return fail(spawn_error);
    auto [outcome, answer] = socket_pair(SOCK_STREAM);
    auto [pidfd, alive] = socket_pair(SOCK_STREAM);
    const uint32_t pid = 5000 + uint32_t(files_helpers.size());
    // What stands for the process ends with the answer.
    files_helpers.push_back({job, std::move(stream), std::move(answer), pid});
    return SpawnedFiles{pid, std::move(pidfd), std::move(outcome)};
}

Result<Fd> FakeSys::connect_shim(const std::string& folder) {
    if (!listening.contains(folder))
        return fail_errno(ECONNREFUSED, "connect to the shim of " + folder);
    auto [ours, theirs] = socket_pair(SOCK_SEQPACKET);
    shims.push_back(std::make_unique<FakeShim>(std::move(theirs), Fd(), 4321));
    return std::move(ours);
}

Result<bool> FakeSys::make_folder(const std::string& path, uint32_t) {
    return folders.insert(path).second;
}

Status FakeSys::remove_tree(const std::string& path) {
    std::erase_if(folders,
                  [&](const std::string& at) { return at == path || at.starts_with(path + "/"); });
    std::erase_if(files, [&](const auto& file) { return file.first.starts_with(path + "/"); });
    return {};
}

Status FakeSys::move(const std::string& from, const std::string& to) {
    if (!folders.contains(from)) return fail_errno(ENOENT, "move " + from);
    const auto moved = [&](const std::string& at) { return to + at.substr(from.size()); };
    const std::set<std::string> before = folders;
    for (const std::string& at : before)
        if (at == from || at.starts_with(from + "/")) folders.insert(moved(at));
    const std::map<std::string, std::string> files_before = files;
    for (const auto& [at, content] : files_before)
        if (at.starts_with(from + "/")) files[moved(at)] = content;
    return remove_tree(from);
}

Status FakeSys::remove_folder(const std::string& path) {
    if (folders.contains(path) && busy_removals > 0) {
        --busy_removals;
        return fail_errno(EBUSY, "remove the folder " + path);
    }
    return remove_tree(path);
}

std::vector<std::string> FakeSys::folders_in(const std::string& path) {
    std::vector<std::string> names;
    const std::string prefix = path + "/";
    for (const std::string& at : folders)
        if (at.starts_with(prefix) && at.find('/', prefix.size()) == std::string::npos)
            names.push_back(at.substr(prefix.size()));
    return names;
}

Result<std::string> FakeSys::read_file(const std::string& path) {
    const auto found = files.find(path);
    if (found == files.end()) return fail_errno(ENOENT, "open " + path);
    return found->second;
}

Status FakeSys::write_file(const std::string& path, std::string_view text) {
    constexpr std::string_view kFreeze = "/cgroup.freeze";
    if (path.ends_with(kFreeze))
        files[path.substr(0, path.size() - kFreeze.size()) + "/cgroup.events"] =
            "populated 1\nfrozen " + std::string(freezes ? text : "0") + "\n";
    files[path] += std::string(text) + "\n";
    return {};
}

Result<Fd> FakeSys::open_read(const std::string& path) {
    const auto found = files.find(path);
    if (folders.contains(path)) return make_memfd({});
    if (found == files.end()) return fail_errno(ENOENT, "open " + path);
    return make_memfd(as_bytes(found->second));
}

Result<Fd> FakeSys::make_memfd(Bytes content) {
    Fd file(memfd_create("fake", MFD_CLOEXEC));
    CHECK(write(file.get(), content.data(), content.size()) == ssize_t(content.size()));
    return file;
}

Result<DeviceNumber> FakeSys::device_number(const std::string& path) {
    const auto found = devices.find(path);
    if (found == devices.end()) return fail_errno(ENOENT, "look at the device " + path);
    return found->second;
}

std::vector<std::string> FakeSys::host_devices() {
    std::vector<std::string> paths;
    for (const auto& [path, number] : devices) paths.push_back(path);
    return paths;
}

Status FakeSys::kill_process(uint32_t pid, int signal) {
    killed.emplace_back(pid, signal);
    return {};
}

}  // namespace noded::container

// A shim in a box, for tests on the real kernel: a scratch folder with a busybox rootfs, a shim
// that is driven over its control socket, and helpers that wait for what it answers. Needs root and
// /bin/busybox. Whatever a test leaves, the destructor takes away.
#pragma once

#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "plugins/container/shim/attach_frames.h"
#include "plugins/container/shim/launch_encode.h"
#include "plugins/container/shim/shim_client.h"

namespace noded {

struct ControlPacket {
    ControlHeader header;
    Buffer payload;
};

/// The fixed part at the beginning of a payload.
template <typename T>
Result<T> control_body(const ControlPacket& packet) {
    T body;
    if (packet.payload.size() < sizeof body)
        return fail("the shim sent a packet that is too short");
    std::memcpy(&body, packet.payload.data(), sizeof body);
    return body;
}

/// The exit record of a runtime folder; ENOENT when the container has not ended, or a shim died
/// with it.
Result<ShimExit> read_exit_record(const std::string& runtime_dir);

/// What an attached client has received.
struct AttachedOutput {
    std::string out;
    std::string err;
    uint64_t lost = 0;
    std::optional<int> code;  ///< of the exit frame
    bool closed = false;
};

/// nodectl's end of an attach socket.
class AttachEnd {
public:
    AttachEnd();

    int shim_end() const { return theirs_.get(); }
    void passed() { theirs_.reset(); }  ///< call when the shim has been given its end
    void close() { ours_.reset(); }
    void feed(std::string_view bytes);
    void end_input();
    void resize(uint16_t rows, uint16_t columns);
    /// Reads until `done` says so or the end of the stream or five seconds.
    const AttachedOutput& read_until(const std::function<bool(const AttachedOutput&)>& done);
    const AttachedOutput& read_all();

private:
    void send(AttachKind kind, Bytes body);
    void take_frames();

    Fd ours_;
    Fd theirs_;
    std::string received_;
    AttachedOutput output_;
};

class ShimBox {
public:
    explicit ShimBox(bool with_shim = true);
    ~ShimBox();
    ShimBox(const ShimBox&) = delete;
    ShimBox& operator=(const ShimBox&) = delete;

    /// A spec with docker's defaults, on the busybox layer, running `sh -c script`.
    LaunchSpec spec(const std::string& script) const;
    LaunchSpec spec(const std::vector<std::string>& arguments) const;

    void spawn(bool empties_mounts = true);
    void launch(const LaunchSpec& spec, AttachEnd* attach = nullptr, uint32_t flags = 0);
    /// launch, and wait for STARTED; the test fails with the shim's sentence otherwise.
    StartedReply start(const LaunchSpec& spec, AttachEnd* attach = nullptr, uint32_t flags = 0);
    /// start, wait for EXITED, and return the docker exit code.
    int run(const LaunchSpec& spec);
    /// launch, expect START_FAILED; returns code and sentence.
    std::pair<int, std::string> run_failing(const LaunchSpec& spec);
    ExitReply wait_exit();
    void release();

    ControlPacket wait_for(ControlType type);
    /// Sends and waits for its RESULT; returns the errno value.
    int request(ControlType type, Bytes payload, uint32_t flags = 0,
                const std::vector<int>& fds = {});
    int signal(int number, const std::string& exec = "");
    /// With a tag that lets the shim know the second of two (control_signal_once).
    int signal_once(int number, uint64_t seq);
    int attach(AttachEnd& end, uint32_t flags);
    /// Returns the type and sentence of the answer.
    std::pair<ControlType, std::string> exec(const ProcessSpec& process, AttachEnd* attach,
                                             uint32_t flags);
    ProcessSpec process(const std::string& id, const std::string& script) const;

    void disconnect() { control_.reset(); }
    void reconnect();
    StatusReply status(std::vector<ExecReply>* execs = nullptr);

    std::string logged(uint8_t stream) const;  ///< all bytes of one stream in the log file
    /// Paths of the files of the log, oldest first.
    std::vector<std::string> log_segments() const;
    /// path in the layer, written
    std::string file(const std::string& path, const std::string& content = "") const;
    std::string scratch(const std::string& name) const { return folder_ + "/" + name; }
    std::string runtime() const { return scratch("run"); }
    std::string layer() const { return scratch("lower"); }
    int shim_pid() const { return pid_; }
    bool wait_shim_gone();

private:
    std::string folder_;
    std::string shim_path_;
    Fd control_;
    Fd pidfd_;
    int pid_ = -1;
    uint64_t tag_ = 0;
    std::vector<ControlPacket> kept_;  ///< received while waiting for something else
};

/// All of: bytes of a file, empty when it cannot be read.
std::string read_file(const std::string& path);

}  // namespace noded

// SilentDisk: a file system that takes questions and does not answer, as a network disk whose
// server is gone. FUSE (fuse(4), linux/fuse.h), spoken by a thread of the test.
#pragma once

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace noded::test {

class SilentDisk {
public:
    /// Mounted on a folder that is there; where there is no FUSE it is not `mounted`.
    explicit SilentDisk(const std::string& folder) : folder_(folder) {
        device_ = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
        const std::string options =
            "fd=" + std::to_string(device_) + ",rootmode=40000,user_id=0,group_id=0";
        mounted_ = device_ >= 0 && mount("silent", folder.c_str(), "fuse", MS_NOSUID | MS_NODEV,
                                         options.c_str()) == 0;
        if (mounted_) thread_ = std::thread([this] { listen(); });
    }
    ~SilentDisk() {
        give_up();
        if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
    }
    SilentDisk(const SilentDisk&) = delete;
    SilentDisk& operator=(const SilentDisk&) = delete;

    bool mounted() const { return mounted_; }
    /// Questions that somebody waits for the answers of.
    unsigned asked() const { return asked_; }
    /// Whoever waits has an error.
    void give_up() {
        over_ = true;
        if (thread_.joinable()) thread_.join();
        if (device_ >= 0) close(device_);
        device_ = -1;
    }

private:
    void listen() {
        std::vector<char> question(FUSE_MIN_READ_BUFFER + (1 << 20));
        while (!over_) {
            pollfd ready{device_, POLLIN, 0};
            if (poll(&ready, 1, 50) <= 0) continue;
            const ssize_t size = read(device_, question.data(), question.size());
            fuse_in_header head;
            if (size < ssize_t(sizeof head)) continue;
            memcpy(&head, question.data(), sizeof head);
            if (head.opcode == FUSE_INIT) begin(head.unique);
            else ++asked_;
        }
    }
    /// The one answer there is: which version is spoken.
    void begin(uint64_t unique) {
        struct {
            fuse_out_header head;
            fuse_init_out init;
        } answer{};
        answer.head.len = sizeof answer;
        answer.head.unique = unique;
        answer.init.major = FUSE_KERNEL_VERSION;
        answer.init.minor = FUSE_KERNEL_MINOR_VERSION;
        answer.init.max_write = 4096;
        [[maybe_unused]] const ssize_t sent = write(device_, &answer, sizeof answer);
    }

    const std::string folder_;
    int device_ = -1;
    bool mounted_ = false;
    std::atomic<bool> over_ = false;
    std::atomic<unsigned> asked_ = 0;
    std::thread thread_;
};

}  // namespace noded::test

// OnTerminal: a program on a terminal of its own (a pty), whose keys are typed and whose screen is
// read by a test; the terminal can go away under it.
#pragma once

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {

class OnTerminal {
public:
    OnTerminal(const std::vector<std::string>& argv, std::vector<std::string> environment,
               unsigned short rows = 30, unsigned short columns = 120) {
        winsize size{rows, columns, 0, 0};
        pid_ = forkpty(&fd_, nullptr, nullptr, &size);
        if (pid_ != 0) return;
        std::vector<char*> words, variables;
        for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
        for (const std::string& one : environment)
            variables.push_back(const_cast<char*>(one.c_str()));
        words.push_back(nullptr);
        variables.push_back(nullptr);
        execve(words[0], words.data(), variables.data());
        _exit(121);
    }
    ~OnTerminal() {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        go_away();
    }
    OnTerminal(const OnTerminal&) = delete;
    OnTerminal& operator=(const OnTerminal&) = delete;

    void type(const std::string& keys) { (void)!write(fd_, keys.data(), keys.size()); }
    void resize(unsigned short rows, unsigned short columns) {
        winsize size{rows, columns, 0, 0};
        ioctl(fd_, TIOCSWINSZ, &size);
    }
    /// As when its window is closed.
    void go_away() {
        if (fd_ >= 0) close(fd_);
        fd_ = -1;
    }
    /// All that was drawn since the last `forget`.
    const std::string& drawn() {
        char buffer[65536];
        for (pollfd ready{fd_, POLLIN, 0}; fd_ >= 0 && poll(&ready, 1, 20) > 0;) {
            const ssize_t size = read(fd_, buffer, sizeof buffer);
            if (size <= 0) break;
            drawn_.append(buffer, static_cast<size_t>(size));
        }
        return drawn_;
    }
    void forget() {
        drawn();
        drawn_.clear();
    }
    bool has_drawn(const std::string& text, int seconds = 30) {
        return eventually([&] { return says(drawn(), text); }, seconds);
    }
    /// Types, and waits until all of the screen was drawn anew and has it.
    bool shows(const std::string& text, const std::string& keys = "") {
        if (!keys.empty()) type(keys);
        for (int tries = 0; tries < 5; ++tries) {
            forget();
            type("\x0c");
            if (eventually([&] { return says(drawn(), text); }, 1)) return true;
        }
        return false;
    }
    /// -1: it has not ended within so many seconds.
    int exit_code(int seconds = 10) {
        int status = 0;
        const bool ended = eventually(
            [&] {
                drawn();
                return waitpid(pid_, &status, WNOHANG) == pid_;
            },
            seconds);
        if (!ended) return -1;
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }

private:
    pid_t pid_ = -1;
    int fd_ = -1;
    std::string drawn_;
};

}  // namespace noded::test

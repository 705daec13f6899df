// noci and an agent that is told of system calls (linux.seccomp.listenerPath): it knows the
// container from its creation on, and answers for it after the start.
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "agent/base/fd.h"
#include "tests/integration/noci_fixture.h"

namespace noded::test {
namespace {

class NociNotify : public Noci {
protected:
    void SetUp() override {
        Noci::SetUp();
        socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = base_ + "/agent";
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path.c_str());
        ASSERT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                  0);
        ASSERT_EQ(listen(socket_.get(), 1), 0);
        config_["root"]["readonly"] = false;
        config_["linux"]["seccomp"] = {
            {"defaultAction", "SCMP_ACT_ALLOW"},
            {"listenerPath", path},
            {"listenerMetadata", "opaque"},
            {"syscalls", Json::array({rule({"mkdir", "mkdirat"}, "SCMP_ACT_NOTIFY")})}};
        command("mkdir /made 2>/told; echo done >> /told");
    }
    static Json rule(std::vector<std::string> names, const char* action) {
        return {{"names", std::move(names)}, {"action", action}};
    }
    /// What the agent is sent, and the descriptor that comes with it.
    Json hear(Fd* listener) {
        if (!comes(socket_.get())) return {};
        const Fd connection(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        char text[8192];
        iovec part = {text, sizeof text};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t size = recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC);
        const cmsghdr* rights = size > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
        if (rights == nullptr) return {};
        int fd = -1;
        memcpy(&fd, CMSG_DATA(rights), sizeof fd);
        listener->reset(fd);
        return Json::parse(std::string(text, size_t(size)), nullptr, false);
    }
    /// Something to read, in a minute at most.
    static bool comes(int fd) {
        pollfd news = {fd, POLLIN, 0};
        return poll(&news, 1, 60'000) == 1;
    }
    /// Whether noci has told the agent yet.
    bool is_told() const {
        pollfd news = {socket_.get(), POLLIN, 0};
        return poll(&news, 1, 0) == 1;
    }
    /// One call is answered: no such device.
    static void answer(int listener) {
        ASSERT_TRUE(comes(listener)) << "nobody asks";
        seccomp_notif asked{};
        ASSERT_EQ(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked), 0) << strerror(errno);
        seccomp_notif_resp answer{};
        answer.id = asked.id;
        answer.error = -ENODEV;
        ASSERT_EQ(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer), 0) << strerror(errno);
    }
    /// From the creation to the end of the command.
    void live(bool told_at_create) {
        write_config();
        ASSERT_EQ(detached({"create", "--bundle", bundle_, id_}).exit_code, 0)
            << read_text(base_ + "/err");
        ASSERT_EQ(is_told(), told_at_create);
        const Json created = state();
        EXPECT_EQ(created["status"], "created");
        Fd listener;
        Json told;
        std::thread agent([&] {
            told = hear(&listener);
            answer(listener.get());
        });
        const Ran started = noci({"start", id_});
        agent.join();
        EXPECT_EQ(started.exit_code, 0) << started.err;
        EXPECT_EQ(told["metadata"], "opaque");
        EXPECT_EQ(told["fds"], Json::array({"seccompFd"}));
        EXPECT_EQ(told["pid"], created["pid"]);
        EXPECT_EQ(told["state"]["id"], id_);
        EXPECT_EQ(told["state"]["status"], "creating");
        EXPECT_TRUE(wait_for("stopped"));
        EXPECT_EQ(read_text(bundle_ + "/rootfs/told"),
                  "mkdir: can't create directory '/made': No such device\ndone\n");
    }

    Fd socket_;
};

TEST_F(NociNotify, the_agent_knows_a_container_from_its_creation_on) { live(true); }

TEST_F(NociNotify, also_one_that_may_wait_in_no_futex) {
    config_["linux"]["seccomp"]["syscalls"].push_back(rule({"futex"}, "SCMP_ACT_ERRNO"));
    live(true);
}

TEST_F(NociNotify, or_that_gets_no_privileges) {
    config_["process"]["noNewPrivileges"] = false;
    live(true);
}

TEST_F(NociNotify, and_of_a_user_without_rights) {
    config_["process"]["user"] = {{"uid", 1000}, {"gid", 1000}};
    chmod((bundle_ + "/rootfs").c_str(), 0777);
    live(true);
}

/// Nothing that a process could wait in is allowed to it: the filter comes after the start.
TEST_F(NociNotify, at_the_start_where_the_filter_lets_nobody_wait) {
    config_["linux"]["seccomp"]["syscalls"].push_back(rule({"futex"}, "SCMP_ACT_ERRNO"));
    Json read = rule({"read"}, "SCMP_ACT_ERRNO");
    read["args"] = Json::array({{{"index", 0}, {"value", 77}, {"op", "SCMP_CMP_EQ"}}});
    config_["linux"]["seccomp"]["syscalls"].push_back(read);
    live(false);
}

TEST_F(NociNotify, without_an_agent_nothing_is_created) {
    fs::remove(base_ + "/agent");
    write_config();
    const Ran created = detached({"create", "--bundle", bundle_, id_});
    EXPECT_EQ(created.exit_code, 1);
    EXPECT_NE(created.err.find("failed to connect with seccomp agent"), std::string::npos)
        << created.err;
    EXPECT_EQ(noci({"state", id_}).exit_code, 1);
}

/// The start is still to come: neither the filter nor the thread that waits is in the way.
TEST_F(NociNotify, one_that_waits_is_killed_and_deleted) {
    write_config();
    ASSERT_EQ(detached({"create", "--bundle", bundle_, id_}).exit_code, 0);
    ASSERT_EQ(noci({"kill", id_, "TERM"}).exit_code, 0);
    EXPECT_TRUE(wait_for("stopped"));
    EXPECT_EQ(noci({"delete", id_}).exit_code, 0);
}

}  // namespace
}  // namespace noded::test

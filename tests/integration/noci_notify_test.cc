// noci and an agent that is told of system calls (linux.seccomp.listenerPath): it knows the
// container from its creation on, and answers for it after the start.
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <thread>

#include "agent/base/fd.h"
#include "tests/integration/descriptor_receiver.h"
#include "tests/integration/noci_fixture.h"

namespace noded::test {
namespace {

class NociNotify : public Noci {
protected:
    void SetUp() override {
        Noci::SetUp();
        const std::string path = base_ + "/agent";
        ASSERT_TRUE(agent_.listen_at(path));
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
        if (!comes(agent_.fd())) return {};
        DescriptorReceiver::Received received = agent_.receive();
        *listener = std::move(received.fd);
        return Json::parse(received.bytes, nullptr, false);
    }
    /// Something to read, in a minute at most.
    static bool comes(int fd) {
        pollfd news = {fd, POLLIN, 0};
        return poll(&news, 1, 60'000) == 1;
    }
    /// Whether noci has told the agent yet.
    bool is_told() const {
        pollfd news = {agent_.fd(), POLLIN, 0};
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

    DescriptorReceiver agent_;
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

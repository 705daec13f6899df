// Effects on FakeSys: the test plays the shims. What is durable, what is told to a shim, what is
// proposed, and what is left behind, also when noded is killed in between.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

#include "plugins/container/files/job.h"
#include "plugins/container/limits.h"
#include "plugins/container/test_plugin.h"

namespace noded::container {
namespace {

using sdk::FakeHost;
using sdk::Message;
using sdk::Reading;
using Interface = schema::Container;

CommandId numbered(uint8_t number) {
    CommandId id;
    id.bytes[0] = number;
    return id;
}

std::pair<Fd, Fd> stream_pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {Fd(ends[0]), Fd(ends[1])};
}

bool hung_up(const Fd& fd) {
    pollfd polled{fd.get(), POLLIN, 0};
    return poll(&polled, 1, 0) == 1 && (polled.revents & POLLHUP) != 0;
}

class ContainerEffects : public testing::Test {
protected:
    ContainerEffects() {
        prepare(host);
        host.inject<schema::ImageAdded>([](auto image) {
            image.setId("sha256:aa");
            image.setConfig("{\"config\":{\"Cmd\":[\"sh\"]}}");
            image.initNames(1).set(0, "box:latest");
        });
    }

    FakeSys& sys() { return *test_sys; }
    FakeShim& shim() { return sys().newest(); }
    std::string run_folder(int run = 1) {
        return host.runtime_dir("container") + "/" + id + "/" + std::to_string(run);
    }
    /// MOUNT/noded/NODE in each hierarchy.
    std::vector<std::string> node_groups() {
        std::vector<std::string> found;
        for (const char* mount : {"/cg/cpu", "/cg/devices", "/cg/unified"})
            for (const std::string& node : sys().folders_in(std::string(mount) + "/noded"))
                found.push_back(std::string(mount) + "/noded/" + node);
        return found;
    }
    void settle() {
        do {
            host.advance(0);   // what was put off to the next turn
        } while (host.poll_fds() > 0);
    }

    void run(bool auto_remove = false) {
        const auto outcome = host.command<schema::RunContainer>(
            [&](auto command) {
                command.getSpec().setImage("box");
                command.getSpec().setName("web");
                command.getSpec().setAutoRemove(auto_remove);
            },
            {.id = numbered(7)});
        ASSERT_TRUE(outcome.accepted) << outcome.message;
    }
    void prepare_rootfs() {
        host.inject<schema::RootfsPrepared>([&](auto event) {
            event.setContainerId(id);
            event.initLowers(1).set(0, "/lower");
            event.setUpper("/upper");
            event.setWork("/work");
        });
    }
    void remove_rootfs() {
        host.inject<schema::RootfsRemoved>([&](auto event) { event.setContainerId(id); });
    }
    /// Up to a running container; the shim has taken its launch.
    void start() {
        run();
        prepare_rootfs();
        ASSERT_EQ(shim().take()->header.type, ControlType::launch);
        shim().say_started(77);
        settle();
        ASSERT_EQ(phase(), Phase::RUNNING);
    }
    void exit_with(int32_t code) {
        shim().say_exited(code);
        settle();
    }

    template <typename Command>
    FakeHost::Outcome command(std::function<void(typename Command::Builder)> more = {}) {
        return host.command<Command>([&](auto builder) {
            builder.setContainer("web");
            if (more) more(builder);
        });
    }
    std::string exec(uint8_t number) {
        const auto outcome = host.command<schema::ExecContainer>(
            [&](auto builder) {
                builder.setContainer("web");
                builder.initArgv(1).set(0, "ls");
            },
            {.id = numbered(number)});
        EXPECT_TRUE(outcome.accepted) << outcome.message;
        return numbered(number).hex();
    }

    Phase phase() {
        const uint64_t token = host.call<Interface::InspectParams>(
            "container", "inspect", [](auto in) { in.setContainer("web"); });
        if (host.answer(token)->refused) return Phase(99);
        return Reading<Interface::InspectResults>(host.answer(token)->bytes())
            ->getState()
            .getPhase();
    }
    uint64_t wait(Until until, const std::string& whom) {
        return host.call<Interface::WaitParams>("container", "wait", [&](auto in) {
            in.setContainer(whom);
            in.setUntil(until);
        });
    }
    /// "code error started-failed", or "waits".
    std::string waited(uint64_t token) {
        const auto* answer = host.answer(token);
        if (answer == nullptr) return "waits";
        if (answer->refused) return "refused: " + answer->message;
        Reading<Interface::WaitResults> in(answer->bytes());
        const auto result = in->getResult();
        return std::to_string(result.getExitCode()) + (result.getStartFailed() ? " failed " : " ") +
               result.getError().cStr();
    }
    uint64_t attach(const std::string& whom, Fd fd) {
        return host.call<Interface::AttachParams>(
            "container", "attach", [&](auto in) { in.setContainer(whom); }, std::move(fd));
    }

    FakeHost host;
    std::string id = numbered(7).hex();
};

TEST_F(ContainerEffects, launch_waits_for_the_rootfs_and_names_it) {
    run();
    EXPECT_EQ(sys().shims.size(), 0u);
    prepare_rootfs();
    ASSERT_EQ(sys().shims.size(), 1u);
    const auto packet = shim().take();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.type, ControlType::launch);
    const std::string spec(as_text(packet->payload));
    for (const char* part : {"/lower", "/upper", "/work", "/cg/unified/noded/", "/cg/cpu/noded/"})
        EXPECT_NE(spec.find(part), std::string::npos) << part;
    EXPECT_EQ(spec.find("/cg/cpuset"), std::string::npos);
    EXPECT_NE(spec.find(run_folder()), std::string::npos);
    EXPECT_FALSE(shim().take());
    prepare_rootfs();
    EXPECT_FALSE(shim().take()) << "a shim that serves a run is left alone";
}

TEST_F(ContainerEffects, nothing_happens_before_the_start_is_durable) {
    host.hold_reactions(true);
    run();
    prepare_rootfs();
    EXPECT_EQ(sys().shims.size(), 0u);
    EXPECT_TRUE(sys().traces_of(id).empty());
    host.hold_reactions(false);
    EXPECT_EQ(sys().shims.size(), 1u);
}

TEST_F(ContainerEffects, shims_are_kept_ready_after_the_first_start) {
    start();
    host.advance(1'000'000'000);
    ASSERT_EQ(sys().shims.size(), 1 + limits::idle_shims);
    EXPECT_FALSE(shim().take());
}

/// Starts that take all that waits make the pool larger, until no start comes any more.
TEST_F(ContainerEffects, a_burst_makes_the_pool_larger_for_a_while) {
    start();
    host.advance(1'000'000'000);
    const auto starts_another = [&](uint8_t number) {
        host.command<schema::RunContainer>([](auto in) { in.getSpec().setImage("box"); },
                                           {.id = numbered(number)});
        host.inject<schema::RootfsPrepared>([&](auto event) {
            event.setContainerId(numbered(number).hex());
            event.initLowers(1).set(0, "/lower");
            event.setUpper("/upper");
            event.setWork("/work");
        });
    };
    constexpr uint8_t burst = limits::idle_shims;
    for (uint8_t i = 0; i < burst; ++i) starts_another(uint8_t(20 + i));
    host.advance(1'000'000'000);
    EXPECT_EQ(sys().shims.size(), 1 + burst + 2 * limits::idle_shims);
    const auto told_to_end = [&] {
        return std::ranges::count_if(sys().shims, [](auto& each) {
            const auto packet = each->take();
            return packet && packet->header.type == ControlType::release;
        });
    };
    for (auto& each : sys().shims) (void)each->take();   // the launches
    host.advance(10'000'000'000);
    EXPECT_EQ(told_to_end(), ptrdiff_t(limits::idle_shims));
}

/// Nobody waits for the shim of a removed container, so it goes when no start is under way.
TEST_F(ContainerEffects, a_removed_container_leaves_its_shim_to_a_quiet_moment) {
    run(true);
    prepare_rootfs();
    FakeShim& first = shim();
    ASSERT_EQ(first.take()->header.type, ControlType::launch);
    first.say_started(77);
    settle();
    first.say_exited(0);
    settle();
    EXPECT_EQ(host.count<schema::ContainerRemoved>(), 1u);
    EXPECT_FALSE(first.take());
    host.advance(sdk::Quiet::quiet_ns - 1);
    EXPECT_FALSE(first.take());
    host.advance(1);
    const auto packet = first.take();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.type, ControlType::release);
}

TEST_F(ContainerEffects, cgroups_are_made_while_the_rootfs_is_prepared) {
    run();
    host.advance(1);
    EXPECT_EQ(sys().traces_of(id).size(), 5u) << "three cgroups, log and runtime folder";
    prepare_rootfs();
    EXPECT_EQ(shim().take()->header.type, ControlType::launch);
}

TEST_F(ContainerEffects, a_start_that_was_prepared_only_is_begun_anew_after_a_restart) {
    run();
    host.advance(1);
    host.restart();
    EXPECT_EQ(host.count<schema::ContainerStartFailed>(), 0u);
    prepare_rootfs();
    ASSERT_EQ(sys().shims.size(), 1u);
    EXPECT_EQ(shim().take()->header.type, ControlType::launch);
}

TEST_F(ContainerEffects, started_carries_pids_and_start_time) {
    start();
    const auto* event = host.last<schema::ContainerStarted>();
    ASSERT_NE(event, nullptr);
    Reading<schema::ContainerStarted> in(event->bytes());
    EXPECT_EQ(in->getPid(), 77u);
    EXPECT_EQ(in->getShimPid(), 1000u);
    EXPECT_EQ(in->getPidStartTime(), 5555u);
    EXPECT_EQ(event->command_id, numbered(7));
    EXPECT_EQ(event->cause_seq, host.last<schema::ContainerStartRequested>()->seq);
}

TEST_F(ContainerEffects,
       after_the_exit_is_durable_the_shim_is_released_and_nothing_is_left_but_the_log) {
    start();
    host.hold_reactions(true);
    exit_with(3);
    EXPECT_FALSE(shim().take()) << "released before the exit was durable";
    host.hold_reactions(false);
    settle();
    const auto packet = shim().take();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.type, ControlType::release);
    shim().die();
    settle();
    EXPECT_EQ(sys().reaped, 1u);
    EXPECT_EQ(sys().traces_of(id),
              std::vector<std::string>{host.state_dir("container") + "/" + id});
    EXPECT_EQ(phase(), Phase::EXITED);
}

TEST_F(ContainerEffects, an_exit_is_told_once_however_often_it_is_heard) {
    start();
    shim().say_exited(3);
    shim().say_exited(4);
    settle();
    EXPECT_EQ(host.count<schema::ContainerExited>(), 1u);
    EXPECT_EQ(host.stale_proposals(), 1u);
    Reading<schema::ContainerExited> in(host.last<schema::ContainerExited>()->bytes());
    EXPECT_EQ(in->getExitCode(), 3u);
}

TEST_F(ContainerEffects, a_failed_start_tells_code_and_sentence_and_cleans_up) {
    run();
    prepare_rootfs();
    const uint64_t token = wait(Until::STARTED, "web");
    shim().say_start_failed(127, "exec nope: no such file or directory");
    settle();
    EXPECT_EQ(waited(token), "127 failed exec nope: no such file or directory");
    EXPECT_EQ(phase(), Phase::CREATED);
    shim().take();
    ASSERT_EQ(shim().take()->header.type, ControlType::release);
    shim().die();
    settle();
    EXPECT_EQ(sys().traces_of(id).size(), 1u);
}

TEST_F(ContainerEffects, no_shim_program_is_a_failed_start) {
    sys().spawn_error = "execute /shim: ENOENT";
    run();
    prepare_rootfs();
    Reading<schema::ContainerStartFailed> in(host.last<schema::ContainerStartFailed>()->bytes());
    EXPECT_EQ(in->getExitCode(), 125u);
    EXPECT_EQ(std::string(in->getMessage().cStr()), "execute /shim: ENOENT");
    EXPECT_EQ(sys().traces_of(id).size(), 1u) << "the log folder only";
}

TEST_F(ContainerEffects, a_second_run_waits_until_the_first_is_gone) {
    start();
    // each of the three cgroups at the release, one again when the shim is gone
    sys().busy_removals = 4;
    exit_with(0);
    FakeShim& first = shim();
    ASSERT_TRUE(command<schema::StartContainer>().accepted);
    EXPECT_EQ(sys().shims.size(), 1u);
    first.die();
    settle();
    EXPECT_EQ(sys().shims.size(), 1u) << "a cgroup was still busy";
    host.advance(1'000'000'000);
    // The newest wait for other starts, the more as this one took the last that waited.
    ASSERT_EQ(sys().shims.size(), 2 + 2 * limits::idle_shims);
    EXPECT_EQ(sys().shims[1]->take()->header.type, ControlType::launch);
    EXPECT_TRUE(sys().exists(run_folder(2)));
    EXPECT_FALSE(sys().exists(run_folder(1)));
}

TEST_F(ContainerEffects, a_shim_that_does_not_go_when_it_is_released_is_killed) {
    start();
    FakeShim& stopped = shim();
    exit_with(0);
    ASSERT_EQ(stopped.take()->header.type, ControlType::release);
    ASSERT_TRUE(command<schema::StartContainer>().accepted);
    host.advance(limits::release_deadline_ns - 1);
    EXPECT_TRUE(sys().killed.empty());
    host.advance(1);
    ASSERT_EQ(sys().killed.size(), 1u);
    EXPECT_EQ(sys().killed[0], std::pair(stopped.pid(), 9));
    stopped.die();
    settle();
    const bool launched = std::ranges::any_of(sys().shims, [](auto& shim) {
        const auto packet = shim->take();
        return packet && packet->header.type == ControlType::launch;
    });
    EXPECT_TRUE(launched);
    EXPECT_EQ(sys().killed.size(), 1u);
}

TEST_F(ContainerEffects, a_removal_waits_for_no_folder_and_the_folders_go_all_the_same) {
    host.command<schema::CreateContainer>(
        [&](auto in) {
            in.getSpec().setImage("box");
            in.getSpec().setName("web");
        },
        {.id = numbered(8)});
    id = numbered(8).hex();
    prepare_rootfs();
    // A cgroup of an earlier run is still busy.
    for (const std::string& path : node_groups()) sys().folders.insert(path + "/" + id);
    sys().busy_removals = 1;
    ASSERT_TRUE(command<schema::RemoveContainer>().accepted);
    EXPECT_EQ(phase(), Phase(99));
    EXPECT_FALSE(sys().traces_of(id).empty());
    host.advance(1'000'000'000);
    EXPECT_TRUE(sys().traces_of(id).empty());
    remove_rootfs();
    EXPECT_EQ(host.count<schema::ContainerRemoved>(), 1u);
    EXPECT_EQ(host.stale_proposals(), 0u);
}

TEST_F(ContainerEffects, auto_remove_leaves_nothing) {
    run(true);
    prepare_rootfs();
    const uint64_t token = wait(Until::REMOVED, id);
    shim().say_started(77);
    settle();
    exit_with(5);
    EXPECT_EQ(host.count<schema::ContainerRemovalRequested>(), 1u);
    EXPECT_EQ(waited(token), "5 ");
    remove_rootfs();
    shim().die();
    settle();
    EXPECT_TRUE(sys().traces_of(id).empty());
    EXPECT_EQ(waited(wait(Until::EXITED, id)), "5 ") << "a late wait still learns it";
}

TEST_F(ContainerEffects, stop_sends_the_signal_and_then_kills) {
    start();
    FakeShim& its = shim();  // time brings another one that waits
    ASSERT_TRUE(command<schema::StopContainer>([](auto in) { in.setTimeoutSeconds(5); }).accepted);
    const auto signal_of = [](const std::optional<ShimPacket>& packet) {
        SignalRequest request{};
        if (packet && packet->header.type == ControlType::signal)
            memcpy(&request, packet->payload.data(), sizeof request);
        return request.signal;
    };
    EXPECT_EQ(signal_of(its.take()), 15u);
    host.advance(4'900'000'000);
    EXPECT_FALSE(its.take());
    host.advance(200'000'000);
    EXPECT_EQ(signal_of(its.take()), 9u);
}

TEST_F(ContainerEffects, a_forced_removal_kills_and_removes_after_the_exit) {
    start();
    ASSERT_TRUE(command<schema::RemoveContainer>([](auto in) { in.setForce(true); }).accepted);
    EXPECT_EQ(shim().take()->header.type, ControlType::signal);
    EXPECT_EQ(host.count<schema::ContainerRemovalRequested>(), 0u);
    exit_with(137);
    EXPECT_EQ(host.count<schema::ContainerRemovalRequested>(), 1u);
}

// ---------------------------------------------------------------- streams and waits

TEST_F(ContainerEffects, what_is_attached_before_the_command_goes_along_with_the_launch) {
    auto [ours, theirs] = stream_pair();
    auto [ours2, theirs2] = stream_pair();
    const uint64_t token = attach(id, std::move(theirs));
    ASSERT_NE(host.answer(token), nullptr) << "the client may go on";
    EXPECT_FALSE(host.answer(token)->refused);
    attach(id, std::move(theirs2));
    run();
    prepare_rootfs();
    const auto launch = shim().take();
    ASSERT_TRUE(launch);
    EXPECT_EQ(launch->fds.size(), 1u);
    EXPECT_EQ(launch->header.flags, control_attach_socket | attach_stdin | attach_stdout |
                                        attach_stderr | attach_from_start);
    shim().say_started(77);
    settle();
    const auto second = shim().take();
    ASSERT_TRUE(second);
    EXPECT_EQ(second->header.type, ControlType::attach);
    EXPECT_EQ(second->fds.size(), 1u);
}

TEST_F(ContainerEffects, a_stream_whose_command_never_comes_is_closed) {
    auto [ours, theirs] = stream_pair();
    attach(id, std::move(theirs));
    const uint64_t token = wait(Until::EXITED, id);
    EXPECT_FALSE(hung_up(ours));
    host.advance(limits::park_deadline_ns + 1);
    EXPECT_TRUE(hung_up(ours));
    EXPECT_EQ(waited(token), "refused: No such container: " + id);
    EXPECT_EQ(host.timers(), 0u);
}

TEST_F(ContainerEffects, attach_to_a_running_container_is_answered_by_its_shim) {
    start();
    auto [ours, theirs] = stream_pair();
    const uint64_t token = attach("web", std::move(theirs));
    EXPECT_EQ(host.answer(token), nullptr);
    const auto packet = shim().take();
    ASSERT_TRUE(packet);
    shim().say_result(packet->header.tag, 0);
    settle();
    ASSERT_NE(host.answer(token), nullptr);
    EXPECT_FALSE(host.answer(token)->refused);
}

TEST_F(ContainerEffects, attach_to_an_ended_container_is_a_conflict) {
    start();
    exit_with(0);
    auto [ours, theirs] = stream_pair();
    const uint64_t token = attach("web", std::move(theirs));
    EXPECT_EQ(host.answer(token)->code, NODED_REJECT_CONFLICT);
    EXPECT_TRUE(hung_up(ours));
}

TEST_F(ContainerEffects, waits_are_answered_when_the_outcome_is_durable) {
    const uint64_t started = wait(Until::STARTED, id);
    const uint64_t exited = wait(Until::EXITED, id);
    const uint64_t gone = wait(Until::EXITED, id);
    host.cancel(gone);
    run();
    prepare_rootfs();
    EXPECT_EQ(waited(started), "waits");
    shim().say_started(77);
    settle();
    EXPECT_EQ(waited(started), "0 ");
    EXPECT_EQ(waited(exited), "waits");
    exit_with(130);
    EXPECT_EQ(waited(exited), "130 ");
    EXPECT_EQ(waited(gone), "waits");
    EXPECT_EQ(waited(wait(Until::EXITED, "web")), "130 ");
    EXPECT_EQ(waited(wait(Until::EXITED, "nope")), "refused: No such container: nope");
}

TEST_F(ContainerEffects, an_exec_takes_its_stream_and_tells_its_end) {
    start();
    auto [ours, theirs] = stream_pair();
    const std::string exec_id = numbered(20).hex();
    host.call<Interface::AttachExecParams>(
        "container", "attachExec", [&](auto in) { in.setExecId(exec_id); }, std::move(theirs));
    const auto wait_exec = [&](bool started) {
        return host.call<Interface::WaitExecParams>("container", "waitExec", [&](auto in) {
            in.setExecId(exec_id);
            in.setStarted(started);
        });
    };
    const uint64_t begun = wait_exec(true);
    const uint64_t ended = wait_exec(false);
    exec(20);
    const auto packet = shim().take();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.type, ControlType::exec);
    EXPECT_EQ(packet->fds.size(), 1u);
    shim().say_exec(ControlType::exec_started, exec_id, 0);
    settle();
    EXPECT_NE(host.answer(begun), nullptr);
    EXPECT_EQ(host.answer(ended), nullptr);
    shim().say_exec(ControlType::exec_exited, exec_id, 4);
    settle();
    ASSERT_NE(host.answer(ended), nullptr);
    EXPECT_EQ(Reading<Interface::WaitExecResults>(host.answer(ended)->bytes())->getExitCode(), 4u);
    EXPECT_NE(host.answer(wait_exec(false)), nullptr) << "a late wait is answered from the state";
    EXPECT_EQ(host.last<schema::ExecExited>()->cause_seq, host.last<schema::ExecRequested>()->seq);
}

TEST_F(ContainerEffects, the_end_of_a_container_ends_its_execs) {
    start();
    exec(21);
    exit_with(0);
    shim().say_exec(ControlType::exec_exited, numbered(21).hex(), 9);
    settle();
    EXPECT_EQ(host.count<schema::ExecExited>(), 1u);
}

// ---------------------------------------------------------------- noded is killed

TEST_F(ContainerEffects, a_running_container_is_found_again) {
    start();
    exec(21);
    exec(22);
    sys().listening.insert(run_folder());
    host.restart();
    const auto packet = shim().take();
    ASSERT_TRUE(packet);
    EXPECT_EQ(packet->header.type, ControlType::status);
    ExecReply running{};
    running.exec = exec_id(numbered(21).hex());
    running.state = ShimState::running;
    shim().say_status(packet->header.tag, ShimState::running, 77, 0, {running});
    settle();
    EXPECT_EQ(phase(), Phase::RUNNING);
    EXPECT_EQ(host.count<schema::ExecFailed>(), 1u) << "the other exec was never told to the shim";
    exit_with(6);
    EXPECT_EQ(host.count<schema::ContainerExited>(), 1u);
}

TEST_F(ContainerEffects, an_exit_that_happened_meanwhile_is_told_once) {
    start();
    sys().listening.insert(run_folder());
    host.restart();
    const auto packet = shim().take();
    shim().say_status(packet->header.tag, ShimState::exited, 77, 9);
    shim().say_exited(9);
    settle();
    EXPECT_EQ(host.count<schema::ContainerExited>(), 1u);
    EXPECT_EQ(shim().take()->header.type, ControlType::release);
}

TEST_F(ContainerEffects, the_record_of_a_shim_that_is_gone_is_read) {
    start();
    sys().put_exit_record(run_folder(), id, ShimState::exited, 11);
    host.restart();
    Reading<schema::ContainerExited> in(host.last<schema::ContainerExited>()->bytes());
    EXPECT_EQ(in->getExitCode(), 11u);
    EXPECT_FALSE(in->getLost());
    EXPECT_EQ(sys().traces_of(id).size(), 1u);
}

TEST_F(ContainerEffects, a_record_with_a_flipped_bit_is_not_believed) {
    start();
    sys().put_exit_record(run_folder(), id, ShimState::exited, 11);
    std::string& record = sys().files[run_folder() + "/" + exit_record_name];
    record[offsetof(ExitRecord, exit)] ^= 1;
    host.restart();
    Reading<schema::ContainerExited> in(host.last<schema::ContainerExited>()->bytes());
    EXPECT_TRUE(in->getLost());
}

TEST_F(ContainerEffects, an_end_that_nobody_saw_is_lost_and_what_is_left_is_killed) {
    start();
    for (const std::string& path : sys().traces_of(id))
        if (path.starts_with("/cg/unified")) sys().files[path + "/cgroup.procs"] = "88\n89\n";
    host.restart();
    Reading<schema::ContainerExited> in(host.last<schema::ContainerExited>()->bytes());
    EXPECT_TRUE(in->getLost());
    EXPECT_EQ(in->getExitCode(), 137u);
    EXPECT_EQ(std::ranges::count(sys().killed, std::pair(uint32_t(88), 9)), 1);
}

TEST_F(ContainerEffects, a_shim_that_is_killed_at_run_time_ends_its_container) {
    start();
    shim().die();
    settle();
    Reading<schema::ContainerExited> in(host.last<schema::ContainerExited>()->bytes());
    EXPECT_TRUE(in->getLost());
}

/// ContainerStarted waits for a slow disk meanwhile.
TEST_F(ContainerEffects, a_shim_that_is_killed_before_its_start_is_durable_ends_its_container) {
    run();
    prepare_rootfs();
    shim().take();
    host.hold_reactions(true);
    shim().say_started(77);
    settle();
    shim().die();
    settle();
    host.hold_reactions(false);
    EXPECT_EQ(host.count<schema::ContainerStartFailed>(), 0u);
    ASSERT_EQ(host.count<schema::ContainerExited>(), 1u);
    Reading<schema::ContainerExited> in(host.last<schema::ContainerExited>()->bytes());
    EXPECT_TRUE(in->getLost());
    EXPECT_EQ(sys().traces_of(id).size(), 1u);
}

/// The rootfs is durable, and in the same moment the start fails and takes the container along.
TEST_F(ContainerEffects, what_is_gone_before_its_start_could_begin_is_not_started) {
    run(true);
    host.hold_reactions(true);
    prepare_rootfs();
    host.advance(limits::start_deadline_ns);
    EXPECT_EQ(host.count<schema::ContainerStartFailed>(), 1u);
    EXPECT_EQ(host.count<schema::ContainerRemoved>(), 1u);
    host.hold_reactions(false);
    settle();
    ASSERT_EQ(sys().shims.size(), limits::idle_shims) << "all of them are spare";
    EXPECT_FALSE(shim().take());
    EXPECT_TRUE(sys().traces_of(id).empty());
    EXPECT_EQ(host.stale_proposals(), 0u);
}

TEST_F(ContainerEffects, a_start_that_was_not_begun_is_begun_after_a_restart) {
    host.hold_reactions(true);
    run();
    prepare_rootfs();
    host.restart();
    host.hold_reactions(false);
    ASSERT_EQ(sys().shims.size(), 1u);
    EXPECT_EQ(shim().take()->header.type, ControlType::launch);
}

TEST_F(ContainerEffects, a_start_without_outcome_is_asked_for) {
    run();
    prepare_rootfs();
    sys().listening.insert(run_folder());
    host.restart();
    const auto packet = shim().take();
    ASSERT_EQ(packet->header.type, ControlType::status);
    shim().say_status(packet->header.tag, ShimState::exited, 77, 2);
    settle();
    EXPECT_EQ(host.count<schema::ContainerStarted>(), 1u);
    EXPECT_EQ(host.count<schema::ContainerExited>(), 1u);
}

TEST_F(ContainerEffects, a_start_whose_shim_is_gone_has_failed) {
    run();
    prepare_rootfs();
    host.restart();
    EXPECT_EQ(host.count<schema::ContainerStartFailed>(), 0u) << "the shim may be about to listen";
    host.advance(2'000'000'000);
    EXPECT_EQ(host.count<schema::ContainerStartFailed>(), 1u);
}

TEST_F(ContainerEffects, a_shim_that_was_not_released_is_released_after_a_restart) {
    start();
    host.hold_reactions(true);
    exit_with(0);
    sys().listening.insert(run_folder());
    host.restart();
    host.hold_reactions(false);
    settle();
    EXPECT_EQ(shim().take()->header.type, ControlType::release);
    sys().listening.clear();
    shim().die();
    settle();
    EXPECT_EQ(sys().traces_of(id).size(), 1u);
}

TEST_F(ContainerEffects, the_grace_period_of_a_stop_counts_from_its_event_also_in_a_snapshot) {
    start();
    ASSERT_TRUE(command<schema::StopContainer>([](auto in) { in.setTimeoutSeconds(10); }).accepted);
    host.advance(3'000'000'000);
    sys().listening.insert(run_folder());
    FakeShim* its = nullptr;
    for (const bool from_snapshot : {false, true}) {
        if (from_snapshot) host.restart_from_snapshot();
        else host.restart();
        its = &shim();
        its->say_status(its->take()->header.tag, ShimState::running, 77, 0);
        settle();
        EXPECT_EQ(its->take()->header.type, ControlType::signal);
        host.advance(from_snapshot ? 2'900'000'000 : 4'000'000'000);
        EXPECT_FALSE(its->take());
    }
    host.advance(200'000'000);
    const auto last = its->take();
    ASSERT_TRUE(last);
    EXPECT_EQ(last->header.type, ControlType::signal);
}

TEST_F(ContainerEffects,
       signals_that_a_crash_kept_from_the_shim_are_sent_in_order_by_the_next_start) {
    start();
    host.hold_reactions(true);
    for (const char* signal : {"HUP", "USR1", "HUP"})
        ASSERT_TRUE(
            command<schema::KillContainer>([&](auto in) { in.setSignal(signal); }).accepted);
    const uint64_t last = host.last<schema::ContainerKillRequested>()->seq;
    sys().listening.insert(run_folder());
    for (const bool from_snapshot : {false, true}) {
        if (from_snapshot) host.restart_from_snapshot();
        else host.restart();
        FakeShim& its = shim();
        const auto status = its.take();
        its.say_status(status->header.tag, ShimState::running, 77, 0);
        settle();
        for (const auto& [number, seq] : {std::pair{10u, last - 1}, std::pair{1u, last}}) {
            const auto packet = its.take();
            ASSERT_TRUE(packet && packet->header.type == ControlType::signal);
            SignalRequest request{};
            memcpy(&request, packet->payload.data(), sizeof request);
            EXPECT_EQ(request.signal, number);
            EXPECT_EQ(packet->header.tag, control_signal_once | seq);
        }
        EXPECT_FALSE(its.take());
    }
    host.restart();
    FakeShim& old = shim();
    old.version = 1;
    old.say_status(old.take()->header.tag, ShimState::running, 77, 0);
    settle();
    EXPECT_FALSE(old.take()) << "it would take a signal that it has had for a new one";
}

TEST_F(ContainerEffects,
       what_was_paused_for_a_commit_goes_on_although_a_crash_came_before_the_unpause) {
    start();
    const auto commit = command<schema::CommitContainer>();
    ASSERT_TRUE(commit.accepted) << commit.message;
    EXPECT_FALSE(command<schema::CommitContainer>().accepted) << "one at a time";
    host.hold_reactions(true);
    host.inject<schema::ImageImported>([](auto) {}, commit.id);
    sys().listening.insert(run_folder());
    host.restart_from_snapshot();
    host.restart();
    EXPECT_EQ(host.count<schema::ContainerUnpauseRequested>(), 0u);
    FakeShim& its = shim();
    its.say_status(its.take()->header.tag, ShimState::running, 77, 0);
    settle();
    EXPECT_EQ(host.count<schema::ContainerUnpauseRequested>(), 1u);
}

TEST_F(ContainerEffects, what_was_paused_for_a_commit_goes_on_when_that_fails_and_can_be_again) {
    start();
    const auto commit = command<schema::CommitContainer>();
    ASSERT_TRUE(commit.accepted) << commit.message;
    EXPECT_EQ(host.count<schema::ContainerPauseRequested>(), 1u);
    host.inject<schema::ImageImportFailed>([](auto) {}, host.next_id());
    settle();
    EXPECT_EQ(host.count<schema::ContainerUnpauseRequested>(), 0u) << "another one's";
    host.inject<schema::ImageImportFailed>([](auto) {}, commit.id);
    settle();
    EXPECT_EQ(host.count<schema::ContainerUnpauseRequested>(), 1u);
    host.advance(1'000'000'000);
    EXPECT_EQ(host.count<schema::ContainerUnpaused>(), 1u);
    EXPECT_TRUE(command<schema::CommitContainer>().accepted);
}

TEST_F(ContainerEffects, who_waits_for_a_pause_that_is_taken_back_is_told) {
    start();
    sys().freezes = false;
    const uint64_t paused = wait(Until::PAUSED, "web");
    ASSERT_TRUE(command<schema::PauseContainer>().accepted);
    settle();
    const uint64_t later = wait(Until::PAUSED, "web");
    EXPECT_EQ(waited(paused), "waits");
    ASSERT_TRUE(command<schema::UnpauseContainer>().accepted);
    settle();
    const std::string taken_back =
        "125 failed Container " + id + " was unpaused again before all its processes were paused";
    EXPECT_EQ(waited(paused), taken_back);
    EXPECT_EQ(waited(later), taken_back);
    const uint64_t next = wait(Until::PAUSED, "web");
    sys().freezes = true;
    ASSERT_TRUE(command<schema::PauseContainer>().accepted);
    settle();
    EXPECT_EQ(waited(next), "0 ");
}

TEST_F(ContainerEffects, a_removal_that_was_interrupted_goes_on) {
    start();
    exit_with(0);
    shim().die();
    settle();
    host.hold_reactions(true);
    ASSERT_TRUE(command<schema::RemoveContainer>().accepted);
    remove_rootfs();
    host.restart();
    host.hold_reactions(false);
    EXPECT_EQ(host.count<schema::ContainerRemoved>(), 1u);
    host.advance(1);
    EXPECT_TRUE(sys().traces_of(id).empty());
}

TEST_F(ContainerEffects, whoever_waits_for_what_a_removed_container_never_does_is_told) {
    start();
    const uint64_t update = wait(Until::UPDATED, "web");
    exit_with(0);
    const uint64_t late = wait(Until::UPDATED, "web");
    ASSERT_TRUE(command<schema::RemoveContainer>().accepted);
    settle();
    EXPECT_EQ(waited(update), "0 ");
    EXPECT_EQ(waited(late), "125 failed Container " + id + " was removed");
}

TEST_F(ContainerEffects, what_belongs_to_no_container_is_removed) {
    const std::string stray = numbered(99).hex();
    const std::string folder = host.runtime_dir("container") + "/" + stray;
    for (const std::string& path :
         {folder, folder + "/1", host.state_dir("container") + "/" + stray})
        sys().folders.insert(path);
    for (const std::string& path : node_groups()) sys().folders.insert(path + "/" + stray);
    ASSERT_EQ(sys().traces_of(stray).size(), 6u);
    host.restart();
    EXPECT_TRUE(sys().traces_of(stray).empty());
}

TEST_F(ContainerEffects, snapshot_and_fold_agree) {
    start();
    exec(30);
    ASSERT_TRUE(command<schema::StopContainer>().accepted);
    EXPECT_EQ(host.snapshot_trouble("container"), "");
    exit_with(1);
    ASSERT_TRUE(command<schema::RemoveContainer>().accepted);
    remove_rootfs();
    EXPECT_EQ(host.snapshot_trouble("container"), "");
}

TEST_F(ContainerEffects, a_list_comes_in_pages_and_has_what_a_list_shows) {
    constexpr unsigned kContainers = 64;
    const std::string label(60'000, 'x');
    for (uint8_t i = 0; i < kContainers; ++i) {
        const auto outcome = host.command<schema::CreateContainer>(
            [&](auto command) {
                auto spec = command.getSpec();
                spec.setImage("box");
                spec.initEnv(1).set(0, "SECRET=1");
                auto labels = spec.initLabels(1);
                labels[0].setKey("big");
                labels[0].setValue(label);
            },
            {.id = numbered(uint8_t(100 + i))});
        ASSERT_TRUE(outcome.accepted) << outcome.message;
    }
    std::vector<std::string> ids;
    size_t pages = 0;
    for (std::string after; pages == 0 || !after.empty(); ++pages) {
        const uint64_t token = host.call<Interface::ListParams>(
            "container", "list", [&](auto in) { in.setAfter(after); });
        EXPECT_LT(host.answer(token)->bytes().size, 2 * limits::list_page_bytes);
        Reading<Interface::ListResults> page(host.answer(token)->bytes());
        for (const auto state : page->getContainers()) {
            ids.push_back(state.getId().cStr());
            EXPECT_EQ(state.getSpec().getLabels()[0].getValue().size(), label.size());
            EXPECT_EQ(state.getSpec().getEnv().size(), 0u);
        }
        after = page->getNext().cStr();
    }
    EXPECT_GT(pages, 2u);
    ASSERT_EQ(ids.size(), kContainers);
    for (uint8_t i = 0; i < kContainers; ++i) EXPECT_EQ(ids[i], numbered(uint8_t(100 + i)).hex());
}

// ---------------------------------------------------------------- files

struct ContainerFiles : ContainerEffects {
    uint64_t ask(schema::FilesVerb verb, Fd stream = Fd()) {
        return host.call<Interface::FilesParams>(
            "container", "files",
            [&](auto in) {
                in.setContainer("web");
                in.initJob().setVerb(verb);
                in.getJob().setPath("/etc");
            },
            std::move(stream));
    }
    void answer(FakeFiles& helper, const files::Outcome& outcome) {
        const std::string text = files::encode(outcome);
        EXPECT_EQ(write(helper.outcome.get(), text.data(), text.size()), ssize_t(text.size()));
        helper.outcome.reset();
        settle();
    }
    std::string refusal(uint64_t token) {
        return host.answer(token) != nullptr && host.answer(token)->refused
                   ? host.answer(token)->message
                   : "";
    }
    bool was_ended(const FakeFiles& helper) {
        return std::ranges::count(sys().killed, std::pair(helper.pid, SIGTERM)) > 0;
    }
};

TEST_F(ContainerFiles, a_helper_is_told_where_the_files_are_and_its_outcome_is_the_answer) {
    start();
    const uint64_t token = ask(schema::FilesVerb::STAT);
    EXPECT_EQ(host.answer(token), nullptr);
    auto& helper = sys().files_helpers.at(0);
    const auto job = files::decode_job(helper.job);
    ASSERT_TRUE(job);
    EXPECT_EQ(job->path, "/etc");
    EXPECT_EQ(job->pid, 77u);
    EXPECT_EQ(job->upper, "/upper");
    answer(helper, {.exists = true, .mode = 0100644, .size = 5, .path = "/etc"});
    ASSERT_NE(host.answer(token), nullptr);
    Reading<Interface::FilesResults> results(host.answer(token)->bytes());
    EXPECT_TRUE(results->getResult().getExists());
    EXPECT_EQ(results->getResult().getSize(), 5u);
}

TEST_F(ContainerFiles, what_a_helper_fails_with_is_said_and_so_is_its_death) {
    start();
    uint64_t token = ask(schema::FilesVerb::STAT);
    answer(sys().files_helpers.at(0), {.error = "no such thing", .code = ENOENT});
    EXPECT_EQ(refusal(token), "no such thing");
    token = ask(schema::FilesVerb::STAT);
    sys().files_helpers.at(1).outcome.reset();
    settle();
    EXPECT_EQ(refusal(token), "the files helper ended without an answer");
    EXPECT_NE(refusal(ask(schema::FilesVerb::READ)), "");
    EXPECT_NE(refusal(ask(schema::FilesVerb::STAT, stream_pair().first)), "");
}

TEST_F(ContainerFiles, a_client_that_goes_takes_its_helper_along) {
    start();
    host.cancel(ask(schema::FilesVerb::WRITE, stream_pair().first));
    EXPECT_TRUE(was_ended(sys().files_helpers.at(0)));
    answer(sys().files_helpers.at(0), {});
    EXPECT_EQ(host.late_answers(), 0u);
}

TEST_F(ContainerFiles, a_start_ends_those_that_see_mounts_and_a_removal_all) {
    start();
    exit_with(0);
    shim().die();
    settle();
    const uint64_t write = ask(schema::FilesVerb::WRITE, stream_pair().first);
    const uint64_t diff = ask(schema::FilesVerb::DIFF, stream_pair().first);
    EXPECT_TRUE(command<schema::StartContainer>().accepted);
    settle();
    EXPECT_TRUE(was_ended(sys().files_helpers.at(0)));
    EXPECT_FALSE(was_ended(sys().files_helpers.at(1)));
    answer(sys().files_helpers.at(0), {.error = "interrupted"});
    EXPECT_EQ(refusal(write), "Container web was started in the meantime");
    EXPECT_TRUE(command<schema::RemoveContainer>([](auto in) { in.setForce(true); }).accepted);
    shim().say_started(78);
    settle();
    exit_with(137);
    EXPECT_TRUE(was_ended(sys().files_helpers.at(1)));
    sys().files_helpers.at(1).outcome.reset();
    settle();
    EXPECT_NE(refusal(diff).find("was removed in the meantime"), std::string::npos);
}

}  // namespace
}  // namespace noded::container

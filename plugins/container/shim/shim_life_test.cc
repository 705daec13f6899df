// The shim's streams and its life: attach, terminal, exec, signals, and noded's coming and going.
// On the real kernel; needs root.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "plugins/container/shim/log_frames.h"
#include "plugins/container/shim/test_box.h"

namespace noded {
namespace {

constexpr uint32_t attach_output = attach_stdout | attach_stderr;
constexpr uint32_t attach_all = attach_output | attach_stdin;
namespace fs = std::filesystem;

using Words = std::vector<std::string>;

/// Number to file, of all that this process has open.
std::map<std::string, std::string> descriptors() {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
        std::error_code error;  // the folder itself
        const fs::path file = fs::read_symlink(entry.path(), error);
        if (!file.string().starts_with("/proc/")) found[entry.path().filename()] = file;
    }
    return found;
}

TEST(ShimSpawn, the_table_of_descriptors_stays_as_it_was_and_only_the_shim_has_the_other_end) {
    ShimSpawner spawner;
    // With the first one it makes the namespace that all begin with.
    EXPECT_FALSE(spawner.spawn("/etc/passwd").has_value());
    std::vector<Fd> many;
    for (int i = 0; i < 500; ++i) many.emplace_back(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    const auto program = fs::read_symlink("/proc/self/exe").parent_path() / "shim";
    const auto before = descriptors();
    for (int round = 0; round < 2; ++round) {
        auto spawned = spawner.spawn(program);
        ASSERT_TRUE(spawned.has_value()) << spawned.error().message;
        auto after = descriptors();
        EXPECT_EQ(after.erase(std::to_string(spawned->control.get())), 1u);
        EXPECT_EQ(after.erase(std::to_string(spawned->pidfd.get())), 1u);
        EXPECT_EQ(after, before);
        kill(spawned->pid, SIGKILL);
        waitpid(spawned->pid, nullptr, 0);
        // The child that makes namespaces for it ends a moment later.
        pollfd ended{spawned->control.get(), POLLIN, 0};
        EXPECT_EQ(poll(&ended, 1, 10'000), 1) << "somebody else has the other end";
    }
    EXPECT_FALSE(spawner.spawn("/nonexistent/shim").has_value());
    EXPECT_FALSE(spawner.spawn("/etc/passwd").has_value());
    EXPECT_EQ(descriptors(), before);
}

TEST(ShimSignal, kill_is_137_and_handled_signals_arrive) {
    ShimBox killed;
    killed.start(killed.spec("sleep 100"));
    EXPECT_EQ(killed.signal(SIGKILL), 0);
    const ExitReply exit = killed.wait_exit();
    EXPECT_EQ(exit.code, 137);
    EXPECT_EQ(exit.signal, SIGKILL);
    EXPECT_EQ(exit.oom, 0u);
    EXPECT_EQ(killed.signal(SIGKILL), ESRCH);
    ShimBox handled;
    AttachEnd end;
    handled.start(
        handled.spec("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done"),
        &end, attach_output);
    end.read_until([](const AttachedOutput& seen) { return seen.out == "ready\n"; });
    EXPECT_EQ(handled.signal(SIGTERM), 0);
    EXPECT_EQ(handled.wait_exit().code, 3);
    EXPECT_EQ(end.read_all().out, "ready\nbye\n");
}

TEST(ShimSignal, what_a_noded_sends_again_after_a_crash_arrives_once) {
    ShimBox box;
    AttachEnd end;
    box.start(box.spec("trap 'echo one' USR1; trap 'echo two; exit 4' USR2; echo ready; "
                       "while :; do sleep 0.05; done"),
              &end, attach_output);
    end.read_until([](const AttachedOutput& seen) { return seen.out == "ready\n"; });
    EXPECT_EQ(box.signal_once(SIGUSR1, 7), 0);
    end.read_until([](const AttachedOutput& seen) { return seen.out == "ready\none\n"; });
    box.reconnect();
    EXPECT_EQ(box.signal_once(SIGUSR1, 7), 0);
    EXPECT_EQ(box.signal_once(SIGUSR2, 9), 0);
    EXPECT_EQ(box.wait_exit().code, 4);
    EXPECT_EQ(end.read_all().out, "ready\none\ntwo\n");
}

TEST(ShimSignal, sigterm_to_the_shim_is_the_stop_signal_for_the_container) {
    ShimBox box;
    LaunchSpec spec = box.spec("trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done");
    spec.stop_signal = SIGINT;
    AttachEnd end;
    box.start(spec, &end, attach_output);
    end.read_until([](const AttachedOutput& seen) { return seen.out == "ready\n"; });
    kill(box.shim_pid(), SIGTERM);
    EXPECT_EQ(box.wait_exit().code, 9);
}

TEST(ShimSignal, container_dies_with_its_shim) {
    for (const char* user : {"", "alice"}) {
        ShimBox box;
        LaunchSpec spec = box.spec("sleep 100");
        spec.user = user;  // changing the user makes the kernel forget whom to die with
        const StartedReply started = box.start(spec);
        kill(box.shim_pid(), SIGKILL);
        ASSERT_TRUE(box.wait_shim_gone());
        for (int i = 0; i < 500 && kill(started.pid, 0) == 0; ++i) usleep(10'000);
        EXPECT_NE(kill(started.pid, 0), 0);
    }
}

TEST(ShimAttach, input_reaches_the_container_and_its_end_does_too) {
    ShimBox box;
    LaunchSpec spec = box.spec("cat; echo done");
    spec.open_stdin = true;
    AttachEnd end;
    box.start(spec, &end, attach_all);
    end.feed("hello\n");
    end.read_until([](const AttachedOutput& seen) { return seen.out == "hello\n"; });
    end.end_input();
    const AttachedOutput& output = end.read_all();
    EXPECT_EQ(output.out, "hello\ndone\n");
    EXPECT_EQ(output.code, 0);
}

TEST(ShimAttach, megabytes_of_input_pass_a_slow_reader) {
    ShimBox box;
    LaunchSpec spec = box.spec("sleep 0.3; wc -c");
    spec.open_stdin = true;
    AttachEnd end;
    box.start(spec, &end, attach_all);
    const std::string piece(64 << 10, 'x');
    for (int i = 0; i < 64; ++i) end.feed(piece);
    end.end_input();
    EXPECT_EQ(end.read_all().out, "4194304\n");
}

TEST(ShimAttach, input_sent_before_hanging_up_still_arrives) {
    ShimBox box;
    LaunchSpec spec = box.spec("sleep 0.2; wc -c");
    spec.open_stdin = true;
    AttachEnd end;
    box.start(spec, &end, attach_stdin | attach_stdin_once);
    end.feed(std::string(100'000, 'x'));
    end.close();
    EXPECT_EQ(box.wait_exit().code, 0);
    EXPECT_EQ(box.logged(1), "100000\n");
}

TEST(ShimAttach, without_open_stdin_input_is_empty) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("wc -c")), 0);
    EXPECT_EQ(box.logged(1), "0\n");
}

TEST(ShimAttach, from_the_start_replays_and_otherwise_only_news_come) {
    ShimBox box;
    LaunchSpec spec = box.spec("echo first; cat");
    spec.open_stdin = true;
    AttachEnd first;
    box.start(spec, &first, attach_all);
    first.read_until([](const AttachedOutput& seen) { return seen.out == "first\n"; });
    AttachEnd replay, news;
    EXPECT_EQ(box.attach(replay, attach_output | attach_from_start), 0);
    EXPECT_EQ(box.attach(news, attach_output), 0);
    first.feed("second\n");
    first.end_input();
    EXPECT_EQ(replay.read_all().out, "first\nsecond\n");
    EXPECT_EQ(news.read_all().out, "second\n");
    AttachEnd late;
    EXPECT_EQ(box.attach(late, attach_output | attach_from_start), 0);
    EXPECT_EQ(late.read_all().out, "first\nsecond\n");
    EXPECT_EQ(late.read_all().code, 0);
}

TEST(ShimAttach, client_that_does_not_read_never_blocks_the_container_and_loses_nothing) {
    ShimBox box;
    AttachEnd slow;
    box.start(box.spec("seq 1 300000"), &slow, attach_output);
    EXPECT_EQ(box.wait_exit().code, 0);  // although nobody has read a byte
    const AttachedOutput& output = slow.read_all();
    EXPECT_EQ(output.out.size(), 1988895u);
    EXPECT_TRUE(output.out.ends_with("299999\n300000\n"));
    EXPECT_EQ(output.code, 0);
}

TEST(ShimAttach, slow_client_gets_everything_even_after_release) {
    ShimBox box;
    AttachEnd slow;
    box.start(box.spec("seq 1 300000"), &slow, attach_output);
    box.wait_exit();
    box.release();
    usleep(50'000);
    EXPECT_TRUE(fs::is_empty(box.runtime()));
    fs::remove_all(box.scratch("log"));
    const AttachedOutput& output = slow.read_all();
    EXPECT_EQ(output.out.size(), 1988895u);
    EXPECT_EQ(output.code, 0);
    EXPECT_TRUE(box.wait_shim_gone());
}

TEST(ShimAttach, client_slower_than_rotation_learns_how_much_it_lost) {
    ShimBox box;
    AttachEnd slow;
    LaunchSpec spec = box.spec("seq 1 300000");
    spec.log_limits = {log_block_bytes, 4, 0};
    box.start(spec, &slow, attach_output);
    EXPECT_EQ(box.wait_exit().code, 0);
    const AttachedOutput& output = slow.read_all();
    EXPECT_GT(output.lost, 0u);
    EXPECT_EQ(output.out.size() + output.lost, 1988895u);
    EXPECT_TRUE(output.out.ends_with("299999\n300000\n"));
}

TEST(ShimAttach, client_that_disappears_does_no_harm) {
    ShimBox box;
    {
        AttachEnd gone;
        box.start(box.spec("seq 1 100000; sleep 0.2; echo end"), &gone, attach_output);
    }
    EXPECT_EQ(box.wait_exit().code, 0);
    EXPECT_TRUE(box.logged(1).ends_with("100000\nend\n"));
}

TEST(ShimAttach, nonsense_from_a_client_ends_that_client_only) {
    ShimBox box;
    LaunchSpec spec = box.spec("read line; echo got $line");
    spec.open_stdin = true;
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    box.start(spec);
    EXPECT_EQ(box.request(ControlType::attach, {}, attach_all, {ends[1]}), 0);
    close(ends[1]);
    const std::string nonsense(64, '\xff');
    EXPECT_EQ(write(ends[0], nonsense.data(), nonsense.size()), 64);
    char byte;
    EXPECT_LE(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    AttachEnd good;
    EXPECT_EQ(box.attach(good, attach_all), 0);
    good.feed("x\n");
    EXPECT_EQ(good.read_all().out, "got x\n");
}

TEST(ShimTerminal, size_resize_and_controlling_terminal) {
    ShimBox box;
    LaunchSpec spec = box.spec(
        "stty size; test -t 0 && echo tty; echo $TERM; : >/dev/tty && echo owned; test -c "
        "/dev/console && read line; stty size");
    spec.tty = true;
    spec.open_stdin = true;
    spec.rows = 33;
    spec.columns = 111;
    AttachEnd end;
    box.start(spec, &end, attach_all | attach_from_start);
    end.read_until([](const AttachedOutput& seen) { return seen.out.ends_with("owned\r\n"); });
    end.resize(20, 50);
    end.feed("\n");
    const AttachedOutput& output = end.read_all();
    EXPECT_EQ(output.out, "33 111\r\ntty\r\nxterm\r\nowned\r\n\r\n20 50\r\n");
    EXPECT_EQ(output.code, 0);
}

TEST(ShimTerminal, terminal_that_is_closed_and_opened_again_still_works) {
    ShimBox box;
    LaunchSpec spec = box.spec(
        "exec 3>/dev/null; exec <&3 >&3 2>&3; sleep 0.2; echo back >/dev/console; sleep 0.1");
    spec.tty = true;
    AttachEnd end;
    box.start(spec, &end, attach_output | attach_from_start);
    EXPECT_EQ(
        end.read_until([](const AttachedOutput& seen) { return seen.out.ends_with("\n"); }).out,
        "back\r\n");
    EXPECT_FALSE(read_exit_record(box.runtime()).has_value());  // it came at once, not with the end
    EXPECT_EQ(end.read_all().code, 0);
}

TEST(ShimTerminal, resize_request_and_interrupt_key_work) {
    ShimBox box;
    LaunchSpec spec =
        box.spec("trap 'stty size; exit 5' INT; echo ready; while :; do sleep 0.05; done");
    spec.tty = true;
    spec.open_stdin = true;
    AttachEnd end;
    box.start(spec, &end, attach_all | attach_from_start);
    end.read_until([](const AttachedOutput& seen) { return seen.out == "ready\r\n"; });
    const ResizeRequest resize = {exec_id(""), 7, 9};
    EXPECT_EQ(box.request(ControlType::resize,
                          {reinterpret_cast<const uint8_t*>(&resize), sizeof resize}),
              0);
    end.feed("\x03");
    EXPECT_EQ(box.wait_exit().code, 5);
    EXPECT_TRUE(end.read_all().out.ends_with("7 9\r\n"));
}

TEST(ShimTerminal, plain_user_owns_the_terminal_and_end_of_input_ends_it) {
    ShimBox box;
    LaunchSpec spec = box.spec("cat; id -un; ls -l $(readlink /proc/self/fd/0) | grep -c alice");
    spec.tty = true;
    spec.open_stdin = true;
    spec.user = "alice";
    AttachEnd end;
    box.start(spec, &end, attach_all | attach_from_start);
    end.end_input();
    EXPECT_TRUE(end.read_all().out.ends_with("alice\r\n1\r\n")) << end.read_all().out;
}

TEST(ShimExec, runs_inside_with_the_containers_confinement) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    AttachEnd end;
    const auto [type, sentence] =
        box.exec(box.process("e1",
                             "hostname; cat /proc/1/comm; grep -e CapEff -e Seccomp: "
                             "/proc/self/status; echo oops >&2; exit 7"),
                 &end, attach_output);
    EXPECT_EQ(type, ControlType::exec_started) << sentence;
    const AttachedOutput& output = end.read_all();
    EXPECT_EQ(output.out, "box\nsleep\nCapEff:\t00000000a80425fb\nSeccomp:\t2\n");
    EXPECT_EQ(output.err, "oops\n");
    EXPECT_EQ(output.code, 7);
    const ExecReply ended = *control_body<ExecReply>(box.wait_for(ControlType::exec_exited));
    EXPECT_STREQ(ended.exec.text, "e1");
    EXPECT_EQ(ended.code, 7);
    EXPECT_EQ(box.logged(1), "");
}

TEST(ShimExec, input_terminal_user_and_folder) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    ProcessSpec process = box.process("e", "id -un; pwd; cat");
    process.user = "alice";
    process.cwd = "/tmp";
    process.open_stdin = true;
    AttachEnd end;
    box.exec(process, &end, attach_all);
    end.feed("typed");
    end.end_input();
    EXPECT_EQ(end.read_all().out, "alice\n/tmp\ntyped");
    process = box.process("t", "stty size; test -t 1 && echo tty");
    process.tty = true;
    process.rows = 5;
    process.columns = 6;
    AttachEnd terminal;
    box.exec(process, &terminal, attach_all);
    EXPECT_EQ(terminal.read_all().out, "5 6\r\ntty\r\n");
}

TEST(ShimExec, failures_have_dockers_words_and_leave_the_container_alone) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    ProcessSpec process = box.process("x", "");
    process.arguments = {"nope"};
    AttachEnd end;
    EXPECT_EQ(box.exec(process, &end, attach_output),
              std::pair(ControlType::exec_failed,
                        std::string("exec: \"nope\": executable file not found in $PATH")));
    EXPECT_EQ(end.read_all().code, 127);
    EXPECT_EQ(box.status().state, ShimState::running);
    EXPECT_EQ(box.exec(box.process("ok", "true"), nullptr, 0).first, ControlType::exec_started);
}

/// Time on the CPU in hundredths of a second.
uint64_t cpu_ticks(int pid) {
    std::istringstream stat(read_file("/proc/" + std::to_string(pid) + "/stat"));
    std::string field;
    uint64_t ticks = 0;
    for (int number = 1; number <= 15 && stat >> field; ++number)
        if (number >= 14) ticks += std::stoull(field);
    return ticks;
}

TEST(ShimExec, output_waits_for_a_slow_client_and_is_complete) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    AttachEnd end;
    box.exec(box.process("big", "seq 1 300000"), &end, attach_output);
    usleep(500'000);
    EXPECT_LT(cpu_ticks(box.shim_pid()), 10u);  // waiting is not spinning
    const AttachedOutput& output = end.read_all();
    EXPECT_EQ(output.out.size(), 1988895u);
    EXPECT_EQ(output.code, 0);
}

TEST(ShimExec, signal_reaches_an_exec_and_container_end_ends_it) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    AttachEnd first, second;
    box.exec(box.process("one", "exec sleep 100"), &first, attach_output);
    box.exec(box.process("two", "exec sleep 100"), &second, attach_output);
    EXPECT_EQ(box.exec(box.process("two", "true"), nullptr, 0),
              std::pair(ControlType::result, std::string("exec: the exec id is taken")));
    EXPECT_EQ(box.signal(SIGTERM, "one"), 0);
    EXPECT_EQ(first.read_all().code, 143);
    EXPECT_EQ(box.signal(SIGKILL), 0);
    EXPECT_EQ(second.read_all().code, 137);
    EXPECT_EQ(box.wait_exit().code, 137);
    EXPECT_EQ(box.exec(box.process("late", "true"), nullptr, 0).second,
              "exec: the container is not running");
}

TEST(ShimExec, what_an_exec_leaves_in_the_background_lives_on) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    AttachEnd end;
    box.exec(
        box.process("e", "(sleep 0.2; echo a line; echo another; touch /tmp/alive) & echo started"),
        &end, attach_output);
    EXPECT_EQ(end.read_all().out, "started\n");
    for (int i = 0; i < 300 && !fs::exists(box.scratch("upper") + "/tmp/alive"); ++i)
        usleep(10'000);
    EXPECT_TRUE(fs::exists(box.scratch("upper") + "/tmp/alive"));
}

TEST(ShimExec, table_is_bounded_and_places_are_reused) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    for (size_t i = 0; i < execs_max; ++i)
        EXPECT_EQ(
            box.exec(box.process("e" + std::to_string(i), "exec sleep 100"), nullptr, 0).first,
            ControlType::exec_started);
    EXPECT_EQ(box.exec(box.process("more", "true"), nullptr, 0).second,
              "exec: too many execs are running in this container");
    box.signal(SIGKILL, "e3");
    box.wait_for(ControlType::exec_exited);
    EXPECT_EQ(box.exec(box.process("more", "true"), nullptr, 0).first, ControlType::exec_started);
}

TEST(ShimAlone, noded_may_go_and_come_back) {
    ShimBox box;
    LaunchSpec spec = box.spec("read line; echo $line; exit 6");
    spec.open_stdin = true;
    const StartedReply started = box.start(spec);
    box.exec(box.process("e", "exec sleep 100"), nullptr, 0);
    box.disconnect();
    box.reconnect();
    std::vector<ExecReply> execs;
    const StatusReply status = box.status(&execs);
    EXPECT_EQ(status.version, control_version);
    EXPECT_EQ(status.state, ShimState::running);
    EXPECT_STREQ(status.id, "0123456789ab");
    EXPECT_EQ(status.started.pid, started.pid);
    ASSERT_EQ(execs.size(), 1u);
    EXPECT_STREQ(execs[0].exec.text, "e");
    EXPECT_EQ(execs[0].state, ShimState::running);
    EXPECT_EQ(box.request(ControlType::release, {}), EBUSY);
    AttachEnd end;
    EXPECT_EQ(box.attach(end, attach_all), 0);
    end.feed("hello\n");
    EXPECT_EQ(box.wait_exit().code, 6);
    EXPECT_EQ(box.logged(1), "hello\n");
}

TEST(ShimAlone, exit_while_nobody_is_connected_is_collected_later) {
    ShimBox box;
    const StartedReply started = box.start(box.spec("sleep 0.1; echo late; exit 11"));
    box.exec(box.process("e", "exit 12"), nullptr, 0);
    box.disconnect();
    for (int i = 0; i < 500 && !read_exit_record(box.runtime()); ++i) usleep(10'000);
    ASSERT_TRUE(read_exit_record(box.runtime()).has_value());
    EXPECT_NE(kill(started.pid, 0), 0);
    box.reconnect();
    const StatusReply status = box.status();
    EXPECT_EQ(status.state, ShimState::exited);
    EXPECT_EQ(status.exit.code, 11);
    EXPECT_EQ(box.logged(1), "late\n");
    box.release();
    EXPECT_TRUE(box.wait_shim_gone());
    EXPECT_TRUE(fs::is_empty(box.runtime()));
    EXPECT_FALSE(connect_shim(box.runtime()).has_value());
}

TEST(ShimAlone, record_outlives_a_shim_that_is_killed_after_the_exit) {
    ShimBox box;
    EXPECT_EQ(box.run(box.spec("exit 13")), 13);
    kill(box.shim_pid(), SIGKILL);
    ASSERT_TRUE(box.wait_shim_gone());
    EXPECT_EQ(connect_shim(box.runtime()).error().code, ECONNREFUSED);
    EXPECT_EQ(read_exit_record(box.runtime())->record.exit.code, 13);
}

TEST(ShimAlone, spare_shim_ends_with_its_noded) {
    ShimBox box;
    box.disconnect();
    EXPECT_TRUE(box.wait_shim_gone());
}

TEST(ShimAlone, malformed_requests_are_answered_and_change_nothing) {
    ShimBox box;
    box.start(box.spec("sleep 100"));
    EXPECT_EQ(box.request(static_cast<ControlType>(77), {}), EINVAL);
    EXPECT_EQ(box.request(ControlType::signal, as_bytes("short")), EINVAL);
    EXPECT_EQ(box.request(ControlType::attach, {}), EINVAL);
    EXPECT_EQ(box.request(ControlType::exec, as_bytes("no spec at all")), EINVAL);
    EXPECT_EQ(box.request(ControlType::launch, {}), EALREADY);
    EXPECT_EQ(box.status().state, ShimState::running);
}

TEST(LogFrames, lines_are_put_together_across_frames_of_a_stream) {
    LogLines lines;
    LogPiece piece;
    lines.start({{1, 5, LogStream::standard_output, log_partial, 0}, "a\nb c"});
    ASSERT_TRUE(lines.next(&piece));
    EXPECT_TRUE(piece.first && piece.last);
    ASSERT_TRUE(lines.next(&piece));
    EXPECT_TRUE(piece.first && !piece.last);
    EXPECT_FALSE(lines.next(&piece));
    lines.start({{2, 4, LogStream::standard_error, 0, 0}, "err\n"});
    ASSERT_TRUE(lines.next(&piece));
    EXPECT_TRUE(piece.first && piece.last);
    lines.start({{3, 2, LogStream::standard_output, 0, 0}, "d\n"});
    ASSERT_TRUE(lines.next(&piece));
    EXPECT_TRUE(!piece.first && piece.last);
    EXPECT_EQ(piece.text, "d\n");
}

}  // namespace
}  // namespace noded

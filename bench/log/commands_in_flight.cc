// Durable commands through decide and fold in process, 1,000 in flight, and the proof: the node is
// a child that is killed (SIGKILL) at full speed, and every command that it had acknowledged must
// then be in the log, exactly once and with the seq that was told.
//
// The child tells what it acknowledged in memory that it shares with its parent.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>

#include "bench/log/harness.h"

namespace noded::bench {
namespace {

constexpr uint64_t kCommands = 4'000'000;

/// Written by the child only; seq_of[i] is what command i was answered, 0 before.
struct Told {
    std::atomic<uint64_t> acknowledged;
    std::atomic<uint64_t> seq_of[];
};

Result<Told*> share(uint64_t commands) {
    void* memory = mmap(nullptr, sizeof(Told) + commands * sizeof(Told::seq_of[0]),
                        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return fail_errno(errno, "map shared memory");
    return static_cast<Told*>(memory);
}

class Load {
public:
    Load(core::Pipeline& pipeline, Told& told, uint64_t commands)
        : pipeline_(pipeline), told_(told), commands_(commands) {}

    void submit_next() {
        if (next_ == commands_) return;
        const uint64_t number = next_++;
        core::Command command;
        command.type = 1;
        const uint64_t id = number + 1;  // none is that of none
        memcpy(command.id.bytes.data(), &id, sizeof id);
        command.payload.resize(kPayloadBytes, 7);
        memcpy(command.payload.data(), &number, sizeof number);
        pipeline_.submit(std::move(command), [this, number](const core::Reply& reply) {
            CHECK(reply.accepted && reply.first_seq == reply.last_seq);
            told_.seq_of[number].store(reply.first_seq, std::memory_order_relaxed);
            told_.acknowledged.fetch_add(1, std::memory_order_release);
            submit_next();
        });
    }

private:
    core::Pipeline& pipeline_;
    Told& told_;
    const uint64_t commands_;
    uint64_t next_ = 0;
};

/// The child: works until it is killed, or ends when all are told.
Status work(const std::string& dir, Told& told, uint64_t commands) {
    const auto opened = TRY(open_log_in(dir));
    Echo echo;
    core::Pipeline pipeline(echo, *opened->log, echo);
    PipelineTurn turn(pipeline);
    opened->reactor->at_turn_end(turn);
    Load load(pipeline, told, commands);
    for (uint64_t i = 0; i < kInFlight; ++i) load.submit_next();
    opened->reactor->run_again();
    opened->reactor->run_until([&] { return told.acknowledged == commands; });
    return {};
}

/// Commands per second, from one tenth of them until half; then it is killed, still at work.
Result<double> run_and_kill(const std::string& dir, Told& told, uint64_t commands) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0) return fail_errno(errno, "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) _exit(1);
        const Status worked = work(dir, told, commands);
        if (!worked) fprintf(stderr, "log_bench: %s\n", worked.error().message.c_str());
        _exit(worked ? 0 : 1);
    }
    double begin = 0, end = 0;
    uint64_t counted = 0;
    int status = 0;
    bool ended = false;
    while (end == 0 && !ended) {
        usleep(200);
        const uint64_t acknowledged = told.acknowledged.load(std::memory_order_acquire);
        if (begin == 0 && acknowledged >= commands / 10) {
            begin = now_us();
            counted = acknowledged;
        } else if (begin != 0 && acknowledged >= commands / 2) {
            end = now_us();
            counted = acknowledged - counted;
        } else {
            ended = waitpid(child, &status, WNOHANG) == child;
        }
    }
    kill(child, SIGKILL);
    if (!ended) waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || end == 0) return fail("the load ended before it was killed");
    return static_cast<double>(counted) / (end - begin) * 1e6;
}

/// Every acknowledgement against the log: there, once, and where it was said to be.
Status check_log(const std::string& dir, const Told& told, uint64_t commands) {
    const auto opened = TRY(open_log_in(dir));
    std::vector<bool> seen(commands);
    std::string wrong;
    uint64_t found = 0;
    TRY_STATUS(opened->log->read(opened->log->oldest_seq(), [&](const log::Record& record) {
        uint64_t number = UINT64_MAX;
        memcpy(&number, record.payload.data(), sizeof number);
        if (number >= commands || seen[number]) {
            wrong = "event " + std::to_string(record.seq) + " repeats a command";
            return false;
        }
        seen[number] = true;
        const uint64_t answered = told.seq_of[number];
        if (answered != 0 && answered != record.seq) {
            wrong = "command " + std::to_string(number) + " was told seq " +
                    std::to_string(answered) + ", the log has it at " + std::to_string(record.seq);
        }
        found += answered != 0;
        return wrong.empty();
    }));
    if (wrong.empty() && found < told.acknowledged) {
        wrong = std::to_string(told.acknowledged - found) + " acknowledged commands are lost";
    }
    if (!wrong.empty()) return fail(wrong);
    return {};
}

}  // namespace

Status commands_in_flight(const Arguments& arguments) {
    const uint64_t commands = arguments.events != 0 ? arguments.events : kCommands;
    Told& told = *TRY(share(commands));
    const double per_second = TRY(run_and_kill(arguments.dir, told, commands));
    TRY_STATUS(check_log(arguments.dir, told, commands));
    printf("{\"commands_per_s\":%.0f,\"acknowledged_and_found\":%llu}\n", per_second,
           static_cast<unsigned long long>(told.acknowledged));
    return {};
}

}  // namespace noded::bench

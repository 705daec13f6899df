// Messages of 200 bytes from one process to another, by each transport in turn: how many arrive in
// a second when a few thousand are under way at any time, so that none is lost, and how long one is
// under way when ten thousand are sent in a second. Prints one JSON object of medians;
// bench/compare/run reads it.
//
// usage: pubsub_bench [--nats PORT] [--seconds S] [--rounds N]
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <new>
#include <vector>

#include "bench/pubsub/transports.h"

namespace noded::bench {

void die(const std::string& what) {
    fprintf(stderr, "pubsub_bench: %s\n", what.c_str());
    exit(1);
}

namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kPeriodNs = kSecondNs / 10'000;
constexpr int64_t kEnd = -1;  ///< in the place of a time
constexpr uint64_t kUnderWayMax = 4096;  ///< half of what a queue of ours holds

struct Side {
    const char* name;
    std::unique_ptr<Publisher> (*publish)(const Place&);
    std::unique_ptr<Subscriber> (*subscribe)(const Place&);
};
constexpr Side kSides[] = {{"ours", publish_ours, subscribe_ours},
                           {"bare", publish_bare, subscribe_bare},
                           {"nats", publish_nats, subscribe_nats}};

struct Options {
    Place place;
    int64_t seconds = 2;
    int rounds = 5;
};

/// What a subscriber tells when it is done.
struct Seen {
    double per_second = 0;
    double p50_us = 0, p99_us = 0;
};

int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * kSecondNs + time.tv_nsec;
}

double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// How many arrived, for the one who sends.
using Arrived = std::atomic<uint64_t>;

/// Until the end is told.
Seen watch(Subscriber& subscriber, Arrived& arrived) {
    std::vector<int64_t> under_way_ns;
    under_way_ns.reserve(1 << 22);
    int64_t first_ns = 0, last_ns = 0;
    for (;;) {
        int64_t sent_ns;
        memcpy(&sent_ns, subscriber.receive(), sizeof sent_ns);
        if (sent_ns == kEnd) break;
        last_ns = now_ns();
        if (first_ns == 0) first_ns = last_ns;
        under_way_ns.push_back(last_ns - sent_ns);
        arrived.store(under_way_ns.size(), std::memory_order_relaxed);
    }
    const size_t count = under_way_ns.size();
    if (count < 100 || last_ns == first_ns) die("next to nothing arrived");
    std::ranges::sort(under_way_ns);
    const auto us = [&](size_t percent) {
        return double(under_way_ns[count * percent / 100]) / 1e3;
    };
    return {double(count - 1) / double(last_ns - first_ns) * 1e9, us(50), us(99)};
}

void send_at(Publisher& publisher, int64_t time_ns) {
    char message[message_bytes] = {};
    memcpy(message, &time_ns, sizeof time_ns);
    publisher.send(message);
}

void as_many_as_there_is_room_for(Publisher& publisher, int64_t seconds, const Arrived& arrived) {
    constexpr uint64_t kTogether = 64;
    uint64_t sent = 0;
    for (const int64_t until = now_ns() + seconds * kSecondNs; now_ns() < until;) {
        if (sent + kTogether > arrived.load(std::memory_order_relaxed) + kUnderWayMax) {
            publisher.flush();
            usleep(20);
            continue;
        }
        for (uint64_t i = 0; i < kTogether; ++i) send_at(publisher, 0);
        sent += kTogether;
    }
}

void in_even_steps(Publisher& publisher, int64_t seconds, const Arrived&) {
    int64_t due_ns = now_ns();
    for (const int64_t until = due_ns + seconds * kSecondNs; due_ns < until; due_ns += kPeriodNs) {
        const timespec due{due_ns / kSecondNs, due_ns % kSecondNs};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr);
        send_at(publisher, now_ns());
        publisher.flush();
    }
}

/// The subscriber is a process of its own.
Seen measure(const Side& side, const Options& options,
             void (*send)(Publisher&, int64_t seconds, const Arrived&)) {
    void* const shared = mmap(nullptr, sizeof(Arrived), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("share memory with the subscriber");
    Arrived& arrived = *new (shared) Arrived(0);
    auto publisher = side.publish(options.place);
    int pipes[2];
    if (pipe(pipes) != 0) die("make a pipe");
    const pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        const auto subscriber = side.subscribe(options.place);
        Seen seen{};
        (void)!write(pipes[1], &seen, sizeof seen);
        seen = watch(*subscriber, arrived);
        _exit(write(pipes[1], &seen, sizeof seen) == sizeof seen ? 0 : 1);
    }
    close(pipes[1]);
    Seen seen;
    if (read(pipes[0], &seen, sizeof seen) != sizeof seen) die("the subscriber did not come");
    publisher->wait_for_subscriber();
    send(*publisher, options.seconds, arrived);
    int status = 0;
    // The end may be lost as any message.
    while (waitpid(child, &status, WNOHANG) == 0) {
        send_at(*publisher, kEnd);
        publisher->flush();
        usleep(1000);
    }
    const bool told = read(pipes[0], &seen, sizeof seen) == sizeof seen;
    close(pipes[0]);
    munmap(shared, sizeof(Arrived));
    if (status != 0 || !told) die(std::string(side.name) + ": the subscriber failed");
    return seen;
}

int run(const Options& options) {
    std::map<std::string, std::vector<double>> rate, p50, p99;
    for (int round = 0; round < options.rounds; ++round) {
        for (const Side& side : kSides) {
            if (side.publish == publish_nats && options.place.nats_port == 0) continue;
            rate[side.name].push_back(
                measure(side, options, as_many_as_there_is_room_for).per_second);
            const Seen steps = measure(side, options, in_even_steps);
            p50[side.name].push_back(steps.p50_us);
            p99[side.name].push_back(steps.p99_us);
        }
    }
    const char* before = "{";
    for (const auto& [name, figures] : {std::pair("messages_per_s", &rate),
                                        std::pair("p50_us", &p50), std::pair("p99_us", &p99)}) {
        printf("%s\"%s\":{", before, name);
        before = "";
        for (const auto& [side, values] : *figures) {
            printf("%s\"%s\":%.6g", before, side.c_str(), median(values));
            before = ",";
        }
        printf("}");
        before = ",";
    }
    printf("}\n");
    return 0;
}

int usage() {
    fprintf(stderr, "usage: pubsub_bench [--nats PORT] [--seconds S] [--rounds N]\n");
    return 2;
}

int main_of(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string name = argv[i];
        const int value = atoi(argv[i + 1]);
        if (value < 1) return usage();
        if (name == "--nats") options.place.nats_port = value;
        else if (name == "--seconds") options.seconds = value;
        else if (name == "--rounds") options.rounds = value;
        else return usage();
    }
    if (argc % 2 == 0) return usage();
    prctl(PR_SET_TIMERSLACK, 1);
    signal(SIGPIPE, SIG_IGN);
    char folder[] = "/tmp/noded-pubsub-bench-XXXXXX";
    if (mkdtemp(folder) == nullptr) die("make a folder in /tmp");
    options.place.folder = folder;
    const int status = run(options);
    std::filesystem::remove_all(folder);
    return status;
}

}  // namespace
}  // namespace noded::bench

int main(int argc, char** argv) { return noded::bench::main_of(argc, argv); }

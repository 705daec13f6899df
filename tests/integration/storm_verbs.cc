// See storm_verbs.h. One function per kind of verb; a table says how often each is drawn.
#include "tests/integration/storm_verbs.h"

namespace noded::test {
namespace {

using Words = std::vector<std::string>;
using Random = std::mt19937;

/// Few, so that clients meet.
constexpr unsigned kNames = 8;
constexpr unsigned kImages = 3;

unsigned below(Random& random, unsigned bound) { return unsigned(random() % bound); }

template <size_t N>
std::string one_of(Random& random, const char* const (&choices)[N]) {
    return choices[below(random, N)];
}

std::string name(Random& random) { return "s" + std::to_string(below(random, kNames)); }

std::string image(Random& random) { return "storm:" + std::to_string(below(random, kImages)); }

Words with(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

/// What a container does.
Words work(Random& random) {
    switch (below(random, 10)) {
        case 0: return {"busybox", "true"};
        case 1: return {"busybox", "sh", "-c", "echo out; echo err >&2; sleep 0.05; exit 3"};
        case 2: return {"busybox", "sh", "-c", "while :; do echo x; usleep 20000; done"};
        case 3: return {"busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"};
        case 4: return {"busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"};
        case 5: return {"busybox", "sh", "-c", "exec <&- >&- 2>&-; sleep 1000"};
        case 6: return {"busybox", "sh", "-c", "for i in 1 2 3 4; do sleep 1000 & done; wait"};
        case 7:
            return {"busybox", one_of(random, {"/no/such", "nothing", "/etc", "/etc/passwd"})};
        default: return {"busybox", "sleep", "1000"};
    }
}

/// What it shares with the host, or with others.
Words shared(Random& random, const std::string& folder) {
    switch (below(random, 9)) {
        case 0: return {"-v", folder + ":/given"};
        case 1: return {"-v", folder + "/made/" + name(random) + ":/given:ro"};
        case 2: return {"-v", "/own", "--mount", "type=bind,source=/etc,target=/host,readonly"};
        case 3: return {"--mount", "type=bind,source=/no/such,target=/given"};
        case 4: return {"--ipc", "shareable"};
        case 5: return {"--ipc", "container:" + name(random)};
        case 6: return {"--pid", "container:" + name(random)};
        case 7: return {"--userns", "remap"};
        default: return {"--privileged", "--network", "host"};
    }
}

Words health(Random& random) {
    Words words = {"--health-interval", "30ms", "--health-retries", "1", "--health-timeout", "1s"};
    const char* const cmd = below(random, 2) == 0 ? "false" : "sleep 3";
    return with(words, {"--health-cmd", cmd, "--health-on-failure",
                        one_of(random, {"none", "kill", "restart", "stop"})});
}

Words options(Random& random, const std::string& folder) {
    Words words;
    switch (below(random, 16)) {
        case 0: words = {"--restart", "always", "--restart-delay", "20ms"}; break;
        case 1: words = {"--restart", "on-failure:2", "--restart-delay", "10ms"}; break;
        case 2: words = {"--health-cmd", "true", "--health-interval", "50ms"}; break;
        case 3: words = health(random); break;
        case 4: words = {"-m", "64m", "--pids-limit", "50"}; break;
        case 5: words = {"--tmpfs", "/t", "--init"}; break;
        case 6: words = {"--cpuset-cpus", "0", "--device", "/dev/null:/dev/again"}; break;
        case 7: words = {"--read-only", "-u", "1000:1000", "--cap-drop", "ALL"}; break;
        case 8: words = {"--log-opt", "max-size=64k", "--log-opt", "max-file=2"}; break;
        case 9: words = {"-t"}; break;
        case 10: words = {"--stop-signal", "USR1", "--stop-timeout", "1"}; break;
        case 11:
        case 12:
        case 13: words = shared(random, folder); break;
        default: break;
    }
    if (below(random, 4) == 0 && (words.empty() || words[0] != "--restart"))
        words.push_back("--rm");
    return words;
}

Words make(Random& random, const std::string& folder, Words first) {
    Words words = with(std::move(first), {"--network", "none"});
    if (below(random, 8) != 0) words = with(words, {"--name", name(random)});
    return with(with(words, options(random, folder)), work(random));
}

Words run_detached(Random& random, const std::string& folder) {
    return make(random, folder, {"run", "-d"});
}
Words create(Random& random, const std::string& folder) {
    return make(random, folder, {"create"});
}

Words run_attached(Random& random) {
    return {"run", "--rm", "--network", "none", "--name", name(random), "busybox", "sh", "-c",
            one_of(random, {"echo done", "exit 9", "sleep 0.1", "head -c 100000 /dev/zero"})};
}

Words start(Random& random) { return {"start", name(random)}; }
Words stop(Random& random) { return {"stop", "-t", one_of(random, {"0", "1"}), name(random)}; }
Words restart(Random& random) { return {"restart", "-t", "0", name(random)}; }
Words kill(Random& random) {
    return {"kill", "-s", one_of(random, {"KILL", "TERM", "USR1", "STOP", "CONT"}), name(random)};
}
Words pause(Random& random) { return {"pause", name(random)}; }
Words unpause(Random& random) { return {"unpause", name(random)}; }
Words rename(Random& random) { return {"rename", name(random), name(random)}; }

Words exec(Random& random) {
    Words words = {"exec"};
    if (below(random, 4) == 0) words.push_back("-d");
    return with(words, {name(random), "sh", "-c",
                        one_of(random, {"true", "echo x; exit 4", "sleep 0.2", "sleep 30 &",
                                        "head -c 300000 /dev/zero", "mkdir -p /d; echo y >/d/f"})});
}

Words update(Random& random) {
    switch (below(random, 5)) {
        case 0: return {"update", "--restart", one_of(random, {"no", "always"}), name(random)};
        case 1: return {"update", "--memory", one_of(random, {"40m", "80m"}), name(random)};
        case 2: return {"update", "--cpus", one_of(random, {"0.5", "1"}), name(random)};
        case 3: return {"update", "--cpu-shares", "100", name(random), name(random)};
        default:
            return {"update", "--pids-limit", one_of(random, {"40", "60", "-1"}), name(random)};
    }
}

Words copy(Random& random, const std::string& folder) {
    switch (below(random, 5)) {
        case 0: return {"cp", folder + "/in", name(random) + ":/tmp"};
        case 1: return {"cp", "-a", folder + "/in", name(random) + ":/given/in"};
        case 2: return {"cp", name(random) + ":/etc/passwd", "-"};
        default: return {"cp", name(random) + ":/etc", folder + "/out"};
    }
}

Words commit(Random& random) {
    Words words = {"commit"};
    if (below(random, 3) == 0) words.push_back("--pause=false");
    return with(words, {name(random), image(random)});
}

Words remove(Random& random) {
    Words words = {"rm", name(random)};
    if (below(random, 3) != 0) words.insert(words.begin() + 1, "-f");
    return words;
}

Words prune(Random& random) {
    return {one_of(random, {"container", "image"}), "prune", "-f"};
}

Words remove_image(Random& random) { return {"rmi", image(random)}; }

Words look(Random& random) {
    switch (below(random, 12)) {
        case 0: return {"ps", "-a", "-s"};
        case 1: return {"inspect", "-s", name(random)};
        case 2: return {"top", name(random)};
        case 3: return {"stats", "--no-stream"};
        case 4: return {"logs", "--tail", "3", name(random)};
        case 5: return {"logs", "-t", "--since", "1s", name(random), name(random)};
        case 6: return {"diff", name(random)};
        case 7: return {"images", "-a"};
        case 8: return {"export", name(random)};
        case 9: return {"--at", std::to_string(1 + below(random, 200)), "ps", "-a"};
        case 10: return {"call", "counter", one_of(random, {"count", "reset"}), "{}"};
        default: return {"ps"};
    }
}

/// Until something happens that may never happen.
Words follow(Random& random) {
    switch (below(random, 9)) {
        case 0: return {"logs", "-f", name(random)};
        case 1: return {"wait", name(random)};
        case 2: return {"start", "-a", name(random)};
        case 3: return {"attach", name(random)};
        case 4: return {"attach", "--no-stdin", name(random)};
        case 5: return {"exec", "-i", name(random), "sleep", "1000"};
        case 6: return {"stats"};
        case 7: return {"sub", one_of(random, {"log/", "event/", "stats/"})};
        default: return {"events", "-f"};
    }
}

Words on_terminal(Random& random) {
    switch (below(random, 4)) {
        case 0: return {"run", "-it", "--rm", "--network", "none", "busybox", "sleep", "1000"};
        case 1: return {"attach", name(random)};
        case 2: return {"start", "-ai", name(random)};
        default: return {"exec", "-it", name(random), "sh", "-c", "echo x; sleep 1000"};
    }
}

struct Kind {
    unsigned weight;
    Words (*words)(Random&);
};

constexpr Kind kKinds[] = {
    {6, run_attached}, {10, start},  {8, stop},   {5, restart}, {8, kill},
    {5, pause},        {6, unpause}, {4, rename}, {12, exec},   {5, update},
    {4, commit},       {10, remove}, {2, prune},  {2, remove_image}, {10, look},
};

/// Those that know the client's folder.
struct FolderKind {
    unsigned weight;
    Words (*words)(Random&, const std::string&);
};

constexpr FolderKind kFolderKinds[] = {{22, run_detached}, {8, create}, {7, copy}};

/// Those that wait for what may never come.
constexpr unsigned kFollows = 8;
constexpr unsigned kOnTerminal = 4;

/// The words of one of the kinds; `at` is reduced by the weights of those before it.
Words words_of(Random& random, const std::string& folder, unsigned at) {
    for (const FolderKind& kind : kFolderKinds) {
        if (at < kind.weight) return kind.words(random, folder);
        at -= kind.weight;
    }
    for (const Kind& kind : kKinds) {
        if (at < kind.weight) return kind.words(random);
        at -= kind.weight;
    }
    return {"ps"};
}

}  // namespace

StormVerb random_verb(Random& random, const std::string& folder) {
    unsigned all = kFollows + kOnTerminal;
    for (const FolderKind& kind : kFolderKinds) all += kind.weight;
    for (const Kind& kind : kKinds) all += kind.weight;
    StormVerb verb;
    // An impatient client: it goes in the middle of its call.
    if (below(random, 12) == 0) verb.killed_after_ms = 1 + int(below(random, 40));
    const unsigned at = below(random, all);
    if (at >= kFollows + kOnTerminal) {
        verb.words = words_of(random, folder, at - kFollows - kOnTerminal);
        return verb;
    }
    verb.on_terminal = at < kOnTerminal;
    verb.killed_after_ms = 20 + int(below(random, 500));
    verb.words = verb.on_terminal ? on_terminal(random) : follow(random);
    return verb;
}

}  // namespace noded::test

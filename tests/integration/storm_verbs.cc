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
    switch (below(random, 6)) {
        case 0: return {"busybox", "true"};
        case 1: return {"busybox", "sh", "-c", "echo out; echo err >&2; sleep 0.05; exit 3"};
        case 2: return {"busybox", "sh", "-c", "while :; do echo x; usleep 20000; done"};
        case 3: return {"busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done"};
        default: return {"busybox", "sleep", "1000"};
    }
}

Words options(Random& random) {
    Words words;
    switch (below(random, 10)) {
        case 0: words = {"--restart", "always", "--restart-delay", "20ms"}; break;
        case 1: words = {"--restart", "on-failure:2", "--restart-delay", "10ms"}; break;
        case 2: words = {"--health-cmd", "true", "--health-interval", "50ms"}; break;
        case 3:
            words = {"--health-cmd", "false", "--health-interval", "30ms", "--health-retries", "1",
                     "--health-on-failure", one_of(random, {"none", "kill", "restart", "stop"})};
            break;
        case 4: words = {"-m", "64m", "--pids-limit", "50"}; break;
        case 5: words = {"--tmpfs", "/t", "--init"}; break;
        case 6: words = {"--cpuset-cpus", "0", "--device", "/dev/null:/dev/again"}; break;
        case 7: words = {"--read-only", "-u", "1000:1000", "--cap-drop", "ALL"}; break;
        default: break;
    }
    if (below(random, 4) == 0 && (words.empty() || words[0] != "--restart"))
        words.push_back("--rm");
    return words;
}

Words make(Random& random, Words first) {
    Words words = with(std::move(first), {"--network", "none"});
    if (below(random, 8) != 0) words = with(words, {"--name", name(random)});
    return with(with(words, options(random)), work(random));
}

Words run_detached(Random& random) { return make(random, {"run", "-d"}); }
Words create(Random& random) { return make(random, {"create"}); }

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
    if (below(random, 2) == 0)
        return {"update", "--restart", one_of(random, {"no", "always"}), name(random)};
    return {"update", "--pids-limit", one_of(random, {"40", "60", "-1"}), name(random)};
}

Words copy_in(Random& random, const std::string& folder) {
    return {"cp", folder + "/in", name(random) + ":/tmp"};
}

Words copy_out(Random& random, const std::string& folder) {
    return {"cp", name(random) + ":/etc", folder + "/out"};
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
    switch (below(random, 9)) {
        case 0: return {"ps", "-a", "-s"};
        case 1: return {"inspect", name(random)};
        case 2: return {"top", name(random)};
        case 3: return {"stats", "--no-stream"};
        case 4: return {"logs", "--tail", "3", name(random)};
        case 5: return {"diff", name(random)};
        case 6: return {"images", "-a"};
        case 7: return {"export", name(random)};
        default: return {"ps"};
    }
}

/// Until something happens that may never happen.
Words follow(Random& random) {
    switch (below(random, 4)) {
        case 0: return {"logs", "-f", name(random)};
        case 1: return {"wait", name(random)};
        case 2: return {"start", "-a", name(random)};
        default: return {"events", "-f"};
    }
}

struct Kind {
    unsigned weight;
    Words (*words)(Random&);
};

constexpr Kind kKinds[] = {
    {22, run_detached}, {6, run_attached}, {8, create}, {10, start},  {8, stop},
    {5, restart},       {8, kill},         {5, pause},  {6, unpause}, {4, rename},
    {12, exec},         {5, update},       {4, commit}, {10, remove}, {2, prune},
    {2, remove_image},  {8, look},
};

}  // namespace

StormVerb random_verb(Random& random, const std::string& folder) {
    constexpr unsigned kFollows = 6;
    constexpr unsigned kCopies = 6;
    unsigned all = kFollows + kCopies;
    for (const Kind& kind : kKinds) all += kind.weight;
    StormVerb verb;
    // An impatient client: it goes in the middle of its call.
    if (below(random, 12) == 0) verb.killed_after_ms = 1 + int(below(random, 40));
    unsigned at = below(random, all);
    if (at < kFollows) {
        verb.killed_after_ms = 20 + int(below(random, 500));
        verb.words = follow(random);
        return verb;
    }
    at -= kFollows;
    if (at < kCopies) {
        verb.words = at < kCopies / 2 ? copy_in(random, folder) : copy_out(random, folder);
        return verb;
    }
    at -= kCopies;
    for (const Kind& kind : kKinds) {
        if (at < kind.weight) {
            verb.words = kind.words(random);
            break;
        }
        at -= kind.weight;
    }
    return verb;
}

}  // namespace noded::test

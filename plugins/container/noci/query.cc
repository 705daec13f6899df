// state, list, ps, kill, pause and resume: what a container is doing, and the little that is asked
// of one without a configuration.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "plugins/container/noci/command.h"
#include "plugins/container/noci/container.h"

namespace noded::noci {
namespace {

std::string dump(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// Columns as runc's: at least 12 wide, 3 apart, the last one as it is.
std::string table(const std::vector<std::vector<std::string>>& rows) {
    std::vector<size_t> widths;
    for (const auto& row : rows) {
        widths.resize(std::max(widths.size(), row.size()), 12);
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size() + 3);
    }
    std::string text;
    for (const auto& row : rows) {
        for (size_t i = 0; i < row.size(); ++i) {
            std::string cell = row[i];
            if (i + 1 < row.size()) cell.resize(widths[i], ' ');
            text += cell;
        }
        text += "\n";
    }
    return text;
}

/// The output of ps(1), with what it says of errors.
Result<std::string> output_of_ps(const std::vector<std::string>& arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
    const Fd ours(ends[0]);
    Fd theirs(ends[1]);
    std::vector<char*> argv;
    std::string name = "ps";
    argv.push_back(name.data());
    std::vector<std::string> copies = arguments;
    for (std::string& copy : copies) argv.push_back(copy.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDERR_FILENO);
    pid_t pid = 0;
    const int error = posix_spawnp(&pid, "ps", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT) return fail("exec: \"ps\": executable file not found in $PATH");
    if (error != 0) return fail_errno(error, "start ps");
    theirs.reset();
    std::string text;
    char buffer[16 << 10];
    for (ssize_t count; (count = read(ours.get(), buffer, sizeof buffer)) != 0;) {
        if (count < 0 && errno != EINTR) break;
        if (count > 0 && text.size() < (64 << 20)) text.append(buffer, size_t(count));
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return text;
    return fail("exit status " + std::to_string(WEXITSTATUS(status)) + ": " + text);
}

Result<std::string> lines_of(const std::string& output, const std::set<int>& pids) {
    std::istringstream lines(output);
    std::string line;
    std::getline(lines, line);
    std::istringstream titles(line);
    std::string title;
    size_t column = 0;
    while (titles >> title && title != "PID") ++column;
    if (title != "PID") return fail("couldn't find PID field in ps output");
    std::string text = line + "\n";
    while (std::getline(lines, line)) {
        std::istringstream fields(line);
        std::string field;
        for (size_t i = 0; i <= column; ++i) fields >> field;
        if (pids.contains(atoi(field.c_str()))) text += line + "\n";
    }
    return text;
}

Result<std::vector<Json>> all_states(const Globals& globals) {
    std::vector<Json> states;
    const auto ids = Container::ids(globals.root);
    if (!ids && ids.error().code == ENOENT && !globals.root_is_given) return states;
    if (!ids) return std::unexpected(ids.error());
    for (const std::string& id : *ids) {
        const auto container = Container::load(globals.root, id);
        // One that is being made or removed this moment.
        if (!container && container.error().message == "container does not exist") continue;
        if (!container) {
            const std::string line =
                "load container " + id + ": " + container.error().message + "\n";
            (void)!write(STDERR_FILENO, line.data(), line.size());
            continue;
        }
        Json state = container->full_state();
        state["owner"] = container->owner;
        states.push_back(std::move(state));
    }
    return states;
}

/// Flags of runc's are read by nobody.
Result<int> refuse_images(Call& call) {
    const std::string word = call.words.empty() ? "" : call.words[0];
    if (word == "--help" || word == "-h") PARSE(call, std::span<const Flag>());
    return fail(std::string(call.command.name) +
                ": noci keeps no images of processes, which takes criu: stop the container and "
                "run it anew, or use a runtime that has checkpoint and restore");
}

Status kill_one(const Container& container, int signal, bool all) {
    const ContainerStatus status = container.status();
    // Without a PID namespace the end of the first process is nobody else's.
    const bool everyone = all || (signal == SIGKILL && !container.own_pids &&
                                  status != ContainerStatus::stopped &&
                                  !container.cgroups.processes().empty());
    if (everyone) {
        container.cgroups.kill(signal);
    } else if (status == ContainerStatus::stopped) {
        if (container.own_pids || container.cgroups.processes().empty())
            return fail("container not running");
        // The first process is gone, what it left in the host's PID namespace is not.
        container.cgroups.kill(signal);
    } else {
        // What waits for its start handles no signal: the kernel would drop what ends others.
        const bool ends = status == ContainerStatus::created && signal != 0 &&
                          signal != SIGCHLD && signal != SIGURG && signal != SIGWINCH &&
                          signal != SIGCONT && signal != SIGSTOP && signal != SIGTSTP;
        TRY_STATUS(container.signal(ends ? SIGKILL : signal));
    }
    // A frozen process would hear of its end only when it goes on.
    if (signal == SIGKILL && status == ContainerStatus::paused)
        (void)container.cgroups.freeze(false);
    return {};
}

}  // namespace

Result<int> checkpoint_command(Call& call) { return refuse_images(call); }
Result<int> restore_command(Call& call) { return refuse_images(call); }

Result<int> state_command(Call& call) {
    PARSE(call, std::span<const Flag>());
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    Json state = container.full_state();
    state["owner"] = "";  // told by list only, as by other runtimes
    print(dump(state, 2));
    return 0;
}

Result<int> list_command(Call& call) {
    std::string format = "table";
    bool quiet = false;
    const Flag flags[] = {{"format,f", &format, "select one of: table or json"},
                          {"quiet,q", &quiet, "display only container IDs"}};
    PARSE(call, flags);
    if (format != "table" && format != "json") return fail("invalid format option");
    const std::vector<Json> states = TRY(all_states(call.globals));
    if (quiet) {
        std::string text;
        for (const Json& state : states) text += state["id"].get<std::string>() + "\n";
        print(text);
    } else if (format == "json") {
        print(states.empty() ? "null\n" : dump(Json(states)) + "\n");
    } else {
        std::vector<std::vector<std::string>> rows = {
            {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
        for (const Json& state : states)
            rows.push_back({state["id"].get<std::string>(),
                            std::to_string(state["pid"].get<int>()),
                            state["status"].get<std::string>(), state["bundle"].get<std::string>(),
                            state["created"].get<std::string>(),
                            state["owner"].get<std::string>()});
        print(table(rows));
    }
    return 0;
}

Result<int> ps_command(Call& call) {
    std::string format = "table";
    const Flag flags[] = {{"format,f", &format, "select one of: table or json"}};
    PARSE(call, flags);
    if (format != "table" && format != "json") return fail("invalid format option");
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    std::vector<int> pids = container.cgroups.processes();
    // Without a cgroup there is only the first that one can be sure of.
    if (container.cgroups.places().empty() && container.status() != ContainerStatus::stopped)
        pids.push_back(container.pid);
    if (format == "json") {
        print(pids.empty() ? "null\n" : dump(Json(pids)) + "\n");
        return 0;
    }
    std::vector<std::string> arguments(call.words.begin() + 1, call.words.end());
    if (arguments.empty()) arguments.emplace_back("-ef");
    const std::string output = TRY(output_of_ps(arguments));
    print(TRY(lines_of(output, {pids.begin(), pids.end()})));
    return 0;
}

Result<int> for_each_like(const Call& call,
                          const std::function<Status(const std::string&)>& function) {
    bool failed = false;
    for (const std::string& id : TRY(Container::ids_like(call.globals.root, call.words[0]))) {
        const Status done = function(id);
        if (!done) call.globals.log.error(id + ": " + done.error().message);
        failed |= !done;
    }
    return failed ? call.command.failure : 0;
}

Result<int> kill_command(Call& call) {
    bool all = false, regex = false;
    const Flag flags[] = {
        {"all,a", &all, "send the specified signal to all processes inside the container"},
        {"regex,r", &regex, "the container id is a regular expression: signal all that match"}};
    PARSE(call, flags);
    const std::string name = call.words.size() > 1 ? call.words[1] : "SIGTERM";
    const auto signal = signal_number(name);
    if (!signal) return fail("unknown signal \"" + name + "\"");
    const auto one = [&](const std::string& id) -> Status {
        return kill_one(TRY(Container::load(call.globals.root, id)), *signal, all);
    };
    if (regex) return for_each_like(call, one);
    TRY_STATUS(one(call.words[0]));
    return 0;
}

Result<int> pause_command(Call& call) {
    PARSE(call, std::span<const Flag>());
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    const ContainerStatus status = container.status();
    if (status != ContainerStatus::running && status != ContainerStatus::created)
        return fail("container not running");
    TRY_STATUS(container.cgroups.freeze(true));
    return 0;
}

Result<int> resume_command(Call& call) {
    PARSE(call, std::span<const Flag>());
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    if (container.status() != ContainerStatus::paused) return fail("container not paused");
    TRY_STATUS(container.cgroups.freeze(false));
    return 0;
}

}  // namespace noded::noci

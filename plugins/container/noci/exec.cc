// exec: another process in a container, by the flags of the command line over the container's own
// process, or by a process.json.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>

#include "plugins/container/noci/command.h"
#include "plugins/container/noci/foreground.h"
#include "plugins/container/noci/launch.h"
#include "plugins/container/noci/limits.h"

namespace noded::noci {
namespace {

struct ExecOptions {
    std::string cwd, user, process_file, pid_file, label, apparmor;
    std::vector<std::string> env, groups, capabilities, cgroups;
    bool tty = false, detach = false, no_new_privs = false, ignore_paused = false;
    std::optional<int64_t> preserve_fds;
    LaunchOptions launch;
};

Result<uint32_t> parse_id(const std::string& text, const char* what) {
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size() || text.empty())
        return fail(std::string("bad ") + what + ": parsing \"" + text + "\": invalid syntax");
    return id;
}

Status add_capabilities(const std::vector<std::string>& names, ProcessConfig& process) {
    if (names.empty()) return {};
    CapabilitySets sets = process.capabilities.value_or(CapabilitySets());
    for (const std::string& name : names) {
        const auto number = capability_number(name);
        if (!number) return fail("unknown capability \"" + name + "\"");
        const uint64_t bit = uint64_t{1} << *number;
        sets.bounding |= bit;
        sets.effective |= bit;
        sets.permitted |= bit;
        // An ambient one has to be inheritable, which nobody asked for.
        if (sets.inheritable != 0) sets.ambient |= bit & sets.inheritable;
    }
    process.capabilities = sets;
    return {};
}

Result<ProcessConfig> process_of(Call& call, const ExecOptions& options, const Config& config) {
    if (!options.process_file.empty()) {
        ProcessConfig process = TRY(parse_process(
            TRY(read_whole(options.process_file, limits::config_bytes_max)), options.process_file));
        if (!process.capabilities) process.capabilities = config.process.capabilities;
        if (process.rlimits.empty()) process.rlimits = config.process.rlimits;
        if (process.affinity_first.empty() && process.affinity.empty()) {
            process.affinity_first = config.process.affinity_first;
            process.affinity = config.process.affinity;
        }
        return process;
    }
    ProcessConfig process = config.process;
    if (call.words.size() < 2) return fail("exec args cannot be empty");
    process.args.assign(call.words.begin() + 1, call.words.end());
    if (!options.cwd.empty()) process.cwd = options.cwd;
    if (!options.apparmor.empty()) process.apparmor = options.apparmor;
    if (!options.label.empty()) process.selinux = options.label;
    TRY_STATUS(add_capabilities(options.capabilities, process));
    process.env.insert(process.env.end(), options.env.begin(), options.env.end());
    process.terminal = options.tty;
    process.rows = process.columns = 0;
    if (options.no_new_privs) process.no_new_privs = true;
    if (!options.user.empty()) {
        const size_t colon = options.user.find(':');
        if (colon != std::string::npos)
            process.gid = TRY(parse_id(options.user.substr(colon + 1), "gid"));
        process.uid = TRY(parse_id(options.user.substr(0, colon), "uid"));
    }
    for (const std::string& group : options.groups)
        process.groups.push_back(TRY(parse_id(group, "additional gid")));
    TRY_STATUS(check_process(process));
    return process;
}

std::vector<Flag> flags_of(ExecOptions& options) {
    return {
        {"console-socket", &options.launch.console_socket,
         "path to an AF_UNIX socket which will receive a file descriptor referencing the master "
         "end "
         "of the console's pseudoterminal"},
        {"pidfd-socket", &options.launch.pidfd_socket,
         "path to an AF_UNIX socket which will receive a file descriptor referencing the exec "
         "process"},
        {"cwd", &options.cwd, "current working directory in the container"},
        {"env,e", &options.env, "set environment variables"},
        {"tty,t", &options.tty, "allocate a pseudo-TTY"},
        {"user,u", &options.user, "UID (format: <uid>[:<gid>])"},
        {"additional-gids,g", &options.groups, "additional gids"},
        {"process,p", &options.process_file, "path to the process.json"},
        {"detach,d", &options.detach, "detach from the container's process"},
        {"pid-file", &options.pid_file, "specify the file to write the process id to"},
        {"process-label", &options.label,
         "set the asm process label for the process commonly used with selinux"},
        {"apparmor", &options.apparmor, "set the apparmor profile for the process"},
        {"no-new-privs", &options.no_new_privs, "set the no new privileges value for the process"},
        {"cap,c", &options.capabilities, "add a capability to the bounding set for the process"},
        {"preserve-fds", &options.preserve_fds,
         "Pass N additional file descriptors to the container"},
        {"cgroup", &options.cgroups,
         "run the process in an (existing) sub-cgroup(s). Format is [<controller>:]<cgroup>."},
        {"ignore-paused", &options.ignore_paused, "allow exec in a paused container"}};
}

Status check_status(const Container& container, bool ignores_paused) {
    switch (container.status()) {
        case ContainerStatus::stopped: return fail("cannot exec in a stopped container");
        case ContainerStatus::paused:
            if (ignores_paused) return {};
            return fail("cannot exec in a paused container (use --ignore-paused to override)");
        case ContainerStatus::creating:
        case ContainerStatus::created:
        case ContainerStatus::running: return {};
    }
    return {};
}

Result<int> execute(Call& call, ExecOptions& options) {
    const Container container = TRY(Container::load(call.globals.root, call.words[0]));
    TRY_STATUS(check_status(container, options.ignore_paused));
    const Config config = TRY(container.config());
    ExecRequest request = {TRY(process_of(call, options, config)), options.cgroups};
    const bool terminal = request.process.terminal;
    if (options.detach && terminal && options.launch.console_socket.empty())
        return fail("cannot allocate tty if noci will detach without setting console socket: "
                    "use --console-socket");
    if ((!options.detach || !terminal) && !options.launch.console_socket.empty())
        return fail("cannot use console socket if noci will not detach or allocate tty");
    if (options.preserve_fds) options.launch.preserve_fds = uint32_t(*options.preserve_fds);
    std::optional<Foreground> foreground;
    if (!options.detach) {
        foreground.emplace(TRY(Foreground::begin(false)));
        if (terminal) options.launch.console_fd = TRY(foreground->make_console());
    }
    const Launched launched =
        TRY(launch_exec(container, config, request, options.launch, call.globals.log));
    Status going;
    if (options.launch.console_fd >= 0) going = foreground->take_terminal();
    if (going && !options.pid_file.empty())
        going = write_pid_file(options.pid_file, launched.pid);
    if (going) 
        going = release(container, config, launched.sync.get(), "running", call.globals.log);
    if (!going) {
        (void)kill(launched.pid, SIGKILL);
        (void)waitpid(launched.pid, nullptr, 0);
        return std::unexpected(going.error());
    }
    return options.detach ? 0 : foreground->wait(launched.pid);
}

}  // namespace

Result<int> exec_command(Call& call) {
    ExecOptions options;
    PARSE(call, flags_of(options));
    if (options.preserve_fds && (*options.preserve_fds < 0 || *options.preserve_fds > 1024))
        return fail("--preserve-fds takes a number from 0 to 1024");
    const Result<int> status = execute(call, options);
    if (!status) return fail("exec failed: " + status.error().message);
    return status;
}

}  // namespace noded::noci

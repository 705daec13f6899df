// create, run, start and delete: a container's life, see launch.h.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "plugins/container/noci/command.h"
#include "plugins/container/noci/foreground.h"
#include "plugins/container/noci/hooks.h"
#include "plugins/container/noci/id_helpers.h"
#include "plugins/container/noci/launch.h"
#include "plugins/container/noci/limits.h"

namespace noded::noci {
namespace {

struct RunOptions {
    std::string bundle;
    std::string config_file;
    std::string pid_file;
    LaunchOptions launch;
    std::optional<int64_t> preserve_fds;
    bool detach = false;
    bool no_subreaper = false;
    bool keep = false;
};

/// A container and what it is made of, nothing of it made yet but its folder.
struct Draft {
    Container container;
    Config config;
};

std::string absolute(const std::string& path) {
    if (path.empty() || path[0] == '/') return path;
    char here[4096];
    return clean_path(std::string(getcwd(here, sizeof here) != nullptr ? here : "/") + "/" + path);
}

/// The folder of systemd's unit for "slice:prefix:name". Without the host's rights noci makes it
/// itself: who looks for the container by the names of systemd finds it.
Status use_systemd(const Globals& globals, const std::string& id, Config& config) {
    if (!globals.systemd_cgroup) return {};
    if (access("/run/systemd/system", F_OK) != 0)
        return fail("systemd not running on this host, cannot use systemd cgroups manager");
    config.cgroups_path = TRY(systemd_cgroup_path(config.cgroups_path, id));
    if (!is_host_root())
        globals.log.warning("noci asks no user's systemd for a scope: it makes the cgroup " +
                            config.cgroups_path + " itself");
    return {};
}

Status check_terminal(const RunOptions& options, bool terminal) {
    if (options.detach && terminal && options.launch.console_socket.empty())
        return fail("cannot allocate tty if noci will detach without setting console socket: "
                    "use --console-socket");
    if ((!options.detach || !terminal) && !options.launch.console_socket.empty())
        return fail("cannot use console socket if noci will not detach or allocate tty");
    return {};
}

std::unexpected<Error> failed(const Error& error, const char* what) {
    return std::unexpected(
        Error{error.code, std::string("noci ") + what + " failed: " + error.message});
}

/// Everything that can be wrong with a bundle is told here.
Result<Draft> draft_container(Call& call, RunOptions& options) {
    options.pid_file = absolute(options.pid_file);
    options.config_file = absolute(options.config_file);
    options.launch.no_cgroups = call.globals.no_cgroups;
    options.launch.systemd =
        call.globals.systemd_cgroup && !call.globals.no_cgroups && is_host_root();
    options.launch.console_socket = absolute(options.launch.console_socket);
    if (options.preserve_fds) {
        if (*options.preserve_fds < 0 || *options.preserve_fds > int64_t(limits::preserved_fds_max))
            return fail("--preserve-fds takes a number from 0 to 1024");
        options.launch.preserve_fds = uint32_t(*options.preserve_fds);
    }
    if (!options.bundle.empty() && chdir(options.bundle.c_str()) != 0)
        return fail("chdir " + options.bundle + ": " +
                    (errno == ENOENT ? "no such file or directory" : strerror(errno)));
    const std::string file = options.config_file.empty() ? "config.json" : options.config_file;
    const auto text = read_whole(file, limits::config_bytes_max);
    if (!text && text.error().code == ENOENT)
        return fail("JSON specification file " + file + " not found");
    if (!text) return std::unexpected(text.error());
    char here[4096];
    const std::string bundle = getcwd(here, sizeof here) != nullptr ? here : "/";
    Config config = TRY(parse_config(*text, bundle));
    TRY_STATUS(check_id(call.words[0]));
    TRY_STATUS(check_config(config));
    TRY_STATUS(use_systemd(call.globals, call.words[0], config));
    TRY_STATUS(check_terminal(options, config.process.terminal));
    Container container = TRY(Container::create(call.globals.root, call.words[0]));
    container.bundle = bundle;
    container.version = config.version;
    container.rootfs = config.rootfs;
    container.annotations = config.annotations;
    if (config.intel_rdt)
        container.rdt = rdt_group(find_resctrl(), *config.intel_rdt, container.id);
    const NamespaceConfig* pids = config.find(0x20000000 /* CLONE_NEWPID */);
    container.own_pids = pids != nullptr && pids->path.empty();
    if (const Status saved = container.save_config(*text); !saved) {
        (void)container.remove();
        return std::unexpected(saved.error());
    }
    return Draft{std::move(container), std::move(config)};
}

std::vector<Flag> flags_of(RunOptions& options, bool runs) {
    std::vector<Flag> flags = {
        {"bundle,b", &options.bundle,
         "path to the root of the bundle directory, defaults to the current directory"},
        {"config,f", &options.config_file,
         "path to the configuration, defaults to config.json in the bundle directory"},
        {"console-socket", &options.launch.console_socket,
         "path to an AF_UNIX socket which will receive a file descriptor referencing the master "
         "end "
         "of the console's pseudoterminal"},
        {"pidfd-socket", &options.launch.pidfd_socket,
         "path to an AF_UNIX socket which will receive a file descriptor referencing the init "
         "process"},
        {"pid-file", &options.pid_file, "specify the file to write the process id to"},
        {"no-pivot", &options.launch.no_pivot,
         "do not use pivot root to jail process inside rootfs"},
        {"no-new-keyring", &options.launch.no_new_keyring,
         "do not create a new session keyring for the container"},
        {"preserve-fds", &options.preserve_fds,
         "Pass N additional file descriptors to the container"}};
    if (!runs) return flags;
    flags.push_back({"detach,d", &options.detach, "detach from the container's process"});
    flags.push_back({"keep", &options.keep, "do not delete the container after it exits"});
    flags.push_back({"no-subreaper", &options.no_subreaper,
                     "disable the use of the subreaper used to reap reparented processes"});
    return flags;
}

/// Takes away what a start that failed has left.
std::unexpected<Error> undo(Draft& draft, Globals& globals, const Error& error,
                            const char* what) {
    (void)destroy(draft.container, globals.log);
    return failed(error, what);
}

Status after_launch(const RunOptions& options, int pid) {
    return options.pid_file.empty() ? Status() : write_pid_file(options.pid_file, pid);
}

Status check_deletable(const Container& container, bool force) {
    const ContainerStatus status = container.status();
    if (force || status == ContainerStatus::stopped || status == ContainerStatus::created)
        return {};
    return fail("cannot delete container " + container.id + " that is not stopped: " +
                status_name(status));
}

Status run_poststart(const Draft& draft) {
    if (draft.config.hooks.poststart.empty()) return {};
    const Fd state = TRY(draft.container.state_file("running"));
    return run_hooks(draft.config.hooks.poststart, "poststart", state.get());
}

Status delete_one(const Globals& globals, const std::string& id, bool force) {
    auto container = Container::load(globals.root, id);
    const Status known = container ? Status() : std::unexpected(container.error());
    const bool is_damaged = !known && known.error().message != "container does not exist";
    if (is_damaged && !force) return std::unexpected(known.error());
    if (is_damaged)
        globals.log.warning(known.error().message + ": what its configuration names is removed");
    if (!known) container = Container::salvage(globals.root, id);
    if (!container && force && check_id(id)) return {};
    if (!container) return std::unexpected(container.error());
    TRY_STATUS(check_deletable(*container, force));
    // Who is about to make it gives up when its processes are gone.
    if (force) kill_processes(*container);
    const Status locked = container->lock(limits::lock_wait_ms);
    if (!locked && force && locked.error().code == ENOENT) return {};
    TRY_STATUS(locked);
    // It may have been started while the lock was waited for.
    if (container->status() != ContainerStatus::creating)
        TRY_STATUS(check_deletable(*container, force));
    TRY_STATUS(destroy(*container, globals.log));
    if (!known && !force) return std::unexpected(known.error());
    return {};
}

}  // namespace

Result<int> create_command(Call& call) {
    RunOptions options;
    options.detach = true;
    PARSE(call, flags_of(options, false));
    auto draft = draft_container(call, options);
    if (!draft) return failed(draft.error(), "create");
    options.launch.waits_for_start = true;
    const auto launched =
        launch_container(draft->container, draft->config, options.launch, call.globals.log);
    if (!launched) return undo(*draft, call.globals, launched.error(), "create");
    if (const Status written = after_launch(options, launched->pid); !written)
        return undo(*draft, call.globals, written.error(), "create");
    return 0;
}

Result<int> run_command(Call& call) {
    RunOptions options;
    PARSE(call, flags_of(options, true));
    auto draft = draft_container(call, options);
    if (!draft) return failed(draft.error(), "run");
    std::optional<Foreground> foreground;
    if (!options.detach) {
        auto begun = Foreground::begin(!options.no_subreaper);
        if (!begun) return undo(*draft, call.globals, begun.error(), "run");
        foreground.emplace(std::move(*begun));
        const auto console =
            draft->config.process.terminal ? foreground->make_console() : Result<int>(-1);
        if (!console) return undo(*draft, call.globals, console.error(), "run");
        options.launch.console_fd = *console;
    }
    const auto launched =
        launch_container(draft->container, draft->config, options.launch, call.globals.log);
    if (!launched) return undo(*draft, call.globals, launched.error(), "run");
    Status going = after_launch(options, launched->pid);
    if (going && options.launch.console_fd >= 0) going = foreground->take_terminal();
    if (going) going = release(draft->container, draft->config, launched->sync.get(), "created",
                             call.globals.log);
    if (going) {
        draft->container.unlock();
        going = run_poststart(*draft);
    }
    if (!going) {
        (void)kill(launched->pid, SIGKILL);
        (void)waitpid(launched->pid, nullptr, 0);
        return undo(*draft, call.globals, going.error(), "run");
    }
    if (options.detach) return 0;
    const int status = foreground->wait(launched->pid);
    foreground.reset();
    if (options.keep) return status;
    const Status removed = destroy(draft->container, call.globals.log);
    if (!removed && removed.error().code != ENOENT) return std::unexpected(removed.error());
    return status;
}

Result<int> start_command(Call& call) {
    PARSE(call, std::span<const Flag>());
    Draft draft{TRY(Container::load(call.globals.root, call.words[0])), {}};
    switch (draft.container.status()) {
        case ContainerStatus::created: break;
        case ContainerStatus::stopped: return fail("cannot start a container that has stopped");
        case ContainerStatus::running: return fail("cannot start an already running container");
        case ContainerStatus::paused: return fail("cannot start a container in the paused state");
        case ContainerStatus::creating:
            return fail("cannot start a container in the creating state");
    }
    draft.config = TRY(draft.container.config());
    const Fd socket = TRY(draft.container.connect());
    // Before it says go: should it be killed, the container is told as what it is.
    draft.container.forget_socket();
    TRY_STATUS(
        release(draft.container, draft.config, socket.get(), "created", call.globals.log));
    const Status ran = run_poststart(draft);
    if (ran) return 0;
    (void)destroy(draft.container, call.globals.log);
    return std::unexpected(ran.error());
}

Result<int> delete_command(Call& call) {
    bool force = false, regex = false;
    const Flag flags[] = {{"force,f", &force,
                           "Forcibly deletes the container if it is still running (uses SIGKILL)"},
                          {"regex,r", &regex,
                           "the container id is a regular expression: delete all that match"}};
    PARSE(call, flags);
    if (regex)
        return for_each_like(call, [&](const std::string& id) {
            return delete_one(call.globals, id, force);
        });
    TRY_STATUS(delete_one(call.globals, call.words[0], force));
    return 0;
}

}  // namespace noded::noci

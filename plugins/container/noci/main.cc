// noci: an OCI runtime command line. What stands before the command, and what becomes of errors.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "agent/base/version.h"
#include "plugins/container/noci/command.h"
#include "plugins/container/noci/config.h"
#include "plugins/container/noci/limits.h"
#include "plugins/container/noci/seccomp.h"

namespace noded::noci {
namespace {

std::string usage(std::span<const Flag> flags) {
    std::string text =
        "NAME:\n   noci - Open Container Initiative runtime\n\nnoci runs applications packaged "
        "according to the Open Container Initiative (OCI)\nformat: a bundle is a folder with a "
        "file \"config.json\" and a root filesystem.\n\n    # noci run [ -b bundle ] "
        "<container-id>\n\nUSAGE:\n   noci [global options] command [command options] "
        "[arguments...]\n\nVERSION:\n   " +
        std::string(kVersion) + "\n\nCOMMANDS:\n";
    for (const Command& command : commands()) {
        std::string name = command.name;
        name.resize(12, ' ');
        text += "   " + name + command.description + "\n";
    }
    return text + "   help        Shows a list of commands or help for one command\n" +
           "\nGLOBAL OPTIONS:\n" + describe_flags(flags) +
           "   --help, -h  show help\n   --version, -v  print the version\n";
}

/// crun's spelling of --systemd-cgroup, and one more.
Status choose_cgroups(Globals& globals, const std::string& manager) {
    if (manager != "cgroupfs" && manager != "systemd" && manager != "disabled")
        return fail("invalid cgroup manager \"" + manager +
                    "\": it is one of cgroupfs, systemd and disabled");
    globals.systemd_cgroup |= manager == "systemd";
    globals.no_cgroups = manager == "disabled";
    return {};
}

Status revise_root(Globals& globals, const std::string& root) {
    if (root.empty() && !globals.root_is_given) {
        // Of a user without root's rights: a place that is that user's.
        const char* own = geteuid() != 0 ? getenv("XDG_RUNTIME_DIR") : nullptr;
        if (own != nullptr && own[0] == '/') globals.root = std::string(own) + "/noci";
        return {};
    }
    char here[4096];
    std::string path = root;
    if (path.empty() || path[0] != '/')
        path = std::string(getcwd(here, sizeof here) != nullptr ? here : "/") + "/" + path;
    globals.root = clean_path(path);
    if (globals.root == "/") return fail("Option --root argument should not be set to /");
    return {};
}

int fatal(const Globals& globals, const std::string& message, int status) {
    globals.log.fatal(message);
    return status;
}

int run_main(std::vector<std::string> words) {
    Globals globals;
    std::string root, log, format = "text", manager = "cgroupfs", unused;
    bool debug = false, version = false, help = false;
    std::vector<std::string> roots;
    std::vector<Flag> flags = {
        {"debug", &debug, "enable debug logging"},
        {"log", &log,
         "set the log file to write noci logs to, '[file:]PATH' (default is '/dev/stderr')"},
        {"log-format", &format, "set the log format ('text' (default), or 'json')"},
        {"root", &roots,
         "root directory for storage of container state (this should be located in tmpfs) "
         "(default: \"/run/noci\")"},
        {"criu", &unused, "accepted and not used"},
        {"systemd-cgroup", &globals.systemd_cgroup,
         "expects cgroupsPath to be of form \"slice:prefix:name\""},
        {"cgroup-manager", &manager,
         "who makes the cgroups: 'cgroupfs' (default), 'systemd', or 'disabled': nobody"},
        {"rootless", &unused, "accepted: who calls noci is looked at ('true', 'false', or 'auto')"},
    };
    std::vector<Flag> with_version = flags;
    with_version.push_back({"version,v", &version, ""});
    std::vector<std::string> rest;
    if (const Status parsed = parse_flags(with_version, words, true, &rest, &help); !parsed) {
        print("Incorrect Usage. " + parsed.error().message + "\n\n" + usage(flags));
        return fatal(globals, parsed.error().message, 1);
    }
    if (version) {
        print(std::string("noci version ") + kVersion + "\nspec: 1.3.0\nlibseccomp: " +
              libseccomp_version() + "\n");
        return 0;
    }
    globals.root_is_given = !roots.empty();
    if (!roots.empty()) root = roots.back();
    if (const Status revised = revise_root(globals, root); !revised)
        return fatal(globals, revised.error().message, 1);
    if (const Status chosen = choose_cgroups(globals, manager); !chosen)
        return fatal(globals, chosen.error().message, 1);
    auto opened = Log::open(log, format, debug);
    if (!opened) return fatal(globals, opened.error().message, 1);
    globals.log = std::move(*opened);
    if (!rest.empty() && rest[0] == "help") {
        rest.erase(rest.begin());
        if (!rest.empty()) rest.emplace_back("--help");
    }
    if (rest.empty() || (help && rest.empty())) {
        print(usage(flags));
        return 0;
    }
    const auto found = std::ranges::find_if(
        commands(), [&](const Command& command) { return rest[0] == command.name; });
    if (found == commands().end())
        return fatal(globals, "No help topic for '" + rest[0] + "'", 3);
    rest.erase(rest.begin());
    Call call(*found, std::move(rest), globals);
    const Result<int> status = found->function(call);
    if (!status) return fatal(globals, status.error().message, found->failure);
    return *status;
}

}  // namespace
}  // namespace noded::noci

int main(int argc, char** argv) {
    // Files that noci makes have the modes that it says.
    umask(022);
    return noded::noci::run_main({argv + 1, argv + argc});
}

// See container_options.h.
#include "tools/nodectl/container_options.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "agent/base/fd.h"
#include "tools/nodectl/container_call.h"
#include "tools/nodectl/files.h"
#include "tools/nodectl/json.h"
#include "tools/nodectl/output.h"
#include "tools/nodectl/terminal.h"

namespace noded::nodectl {

std::vector<Option> ContainerOptions::table(std::vector<Option> more) {
    std::vector<Option> options = {
        {'a', "attach", &attach, "list", "Attach to STDIN, STDOUT or STDERR"},
        {0, "cidfile", &cid_file, "string", "Write the container ID to the file"},
        {0, "entrypoint", &entrypoint, "string", "Overwrite the default ENTRYPOINT of the image"},
        {'e', "env", &env, "list", "Set environment variables"},
        {0, "env-file", &env_files, "list", "Read in a file of environment variables"},
        {'h', "hostname", &hostname, "string", "Container host name"},
        {'i', "interactive", &interactive, "", "Keep STDIN open even if not attached"},
        {'l', "label", &labels, "list", "Set meta data on a container"},
        {0, "label-file", &label_files, "list", "Read in a file of labels, one a line"},
        {0, "name", &name, "string", "Assign a name to the container"},
        {0, "network", &network, "string",
         "Network of the container: none or host (default \"none\")"},
        {0, "net", &network, "string", nullptr},
        {0, "restart", &restart.policy, "string",
         "Restart policy to apply when a container exits: no, on-failure[:max-retries], always, "
         "unless-stopped (default \"no\")"},
        {0, "restart-delay", &restart.delay, "duration",
         "Wait before the first restart, then twice as long each time (default 100ms)"},
        {0, "restart-delay-max", &restart.delay_max, "duration",
         "Longest wait before a restart (default 1m0s)"},
        {0, "rm", &auto_remove, "", "Automatically remove the container when it exits"},
        {0, "stop-signal", &stop_signal, "string", "Signal to stop the container"},
        {0, "stop-timeout", &stop_timeout, "int", "Timeout (in seconds) to stop a container"
         " (-1: none)"},
        {'t', "tty", &tty, "", "Allocate a pseudo-TTY"},
        {'u', "user", &user, "string", "Username or UID (format: <name|uid>[:<group|gid>])"},
        {'w', "workdir", &working_dir, "string", "Working directory inside the container"},
    };
    options.insert(options.end(), more.begin(), more.end());
    const std::vector<Option> of_health = health.table();
    options.insert(options.end(), of_health.begin(), of_health.end());
    const std::vector<Option> of_host = host.table();
    options.insert(options.end(), of_host.begin(), of_host.end());
    const std::vector<Option> of_docker = docker.table();
    options.insert(options.end(), of_docker.begin(), of_docker.end());
    return options;
}

void set_texts(capnp::List<capnp::Text>::Builder list, const std::vector<std::string>& texts) {
    for (size_t i = 0; i < texts.size(); i++) list.set(static_cast<unsigned>(i), texts[i]);
}

namespace {

bool is_utf8(const std::string& text) {
    // As JSON what is none becomes a replacement character.
    constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
    return text.find(kReplacement) != std::string::npos ||
           to_line(Json(text)).find(kReplacement) == std::string::npos;
}

}  // namespace

Result<std::vector<std::string>> parse_env_lines(const std::string& text, const std::string& file) {
    constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    std::vector<std::string> result;
    size_t begin = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
    for (size_t number = 1; begin < text.size(); ++number) {
        const size_t end = std::min(text.find('\n', begin), text.size());
        std::string line = text.substr(begin, end - begin);
        begin = end + 1;
        if (line.ends_with('\r')) line.pop_back();
        const size_t first = line.find_first_not_of(" \t");
        if (first == std::string::npos || line[first] == '#') continue;
        line.erase(0, first);
        if (line.find('\0') != std::string::npos)
            return fail("env file " + file + " contains a zero byte at line " +
                        std::to_string(number));
        if (!is_utf8(line))
            return fail("env file " + file + " contains invalid utf8 bytes at line " +
                        std::to_string(number));
        const std::string key = line.substr(0, line.find('='));
        if (key.empty())
            return fail("poorly formatted environment: no variable name on line '" + line + "'");
        if (key.find_first_of(" \t") != std::string::npos)
            return fail("poorly formatted environment: variable '" + key +
                        "' contains whitespaces");
        result.push_back(std::move(line));
    }
    return result;
}

Result<std::vector<std::string>> collect_env(const std::vector<std::string>& env,
                                             const std::vector<std::string>& env_files) {
    std::vector<std::string> result;
    // Alone, and without a value here: the image's goes. In a file it is passed over. As in docker.
    const auto add = [&](const std::string& variable, bool named) -> Status {
        if (variable.empty() || variable[0] == '=')
            return invalid_argument(variable, "-e, --env",
                                    "invalid environment variable: " + variable);
        if (variable.find('=') != std::string::npos) {
            result.push_back(variable);
        } else if (const char* value = getenv(variable.c_str())) {
            result.push_back(variable + "=" + value);
        } else if (named) {
            result.push_back(variable);
        }
        return {};
    };
    for (const std::string& file : env_files) {
        for (const std::string& line : TRY(parse_env_lines(TRY(read_file(file)), file)))
            TRY_STATUS(add(line, false));
    }
    for (const std::string& variable : env) TRY_STATUS(add(variable, true));
    return result;
}

/// Those of files first: what the command line says wins.
Status ContainerOptions::fill_labels(schema::ContainerSpec::Builder spec) const {
    std::vector<std::string> all;
    for (const std::string& file : label_files)
        for (std::string& line : TRY(parse_env_lines(TRY(read_file(file)), file)))
            all.push_back(std::move(line));
    all.insert(all.end(), labels.begin(), labels.end());
    auto list = spec.initLabels(static_cast<unsigned>(all.size()));
    for (unsigned i = 0; i < all.size(); i++) {
        const size_t equals = std::min(all[i].find('='), all[i].size());
        if (equals == 0)
            return invalid_argument(all[i], "-l, --label",
                                    "invalid label '" + all[i] + "': empty name");
        list[i].setKey(all[i].substr(0, equals));
        list[i].setValue(all[i].substr(std::min(equals + 1, all[i].size())));
    }
    return {};
}

bool ContainerOptions::attaches(std::string_view stream) const {
    if (attach.empty()) return true;
    return std::ranges::any_of(attach, [&](const std::string& one) {
        return strcasecmp(one.c_str(), std::string(stream).c_str()) == 0;
    });
}

uint8_t ContainerOptions::unattached() const {
    uint8_t streams = 0;
    if (interactive && !attaches("stdin")) streams |= 1;
    if (!attaches("stdout")) streams |= 2;
    if (!attaches("stderr")) streams |= 4;
    return streams;
}

Status ContainerOptions::check_attach() const {
    for (const std::string& one : attach) {
        const auto is = [&](const char* word) { return strcasecmp(one.c_str(), word) == 0; };
        if (!is("stdin") && !is("stdout") && !is("stderr"))
            return invalid_argument(one, "-a, --attach",
                                    "valid streams are STDIN, STDOUT and STDERR");
    }
    return {};
}

Status ContainerOptions::read_profile() {
    for (const std::string& option : host.security_opt) {
        const std::string file = HostOptions::seccomp_file(option);
        if (file.empty()) continue;
        auto text = read_file(file);
        if (!text)
            return fail("opening seccomp profile (" + file + ") failed: " + text.error().message);
        host.seccomp_profile = std::move(*text);
        if (host.seccomp_profile.empty())
            return fail("opening seccomp profile (" + file + ") failed: the file is empty");
        // A message's text ends there: what noded would be given is another profile, or none.
        if (host.seccomp_profile.find('\0') != std::string::npos)
            return fail("Decoding seccomp profile failed: " + file +
                        " has a zero byte, so it is not a JSON object");
    }
    return {};
}

Status ContainerOptions::take_host_name(Session& session) {
    if (!hostname.empty() || network != "host" || host.uts == "host") return {};
    std::string name;
    if (session.elsewhere()) {
        const auto response = TRY(session.wait(session.node().infoRequest().send()));
        name = response.getInfo().getNodeName().cStr();
    } else {
        char text[HOST_NAME_MAX + 1] = {};
        if (gethostname(text, sizeof text - 1) == 0) name = text;
    }
    // One that noded would refuse is not what the user asked for.
    const bool usable = std::ranges::all_of(name, [](unsigned char c) {
        return isalnum(c) != 0 || c == '-' || c == '.';
    });
    if (usable) hostname = name;
    return {};
}

Status ContainerOptions::fill(schema::ContainerSpec::Builder spec,
                              const std::vector<std::string>& positional) {
    TRY_STATUS(docker.check());
    TRY_STATUS(check_attach());
    TRY_STATUS(read_profile());
    const std::vector<std::string> variables = TRY(collect_env(env, env_files));
    const std::vector<std::string> command(positional.begin() + 1, positional.end());
    spec.setImage(positional[0]);
    spec.setName(name);
    set_texts(spec.initCommand(static_cast<unsigned>(command.size())), command);
    if (entrypoint) {
        spec.setEntrypointSet(true);
        if (!entrypoint->empty()) spec.initEntrypoint(1).set(0, *entrypoint);
    }
    set_texts(spec.initEnv(static_cast<unsigned>(variables.size())), variables);
    spec.setWorkingDir(working_dir);
    spec.setUser(user);
    TRY_STATUS(fill_labels(spec));
    TRY_STATUS(host.fill(spec));
    if (health.any()) TRY_STATUS(health.fill(spec.initHealth()));
    if (restart.any()) TRY_STATUS(restart.fill(spec.initRestart()));
    if (auto_remove && spec.getRestart().getKind() != schema::RestartKind::NO)
        return fail("Conflicting options: --restart and --rm");
    spec.setHostname(hostname);
    spec.setUnattached(unattached());
    spec.setTty(tty);
    spec.setOpenStdin(interactive);
    spec.setAutoRemove(auto_remove);
    spec.setNetwork(network);
    spec.setStopSignal(stop_signal);
    spec.setStopTimeoutSeconds(stop_seconds(stop_timeout));
    if (tty) {
        const TerminalSize size = terminal_size();
        spec.setTtyRows(size.rows);
        spec.setTtyColumns(size.columns);
    }
    return {};
}

ContainerOptions::~ContainerOptions() {
    if (cid_file_made_.valid()) unlink(cid_file.c_str());
}

Status ContainerOptions::make_cid_file() {
    if (cid_file.empty()) return {};
    cid_file_made_.reset(open(cid_file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!cid_file_made_.valid() && errno == EEXIST)
        return fail("container ID file found, make sure the other container isn't running or "
                    "delete " + cid_file);
    if (!cid_file_made_.valid())
        return fail_errno(errno, "failed to create the container ID file: open " + cid_file);
    return {};
}

void ContainerOptions::write_cid_file(const std::string& id) {
    if (!cid_file_made_.valid()) return;
    write_all(cid_file_made_.get(), id);
    cid_file_made_.reset();
}

}  // namespace noded::nodectl

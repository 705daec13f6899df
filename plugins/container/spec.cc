// Spec and its rules, see spec.h.
#include "plugins/container/spec.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "plugins/container/limits.h"
#include "plugins/container/signals.h"
#include "plugins/sdk/message.h"

namespace noded::container {

using sdk::text;

Spec Spec::read(schema::ResolvedSpec::Reader in) {
    Spec spec;
    spec.image_id = to_string(in.getImageId());
    spec.image_name = to_string(in.getImageName());
    spec.argv = to_strings(in.getArgv());
    spec.env = to_strings(in.getEnv());
    spec.working_dir = to_string(in.getWorkingDir());
    spec.user = to_string(in.getUser());
    for (auto label : in.getLabels())
        spec.labels.emplace_back(to_string(label.getKey()), to_string(label.getValue()));
    spec.hostname = to_string(in.getHostname());
    spec.tty = in.getTty();
    spec.open_stdin = in.getOpenStdin();
    spec.stdin_once = in.getStdinOnce();
    spec.unattached = in.getUnattached();
    spec.auto_remove = in.getAutoRemove();
    spec.network = to_string(in.getNetwork());
    spec.stop_signal = in.getStopSignal();
    spec.stop_timeout_seconds = in.getStopTimeoutSeconds();
    spec.layers = to_strings(in.getLayers());
    spec.tty_rows = in.getTtyRows();
    spec.tty_columns = in.getTtyColumns();
    spec.entrypoint = to_strings(in.getEntrypoint());
    spec.command = to_strings(in.getCommand());
    spec.exposed_ports = to_strings(in.getExposedPorts());
    spec.options = Options::read(in.getOptions());
    spec.restart = RestartPolicy::read(in.getRestart());
    spec.health = HealthCheck::read(in.getHealth());
    return spec;
}

void Spec::write(schema::ResolvedSpec::Builder out) const {
    out.setImageId(text(image_id));
    out.setImageName(text(image_name));
    write_strings(argv, [&](unsigned n) { return out.initArgv(n); });
    write_strings(env, [&](unsigned n) { return out.initEnv(n); });
    out.setWorkingDir(text(working_dir));
    out.setUser(text(user));
    write_labels(out);
    out.setHostname(text(hostname));
    out.setTty(tty);
    out.setOpenStdin(open_stdin);
    out.setStdinOnce(stdin_once);
    out.setUnattached(unattached);
    out.setAutoRemove(auto_remove);
    out.setNetwork(text(network));
    out.setStopSignal(stop_signal);
    out.setStopTimeoutSeconds(stop_timeout_seconds);
    write_strings(layers, [&](unsigned n) { return out.initLayers(n); });
    out.setTtyRows(tty_rows);
    out.setTtyColumns(tty_columns);
    write_strings(entrypoint, [&](unsigned n) { return out.initEntrypoint(n); });
    write_strings(command, [&](unsigned n) { return out.initCommand(n); });
    // Most containers have none: their events stay as short as they were.
    if (options != Options()) options.write(out.initOptions());
    if (restart != RestartPolicy()) restart.write(out.initRestart());
    if (health != HealthCheck()) health.write(out.initHealth());
    if (!exposed_ports.empty())
        write_strings(exposed_ports, [&](unsigned n) { return out.initExposedPorts(n); });
}

void Spec::write_labels(schema::ResolvedSpec::Builder out) const {
    auto list = out.initLabels(unsigned(labels.size()));
    for (unsigned i = 0; i < labels.size(); ++i) {
        list[i].setKey(text(labels[i].first));
        list[i].setValue(text(labels[i].second));
    }
}

void Spec::write_summary(schema::ResolvedSpec::Builder out) const {
    out.setImageId(text(image_id));
    out.setImageName(text(image_name));
    write_strings(argv, [&](unsigned n) { return out.initArgv(n); });
    write_labels(out);
    out.setNetwork(text(network));
    const bool limited = options.resources.any();
    if (options.mounts.empty() && !limited) return;
    auto some = out.initOptions();
    if (!options.mounts.empty()) options.write_mounts(some);
    if (limited) options.resources.write(some.initResources());
}

Status check_text(std::string_view text, size_t bytes_max, std::string_view what) {
    if (text.size() > bytes_max)
        return fail(std::string(what) + " has " + std::to_string(text.size()) + " bytes, at most " +
                    std::to_string(bytes_max) + " are allowed");
    if (text.find('\0') != std::string_view::npos)
        return fail(std::string(what) + " contains a zero byte, which no program can be given");
    return {};
}

Status check_strings(const std::vector<std::string>& list, size_t count_max, size_t bytes_max,
                     std::string_view what) {
    if (list.size() > count_max)
        return fail(std::string(what) + " has " + std::to_string(list.size()) +
                    " strings, at most " + std::to_string(count_max) + " are allowed");
    size_t bytes = 0;
    for (const std::string& item : list) {
        TRY_STATUS(check_text(item, bytes_max, what));
        bytes += item.size() + 1;
    }
    if (bytes > bytes_max)
        return fail(std::string(what) + " has " + std::to_string(bytes) +
                    " bytes together, at most " + std::to_string(bytes_max) + " are allowed");
    return {};
}

Status check_working_dir(std::string_view path) {
    TRY_STATUS(check_text(path, limits::path_bytes_max, "the working directory"));
    if (path.empty() || path.front() != '/')
        return fail("the working directory '" + std::string(path) +
                    "' is invalid, it needs to be an absolute path");
    return {};
}

std::vector<std::string> merge_env(std::vector<std::string> base,
                                   const std::vector<std::string>& more) {
    auto same_key = [](const std::string& a, const std::string& b) {
        return std::string_view(a).substr(0, a.find('=')) ==
               std::string_view(b).substr(0, b.find('='));
    };
    for (const std::string& item : more) {
        const auto found =
            std::ranges::find_if(base, [&](const auto& had) { return same_key(had, item); });
        const bool assigns = item.find('=') != std::string::npos;
        if (found != base.end() && assigns)
            *found = item;
        else if (found != base.end())
            base.erase(found);
        else if (assigns)
            base.push_back(item);
    }
    return base;
}

namespace {

/// Nothing is published, so that those above the limit are missing in what is shown alone.
std::vector<std::string> ports_shown(const Image& image) {
    std::vector<std::string> ports;
    for (const std::string& port : image.config.exposed_ports)
        if (port.size() <= limits::exposed_port_bytes_max &&
            ports.size() < limits::exposed_ports_max)
            ports.push_back(port);
    return ports;
}

/// Docker's rules. An entrypoint that was asked for drops the image's command too; an empty one (or
/// a single empty string, as docker's own client sends it) leaves the command alone to be run.
void resolve_argv(schema::ContainerSpec::Reader asked, const Image& image, Spec& spec) {
    spec.entrypoint = to_strings(asked.getEntrypoint());
    spec.command = to_strings(asked.getCommand());
    const bool replaced = asked.getEntrypointSet() || !spec.entrypoint.empty();
    if (!replaced && spec.command.empty()) spec.command = image.config.command;
    if (!replaced) spec.entrypoint = image.config.entrypoint;
    if (spec.entrypoint.size() == 1 && spec.entrypoint[0].empty()) spec.entrypoint.clear();
    spec.argv = spec.entrypoint;
    spec.argv.insert(spec.argv.end(), spec.command.begin(), spec.command.end());
}

std::vector<std::pair<std::string, std::string>> resolve_labels(schema::ContainerSpec::Reader asked,
                                                                const Image& image) {
    auto labels = image.config.labels;
    for (auto label : asked.getLabels()) {
        const std::string key = to_string(label.getKey());
        const auto had =
            std::ranges::find(labels, key, &std::pair<std::string, std::string>::first);
        if (had != labels.end())
            had->second = to_string(label.getValue());
        else
            labels.emplace_back(key, to_string(label.getValue()));
    }
    return labels;
}

Status check_labels(const Spec& spec) {
    std::vector<std::string> flat;
    for (const auto& [key, value] : spec.labels) {
        if (key.empty()) return fail("a label must have a key");
        flat.push_back(key + "=" + value);
    }
    return check_strings(flat, limits::labels_count_max, limits::labels_bytes_max, "the labels");
}

Status check_env(const Spec& spec) {
    for (const std::string& item : spec.env)
        if (item.starts_with('=')) return fail("invalid environment variable: " + item);
    return check_strings(spec.env, limits::env_count_max, limits::env_bytes_max, "the environment");
}

Status check(const Spec& spec) {
    if (spec.argv.empty()) return fail("No command specified");
    TRY_STATUS(check_strings(spec.argv, limits::argv_count_max, limits::argv_bytes_max,
                             "the command line"));
    TRY_STATUS(check_env(spec));
    TRY_STATUS(check_labels(spec));
    TRY_STATUS(check_text(spec.user, limits::user_bytes_max, "the user"));
    TRY_STATUS(check_text(spec.hostname, limits::hostname_bytes_max, "the hostname"));
    if (!spec.working_dir.empty()) TRY_STATUS(check_working_dir(spec.working_dir));
    TRY_STATUS(spec.options.check());
    TRY_STATUS(spec.restart.check());
    TRY_STATUS(spec.health.check());
    if (spec.auto_remove && spec.restart.kind != schema::RestartKind::NO)
        return fail("can't create 'AutoRemove' container with restart policy");
    if (spec.network != "none" && spec.network != "host")
        return fail("network " + spec.network +
                    " not found: this node knows \"none\" and \"host\"");
    if (spec.network == "host")
        for (const auto& [key, value] : spec.options.sysctls)
            if (key.starts_with("net."))
                return fail("sysctl \"" + key + "\" not allowed in host network namespace");
    if (spec.stop_timeout_seconds < limits::stop_timeout_never ||
        spec.stop_timeout_seconds > limits::stop_timeout_seconds_max)
        return fail("the stop timeout must be between 0 and " +
                    std::to_string(limits::stop_timeout_seconds_max) +
                    " seconds, or -1 to wait for ever");
    return {};
}

/// "/data/" and "/x/../data" are "/data".
std::string clean(const std::string& path) {
    std::string out = std::filesystem::path("/" + path).lexically_normal().string();
    while (out.size() > 1 && out.ends_with('/')) out.pop_back();
    return out;
}

/// As long as an id and different from all others of this container: what docker shows is random.
std::string volume_name(std::string_view id, size_t number) {
    char digits[5];
    snprintf(digits, sizeof digits, "%04zx", number & 0xffff);
    return digits + std::string(id.substr(4));
}

/// The image's volumes that nothing else was mounted on, and a name for each. What lies deeper is
/// mounted later, in whatever order it was asked for.
Status resolve_volumes(const Image& image, std::string_view id, std::vector<Mount>& mounts) {
    for (const Mount& mount : mounts)
        if (mount.type == "volume" && !mount.source.empty())
            return fail("this node has no named volumes: bind a folder of the host, or leave out "
                        "the name " + mount.source);
    const auto depth = [](const Mount& mount) {
        return std::ranges::count(clean(mount.target), '/');
    };
    for (const std::string& path : image.config.volumes) {
        const std::string target = clean(path);
        if (target.size() > limits::path_bytes_max || mounts.size() >= limits::mounts_max)
            return fail("the image declares too many volumes, or one with too long a path: a "
                        "container has " + std::to_string(limits::mounts_max) + " mounts at most");
        const auto there = [&](const Mount& mount) { return clean(mount.target) == target; };
        if (std::ranges::none_of(mounts, there))
            mounts.push_back({"volume", "", target, "rbind", true});
    }
    std::ranges::stable_sort(mounts, {}, depth);
    size_t number = 0;
    for (Mount& mount : mounts)
        if (mount.type == "volume") mount.source = volume_name(id, ++number);
    return {};
}

}  // namespace

Result<Spec> resolve(schema::ContainerSpec::Reader asked, const Image& image, std::string_view id) {
    Spec spec;
    spec.image_id = image.id;
    spec.image_name = to_string(asked.getImage());
    spec.layers = image.layers;
    spec.exposed_ports = ports_shown(image);
    resolve_argv(asked, image, spec);
    spec.hostname = asked.getHostname().size() > 0 ? to_string(asked.getHostname())
                                                   : std::string(id.substr(0, 12));
    // PATH, HOSTNAME and the like are added where a process starts, unless they stand here.
    spec.env = merge_env(image.config.env, to_strings(asked.getEnv()));
    spec.labels = resolve_labels(asked, image);
    spec.working_dir = to_string(asked.getWorkingDir());
    if (spec.working_dir.empty()) spec.working_dir = image.config.working_dir;
    spec.user = asked.getUser().size() > 0 ? to_string(asked.getUser()) : image.config.user;
    spec.tty = asked.getTty();
    spec.open_stdin = asked.getOpenStdin();
    spec.stdin_once = asked.getStdinOnce();
    spec.unattached = asked.getUnattached();
    spec.auto_remove = asked.getAutoRemove();
    spec.network = asked.getNetwork().size() > 0 ? to_string(asked.getNetwork()) : "none";
    spec.tty_rows = asked.getTtyRows();
    spec.tty_columns = asked.getTtyColumns();
    spec.stop_timeout_seconds = asked.getStopTimeoutSeconds();
    spec.options = Options::read(asked.getOptions());
    spec.options.id_maps.clear();  // the node's, not the client's to choose
    TRY_STATUS(resolve_volumes(image, id, spec.options.mounts));
    spec.restart = RestartPolicy::read(asked.getRestart());
    spec.health = HealthCheck::read(asked.getHealth());
    TRY_STATUS(spec.health.check());
    spec.health = spec.health.over(image.config.health);
    if (spec.options.uts_mode == "host" && asked.getHostname().size() > 0)
        return fail("conflicting options: hostname and the UTS mode");
    if (spec.options.uts_mode == "host" && !spec.options.domainname.empty())
        return fail("conflicting options: domainname and the UTS mode");
    std::string signal = to_string(asked.getStopSignal());
    if (signal.empty()) signal = image.config.stop_signal;
    spec.stop_signal = signal.empty() ? 15 : TRY(parse_signal(signal));
    TRY_STATUS(check(spec));
    return spec;
}

}  // namespace noded::container

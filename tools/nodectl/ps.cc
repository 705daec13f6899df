// nodectl ps: the containers of the node.
#include <regex.h>

#include <algorithm>
#include <cstring>

#include "tools/nodectl/container_call.h"
#include "tools/nodectl/container_json.h"
#include "tools/nodectl/files_call.h"
#include "tools/nodectl/filters.h"
#include "tools/nodectl/health_options.h"
#include "tools/nodectl/image_json.h"
#include "tools/nodectl/units.h"
#include "tools/nodectl/verb.h"

namespace noded::nodectl {
namespace {

using State = schema::ContainerState::Reader;

constexpr std::string_view kKeys[] = {"ancestor", "before", "exited",  "expose", "health",
                                      "id",       "is-task", "label",  "name",   "network",
                                      "publish",  "since",   "status", "volume"};
constexpr const char* kTable =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

const Json& headers() {
    static const Json names = {
        {"Command", "COMMAND"}, {"CreatedAt", "CREATED AT"}, {"ID", "CONTAINER ID"},
        {"Image", "IMAGE"},     {"Labels", "LABELS"},        {"LocalVolumes", "LOCAL VOLUMES"},
        {"Mounts", "MOUNTS"},   {"Names", "NAMES"},          {"Networks", "NETWORKS"},
        {"Ports", "PORTS"},     {"RunningFor", "CREATED"},   {"Size", "SIZE"},
        {"State", "STATE"},     {"Status", "STATUS"},
    };
    return names;
}

struct PsOptions {
    bool all = false;
    bool quiet = false;
    bool no_trunc = false;
    bool latest = false;
    bool size = false;
    std::optional<int64_t> last;
    std::vector<std::string> filters;
    std::string format;
};

bool has_image(const State& state, const std::string& wanted) {
    const auto spec = state.getSpec();
    const std::string name = spec.getImageName().cStr();
    const std::string id = spec.getImageId().cStr();
    const bool is_id =
        wanted.size() >= 4 && (id.starts_with(wanted) || id.starts_with("sha256:" + wanted));
    const auto [repository, tag] = split_image_name(name);
    return is_id || name == wanted || repository == wanted || name == wanted + ":latest" ||
           name + ":latest" == wanted;
}

/// An extended regular expression, see regex(7), which has no word for digits.
bool compile(const std::string& pattern, regex_t& compiled) {
    std::string posix;
    bool in_brackets = false;
    for (size_t at = 0; at < pattern.size(); ++at) {
        const bool escapes = pattern[at] == '\\' && at + 1 < pattern.size();
        if (!escapes) {
            in_brackets = pattern[at] == '[' || (in_brackets && pattern[at] != ']');
            posix += pattern[at];
            continue;
        }
        const char escaped = pattern[++at];
        if (escaped == 'd') posix += in_brackets ? "0-9" : "[0-9]";
        else if (escaped == 'D' && !in_brackets) posix += "[^0-9]";
        else posix.append({'\\', escaped});
    }
    return regcomp(&compiled, posix.c_str(), REG_EXTENDED | REG_NOSUB) == 0;
}

/// parse_filters has refused those that are none.
bool fits(const std::string& pattern, const std::string& text) {
    regex_t compiled;
    if (!compile(pattern, compiled)) return false;
    const bool found = regexec(&compiled, text.c_str(), 0, nullptr, 0) == 0;
    regfree(&compiled);
    return found;
}

/// By the source or the place of a mount.
bool has_mount(const State& state, const std::string& wanted) {
    for (const auto mount : state.getSpec().getOptions().getMounts())
        if (wanted == mount.getSource().cStr() || wanted == mount.getTarget().cStr()) return true;
    return false;
}

bool matches(const State& state, const Filters& filters) {
    const std::string id = state.getId().cStr();
    const std::string name = state.getName().cStr();
    const bool exited = state.getPhase() == schema::Phase::EXITED;
    const auto has_id = [&](const std::string& wanted) { return id.starts_with(wanted); };
    // As in docker a regular expression that fits anywhere, also over the name with its slash.
    const auto has_name = [&](const std::string& wanted) {
        return name == wanted || fits(wanted, name) || fits(wanted, "/" + name);
    };
    const auto is_in = [&](const std::string& wanted) {
        return wanted == state_name(state);
    };
    const auto is_on = [&](const std::string& wanted) {
        return wanted == state.getSpec().getNetwork().cStr();
    };
    const auto is_of = [&](const std::string& wanted) { return has_image(state, wanted); };
    const auto ended_with = [&](const std::string& wanted) {
        return exited && wanted == std::to_string(state.getExitCode());
    };
    const auto feels = [&](const std::string& wanted) {
        return wanted == health_name(state.getHealth().getStatus());
    };
    const auto labelled = [&](const std::string& wanted) {
        return container_has_label(state, wanted);
    };
    const auto has_volume = [&](const std::string& wanted) { return has_mount(state, wanted); };
    // There is no swarm, and no network whose ports could be published.
    const auto is_no_task = [](const std::string& wanted) {
        return wanted == "false" || wanted == "0";
    };
    const auto never = [](const std::string&) { return false; };
    return filters.any("id", has_id) && filters.any("name", has_name) &&
           filters.any("status", is_in) && filters.any("network", is_on) &&
           filters.any("ancestor", is_of) && filters.any("exited", ended_with) &&
           filters.all("label", labelled) && filters.any("volume", has_volume) &&
           filters.any("health", feels) &&
           filters.any("is-task", is_no_task) && filters.any("publish", never) &&
           filters.any("expose", never);
}

/// The container that before= or since= names.
Result<uint64_t> created_seq(const std::vector<State>& states, const std::string& container) {
    for (const State& state : states) {
        if (container == state.getName().cStr()) return state.getCreatedSeq();
    }
    for (const State& state : states) {
        if (!container.empty() && std::string_view(state.getId().cStr()).starts_with(container)) {
            return state.getCreatedSeq();
        }
    }
    return fail("No such container: " + container);
}

Result<std::vector<State>> select(std::vector<State> states, const PsOptions& options,
                                  const Filters& filters) {
    // Newest first.
    std::sort(states.begin(), states.end(),
              [](const State& a, const State& b) { return a.getCreatedSeq() > b.getCreatedSeq(); });
    uint64_t before = UINT64_MAX;
    uint64_t since = 0;
    for (const std::string& name : filters.of("before"))
        before = std::min(before, TRY(created_seq(states, name)));
    for (const std::string& name : filters.of("since"))
        since = std::max(since, TRY(created_seq(states, name)));
    const size_t last = options.latest                   ? 1
                        : options.last.value_or(-1) >= 0 ? static_cast<size_t>(*options.last)
                                                         : 0;
    const bool all = options.all || last > 0 || filters.has("status");
    std::vector<State> chosen;
    for (const State& state : states) {
        const bool running = state.getPhase() == schema::Phase::RUNNING ||
                             state.getPhase() == schema::Phase::RESTARTING;
        if (!all && !running) continue;
        if (state.getCreatedSeq() >= before || state.getCreatedSeq() <= since) continue;
        if (!matches(state, filters)) continue;
        chosen.push_back(state);
        if (last > 0 && chosen.size() == last) break;
    }
    return chosen;
}

/// A key whose values are words of a list.
Status check_words(const Filters& filters, std::string_view key,
                   std::initializer_list<std::string_view> words) {
    for (const std::string& value : filters.of(key)) {
        if (std::find(words.begin(), words.end(), value) == words.end())
            return fail("invalid filter '" + std::string(key) + "=" + value + "'");
    }
    return {};
}

/// "80", "80/tcp", "80-90/udp".
bool is_port_range(const std::string& text) {
    const size_t slash = std::min(text.find('/'), text.size());
    const std::string protocol = slash < text.size() ? text.substr(slash + 1) : "tcp";
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") return false;
    const size_t dash = std::min(text.find('-'), slash);
    const auto first = parse_number(text.substr(0, dash));
    const auto last = dash < slash ? parse_number(text.substr(dash + 1, slash - dash - 1)) : first;
    return first && last && *first <= *last && *last <= 65535;
}

Result<Filters> parse_filters(const std::vector<std::string>& arguments) {
    Filters filters = TRY(Filters::parse(arguments, kKeys, "-f, --filter"));
    TRY_STATUS(check_words(filters, "status",
                           {"created", "running", "paused", "restarting", "removing", "exited",
                            "dead"}));
    TRY_STATUS(check_words(filters, "health", {"none", "starting", "healthy", "unhealthy"}));
    TRY_STATUS(check_words(filters, "is-task", {"true", "false", "1", "0"}));
    for (const std::string& name : filters.of("name")) {
        regex_t compiled;
        if (!compile(name, compiled))
            return fail("invalid filter 'name=" + name + "': it is no regular expression");
        regfree(&compiled);
    }
    for (const std::string& code : filters.of("exited")) {
        if (!parse_number(code)) return fail("invalid filter 'exited=" + code + "'");
    }
    for (const char* key : {"publish", "expose"}) {
        for (const std::string& port : filters.of(key))
            if (!is_port_range(port))
                return fail("invalid filter '" + std::string(key) + "=" + port +
                            "': it is PORT[/PROTOCOL] or PORT-PORT[/PROTOCOL]");
    }
    return filters;
}

Status add_sizes(Session& session, const std::vector<State>& chosen, std::vector<Row>& rows) {
    std::vector<std::string> ids;
    std::vector<std::string> images;
    for (const State& state : chosen) {
        ids.push_back(state.getId().cStr());
        images.push_back(state.getSpec().getImageId().cStr());
    }
    const std::vector<FileSizes> sizes = TRY(file_sizes(session, ids, images));
    for (size_t i = 0; i < rows.size(); ++i)
        rows[i].fields["Size"] = human_size(sizes[i].written) + " (virtual " +
                                 human_size(sizes[i].written + sizes[i].image) + ")";
    return {};
}

/// docker's --format raw: a line for each field.
std::string raw_format(const PsOptions& options) {
    if (options.quiet) return "container_id: {{.ID}}";
    return std::string(
               "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n"
               "created_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\n"
               "status: {{- pad .Status 1 0}}\nnames: {{.Names}}\n"
               "labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n") +
           (options.size ? "size: {{.Size}}\n" : "");
}

}  // namespace

int ps(Invocation& call) {
    PsOptions options;
    const Option table[] = {
        {'a', "all", &options.all, "", "Show all containers (default shows just running)"},
        {'f', "filter", &options.filters, "filter", "Filter output based on conditions provided"},
        {0, "format", &options.format, "string", "table, 'table TEMPLATE', json, or a Go template"},
        {'n', "last", &options.last, "int", "Show n last created containers (includes all states)"},
        {'l', "latest", &options.latest, "",
         "Show the latest created container (includes all states)"},
        {0, "no-trunc", &options.no_trunc, "", "Don't truncate output"},
        {'q', "quiet", &options.quiet, "", "Only display container IDs"},
        {'s', "size", &options.size, "", "Display total file sizes"},
    };
    if (const auto status = call.parse(table, {.max = 0})) return *status;
    const Filters filters = OR_FAIL(call, parse_filters(options.filters));
    const ContainerList list = OR_FAIL(call, ContainerList::fetch(call.session));
    const auto chosen = OR_FAIL(call, select(list.states(), options, filters));
    std::vector<Row> rows;
    for (const State& state : chosen)
        rows.push_back(container_row(state, !options.no_trunc, call.session.now_ns()));
    // docker counts them, too, when a template asks.
    const bool sizes = options.size || options.format.find(".Size") != std::string::npos;
    if (sizes && !options.quiet) OR_FAIL_STATUS(call, add_sizes(call.session, chosen, rows));
    const bool plain = options.format.empty() || options.format == "table";
    std::string format = options.quiet && plain ? "{{.ID}}" : options.format;
    if (format == "raw") format = raw_format(options);
    const std::string table_form = std::string(kTable) + (options.size ? "\t{{.Size}}" : "");
    print(OR_FAIL(call, render_rows(rows, format, table_form.c_str(), headers())));
    return 0;
}

}  // namespace noded::nodectl

// See resctrl.h.
#include "plugins/container/noci/resctrl.h"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "agent/base/proc_text.h"
#include "plugins/container/noci/json_view.h"

namespace noded::noci {
namespace {

constexpr const char* kUsualPlace = "/sys/fs/resctrl";
constexpr long kMagic = 0x7655821;  // RDTGROUP_SUPER_MAGIC
constexpr size_t kFileMax = 64 << 10;

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/// The kernel's own words on what was wrong with the last thing that was asked.
std::unexpected<Error> refused(const RdtGroup& group, const Error& error) {
    std::string said = read_whole(group.top + "/info/last_cmd_status", kFileMax).value_or("");
    while (said.ends_with('\n')) said.pop_back();
    return std::unexpected(Error{
        error.code, error.message + (said.empty() ? "" : ", last_cmd_status: " + said)});
}

/// False: it was there.
Result<bool> make_folder(const RdtGroup& group, const std::string& path) {
    if (mkdir(path.c_str(), 0755) == 0) return true;
    if (errno == EEXIST) return false;
    const auto failed = fail_errno(errno, "intelrdt: make " + path);
    return refused(group, failed.error());
}

std::string all_lines(const IntelRdtConfig& asked) {
    std::string text;
    for (const std::string* line : {&asked.l3_cache, &asked.bandwidth})
        if (!line->empty()) text += *line + "\n";
    for (const std::string& line : asked.schemata)
        if (!line.empty()) text += line + "\n";
    return text;
}

/// "L3:0=07ff;1=c0" lines by "L3:0"; masks without zeros in front, as they may be written so.
std::map<std::string, std::string> shares_of(std::string_view text) {
    std::map<std::string, std::string> shares;
    for (std::string_view line : split(text, '\n')) {
        const size_t colon = line.find(':');
        if (colon == line.npos) continue;
        const size_t name = line.find_first_not_of(" \t");
        const std::string kind(line.substr(name, colon + 1 - name));
        for (const std::string_view item : split(line.substr(colon + 1), ';')) {
            const size_t equals = item.find('=');
            if (equals == item.npos) continue;
            std::string value(item.substr(equals + 1));
            std::erase_if(value, [](unsigned char c) { return isspace(c) != 0; });
            value.erase(0, std::min(value.find_first_not_of('0'), value.size()));
            for (char& c : value) c = char(tolower(static_cast<unsigned char>(c)));
            std::string id(item.substr(0, equals));
            std::erase_if(id, [](unsigned char c) { return isspace(c) != 0; });
            shares[kind + id] = value;
        }
    }
    return shares;
}

/// Others may be in a class that has a name: it is not changed for one container.
Status compare(const RdtGroup& group, const std::string& wanted) {
    const auto now = shares_of(TRY(read_whole(group.folder + "/schemata", kFileMax)));
    for (const auto& [what, value] : shares_of(wanted)) {
        const auto found = now.find(what);
        if (found == now.end() || found->second != value)
            return fail("intelrdt: the class " + group.folder + " exists and has " + what + "=" +
                        (found == now.end() ? "nothing" : found->second) + ", not " + value +
                        ": name another closID, or leave the schemata out to take it as it is");
    }
    return {};
}

Status set_shares(const RdtGroup& group, const std::string& lines) {
    const Status written = write_file(group.folder + "/schemata", lines);
    return written ? written : refused(group, context(written.error(), "intelrdt").error());
}

}  // namespace

std::string find_resctrl() {
    struct statfs info;
    if (statfs(kUsualPlace, &info) == 0 && info.f_type == kMagic) return kUsualPlace;
    const std::string text = read_whole("/proc/self/mountinfo", 16 << 20).value_or("");
    for (const std::string_view line : split(text, '\n'))
        if (const auto mount = parse_mount_line(line); mount && mount->type == "resctrl")
            return unescape_mount(mount->place);
    return {};
}

Status check_rdt(const std::optional<IntelRdtConfig>& asked) {
    if (!asked) return {};
    const std::string top = find_resctrl();
    if (top.empty())
        return fail("intelRdt is specified in config, but Intel RDT is not enabled: no resctrl "
                    "file system is mounted (mount -t resctrl resctrl /sys/fs/resctrl)");
    if (!asked->l3_cache.empty() && !exists(top + "/info/L3"))
        return fail("intelRdt.l3CacheSchema is specified in config, but Intel RDT/CAT is not "
                    "enabled");
    if (!asked->bandwidth.empty() && !exists(top + "/info/MB"))
        return fail("intelRdt.memBwSchema is specified in config, but Intel RDT/MBA is not "
                    "enabled");
    return {};
}

RdtGroup rdt_group(const std::string& top, const IntelRdtConfig& asked, const std::string& id) {
    RdtGroup group{.top = top, .folder = top, .monitor = {}, .is_own = false};
    if (asked.clos_id != "/") group.folder += "/" + (asked.clos_id.empty() ? id : asked.clos_id);
    if (asked.monitors) group.monitor = group.folder + "/mon_groups/" + id;
    group.is_own = asked.clos_id.empty() && !exists(group.folder);
    return group;
}

Status make_rdt_group(const RdtGroup& group, const IntelRdtConfig& asked, int pid) {
    const std::string lines = all_lines(asked);
    const bool is_named = !asked.clos_id.empty();
    if (is_named && lines.empty() && !exists(group.folder))
        return fail("intelrdt: there is no class " + group.folder +
                    ": without schemata it has to exist already");
    const bool is_new = group.folder != group.top && TRY(make_folder(group, group.folder));
    if (!lines.empty()) {
        const bool has_shares = is_named && !is_new;
        const Status shared = has_shares ? compare(group, lines) : set_shares(group, lines);
        // The next one with this name is to be compared with nothing that went wrong.
        if (!shared && is_named && is_new) (void)rmdir(group.folder.c_str());
        TRY_STATUS(shared);
    }
    if (!group.monitor.empty()) (void)TRY(make_folder(group, group.monitor));
    return enter_rdt_group(group, pid);
}

Status enter_rdt_group(const RdtGroup& group, int pid) {
    for (const std::string* folder : {&group.folder, &group.monitor}) {
        if (folder->empty()) continue;
        const Status written = write_file(*folder + "/tasks", std::to_string(pid));
        if (!written)
            return refused(group, context(written.error(), "intelrdt: unable to add pid " +
                                                               std::to_string(pid))
                                      .error());
    }
    return {};
}

Status change_rdt_group(const RdtGroup& group, const std::string& l3_cache,
                        const std::string& bandwidth) {
    const std::string top = find_resctrl();
    if (!l3_cache.empty() && (top.empty() || !exists(top + "/info/L3")))
        return fail("Intel RDT/CAT: l3 cache schema is not enabled");
    if (!bandwidth.empty() && (top.empty() || !exists(top + "/info/MB")))
        return fail("Intel RDT/MBA: memory bandwidth schema is not enabled");
    if (group.folder.empty())
        return fail("updating a non-existent Intel RDT configuration is not supported");
    return set_shares(group, all_lines({{}, l3_cache, bandwidth, {}, false}));
}

Status remove_rdt_group(const RdtGroup& group) {
    // With a class of its own what watches it goes, too.
    const std::string& folder = group.is_own ? group.folder : group.monitor;
    if (folder.empty() || rmdir(folder.c_str()) == 0 || errno == ENOENT) return {};
    return fail_errno(errno, "remove " + folder);
}

}  // namespace noded::noci

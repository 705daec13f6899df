// The decoder of launch.h. It trusts nothing: lengths, terminators, counts and unknown tags are all
// refused with a sentence.
#include "plugins/container/shim/launch_decode.h"

#include <linux/sched.h>

#include <cstring>
#include <string_view>

namespace noded::launch {
namespace {

/// One value and the means to take it apart.
struct Value {
    const char* bytes;
    uint32_t length;

    /// Exactly `count` strings fill the value.
    bool texts(const char** out, uint32_t count, size_t limit) const {
        const char* at = bytes;
        const char* end = bytes + length;
        for (uint32_t i = 0; i < count; ++i) {
            const auto* nul =
                static_cast<const char*>(memchr(at, 0, static_cast<size_t>(end - at)));
            if (nul == nullptr || static_cast<size_t>(nul - at) > limit) return false;
            out[i] = at;
            at = nul + 1;
        }
        return at == end;
    }
    bool text(const char** out, size_t limit) const { return texts(out, 1, limit); }
    bool path(const char** out) const { return text(out, path_bytes_max) && (*out)[0] == '/'; }

    template <typename T>
    bool fixed(T* out) const {
        if (length != sizeof(T)) return false;
        memcpy(out, bytes, sizeof(T));
        return true;
    }
    template <size_t Max>
    bool append(TextList<Max>* list, size_t count_max, size_t limit) const {
        return list->count < count_max && text(&list->items[list->count++], limit);
    }
    bool pair(Pair* pairs, uint32_t* count, size_t count_max) const {
        const char* parts[2];
        if (*count >= count_max || !texts(parts, 2, path_bytes_max)) return false;
        pairs[(*count)++] = {parts[0], parts[1]};
        return true;
    }
    bool mount(Launch* out) const {
        const char* parts[4];
        if (out->mount_count >= mounts_max || !texts(parts, 4, path_bytes_max)) return false;
        out->mounts[out->mount_count++] = {parts[0], parts[1], parts[2], parts[3]};
        return true;
    }
    bool filter(Launch* out) const {
        if (length > seccomp_bytes_max || length % 8 != 0) return false;
        out->seccomp = bytes;
        out->seccomp_count = length / 8;
        return true;
    }
};

bool take(Tag tag, const Value& value, Launch* out) {
    switch (tag) {
        case Tag::id: return value.text(&out->id, id_bytes_max);
        case Tag::lower: return value.append(&out->lowers, lowers_max, path_bytes_max);
        case Tag::upper: return value.path(&out->upper);
        case Tag::work: return value.path(&out->work);
        case Tag::rootfs: return value.path(&out->rootfs);
        case Tag::hostname: return value.text(&out->hostname, hostname_bytes_max);
        case Tag::argument: return value.append(&out->arguments, arguments_max, text_bytes_max);
        case Tag::environment:
            return value.append(&out->environment, environment_max, text_bytes_max);
        case Tag::cwd: return value.path(&out->cwd);
        case Tag::user: return value.text(&out->user, path_bytes_max);
        case Tag::capabilities: return value.fixed(&out->capabilities);
        case Tag::seccomp: return value.filter(out);
        case Tag::flags: return value.fixed(&out->flags) && (out->flags & ~flags_known) == 0;
        case Tag::masked: return value.append(&out->masked, hidden_paths_max, path_bytes_max);
        case Tag::read_only: return value.append(&out->read_only, hidden_paths_max, path_bytes_max);
        case Tag::rlimit:
            return out->rlimit_count < rlimits_max &&
                   value.fixed(&out->rlimits[out->rlimit_count++]);
        case Tag::mount: return value.mount(out);
        case Tag::namespaces: return value.fixed(&out->namespaces);
        case Tag::netns: return value.path(&out->netns);
        case Tag::cgroup_v2: return value.path(&out->cgroup_v2);
        case Tag::cgroup_v1: return value.pair(out->cgroups, &out->cgroup_count, cgroups_max);
        case Tag::log: return value.path(&out->log);
        case Tag::runtime: return value.path(&out->runtime);
        case Tag::stop_signal: return value.fixed(&out->stop_signal) && out->stop_signal <= 64;
        case Tag::window: return value.fixed(&out->window);
        case Tag::oom_score_adj: return value.fixed(&out->oom_score_adj);
        case Tag::sysctl: return value.pair(out->sysctls, &out->sysctl_count, sysctls_max);
        case Tag::join: return value.pair(out->joins, &out->join_count, joins_max);
        case Tag::id_map:
            return out->id_map_count < id_maps_max &&
                   value.fixed(&out->id_maps[out->id_map_count++]);
        case Tag::shm_bytes: return value.fixed(&out->shm_bytes);
        case Tag::group: return value.append(&out->groups, groups_added_max, group_bytes_max);
        case Tag::domainname: return value.text(&out->domainname, hostname_bytes_max);
        case Tag::log_limits:
            return value.fixed(&out->log_limits) && out->log_limits.segments >= 1 &&
                   out->log_limits.segments <= log_segments_max &&
                   out->log_limits.segment_bytes <= log_segment_bytes_max;
    }
    return false;
}

}  // namespace

uint32_t namespace_flag(const char* kind) {
    struct Kind {
        const char* name;
        uint32_t flag;
    };
    constexpr Kind kinds[] = {{"pid", CLONE_NEWPID}, {"ipc", CLONE_NEWIPC},
                              {"uts", CLONE_NEWUTS}, {"net", CLONE_NEWNET},
                              {"cgroup", CLONE_NEWCGROUP}, {"time", CLONE_NEWTIME}};
    for (const Kind& known : kinds)
        if (std::string_view(known.name) == kind) return known.flag;
    return 0;
}

const char* decode(const void* bytes, size_t size, Launch* out) {
    Header header;
    if (size < sizeof header || size > spec_bytes_max)
        return "the launch spec has an impossible size";
    memcpy(&header, bytes, sizeof header);
    if (header.magic != header_magic) return "the launch spec does not begin with its magic number";
    if (header.size != size || header.zero != 0)
        return "the launch spec's size is not the one that its header names";
    const auto* start = static_cast<const char*>(bytes);
    size_t at = sizeof header;
    for (uint32_t i = 0; i < header.records; ++i) {
        Record record;
        if (size - at < sizeof record) return "the launch spec ends inside a record";
        memcpy(&record, start + at, sizeof record);
        at += sizeof record;
        const size_t padded = (size_t{record.length} + 7) & ~size_t{7};
        if (record.zero != 0 || padded > size - at)
            return "a record of the launch spec is longer than the spec";
        if (!take(static_cast<Tag>(record.tag), {start + at, record.length}, out))
            return "a record of the launch spec is unknown, malformed, or one too many";
        at += padded;
    }
    if (at != size) return "the launch spec goes on after its last record";
    if (out->id == nullptr || out->id[0] == 0) return "the launch spec has no id";
    if (out->arguments.count == 0) return "the launch spec has no command";
    return nullptr;
}

namespace {

/// Root is the one id that a container cannot do without.
bool maps_root(const Launch& launch) {
    bool user = false, group = false;
    for (uint32_t i = 0; i < launch.id_map_count; ++i) {
        const IdMap& map = launch.id_maps[i];
        if (map.count == 0 || map.container > ~0u - map.count || map.host > ~0u - map.count)
            return false;
        if (map.container == 0) (map.group != 0 ? group : user) = true;
    }
    return user && group;
}

}  // namespace

const char* check_container(const Launch& launch) {
    if (launch.id_map_count > 0 && !maps_root(launch))
        return "the launch spec has a user namespace without the ids of root";
    if (launch.runtime == nullptr) return "the launch spec has no runtime folder";
    if (launch.log == nullptr) return "the launch spec has no folder for the log";
    if (launch.log_limits.segments == 0)
        return "the launch spec does not say how large the log may become";
    if ((launch.rootfs != nullptr) == (launch.lowers.count != 0))
        return "the launch spec needs either a rootfs or layers";
    if (launch.rootfs == nullptr && (launch.upper == nullptr) != (launch.work == nullptr))
        return "the launch spec needs upper and work together";
    if ((launch.namespaces & CLONE_NEWNS) == 0) return "the launch spec has no mount namespace";
    if (launch.netns != nullptr && (launch.namespaces & CLONE_NEWNET) != 0)
        return "the launch spec has a network namespace to join and one to make";
    for (uint32_t i = 0; i < launch.join_count; ++i) {
        const uint32_t flag = namespace_flag(launch.joins[i].first);
        if (flag == 0 || launch.joins[i].second[0] != '/')
            return "the launch spec has a namespace to join that is none";
        if ((launch.namespaces & flag) != 0)
            return "the launch spec has a namespace to join and one of its kind to make";
    }
    return nullptr;
}

}  // namespace noded::launch

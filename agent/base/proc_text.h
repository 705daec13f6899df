// What proc(5) and cgroups(7) say about mounts, groups and processes, as data. Pure. All views are
// of the text that was given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace noded {

/// At every separator: "a,,b" has an empty part, and a text of nothing is one.
std::vector<std::string_view> split(std::string_view text, char separator);

/// Whether "cpu,cpuacct" has "cpu".
bool has_word(std::string_view list, std::string_view word);

/// A line of mountinfo:
/// "36 35 98:0 /root /mount/point rw,noatime master:1 - ext4 /dev/root rw,errors=continue".
struct MountLine {
    std::string_view root;     ///< what of the file system is mounted there; escaped
    std::string_view place;    ///< escaped
    std::string_view options;  ///< of the mount
    std::vector<std::string_view> tags;  ///< "shared:9", "master:1"; none: it is private
    std::string_view type;
    std::string_view source;         ///< escaped
    std::string_view super_options;  ///< of the file system; a hierarchy of v1 has its controllers
};

/// Nothing if it is no such line.
std::optional<MountLine> parse_mount_line(std::string_view line);

/// Blanks in mountinfo are three octal digits: "/a\040b".
std::string unescape_mount(std::string_view text);

/// A line of /proc/PID/cgroup: "4:cpu,cpuacct:/noded/1234abcd/ID", of v2 "0::/noded/1234abcd/ID".
struct CgroupLine {
    std::string_view controllers;  ///< empty for v2
    std::string_view path;         ///< below where the hierarchy is mounted
};

std::optional<CgroupLine> parse_cgroup_line(std::string_view line);

/// Field 22 of /proc/PID/stat, 0 if the text is none: with the pid it names a process for ever.
uint64_t start_time_of(std::string_view stat);

}  // namespace noded

// Freezing a container as somebody else would, behind noded's back.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/integration/test_node.h"
#include "tests/integration/text.h"

namespace noded::test {

/// The file of a group, and what to write into it.
struct Freezer {
    std::string file, freeze, thaw;

    bool write(const std::string& word) const {
        return !file.empty() && bool(std::ofstream(file) << word << std::flush);
    }
};

/// Of the container that a process is in; the one of v1 if there are two, where what is frozen
/// takes no signal. Without a file when the process is in no container.
inline Freezer freezer_of(pid_t pid) {
    const std::string root = "/sys/fs/cgroup/";
    Freezer v2;
    for (const std::string& line :
         lines_of(read_text("/proc/" + std::to_string(pid) + "/cgroup"))) {
        if (!says(line, "/noded/")) continue;
        const std::string path = line.substr(line.rfind(':') + 1);
        if (says(line, ":freezer:"))
            return {root + "freezer" + path + "/freezer.state", "FROZEN", "THAWED"};
        if (!line.starts_with("0::")) continue;
        const bool hybrid = std::filesystem::exists(root + "unified");
        v2 = {root + (hybrid ? "unified" : "") + path + "/cgroup.freeze", "1", "0"};
    }
    return v2;
}

}  // namespace noded::test

// See id_helpers.h.
#include "plugins/container/noci/id_helpers.h"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace noded::noci {
namespace {

Status run_helper(const char* program, int pid, const std::vector<IdMap>& maps) {
    std::vector<std::string> words = {program, std::to_string(pid)};
    for (const IdMap& map : maps)
        for (const uint32_t number : {map.container, map.host, map.size})
            words.push_back(std::to_string(number));
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int error = posix_spawnp(&child, program, nullptr, nullptr, arguments.data(), environ);
    if (error != 0)
        return fail(std::string("the id mappings of a caller without root's rights need ") +
                    program + " (the package uidmap): " + strerror(error));
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
    return fail(std::string(program) +
                " refused the id mappings of config.json: is the range in /etc/subuid and "
                "/etc/subgid?");
}

}  // namespace

bool in_user_namespace() {
    constexpr ino_t initial = 0xEFFFFFFD;  // PROC_USER_INIT_INO
    struct stat info;
    return stat("/proc/self/ns/user", &info) == 0 && info.st_ino != initial;
}

bool is_host_root() { return geteuid() == 0 && !in_user_namespace(); }

Status map_ids_with_helpers(int pid, const Config& config) {
    TRY_STATUS(run_helper("newuidmap", pid, config.uid_maps));
    return run_helper("newgidmap", pid, config.gid_maps);
}

}  // namespace noded::noci

// See docker_flags.h.
#include "tools/nodectl/docker_flags.h"

#include <sys/utsname.h>

#include <algorithm>
#include <span>

namespace noded::nodectl {
namespace {

constexpr const char* kNoNetwork =
    "this node has no network of its own: --network host gives a container the host's addresses "
    "and ports";
constexpr const char* kNoVolumes =
    "volumes of this node are folders of one container: bind a folder of the host with -v "
    "HOST:CONTAINER";
constexpr const char* kNoNames =
    "this node leaves names to /etc/hosts and /etc/resolv.conf: bind files of your own over them "
    "with -v";
constexpr const char* kNoSwappiness =
    "this node does not set it: limit what may be swapped with --memory-swap";
constexpr const char* kWindows = "it is for Windows alone";
constexpr const char* kNoRealTime = "this node gives no real-time CPU time: use --cpus";

struct Absent {
    char letter;
    const char* name;
    const char* why;
};

constexpr Absent kAbsent[] = {
    {'p', "publish", kNoNetwork},
    {0, "expose", kNoNetwork},
    {0, "link", kNoNetwork},
    {0, "ip", kNoNetwork},
    {0, "ip6", kNoNetwork},
    {0, "link-local-ip", kNoNetwork},
    {0, "mac-address", kNoNetwork},
    {0, "network-alias", kNoNetwork},
    {0, "net-alias", kNoNetwork},
    {0, "add-host", kNoNames},
    {0, "dns", kNoNames},
    {0, "dns-opt", kNoNames},
    {0, "dns-option", kNoNames},
    {0, "dns-search", kNoNames},
    {0, "volumes-from", kNoVolumes},
    {0, "volume-driver", kNoVolumes},
    {0, "storage-opt", "this node limits no root file system: mount a --tmpfs with a size"},
    {0, "gpus", "this node knows no GPUs: give their files with --device"},
    {0, "blkio-weight-device", "this node weighs all devices alike: use --blkio-weight"},
    {0, "kernel-memory", "kernels no longer have such a limit: --memory counts it already"},
    {0, "memory-swappiness", kNoSwappiness},
    {0, "cpu-rt-period", kNoRealTime},
    {0, "cpu-rt-runtime", kNoRealTime},
    {0, "annotation", "this node has none: use --label"},
    {0, "use-api-socket", "give noded's socket to a container with -v, if it shall rule the node"},
    {0, "cpu-count", kWindows},
    {0, "cpu-percent", kWindows},
    {0, "io-maxbandwidth", kWindows},
    {0, "io-maxiops", kWindows},
};

/// The name that docker has for the machine that nodectl runs on, which is the node's.
std::string machine() {
    utsname name{};
    uname(&name);
    const std::string text = name.machine;
    return text == "x86_64" ? "amd64" : text == "aarch64" ? "arm64" : text;
}

/// The values of a flag that may only be one of these.
Status check_words(const std::vector<std::string>& values,
                   std::initializer_list<std::string_view> words, const std::string& begin,
                   const std::string& end) {
    for (const std::string& value : values)
        if (std::find(words.begin(), words.end(), value) == words.end())
            return fail(begin + value + end);
    return {};
}

}  // namespace

std::vector<Option> DockerFlags::table() {
    static_assert(std::size(kAbsent) == absent_max);
    std::vector<Option> options = {
        {'P', "publish-all", &publish_all_, "", nullptr},
        {0, "disable-content-trust", &ignored_, "", nullptr},
        {'q', "quiet", &ignored_, "", nullptr},
        {0, "pull", &pull_, "string", nullptr},
        {0, "log-driver", &log_driver_, "string", nullptr},
        {0, "platform", &platform_, "string", nullptr},
        {0, "isolation", &isolation_, "string", nullptr},
        {0, "runtime", &runtime_, "string", nullptr},
    };
    for (size_t i = 0; i < absent_max; i++)
        options.push_back({kAbsent[i].letter, kAbsent[i].name, &absent_[i], "list", nullptr});
    return options;
}

Status DockerFlags::check() const {
    for (size_t i = 0; i < absent_max; i++)
        if (!absent_[i].empty())
            return fail("--" + std::string(kAbsent[i].name) + ": " + kAbsent[i].why);
    if (publish_all_) return fail(std::string("--publish-all: ") + kNoNetwork);
    for (const std::string& word : pull_)
        if (word == "always")
            return fail("--pull always: this node knows no registry: fetch the image with skopeo "
                        "copy and give it to nodectl image load");
    TRY_STATUS(check_words(pull_, {"missing", "never"}, "invalid pull option: '",
                           "': must be one of \"always\", \"missing\" or \"never\""));
    TRY_STATUS(check_words(log_driver_, {"", "local", "json-file"},
                           "logger: no log driver named '",
                           "' is registered: this node has one alone, \"local\", and nodectl logs "
                           "always shows what it keeps"));
    const std::string native = "linux/" + machine();
    TRY_STATUS(check_words(platform_, {"", "linux", native}, "platform ",
                           " does not match that of this node, " + native));
    TRY_STATUS(check_words(isolation_, {"", "default"}, "invalid isolation '",
                           "': on Linux it is 'default'"));
    return check_words(runtime_, {"", "noded"}, "unknown or invalid runtime name: ",
                       ": containers of this node have one alone, \"noded\"");
}

}  // namespace noded::nodectl

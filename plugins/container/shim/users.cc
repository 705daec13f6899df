// passwd and group, read whole into a private mapping: a running container may change its files
// under an exec's eyes.
#include "plugins/container/shim/users.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <string_view>

namespace noded::shim {
namespace {

constexpr size_t file_bytes_max = 1 << 20;
constexpr uint32_t id_max = 0x7fffffff;

/// A file's bytes, as far as they go; empty when it is absent or no regular file.
class WholeFile {
public:
    WholeFile(Start& start, const char* path) {
        int fd = open_in_container(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat info;
        if (fd < 0) return;
        if (sys(SYS_fstat, fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0)
            read_all(start, path, fd, info);
        close_fd(fd);
    }
    ~WholeFile() {
        if (bytes_ != nullptr) sys(SYS_munmap, bytes_, mapped_);
    }
    WholeFile(const WholeFile&) = delete;
    WholeFile& operator=(const WholeFile&) = delete;

    std::string_view view() const { return {bytes_, size_}; }

private:
    void read_all(Start& start, const char* path, int fd, const struct stat& info) {
        if (static_cast<size_t>(info.st_size) > file_bytes_max)
            give_up(start, 125, "read", path, -EFBIG);
        mapped_ = static_cast<size_t>(info.st_size);
        const long mapped = sys(SYS_mmap, nullptr, mapped_, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (mapped < 0 && mapped > -4096) give_up(start, 125, "map memory for", path, mapped);
        bytes_ = reinterpret_cast<char*>(mapped);
        while (size_ < mapped_) {
            const long count = sys(SYS_read, fd, bytes_ + size_, mapped_ - size_);
            if (count <= 0) break;
            size_ += static_cast<size_t>(count);
        }
    }

    char* bytes_ = nullptr;
    size_t size_ = 0;
    size_t mapped_ = 0;
};

/// Cuts off and returns what stands before the next `separator`.
std::string_view cut(std::string_view& rest, char separator) {
    const size_t at = rest.find(separator);
    const std::string_view part =
        at == std::string_view::npos ? rest : std::string_view(rest.data(), at);
    rest.remove_prefix(at == std::string_view::npos ? rest.size() : at + 1);
    return part;
}

bool parse_id(std::string_view text, uint32_t* out) {
    if (text.empty() || text.size() > 10) return false;
    uint64_t value = 0;
    for (char c : text) {
        if (c < '0' || c > '9') return false;
        value = value * 10 + static_cast<uint64_t>(c - '0');
    }
    *out = static_cast<uint32_t>(value);
    return value <= id_max;
}

struct Account {
    std::string_view name, home;
    uint32_t uid, gid;
};

bool parse_account(std::string_view line, Account* out) {
    out->name = cut(line, ':');
    cut(line, ':');
    const bool numbers = parse_id(cut(line, ':'), &out->uid) && parse_id(cut(line, ':'), &out->gid);
    cut(line, ':');
    out->home = cut(line, ':');
    return numbers && !out->name.empty();
}

bool lists(std::string_view members, std::string_view name) {
    while (!members.empty())
        if (cut(members, ',') == name) return true;
    return false;
}

/// A number that was none of those that there can be is no name either.
void refuse_number(Start& start, std::string_view text) {
    if (text.starts_with("-")) text.remove_prefix(1);
    for (char c : text)
        if (c < '0' || c > '9') return;
    if (!text.empty()) give_up(start, 125, "uids and gids must be in range 0-2147483647");
}

/// Finds `wanted` by name or number; fills uid, gid and home. Returns the account's name, empty if
/// it is a bare number.
template <size_t N>
void find_account(Start& start, std::string_view wanted, User* out, Text<N>* name) {
    uint32_t number = 0;
    const bool numeric = wanted.empty() || parse_id(wanted, &number);
    const WholeFile passwd(start, "/etc/passwd");
    for (std::string_view rest = passwd.view(); !rest.empty();) {
        Account account;
        if (!parse_account(cut(rest, '\n'), &account)) continue;
        if (account.name != wanted && !(numeric && account.uid == number)) continue;
        out->uid = account.uid;
        out->gid = account.gid;
        out->home.clear();
        out->home.add(account.home.empty() ? std::string_view("/") : account.home);
        name->add(account.name);
        return;
    }
    if (numeric) {
        out->uid = number;
        return;
    }
    refuse_number(start, wanted);
    Sentence sentence("unable to find user ", wanted,
                                          ": no matching entries in passwd file");
    give_up(start, 125, sentence.view());
}

/// With `wanted`, the one group to be in; else all groups that list the account.
void find_groups(Start& start, std::string_view wanted, std::string_view name, User* out) {
    uint32_t number = 0;
    const bool numeric = parse_id(wanted, &number);
    const WholeFile group(start, "/etc/group");
    for (std::string_view rest = group.view(); !rest.empty();) {
        std::string_view line = cut(rest, '\n');
        const std::string_view group_name = cut(line, ':');
        cut(line, ':');
        uint32_t gid;
        if (!parse_id(cut(line, ':'), &gid)) continue;
        if (!wanted.empty()) {
            if (group_name != wanted && !(numeric && gid == number)) continue;
            out->gid = gid;
            return;
        }
        if (!name.empty() && out->group_count < launch::groups_max && lists(line, name))
            out->groups[out->group_count++] = gid;
    }
    if (wanted.empty()) return;
    if (numeric) {
        out->gid = number;
        return;
    }
    refuse_number(start, wanted);
    Sentence sentence("unable to find group ", wanted,
                                          ": no matching entries in group file");
    give_up(start, 125, sentence.view());
}

/// Those that the container is given beyond what its files say.
void add_groups(Start& start, User* out) {
    for (uint32_t i = 0; i < start.container->groups.count; ++i) {
        User one;
        find_groups(start, start.container->groups.items[i], "", &one);
        if (out->group_count < launch::groups_max) out->groups[out->group_count++] = one.gid;
    }
}

/// As docker does it: without the process's own group in the list, a file that its group may not
/// read could be read by a process that gives that group up.
void add_own_group(User* out) {
    for (uint32_t i = 0; i < out->group_count; ++i)
        if (out->groups[i] == out->gid) return;
    if (out->group_count == launch::groups_max) return;
    for (uint32_t i = out->group_count++; i > 0; --i) out->groups[i] = out->groups[i - 1];
    out->groups[0] = out->gid;
}

/// The files of the container say no more than where its home is.
void take_exact_user(Start& start, const Exact& exact, User* out) {
    Text<256> name;
    find_account(start, Text<16>(exact.uid).view(), out, &name);
    out->uid = exact.uid;
    out->gid = exact.gid;
    for (uint32_t i = 0; i < exact.group_count && i < launch::groups_max; ++i)
        out->groups[out->group_count++] = exact.groups[i];
}

}  // namespace

void resolve_user(Start& start, User* out) {
    out->home.add("/");
    if (start.exact != nullptr) return take_exact_user(start, *start.exact, out);
    std::string_view group = start.process->user;
    const std::string_view user = cut(group, ':');
    Text<256> name;
    find_account(start, user, out, &name);
    find_groups(start, group, name.view(), out);
    add_groups(start, out);
    add_own_group(out);
}

}  // namespace noded::shim

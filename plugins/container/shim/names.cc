// See names.h.
#include "plugins/container/shim/names.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <cstring>

#include "plugins/container/shim/userns.h"

namespace noded::shim {
namespace {

constexpr const char* targets[] = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
constexpr const char* temporary[] = {".hosts", ".hostname", ".resolv.conf"};

/// Docker's.
constexpr char loopback_hosts[] =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

/// Nothing where there is no such file.
void read_text(const char* path, Text<name_file_bytes_max>* out) {
    int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    char part[1024];
    for (long size; fd >= 0 && (size = sys(SYS_read, fd, part, sizeof part)) > 0;)
        out->add(std::string_view(part, static_cast<size_t>(size)));
    close_fd(fd);
}

/// An image may have a link there that leads nowhere, or is no file: it keeps what it has.
int open_place(Start& start, const char* path) {
    const int there = open_in_container(path, O_PATH | O_CLOEXEC);
    struct stat info;
    if (there >= 0 && sys(SYS_fstat, there, &info) == 0 && !S_ISDIR(info.st_mode)) return there;
    const bool absent =
        there == -ENOENT && sys(SYS_newfstatat, AT_FDCWD, path, &info, AT_SYMLINK_NOFOLLOW) < 0;
    return absent ? open_target(start, path, false) : -1;
}

}  // namespace

void read_name_texts(bool of_host, NameTexts* out) {
    if (of_host) read_text("/etc/hosts", &out->hosts);
    else out->hosts.add(loopback_hosts);
    read_text("/etc/resolv.conf", &out->resolv_conf);
}

void make_name_files(Start& start, const char* folder, const NameTexts& texts, NameFiles* out) {
    const std::string_view content[] = {texts.hosts.view(), {}, texts.resolv_conf.view()};
    for (int i = 0; i < 3; ++i) {
        const Text<64> path(folder, temporary[i]);
        int fd = static_cast<int>(sys(SYS_openat, AT_FDCWD, path.c_str(),
                                      O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
        long result = fd;
        if (fd >= 0) give_to_root(start, fd, "");
        if (result >= 0 && !content[i].empty())
            result = sys(SYS_write, fd, content[i].data(), content[i].size());
        if (result >= 0)
            result = out->mounts[i] = static_cast<int>(sys(
                SYS_open_tree, AT_FDCWD, path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
        if (result < 0) give_up(start, 125, "make", targets[i], result);
        if (i == 1) out->hostname = fd;
        else close_fd(fd);
    }
}

void close_name_files(const NameFiles& files) {
    for (int fd : files.mounts)
        if (fd >= 0) sys(SYS_close, fd);
    if (files.hostname >= 0) sys(SYS_close, files.hostname);
}

/// The mounts are private: they are copies out of namespaces where all is.
void attach_name_files(Start& start) {
    const launch::Launch& container = *start.container;
    if (!container.has(launch::flag_name_files)) return;
    NameFiles made = {{-1, -1, -1}, -1};
    if (start.spare != nullptr) made = start.spare->names;
    else make_name_files(start, "/dev/", *start.names, &made);
    utsname host = {};
    const char* name = container.hostname;
    if (name == nullptr || (container.namespaces & CLONE_NEWUTS) == 0) {
        sys(SYS_uname, &host);
        name = host.nodename;
    }
    const Text<80> line(name, "\n");
    long result = sys(SYS_write, made.hostname, line.view().data(), line.view().size());
    if (result < 0) give_up(start, 125, "write", targets[1], result);
    for (int i = 0; i < 3; ++i) {
        if (container.has(launch::flag_read_only_rootfs)) {
            mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY,
                                    .attr_clr = 0,
                                    .propagation = 0,
                                    .userns_fd = 0};
            sys(SYS_mount_setattr, made.mounts[i], "", AT_EMPTY_PATH, &read_only,
                sizeof read_only);
        }
        int target = open_place(start, targets[i]);
        if (target < 0) continue;
        result = sys(SYS_move_mount, made.mounts[i], "", target, "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
        if (result < 0) give_up(start, 125, "mount on", targets[i], result);
        close_fd(target);
        if (start.spare == nullptr)
            sys(SYS_unlinkat, AT_FDCWD, Text<64>("/dev/", temporary[i]).c_str(), 0);
    }
    close_name_files(made);
}

}  // namespace noded::shim

// noci's init: the program that becomes a container's first process, or an exec's. It stands inside
// the noci binary and is executed from a sealed memfd, so the container can do nothing to noci's
// own file, and a container that was created and waits for its start is a few dozen pages.
//
// Two processes. The first stage runs as noci's child in the host's namespaces: it joins the
// cgroups, opens everything that only the host can open (rootfs, sources of mounts), joins the
// namespaces given by path, and clones the second with the new ones, as noci's child too
// (CLONE_PARENT). The second makes the file tree, runs the hooks that belong inside, and executes
// the command by the same code as a container of noded's (shim/child.h).
#pragma once

#include "plugins/container/noci/init/plan.h"
#include "plugins/container/shim/child.h"

namespace noded::noci {

/// A list of a plan, in place.
template <typename T>
struct Items {
    const T* items;
    uint32_t count;
    const T* begin() const { return items; }
    const T* end() const { return items + count; }
};

/// All that one start is about. One object, static, so zero where nothing is said.
struct Init {
    char* block;
    const Plan* plan;
    launch::Launch* launch;
    shim::Exact exact;
    shim::Start start;
    bool made;       ///< all but the process itself
    int report_fd;   ///< sync_fd, from start on the connection of `noci start`
    int rootfs_fd;   ///< the detached tree, later the root
    int userns_fd;
    int state_fd;    ///< memfd with the state for hooks, -1
    int trees[steps_max];
    int id_spaces[steps_max];  ///< of a bind whose ids are mapped in the second stage; else unused
    int mapper_fd;             ///< to the process that may do that, -1: the second stage may

    const char* text(TextAt at) const { return at == 0 ? nullptr : block + at; }
    const char* text_or_empty(TextAt at) const { return at == 0 ? "" : block + at; }
    template <typename T>
    Items<T> list(ListAt at) const {
        return {reinterpret_cast<const T*>(block + at.offset), at.count};
    }
};

extern Init init;

/// Sends a packet; failures to do so are nobody's to hear.
void say(int fd, Say what, int number, std::string_view text, int passed_fd = -1);
/// The next packet, and the descriptor that came along. False if the other side is gone.
bool hear(int fd, Packet* packet, int* passed_fd);
/// Waits for noci's go. False if noci is gone. `fd`: what came along, or -1.
bool hear_go(int fd, int* passed_fd);

/// first.cc: up to the clone; the child goes on, the first stage does not return.
void first_stage();
/// mounts.cc: opened by the first stage …
void open_sources();
/// … and put in place by the second, below the rootfs. Ends with the rootfs as the root.
void make_file_tree();
/// Hides and write-protects what shall be, when nothing has to be written there any more.
void close_file_tree();
/// A user namespace with these maps, made by a child that ends again: its descriptor.
int make_user_namespace(const char* uid_map, const char* gid_map);
/// Ends the start if one fails.
void run_hooks(ListAt hooks, const char* kind);
[[noreturn]] void give_up(std::string_view sentence);
[[noreturn]] void give_up(std::string_view what, std::string_view on, long error);

}  // namespace noded::noci

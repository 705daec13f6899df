// A user namespace of the container's own: its ids are others on the host, so its root is not the
// host's. Layers and binds are seen through idmapped mounts (mount_setattr(2)), so the same files
// serve containers with any ids; what a container writes to its upper folder belongs to the host's
// ids. Called by the child's steps and, for the namespace itself, by the shim's loop.
//
// The child does all it did before with the host's rights, gives what it makes to the container's
// root, and enters the user namespace last of all, just before it becomes the container's process.
#pragma once

#include "plugins/container/shim/child.h"

namespace noded::shim {

inline bool is_mapped(const launch::Launch* container) {
    return container != nullptr && container->id_map_count > 0;
}

/// What an id of the container is on the host; ~0u if it is none there. The id itself without maps.
uint32_t host_id(const launch::Launch* container, bool group, uint32_t id);
inline uint32_t root_id(const launch::Launch* container, bool group) {
    return host_id(container, group, 0);
}

/// Gives what was made at `name` in `folder` to the container's root, for which it was made; an
/// empty name is `folder` itself. Nothing to do without maps.
void give_to_root(Start& start, int folder, const char* name);
/// A folder, or an empty file, as the container's root makes it: in a bind whose ids are mapped
/// nobody else can (EOVERFLOW). 0 or a negative errno.
long make_as_root(const launch::Launch& container, int folder, const char* name, bool is_folder);
/// A standard stream that the shim made.
void give_stream(const launch::Launch& container, int fd);

/// Makes a detached mount show the container's ids. What mount_setattr(2) answers.
long map_ids(int tree, int user_fd, bool recursive);
[[noreturn]] void give_up_mapping(Start& start, const char* path, long error);

/// In the container's own mount namespace: layers with its ids, the overlay of them on the runtime
/// folder.
void mount_mapped_overlay(Start& start);

/// Steps of the child of a container, and of an exec, that has a user namespace; without one they
/// do nothing.
void join_owned_namespaces(Start& start);
void enter_user_namespace(Start& start);
void become_mapped_root(Start& start);

}  // namespace noded::shim

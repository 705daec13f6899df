// The commands and events of this plugin as enums, made from the type ids of the schema, so that
// dispatch is a switch without default and the compiler names what is missing. Used by decide.cc,
// fold.cc and react.cc.
#pragma once

#include <capnp/schema.h>

#include "schemas/container.capnp.h"
#include "schemas/storage.capnp.h"

namespace noded::container {

enum class CommandType : uint64_t {
    create_container = capnp::typeId<schema::CreateContainer>(),
    run_container = capnp::typeId<schema::RunContainer>(),
    start_container = capnp::typeId<schema::StartContainer>(),
    stop_container = capnp::typeId<schema::StopContainer>(),
    kill_container = capnp::typeId<schema::KillContainer>(),
    remove_container = capnp::typeId<schema::RemoveContainer>(),
    exec_container = capnp::typeId<schema::ExecContainer>(),
};

/// Events that are outcomes of effects: they come as proposals first.
enum class ProposalType : uint64_t {
    container_started = capnp::typeId<schema::ContainerStarted>(),
    container_start_failed = capnp::typeId<schema::ContainerStartFailed>(),
    container_exited = capnp::typeId<schema::ContainerExited>(),
    container_removed = capnp::typeId<schema::ContainerRemoved>(),
    exec_exited = capnp::typeId<schema::ExecExited>(),
    exec_failed = capnp::typeId<schema::ExecFailed>(),
};

enum class EventType : uint64_t {
    container_requested = capnp::typeId<schema::ContainerRequested>(),
    container_start_requested = capnp::typeId<schema::ContainerStartRequested>(),
    container_started = capnp::typeId<schema::ContainerStarted>(),
    container_start_failed = capnp::typeId<schema::ContainerStartFailed>(),
    container_exited = capnp::typeId<schema::ContainerExited>(),
    container_stop_requested = capnp::typeId<schema::ContainerStopRequested>(),
    container_kill_requested = capnp::typeId<schema::ContainerKillRequested>(),
    container_removal_requested = capnp::typeId<schema::ContainerRemovalRequested>(),
    container_removed = capnp::typeId<schema::ContainerRemoved>(),
    exec_requested = capnp::typeId<schema::ExecRequested>(),
    exec_exited = capnp::typeId<schema::ExecExited>(),
    exec_failed = capnp::typeId<schema::ExecFailed>(),
    // Storage's.
    image_added = capnp::typeId<schema::ImageAdded>(),
    image_tagged = capnp::typeId<schema::ImageTagged>(),
    image_untagged = capnp::typeId<schema::ImageUntagged>(),
    image_removed = capnp::typeId<schema::ImageRemoved>(),
    rootfs_prepared = capnp::typeId<schema::RootfsPrepared>(),
    rootfs_prepare_failed = capnp::typeId<schema::RootfsPrepareFailed>(),
    rootfs_removed = capnp::typeId<schema::RootfsRemoved>(),
};

}  // namespace noded::container

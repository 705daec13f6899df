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
    pause_container = capnp::typeId<schema::PauseContainer>(),
    unpause_container = capnp::typeId<schema::UnpauseContainer>(),
    rename_container = capnp::typeId<schema::RenameContainer>(),
    restart_container = capnp::typeId<schema::RestartContainer>(),
    update_container = capnp::typeId<schema::UpdateContainer>(),
    commit_container = capnp::typeId<schema::CommitContainer>(),
};

/// Events that are outcomes of effects: they come as proposals first.
enum class ProposalType : uint64_t {
    container_started = capnp::typeId<schema::ContainerStarted>(),
    container_start_failed = capnp::typeId<schema::ContainerStartFailed>(),
    container_exited = capnp::typeId<schema::ContainerExited>(),
    container_removed = capnp::typeId<schema::ContainerRemoved>(),
    exec_exited = capnp::typeId<schema::ExecExited>(),
    exec_failed = capnp::typeId<schema::ExecFailed>(),
    container_paused = capnp::typeId<schema::ContainerPaused>(),
    container_unpaused = capnp::typeId<schema::ContainerUnpaused>(),
    container_pause_failed = capnp::typeId<schema::ContainerPauseFailed>(),
    container_updated = capnp::typeId<schema::ContainerUpdated>(),
    container_update_failed = capnp::typeId<schema::ContainerUpdateFailed>(),
    // Not outcomes, but what follows when a time comes or the host was looked at.
    container_start_requested = capnp::typeId<schema::ContainerStartRequested>(),
    container_restart_scheduled = capnp::typeId<schema::ContainerRestartScheduled>(),
    host_observed = capnp::typeId<schema::HostObserved>(),
    container_health_changed = capnp::typeId<schema::ContainerHealthChanged>(),
    container_unpause_requested = capnp::typeId<schema::ContainerUnpauseRequested>(),
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
    container_restart_scheduled = capnp::typeId<schema::ContainerRestartScheduled>(),
    container_pause_requested = capnp::typeId<schema::ContainerPauseRequested>(),
    container_paused = capnp::typeId<schema::ContainerPaused>(),
    container_unpause_requested = capnp::typeId<schema::ContainerUnpauseRequested>(),
    container_unpaused = capnp::typeId<schema::ContainerUnpaused>(),
    container_pause_failed = capnp::typeId<schema::ContainerPauseFailed>(),
    container_renamed = capnp::typeId<schema::ContainerRenamed>(),
    container_update_requested = capnp::typeId<schema::ContainerUpdateRequested>(),
    container_updated = capnp::typeId<schema::ContainerUpdated>(),
    container_update_failed = capnp::typeId<schema::ContainerUpdateFailed>(),
    host_observed = capnp::typeId<schema::HostObserved>(),
    container_health_changed = capnp::typeId<schema::ContainerHealthChanged>(),
    container_commit_requested = capnp::typeId<schema::ContainerCommitRequested>(),
    // Storage's.
    image_imported = capnp::typeId<schema::ImageImported>(),
    image_import_failed = capnp::typeId<schema::ImageImportFailed>(),
    image_added = capnp::typeId<schema::ImageAdded>(),
    image_tagged = capnp::typeId<schema::ImageTagged>(),
    image_untagged = capnp::typeId<schema::ImageUntagged>(),
    image_removed = capnp::typeId<schema::ImageRemoved>(),
    rootfs_prepared = capnp::typeId<schema::RootfsPrepared>(),
    rootfs_prepare_failed = capnp::typeId<schema::RootfsPrepareFailed>(),
    rootfs_removed = capnp::typeId<schema::RootfsRemoved>(),
};

}  // namespace noded::container

@0xb1a6de4c10f85c02;
# The storage plugin: images, their layers, and the root file systems of containers.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("noded::schema");

# ---------------------------------------------------------------- commands

struct ImportImage @0xe5e1f3a902c7b001 {
  # `image import`: a root file system archive becomes an image of one layer. The archive is a
  # regular file whose descriptor the client gave before with Storage.give under the id of this
  # command.
  reference @0 :Text;       # name[:tag]
  changes @1 :List(Text);   # Dockerfile instructions: "CMD [\"sh\"]", "ENV A=b"
  message @2 :Text;         # history comment
}

struct LoadImages @0xe5e1f3a902c7b002 {
  # `image load`: a docker-save archive or an OCI layout in a tar, given like that of ImportImage.
}

struct RemoveImage @0xe5e1f3a902c7b003 {
  reference @0 :Text;       # name[:tag], image id or a unique prefix of it
  force @1 :Bool;           # also with several names; never while a container uses it
}

struct TagImage @0xe5e1f3a902c7b004 {
  source @0 :Text;
  target @1 :Text;
}

# ---------------------------------------------------------------- events

struct ImageImportRequested @0xe5e1f3a902c7b011 {
  # Intent; ImageAdded or ImageImportFailed is its outcome.
  kind @0 :Kind;
  reference @1 :Text;
  changes @2 :List(Text);
  message @3 :Text;
  enum Kind { rootfs @0; archive @1; }
}

struct ImageAdded @0xe5e1f3a902c7b012 {
  id @0 :Text;              # "sha256:…", digest of the config
  config @1 :Text;          # OCI image config, JSON
  layers @2 :List(Layer);   # lowest first
  names @3 :List(Text);     # name:tag that now point to it
  sizeBytes @4 :UInt64;     # unpacked
  manifestDigest @5 :Text;  # "sha256:…" of the OCI manifest that came with it; empty for none
  struct Layer {
    diffId @0 :Text;        # "sha256:…"
    sizeBytes @1 :UInt64;
  }
}

struct ImageImportFailed @0xe5e1f3a902c7b013 {
  message @0 :Text;
}

struct ImageImported @0xe5e1f3a902c7b014 {
  # Success of one ImageImportRequested, after its ImageAdded events.
  ids @0 :List(Text);
  names @1 :List(Text);
}

struct ImageTagged @0xe5e1f3a902c7b015 {
  id @0 :Text;
  name @1 :Text;            # moves there if it pointed elsewhere
}

struct ImageUntagged @0xe5e1f3a902c7b016 {
  id @0 :Text;
  name @1 :Text;
}

struct ImageRemoved @0xe5e1f3a902c7b017 {
  # No name and no container refers to it any more; its layers are deleted if no other image has
  # them.
  id @0 :Text;
}

struct RootfsPrepared @0xe5e1f3a902c7b018 {
  # Outcome of ContainerRequested in this plugin.
  containerId @0 :Text;
  lowers @1 :List(Text);    # absolute, top first, as overlayfs wants them
  upper @2 :Text;
  work @3 :Text;
}

struct RootfsPrepareFailed @0xe5e1f3a902c7b019 {
  containerId @0 :Text;
  message @1 :Text;
}

struct RootfsRemoved @0xe5e1f3a902c7b01a {
  # Outcome of ContainerRemovalRequested in this plugin.
  containerId @0 :Text;
}

# ---------------------------------------------------------------- calls

interface Storage @0xe5e1f3a902c7b020 {
  listImages @0 () -> (images :List(Image));
  # Newest first; config and layers are left empty here, inspectImage has them.
  inspectImage @1 (reference :Text) -> (image :Image);
  give @2 (commandId :Data) -> ();
  # With a descriptor (Node.callWithStream): the archive of the command with this id.
  waitImport @3 (commandId :Data) -> (ids :List(Text), names :List(Text), error :Text);
  # Answers when the outcome of ImportImage, LoadImages or CommitContainer with this id is durable.
  save @4 (references :List(Text)) -> (notices :List(Text));
  # With a descriptor (Node.callWithStream), that of a regular file: an archive of these images is
  # written there from where it stands. A repository without a tag stands for all its tags. Answers
  # when the archive is whole; notices are sentences for the user.
}

struct Image {
  id @0 :Text;
  names @1 :List(Text);
  createdNs @2 :Int64;
  sizeBytes @3 :UInt64;
  config @4 :Text;          # OCI image config, JSON
  layers @5 :List(Text);    # diff ids, lowest first
  containers @6 :List(Text);
  layerBytes @7 :List(UInt64);  # of each layer; only from inspectImage
}

# ---------------------------------------------------------------- snapshot

struct StorageSnapshot {
  # All that the plugin folded.
  images @0 :List(ImageRecord);           # by id
  containers @1 :List(ContainerRecord);   # by id
  imports @2 :List(ImportRecord);         # without an outcome, by command id
  outcomes @3 :List(ImportOutcome);       # the last ones, oldest first

  struct ImageRecord {
    id @0 :Text;
    config @1 :Text;
    layers @2 :List(ImageAdded.Layer);
    names @3 :List(Text);                 # sorted
    sizeBytes @4 :UInt64;
    manifestDigest @5 :Text;
  }

  struct ContainerRecord {
    id @0 :Text;
    imageId @1 :Text;
    layers @2 :List(Text);
    rootfs @3 :Rootfs;
    running @4 :Bool;
    removing @5 :Bool;
    requestedSeq @6 :UInt64;
    requestedCommand @7 :Data;
    removalSeq @8 :UInt64;
    removalCommand @9 :Data;
    gone @10 :Bool;
  }
  enum Rootfs { requested @0; prepared @1; failed @2; removed @3; }

  struct ImportRecord {
    commandId @0 :Data;
    seq @1 :UInt64;
    request @2 :ImageImportRequested;
    commit @3 :Data;                      # instead: the ContainerCommitRequested, a flat message
    waits @4 :Bool;                       # for the container to be paused
    pauseError @5 :Text;
  }

  struct ImportOutcome {
    commandId @0 :Data;
    ids @1 :List(Text);
    names @2 :List(Text);
    error @3 :Text;
  }
}

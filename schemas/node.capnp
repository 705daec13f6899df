@0xd3a1f0c28a5b4e01;
# The RPC of one node: what nodectl, gateways and other tools speak. Two-party Cap'n Proto over a
# unix socket (R/noded.sock); the bootstrap capability is Node.
#
# The node knows nothing of containers: commands, events, calls and streams are doors, and the
# plugins' own schemas (container.capnp, storage.capnp) say what goes through them.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("noded::schema");

interface Node {
  version @0 () -> (version :Version);

  info @1 () -> (info :Info);

  submit @2 (command :Command) -> (outcome :Outcome);
  # Answers when the command's events are durable. Sending the same id again is harmless: it is
  # decided once and answered with the seq that it got then, while it is among the newest 65,536.

  plugin @3 (name :Text) -> (interface :Capability);
  # The Cap'n Proto interface that the plugin exports; cast it to the plugin's interface type.

  callWithStream @4 (plugin :Text, method :UInt16, params :Data, stream :Stream)
      -> (results :Data, stream :Stream);
  # A call that takes or gives a file descriptor. `params` and `results` are flat messages of the
  # method's structs.

  callJson @5 (plugin :Text, method :Text, params :Text) -> (results :Text);
  # For plugins whose interface is JSON.

  plugins @6 () -> (plugins :List(Plugin));

  schema @7 (plugin :Text) -> (schema :Data);
  # What `capnp compile -o-` printed for the plugin's schema (a CodeGeneratorRequest); empty if it
  # has none.

  events @8 (since :UInt64, max :UInt32, waitMs :UInt32) -> (page :EventPage);
  # Durable events with seq >= since, in order and without gaps, across restarts. With waitMs > 0
  # and none there it answers when there is one, or empty after that time.

  seqAt @9 (timeNs :Int64) -> (seq :UInt64);
  # Seq of the first event at or after a time; one past the newest if there is none.

  past @10 (at :Moment) -> (connection :Stream);
  # The node as it was. The descriptor is one end of a stream socket on which another Node answers,
  # one that can only be asked: what changes something and what takes or gives a descriptor is
  # refused. Its first answer comes when the log is folded up to then; a moment that the log does
  # not know makes every call fail, with the reason. It ends with the socket, or when nothing was
  # asked for a minute.
}

struct Moment {
  union {
    seq @0 :UInt64;     # after this event; 0: before the first one
    timeNs @1 :Int64;   # after all that was decided at that time or before
  }
}

interface Stream {
  # Carries one file descriptor; nothing is called on it.
}

struct Version {
  version @0 :Text;
  abi @1 :Text;         # "1.1"
  kernel @2 :Text;
  pid @3 :UInt32;
}

struct Info {
  nodeName @0 :Text;
  stateDir @1 :Text;
  runtimeDir @2 :Text;
  pluginDir @3 :Text;
  version @4 :Text;
  kernel @5 :Text;
  cpus @6 :UInt32;
  memoryBytes @7 :UInt64;
  startedNs @8 :Int64;      # real time at which this noded was ready
  oldestSeq @9 :UInt64;
  durableSeq @10 :UInt64;
  snapshotSeq @11 :UInt64;  # 0 if there is none
  clients @12 :UInt32;
  reactor @13 :Text;        # how the ring was set up
  publishEndpoint @14 :Text;
  oldestNs @15 :Int64;      # time of the event oldestSeq, 0 if there is none
  logBytes @16 :UInt64;     # what segments and snapshots take
  logBytesMax @17 :UInt64;
  archiveBytes @18 :UInt64;
  snapshots @19 :UInt32;    # so many are kept
  archiveBytesMax @20 :UInt64;
  archiveOldestSeq @21 :UInt64;   # the first event in an archive, 0 if there is none
  asOfNs @22 :Int64;        # of a node in the past: which time it is there; 0: it is now
  warnings @23 :List(Text); # what this machine gives noded too little of, and what to do
  filesMax @24 :UInt64;     # descriptors that noded may have; of these three, 0: not limited
  processesMax @25 :UInt64; # in the cgroup of noded, where each container has its shim
  memoryMax @26 :UInt64;    # bytes in the cgroup of noded, where no container is
}

struct Command {
  id @0 :Data;              # 32 random bytes, minted by the client
  type @1 :UInt64;          # id of the payload's struct
  payload @2 :Data;         # flat message
  client @3 :Text;          # what sends it, for who reads the history: "nodectl run"; at most 64
                            # bytes of UTF-8 without control characters, empty for nothing
}

struct Outcome {
  union {
    accepted @0 :Accepted;
    rejected @1 :Rejected;
  }
  struct Accepted {
    firstSeq @0 :UInt64;    # of the events that the command caused; 0 if it caused none
    lastSeq @1 :UInt64;
    retried @2 :Bool;       # the id was known already
  }
  struct Rejected {
    code @0 :UInt16;        # enum noded_rejection in plugins/abi/plugin.h
    message @1 :Text;       # a sentence for the user
  }
}

struct Event {
  seq @0 :UInt64;
  timeNs @1 :Int64;
  type @2 :UInt64;
  name @3 :Text;            # "ContainerStarted"; empty if no plugin that is loaded owns the type
  plugin @4 :Text;          # its owner
  causeSeq @5 :UInt64;
  commandId @6 :Data;
  payload @7 :Data;         # flat message
  sender @8 :Sender;        # null but for the first event of a command that somebody sent
}

struct Sender {
  # Which command it was, and who sent it.
  commandType @0 :UInt64;
  command @1 :Text;         # "RunContainer"; empty if no plugin that is loaded decides it
  uid @2 :UInt32;           # of the process, as the kernel said when it connected
  gid @3 :UInt32;
  pid @4 :UInt32;           # 0: the node itself
  client @5 :Text;          # what it says of itself; "plugin ID" if a plugin sent it
}

struct EventPage {
  events @0 :List(Event);
  next @1 :UInt64;          # ask from here for what follows
  oldest @2 :UInt64;        # the oldest event still there
}

struct Plugin {
  id @0 :Text;
  version @1 :Text;
  description @2 :Text;
  status @3 :Text;          # loaded, loading (it folds the history), refused, stopped
  reason @4 :Text;          # why it is not loaded
  abi @5 :Text;
  file @6 :Text;
  commands @7 :List(Text);
  events @8 :List(Text);
  folds @9 :List(Text);
  extensions @10 :List(Text);
  needs @11 :List(Text);
  interfaceId @12 :UInt64;  # 0: JSON or none
  methods @13 :List(Text);
  countsFromSeq @14 :UInt64;   # its state counts the events from here on
  foldedSeq @15 :UInt64;       # the newest event that it folded
  snapshotSeq @16 :UInt64;     # the snapshot that it was loaded from, 0 if none
  undeclaredEvents @17 :UInt64;
}

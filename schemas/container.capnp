@0x9c4f2bd7e3301d03;
# The container plugin: the life of containers and of what is executed in them.
#
# The id of a container is the id of the command that created it, in hexadecimal.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("noded::schema");

struct ContainerSpec {
  # What the user asked for; empty means: take it from the image.
  image @0 :Text;           # reference or id
  name @1 :Text;            # empty: one is made up
  command @2 :List(Text);   # replaces the image's Cmd
  entrypoint @3 :List(Text);
  entrypointSet @4 :Bool;   # an empty entrypoint was asked for (--entrypoint "")
  env @5 :List(Text);       # K=V; later ones win
  workingDir @6 :Text;
  user @7 :Text;            # uid[:gid] or name[:group]
  labels @8 :List(Label);
  hostname @9 :Text;
  tty @10 :Bool;
  openStdin @11 :Bool;
  autoRemove @12 :Bool;     # --rm
  network @13 :Text;        # "none" (own namespace, loopback only) or "host"; empty is "none"
  stopSignal @14 :Text;     # "SIGTERM", "15"
  stopTimeoutSeconds @15 :Int32 = -1;   # -1: the default; -2: SIGKILL never comes
  ttyRows @16 :UInt16;
  ttyColumns @17 :UInt16;
  stdinOnce @18 :Bool;      # close stdin when the first attached client leaves it
  options @19 :HostOptions;
  restart @20 :RestartPolicy;
  health @21 :HealthCheck;  # what is not said is taken from the image
  unattached @22 :UInt8;    # streams that its maker is not attached to: 1 stdin, 2 stdout, 4 stderr
}

struct Label {
  key @0 :Text;
  value @1 :Text;
}

struct ResolvedSpec {
  # The spec joined with the image's config: all that a start needs.
  imageId @0 :Text;
  imageName @1 :Text;       # as the user wrote it
  argv @2 :List(Text);
  env @3 :List(Text);
  workingDir @4 :Text;
  user @5 :Text;
  labels @6 :List(Label);
  hostname @7 :Text;
  tty @8 :Bool;
  openStdin @9 :Bool;
  autoRemove @10 :Bool;
  network @11 :Text;
  stopSignal @12 :Int32;    # number
  stopTimeoutSeconds @13 :Int32;
  layers @14 :List(Text);   # diff ids, lowest first
  ttyRows @15 :UInt16;
  ttyColumns @16 :UInt16;
  entrypoint @17 :List(Text);
  command @18 :List(Text);
  stdinOnce @19 :Bool;
  options @20 :HostOptions;
  restart @21 :RestartPolicy;
  health @22 :HealthCheck;
  unattached @23 :UInt8;
  exposedPorts @24 :List(Text);   # of the image: "80/tcp"
}

struct RestartPolicy {
  # Whether a run that ended is followed by another one. Absent is "no".
  kind @0 :RestartKind;
  retriesMax @1 :UInt32;          # of onFailure; 0: no limit
  delayMs @2 :UInt32;             # before the first restart, then doubled; 0: 100
  delayMaxMs @3 :UInt32;          # what doubling ends at; 0: 60,000
}

struct HealthCheck {
  test @0 :List(Text);            # "CMD", arguments…; "CMD-SHELL", a line; or "NONE"
  intervalMs @1 :UInt32;          # between two probes; 0: 30 s
  timeoutMs @2 :UInt32;           # of a probe; 0: 30 s
  startPeriodMs @3 :UInt32;       # in which failures do not count
  startIntervalMs @4 :UInt32;     # between two probes in that time; 0: 5 s
  retries @5 :UInt32;             # failures in a row that make it unhealthy; 0: 3
  action @6 :HealthAction;        # when it becomes unhealthy
}

enum HealthAction { none @0; kill @1; restart @2; stop @3; }
enum HealthStatus { none @0; starting @1; healthy @2; unhealthy @3; }

enum RestartKind { no @0; onFailure @1; always @2; unlessStopped @3; }

struct Resources {
  # Limits of a container. 0 and empty mean that none was asked for.
  memoryBytes @0 :Int64;
  memoryReservationBytes @1 :Int64;
  memorySwapBytes @2 :Int64;      # memory and swap together; -1: as much swap as there is
  oomKillDisable @3 :Bool;
  nanoCpus @4 :Int64;             # billionths of a CPU
  cpuShares @5 :Int64;
  cpuQuotaUs @6 :Int64;           # per period; -1: none
  cpuPeriodUs @7 :Int64;
  cpusetCpus @8 :Text;            # "0-2,4"
  cpusetMems @9 :Text;
  pidsLimit @10 :Int64;           # -1: none
  blkioWeight @11 :UInt16;        # 10 to 1000
  rates @12 :List(DeviceRate);
}

struct DeviceRate {
  device @0 :Text;                # a block device of the host: "/dev/vda"
  kind @1 :RateKind;
  rate @2 :UInt64;                # bytes or operations per second
}

enum RateKind { readBps @0; writeBps @1; readIops @2; writeIops @3; }

struct HostOptions {
  # What a container may use of the host, the same in what was asked for and in what was resolved.
  resources @0 :Resources;
  oomScoreAdj @1 :Int32;          # -1000 to 1000
  capAdd @2 :List(Text);          # "NET_ADMIN", "ALL"
  capDrop @3 :List(Text);
  readOnly @4 :Bool;              # the root file system
  noNewPrivileges @5 :Bool;
  seccompUnconfined @6 :Bool;
  ulimits @7 :List(Ulimit);
  shmBytes @8 :Int64;             # 0: 64 MiB
  devices @9 :List(Device);
  mounts @10 :List(Mount);
  sysctls @11 :List(Label);
  ipcMode @12 :Text;              # these four: "private", which is empty too, or "host"
  pidMode @13 :Text;              # ipc and pid also "container:ID"; ipc also "none", "shareable"
  utsMode @14 :Text;
  cgroupnsMode @15 :Text;
  logFileBytes @16 :Int64;        # of one file of the log; 0: 10 MB
  logFiles @17 :Int32;            # how many of them are kept; 0: 5
  seccompProfile @18 :Text;       # docker's JSON; empty: the default one
  groupAdd @19 :List(Text);       # names or numbers
  domainname @20 :Text;
  privileged @21 :Bool;           # every right and every device of the host
  deviceRules @22 :List(Text);    # "c 13:* rwm"
  init @23 :Bool;                 # the command is a child of an init that reaps
  cgroupParent @24 :Text;         # "/a/b" in every hierarchy; empty: noded's own group
  usernsMode @25 :Text;           # "host", "remap"; empty: what the node does for all
  idMaps @26 :List(IdMap);        # of what was resolved: its user namespace; empty: the host's
  systemPathsUnconfined @27 :Bool; # nothing of /proc and /sys is covered or read-only
}

struct IdMap {
  # The ids container, container + 1, … of a container are the ids host, host + 1, … of the host.
  gid @0 :Bool;                   # group ids, not user ids
  container @1 :UInt32;
  host @2 :UInt32;
  count @3 :UInt32;
}

struct Ulimit {
  name @0 :Text;                  # "nofile"
  soft @1 :Int64;                 # -1: unlimited
  hard @2 :Int64;
}

struct Device {
  hostPath @0 :Text;
  containerPath @1 :Text;
  permissions @2 :Text;           # of "rwm"
}

struct Mount {
  type @0 :Text;                  # "bind", "tmpfs" or "volume"
  source @1 :Text;                # of a bind: an absolute path of the host; of a volume: its name
  target @2 :Text;
  options @3 :Text;               # "ro,nosuid,size=1m"
  makeSource @4 :Bool;            # a missing folder; of a volume: by -v or the image
}

# ---------------------------------------------------------------- commands

struct CreateContainer @0xf2b7a6d1c0e4a001 {
  spec @0 :ContainerSpec;
}

struct RunContainer @0xf2b7a6d1c0e4a002 {
  # CreateContainer and StartContainer in one decision.
  spec @0 :ContainerSpec;
}

struct StartContainer @0xf2b7a6d1c0e4a003 {
  container @0 :Text;       # id, unique prefix of an id, or name
}

struct StopContainer @0xf2b7a6d1c0e4a004 {
  # The stop signal, then SIGKILL after the grace period.
  container @0 :Text;
  timeoutSeconds @1 :Int32 = -1;   # -1: the container's own, else 10; -2: SIGKILL never comes
  signal @2 :Text;                 # empty: the container's own
}

struct KillContainer @0xf2b7a6d1c0e4a005 {
  container @0 :Text;
  signal @1 :Text;          # "SIGKILL", "KILL", "9"; empty is SIGKILL
}

struct RemoveContainer @0xf2b7a6d1c0e4a006 {
  container @0 :Text;
  force @1 :Bool;           # a running one is killed first
}

struct ExecContainer @0xf2b7a6d1c0e4a007 {
  # The id of the exec is the id of this command. Its stdio, if any, was given with
  # Container.attachExec before.
  container @0 :Text;
  argv @1 :List(Text);
  env @2 :List(Text);
  workingDir @3 :Text;
  user @4 :Text;
  tty @5 :Bool;
  openStdin @6 :Bool;
  detach @7 :Bool;
  ttyRows @8 :UInt16;
  ttyColumns @9 :UInt16;
  privileged @10 :Bool;     # all capabilities that noded has, not those of the container
}

struct PauseContainer @0xf2b7a6d1c0e4a030 {
  container @0 :Text;
}

struct UnpauseContainer @0xf2b7a6d1c0e4a031 {
  container @0 :Text;
}

struct RenameContainer @0xf2b7a6d1c0e4a032 {
  container @0 :Text;
  name @1 :Text;
}

struct RestartContainer @0xf2b7a6d1c0e4a033 {
  # StopContainer and then StartContainer; one that does not run is only started.
  container @0 :Text;
  timeoutSeconds @1 :Int32 = -1;
  signal @2 :Text;
}

struct UpdateContainer @0xf2b7a6d1c0e4a034 {
  # What is 0 or empty stays as it is. Of a running container the limits change at once.
  container @0 :Text;
  resources @1 :Resources;
  restart @2 :RestartPolicy;      # absent: stays
}

struct CommitContainer @0xf2b7a6d1c0e4a0c1 {
  # The files and settings of a container become an image. The id of the image, or why there is
  # none, is what Storage.waitImport says of this command.
  container @0 :Text;
  reference @1 :Text;       # name[:tag]; empty: the image has no name
  author @2 :Text;
  message @3 :Text;
  changes @4 :List(Text);   # Dockerfile instructions
  keepRunning @5 :Bool;     # a running one is not paused meanwhile
}

# ---------------------------------------------------------------- events

struct ContainerRequested @0xf2b7a6d1c0e4a011 {
  # Intent; storage's RootfsPrepared or RootfsPrepareFailed is its outcome: state "created".
  id @0 :Text;
  name @1 :Text;
  spec @2 :ResolvedSpec;
}

struct ContainerStartRequested @0xf2b7a6d1c0e4a013 {
  # Intent; ContainerStarted or ContainerStartFailed is its outcome.
  id @0 :Text;
  run @1 :UInt32;           # counts the starts of this container, from 1
  restart @2 :Bool;         # a restart was asked for of one that did not run
}

struct ContainerStarted @0xf2b7a6d1c0e4a014 {
  id @0 :Text;
  run @1 :UInt32;
  pid @2 :UInt32;           # in noded's pid namespace
  shimPid @3 :UInt32;
  pidStartTime @4 :UInt64;  # /proc/PID/stat field 22, so that a reused pid is not taken for it
}

struct ContainerStartFailed @0xf2b7a6d1c0e4a015 {
  id @0 :Text;
  run @1 :UInt32;
  exitCode @2 :UInt32;      # 125, 126 or 127
  message @3 :Text;
}

struct ContainerExited @0xf2b7a6d1c0e4a016 {
  id @0 :Text;
  run @1 :UInt32;
  exitCode @2 :UInt32;      # 128 + n for a signal
  signal @3 :UInt32;
  oomKilled @4 :Bool;
  exitedNs @5 :Int64;
  lost @6 :Bool;            # its end was not seen and left no record (host reboot): exitCode is 255
}

struct ContainerStopRequested @0xf2b7a6d1c0e4a017 {
  id @0 :Text;
  run @1 :UInt32;
  signal @2 :UInt32;
  timeoutSeconds @3 :Int32; # then SIGKILL; -2: never
  restart @4 :Bool;         # ContainerRestartScheduled follows the end of this run
  unhealthy @5 :Bool;       # nobody asked for it but the health check
}

struct ContainerKillRequested @0xf2b7a6d1c0e4a018 {
  id @0 :Text;
  run @1 :UInt32;
  signal @2 :UInt32;
  remove @3 :Bool;          # ContainerRemovalRequested follows the end of this run
  unhealthy @4 :Bool;       # nobody asked for it but the health check
}

struct ContainerRemovalRequested @0xf2b7a6d1c0e4a019 {
  # Intent; its outcomes are ContainerRemoved, and storage's RootfsRemoved, in either order.
  id @0 :Text;
}

struct ContainerRemoved @0xf2b7a6d1c0e4a01a {
  id @0 :Text;
  name @1 :Text;
}

struct ExecRequested @0xf2b7a6d1c0e4a01b {
  # Intent; ExecExited or ExecFailed is its outcome.
  execId @0 :Text;
  containerId @1 :Text;
  argv @2 :List(Text);
  env @3 :List(Text);
  workingDir @4 :Text;
  user @5 :Text;
  tty @6 :Bool;
  openStdin @7 :Bool;
  detach @8 :Bool;
  ttyRows @9 :UInt16;
  ttyColumns @10 :UInt16;
  privileged @11 :Bool;
}

struct ExecExited @0xf2b7a6d1c0e4a01c {
  execId @0 :Text;
  containerId @1 :Text;
  exitCode @2 :UInt32;
}

struct ExecFailed @0xf2b7a6d1c0e4a01d {
  execId @0 :Text;
  containerId @1 :Text;
  exitCode @2 :UInt32;      # 126 or 127
  message @3 :Text;
}

struct ContainerRestartScheduled @0xf2b7a6d1c0e4a040 {
  # Run `run` is over and will be followed by another one; ContainerStartRequested ends the waiting.
  id @0 :Text;
  run @1 :UInt32;
  dueNs @2 :Int64;          # real time of the next start
  delayMs @3 :UInt32;
  count @4 :UInt32;         # restarts by policy since somebody started it
}

struct ContainerPauseRequested @0xf2b7a6d1c0e4a041 {
  # Intent; ContainerPaused or ContainerPauseFailed is its outcome, unless the run ends before.
  id @0 :Text;
  run @1 :UInt32;
}

struct ContainerPaused @0xf2b7a6d1c0e4a042 {
  id @0 :Text;
  run @1 :UInt32;
}

struct ContainerUnpauseRequested @0xf2b7a6d1c0e4a043 {
  # Intent, likewise.
  id @0 :Text;
  run @1 :UInt32;
}

struct ContainerUnpaused @0xf2b7a6d1c0e4a044 {
  id @0 :Text;
  run @1 :UInt32;
}

struct ContainerPauseFailed @0xf2b7a6d1c0e4a045 {
  # Of a pause, after which the container runs on, or of the end of one.
  id @0 :Text;
  run @1 :UInt32;
  message @2 :Text;
}

struct ContainerRenamed @0xf2b7a6d1c0e4a046 {
  id @0 :Text;
  oldName @1 :Text;
  name @2 :Text;
}

struct ContainerUpdateRequested @0xf2b7a6d1c0e4a047 {
  # Intent, of a running container; ContainerUpdated or ContainerUpdateFailed is its outcome.
  id @0 :Text;
  resources @1 :Resources;  # all of them, as they shall be
  restart @2 :RestartPolicy;
}

struct ContainerUpdated @0xf2b7a6d1c0e4a048 {
  id @0 :Text;
  resources @1 :Resources;
  restart @2 :RestartPolicy;
}

struct ContainerUpdateFailed @0xf2b7a6d1c0e4a049 {
  id @0 :Text;
  message @1 :Text;
}

struct ContainerHealthChanged @0xf2b7a6d1c0e4a04b {
  id @0 :Text;
  run @1 :UInt32;
  status @2 :HealthStatus;
  failingStreak @3 :UInt32;
  exitCode @4 :Int32;       # of the probe that decided; -1: it did not end by itself
  output @5 :Text;          # and what it said, cut
}

struct ContainerCommitRequested @0xf2b7a6d1c0e4a0c2 {
  # Intent; storage's ImageImported or ImageImportFailed of the same command is its outcome.
  id @0 :Text;
  reference @1 :Text;
  author @2 :Text;
  message @3 :Text;
  changes @4 :List(Text);
  pauses @5 :Bool;          # storage begins after the ContainerPauseRequested that follows
  env @6 :List(Text);       # these: of the container, before the changes
  entrypoint @7 :List(Text);
  command @8 :List(Text);
  workingDir @9 :Text;
  user @10 :Text;
  labels @11 :List(Label);
  stopSignal @12 :Int32;
  health @13 :HealthCheck;  # that was given to the container; absent: the image's stays
  idMaps @14 :List(IdMap);  # of the container: its files belong to ids of the host
}

struct HostObserved @0xf2b7a6d1c0e4a04a {
  # What noded found when it started, if it is not what it was.
  bootId @0 :Text;          # of the kernel
  cpus @1 :UInt32;          # that are online
  idMaps @2 :List(IdMap);   # of containers with a user namespace of their own
  remapsAll @3 :Bool;       # those are all, but for --userns host
  remapError @4 :Text;      # why there can be none
  cpuList @5 :Text;         # of those CPUs: "0-3,8"; empty: not known
  memoryNodes @6 :Text;     # likewise
}

# ---------------------------------------------------------------- calls

interface Container @0xf2b7a6d1c0e4a020 {
  list @0 (after :Text) -> (containers :List(ContainerState), next :Text);
  # By id, those after `after`, as many as fit into a page; `next` is the `after` of the next page,
  # empty at the end. Each has what a list shows, as docker's: of the spec only image, argv, labels,
  # network, mounts and limits; the rest is for inspect.
  inspect @1 (container :Text) -> (state :ContainerState);
  wait @2 (container :Text, until :Until) -> (result :WaitResult);
  # Answers when the outcome is durable. A wait for a container that is not known yet, by full id,
  # waits for it too: a client sends it together with the command.
  attach @3 (container :Text, flags :UInt32) -> ();
  # With a descriptor (Node.callWithStream): one end of a stream socket on which attach frames
  # (plugins/container/shim/attach_frames.h) then pass. Works before the container exists, by full
  # id; what is given before the start loses no output. `flags` are the attach_* bits of
  # plugins/container/shim/control.h, 0 for all three streams from now on.
  attachExec @4 (execId :Text) -> ();
  # The same for the stdio of an exec whose command follows.
  waitExec @5 (execId :Text, started :Bool) -> (exitCode :UInt32, error :Text);
  resize @6 (container :Text, execId :Text, rows :UInt16, columns :UInt16) -> ();
  top @7 (container :Text) -> (processes :List(Process));
  logFile @8 (container :Text) -> (running :Bool, tty :Bool);
  # Gives the folder of the log (Node.callWithStream), format in plugins/container/shim/LOG.md.
  files @9 (container :Text, job :FilesJob) -> (result :FilesResult);
  # Looks at, reads or writes files of a container, whether it runs or not. All but stat and size
  # take a descriptor (Node.callWithStream): a pipe, a socket or a file that the bytes go through.
  # The answer comes when all is done; its error is about the whole job.
  readLog @10 (container :Text, tail :Int64 = -1, position :UInt64) -> (part :LogPart);
  # The last `tail` lines of what it wrote, of both streams, or with -1 what follows `position`. At
  # most about a MiB: while there is `more`, ask again from the part's own position. Who subscribed
  # to log/… before goes on without gap or duplicate, see LogMessage.

  # The last three: what was asked for last has its outcome.
  enum Until { started @0; exited @1; removed @2; paused @3; unpaused @4; updated @5; }

  struct WaitResult {
    exitCode @0 :UInt32;
    error @1 :Text;         # of what failed, or why the wait can not end
    startFailed @2 :Bool;
  }
}

enum OutputStream { stdout @0; stderr @1; }

struct LogMessage {
  # What is published under log/<container id>/<stdout|stderr> (ops/docs/streams.md): what the
  # container wrote at once. Positions count all bytes that it wrote since it was created, of both
  # streams, so each chunk is known by the one that it begins at.
  sequence @0 :UInt64;      # of this topic, dense while somebody is subscribed to it
  lost @1 :UInt64;          # how often a subscriber of it was found too slow
  container @2 :Text;
  stream @3 :OutputStream;
  position @4 :UInt64;      # of the first byte
  after @5 :UInt64;         # behind the topic's message before this one, or where following began:
                            # who has read up to there has missed nothing
  lostBytes @6 :UInt64;     # of output that nobody can read any more: a full disk, or rotation
  timeNs @7 :Int64;
  data @8 :Data;
}

struct LogPart {
  chunks @0 :List(LogChunk);
  position @1 :UInt64;      # behind the last of them
  more @2 :Bool;
  lostBytes @3 :UInt64;     # between where it was to begin and its end
}

struct LogChunk {
  stream @0 :OutputStream;
  position @1 :UInt64;
  timeNs @2 :Int64;
  data @3 :Data;
}

struct FilesJob {
  verb @0 :FilesVerb;
  path @1 :Text;            # in the container; links and ".." never lead out of its root
  follow @2 :Bool;          # stat and read: a link at the end of the path, too
}

enum FilesVerb {
  stat @0;
  read @1;                  # tar of the path out of the descriptor; "PATH/." is what a folder holds
  write @2;                 # tar from the descriptor into the folder at the path
  diff @3;                  # changes against the image: "A", "C" or "D", the path, NUL
  whole @4;                 # tar of the root file system, without what is mounted in it
  size @5;                  # bytes that the container wrote
}

struct FilesResult {
  exists @0 :Bool;          # stat: something is there
  mode @1 :UInt32;          # st_mode
  size @2 :UInt64;          # stat and size
  mtimeNs @3 :Int64;
  link @4 :Text;            # target of a symbolic link
  path @5 :Text;            # where the path led, absolute in the container
}

enum Phase {
  requested @0;             # being prepared
  created @1;
  starting @2;
  running @3;
  exited @4;
  removing @5;
  restarting @6;            # between two runs
}

struct ContainerState {
  id @0 :Text;
  name @1 :Text;
  phase @2 :Phase;
  spec @3 :ResolvedSpec;
  createdNs @4 :Int64;
  startedNs @5 :Int64;
  finishedNs @6 :Int64;
  pid @7 :UInt32;
  shimPid @8 :UInt32;
  exitCode @9 :UInt32;
  oomKilled @10 :Bool;
  error @11 :Text;
  run @12 :UInt32;
  logPath @13 :Text;
  execIds @14 :List(Text);
  lowers @15 :List(Text);
  upper @16 :Text;
  work @17 :Text;
  createdSeq @18 :UInt64;
  pidStartTime @19 :UInt64; # see ContainerStarted
  paused @20 :Bool;
  restartCount @21 :UInt32; # by policy, since somebody started it
  nextStartNs @22 :Int64;   # of a restarting one
  health @23 :HealthState;
}

struct HealthState {
  status @0 :HealthStatus;
  failingStreak @1 :UInt32;
  log @2 :List(Probe);      # the newest few, oldest first

  struct Probe {
    startNs @0 :Int64;
    endNs @1 :Int64;
    exitCode @2 :Int32;
    output @3 :Text;
  }
}

struct Process {
  pid @0 :UInt32;
  ppid @1 :UInt32;
  uid @2 :UInt32;
  user @3 :Text;
  cpuPercent @4 :UInt32;
  startedNs @5 :Int64;
  tty @6 :Text;
  cpuTimeMs @7 :UInt64;
  command @8 :Text;
}

# ---------------------------------------------------------------- snapshot

struct ContainerSnapshot {
  # All that the plugin folded.
  containers @0 :List(ContainerRecord);   # by id
  images @1 :List(ImageRecord);           # by id
  host @2 :HostObserved;
}

struct ContainerRecord {
  state @0 :ContainerState;
  rootfsReady @1 :Bool;
  unused2 @2 :Bool;
  rootfsError @3 :Text;
  removeAfterExit @4 :Bool;
  startSeq @5 :UInt64;        # of the ContainerStartRequested of this run
  startCommand @6 :Data;
  stopSignal @7 :UInt32;      # 0: no stop of this run was asked for
  stopTimeoutSeconds @8 :Int32;
  stopRequestedNs @9 :Int64;
  removalSeq @10 :UInt64;     # of ContainerRemovalRequested
  removalCommand @11 :Data;
  execs @12 :List(ExecRecord);
  killRequested @13 :Bool;    # SIGKILL, of this run
  freeze @14 :Freeze;         # asked for, without outcome
  freezeSeq @15 :UInt64;      # of its event
  freezeCommand @16 :Data;
  restartAfterExit @17 :Bool; # asked for during this run
  stoppedByUser @18 :Bool;
  restartDelayMs @19 :UInt32; # of the newest restart by policy
  restartSeq @20 :UInt64;     # of the newest ContainerRestartScheduled
  restartCommand @21 :Data;
  restartedByPolicy @22 :Bool;  # this run
  update @23 :UpdateRecord;   # asked for, without outcome
  signals @24 :List(SignalRecord);  # of this run: the newest request of each number, by seq
  commitSeq @25 :UInt64;      # of the ContainerCommitRequested that it is paused for
  commitCommand @26 :Data;
  commitPauses @27 :Bool;
  commitOver @28 :Bool;       # its outcome is there, the unpause is not
}

struct SignalRecord {
  signal @0 :UInt32;
  seq @1 :UInt64;             # of its ContainerKillRequested
}

enum Freeze { none @0; pause @1; unpause @2; }

struct UpdateRecord {
  resources @0 :Resources;
  restart @1 :RestartPolicy;
  seq @2 :UInt64;
  command @3 :Data;
}

struct ExecRecord {
  execId @0 :Text;            # also the id of its command
  seq @1 :UInt64;             # of its ExecRequested
  done @2 :Bool;
  exitCode @3 :UInt32;
  error @4 :Text;
}

struct ImageRecord {
  id @0 :Text;
  config @1 :Text;
  layers @2 :List(Text);
  names @3 :List(Text);
}

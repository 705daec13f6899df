@0xb4d51e7a90c63f01;
# The stats plugin: what containers and the node use.
#
# All figures that grow are counters since the container was started (or the node booted), with the
# time at which they were read: rates are the reader's to compute, between any two samples. A struct
# that is absent was not there to be read: the kernel has no such controller, or the container ended
# while it was looked at.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("noded::schema");

interface Stats @0xb4d51e7a90c64020 {
  read @0 (containers :List(Text), after :UInt64, once :Bool) -> (samples :List(Sample));
  # The newest samples, oldest first, of the containers named by id or name; all that run if none is
  # named, none but the node's figures for the single name "". With `after` 0 there are two of them,
  # so that rates can be computed at once; otherwise the first sample with a greater seq, as soon as
  # there is one. Samples are taken every second while somebody asks, and ten seconds longer.
  # With `once` there is one sample, taken after the call for all who ask so at the same time, and
  # none is taken because of it later: for those who ask seldom and know what they saw before.

  status @1 () -> (status :StatsStatus);
}

struct StatsStatus {
  sources @0 :List(Text);         # where the figures come from: "memory /sys/fs/cgroup/memory"
  warnings @1 :List(Text);        # what this machine lacks, as sentences
  containers @2 :UInt32;          # that run
  openFiles @3 :UInt32;           # kept open between samples
  samples @4 :UInt64;             # taken since the plugin was loaded
  sampleNs @5 :Int64;             # that the newest one took
  sampling @6 :Bool;              # somebody asks
}

struct Sample {
  seq @0 :UInt64;                 # from 1 since the plugin was loaded, dense; 0: taken for `once`
  monotonicNs @1 :Int64;          # CLOCK_MONOTONIC
  timeNs @2 :Int64;               # CLOCK_REALTIME
  node @3 :NodeFigures;
  containers @4 :List(ContainerFigures);    # newest first
}

struct StatsMessage {
  # What is published under stats/node and stats/<container id> (ops/docs/streams.md).
  sequence @0 :UInt64;            # of this topic, dense while somebody is subscribed to it
  lost @1 :UInt64;                # how often a subscriber of it was found too slow; what it lost
                                  # itself a subscriber sees as a gap between two sequences
  monotonicNs @2 :Int64;          # when it was read
  timeNs @3 :Int64;
  union {
    node @4 :NodeFigures;
    container @5 :ContainerFigures;
  }
}

struct ContainerFigures {
  id @0 :Text;
  name @1 :Text;
  image @2 :Text;
  run @3 :UInt32;
  monotonicNs @4 :Int64;          # when just this one was read
  cpu @5 :CpuFigures;
  memory @6 :MemoryFigures;
  pids @7 :PidsFigures;
  io @8 :IoFigures;
  net @9 :NetFigures;             # of its own namespace, without loopback
  pressure @10 :PressureFigures;
  kernel @11 :KernelFigures;
  networks @12 :List(NodeFigures.Network);  # those that `net` is the sum of
}

struct KernelFigures {
  # Counted by eBPF programs, where the kernel lets noded load such, since this noded began to watch
  # the container (a moment after its start): bpf/containers.h.
  net @0 :NetFigures;             # of the sockets of one in the node's network, which has no `net`
  tcpRetransmits @1 :UInt64;
  execs @2 :UInt64;
  exits @3 :UInt64;               # of processes
  oomKills @4 :UInt64;
  involuntarySwitches @5 :UInt64; # this and the waits: only while somebody asks or subscribes
  waits @6 :UInt64;               # for a CPU, of tasks that could run
  waitNs @7 :UInt64;
  waitUsLog2 @8 :List(UInt64);    # item n: how many took 2^n to 2^(n+1) µs
  io @9 :IoFigures;               # of block devices, counted when a request is done
  ioNs @10 :UInt64;               # that the requests took, from the queue to the end
  ioUsLog2 @11 :List(UInt64);     # item n: how many requests took 2^n to 2^(n+1) µs
  tcpConnects @12 :UInt64;        # that it began
}

struct CpuFigures {
  totalNs @0 :UInt64;
  userNs @1 :UInt64;
  systemNs @2 :UInt64;
  periods @3 :UInt64;             # in which a quota was enforced
  throttledPeriods @4 :UInt64;
  throttledNs @5 :UInt64;
}

struct MemoryFigures {
  usageBytes @0 :UInt64;          # page cache included
  workingSetBytes @1 :UInt64;     # without the inactive part of the page cache: docker's MEM USAGE
  cacheBytes @2 :UInt64;
  rssBytes @3 :UInt64;
  limitBytes @4 :UInt64;          # 0: none
  pageFaults @5 :UInt64;
  majorPageFaults @6 :UInt64;
  swapBytes @7 :UInt64;
  mappedBytes @8 :UInt64;         # of files
}

struct PidsFigures {
  current @0 :UInt64;
  limit @1 :UInt64;               # 0: none
}

struct IoFigures {
  readBytes @0 :UInt64;
  writeBytes @1 :UInt64;
  reads @2 :UInt64;
  writes @3 :UInt64;
}

struct NetFigures {
  receivedBytes @0 :UInt64;
  receivedPackets @1 :UInt64;
  receiveErrors @2 :UInt64;
  receiveDrops @3 :UInt64;
  sentBytes @4 :UInt64;
  sentPackets @5 :UInt64;
  sendErrors @6 :UInt64;
  sendDrops @7 :UInt64;
}

struct PressureFigures {
  # Pressure stall information, see the kernel's accounting/psi.rst.
  cpu @0 :Pressure;
  memory @1 :Pressure;
  io @2 :Pressure;
  monotonicNs @3 :Int64;          # when they were read: the same is told for up to a second where
                                  # samples are more frequent

  struct Pressure {
    someUs @0 :UInt64;            # some task waited
    fullUs @1 :UInt64;            # all of them did
  }
}

struct NodeFigures {
  cpus @0 :UInt32;
  cpu @1 :NodeCpu;
  memory @2 :NodeMemory;
  load1 @3 :Float64;
  load5 @4 :Float64;
  load15 @5 :Float64;
  contextSwitches @6 :UInt64;
  processesCreated @7 :UInt64;
  processesRunning @8 :UInt64;
  processesBlocked @9 :UInt64;
  pressure @10 :PressureFigures;
  disks @11 :List(Disk);          # that were ever used
  networks @12 :List(Network);    # of noded's network namespace
  bootNs @13 :Int64;              # real time
  perCpu @14 :List(NodeCpu);      # by number
  meminfo @15 :List(MemoryItem);  # all that /proc/meminfo has
  filesystems @16 :List(Filesystem);  # on disks, of noded's mount namespace
  interrupts @17 :UInt64;

  struct NodeCpu {
    userNs @0 :UInt64;
    niceNs @1 :UInt64;
    systemNs @2 :UInt64;
    idleNs @3 :UInt64;
    iowaitNs @4 :UInt64;
    irqNs @5 :UInt64;
    softirqNs @6 :UInt64;
    stealNs @7 :UInt64;
  }

  struct NodeMemory {
    totalBytes @0 :UInt64;
    freeBytes @1 :UInt64;
    availableBytes @2 :UInt64;
    buffersBytes @3 :UInt64;
    cachedBytes @4 :UInt64;
    swapTotalBytes @5 :UInt64;
    swapFreeBytes @6 :UInt64;
  }

  struct Disk {
    name @0 :Text;                # "vda1"
    io @1 :IoFigures;
    busyMs @2 :UInt64;
    readsMerged @3 :UInt64;
    writesMerged @4 :UInt64;
    readMs @5 :UInt64;            # that all requests took
    writeMs @6 :UInt64;
    inProgress @7 :UInt64;        # now
    weightedMs @8 :UInt64;        # time in progress, of each request
  }

  struct MemoryItem {
    name @0 :Text;                # "MemTotal", "Active(anon)"
    value @1 :UInt64;             # in bytes, or a count (HugePages_Total)
    isBytes @2 :Bool;
  }

  struct Filesystem {
    device @0 :Text;              # "/dev/vda1"
    mountPoint @1 :Text;
    type @2 :Text;                # "ext4"
    readOnly @3 :Bool;
    sizeBytes @4 :UInt64;
    freeBytes @5 :UInt64;
    availableBytes @6 :UInt64;    # to those who are not root
    files @7 :UInt64;             # inodes
    filesFree @8 :UInt64;
  }

  struct Network {
    name @0 :Text;                # "eth0"
    net @1 :NetFigures;
  }
}

# ---------------------------------------------------------------- snapshot

struct StatsSnapshot {
  # All that the plugin folded.
  containers @0 :List(ContainerRecord);     # by id

  struct ContainerRecord {
    id @0 :Text;
    name @1 :Text;
    image @2 :Text;
    hostNetwork @3 :Bool;
    createdSeq @4 :UInt64;
    run @5 :UInt32;
    pid @6 :UInt32;               # 0: does not run
    pidStartTime @7 :UInt64;
  }
}

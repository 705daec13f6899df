/* What containers.bpf.c counts and reads for each container: structs that both sides know. Every
 * counter only grows, from the moment at which the container's group was made, or at which noded
 * began to watch it. */
#ifndef NODED_BPF_CONTAINERS_H
#define NODED_BPF_CONTAINERS_H

/* Bucket n counts waits of 2^n to 2^(n+1) microseconds, the first one all below 2, the last one all
 * that are longer. */
#define NODED_WAIT_BUCKETS 24
/* The same for requests of block devices. */
#define NODED_IO_BUCKETS 24
/* Containers are at most so deep in the tree of cgroups: /PARENT/…/ID. */
#define NODED_LEVELS_MAX 8
#define NODED_ID_DIGITS 64
/* A power of two: so many containers are found without a search on hot paths. */
#define NODED_SLOTS 1024

/* Of which groups there are counters. Both sides write to it, atomically, and after a group has
 * them. */
struct noded_watching {
    unsigned int levels;  /* bit n: there are containers n groups below the root */
    unsigned int changes; /* so often was one added */
};

/* What is counted where a CPU goes from one task to another, while somebody asks, and of each
 * packet, while some container is in the node's network. */
struct noded_hot_counters {
    unsigned long long involuntary_switches;
    unsigned long long wait_ns; /* for a CPU, after a task could have run */
    unsigned long long received_bytes;
    unsigned long long received_packets;
    unsigned long long sent_bytes;
    unsigned long long sent_packets;
    unsigned long long wait_us_log2[NODED_WAIT_BUCKETS];
};

/* A container's place is the rest of its id by the number of slots. Who finds it taken has all in
 * its counters below. The first cache line has what most switches and all packets count. */
struct noded_slot {
    unsigned long long id; /* whose it is; 0: nobody's */
    struct noded_hot_counters counters;
    unsigned long long unused;
};

struct noded_container_counters {
    unsigned long long tcp_retransmits;
    unsigned long long execs;
    unsigned long long exits; /* of processes, not threads */
    unsigned long long oom_kills;
    unsigned long long tcp_connects;
    unsigned long long read_bytes; /* of block devices, by requests that are done */
    unsigned long long write_bytes;
    unsigned long long reads;
    unsigned long long writes;
    unsigned long long io_ns; /* that they took, from the queue to the end */
    unsigned long long hot_used; /* 0: nothing was counted in `hot` */
    /* From here on what need not be looked at where nothing was counted. */
    unsigned long long io_us_log2[NODED_IO_BUCKETS];
    struct noded_hot_counters hot; /* what is not in a slot */
};

/* The groups of a container, each of which may be in a hierarchy of its own. */
enum noded_group { NODED_V2, NODED_CPU, NODED_MEMORY, NODED_PIDS, NODED_GROUPS };

/* What the program `find` is given: descriptors of the caller's; -1: there is none. */
struct noded_watch {
    unsigned long long cgroup_id; /* of the v2 tree */
    int folders[NODED_GROUPS];
    int network; /* namespace */
};

/* What it finds: kernel addresses, and numbers that no later inhabitant of the same memory has. */
struct noded_place {
    unsigned long long states[NODED_GROUPS]; /* struct cgroup_subsys_state; of v2 the group's own */
    unsigned long long serials[NODED_GROUPS];
    unsigned long long network; /* struct net */
    unsigned long long network_cookie;
};

/* What the kernel's own structs tell of a container at this moment, in the kernel's own units. A
 * mark is a number that differs when the file of that name may tell something else; 0: unknown. */
struct noded_figures {
    unsigned long long cgroup_id;
    unsigned long long monotonic_ns; /* when it was read */
    unsigned long long known; /* a bit for each noded_group whose fields below are valid */
    unsigned long long cpu_ns;
    unsigned long long user_ticks_ns; /* the two tell in which proportion it was used */
    unsigned long long system_ticks_ns;
    unsigned long long periods;
    unsigned long long throttled_periods;
    unsigned long long throttled_ns;
    unsigned long long memory_pages;
    unsigned long long memory_pages_max;
    unsigned long long memory_mark; /* of memory.stat */
    unsigned long long pids;
    unsigned long long pids_max;
    unsigned long long pressure_mark; /* of cpu.pressure, memory.pressure, io.pressure */
    unsigned long long network_mark;  /* of which interfaces there are in net/dev */
};

/* All of one container, in one piece: the program `figures` fills it for the id that stands there.
 * The time stays 0 if it knows no such container. Counters are summed up over CPUs, and only if
 * something may have been counted since the container had used `cpu_ns_before` and its slot was at
 * `besides_before`, which user space writes. */
struct noded_row {
    struct noded_figures figures;
    unsigned long long besides; /* grows with what is counted for those who need no CPU for it */
    unsigned long long counted; /* 0: nothing was, the counters are those of before */
    struct noded_container_counters counters;
    unsigned long long cpu_ns_before; /* NODED_UNKNOWN: all is wanted */
    unsigned long long besides_before;
    struct noded_place place; /* the program's own */
};
#define NODED_UNKNOWN (~0ull)

/* So many in one call. */
#define NODED_ROWS 64

/* What the program is given: so many rows have an id; of so many CPUs counters are summed up. */
struct noded_reading {
    unsigned int count;
    unsigned int cpus;
};

#ifdef __cplusplus
#define NODED_STATIC_ASSERT static_assert
#else
#define NODED_STATIC_ASSERT _Static_assert
#endif
NODED_STATIC_ASSERT(sizeof(struct noded_container_counters) ==
                            8 * (11 + NODED_IO_BUCKETS + 6 + NODED_WAIT_BUCKETS) &&
                        sizeof(struct noded_slot) == 256,
                    "the two sides agree on the layout");
NODED_STATIC_ASSERT(sizeof(struct noded_place) == 8 * (2 * NODED_GROUPS + 2) &&
                        sizeof(struct noded_watch) == 8 + 4 * (NODED_GROUPS + 1) + 4 &&
                        sizeof(struct noded_figures) == 8 * 16 &&
                        sizeof(struct noded_reading) == 8 && sizeof(struct noded_watching) == 8,
                    "the two sides agree on the layout");

#endif /* NODED_BPF_CONTAINERS_H */

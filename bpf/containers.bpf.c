/* Counts in the kernel, for each container that noded watches: packets, TCP connects and
 * retransmits, programs executed and ended, OOM kills, requests of block devices and how long they
 * took, and how long tasks waited for a CPU.
 *
 * A container is its cgroup in the v2 tree (also where controllers are v1's), at `container_level`
 * below the root; what runs in groups below it belongs to it. User space (plugins/stats) puts the
 * ids into the map and reads all values at once; an id that is not there costs one look-up. All is
 * attached once for the node, the programs of the scheduler only while somebody asks. */
#include "bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/containers.h"

char LICENSE[] SEC("license") = "GPL";

const volatile int container_level = 0;

/* By cgroup id; user space sets how many there may be. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, struct noded_container_counters);
} counters SEC(".maps");

/* Where blkio is a hierarchy of its own a request knows the group there: to the id in the v2
 * tree. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, u64);
} blkio_groups SEC(".maps");

/* Since when a task that could run waits for a CPU; 0: it does not. */
struct {
    __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, int);
    __type(value, u64);
} waits_since SEC(".maps");

static __always_inline struct noded_container_counters *of_id(u64 id) {
    return id == 0 ? 0 : bpf_map_lookup_elem(&counters, &id);
}

/* The id of the group at the containers' level that this one is, or is below; 0: it is above. */
static __always_inline u64 container_id(struct cgroup *group) {
    struct cgroup *ancestor = 0;
    if (group == 0 || BPF_CORE_READ(group, level) < container_level) return 0;
    bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
                          (void *)group + bpf_core_field_offset(struct cgroup, ancestors) +
                              container_level * sizeof(ancestor));
    return BPF_CORE_READ(ancestor, kn, id);
}

static __always_inline struct noded_container_counters *of_cgroup(struct cgroup *group) {
    return of_id(container_id(group));
}

static __always_inline struct noded_container_counters *of_task(struct task_struct *task) {
    return of_cgroup(BPF_CORE_READ(task, cgroups, dfl_cgrp));
}

SEC("cgroup_skb/ingress")
int received(struct __sk_buff *packet) {
    struct noded_container_counters *found =
        of_id(bpf_skb_ancestor_cgroup_id(packet, container_level));
    if (found) {
        found->received_bytes += packet->len;
        found->received_packets += 1;
    }
    return 1;
}

SEC("cgroup_skb/egress")
int sent(struct __sk_buff *packet) {
    struct noded_container_counters *found =
        of_id(bpf_skb_ancestor_cgroup_id(packet, container_level));
    if (found) {
        found->sent_bytes += packet->len;
        found->sent_packets += 1;
    }
    return 1;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted, struct sock *sock) {
    struct noded_container_counters *found = of_cgroup(BPF_CORE_READ(sock, sk_cgrp_data.cgroup));
    if (found) found->tcp_retransmits += 1;
    return 0;
}

/* From a state to another one; 2 is SYN_SENT. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sock, int before, int now) {
    struct noded_container_counters *found;
    if (now != 2) return 0;
    found = of_cgroup(BPF_CORE_READ(sock, sk_cgrp_data.cgroup));
    if (found) found->tcp_connects += 1;
    return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(executed, struct task_struct *task) {
    struct noded_container_counters *found = of_task(task);
    if (found) found->execs += 1;
    return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *task) {
    struct noded_container_counters *found;
    if (BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid)) return 0;
    found = of_task(task);
    if (found) found->exits += 1;
    return 0;
}

/* Before Linux 6.8 the argument was a number, which is read as no task at all. */
SEC("tp_btf/mark_victim")
int BPF_PROG(killed_for_memory, struct task_struct *task) {
    struct noded_container_counters *found = of_task(task);
    if (found) found->oom_kills += 1;
    return 0;
}

static __always_inline void begins_to_wait(struct task_struct *task) {
    u64 *since = bpf_task_storage_get(&waits_since, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
    if (since) *since = bpf_ktime_get_ns();
}

SEC("tp_btf/sched_wakeup")
int BPF_PROG(woken, struct task_struct *task) {
    if (of_task(task)) begins_to_wait(task);
    return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(woken_new, struct task_struct *task) {
    if (of_task(task)) begins_to_wait(task);
    return 0;
}

static __always_inline unsigned int bucket_of(u64 ns);

static __always_inline struct noded_container_counters *of_request(struct request *request) {
    u64 *group;
    u64 id = container_id(BPF_CORE_READ(request, bio, bi_blkg, blkcg, css.cgroup));
    if (id == 0) return 0;
    group = bpf_map_lookup_elem(&blkio_groups, &id);
    return of_id(group ? *group : id);
}

/* Called for each part of a request that is done; the last one ends it. */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(request_done, struct request *request, int error, unsigned int bytes) {
    const unsigned int operation = BPF_CORE_READ(request, cmd_flags) & 0xff;
    struct noded_container_counters *found;
    u64 start;
    if (operation > 1) return 0; /* neither a read nor a write */
    found = of_request(request);
    if (!found) return 0;
    if (operation == 0) found->read_bytes += bytes;
    else found->write_bytes += bytes;
    if (bytes < BPF_CORE_READ(request, __data_len)) return 0;
    if (operation == 0) found->reads += 1;
    else found->writes += 1;
    start = BPF_CORE_READ(request, start_time_ns);
    if (start) {
        u64 ns = bpf_ktime_get_ns() - start;
        unsigned int bucket = bucket_of(ns);
        found->io_ns += ns;
        if (bucket < NODED_IO_BUCKETS) found->io_us_log2[bucket] += 1;
    }
    return 0;
}

static __always_inline unsigned int bucket_of(u64 ns) {
    u64 us = ns / 1000;
    unsigned int bucket = 0;
#pragma unroll
    for (int i = 0; i < NODED_WAIT_BUCKETS - 1; i++) {
        us >>= 1;
        if (us) bucket++;
    }
    return bucket;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, _Bool preempted, struct task_struct *previous, struct task_struct *next) {
    struct noded_container_counters *found = of_task(previous);
    u64 *since;
    if (found && (preempted || BPF_CORE_READ(previous, __state) == 0)) {
        found->involuntary_switches += 1;
        begins_to_wait(previous);
    }
    found = of_task(next);
    if (!found) return 0;
    since = bpf_task_storage_get(&waits_since, next, 0, 0);
    if (since && *since) {
        u64 ns = bpf_ktime_get_ns() - *since;
        unsigned int bucket = bucket_of(ns);
        *since = 0;
        found->waits += 1;
        found->wait_ns += ns;
        if (bucket < NODED_WAIT_BUCKETS) found->wait_us_log2[bucket] += 1;
    }
    return 0;
}

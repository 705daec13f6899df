/* Counts in the kernel, for each container that noded watches: packets, TCP connects and
 * retransmits, programs executed and ended, OOM kills, requests of block devices and how long they
 * took, and how long tasks waited for a CPU. And reads what the kernel itself keeps for their
 * groups, for all containers in one pass, which is what cgroup files tell without their text.
 *
 * A container is its cgroup in the v2 tree (also where controllers are v1's); what runs in groups
 * below it belongs to it. A group that is named as containers are is counted for from the moment at
 * which it is made, so that nothing is missed until user space (plugins/stats) says that it wants
 * it; an id that is not in the map costs one look-up. All is attached once for the node: programs
 * of the scheduler only while somebody asks, those of packets above containers only. */
#include "bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "bpf/containers.h"

char LICENSE[] SEC("license") = "GPL";

/* Of which groups there are counters; both sides change it. */
volatile struct noded_watching watching = {};

/* Set before the programs are loaded, and constant then, so that the verifier drops what is behind
 * it: whether this kernel has bpf_rdonly_cast. */
const volatile unsigned int casts SEC(".rodata.casts") = 0;

const struct noded_container_counters nothing = {};

/* By cgroup id; user space sets how many there may be. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, struct noded_container_counters);
} counters SEC(".maps");

/* What hot paths count: a hash's search is calls of the kernel's, of which each return is dear
 * where they are guarded; an array's element is found by the program itself. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, NODED_SLOTS);
    __type(key, unsigned int);
    __type(value, struct noded_slot);
} slots SEC(".maps");

/* The group that a request knows, to the id in the v2 tree: where blkio is a hierarchy of its own
 * it is another one, and numbers of one hierarchy are used again in others. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, u64);
} blkio_groups SEC(".maps");

/* How often something was counted that comes without the container's using a CPU: a request that is
 * done, a segment sent again. By slot, for all who would have it. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, NODED_SLOTS);
    __type(key, unsigned int);
    __type(value, u64);
} besides SEC(".maps");

/* By cgroup id, too: where the kernel keeps its own figures. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, struct noded_place);
} places SEC(".maps");

/* What was known of a task when it got a CPU last: nothing of two tasks whose pids fall together;
 * but an array costs no call to look into, and nothing is allocated while the scheduler holds its
 * locks. */
#define LAST_RUNS 16384
struct last_run {
    u64 waited_ns; /* of all its waits for a CPU, as the kernel had counted them */
    u64 groups;    /* in which it was, and of what `watching` that was found */
    u64 container; /* its id; 0: it is in none */
    u64 check;     /* with whose it is, and which of its runs */
};
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, LAST_RUNS);
    __type(key, unsigned int);
    __type(value, struct last_run);
} last_runs SEC(".maps");

/* What user space reads of containers, some at a time: it writes their ids, the program `figures`
 * all else. Nothing is copied, user space has these pages in its own memory. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, NODED_ROWS);
    __type(key, unsigned int);
    __type(value, struct noded_row);
} rows SEC(".maps");

/* What is too large for a program's stack: a copy of the figures behind memory.stat. */
#define COPY_WORDS 256
struct scratch {
    u64 copy[COPY_WORDS];
};
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, unsigned int);
    __type(value, struct scratch);
} scratches SEC(".maps");

/* Reads through such a pointer are loads, which a wrong address makes 0; a call for each would be
 * most of what a program costs. Weak, because a kernel before 6.2 does not have it and is to refuse
 * the one program that cannot do without, not all. */
extern void *bpf_rdonly_cast(const void *address, __u32 type) __ksym __weak;
extern void bpf_rcu_read_lock(void) __ksym __weak;
extern void bpf_rcu_read_unlock(void) __ksym __weak;
#define AS(type, address)                        \
    ((struct type *)bpf_rdonly_cast((void *)(address), bpf_core_type_id_kernel(struct type)))

static __always_inline struct noded_container_counters *of_id(u64 id) {
    return id == 0 ? 0 : bpf_map_lookup_elem(&counters, &id);
}

static __always_inline u64 ancestor_id(struct cgroup *group, int level) {
    struct cgroup *ancestor = 0;
    bpf_probe_read_kernel(&ancestor, sizeof(ancestor),
                          (void *)group + bpf_core_field_offset(struct cgroup, ancestors) +
                              level * sizeof(ancestor));
    return BPF_CORE_READ(ancestor, kn, id);
}

/* Of the group with this id and level, or of that above it which is a container's. */
static __always_inline struct noded_container_counters *of_group(struct cgroup *group, u64 id,
                                                                 int level) {
    const unsigned int above = watching.levels & ((1u << (level & 31)) - 1);
    struct noded_container_counters *found = of_id(id);
    if (found || above == 0) return found;
    for (int i = 1; i < NODED_LEVELS_MAX; i++) {
        if (!(above & (1u << i))) continue;
        found = of_id(ancestor_id(group, i));
        if (found) return found;
    }
    return 0;
}

static __always_inline int may_be_in_container(int level) {
    return (watching.levels & ((2u << (level & 31)) - 1)) != 0;
}

static __always_inline struct noded_container_counters *of_cgroup(struct cgroup *group) {
    if (group == 0 || !may_be_in_container(group->level)) return 0;
    return of_group(group, group->kn->id, group->level);
}

static __always_inline struct noded_container_counters *of_task(struct task_struct *task) {
    return of_cgroup(task->cgroups->dfl_cgrp);
}

static __always_inline unsigned int slot_of(u64 id) {
    return id & (NODED_SLOTS - 1);
}

/* After it was counted: who sees the new number sees that, too. */
static __always_inline void note_besides(u64 id) {
    const unsigned int index = slot_of(id);
    u64 *count = bpf_map_lookup_elem(&besides, &index);
    if (count) __sync_fetch_and_add(count, 1);
}

static __always_inline struct noded_hot_counters *in_slot(u64 id) {
    const unsigned int index = slot_of(id);
    struct noded_slot *slot = bpf_map_lookup_elem(&slots, &index);
    return slot && slot->id == id ? &slot->counters : 0;
}

static __always_inline struct noded_hot_counters *not_in_slot(
    struct noded_container_counters *found) {
    if (!found) return 0;
    found->hot_used = 1;
    return &found->hot;
}

static __always_inline struct noded_hot_counters *hot_of_id(u64 id) {
    struct noded_hot_counters *hot = in_slot(id);
    return hot ? hot : not_in_slot(of_id(id));
}

/* The container's own group is the one of most sockets. Its number is found by loads alone; who is
 * in a group below it, or has no slot, is looked for. */
static __always_inline struct noded_hot_counters *hot_of_packet(struct __sk_buff *packet) {
    const unsigned int all = watching.levels;
    if (casts) {
        struct noded_hot_counters *hot =
            in_slot(AS(sk_buff, packet)->sk->sk_cgrp_data.cgroup->kn->id);
        if (hot) return hot;
    }
    /* The group of the socket is its own ancestor. */
    for (int i = 1; i < NODED_LEVELS_MAX; i++) {
        struct noded_hot_counters *hot;
        u64 id;
        if (!(all & (1u << i))) continue;
        id = bpf_skb_ancestor_cgroup_id(packet, i);
        if (id == 0) continue;
        hot = hot_of_id(id);
        if (hot) return hot;
    }
    return 0;
}

static __always_inline int in_v2_tree(struct cgroup *group) {
    struct task_struct *task = bpf_get_current_task_btf();
    return group->root == task->cgroups->dfl_cgrp->root;
}

/* A container's id is the name of its group. What nobody asks for in the end, user space removes,
 * or the end of the group does. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(group_made, struct cgroup *group) {
    const int level = group->level;
    char name[NODED_ID_DIGITS + 2];
    u64 id;
    if (level < 1 || level >= NODED_LEVELS_MAX) return 0;
    if (!in_v2_tree(group)) return 0;
    if (bpf_probe_read_kernel_str(name, sizeof(name), group->kn->name) != NODED_ID_DIGITS + 1)
        return 0;
    id = group->kn->id;
    if (bpf_map_update_elem(&counters, &id, &nothing, BPF_NOEXIST) != 0) return 0;
    __sync_fetch_and_or(&watching.levels, 1u << (level & 31));
    __sync_fetch_and_add(&watching.changes, 1);
    return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(group_removed, struct cgroup *group) {
    u64 id = group->kn->id;
    if (!in_v2_tree(group)) return 0;
    bpf_map_delete_elem(&places, &id);
    bpf_map_delete_elem(&counters, &id);
    return 0;
}

/* Both are attached to the group above the containers, while one of these is in the node's network:
 * who has a network of its own has interfaces that count, and each packet pays for it, also those
 * of the others there. */
SEC("cgroup_skb/ingress")
int received(struct __sk_buff *packet) {
    struct noded_hot_counters *found = hot_of_packet(packet);
    if (found) {
        found->received_bytes += packet->len;
        found->received_packets += 1;
    }
    return 1;
}

SEC("cgroup_skb/egress")
int sent(struct __sk_buff *packet) {
    struct noded_hot_counters *found = hot_of_packet(packet);
    if (found) {
        found->sent_bytes += packet->len;
        found->sent_packets += 1;
    }
    return 1;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmitted, struct sock *sock) {
    struct cgroup *group = sock->sk_cgrp_data.cgroup;
    struct noded_container_counters *found = of_cgroup(group);
    const unsigned int all = watching.levels;
    if (!found) return 0;
    found->tcp_retransmits += 1;
    note_besides(group->kn->id);
    for (int i = 1; i < NODED_LEVELS_MAX; i++)
        if (all & (1u << i) && i < group->level) note_besides(ancestor_id(group, i));
    return 0;
}

/* Attached to the root. A connection goes through ten states, at each of which a program of the
 * tracepoint for them would be run. */
static __always_inline int begins_to_connect(struct bpf_sock_addr *address) {
    struct noded_container_counters *found;
    if (address->protocol != IPPROTO_TCP) return 1;
    found = of_task(bpf_get_current_task_btf());
    if (found) found->tcp_connects += 1;
    return 1; /* it may */
}

SEC("cgroup/connect4")
int connects4(struct bpf_sock_addr *address) {
    return begins_to_connect(address);
}

SEC("cgroup/connect6")
int connects6(struct bpf_sock_addr *address) {
    return begins_to_connect(address);
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
    if (task->pid != task->tgid) return 0;
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

static __always_inline unsigned int bucket_of(u64 ns);

/* And the container's own id. */
static __always_inline struct noded_container_counters *of_blkio_id(u64 id, u64 *container) {
    u64 *group = bpf_map_lookup_elem(&blkio_groups, &id);
    if (!group) return 0;
    *container = *group;
    return of_id(*group);
}

/* A hierarchy of blkio has the groups of containers at the same depth. */
static __always_inline struct noded_container_counters *of_request(struct request *request,
                                                                   u64 *container) {
    struct cgroup *group = BPF_CORE_READ(request, bio, bi_blkg, blkcg, css.cgroup);
    const int level = group ? BPF_CORE_READ(group, level) : 0;
    const unsigned int above = watching.levels & ((1u << (level & 31)) - 1);
    struct noded_container_counters *found;
    if (group == 0 || !may_be_in_container(level)) return 0;
    found = of_blkio_id(BPF_CORE_READ(group, kn, id), container);
    if (found || above == 0) return found;
    for (int i = 1; i < NODED_LEVELS_MAX; i++) {
        if (!(above & (1u << i))) continue;
        found = of_blkio_id(ancestor_id(group, i), container);
        if (found) return found;
    }
    return 0;
}

static __always_inline void count_end(struct noded_container_counters *found,
                                      struct request *request, unsigned int operation) {
    const u64 start = BPF_CORE_READ(request, start_time_ns);
    if (operation == 0) found->reads += 1;
    else found->writes += 1;
    if (start) {
        u64 ns = bpf_ktime_get_ns() - start;
        unsigned int bucket = bucket_of(ns);
        found->io_ns += ns;
        if (bucket < NODED_IO_BUCKETS) found->io_us_log2[bucket] += 1;
    }
}

/* Called for each part of a request that is done; the last one ends it. */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(request_done, struct request *request, int error, unsigned int bytes) {
    const unsigned int operation = BPF_CORE_READ(request, cmd_flags) & 0xff;
    struct noded_container_counters *found;
    u64 container = 0;
    if (operation > 1) return 0; /* neither a read nor a write */
    found = of_request(request, &container);
    if (!found) return 0;
    if (operation == 0) found->read_bytes += bytes;
    else found->write_bytes += bytes;
    if (bytes >= BPF_CORE_READ(request, __data_len)) count_end(found, request, operation);
    note_besides(container);
    return 0;
}

/* By halves: the programs of the scheduler have no time for a step for each bucket, nor for a
 * division. A bucket begins at 1000 << bucket ns, of which a shift by less loses nothing. */
static __always_inline unsigned int bucket_of(u64 ns) {
    unsigned int bucket = 0;
    if (ns < 2000) return 0; /* most are so short */
    if (ns >= 1000ull << (NODED_WAIT_BUCKETS - 1)) return NODED_WAIT_BUCKETS - 1;
#pragma unroll
    for (int half = 16; half > 0; half /= 2) {
        if (ns >> half < 1000) continue;
        ns >>= half;
        bucket += half;
    }
    return bucket;
}

/* Two CPUs that write to one place at the same time leave what fits no check. */
static __always_inline u64 check_of(const struct last_run *last, u64 pid, u64 run) {
    return last->waited_ns ^ last->groups ^ last->container ^ (pid << 32) ^ run;
}

static __always_inline struct last_run *last_run_of(struct task_struct *task) {
    const unsigned int place = task->pid & (LAST_RUNS - 1);
    return bpf_map_lookup_elem(&last_runs, &place);
}

/* The id of the container that the task is in; 0: in none. */
static __always_inline u64 container_of_task(struct task_struct *task) {
    struct cgroup *group = task->cgroups->dfl_cgrp;
    const int level = group->level;
    const unsigned int above = watching.levels & ((1u << (level & 31)) - 1);
    u64 id;
    if (!may_be_in_container(level)) return 0;
    id = group->kn->id;
    if (in_slot(id) || of_id(id)) return id;
    if (above == 0) return 0;
    for (int i = 1; i < NODED_LEVELS_MAX; i++) {
        if (!(above & (1u << i))) continue;
        id = ancestor_id(group, i);
        if (of_id(id)) return id;
    }
    return 0;
}

/* What tells in which groups a task is, is how far away they are kept: an address is no number for
 * the verifier, the distance of two is. In its first sixteen bits the number of changes has room.
 * */
static __always_inline u64 groups_of(struct task_struct *task) {
    const u64 distance = (u64)task->cgroups - (u64)task;
    return distance ^ (u64)watching.changes << 48;
}

static __always_inline int is_of(const struct last_run *last, struct task_struct *task) {
    return last->check == check_of(last, task->pid, task->sched_info.pcount);
}

/* A task that has run is in the container that it ran in, if its groups are the same and none came
 * to those that are watched. */
static __always_inline void count_involuntary(struct task_struct *task) {
    const struct last_run *last = last_run_of(task);
    struct noded_hot_counters *found;
    if (!last) return;
    found = hot_of_id(is_of(last, task) && last->groups == groups_of(task)
                          ? last->container
                          : container_of_task(task));
    if (found) found->involuntary_switches += 1;
}

/* The kernel notes itself when a task begins to wait, so that no program has to be run when it is
 * woken: on this path all costs, a call of the kernel's the most, and after it each place in memory
 * that nobody else has looked at. The time is that of the CPU's queue, which is of this moment, and
 * which the note was taken from.
 *
 * A task that is moved to another CPU while it waits begins anew there; what it waited before is in
 * the kernel's sum, of which the part is known that it had when the task ran last. If it ran
 * meanwhile and nobody followed the scheduler, or another task has its place, that is not known. */
static __always_inline void count_wait(struct task_struct *task, u64 begun) {
    struct last_run *last = last_run_of(task);
    struct noded_hot_counters *found;
    u64 ns, sum, groups;
    int known;
    if (!last) return;
    ns = task->se.cfs_rq->rq->clock - begun;
    sum = task->sched_info.run_delay + ns;
    groups = groups_of(task);
    known = is_of(last, task);
    if (known) ns = sum - last->waited_ns;
    if (!known || last->groups != groups) {
        last->groups = groups;
        last->container = container_of_task(task);
    }
    last->waited_ns = sum;
    last->check = check_of(last, task->pid, task->sched_info.pcount + 1);
    found = last->container ? hot_of_id(last->container) : 0;
    if (found) {
        const unsigned int bucket = bucket_of(ns);
        found->wait_ns += ns;
        if (bucket < NODED_WAIT_BUCKETS) found->wait_us_log2[bucket] += 1;
    }
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switched, _Bool preempted, struct task_struct *previous, struct task_struct *next) {
    const u64 begun = next->sched_info.last_queued;
    if (preempted || previous->__state == 0) count_involuntary(previous);
    if (begun != 0) count_wait(next, begun);
    return 0;
}

/* ---- what the kernel keeps itself */

static __always_inline void *inode_private(int fd) {
    struct task_struct *task = bpf_get_current_task_btf();
    struct file **files = BPF_CORE_READ(task, files, fdt, fd);
    struct file *file = 0;
    if (fd < 0) return 0;
    bpf_probe_read_kernel(&file, sizeof(file), files + fd);
    return BPF_CORE_READ(file, f_inode, i_private);
}

/* A controller's own state of a group begins with this. */
static __always_inline struct cgroup_subsys_state *state_of(struct cgroup *group, u64 number) {
    struct cgroup_subsys_state *state = 0;
    bpf_probe_read_kernel(&state, sizeof(state),
                          (void *)group + bpf_core_field_offset(struct cgroup, subsys) +
                              number * sizeof(state));
    return state;
}

/* Run once for a container, by a thread that has its folders open, and its network namespace. */
SEC("syscall")
int find(struct noded_watch *watch) {
    const u64 numbers[NODED_GROUPS] = {
        [NODED_CPU] = bpf_core_enum_value(enum cgroup_subsys_id, cpu_cgrp_id),
        [NODED_MEMORY] = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id),
        [NODED_PIDS] = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id),
    };
    struct noded_place place = {};
    u64 id = watch->cgroup_id;
    void *ns = inode_private(watch->network);
#pragma unroll
    for (int i = 0; i < NODED_GROUPS; i++) {
        struct kernfs_node *folder = inode_private(watch->folders[i]);
        struct cgroup *group = folder ? BPF_CORE_READ(folder, priv) : 0;
        struct cgroup_subsys_state *state;
        if (group == 0 || BPF_CORE_READ(group, kn) != folder) continue;
        state = i == NODED_V2 ? (void *)group + bpf_core_field_offset(struct cgroup, self)
                              : state_of(group, numbers[i]);
        if (state == 0) continue;
        place.states[i] = (u64)state;
        place.serials[i] = BPF_CORE_READ(state, serial_nr);
    }
    if (ns) {
        struct net *network = ns - bpf_core_field_offset(struct net, ns);
        place.network = (u64)network;
        place.network_cookie = BPF_CORE_READ(network, net_cookie);
    }
    return bpf_map_update_elem(&places, &id, &place, BPF_ANY);
}

/* The address if what was found there is still in use: what the memory is used for later has
 * another number. */
static __always_inline u64 alive(const struct noded_place *place, int which) {
    const u64 address = place->states[which];
    struct cgroup_subsys_state *state = AS(cgroup_subsys_state, address);
    if (address == 0 || state->serial_nr != place->serials[which]) return 0;
    return state->flags & CSS_ONLINE ? address : 0;
}

static __always_inline void read_cpu(const struct noded_place *place, struct noded_figures *out) {
    const u64 address = alive(place, NODED_V2);
    struct cgroup *group = AS(cgroup, address - bpf_core_field_offset(struct cgroup, self));
    if (address == 0) return;
    out->cpu_ns = group->bstat.cputime.sum_exec_runtime;
    out->user_ticks_ns = group->bstat.cputime.utime;
    out->system_ticks_ns = group->bstat.cputime.stime;
    out->known |= 1 << NODED_V2;
    if (bpf_core_field_exists(group->psi) &&
        bpf_core_field_exists(((struct psi_group *)0)->total)) {
        struct psi_group *pressure = group->psi;
        u64 mark = 1;
#pragma unroll
        for (int i = 0; i < 6; i++) mark = mark * 31 + pressure->total[i];
        out->pressure_mark = mark;
    }
}

static __always_inline void read_throttling(const struct noded_place *place,
                                            struct noded_figures *out) {
    const u64 address = alive(place, NODED_CPU);
    struct task_group *tasks = AS(task_group, address);
    if (address == 0 || !bpf_core_field_exists(tasks->cfs_bandwidth)) return;
    out->periods = tasks->cfs_bandwidth.nr_periods;
    out->throttled_periods = tasks->cfs_bandwidth.nr_throttled;
    out->throttled_ns = tasks->cfs_bandwidth.throttled_time;
    out->known |= 1 << NODED_CPU;
}

static __always_inline void read_memory(const struct noded_place *place, u64 *copy,
                                        struct noded_figures *out) {
    const unsigned int size = bpf_core_field_offset(struct memcg_vmstats, events) +
                              bpf_core_field_size(((struct memcg_vmstats *)0)->events);
    const u64 address = alive(place, NODED_MEMORY);
    struct mem_cgroup *memory = AS(mem_cgroup, address);
    u64 mark = 1, second = 1, third = 1, fourth = 1;
    if (address == 0) return;
    out->memory_pages = memory->memory.usage.counter;
    out->memory_pages_max = memory->memory.max;
    out->known |= 1 << NODED_MEMORY;
    if (size > COPY_WORDS * sizeof(u64)) return;
    if (bpf_probe_read_kernel(copy, size, memory->vmstats) != 0) return;
    /* Four at a time, which do not wait for each other; behind the last one is always 0. */
    for (int i = 0; i < COPY_WORDS; i += 4) {
        if (i >= size / sizeof(u64)) break;
        mark = mark * 31 + copy[i];
        second = second * 31 + copy[i + 1];
        third = third * 31 + copy[i + 2];
        fourth = fourth * 31 + copy[i + 3];
    }
    out->memory_mark = mark + second * 37 + third * 41 + fourth * 43;
}

static __always_inline void read_pids(const struct noded_place *place, struct noded_figures *out) {
    const u64 address = alive(place, NODED_PIDS);
    struct pids_cgroup *pids = AS(pids_cgroup, address);
    if (address == 0) return;
    out->pids = pids->counter.counter;
    if (bpf_core_field_exists(pids->limit)) {
        out->pids_max = pids->limit.counter;
    } else {
        struct pids_cgroup___plain_limit *older = (void *)pids;
        out->pids_max = older->limit;
    }
    out->known |= 1 << NODED_PIDS;
}

struct summing {
    u64 id;
    unsigned int slot;
    struct noded_container_counters *sum;
};

static __always_inline void add(unsigned long long *to, const unsigned long long *from, int count) {
    for (int i = 0; i < count; i++) to[i] += from[i];
}

static __always_inline void add_hot(struct noded_hot_counters *to,
                                    const struct noded_hot_counters *from) {
    const unsigned int head =
        __builtin_offsetof(struct noded_hot_counters, wait_us_log2) / sizeof(u64);
    add((void *)to, (void *)from, head);
    if (from->wait_ns | from->wait_us_log2[0])
        add(to->wait_us_log2, from->wait_us_log2, NODED_WAIT_BUCKETS);
}

static long add_cpu(u64 cpu, struct summing *summing) {
    const struct noded_container_counters *from =
        bpf_map_lookup_percpu_elem(&counters, &summing->id, cpu);
    const struct noded_slot *slot = bpf_map_lookup_percpu_elem(&slots, &summing->slot, cpu);
    struct noded_container_counters *to = summing->sum;
    if (!from) return 1;
    add((void *)to, (void *)from,
        __builtin_offsetof(struct noded_container_counters, io_us_log2) / sizeof(u64));
    if (from->reads + from->writes != 0)
        add(to->io_us_log2, from->io_us_log2, NODED_IO_BUCKETS);
    if (from->hot_used) add_hot(&to->hot, &from->hot);
    if (slot && slot->id == summing->id) add_hot(&to->hot, &slot->counters);
    return 0;
}

static __always_inline void read_place(const struct noded_place *place, u64 *copy,
                                       struct noded_figures *out) {
    out->monotonic_ns = bpf_ktime_get_ns();
    read_cpu(place, out);
    read_throttling(place, out);
    read_memory(place, copy, out);
    read_pids(place, out);
    if (place->network) {
        struct net *network = AS(net, place->network);
        if (network->net_cookie == place->network_cookie)
            out->network_mark = 1 + (u64)network->dev_base_seq;
    }
}

static __always_inline struct noded_row *row_at(u64 index) {
    const unsigned int at = index;
    return bpf_map_lookup_elem(&rows, &at);
}

/* Nearly all that a container's figures are in was last read a sample ago and is in no cache, and
 * what lies far apart costs a walk through page tables, too: some hundred nanoseconds for each.
 * Here nothing waits for what is loaded, so that all of a container's, and those of the next ones,
 * are waited for together. Two steps, because where some are is in others. */
static long fetch_structs(u64 index, void *unused) {
    struct noded_row *row = row_at(index);
    const struct noded_place *place;
    struct noded_place *to;
    struct cgroup *group;
    struct mem_cgroup *memory;
    u64 id, sum;
    if (!row) return 1;
    to = &row->place;
    id = row->figures.cgroup_id;
    place = bpf_map_lookup_elem(&places, &id);
    if (!place) {
        __builtin_memset(to, 0, sizeof(*to));
        return 0;
    }
    *to = *place;
    group = AS(cgroup, to->states[NODED_V2] - bpf_core_field_offset(struct cgroup, self));
    memory = AS(mem_cgroup, to->states[NODED_MEMORY]);
    sum = group->self.serial_nr + group->bstat.cputime.stime;
    sum += AS(cgroup_subsys_state, to->states[NODED_CPU])->serial_nr;
    sum += AS(task_group, to->states[NODED_CPU])->cfs_bandwidth.throttled_time;
    sum += AS(cgroup_subsys_state, to->states[NODED_MEMORY])->serial_nr;
    sum += memory->memory.usage.counter + memory->memory.max;
    sum += AS(cgroup_subsys_state, to->states[NODED_PIDS])->serial_nr;
    sum += AS(pids_cgroup, to->states[NODED_PIDS])->counter.counter;
    sum += AS(net, to->network)->net_cookie + AS(net, to->network)->dev_base_seq;
    /* So that nothing is left out; written anew later. */
    row->figures.known = sum;
    row->figures.memory_mark = (u64)memory->vmstats;
    if (bpf_core_field_exists(group->psi)) row->figures.pressure_mark = (u64)group->psi;
    return 0;
}

static long fetch_figures(u64 index, void *unused) {
    struct noded_row *row = row_at(index);
    struct memcg_vmstats *memory;
    struct cgroup *group;
    u64 sum;
    if (!row) return 1;
    group = AS(cgroup, row->place.states[NODED_V2] - bpf_core_field_offset(struct cgroup, self));
    memory = AS(mem_cgroup, row->place.states[NODED_MEMORY])->vmstats;
    sum = memory->state[0] + memory->state[8] + memory->state[16] + memory->state[24];
    sum += memory->events[0] + memory->events[8];
    if (bpf_core_field_exists(group->psi) &&
        bpf_core_field_exists(((struct psi_group *)0)->total))
        sum += group->psi->total[0] + group->psi->total[5];
    row->figures.known = sum;
    return 0;
}

/* All that is counted needs a CPU that the container uses, but what `besides` tells, and packets
 * for who is in the node's network. Of one that did nothing nothing more is touched. */
static __always_inline int counted_since(const struct noded_row *row) {
    if (!row->place.network || !(row->figures.known & (1 << NODED_V2))) return 1;
    return row->figures.cpu_ns != row->cpu_ns_before || row->besides != row->besides_before;
}

static long read_row(u64 index, struct noded_reading *reading) {
    const unsigned int first = 0;
    struct noded_row *row = row_at(index);
    struct scratch *scratch = bpf_map_lookup_elem(&scratches, &first);
    struct summing summing;
    u64 id, *noted;
    if (!row || !scratch) return 1;
    id = row->figures.cgroup_id;
    __builtin_memset(&row->figures, 0, sizeof(row->figures));
    row->figures.cgroup_id = id;
    if (!row->place.states[NODED_V2]) return 0;
    /* What is alive when it is looked at is not freed until the end of this. */
    bpf_rcu_read_lock();
    read_place(&row->place, scratch->copy, &row->figures);
    bpf_rcu_read_unlock();
    summing.id = id;
    summing.slot = slot_of(id);
    summing.sum = &row->counters;
    noted = bpf_map_lookup_elem(&besides, &summing.slot);
    row->besides = noted ? *(volatile u64 *)noted : 0;
    row->counted = counted_since(row);
    if (!row->counted) return 0;
    __builtin_memset(&row->counters, 0, sizeof(row->counters));
    bpf_loop(reading->cpus, add_cpu, &summing, 0);
    return 0;
}

/* One container after another, those that stand in the first rows. */
SEC("syscall")
int figures(struct noded_reading *asked) {
    struct noded_reading reading = *asked;
    bpf_loop(reading.count, fetch_structs, 0, 0);
    bpf_loop(reading.count, fetch_figures, 0, 0);
    bpf_loop(reading.count, read_row, &reading, 0);
    return 0;
}

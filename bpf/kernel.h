/* What the programs here use of the kernel's own structs, instead of a dump of all of them: the
 * machine that builds needs no BTF. Each names only fields that are read; where they stand is
 * relocated when a program is loaded (CO-RE), so that one build runs on many kernels. */
#ifndef NODED_BPF_KERNEL_H
#define NODED_BPF_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u64 u64;

enum bpf_map_type {
    BPF_MAP_TYPE_HASH = 1,
    BPF_MAP_TYPE_ARRAY = 2,
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_PERCPU_ARRAY = 6,
};
enum {
    BPF_ANY = 0,
    BPF_NOEXIST = 1,
    BPF_F_NO_PREALLOC = 1,
    BPF_F_MMAPABLE = 1024,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Which controller a group's state belongs to; the numbers are those of the kernel that runs. */
enum cgroup_subsys_id {
    cpu_cgrp_id = 1,
    memory_cgrp_id = 4,
    pids_cgrp_id = 11,
};
/* The kernel's enum has no name by which it could be relocated. */
enum {
    CSS_ONLINE = 2,
};

struct kernfs_node {
    const char *name;
    __u64 id;
    void *priv;
};
struct cgroup;
struct cgroup_root;
struct cgroup_subsys_state {
    struct cgroup *cgroup;
    unsigned int flags;
    __u64 serial_nr;
};
struct task_cputime {
    __u64 stime;
    __u64 utime;
    unsigned long long sum_exec_runtime;
};
struct cgroup_base_stat {
    struct task_cputime cputime;
};
struct psi_group {
    __u64 total[12]; /* the first half is what the files tell */
};
struct cgroup {
    struct cgroup_subsys_state self;
    int level;
    struct kernfs_node *kn;
    struct cgroup_subsys_state *subsys[1];
    struct cgroup_root *root;
    struct cgroup_base_stat bstat;
    struct psi_group *psi;
    struct cgroup *ancestors[];
};
struct css_set {
    struct cgroup *dfl_cgrp;
};
struct cfs_bandwidth {
    int nr_periods;
    int nr_throttled;
    __u64 throttled_time;
};
struct task_group {
    struct cfs_bandwidth cfs_bandwidth;
};
typedef struct {
    long counter;
} atomic_long_t;
struct page_counter {
    atomic_long_t usage;
    unsigned long max;
};
/* From the first figure to the last one that memory.stat is made of. */
struct memcg_vmstats {
    long state[25];
    unsigned long events[9];
};
struct mem_cgroup {
    struct page_counter memory;
    struct memcg_vmstats *vmstats;
};
typedef struct {
    __s64 counter;
} atomic64_t;
struct pids_cgroup {
    atomic64_t counter;
    atomic64_t limit;
};
struct pids_cgroup___plain_limit {
    __s64 limit;
};
struct inode {
    void *i_private;
};
struct file {
    struct inode *f_inode;
};
struct fdtable {
    struct file **fd;
};
struct files_struct {
    struct fdtable *fdt;
};
struct rq {
    __u64 clock;
};
struct cfs_rq {
    struct rq *rq;
};
struct sched_entity {
    struct cfs_rq *cfs_rq;
};
struct sched_info {
    unsigned long pcount;
    unsigned long long run_delay;
    unsigned long long last_queued;
};
struct task_struct {
    unsigned int __state;
    struct sched_entity se;
    struct sched_info sched_info;
    int pid;
    int tgid;
    struct css_set *cgroups;
    struct files_struct *files;
};
struct ns_common {
    unsigned int inum;
};
struct net {
    unsigned int dev_base_seq;
    struct ns_common ns;
    __u64 net_cookie;
};
struct sock_cgroup_data {
    struct cgroup *cgroup;
};
struct sock {
    struct sock_cgroup_data sk_cgrp_data;
};
struct sk_buff {
    struct sock *sk;
};
struct blkcg {
    struct cgroup_subsys_state css;
};
struct blkcg_gq {
    struct blkcg *blkcg;
};
struct bio {
    struct blkcg_gq *bi_blkg;
};
struct request {
    unsigned int cmd_flags;
    unsigned int __data_len;
    struct bio *bio;
    __u64 start_time_ns;
};

#pragma clang attribute pop

/* The program's view of a packet, which is not the kernel's struct and is not relocated; see
 * linux/bpf.h. */
struct __sk_buff {
    __u32 len;
};
/* The same of an address that a socket is to be connected to. */
struct bpf_sock_addr {
    __u32 user_family;
    __u32 user_ip4;
    __u32 user_ip6[4];
    __u32 user_port;
    __u32 family;
    __u32 type;
    __u32 protocol;
};
enum {
    IPPROTO_TCP = 6,
};

#endif /* NODED_BPF_KERNEL_H */

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
    BPF_MAP_TYPE_PERCPU_HASH = 5,
    BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum {
    BPF_ANY = 0,
    BPF_F_NO_PREALLOC = 1,
    BPF_LOCAL_STORAGE_GET_F_CREATE = 1,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
    __u64 id;
};
struct cgroup {
    int level;
    struct kernfs_node *kn;
    struct cgroup *ancestors[];
};
struct css_set {
    struct cgroup *dfl_cgrp;
};
struct task_struct {
    unsigned int __state;
    int pid;
    int tgid;
    struct css_set *cgroups;
};
struct sock_cgroup_data {
    struct cgroup *cgroup;
};
struct sock {
    struct sock_cgroup_data sk_cgrp_data;
};
struct cgroup_subsys_state {
    struct cgroup *cgroup;
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

#endif /* NODED_BPF_KERNEL_H */

/* What no verifier lets in, for the test of how that is told (plugins/stats/counters_test.cc): one
 * program reads from nowhere, the other one is as it should be. */
#include "bpf/kernel.h"

#include <bpf/bpf_helpers.h>

#include "bpf/containers.h"

char LICENSE[] SEC("license") = "GPL";

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, struct noded_container_counters);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1);
    __type(key, u64);
    __type(value, u64);
} blkio_groups SEC(".maps");

SEC("cgroup_skb/ingress")
int reads_from_nowhere(struct __sk_buff *packet) {
    return *(volatile int *)(unsigned long)packet->len;
}

SEC("cgroup_skb/egress")
int is_in_order(struct __sk_buff *packet) {
    return packet->len > 0;
}

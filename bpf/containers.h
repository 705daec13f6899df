/* What containers.bpf.c counts for each container: one struct, read by both sides. Every field only
 * grows, from the moment at which noded began to watch the container. */
#ifndef NODED_BPF_CONTAINERS_H
#define NODED_BPF_CONTAINERS_H

/* Bucket n counts waits of 2^n to 2^(n+1) microseconds, the first one all below 2, the last one all
 * that are longer. */
#define NODED_WAIT_BUCKETS 24
/* The same for requests of block devices. */
#define NODED_IO_BUCKETS 24

struct noded_container_counters {
    unsigned long long received_bytes;
    unsigned long long received_packets;
    unsigned long long sent_bytes;
    unsigned long long sent_packets;
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
    unsigned long long io_us_log2[NODED_IO_BUCKETS];
    /* While somebody asks: */
    unsigned long long involuntary_switches;
    unsigned long long waits; /* for a CPU, after a task could have run */
    unsigned long long wait_ns;
    unsigned long long wait_us_log2[NODED_WAIT_BUCKETS];
};

#ifdef __cplusplus
#define NODED_STATIC_ASSERT static_assert
#else
#define NODED_STATIC_ASSERT _Static_assert
#endif
NODED_STATIC_ASSERT(sizeof(struct noded_container_counters) ==
                        8 * (17 + NODED_IO_BUCKETS + NODED_WAIT_BUCKETS),
                    "the two sides agree on the layout");

#endif /* NODED_BPF_CONTAINERS_H */

/* What the plugin `objects` and the client that measures it agree on. */
#ifndef NODED_BENCH_OBJECTS_H
#define NODED_BENCH_OBJECTS_H

#include <stdint.h>

#define PUT_OBJECTS UINT64_C(0xa1b0c3d25e6f7001) /* command */
#define OBJECT_PUT UINT64_C(0xa1b0c3d25e6f7002)  /* event */
#define OBJECTS_PER_PUT_MAX 64
#define OBJECTS_MAX 4000000

/* What is kept of each. */
struct object {
    uint64_t number;
    uint64_t words[11];
};

/* Puts `count` objects, the first of them `number`. With the record's header 256 bytes of log. */
struct put {
    uint64_t number;
    uint64_t count;
    uint64_t words[21];
};

#endif

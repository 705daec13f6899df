/* objects: a plugin for benchmarks, in the place where a user's would be. Its state is an array of
 * small objects; one command puts a run of them, each as an event of its own.
 *
 * Loaded from the plugin directory of the node that bench/compare/run starts; node_bench sends the
 * commands. The payload of command and event is `struct put`.
 */
#define _GNU_SOURCE
#include "objects.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host.h"
#include "plugin.h"

#define LIST_BYTES (OBJECTS_MAX * sizeof(struct object))

/* Room for all of them from the beginning, which costs nothing until it is touched: to move what is
 * there, or to fill it with zeros, would be a pause. */
static struct object *make_list(void) {
    void *list = mmap(NULL, LIST_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return list == MAP_FAILED ? NULL : list;
}

struct objects {
    struct object *list;
    uint64_t count;
};

static void *objects_init(const struct noded_host *host) {
    struct objects *objects = calloc(1, sizeof *objects);
    if (objects != NULL) objects->list = make_list();
    if (objects != NULL && objects->list != NULL) return objects;
    free(objects);
    host->fail(host, "there is no memory for the objects");
    return NULL;
}

static void objects_decide(void *self, const struct noded_command *command,
                           const struct noded_decision *decision) {
    (void)self;
    struct put put;
    if (command->payload.size != sizeof put)
        return decision->reject(decision, NODED_REJECT_INVALID, "a put has another size");
    memcpy(&put, command->payload.data, sizeof put);
    if (put.count == 0 || put.count > OBJECTS_PER_PUT_MAX || put.number >= OBJECTS_MAX - put.count)
        return decision->reject(decision, NODED_REJECT_LIMIT, "a put names too many objects");
    for (uint64_t left = put.count; left > 0; --left, ++put.number)
        decision->emit(decision, OBJECT_PUT,
                       (struct noded_bytes){(const uint8_t *)&put, sizeof put});
}

static void objects_fold(void *self, const struct noded_event *event) {
    struct objects *objects = self;
    struct put put;
    if (event->payload.size != sizeof put) abort();
    memcpy(&put, event->payload.data, sizeof put);
    if (put.number >= OBJECTS_MAX) abort();
    if (put.number >= objects->count) objects->count = put.number + 1;
    memcpy(&objects->list[put.number], &put, sizeof *objects->list);
}

static void objects_react(void *self, const struct noded_event *event) {
    (void)self;
    (void)event;
}

static void objects_nothing(void *self) { (void)self; }

static void objects_save(void *self, const struct noded_sink *sink) {
    const struct objects *objects = self;
    sink->write(sink, (struct noded_bytes){(const uint8_t *)objects->list,
                                           objects->count * sizeof *objects->list});
}

static int objects_load(void *self, struct noded_bytes bytes) {
    struct objects *objects = self;
    if (bytes.size % sizeof *objects->list != 0) return 0;
    if (bytes.size > LIST_BYTES) return 0;
    if (bytes.size != 0) memcpy(objects->list, bytes.data, bytes.size);
    objects->count = bytes.size / sizeof *objects->list;
    return 1;
}

static void objects_destroy(void *self) {
    munmap(((struct objects *)self)->list, LIST_BYTES);
    free(self);
}

static const void *objects_extension(void *self, const char *id) {
    (void)self;
    (void)id;
    return NULL;
}

#ifdef LATE_OBJECTS
#define ID "late-objects"
#define OWNED 0   /* commands and events: each has one owner */
#else
#define ID "objects"
#define OWNED 1
#endif

static const struct noded_type commands[] = {{PUT_OBJECTS, "PutObjects"}};
static const struct noded_type events[] = {{OBJECT_PUT, "ObjectPut"}};

static const struct noded_descriptor descriptor = {
    .size = sizeof descriptor,
    .abi_major = NODED_ABI_MAJOR,
    .abi_minor = NODED_ABI_MINOR,
    .id = ID,
    .version = "1.0.0",
    .description = "Small objects, many of them: for benchmarks.",
    .commands = {commands, OWNED},
    .events = {events, OWNED},
    .folds = {events, 1},
};

const struct noded_plugin noded_plugin = {
    .size = sizeof noded_plugin,
    .descriptor = &descriptor,
    .init = objects_init,
    .decide = objects_decide,
    .fold = objects_fold,
    .react = objects_react,
    .reconcile = objects_nothing,
    .snapshot_save = objects_save,
    .snapshot_load = objects_load,
    .stop = objects_nothing,
    .destroy = objects_destroy,
    .get_extension = objects_extension,
};

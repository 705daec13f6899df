/* counter: a plugin for noded in plain C, to be copied.
 *
 * It counts what becomes of containers. It has everything that a plugin can have, each as small as
 * it gets: events of another plugin that it folds, a command and an event of its own, two methods
 * for clients, a topic, a snapshot. Read it from the bottom up: the table that noded looks for
 * comes last, the functions in it before, in the order of the table.
 *
 * Three things to keep in mind:
 *   - State changes in fold and nowhere else. After a restart noded calls fold again for each event
 *     since the last snapshot, and the state is as it was.
 *   - decide and fold are pure: they see the state and what they are given, and call nothing of the
 *     host. noded aborts on a plugin that does.
 *   - The outside world is touched in react, when the event is durable, and in reconcile.
 *
 * Built with nothing but a C compiler and the three headers; see README.md.
 */
#include "host.h"
#include "plugin.h"
#include "rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types are 64-bit ids. These are of the plugin `container`, from its schema. */
#define CONTAINER_STARTED UINT64_C(0xf2b7a6d1c0e4a014)
#define CONTAINER_START_FAILED UINT64_C(0xf2b7a6d1c0e4a015)
#define CONTAINER_EXITED UINT64_C(0xf2b7a6d1c0e4a016)
#define CONTAINER_REMOVED UINT64_C(0xf2b7a6d1c0e4a01a)

/* These are our own. Draw yours at random (`capnp id` prints one): ids are for ever. */
#define RESET_COUNTER UINT64_C(0xc0a7d3e19b52f001) /* command */
#define COUNTER_RESET UINT64_C(0xc0a7d3e19b52f002) /* event */

/* All that the plugin knows. It is also the snapshot, so fields are only ever added at the end. */
struct counts {
    uint64_t started;
    uint64_t start_failed;
    uint64_t exited;
    uint64_t removed;
    uint64_t resets;
};

struct counter {
    const struct noded_host *host;
    const struct noded_ext_events *events;
    const struct noded_ext_topic *topic;
    const struct noded_ext_log *log;
    const struct noded_ext_rpc *rpc;
    struct counts counts;
};

/* The counts as JSON, for clients and subscribers. */
static struct noded_bytes counts_as_json(const struct counter *counter, char *text, size_t size) {
    const struct counts *counts = &counter->counts;
    const int length = snprintf(text, size,
                                "{\"started\":%llu,\"startFailed\":%llu,\"exited\":%llu,"
                                "\"removed\":%llu,\"resets\":%llu}",
                                (unsigned long long)counts->started,
                                (unsigned long long)counts->start_failed,
                                (unsigned long long)counts->exited,
                                (unsigned long long)counts->removed,
                                (unsigned long long)counts->resets);
    return (struct noded_bytes){(const uint8_t *)text, (uint64_t)length};
}

static int is_at_zero(const struct counts *counts) {
    return counts->started + counts->start_failed + counts->exited + counts->removed == 0;
}

/* [load] The one moment to look up what the host has for us. What the descriptor requires is there,
 * or noded would not have loaded us. */
static void *counter_init(const struct noded_host *host) {
    struct counter *counter = calloc(1, sizeof *counter);
    if (counter == NULL) {
        host->fail(host, "allocate the counter: ENOMEM");
        return NULL;
    }
    counter->host = host;
    counter->events = host->get_extension(host, NODED_EXT_EVENTS);
    counter->topic = host->get_extension(host, NODED_EXT_TOPIC);
    counter->log = host->get_extension(host, NODED_EXT_LOG);
    counter->rpc = host->get_extension(host, NODED_EXT_RPC);
    return counter;
}

/* [pure] A command in, events or a rejection out. Nothing is changed here: the event that we emit
 * comes back to fold. */
static void counter_decide(void *self, const struct noded_command *command,
                           const struct noded_decision *decision) {
    const struct counter *counter = self;
    if (command->type != RESET_COUNTER) {
        decision->reject(decision, NODED_REJECT_INVALID, "counter decides ResetCounter only");
        return;
    }
    if (is_at_zero(&counter->counts)) {
        decision->reject(decision, NODED_REJECT_CONFLICT,
                         "there is nothing to reset: the counter stands at zero");
        return;
    }
    /* An event may carry a payload of whole 8-byte words. This one says all by its type. */
    decision->emit(decision, COUNTER_RESET, (struct noded_bytes){NULL, 0});
}

/* [pure] [replay] The only place where the state changes. It must accept whatever was ever in a
 * log, so what it does not know it ignores. */
static void counter_fold(void *self, const struct noded_event *event) {
    struct counts *counts = &((struct counter *)self)->counts;
    const uint64_t resets = counts->resets;
    switch (event->type) {
    case CONTAINER_STARTED: ++counts->started; break;
    case CONTAINER_START_FAILED: ++counts->start_failed; break;
    case CONTAINER_EXITED: ++counts->exited; break;
    case CONTAINER_REMOVED: ++counts->removed; break;
    case COUNTER_RESET:
        memset(counts, 0, sizeof *counts);
        counts->resets = resets + 1;
        break;
    }
}

/* [reactor] The event is durable: now others may see what came of it. Not called during replay, so
 * a restart publishes nothing twice. Samples on a topic are lossy; what must not be lost is an
 * event. */
static void counter_react(void *self, const struct noded_event *event) {
    const struct counter *counter = self;
    char text[256];
    (void)event;
    /* Subscribers see the topic "counter/total". */
    counter->topic->publish(counter->host, "total", counts_as_json(counter, text, sizeof text));
}

/* [reactor] After replay. A plugin with effects compares here what it knows with what is there, and
 * proposes the outcome of what a crash cut in two. We have none. */
static void counter_reconcile(void *self) {
    const struct counter *counter = self;
    char text[300] = "counts from before: ";
    const size_t used = strlen(text);
    counts_as_json(counter, text + used, sizeof text - used);
    counter->log->line(counter->host, 6, text);
}

/* [pure] The state as bytes. With it a restart need not fold the whole log. */
static void counter_snapshot_save(void *self, const struct noded_sink *sink) {
    const struct counter *counter = self;
    sink->write(sink, (struct noded_bytes){(const uint8_t *)&counter->counts,
                                           sizeof counter->counts});
}

/* [replay] Bytes that this or an older version saved; an older one knew fewer fields, which stay
 * zero. Bytes of a newer version we do not understand: noded then folds the log instead. */
static int counter_snapshot_load(void *self, struct noded_bytes bytes) {
    struct counter *counter = self;
    if (bytes.size > sizeof counter->counts || bytes.size % sizeof(uint64_t) != 0) return 0;
    memset(&counter->counts, 0, sizeof counter->counts);
    memcpy(&counter->counts, bytes.data, bytes.size);
    return 1;
}

static void counter_stop(void *self) { (void)self; }
static void counter_destroy(void *self) { free(self); }

/* --- Calls of clients: `nodectl call counter count {}`. Parameters and results are JSON text,
 * because we have no Cap'n Proto schema. We need no parameters, so we do not read them. */

enum { METHOD_COUNT, METHOD_RESET };
static const char *const methods[] = {"count", "reset"};

static void answer_count(const struct counter *counter, uint64_t token) {
    char text[256];
    counter->rpc->respond(counter->host, token, counts_as_json(counter, text, sizeof text), -1);
}

/* A call changes nothing; a command does. This one is sent for the client. Its id says which reset
 * is meant: two clients who ask for the same one at once get one reset, not two. */
static void answer_reset(const struct counter *counter, uint64_t token) {
    static const char accepted[] = "{\"requested\":true}";
    const uint64_t number = counter->counts.resets + 1;
    uint8_t id[32] = "counter: reset number";
    if (is_at_zero(&counter->counts)) {
        counter->rpc->refuse(counter->host, token, NODED_REJECT_CONFLICT,
                             "there is nothing to reset: the counter stands at zero");
        return;
    }
    memcpy(id + 24, &number, sizeof number);
    counter->events->submit(counter->host, RESET_COUNTER, (struct noded_bytes){NULL, 0}, 0, id);
    counter->rpc->respond(counter->host, token,
                          (struct noded_bytes){(const uint8_t *)accepted, sizeof accepted - 1}, -1);
}

/* [reactor] Each call is answered exactly once, here or later. */
static void counter_call(void *self, const struct noded_call *call) {
    const struct counter *counter = self;
    switch (call->method) {
    case METHOD_COUNT: answer_count(counter, call->token); return;
    case METHOD_RESET: answer_reset(counter, call->token); return;
    }
    counter->rpc->refuse(counter->host, call->token, NODED_REJECT_INVALID, "no such method");
}

/* `cancelled` is left out: it matters to those who answer later. */
static const struct noded_plugin_rpc counter_rpc = {
    .size = sizeof(struct noded_plugin_rpc),
    .methods_count = sizeof methods / sizeof *methods,
    .interface_id = 0, /* JSON */
    .methods = methods,
    .call = counter_call,
};

/* [load] What the plugin offers beyond the table below. */
static const void *counter_get_extension(void *self, const char *id) {
    (void)self;
    return strcmp(id, NODED_EXT_RPC) == 0 ? &counter_rpc : NULL;
}

/* --- The descriptor: noded holds the plugin to it. An extension that is not required is not given,
 * an event that is not declared is refused. `nodectl plugin inspect counter` shows it. */

static const char *const extensions[] = {NODED_EXT_EVENTS, NODED_EXT_TOPIC, NODED_EXT_LOG,
                                         NODED_EXT_RPC, NULL};
static const struct noded_type commands[] = {{RESET_COUNTER, "ResetCounter"}};
static const struct noded_type events[] = {{COUNTER_RESET, "CounterReset"}};
/* Our own event too: what we emit changes our state only by being folded. */
static const struct noded_type folds[] = {
    {CONTAINER_STARTED, NULL}, {CONTAINER_START_FAILED, NULL}, {CONTAINER_EXITED, NULL},
    {CONTAINER_REMOVED, NULL}, {COUNTER_RESET, NULL},
};

static const struct noded_descriptor descriptor = {
    .size = sizeof(struct noded_descriptor),
    .abi_major = NODED_ABI_MAJOR,
    .abi_minor = NODED_ABI_MINOR,
    .id = "counter",
    .version = "1.0.0",
    .description = "counts what becomes of containers",
    .extensions_required = extensions,
    .commands = {commands, sizeof commands / sizeof *commands},
    .events = {events, sizeof events / sizeof *events},
    .folds = {folds, sizeof folds / sizeof *folds},
};

/* The symbol that noded looks for, and the only one that a plugin exports. */
const struct noded_plugin noded_plugin = {
    .size = sizeof(struct noded_plugin),
    .descriptor = &descriptor,
    .init = counter_init,
    .decide = counter_decide,
    .fold = counter_fold,
    .react = counter_react,
    .reconcile = counter_reconcile,
    .snapshot_save = counter_snapshot_save,
    .snapshot_load = counter_snapshot_load,
    .stop = counter_stop,
    .destroy = counter_destroy,
    .get_extension = counter_get_extension,
};

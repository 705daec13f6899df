/* Plugins that are wrong in one way each, for the tests of the loader and of the contexts. BUILD
 * builds this file once per fault, with BAD_X defined, ID and a NUMBER that makes its types its
 * own. Without a fault it is a good plugin: its command emits its event, and it counts that.
 *
 * Used by bad_plugins_test.cc and by the tests of agent/host.
 */
#include "host.h"
#include "plugin.h"

#include <stddef.h>

#define COMMAND (UINT64_C(0xbad0000000000000) + NUMBER * 16 + 1)
#define EVENT (UINT64_C(0xbad0000000000000) + NUMBER * 16 + 2)
#define UNDECLARED (UINT64_C(0xbad0000000000000) + NUMBER * 16 + 3)

static const struct noded_host *the_host;
static const struct noded_ext_events *events_of_host;
static const struct noded_ext_timer *timer_of_host;
static uint64_t count;

static const struct noded_bytes nothing = {NULL, 0};

static void *init(const struct noded_host *host) {
    the_host = host;
    events_of_host = host->get_extension(host, NODED_EXT_EVENTS);
    timer_of_host = host->get_extension(host, NODED_EXT_TIMER);
    count = 0;
#ifdef BAD_FAILS_INIT
    host->fail(host, "open /dev/flux: ENODEV (No such device)");
    return NULL;
#endif
#ifdef BAD_FAILS_SILENTLY
    return NULL;
#endif
    return &count;
}

static void decide(void *self, const struct noded_command *command,
                   const struct noded_decision *decision) {
    (void)self;
    (void)command;
#ifdef BAD_HOST_CALL_IN_DECIDE
    timer_of_host->monotonic_ns(the_host);
#endif
#ifdef BAD_UNDECLARED_IN_DECIDE
    decision->emit(decision, UNDECLARED, nothing);
#endif
    decision->emit(decision, EVENT, nothing);
}

static void fold(void *self, const struct noded_event *event) {
    (void)event;
    ++*(uint64_t *)self;
#ifdef BAD_HOST_CALL_IN_FOLD
    events_of_host->propose(the_host, EVENT, nothing, 0, NULL);
#endif
}

static void react(void *self, const struct noded_event *event) {
    (void)self;
    (void)event;
#ifdef BAD_UNDECLARED_IN_REACT
    /* More than any quota of refused proposals, so that one command stops the plugin. */
    for (int i = 0; i < 100; ++i) events_of_host->propose(the_host, UNDECLARED, nothing, 0, NULL);
#endif
}

static void reconcile(void *self) { (void)self; }
static void snapshot_save(void *self, const struct noded_sink *sink) {
    sink->write(sink, (struct noded_bytes){self, sizeof(uint64_t)});
}
static int snapshot_load(void *self, struct noded_bytes bytes) {
#ifdef BAD_SNAPSHOT
    (void)self;
    (void)bytes;
    return 0;
#else
    if (bytes.size != sizeof(uint64_t)) return 0;
    *(uint64_t *)self = *(const uint64_t *)(const void *)bytes.data;
    return 1;
#endif
}
static void stop(void *self) { (void)self; }
static void destroy(void *self) { (void)self; }
static const void *get_extension(void *self, const char *id) {
    (void)self;
    (void)id;
    return NULL;
}

#ifdef BAD_UNKNOWN_EXTENSION
static const char *const extensions[] = {NODED_EXT_EVENTS, "noded.telepathy/1", NULL};
#else
static const char *const extensions[] = {NODED_EXT_EVENTS, NODED_EXT_TIMER, NULL};
#endif
#ifdef BAD_NEEDS_MISSING
static const char *const needed[] = {"nowhere", NULL};
#endif

static const struct noded_type commands[] = {{COMMAND, "DoBad"}};
#ifdef BAD_NO_NAME
static const struct noded_type events[] = {{EVENT, NULL}};
#else
static const struct noded_type events[] = {{EVENT, "BadDone"}};
#endif

static const struct noded_descriptor descriptor = {
    .size = sizeof(struct noded_descriptor),
#ifdef BAD_WRONG_ABI
    .abi_major = NODED_ABI_MAJOR + 1,
#else
    .abi_major = NODED_ABI_MAJOR,
#endif
#ifdef BAD_NEWER_MINOR
    .abi_minor = NODED_ABI_MINOR + 1,
#else
    .abi_minor = NODED_ABI_MINOR,
#endif
    .id = ID,
    .version = "1.0.0",
    .description = "a plugin for tests",
    .extensions_required = extensions,
#ifdef BAD_NEEDS_MISSING
    .plugins_needed = needed,
#endif
    .commands = {commands, 1},
    .events = {events, 1},
#ifdef BAD_DESCRIPTOR_COUNT
    .folds = {NULL, 3},
#else
    .folds = {events, 1},
#endif
};

#ifdef BAD_NOT_A_PLUGIN
const struct noded_plugin
    something_else = {
#else
const struct noded_plugin noded_plugin = {
#endif
    .size = sizeof(struct noded_plugin),
#ifndef BAD_NO_DESCRIPTOR
    .descriptor = &descriptor,
#endif
    .init = init,
#ifndef BAD_NO_DECIDE
    .decide = decide,
#endif
    .fold = fold,
    .react = react,
    .reconcile = reconcile,
    .snapshot_save = snapshot_save,
    .snapshot_load = snapshot_load,
    .stop = stop,
    .destroy = destroy,
    .get_extension = get_extension,
};

/* The plugin side of the contract: what a shared object in the plugin directory exports.
 *
 * A plugin exports one symbol, `noded_plugin`, of type `struct noded_plugin`. Nothing runs at load
 * time. Every struct begins with its size so that both sides can grow: a reader ignores what it
 * does not know and treats as absent what the size does not cover.
 *
 * Each function names the context in which it is called, in brackets; see STYLE.md:
 *   [load]    once, before anything else; host extensions are looked up here
 *   [pure]    decide and fold: state in, events out; no host call but those of the decision
 *   [replay]  fold while the log is replayed; the same rules
 *   [reactor] on the reactor's thread, may call the host, must not block
 *   [offload] on the offload lane, may block, may call only [any]
 *   [any]     on any thread
 * The host enforces this: a forbidden call aborts the process and names the plugin. No function may
 * throw.
 *
 * Payloads are Cap'n Proto messages in flat form, 8-byte aligned, a whole number of words; a plugin
 * that does not use Cap'n Proto can treat its own payloads as bytes of that size. Pointers passed
 * in are borrowed for the call.
 */
#ifndef NODED_ABI_PLUGIN_H
#define NODED_ABI_PLUGIN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define NODED_NOEXCEPT noexcept
#else
#define NODED_NOEXCEPT
#endif

#define NODED_ABI_MAJOR 1 /* a host refuses a plugin with another one */
#define NODED_ABI_MINOR 2 /* a host refuses a plugin with a greater one */
#define NODED_PLUGIN_SYMBOL "noded_plugin"

struct noded_host; /* host.h */

struct noded_bytes {
    const uint8_t *data;
    uint64_t size;
};

/* A command or event type: the 64-bit id of its Cap'n Proto struct, and its name as users see
 * it. For the events
 * of others it is enough to give the id. */
struct noded_type {
    uint64_t id;
    const char *name; /* "ContainerStarted" */
};

struct noded_types {
    const struct noded_type *list;
    uint32_t count;
};

struct noded_descriptor {
    uint32_t size;
    uint32_t abi_major; /* NODED_ABI_MAJOR and NODED_ABI_MINOR as compiled in */
    uint32_t abi_minor;
    uint32_t reserved;
    /* [a-z][a-z0-9-]*, at most 64 bytes; the name of the plugin everywhere */
    const char *id;
    const char *version;     /* semantic version */
    const char *description; /* one line */
    const char *const *extensions_required; /* of the host, NULL at the end; NULL for none */
    /* loaded before this one, NULL at the end; NULL for none */
    const char *const *plugins_needed;
    struct noded_types commands; /* that it decides; one owner each */
    /* that it may emit; one owner each; others are refused and counted */
    struct noded_types events;
    struct noded_types folds;    /* that it folds and reacts to, its own and others' */
    /* What `capnp compile -o-` prints for its schema, so that clients can decode its types;
     * empty for none. */
    struct noded_bytes schema;
};

enum noded_origin {
    NODED_ORIGIN_CLIENT = 0,   /* a request, may be rejected */
    /* the outcome of an effect: `type` is the event proposed; may be found stale */
    NODED_ORIGIN_PROPOSAL = 1,
};

struct noded_command {
    uint32_t size;
    uint32_t origin;            /* enum noded_origin */
    uint64_t type;
    struct noded_bytes payload; /* from outside: anything may be in it */
    /* minted by the client; a proposal carries that of the command at its root */
    uint8_t id[32];
    int64_t time_ns;            /* real time; the only clock that [pure] has */
    uint32_t uid;               /* who asks; of noded itself for a proposal */
    uint32_t gid;
};

struct noded_event {
    uint32_t size;
    uint32_t reserved;
    uint64_t seq;
    int64_t time_ns;
    uint64_t type;
    /* the event whose effect brought this one about; 0 for a client's command */
    uint64_t cause_seq;
    uint8_t command_id[32];
    struct noded_bytes payload;
};

enum noded_rejection {
    NODED_REJECT_INVALID = 1,   /* malformed, out of range, contradictory */
    NODED_REJECT_NOT_FOUND = 2, /* names something that is not there */
    NODED_REJECT_CONFLICT = 3,  /* name taken, wrong state */
    NODED_REJECT_DENIED = 4,    /* not for this caller */
    NODED_REJECT_LIMIT = 5,     /* a bound is reached */
    NODED_REJECT_BUSY = 6,      /* try again later */
};

/* Handed to decide. Either any number of `emit`, or one `reject`; neither means: accepted,
 * nothing to do. */
struct noded_decision {
    uint32_t size;
    uint32_t reserved;
    void *context;
    /* Copies. The payload must be a whole number of words. Emitted events are folded after
     * decide returned. */
    void (*emit)(const struct noded_decision*, uint64_t type,
                 struct noded_bytes payload) NODED_NOEXCEPT;
    /* `message` is a sentence for the user: what was asked, why not, what to do. Copied. */
    void (*reject)(const struct noded_decision*, enum noded_rejection,
                   const char* message) NODED_NOEXCEPT;
};

/* Handed to snapshot_save; `write` appends, may be called many times, copies. */
struct noded_sink {
    uint32_t size;
    uint32_t reserved;
    void *context;
    void (*write)(const struct noded_sink *, struct noded_bytes) NODED_NOEXCEPT;
};

struct noded_plugin {
    uint32_t size;
    uint32_t reserved;
    const struct noded_descriptor *descriptor;

    /* [load] Returns the instance that all other functions get as `self`, or NULL after
     * host->fail(reason). */
    void *(*init)(const struct noded_host *host) NODED_NOEXCEPT;
    /* [pure] Answers a command by events or a rejection. Must not change state. */
    void (*decide)(void* self, const struct noded_command*,
                   const struct noded_decision*) NODED_NOEXCEPT;
    /* [pure] [replay] The only place that changes state. Must accept every event that was ever
     * in a log. */
    void (*fold)(void *self, const struct noded_event *) NODED_NOEXCEPT;
    /* [reactor] The event is durable: start its effects. Never called during replay. */
    void (*react)(void *self, const struct noded_event *) NODED_NOEXCEPT;
    /* [reactor] Once after replay, before clients are let in: compare the state with the kernel
     * and propose outcomes. */
    void (*reconcile)(void *self) NODED_NOEXCEPT;
    /* [pure] The folded state as bytes that snapshot_load of this and later versions
     * understands. */
    void (*snapshot_save)(void *self, const struct noded_sink *) NODED_NOEXCEPT;
    /* [replay] Replaces the state. False: unreadable, and the state is as it was before the call;
     * the host then folds from the first event, or stops the plugin if the log begins later. */
    int (*snapshot_load)(void *self, struct noded_bytes) NODED_NOEXCEPT;
    /* [reactor] No more calls but destroy will come. Leave what runs alone: the next start
     * reconciles. */
    void (*stop)(void *self) NODED_NOEXCEPT;
    /* [load] Frees the instance. */
    void (*destroy)(void *self) NODED_NOEXCEPT;
    /* [load] The plugin's side of an extension (rpc.h), or NULL. */
    const void *(*get_extension)(void *self, const char *id) NODED_NOEXCEPT;
};

#ifdef __cplusplus
}
#endif

#endif /* NODED_ABI_PLUGIN_H */

/* The host side of the contract: what a plugin may ask of noded, one struct per extension.
 *
 * A plugin gets only what its descriptor requires: get_extension answers NULL for everything else.
 * All functions take the host that init was given; all are [reactor] unless they say otherwise.
 * Descriptors passed to the host are owned by it from then on only where the parameter's name says
 * so.
 */
#ifndef NODED_ABI_HOST_H
#define NODED_ABI_HOST_H

#include "plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct noded_host {
    uint32_t size;
    uint32_t abi_minor; /* of the host */
    void *context;      /* the host's own */
    /* [load] The host's side of an extension, or NULL. The pointer is valid as long as the
     * plugin is. */
    const void *(*get_extension)(const struct noded_host *, const char *id) NODED_NOEXCEPT;
    /* [load] Says why init is about to return NULL. Copied. */
    void (*fail)(const struct noded_host *, const char *reason) NODED_NOEXCEPT;
};

/* events: the only way to change anything. */
#define NODED_EXT_EVENTS "noded.events/1"
struct noded_ext_events {
    uint32_t size;
    /* [reactor] Proposes the outcome of an effect. It goes through the plugin's own decide with
     * origin PROPOSAL and
     * type = the event's. `cause_seq` and `command_id` link it to the event that caused the effect;
     * for something that merely happened pass 0 and the id of the command at the root of the thing,
     * or NULL. Copies. Returns 0, or -1 when the event is not declared (refused, counted, and too
     * many stop the plugin) or so many wait for a full disk that the plugin is stopped. */
    int (*propose)(const struct noded_host*, uint64_t type, struct noded_bytes payload,
                   uint64_t cause_seq, const uint8_t* command_id) NODED_NOEXCEPT;
    /* [reactor] Sends a command of any plugin, as a client would. A command whose `id` (32 bytes)
     * was seen before is not decided again. NULL derives one from the calling plugin, cause_seq,
     * type and payload, which makes a repeated reaction harmless; then cause_seq must not be 0.
     * Copies. Returns 0, or -1 when the payload or the id cannot be. */
    int (*submit)(const struct noded_host*, uint64_t type, struct noded_bytes payload,
                  uint64_t cause_seq, const uint8_t* id) NODED_NOEXCEPT;
};

/* timer: volatile deadlines; gone after a restart, reconcile sets them anew. */
#define NODED_EXT_TIMER "noded.timer/1"
struct noded_ext_timer {
    uint32_t size;
    /* [reactor] Calls `fire` once, `delay_ns` from now. Returns a non-zero handle, 0 when the
     * quota is used up. */
    uint64_t (*start)(const struct noded_host*, int64_t delay_ns,
                      void (*fire)(void* self, void* argument) NODED_NOEXCEPT,
                      void* argument) NODED_NOEXCEPT;
    /* [reactor] After it returned, `fire` is not called. Unknown handles are ignored. */
    void (*stop)(const struct noded_host *, uint64_t handle) NODED_NOEXCEPT;
    /* [reactor] CLOCK_MONOTONIC and CLOCK_REALTIME, in nanoseconds. */
    int64_t (*monotonic_ns)(const struct noded_host *) NODED_NOEXCEPT;
    int64_t (*realtime_ns)(const struct noded_host *) NODED_NOEXCEPT;
};

/* fd: readiness of the plugin's own descriptors. */
#define NODED_EXT_FD "noded.fd/1"
struct noded_ext_fd {
    uint32_t size;
    /* [reactor] Calls `ready` with the poll(2) events that are there, edge-triggered: read or
     * write until EAGAIN. The
     * descriptor stays the plugin's; stop watching before closing it. Returns a non-zero handle, 0
     * over quota. */
    uint64_t (*watch)(const struct noded_host *, int fd, uint32_t events,
                      void (*ready)(void *self, void *argument, uint32_t events) NODED_NOEXCEPT,
                      void *argument) NODED_NOEXCEPT;
    /* [reactor] After it returned, `ready` is not called. */
    void (*unwatch)(const struct noded_host *, uint64_t handle) NODED_NOEXCEPT;
};

/* offload: the bounded lane for calls that block. */
#define NODED_EXT_OFFLOAD "noded.offload/1"
struct noded_ext_offload {
    uint32_t size;
    /* [reactor] Runs `work` [offload], then `done` [reactor]. `work` gets only `argument`, never
     * `self`: it must own all
     * that it touches. Returns 0, or -1 when the lane is full (try later). */
    int (*run)(const struct noded_host*, void (*work)(void* argument) NODED_NOEXCEPT,
               void (*done)(void* self, void* argument) NODED_NOEXCEPT,
               void* argument) NODED_NOEXCEPT;
};

/* topic: samples for subscribers; not events, never in the log, lossy when a subscriber is slow.
 * A plugin's topics begin with "<plugin id>/", or with "<plugin id>@" for variants of them, or with
 * "json/" in front of either; `own` adds to them. A subscription is a prefix: it takes all topics
 * that begin with it.
 */
#define NODED_EXT_TOPIC "noded.topic/1"
struct noded_ext_topic {
    uint32_t size;
    /* [reactor] Publishes under "<plugin id>/<suffix>". Copies. */
    void (*publish)(const struct noded_host*, const char* suffix,
                    struct noded_bytes payload) NODED_NOEXCEPT;
    /* The rest is there since minor version 1. */
    /* [reactor] Publishes under a whole topic. Copies. Returns 0; 1 when a subscriber was too slow
     * and missed it, the others have it; -1 when the topic is not the plugin's, or the payload is
     * too large. */
    int (*publish_as)(const struct noded_host*, const char* topic,
                      struct noded_bytes payload) NODED_NOEXCEPT;
    /* [reactor] Calls `changed` after subscriptions came or went, of whomsoever, also from within a
     * publish. Returns 0, -1 when the plugin asked for it before. */
    int (*watch)(const struct noded_host*,
                 void (*changed)(void* self, void* argument) NODED_NOEXCEPT,
                 void* argument) NODED_NOEXCEPT;
    /* [reactor] Calls `visit` with each prefix that takes a topic of the plugin, or would if there
     * were such a one. The text is borrowed for the call. */
    void (*subscriptions)(const struct noded_host*,
                          void (*visit)(void* context, const char* prefix) NODED_NOEXCEPT,
                          void* context) NODED_NOEXCEPT;
    /* Since minor version 2. */
    /* [reactor] Topics that begin with another word than the plugin's id, "log/" or "log@", are the
     * plugin's from now on. Returns 0, -1 when they are another plugin's, or the node's ("event",
     * "json"), or it is no id. */
    int (*own)(const struct noded_host*, const char* word) NODED_NOEXCEPT;
};

/* log: lines in noded's own diagnostics. */
#define NODED_EXT_LOG "noded.log/1"
struct noded_ext_log {
    uint32_t size;
    /* [any] `severity` as in syslog(3): 3 error, 4 warning, 6 info, 7 debug. One line, no
     * secrets. */
    void (*line)(const struct noded_host *, int severity, const char *text) NODED_NOEXCEPT;
};

/* paths: where a plugin keeps files of its own. */
#define NODED_EXT_PATHS "noded.paths/1"
struct noded_ext_paths {
    uint32_t size;
    /* [load] [reactor] Absolute, existing, mode 0700, valid as long as the plugin is. The state
     * directory survives a
     * reboot, the runtime directory does not; what is on them is a cache of the log or named by it.
     * */
    const char *(*state_dir)(const struct noded_host *) NODED_NOEXCEPT;
    const char *(*runtime_dir)(const struct noded_host *) NODED_NOEXCEPT;
    /* [load] [reactor] Helper programs that come with noded (the shim). */
    const char *(*libexec_dir)(const struct noded_host *) NODED_NOEXCEPT;
};

/* settings: what the operator's configuration says to the plugin, below `plugins.<id>`. */
#define NODED_EXT_SETTINGS "noded.settings/1"
struct noded_ext_settings {
    uint32_t size;
    /* [load] The setting as text (a number in decimal, a switch as "true" or "false"), or NULL when
     * it is not set. Valid as long as the plugin is. A key of the configuration that init did not
     * ask for is one that the plugin does not know: it is refused. */
    const char *(*text)(const struct noded_host *, const char *key) NODED_NOEXCEPT;
};

#ifdef __cplusplus
}
#endif

#endif /* NODED_ABI_HOST_H */

/* rpc: a plugin answers calls of clients. Reads, waits and streams; what changes anything is a
 * command instead.
 *
 * Both sides use the same id. The plugin's side says which interface it serves and takes the calls;
 * the host's side takes the answers. A Cap'n Proto plugin exports an interface: clients get it as a
 * typed capability from Node.plugin(), params and results are the flat messages of the method's
 * structs. A plugin without a schema speaks JSON text in UTF-8 instead (interface_id 0) and is
 * reached by `nodectl call`.
 *
 * The host holds an answer back until all that it may have seen is durable.
 */
#ifndef NODED_ABI_RPC_H
#define NODED_ABI_RPC_H

#include "host.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NODED_EXT_RPC "noded.rpc/1"

struct noded_call {
    uint32_t size;
    uint16_t method; /* ordinal in the interface, or index into `methods` */
    uint16_t reserved;
    uint64_t token;             /* names the call until it is answered */
    struct noded_bytes params;  /* from outside: anything may be in it */
    uint32_t uid;               /* of the caller */
    uint32_t gid;
    /* a descriptor that the client sent along, -1 for none; the plugin closes it */
    int fd_owned;
    int reserved_fd;
};

/* The plugin's side, from noded_plugin.get_extension. */
struct noded_plugin_rpc {
    uint32_t size;
    uint32_t methods_count;
    uint64_t interface_id;       /* id of the Cap'n Proto interface; 0: JSON */
    const char *const *methods;  /* names by ordinal */
    /* [reactor] Answers now or later, exactly once, through the host's side. */
    void (*call)(void *self, const struct noded_call *) NODED_NOEXCEPT;
    /* [reactor] The client is gone: forget the token, no answer is wanted. May be NULL. */
    void (*cancelled)(void *self, uint64_t token) NODED_NOEXCEPT;
};

/* The host's side, from noded_host.get_extension. */
struct noded_ext_rpc {
    uint32_t size;
    /* [reactor] Copies. `fd_owned` is sent along and closed; -1 for none. An unknown token is
     * ignored. */
    void (*respond)(const struct noded_host*, uint64_t token, struct noded_bytes results,
                    int fd_owned) NODED_NOEXCEPT;
    /* [reactor] `message` is a sentence for the user. */
    void (*refuse)(const struct noded_host*, uint64_t token, enum noded_rejection,
                   const char* message) NODED_NOEXCEPT;
};

#ifdef __cplusplus
}
#endif

#endif /* NODED_ABI_RPC_H */

/*
 * One listener of the server's socket. Not thread-safe: one owner at a time.
 */
#ifndef RPC_LISTENER_H
#define RPC_LISTENER_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <stdbool.h>

#include "base/status.h"
#include "rpc/endpoint.h"

struct listener {
    nng_socket socket;
    /* As it is bound: port 0 resolved. */
    struct endpoint endpoint;
    /* For tls+tcp. Not owned. */
    nng_tls_config *tls;
    /* Valid when `created`; serves when `bound`. */
    nng_listener handle;
    bool created;
    bool bound;
};

/*
 * Begins to listen at listener->endpoint; socket, endpoint and tls are set. An ipc socket gets mode 0600.
 * UNAVAILABLE when the address is in use or cannot be bound, INVALID_ARGUMENT when it can never be; diag
 * names the URL and the mend. After a failure only listener_close or closing the socket may follow.
 */
MUST_USE enum status listener_open(struct listener *listener, struct diag *diag);

/*
 * Also ends the connections that came in by it: nng knows no other way. Not to be used shortly before closing
 * the socket, which closes its listeners itself: below nng 1.8 the two can deadlock.
 */
void listener_close(struct listener *listener);

#endif

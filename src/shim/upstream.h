/*
 * The services of another process as a router: what the HTTP edge calls when it is a process of its own. Each
 * handler sends its call on over an nng channel and finishes it with the answer, so that neither the shim nor
 * its clients can tell whether the service is on this side of a socket or on the other.
 *
 * Life: upstream_open → upstream_close (not serving from here on) → upstream_free, when no call is under way.
 */
#ifndef SHIM_UPSTREAM_H
#define SHIM_UPSTREAM_H

#include "base/status.h"
#include "rpc/health.h"
#include "rpc/router.h"

/* nng slows down above a few hundred calls on one socket. */
#define UPSTREAM_CALLS_MAX 256
/* Streams of events, each of which has at most one call under way. */
#define UPSTREAM_STREAMS_MAX 128

struct upstream;

struct upstream_config {
    /* tcp://HOST:PORT, ipc://PATH, tls+tcp://HOST:PORT. */
    const char *url;
    /* PEM file of the authorities that a tls+tcp server is checked against; NULL otherwise. */
    const char *tls_ca_file;
    /* Send over tcp:// beyond loopback, where anybody on the way can read and change the calls; refused
     * otherwise. */
    bool allow_plain;
};

/*
 * Does not wait for the connection. INVALID_ARGUMENT for a URL or file that cannot be used; diag names the
 * mend. The caller owns *ret_upstream. At most UPSTREAM_CALLS_MAX + UPSTREAM_STREAMS_MAX calls may be under
 * way in its handlers.
 */
MUST_USE enum status upstream_open(const struct upstream_config *config, struct upstream **ret_upstream,
                                   struct diag *diag);

/* Both live as long as the upstream. health->serving is true while the server on the other side says so. */
const struct rpc_router *upstream_router(const struct upstream *upstream);
const struct rpc_health *upstream_health(const struct upstream *upstream);

/* Asks the server for its health, unless a question is still open; the answer goes into upstream_health()
 * and, when it is another than before, into the log. Does not block. To be called some times a second. */
void upstream_check(struct upstream *upstream);

void upstream_close(struct upstream *upstream);
/* NULL is fine. */
void upstream_free(struct upstream *upstream);

#endif

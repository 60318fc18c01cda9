/*
 * RPC server: the envelope of proto/rpc/v1 on one nng REP socket with many contexts and any number of
 * listeners.
 *
 * Each context is a small state machine: receive → (handler) → send → receive. As many calls are under way as
 * there are contexts; with none free, nng stops reading from its peers, and overload becomes back-pressure in
 * TCP.
 *
 * Life: rpc_server_start → rpc_server_close (refuse new: new connections are turned away, late requests on
 * open ones get UNAVAILABLE) → rpc_server_stop (wait for calls under way to be finished and answered, then
 * close listeners and connections) → rpc_server_free.
 */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "rpc/router.h"

struct rpc_server;

struct rpc_server_config {
    /* tcp://HOST:PORT (port 0 = any), ipc://PATH, inproc://NAME, tls+tcp://HOST:PORT. */
    const char *const *urls;
    size_t n_urls;
    /* Calls under way at most. */
    unsigned contexts;
    /* Must outlive the server. */
    const struct rpc_router *router;
    /* PEM files, for tls+tcp URLs only; otherwise NULL. */
    const char *tls_cert_file;
    const char *tls_key_file;
    /* Serve tcp:// URLs beyond loopback, where anybody on the way can read and change the calls; refused
     * otherwise. */
    bool allow_plain;
    /* Identity of every call. Must outlive the server. */
    const char *tenant;
    /* Connections open at most; 0 = what the process's limit of descriptors allows. One host other than this
     * (an IPv4 address, or a /64 of IPv6) may have half of them. Further ones are closed at once. */
    unsigned connections_max;
    /* An answer that has not left after so long costs its peer the connection; 0 = 2000. */
    uint32_t send_timeout_ms;
};

struct rpc_server_stats {
    uint64_t requests;
    /* Requests refused before a handler saw them: bad envelope, unknown method, bad payload. */
    uint64_t refused;
    /* Listeners that had stopped answering and were opened again. */
    uint64_t listeners_revived;
    /* Connections ended because the peer did not take its answers. */
    uint64_t peers_dropped;
    /* Connections closed because they were too many, among them probes of the listeners' watchdog. */
    uint64_t connections_refused;
    unsigned in_flight;
    /* Connections that are open or not yet freed. */
    unsigned connections;
    /* nng (below 1.6) no longer frees connections: drain and restart before descriptors run out. */
    bool reaper_hangs;
};

/*
 * Listens on every URL, or on none. INVALID_ARGUMENT for a URL that cannot be served, UNAVAILABLE when an
 * address is in use or cannot be bound; diag names the URL and the mend. `config` is copied. The caller owns
 * *ret_server.
 */
MUST_USE enum status rpc_server_start(const struct rpc_server_config *config, struct rpc_server **ret_server,
                                      struct diag *diag);

/* The URL that listener `index` is really bound to (port 0 resolved). Valid as long as the server. */
const char *rpc_server_url(const struct rpc_server *server, size_t index);

void rpc_server_close(struct rpc_server *server);
void rpc_server_stop(struct rpc_server *server);
/* NULL is fine. Closes and stops if that was not done. */
void rpc_server_free(struct rpc_server *server);

/* Any thread. */
struct rpc_server_stats rpc_server_stats(const struct rpc_server *server);

#endif

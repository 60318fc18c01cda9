/*
 * The HTTP edge: JSON for people and browsers, the Connect protocol for generated clients. A request becomes
 * the same rpc_call that nng makes; handlers cannot tell them apart.
 *
 * Several loops, each a thread with libevent's evhttp on its own socket (SO_REUSEPORT). In front of evhttp
 * stands a gate (gate.h), which looks at every head before evhttp does and keeps the deadlines.
 *
 * Life: shim_start → shim_close (refuse new: no connection is accepted any more, late requests on open ones
 * get 503) → shim_stop (wait for calls under way to be finished and answered, then close connections) →
 * shim_free.
 */
#ifndef SHIM_SHIM_H
#define SHIM_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "rpc/health.h"
#include "rpc/router.h"
#include "shim/exposition.h"
#include "shim/http_status.h"

#define SHIM_LOOPS_MAX 32

/* 0 stands for the default in parentheses. */
struct shim_limits {
    /* Connections in all (12288, fewer where the process may not open so many files) and from one address
     * (2048). Those beyond are told 503 and closed. */
    unsigned connections_max;
    unsigned connections_per_address_max;
    /* Request line and headers (8 KiB); body, with the framing of chunks (64 KiB). */
    size_t head_max;
    size_t body_max;
    /* Bytes that all connections together may hold (256 MiB): requests in arrival and under way, answers that
     * wait to be taken. A quarter is kept for requests of up to 4 KiB and answers of that length. What finds
     * no room is told 503; an answer to what changed something is not refused. */
    size_t buffered_max;
    /* Absolute times in ms: from the first byte, for a first request from the connection's beginning, to the
     * end of the head (10 s); from there to the end of the body (20 s); for an answer to be taken (20 s); and
     * how long a connection may rest between requests (60 s). */
    unsigned head_ms;
    unsigned body_ms;
    unsigned send_ms;
    unsigned idle_ms;
    /* Streams of events open at once (1000), each of which has at most one call under way beside calls_max.
     */
    unsigned streams_max;
};

struct shim_config {
    /* ADDRESS:PORT, "127.0.0.1:8080" or "[::1]:8080"; port 0 = any. */
    const char *address;
    /* These must outlive the shim. */
    const struct rpc_router *router;
    const struct rpc_health *health;
    /* Identity of every call. */
    const char *tenant;
    /* Threads: 1 to SHIM_LOOPS_MAX. */
    unsigned loops;
    /* Calls under way at most, at least `loops`. Further requests that change something wait for their turn
     * in their connections, further reads get 503, and those of events when they have a quarter. */
    size_t calls_max;
    struct shim_limits limits;
    /* Origins, "https://console.example", whose pages may call; must outlive the shim. Pages of all others
     * are refused. */
    const char *const *origins;
    size_t n_origins;
    /* What /metrics says of what stands behind the shim. */
    struct metrics_source metrics;
    /* PEM files; both NULL = plain HTTP. */
    const char *tls_cert_file;
    const char *tls_key_file;
};

struct shim_stats {
    /* Open now. */
    unsigned connections;
    /* Taken in, also those told to go at once. */
    uint64_t connections_total;
    /* Told to go because there were too many, in all or from their address. */
    uint64_t connections_refused;
    /* Heads that reached a route. */
    uint64_t requests;
    /* Requests that the gate refused: a bad head, too long, too slow. */
    uint64_t guarded;
    /* The same, and the answers to requests that reached a route, by http_status_index(). */
    uint64_t guarded_by_status[HTTP_STATUSES + 1];
    uint64_t answers_by_status[HTTP_STATUSES + 1];
    /* Reads refused because every call was under way. */
    uint64_t shed;
    /* Requests and answers for which buffered_max had no room, and what is held now. */
    uint64_t no_room;
    size_t buffered;
    /* Requests that had to wait for a call to become free. */
    uint64_t waited;
    unsigned in_flight;
    /* Streams of events. */
    unsigned streams;
};

struct shim;

/*
 * Serves from here on. INVALID_ARGUMENT for an address, certificate or limit that cannot be used, UNAVAILABLE
 * when the address is in use or cannot be bound; diag names the mend. `config` is copied. The caller owns
 * *ret_shim.
 */
MUST_USE enum status shim_start(const struct shim_config *config, struct shim **ret_shim, struct diag *diag);

/* "http://127.0.0.1:8080", with the port that is really bound. Valid as long as the shim. */
const char *shim_address(const struct shim *shim);

/* NULL is fine for all three. */
void shim_close(struct shim *shim);
void shim_stop(struct shim *shim);
/* Closes and stops if that was not done. */
void shim_free(struct shim *shim);

/* Any thread. */
struct shim_stats shim_stats(const struct shim *shim);

#endif

/*
 * What nng below 1.6 needs to stay up. With a newer nng these are plain nng, or nothing.
 */
#ifndef RPC_NNG_COMPAT_H
#define RPC_NNG_COMPAT_H

#include <nng/nng.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/metrics.h"
#include "base/status.h"
#include "rpc/listener.h"

/* What goes on below the server. Any thread. */
struct nng_events {
    /* Connections that became pipes, and pipes that nng has freed. Written by the server. */
    struct counter pipes_added;
    struct counter pipes_freed;
    /* Written by the watchdog: listeners that had stopped answering and were opened again; nng frees nothing
     * any more. */
    struct counter listeners_revived;
    atomic_bool reaper_hangs;
};

struct nng_watchdog;

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

/*
 * Watches the listeners from now on, and opens those again that no longer answer. `listeners` and `events`
 * must outlive the watchdog, and nobody else may open or close the listeners while it runs. The caller owns
 * *ret_watchdog, which may be NULL.
 */
MUST_USE enum status nng_watchdog_start(struct listener *listeners, size_t n, struct nng_events *events,
                                        struct nng_watchdog **ret_watchdog, struct diag *diag);

/* NULL is fine. */
void nng_watchdog_stop(struct nng_watchdog *watchdog);

/* Instead of nng_pipe_close: ends a connection that misbehaves. With ipc, all those of the same process; none
 * when the process cannot be told, being of another pid namespace. */
void nng_drop_pipe(nng_pipe pipe);

/* To be called before a listener or its socket is closed. May sleep for some 10 ms. */
void nng_end_connections(const struct listener *listener);

/* Instead of nng_close. False when nng does not come to an end: then callbacks may still run. */
MUST_USE bool nng_close_in_time(nng_socket socket);

#else

static inline enum status nng_watchdog_start(struct listener *listeners, size_t n, struct nng_events *events,
                                             struct nng_watchdog **ret_watchdog, struct diag *diag)
{
    (void)listeners;
    (void)n;
    (void)events;
    (void)diag;
    *ret_watchdog = NULL;
    return STATUS_OK;
}

static inline void nng_watchdog_stop(struct nng_watchdog *watchdog)
{
    (void)watchdog;
}

static inline void nng_drop_pipe(nng_pipe pipe)
{
    nng_pipe_close(pipe);
}

static inline void nng_end_connections(const struct listener *listener)
{
    (void)listener;
}

static inline bool nng_close_in_time(nng_socket socket)
{
    nng_close(socket);
    return true;
}

#endif

#endif

/*
 * The hub: calls that wait for the next change of a panic, or of any panic of a tenant.
 *
 * A waiter is registered before it looks into the store, and parks when it has found nothing. hub_changed()
 * wakes those that a change concerns; so do the end of their time and hub_close(). To wake a waiter is to
 * give it to `wake`, which hands it to a worker to look again. While nobody is registered a change costs one
 * load.
 */
#ifndef PANIC_HUB_H
#define PANIC_HUB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/id.h"
#include "base/status.h"

struct hub;

/* Lives from hub_register() to hub_leave(), in the arena of its call. */
struct hub_waiter {
    /* Set by the caller, constant while registered. */
    const char *tenant;
    /* The panic; nil = any of the tenant's. */
    struct id id;
    /* Monotonic: when it is woken at the latest. */
    int64_t until_us;

    /* The hub's own, under its lock. */
    TAILQ_ENTRY(hub_waiter) in_bucket;
    TAILQ_ENTRY(hub_waiter) in_all;
    bool is_parked;
    /* Something changed since it was registered or last asked. */
    bool has_changed;
    bool is_over;
};

struct hub_config {
    /* Waiters that can be registered. */
    unsigned waiters_max;
    /* Called with the hub's lock held, once for each time that the waiter parked: must not block. */
    void (*wake)(void *ctx, struct hub_waiter *waiter);
    void *ctx;
};

/* Starts a thread for the ends of times. The caller owns *ret_hub. */
MUST_USE enum status hub_new(const struct hub_config *config, struct hub **ret_hub);

/* RESOURCE_EXHAUSTED when there are waiters_max, UNAVAILABLE after hub_close(). */
MUST_USE enum status hub_register(struct hub *hub, struct hub_waiter *waiter);

/*
 * True: the waiter is parked, and is somebody else's from now on. False: look again, something has changed;
 * or its time is over, which hub_is_over() tells.
 */
MUST_USE bool hub_park(struct hub *hub, struct hub_waiter *waiter);

bool hub_is_over(struct hub *hub, const struct hub_waiter *waiter);

/* A waiter that is registered and not parked goes. */
void hub_leave(struct hub *hub, struct hub_waiter *waiter);

/*
 * A change of this panic is committed, and so are all that are told with the same `told`, which is NULL at
 * first: whoever waits for any panic of a tenant is told once of them. The tenant must stay as long as
 * `told`. Any thread; never blocks for long.
 */
void hub_changed(struct hub *hub, const char *tenant, const struct id *id, const char **told);

/* Wakes all, for whom it is over; refuses new ones. Again is harmless. */
void hub_close(struct hub *hub);
bool hub_is_closed(struct hub *hub);

/* NULL is fine. Nobody may be registered. */
void hub_free(struct hub *hub);

/* How many are parked. Any thread. */
unsigned hub_parked(struct hub *hub);

#endif

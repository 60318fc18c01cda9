/*
 * No wake-up is lost. The waiter counts itself in `registered` and then reads the store; who changes
 * something commits and then looks at `registered`. All of these are in one total order (the counter is
 * sequentially consistent, and both sides pass through the store's own locks between the two steps): if the
 * change did not see the waiter, the waiter's count came later, and so did its reading, which has the change
 * in it. If it did see it, the waiter is in the tables, because both counting and entering happen under the
 * lock; then it is either parked and woken, or still looking, and `has_changed` keeps it from parking.
 *
 * Waiters for one panic are found by a hash of its id, those for a whole tenant are in a bucket of their own;
 * so a commit of many panics does not walk over all who wait for one. Those of a tenant are told of the first
 * change of a commit only: whoever looks after that sees all of it.
 */
#include "panic/hub.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define BUCKETS 256

TAILQ_HEAD(waiters, hub_waiter);

struct hub {
    struct hub_config config;
    /* Written under `lock`, read without. */
    atomic_uint registered;
    pthread_mutex_t lock;
    pthread_cond_t timer_wake;
    pthread_t timer;
    bool has_timer;
    /* All below under `lock`. */
    unsigned parked;
    bool is_closed;
    bool is_ending;
    /* When the timer looks next; INT64_MAX = when it is told to. */
    int64_t timer_at_us;
    struct waiters of_panics[BUCKETS];
    struct waiters of_tenants;
    struct waiters all;
};

/* The last bytes of an id are random, whatever its version. */
static struct waiters *bucket_of(struct hub *hub, const struct id *id)
{
    return &hub->of_panics[id->bytes[sizeof(id->bytes) - 1] % BUCKETS];
}

static void wake(struct hub *hub, struct hub_waiter *waiter)
{
    waiter->is_parked = false;
    hub->parked--;
    hub->config.wake(hub->config.ctx, waiter);
}

/* ---- times ---- */

/* Wakes those whose time is over; the time of the next one. */
static int64_t end_overdue(struct hub *hub, int64_t now_us)
{
    int64_t next_us = INT64_MAX;
    for (struct hub_waiter *waiter = TAILQ_FIRST(&hub->all); waiter != NULL;
         waiter = TAILQ_NEXT(waiter, in_all)) {
        if (!waiter->is_parked) {
            continue;
        }
        if (waiter->until_us <= now_us) {
            waiter->is_over = true;
            wake(hub, waiter);
        } else if (waiter->until_us < next_us) {
            next_us = waiter->until_us;
        }
    }
    return next_us;
}

static void *run_timer(void *arg)
{
    struct hub *hub = arg;
    pthread_mutex_lock(&hub->lock);
    while (!hub->is_ending) {
        hub->timer_at_us = end_overdue(hub, monotonic_us());
        if (hub->timer_at_us == INT64_MAX) {
            pthread_cond_wait(&hub->timer_wake, &hub->lock);
        } else {
            const struct timespec until = {.tv_sec = hub->timer_at_us / US_PER_S,
                                           .tv_nsec = hub->timer_at_us % US_PER_S * 1000};
            (void)pthread_cond_timedwait(&hub->timer_wake, &hub->lock, &until);
        }
    }
    pthread_mutex_unlock(&hub->lock);
    return NULL;
}

/* ---- waiters ---- */

enum status hub_register(struct hub *hub, struct hub_waiter *waiter)
{
    enum status status = STATUS_OK;
    pthread_mutex_lock(&hub->lock);
    if (hub->is_closed) {
        status = STATUS_UNAVAILABLE;
    } else if (atomic_load(&hub->registered) >= hub->config.waiters_max) {
        status = STATUS_RESOURCE_EXHAUSTED;
    } else {
        struct waiters *bucket = id_is_nil(&waiter->id) ? &hub->of_tenants : bucket_of(hub, &waiter->id);
        TAILQ_INSERT_TAIL(bucket, waiter, in_bucket);
        TAILQ_INSERT_TAIL(&hub->all, waiter, in_all);
        atomic_fetch_add(&hub->registered, 1);
    }
    pthread_mutex_unlock(&hub->lock);
    return status;
}

bool hub_park(struct hub *hub, struct hub_waiter *waiter)
{
    pthread_mutex_lock(&hub->lock);
    bool must_look = waiter->has_changed;
    waiter->has_changed = false;
    waiter->is_over = hub->is_closed || waiter->until_us <= monotonic_us();
    bool parks = !must_look && !waiter->is_over;
    if (parks) {
        waiter->is_parked = true;
        hub->parked++;
        if (waiter->until_us < hub->timer_at_us) {
            pthread_cond_signal(&hub->timer_wake);
        }
    }
    pthread_mutex_unlock(&hub->lock);
    return parks;
}

bool hub_is_over(struct hub *hub, const struct hub_waiter *waiter)
{
    pthread_mutex_lock(&hub->lock);
    bool is_over = waiter->is_over;
    pthread_mutex_unlock(&hub->lock);
    return is_over;
}

void hub_leave(struct hub *hub, struct hub_waiter *waiter)
{
    pthread_mutex_lock(&hub->lock);
    assert(!waiter->is_parked);
    struct waiters *bucket = id_is_nil(&waiter->id) ? &hub->of_tenants : bucket_of(hub, &waiter->id);
    TAILQ_REMOVE(bucket, waiter, in_bucket);
    TAILQ_REMOVE(&hub->all, waiter, in_all);
    atomic_fetch_sub(&hub->registered, 1);
    pthread_mutex_unlock(&hub->lock);
}

/* ---- changes ---- */

static void tell(struct hub *hub, struct waiters *bucket, const char *tenant, const struct id *id)
{
    for (struct hub_waiter *waiter = TAILQ_FIRST(bucket); waiter != NULL;
         waiter = TAILQ_NEXT(waiter, in_bucket)) {
        bool concerns = id_is_nil(&waiter->id) || id_equal(&waiter->id, id);
        if (!concerns || strcmp(waiter->tenant, tenant) != 0) {
            continue;
        }
        if (waiter->is_parked) {
            wake(hub, waiter);
        } else {
            waiter->has_changed = true;
        }
    }
}

void hub_changed(struct hub *hub, const char *tenant, const struct id *id, const char **told)
{
    if (atomic_load(&hub->registered) == 0) {
        return;
    }
    pthread_mutex_lock(&hub->lock);
    tell(hub, bucket_of(hub, id), tenant, id);
    if (*told == NULL || strcmp(*told, tenant) != 0) {
        tell(hub, &hub->of_tenants, tenant, id);
        *told = tenant;
    }
    pthread_mutex_unlock(&hub->lock);
}

/* ---- life ---- */

enum status hub_new(const struct hub_config *config, struct hub **ret_hub)
{
    struct hub *hub = calloc(1, sizeof(*hub));
    if (hub == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    hub->config = *config;
    hub->timer_at_us = INT64_MAX;
    for (size_t i = 0; i < BUCKETS; i++) {
        TAILQ_INIT(&hub->of_panics[i]);
    }
    TAILQ_INIT(&hub->of_tenants);
    TAILQ_INIT(&hub->all);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&hub->lock, NULL);
    pthread_cond_init(&hub->timer_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    hub->has_timer = pthread_create(&hub->timer, NULL, run_timer, hub) == 0;
    if (!hub->has_timer) {
        hub_free(hub);
        return STATUS_RESOURCE_EXHAUSTED;
    }
    *ret_hub = hub;
    return STATUS_OK;
}

void hub_close(struct hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->is_closed = true;
    for (struct hub_waiter *waiter = TAILQ_FIRST(&hub->all); waiter != NULL;
         waiter = TAILQ_NEXT(waiter, in_all)) {
        if (waiter->is_parked) {
            waiter->is_over = true;
            wake(hub, waiter);
        }
    }
    pthread_mutex_unlock(&hub->lock);
}

bool hub_is_closed(struct hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    bool is_closed = hub->is_closed;
    pthread_mutex_unlock(&hub->lock);
    return is_closed;
}

void hub_free(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    assert(atomic_load(&hub->registered) == 0);
    if (hub->has_timer) {
        pthread_mutex_lock(&hub->lock);
        hub->is_ending = true;
        pthread_cond_signal(&hub->timer_wake);
        pthread_mutex_unlock(&hub->lock);
        pthread_join(hub->timer, NULL);
    }
    pthread_cond_destroy(&hub->timer_wake);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

unsigned hub_parked(struct hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    unsigned parked = hub->parked;
    pthread_mutex_unlock(&hub->lock);
    return parked;
}

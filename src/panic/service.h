/*
 * The panic service: PanicService and DispatchService of proto/panic/v1, with all that stands behind them
 * (intake, query pool, roster, dispatch).
 *
 * Life: service_start → (RPC calls) → service_close → service_stop, after the transports have stopped →
 * service_free.
 */
#ifndef PANIC_SERVICE_H
#define PANIC_SERVICE_H

#include "base/clock.h"
#include "base/status.h"
#include "cache/cache.h"
#include "core/pool.h"
#include "panic/dispatch.h"
#include "rpc/router.h"
#include "store/store.h"

struct service;

/*
 * Reads that miss the cache wait in queues; when theirs is full further ones are RESOURCE_EXHAUSTED. Lists
 * have a queue and a worker of their own, so that gets never stand behind them. Transports have
 * SERVICE_QUERIES_MAX calls more than creates need: as many as can wait or be in a worker's hands, so that
 * reads never take a create's place.
 */
#define SERVICE_QUERIES_MAX 256
#define SERVICE_GET_QUEUE_MAX 128
#define SERVICE_LIST_QUEUE_MAX 64
#define SERVICE_COUNT 2

/*
 * Calls of ListEvents: those that wait for a change, and those that only look. Transports have so many calls
 * more, because a call that waits keeps its own.
 */
#define SERVICE_PARKED_MAX 256
#define SERVICE_POLLS_MAX 256
#define SERVICE_EVENTS_MAX (SERVICE_PARKED_MAX + SERVICE_POLLS_MAX)

struct service_config {
    /* These must outlive the service. */
    struct store *store;
    struct cache *cache;
    const struct clock *clock;
    /* Calls that can be under way in all transports together. */
    size_t calls_max;
    /* Beyond so many a new responder is refused. */
    size_t responders_max;
};

/* Loads the responders and starts the threads; dispatch goes on with what is open in the store. */
MUST_USE enum status service_start(const struct service_config *config, struct service **ret_service);

/* What to put into the router: ctx and bindings filled in. */
void service_describe(struct service *service, struct rpc_service ret_services[SERVICE_COUNT]);

/*
 * Answers the calls that wait for a change, and lets none wait from here on: before the transports stop,
 * which wait for every call. Again is harmless.
 */
void service_close(struct service *service);

/* Finishes every call that was accepted; then nothing of the service runs any more. */
void service_stop(struct service *service);
/* NULL is fine. Stops if that was not done. */
void service_free(struct service *service);

struct service_stats {
    struct pool_stats intake;
    struct pool_stats queries;
    struct pool_stats lists;
    struct pool_stats prepare;
    struct pool_stats events;
    /* Calls of ListEvents that wait for a change. */
    unsigned parked;
    struct dispatch_stats dispatch;
    /* Free to be sent; simulated ones are for test panics only. */
    size_t responders_available;
    size_t simulated_available;
};

/* From creation to assignment, in µs. Lives as long as the service. */
const struct histogram *service_dispatch_latency_us(const struct service *service);

/* Any thread. */
struct service_stats service_stats(const struct service *service);

#endif

/*
 * Dispatch: gets every open panic to a responder, and keeps after it until somebody has dealt with it.
 *
 * Three ways lead to the same work on a batch of panics:
 *   - hints: intake names each panic it has stored; lost ones do no harm,
 *   - the due scan: every open panic has a next_action_at in the store; whatever is due is found, whether a
 * hint was lost, the process died, or a responder could not be had before,
 *   - freed responders: panics that wait for one are tried at once, the oldest first.
 *
 * The work: read the panic from the store, decide (roster, lifecycle), write the whole batch in one
 * transaction in which each change holds only if the panic has not changed meanwhile, then bring cache and
 * roster in line.
 */
#ifndef PANIC_DISPATCH_H
#define PANIC_DISPATCH_H

#include <stdint.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/status.h"
#include "cache/cache.h"
#include "core/pool.h"
#include "panic/hub.h"
#include "panic/roster.h"
#include "store/store.h"

struct dispatch;

struct dispatch_config {
    /* All of these must outlive the dispatch. */
    struct store *store;
    struct cache *cache;
    struct roster *roster;
    /* Is told of every change. */
    struct hub *hub;
    const struct clock *clock;
};

struct dispatch_stats {
    uint64_t assigned;
    /* Searches that found no responder. */
    uint64_t unassigned;
    /* Changes that another change overtook. */
    uint64_t overtaken;
    uint64_t hints_dropped;
    /* Hints and scans. */
    struct pool_stats queue;
    /* As last counted. Its `overdue` counts those overdue by more than DISPATCH_GRACE_US: must be 0. */
    struct store_counts counts;
    /* When that was, in wall time; 0 = not yet. */
    int64_t counted_at_us;
};

#define DISPATCH_GRACE_US (10 * US_PER_S)

/* Starts the worker and the due scan, which begins at once with what a former process left. */
MUST_USE enum status dispatch_start(const struct dispatch_config *config, struct dispatch **ret_dispatch);

/* A panic was stored: look at it soon. Never blocks; may be lost. Any thread. */
void dispatch_hint(struct dispatch *dispatch, const char *tenant, const struct id *id);

/* A responder is free, or may be: look at what waits. Never blocks for long. Any thread. */
void dispatch_responder_freed(struct dispatch *dispatch);

/* Ends after the batch under way; what is left is found by the next start. */
void dispatch_stop(struct dispatch *dispatch);
/* NULL is fine. Stops if that was not done. */
void dispatch_free(struct dispatch *dispatch);

/* From creation to assignment, in µs. Lives as long as the dispatch. */
const struct histogram *dispatch_latency_us(const struct dispatch *dispatch);

/* Any thread. */
struct dispatch_stats dispatch_stats(struct dispatch *dispatch);

#endif

/*
 * Intake: the one way in which an RPC changes the store, and the only place that acknowledges.
 *
 * Group commit: a worker takes what is queued and applies it in one durable transaction. While one commit is
 * on its way to the disk, the next batch grows; a timer lets it grow further only when hundreds of calls are
 * under way and it has but a small part of them. What is durable goes on to the transport's threads, where
 * each write is told how it ended, so that answering one batch and committing the next go on side by side.
 *
 * The queue holds at least as many writes as calls can be under way, so it cannot overflow; a write is never
 * shed, reordered, or dropped for its deadline.
 */
#ifndef PANIC_INTAKE_H
#define PANIC_INTAKE_H

#include "base/metrics.h"
#include "base/status.h"
#include "core/pool.h"
#include "panic/hub.h"
#include "rpc/call.h"
#include "store/store.h"

struct intake;

/* One write on its way. Lives in the arena of its call. */
struct intake_write {
    struct rpc_call *call;
    /* What to do; after the commit also how it ended. */
    struct store_op op;
    /* Of the batch: unless it is OK, nothing was stored, and the op's outcome says nothing. */
    enum status status;
    /*
     * NULL, or called after a successful commit and before `done`, for one write at a time and in the order
     * of the commits, which is not that of the answers. On the worker that commits: must be quick.
     */
    void (*committed)(void *ctx, struct intake_write *write);
    /* Called once, after the commit; finishes the call. Must not block. */
    void (*done)(void *ctx, struct intake_write *write);
    void *ctx;
};

/*
 * `calls_max`: how many calls can be under way in all transports together. The hub, which is told of every
 * change, and the store must outlive the intake.
 */
MUST_USE enum status intake_new(struct store *store, struct hub *hub, size_t calls_max,
                                struct intake **ret_intake);

/* Calls done() with UNAVAILABLE at once when the intake is closed. Any thread, never blocks. */
void intake_submit(struct intake *intake, struct intake_write *write);

/* Finishes what was accepted, then stops. */
void intake_stop(struct intake *intake);
/* NULL is fine. */
void intake_free(struct intake *intake);

struct pool_stats intake_stats(const struct intake *intake);

#endif

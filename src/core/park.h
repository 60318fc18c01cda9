/*
 * Where idle workers sleep: an eventcount on a futex, so that a producer pays no system call while nobody
 * sleeps.
 *
 *     worker:                                   producer:
 *       park_prepare(lot, worker)                 make the work visible (seq_cst)
 *       if there is work: park_cancel, take it    park_wake_one(lot)
 *       else park_wait(lot, worker)
 *       take work; if more is left: park_wake_one
 *
 * A waiter registers, looks again, then sleeps; the producer publishes, then looks for waiters: with both in
 * the one total order of sequentially consistent operations, one of the two sees the other. The most recently
 * parked worker is woken first (its cache is warm).
 *
 * Workers wake one another: while a woken worker is on its way, nobody wakes a second one, so a worker that
 * has taken work and leaves some behind must call park_wake_one before it starts on what it took.
 */
#ifndef CORE_PARK_H
#define CORE_PARK_H

#include <stdint.h>

#include "base/status.h"

#define PARK_WORKERS_MAX 64

struct park;

/*
 * A lot for workers numbered 0..workers-1. INVALID_ARGUMENT unless 1 <= workers <= PARK_WORKERS_MAX. The
 * caller owns *ret_park.
 */
MUST_USE enum status park_new(unsigned workers, struct park **ret_park);
/* NULL is fine. Nobody may be parked. */
void park_free(struct park *park);

/* Registers the calling worker as about to sleep. It must look for work once more before park_wait. */
void park_prepare(struct park *park, unsigned worker);
/* Takes the registration back: there was work after all. If a wake-up hit this worker meanwhile, it is passed
 * on. */
void park_cancel(struct park *park, unsigned worker);
/* Sleeps until woken; may also return for no reason. The worker is not registered any more. */
void park_wait(struct park *park, unsigned worker);

/*
 * Wakes the most recently parked worker, if any, unless one that was woken before is still on its way: that
 * one will see the work. One load and no system call when nobody is parked. Any thread, never blocks.
 */
void park_wake_one(struct park *park);
/* Wakes all: for closing. Any thread. */
void park_wake_all(struct park *park);

/* Wake-ups that needed a system call, since creation. */
uint64_t park_wakeups(const struct park *park);

#endif

/*
 * Where idle workers sleep: an eventcount on a futex, so that a producer pays no system call while nobody sleeps.
 *
 *     worker:                                   producer:
 *       park_prepare(lot, worker)                 make the work visible (seq_cst)
 *       if there is work: park_cancel, do it      park_wake_one(lot)
 *       else park_wait(lot, worker)
 *
 * A waiter registers, looks again, then sleeps; the producer publishes, then looks for waiters: with both in the one
 * total order of sequentially consistent operations, one of the two sees the other. The most recently parked worker is
 * woken first (its cache is warm).
 */
#ifndef CORE_PARK_H
#define CORE_PARK_H

#include <stdint.h>

#include "base/status.h"

struct park;

/* A lot for workers numbered 0..workers-1 (at most 64). The caller owns *ret_park. */
MUST_USE enum status park_new(unsigned workers, struct park **ret_park);
/* NULL is fine. Nobody may be parked. */
void park_free(struct park *park);

/* Registers the calling worker as about to sleep. It must look for work once more before park_wait. */
void park_prepare(struct park *park, unsigned worker);
/* Takes the registration back: there was work after all. If a wake-up hit this worker meanwhile, it is passed on. */
void park_cancel(struct park *park, unsigned worker);
/* Sleeps until woken. */
void park_wait(struct park *park, unsigned worker);

/* Wakes the most recently parked worker, if any. No system call when nobody is parked. Any thread. */
void park_wake_one(struct park *park);
/* Wakes all: for closing. */
void park_wake_all(struct park *park);

/* Wake-ups that needed a system call, since creation. */
uint64_t park_wakeups(const struct park *park);

#endif

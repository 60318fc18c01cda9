/*
 * A pool of workers behind one bounded queue: a ring, parked threads, and a callback that gets what is queued
 * in batches.
 *
 * Submitting never blocks and makes no system call while no worker sleeps. A worker takes up to batch_max
 * items at once; while it works the next batch grows. One sleeping worker is woken at a time; a woken worker
 * that finds more than its batch wakes the next.
 *
 * Life: pool_new → pool_submit … → pool_close (refuse new) → pool_stop (finish what was accepted, join) →
 * pool_free.
 */
#ifndef CORE_POOL_H
#define CORE_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define POOL_WORKERS_MAX 64
#define POOL_BATCH_MAX 1024

struct pool;

struct pool_config {
    /* Name of the threads, at most 15 characters. */
    const char *name;
    /* 1 to POOL_WORKERS_MAX. */
    unsigned workers;
    /* Power of two, see ring.h, and more than `workers`: queue operations under way each take a place. */
    size_t capacity;
    /* 1 to POOL_BATCH_MAX. */
    size_t batch_max;
    /*
     * Called on worker thread `worker` (0..workers-1) with 1..batch_max items in the order in which they were
     * taken. May block. Must not call pool_stop or pool_free of its own pool. `items` is valid until it
     * returns.
     */
    void (*run)(void *ctx, unsigned worker, void **items, size_t n);
    /*
     * NULL, or asked on the worker's thread, once for each batch that is not full: how many µs, under a
     * second, the worker is to wait for more before it runs it; 0 = not at all. Must not block.
     */
    unsigned (*linger_us)(void *ctx, void **items, size_t n);
    void *ctx;
};

struct pool_stats {
    /* Items that wait; a recent value, see ring_depth. */
    size_t depth;
    size_t capacity;
    /* Items accepted and calls of `run`, since creation. */
    uint64_t submitted;
    uint64_t batches;
    /* Wake-ups that needed a system call. */
    uint64_t wakeups;
};

/*
 * Starts the workers, with all signals blocked. `config` is copied, the name too. INVALID_ARGUMENT for a
 * value outside its bounds; RESOURCE_EXHAUSTED when memory or threads are short. The caller owns *ret_pool.
 */
MUST_USE enum status pool_new(const struct pool_config *config, struct pool **ret_pool);

/*
 * OK, RESOURCE_EXHAUSTED when the queue is full, UNAVAILABLE after pool_close. Any thread, never blocks.
 *
 * The queue is never full while the items that wait, the workers and the threads inside pool_submit are
 * together at most `capacity`. With OK the item will be run; otherwise it is still the caller's.
 */
MUST_USE enum status pool_submit(struct pool *pool, void *item);

/* From now on pool_submit answers UNAVAILABLE; what was accepted is still run. Any thread, any number of
 * times. */
void pool_close(struct pool *pool);

/* Closes, waits until every accepted item was run, joins the workers. One thread; again is harmless. */
void pool_stop(struct pool *pool);

/* Stops and frees. NULL is fine. No other thread may be using the pool. */
void pool_free(struct pool *pool);

/* Any thread. */
struct pool_stats pool_stats(const struct pool *pool);

#endif

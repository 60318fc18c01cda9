/* The queues that are compared, behind one face. All hold pointers, in at most `capacity` (a power of two).
 */
#ifndef BENCH_RING_QUEUES_H
#define BENCH_RING_QUEUES_H

#include <stdbool.h>
#include <stddef.h>

struct queue_ops {
    const char *name;
    void *(*new)(size_t capacity);
    void (*free)(void *queue);
    /* False when full. */
    bool (*push)(void *queue, void *item);
    /* False when empty. */
    bool (*pop)(void *queue, void **ret_item);
    /* Begins a push and stops half-way, for ever: between claiming a place and handing it over, or before
     * step `step` where an algorithm has more places to stop. False when a push has no such step. May not
     * return. */
    bool (*push_half)(void *queue, unsigned step);
};

/* SCQ, src/core/ring.c. */
extern const struct queue_ops queue_scq;
/* D. Vyukov's bounded queue with a sequence number in each cell (1024cores.net). */
extern const struct queue_ops queue_vyukov;
/* ck_ring of Concurrency Kit, its functions for many producers and many consumers. */
extern const struct queue_ops queue_ck;
/* A circular buffer under a mutex; who pushes signals a condition, nobody waits on it here. */
extern const struct queue_ops queue_mutex;

/* The same buffer, with waiting: push waits while it is full, pop while it is empty and not closed. */
bool mutex_queue_pop_wait(void *queue, void **ret_item);
void mutex_queue_push_wait(void *queue, void *item);
void mutex_queue_close(void *queue);

#endif

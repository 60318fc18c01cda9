/*
 * A bounded lock-free FIFO queue of pointers, many producers and many consumers.
 *
 * SCQ with index indirection: R. Nikolaev, "A Scalable, Portable, and Memory-Efficient Lock-Free FIFO Queue",
 * DISC 2019 (arXiv 1908.04511). Lock-free in the strict sense: a thread that stops in the middle of an
 * operation, for ever, stops nobody else. ring.c argues why.
 *
 * Contract: at most `capacity` threads operate on a ring at the same time. An operation under way holds one
 * index, so that ring_push may answer "full" with slightly fewer than `capacity` items inside (by at most one
 * per operation under way). FIFO per producer. The ring does not own what the pointers point to.
 *
 * A pop under way, of an empty ring too, may hold the ticket of an item already: a thread that stops in the
 * middle of a pop keeps that item to itself, and the others see the ring without it.
 */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

#define RING_CAPACITY_MIN 2
#define RING_CAPACITY_MAX (1U << 24)

struct ring;

/*
 * An empty ring for `capacity` items. INVALID_ARGUMENT unless capacity is a power of two between
 * RING_CAPACITY_MIN and RING_CAPACITY_MAX; RESOURCE_EXHAUSTED when memory is short. The caller owns
 * *ret_ring.
 */
MUST_USE enum status ring_new(size_t capacity, struct ring **ret_ring);

/* NULL is fine. No thread may be using the ring. */
void ring_free(struct ring *ring);

/* False when the ring is full. `item` may be any pointer, NULL included. */
MUST_USE bool ring_push(struct ring *ring, void *item);

/* False when the ring is empty. */
MUST_USE bool ring_pop(struct ring *ring, void **ret_item);

size_t ring_capacity(const struct ring *ring);

/*
 * How many items are inside, for deciding and for metrics: a recent value. Never 0 while an item is inside
 * that no pop has begun to take; may be somewhat high for a while after operations overlapped (tickets that
 * were skipped count too).
 */
size_t ring_depth(const struct ring *ring);

#endif

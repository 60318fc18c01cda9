/* Concurrency Kit's ck_ring as one of the queues that are compared. It holds capacity - 1. */
#include "queues.h"

#include <assert.h>
#include <ck_ring.h>
#include <stdlib.h>

struct ck_queue {
    struct ck_ring ring;
    ck_ring_buffer_t *buffer;
};

static void *ck_new(size_t capacity)
{
    struct ck_queue *queue =
        aligned_alloc(CK_MD_CACHELINE, (sizeof(*queue) / CK_MD_CACHELINE + 1) * CK_MD_CACHELINE);
    assert(queue != NULL);
    queue->buffer = calloc(capacity, sizeof(*queue->buffer));
    assert(queue->buffer != NULL);
    ck_ring_init(&queue->ring, (unsigned)capacity);
    return queue;
}

static void ck_free(void *arg)
{
    struct ck_queue *queue = arg;
    free(queue->buffer);
    free(queue);
}

static bool ck_push(void *arg, void *item)
{
    struct ck_queue *queue = arg;
    return ck_ring_enqueue_mpmc(&queue->ring, queue->buffer, item);
}

static bool ck_pop(void *arg, void **ret_item)
{
    struct ck_queue *queue = arg;
    return ck_ring_dequeue_mpmc(&queue->ring, queue->buffer, ret_item);
}

static bool ck_push_half(void *arg, unsigned step)
{
    struct ck_queue *queue = arg;
    unsigned ticket;
    return step == 0 && ck_ring_enqueue_reserve_mpmc(&queue->ring, queue->buffer, &ticket) != NULL;
}

const struct queue_ops queue_ck = {
    .name = "ck", .new = ck_new, .free = ck_free, .push = ck_push, .pop = ck_pop, .push_half = ck_push_half};

/* core/ring as one of the queues that are compared. */
#include "queues.h"

#include <assert.h>

#include "core/ring.h"

static void *scq_new(size_t capacity)
{
    struct ring *ring = NULL;
    enum status status = ring_new(capacity, &ring);
    assert(status == STATUS_OK);
    return ring;
}

static void scq_free(void *queue)
{
    ring_free(queue);
}

static bool scq_push(void *queue, void *item)
{
    return ring_push(queue, item);
}

static bool scq_pop(void *queue, void **ret_item)
{
    return ring_pop(queue, ret_item);
}

const struct queue_ops queue_scq = {
    .name = "scq", .new = scq_new, .free = scq_free, .push = scq_push, .pop = scq_pop};

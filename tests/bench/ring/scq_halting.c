/* core/ring with a thread that stops before any atomic step of a push: for the comparison of what that does.
 */
#include "queues.h"

#include <limits.h>
#include <unistd.h>

static _Thread_local unsigned steps_left = UINT_MAX;

static inline void halting_step(void)
{
    if (steps_left == UINT_MAX) {
        return;
    }
    if (steps_left-- == 0) {
        for (;;) {
            pause();
        }
    }
}

#define ATOMIC_STEP(label) halting_step()
#include "core/ring.c" /* NOLINT(bugprone-suspicious-include): its steps are where to stop */

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

static bool scq_push_half(void *queue, unsigned step)
{
    steps_left = step;
    bool pushed = ring_push(queue, NULL);
    steps_left = UINT_MAX;
    assert(pushed);
    return false;
}

const struct queue_ops queue_scq = {.name = "scq",
                                    .new = scq_new,
                                    .free = scq_free,
                                    .push = scq_push,
                                    .pop = scq_pop,
                                    .push_half = scq_push_half};

/*
 * Asking and counting are two steps, so that several threads may be told of the same room; what is overdrawn
 * that way is at most one read of a socket for each loop, and an answer for each thread that finishes calls.
 */
#include "shim/budget.h"

#include <assert.h>

/* The part that is kept for what is small. */
#define SMALL_SHARE 4

bool budget_has_room(const struct budget *budget, size_t held, size_t more)
{
    size_t used = atomic_load_explicit(&budget->used, memory_order_relaxed);
    size_t max = budget->bytes_max;
    if (held + more > BUDGET_SMALL) {
        max -= max / SMALL_SHARE;
    }
    return used <= max && more <= max - used;
}

void budget_add(struct budget *budget, size_t bytes)
{
    atomic_fetch_add_explicit(&budget->used, bytes, memory_order_relaxed);
}

void budget_remove(struct budget *budget, size_t bytes)
{
    size_t before = atomic_fetch_sub_explicit(&budget->used, bytes, memory_order_relaxed);
    assert(before >= bytes);
    (void)before;
}

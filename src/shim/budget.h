/*
 * How many bytes all connections together may hold: requests as they arrive, and answers that their clients
 * have not taken yet. Without it, connections times the longest body is what strangers may take of memory.
 *
 * A part is kept free of everything that is large, so that an ordinary create, which is small, finds room
 * when long bodies and long answers have taken theirs. Any thread.
 */
#ifndef SHIM_BUDGET_H
#define SHIM_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/metrics.h"

/* Of a request: up to here it is small. */
#define BUDGET_SMALL 4096

struct budget {
    size_t bytes_max;
    /* May be more than bytes_max for a moment, by what was added without asking. */
    _Atomic size_t used;
    /* Requests and answers refused for want of room. */
    struct counter refused;
};

/* Is there room for `more` bytes beside `held`, which are counted already and belong to the same thing? */
bool budget_has_room(const struct budget *budget, size_t held, size_t more);

/* Counts, and does not ask. */
void budget_add(struct budget *budget, size_t bytes);
void budget_remove(struct budget *budget, size_t bytes);

#endif

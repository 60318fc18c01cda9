/*
 * GET /metrics: what the shim, its methods and the process count, and what the source behind the shim adds.
 *
 * Everything is read at the time of asking from where it is counted; nothing is kept here but the figures of
 * the process. Whoever has figures that take long to count keeps the last ones and says when that was
 * (panic/dispatch.h): a page is written on a loop's thread.
 */
#ifndef SHIM_METRICS_PAGE_H
#define SHIM_METRICS_PAGE_H

#include "shim/answer.h"
#include "shim/process_metrics.h"
#include "shim/shim.h"

struct metrics_page {
    const struct shim *shim;
    const struct rpc_router *router;
    const struct rpc_health *health;
    struct metrics_source source;
    struct process_metrics process;
};

void metrics_page_init(struct metrics_page *page, const struct shim *shim, const struct shim_config *config);
void metrics_page_release(struct metrics_page *page);

/* Any thread. */
void metrics_page_answer(struct metrics_page *page, struct arena *arena, struct answer *answer);

#endif

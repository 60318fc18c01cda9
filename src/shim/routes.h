/*
 * Which request goes where: the seed's paths from a constant table, every method of every service by its
 * Connect path. Adding a page that is answered at once is one line in the table of routes.c.
 */
#ifndef SHIM_ROUTES_H
#define SHIM_ROUTES_H

#include "base/id.h"
#include "rpc/health.h"
#include "rpc/router.h"
#include "shim/answer.h"
#include "shim/cors.h"
#include "shim/exchange.h"
#include "shim/request.h"

struct metrics_page;

/* What routes may use. Constant while the shim runs. */
struct edge {
    const struct rpc_router *router;
    const struct rpc_health *health;
    struct metrics_page *metrics;
    const char *tenant;
    struct cors_origins origins;
    /* Of the seed; NULL when the router has no such method. */
    struct rpc_method *create_panic;
    struct rpc_method *get_panic;
    struct rpc_method *list_events;
};

void edge_init(struct edge *edge, const struct rpc_router *router);

/* Which events a stream is of. */
struct events_plan {
    /* "" = of all panics. */
    char panic_id[ID_TEXT_SIZE];
    /* As in ListEventsRequest. */
    int64_t after;
};

/* What becomes of a request. */
struct plan {
    /* NULL: the answer is made, unless it is a stream. */
    const struct exchange_kind *kind;
    struct rpc_method *method;
    bool is_stream;
    struct events_plan events;
    /* May be told to come again; all others wait for their turn. */
    bool is_read;
    struct answer answer;
};

/* `arena` is for the answer, when there is one at once. */
void routes_plan(const struct edge *edge, const struct request *request, struct arena *arena,
                 struct plan *ret_plan);

#endif

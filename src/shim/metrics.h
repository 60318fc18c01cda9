/*
 * What panicd measures, in Prometheus' text format
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Everything is read at the time of asking from where it is counted; nothing is kept here. Durations are in
 * seconds, as the format's conventions ask; names begin with panicd_.
 */
#ifndef SHIM_METRICS_H
#define SHIM_METRICS_H

#include <stddef.h>

#include "cache/cache.h"
#include "panic/service.h"
#include "rpc/router.h"
#include "rpc/server.h"
#include "store/store.h"

struct metrics_sources {
    const struct rpc_router *router;
    /* Each of these may be NULL where it does not run: its metrics are left out. */
    const struct rpc_server *server;
    struct service *service;
    struct store *store;
    struct cache *cache;
};

/* The page, NUL behind; the caller frees it. NULL when memory is short. Any thread. */
char *metrics_page(const struct metrics_sources *sources, size_t *ret_length);

#endif

/*
 * The figures of what stands behind the shim in a panicd of its own: RPC server, service, store, cache. The
 * shim itself does not know of them; panicd hands them in (shim_config.metrics).
 */
#ifndef SHIM_BACKEND_METRICS_H
#define SHIM_BACKEND_METRICS_H

#include "cache/cache.h"
#include "panic/service.h"
#include "rpc/server.h"
#include "shim/exposition.h"
#include "store/store.h"

/* NULL: its figures are left out. */
struct backend_metrics {
    const struct rpc_server *server;
    const struct service *service;
    const struct store *store;
    const struct cache *cache;
};

/* `backend` and what it points to must outlive the shim. */
struct metrics_source backend_metrics_source(struct backend_metrics *backend);

#endif

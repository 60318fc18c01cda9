/*
 * health.v1.HealthService: whether the server takes requests. Also the flag that says so.
 */
#ifndef RPC_HEALTH_H
#define RPC_HEALTH_H

#include <stdatomic.h>

#include "rpc/router.h"

struct rpc_health {
    /* True between "every listener serves" and the beginning of the drain. Written by panicd, read by any
     * thread. */
    atomic_bool serving;
    /* To look up services by name; set once before serving. Not owned. */
    const struct rpc_router *router;
};

/* `health` must outlive the router that the service is put into. */
struct rpc_service rpc_health_service(struct rpc_health *health);

#endif

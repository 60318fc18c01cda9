#include "rpc/health.h"

#include <string.h>

#include "health/v1/health.pb-c.h"

static bool has_service(const struct rpc_router *router, const char *name)
{
    size_t n;
    const struct rpc_method *methods = rpc_router_methods(router, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(methods[i].service->name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void check(void *ctx, struct rpc_call *call)
{
    const struct rpc_health *health = ctx;
    const Health__V1__CheckRequest *request = (const Health__V1__CheckRequest *)call->request;
    if (request->service[0] != 0 && !has_service(health->router, request->service)) {
        rpc_call_fail(call, STATUS_NOT_FOUND, "service: %s is not served here", request->service);
        return;
    }
    Health__V1__CheckResponse response = HEALTH__V1__CHECK_RESPONSE__INIT;
    response.status = atomic_load_explicit(&health->serving, memory_order_acquire)
                          ? HEALTH__V1__CHECK_RESPONSE__SERVING_STATUS__SERVING_STATUS_SERVING
                          : HEALTH__V1__CHECK_RESPONSE__SERVING_STATUS__SERVING_STATUS_NOT_SERVING;
    rpc_call_reply(call, &response.base);
}

struct rpc_service rpc_health_service(struct rpc_health *health)
{
    static const struct rpc_binding bindings[] = {{.method = "Check", .handler = check, .read_only = true}};
    return (struct rpc_service){
        .descriptor = &health__v1__health_service__descriptor,
        .bindings = bindings,
        .n_bindings = sizeof(bindings) / sizeof(bindings[0]),
        .ctx = health,
    };
}

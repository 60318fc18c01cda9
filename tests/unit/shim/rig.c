#include "unit/shim/rig.h"

#include <string.h>

void shim_rig_start(struct shim_rig *rig, const struct rpc_binding *bindings, size_t n_bindings, void *ctx,
                    const struct shim_config *wanted)
{
    const struct rpc_service service = {.descriptor = &panic__v1__panic_service__descriptor,
                                        .bindings = bindings,
                                        .n_bindings = n_bindings,
                                        .ctx = ctx};
    memset(rig, 0, sizeof(*rig));
    assert_ok(rpc_router_new(&service, 1, &rig->router));
    struct shim_config config = *wanted;
    config.address = "127.0.0.1:0";
    config.router = rig->router;
    config.health = &rig->health;
    config.tenant = "test";
    config.loops = config.loops > 0 ? config.loops : 1;
    config.calls_max = config.calls_max > 0 ? config.calls_max : 8;
    struct diag diag;
    assert_ok(shim_start(&config, &rig->shim, &diag));
    rig->url = shim_address(rig->shim);
}

void shim_rig_end(struct shim_rig *rig)
{
    shim_free(rig->shim);
    rpc_router_free(rig->router);
}

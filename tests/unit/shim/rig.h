/*
 * A shim in this process, on a free port of loopback, in front of a router with the handlers of a test; and
 * waiting for what no event tells.
 */
#ifndef UNIT_SHIM_RIG_H
#define UNIT_SHIM_RIG_H

#include "harness/test.h"

#include <poll.h>
#include <sched.h>

#include "base/clock.h"
#include "harness/http_client.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/router.h"
#include "shim/shim.h"

/* Any wait in a test ends with a failure after this. */
#define PATIENCE_US (30 * US_PER_S)

struct shim_rig {
    /* Not serving, until a test says so. */
    struct rpc_health health;
    struct rpc_router *router;
    struct shim *shim;
    const char *url;
};

/*
 * Starts a shim before these methods of PanicService, whose handlers get `ctx`. Of `wanted`, limits and
 * origins count, loops (0 = 1) and calls_max (0 = 8); the rest is the rig's.
 */
void shim_rig_start(struct shim_rig *rig, const struct rpc_binding *bindings, size_t n_bindings, void *ctx,
                    const struct shim_config *wanted);
/* No call may be under way but those that the shim can end by itself. */
void shim_rig_end(struct shim_rig *rig);

/* Asks again and again, for what no event tells. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int64_t give_up_us_ = monotonic_us() + PATIENCE_US;                                                  \
        while (!(condition)) {                                                                               \
            assert_true(monotonic_us() < give_up_us_);                                                       \
            poll(NULL, 0, 2);                                                                                \
        }                                                                                                    \
    } while (0)

/* The same without a pause, for what is over soon. */
#define SPIN_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int64_t give_up_us_ = monotonic_us() + PATIENCE_US;                                                  \
        while (!(condition)) {                                                                               \
            assert_true(monotonic_us() < give_up_us_);                                                       \
            sched_yield();                                                                                   \
        }                                                                                                    \
    } while (0)

#endif

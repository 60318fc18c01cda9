/*
 * What nng below 1.6 needs to stay up. With a newer nng all of this does nothing.
 */
#ifndef RPC_NNG_COMPAT_H
#define RPC_NNG_COMPAT_H

#include <nng/nng.h>
#include <stddef.h>

#include "base/metrics.h"
#include "base/status.h"
#include "rpc/listener.h"

struct nng_watchdog;

/*
 * Watches the listeners from now on, and opens those again that no longer answer, counting them in `revived`.
 * Both must outlive the watchdog, and nobody else may open or close the listeners while it runs. The caller
 * owns *ret_watchdog, which may be NULL.
 */
MUST_USE enum status nng_watchdog_start(struct listener *listeners, size_t n, struct counter *revived,
                                        struct nng_watchdog **ret_watchdog, struct diag *diag);

/* NULL is fine. */
void nng_watchdog_stop(struct nng_watchdog *watchdog);

#endif

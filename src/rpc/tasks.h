/*
 * Work on the transport's own threads.
 *
 * nng runs the callbacks of its operations on a few threads of its own. Whoever answers many calls does so
 * best from there: an answer that another thread sends wakes one of nng's threads, which at once wants the
 * socket's lock that the sender still holds, and each answer costs two switches of threads more.
 */
#ifndef RPC_TASKS_H
#define RPC_TASKS_H

#include <stddef.h>

#include "base/status.h"

struct rpc_tasks;

/*
 * `run` gets items in portions, on several threads at once; it must not block. RESOURCE_EXHAUSTED when memory
 * is short. The caller owns *ret_tasks.
 */
MUST_USE enum status rpc_tasks_new(void (*run)(void *ctx, void **items, size_t n), void *ctx,
                                   struct rpc_tasks **ret_tasks);

/*
 * Has `run` called for the items, portion by portion: on nng's threads while there is room, else right here.
 * `items` need not live on. One thread at a time.
 */
void rpc_tasks_submit(struct rpc_tasks *tasks, void **items, size_t n);

/* Waits until all that was submitted has been run. No submit may be under way. */
void rpc_tasks_wait(struct rpc_tasks *tasks);

/* Waits and frees. NULL is fine. */
void rpc_tasks_free(struct rpc_tasks *tasks);

#endif

/*
 * A portion is an nng aio without any I/O: nng_aio_finish() puts its callback in the queue of nng's threads
 * (nng_aio_finish(3) allows that to whoever provides an operation). Portions are few and reused; whether one
 * is free is told by its flag, which the callback clears when it has done with the items. The submitter has
 * then still to wait for the callback to return, which is a matter of instructions.
 *
 * With all portions in use nng's threads have more to do than they can; then the submitter, who would only
 * bring them more, helps.
 */
#include "rpc/tasks.h"

#include <assert.h>
#include <nng/nng.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PORTIONS_MAX 64
/* So many answers that a switch of threads is no matter, and so few that a batch keeps every core busy. */
#define PORTION_SIZE 16

struct portion {
    struct rpc_tasks *tasks;
    nng_aio *aio;
    atomic_bool in_use;
    void *items[PORTION_SIZE];
    size_t n;
};

struct rpc_tasks {
    void (*run)(void *ctx, void **items, size_t n);
    void *ctx;
    /* The submitter's: where to look for a free portion first. */
    size_t next;
    struct portion portions[PORTIONS_MAX];
};

static void run_portion(void *arg)
{
    struct portion *portion = arg;
    portion->tasks->run(portion->tasks->ctx, portion->items, portion->n);
    atomic_store_explicit(&portion->in_use, false, memory_order_release);
}

enum status rpc_tasks_new(void (*run)(void *ctx, void **items, size_t n), void *ctx,
                          struct rpc_tasks **ret_tasks)
{
    struct rpc_tasks *tasks = calloc(1, sizeof(*tasks));
    if (tasks == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    tasks->run = run;
    tasks->ctx = ctx;
    for (size_t i = 0; i < PORTIONS_MAX; i++) {
        struct portion *portion = &tasks->portions[i];
        portion->tasks = tasks;
        if (nng_aio_alloc(&portion->aio, run_portion, portion) != 0) {
            rpc_tasks_free(tasks);
            return STATUS_RESOURCE_EXHAUSTED;
        }
    }
    *ret_tasks = tasks;
    return STATUS_OK;
}

/* NULL when there is none; ready to be begun otherwise. */
static struct portion *take_free(struct rpc_tasks *tasks)
{
    for (size_t i = 0; i < PORTIONS_MAX; i++) {
        struct portion *portion = &tasks->portions[tasks->next++ % PORTIONS_MAX];
        if (!atomic_load_explicit(&portion->in_use, memory_order_acquire)) {
            nng_aio_wait(portion->aio);
            /* Fails for a stopped aio only, and nobody stops these. */
            bool begun = nng_aio_begin(portion->aio);
            assert(begun);
            return portion;
        }
    }
    return NULL;
}

void rpc_tasks_submit(struct rpc_tasks *tasks, void **items, size_t n)
{
    while (n > 0) {
        size_t size = n < PORTION_SIZE ? n : PORTION_SIZE;
        struct portion *portion = take_free(tasks);
        if (portion == NULL) {
            tasks->run(tasks->ctx, items, size);
        } else {
            memcpy(portion->items, items, size * sizeof(*items));
            portion->n = size;
            atomic_store_explicit(&portion->in_use, true, memory_order_relaxed);
            nng_aio_finish(portion->aio, 0);
        }
        items += size;
        n -= size;
    }
}

void rpc_tasks_wait(struct rpc_tasks *tasks)
{
    for (size_t i = 0; i < PORTIONS_MAX; i++) {
        if (tasks->portions[i].aio != NULL) {
            nng_aio_wait(tasks->portions[i].aio);
        }
    }
}

void rpc_tasks_free(struct rpc_tasks *tasks)
{
    if (tasks == NULL) {
        return;
    }
    rpc_tasks_wait(tasks);
    for (size_t i = 0; i < PORTIONS_MAX; i++) {
        if (tasks->portions[i].aio != NULL) {
            nng_aio_free(tasks->portions[i].aio);
        }
    }
    free(tasks);
}

#include "panic/intake.h"

#include <assert.h>
#include <stdlib.h>

#include "panic/fail_stop.h"

#define BATCH_MAX 256

struct intake {
    struct store *store;
    struct pool *pool;
    /* The batch under way: the one worker's own. */
    struct store_op ops[BATCH_MAX];
};

static void run(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)worker;
    struct intake *intake = ctx;
    struct intake_write **writes = (struct intake_write **)items;
    for (size_t i = 0; i < n; i++) {
        intake->ops[i] = writes[i]->op;
    }
    enum status status = store_apply(intake->store, intake->ops, n);
    fail_stop_on_data_loss(status, "intake");
    for (size_t i = 0; i < n; i++) {
        writes[i]->done(writes[i]->ctx, writes[i], &intake->ops[i], status);
    }
}

enum status intake_new(struct store *store, size_t calls_max, struct intake **ret_intake)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    if (intake == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    intake->store = store;
    size_t capacity = BATCH_MAX;
    while (capacity < 2 * calls_max) {
        capacity *= 2;
    }
    const struct pool_config config = {.name = "intake",
                                       .workers = 1,
                                       .capacity = capacity,
                                       .batch_max = BATCH_MAX,
                                       .run = run,
                                       .ctx = intake};
    enum status status = pool_new(&config, &intake->pool);
    if (status != STATUS_OK) {
        free(intake);
        return status;
    }
    *ret_intake = intake;
    return STATUS_OK;
}

void intake_submit(struct intake *intake, struct intake_write *write)
{
    enum status status = pool_submit(intake->pool, write);
    /* The queue has room for every call there is: full would mean that a call was submitted twice. */
    assert(status != STATUS_RESOURCE_EXHAUSTED);
    if (status != STATUS_OK) {
        write->done(write->ctx, write, &write->op, status);
    }
}

void intake_stop(struct intake *intake)
{
    pool_stop(intake->pool);
}

void intake_free(struct intake *intake)
{
    if (intake != NULL) {
        pool_free(intake->pool);
        free(intake);
    }
}

struct pool_stats intake_stats(const struct intake *intake)
{
    return pool_stats(intake->pool);
}

#include "panic/intake.h"

#include <assert.h>
#include <stdlib.h>

#include "panic/fail_stop.h"
#include "rpc/tasks.h"

#define BATCH_MAX 256
/* From so many calls on larger batches answer all of them sooner; and how long a batch may then grow. */
#define CROWD 128
#define LINGER_US 1000

struct intake {
    struct store *store;
    struct hub *hub;
    struct pool *commits;
    struct rpc_tasks *answers;
    /* The batch under way: the commit worker's own. */
    struct store_op ops[BATCH_MAX];
};

/*
 * What a commit costs beside its writes is the same for few and for many. In a crowd, most calls wait for
 * threads and not for the disk: to commit a small part of them at once would make all of them wait for that.
 */
static unsigned linger_us(void *ctx, void **items, size_t n)
{
    const struct intake *intake = ctx;
    const struct intake_write *first = items[0];
    unsigned under_way = rpc_calls_under_way(first->call);
    unsigned idle = hub_parked(intake->hub);
    unsigned crowd = under_way > idle ? under_way - idle : 0;
    return crowd >= CROWD && n < crowd / 4 ? LINGER_US : 0;
}

/* Who waits for a change hears of it before the writer does: there is no answer to wait for. */
static void tell_hub(const struct intake *intake, size_t n)
{
    const char *told = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct store_op *op = &intake->ops[i];
        if (op->outcome == STATUS_OK && !op->replayed && op->kind != STORE_PUT_RESPONDER) {
            hub_changed(intake->hub, op->panic->tenant, &op->panic->id, &told);
        }
    }
}

static void run_commits(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)worker;
    struct intake *intake = ctx;
    struct intake_write **writes = (struct intake_write **)items;
    for (size_t i = 0; i < n; i++) {
        intake->ops[i] = writes[i]->op;
    }
    enum status status = store_apply(intake->store, intake->ops, n);
    fail_stop_on_data_loss(status, "intake");
    if (status == STATUS_OK) {
        tell_hub(intake, n);
    }
    for (size_t i = 0; i < n; i++) {
        writes[i]->op = intake->ops[i];
        writes[i]->status = status;
        if (status == STATUS_OK && writes[i]->committed != NULL) {
            writes[i]->committed(writes[i]->ctx, writes[i]);
        }
    }
    rpc_tasks_submit(intake->answers, items, n);
}

static void run_answers(void *ctx, void **items, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        struct intake_write *write = items[i];
        write->done(write->ctx, write);
    }
}

/* A power of two with room for every call, every worker and every thread that may be submitting. */
static size_t queue_capacity(size_t calls_max)
{
    size_t capacity = BATCH_MAX;
    while (capacity < 2 * calls_max) {
        capacity *= 2;
    }
    return capacity;
}

static enum status start_parts(struct intake *intake, size_t calls_max)
{
    enum status status = rpc_tasks_new(run_answers, intake, &intake->answers);
    if (status != STATUS_OK) {
        return status;
    }
    const struct pool_config config = {.name = "intake",
                                       .workers = 1,
                                       .capacity = queue_capacity(calls_max),
                                       .batch_max = BATCH_MAX,
                                       .run = run_commits,
                                       .linger_us = linger_us,
                                       .ctx = intake};
    return pool_new(&config, &intake->commits);
}

enum status intake_new(struct store *store, struct hub *hub, size_t calls_max, struct intake **ret_intake)
{
    struct intake *intake = calloc(1, sizeof(*intake));
    if (intake == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    intake->store = store;
    intake->hub = hub;
    enum status status = start_parts(intake, calls_max);
    if (status != STATUS_OK) {
        intake_free(intake);
        return status;
    }
    *ret_intake = intake;
    return STATUS_OK;
}

void intake_submit(struct intake *intake, struct intake_write *write)
{
    enum status status = pool_submit(intake->commits, write);
    /* The queue has room for every call there is: full would mean that a call was submitted twice. */
    assert(status != STATUS_RESOURCE_EXHAUSTED);
    if (status != STATUS_OK) {
        write->status = status;
        write->done(write->ctx, write);
    }
}

/* In the order in which writes pass through. */
void intake_stop(struct intake *intake)
{
    pool_stop(intake->commits);
    rpc_tasks_wait(intake->answers);
}

void intake_free(struct intake *intake)
{
    if (intake != NULL) {
        pool_free(intake->commits);
        rpc_tasks_free(intake->answers);
        free(intake);
    }
}

struct pool_stats intake_stats(const struct intake *intake)
{
    return pool_stats(intake->commits);
}

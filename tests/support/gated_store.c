/*
 * One mutex and one condition variable for everything: whatever changes wakes everybody, who look again. The
 * inner store is never called with the mutex held, but for the question of gated_store_await, whose locks are
 * below.
 */
#include "support/gated_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct gate_state {
    bool held;
    enum status failure;
    size_t waiting;
    size_t passed;
};

struct gated_store {
    struct store outer;
    struct store *inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under `lock`. */
    struct gate_state gates[GATE_MAX];
};

static enum status pass(struct gated_store *gated, enum gate number)
{
    struct gate_state *gate = &gated->gates[number];
    pthread_mutex_lock(&gated->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gated->changed);
    while (gate->held) {
        pthread_cond_wait(&gated->changed, &gated->lock);
    }
    gate->waiting--;
    gate->passed++;
    enum status failure = gate->failure;
    pthread_cond_broadcast(&gated->changed);
    pthread_mutex_unlock(&gated->lock);
    return failure;
}

static enum gate gate_of(const struct store_op *op)
{
    switch (op->kind) {
    case STORE_CREATE:
        return GATE_CREATE;
    case STORE_PUT_RESPONDER:
        return GATE_PUT_RESPONDER;
    case STORE_UPDATE:
        break;
    }
    return op->event != NULL && strcmp(op->event->actor, "dispatch") == 0 ? GATE_DISPATCH : GATE_CHANGE;
}

static enum status apply(struct store *store, struct store_op *ops, size_t n)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum gate gate = GATE_CHANGE;
    for (size_t i = 0; i < n; i++) {
        gate = gate_of(&ops[i]) < gate ? gate_of(&ops[i]) : gate;
    }
    enum status status = pass(gated, gate);
    if (status == STATUS_OK) {
        status = store_apply(gated->inner, ops, n);
    }
    (void)pass(gated, gate + 1);
    return status;
}

static enum status get(struct store *store, const char *tenant, const struct id *id, struct arena *arena,
                       struct store_panic *ret_panic)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status status = pass(gated, GATE_GET);
    if (status == STATUS_OK) {
        status = store_get(gated->inner, tenant, id, arena, ret_panic);
    }
    (void)pass(gated, GATE_GET_DONE);
    return status;
}

static enum status read_many(struct store *store, const struct store_key *keys, size_t n, struct arena *arena,
                             struct store_panic *ret_panics, enum status *ret_statuses, size_t *ret_n)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status status = pass(gated, GATE_READ);
    return status == STATUS_OK ? store_read(gated->inner, keys, n, arena, ret_panics, ret_statuses, ret_n)
                               : status;
}

static enum status list(struct store *store, const char *tenant, const struct id *after, uint8_t status,
                        size_t max, struct arena *arena, struct store_panic *ret_panics, size_t *ret_n,
                        struct id *ret_last, bool *ret_more)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status passed = pass(gated, GATE_LIST);
    return passed == STATUS_OK ? store_list(gated->inner, tenant, after, status, max, arena, ret_panics,
                                            ret_n, ret_last, ret_more)
                               : passed;
}

static enum status events(struct store *store, const char *tenant, const struct id *id,
                          uint64_t after_version, size_t max, struct arena *arena,
                          struct store_event *ret_events, size_t *ret_n)
{
    struct gated_store *gated = (struct gated_store *)store;
    return store_events(gated->inner, tenant, id, after_version, max, arena, ret_events, ret_n);
}

static enum status changes(struct store *store, const char *tenant, const struct id *id, uint64_t after_seq,
                           size_t max, struct arena *arena, struct store_change *ret_changes, size_t *ret_n,
                           uint64_t *ret_last, bool *ret_more)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status status = pass(gated, GATE_CHANGES);
    return status == STATUS_OK ? store_changes(gated->inner, tenant, id, after_seq, max, arena, ret_changes,
                                               ret_n, ret_last, ret_more)
                               : status;
}

static enum status last_seq(struct store *store, uint64_t *ret_seq)
{
    struct gated_store *gated = (struct gated_store *)store;
    return store_last_seq(gated->inner, ret_seq);
}

static enum status list_responders(struct store *store, const char *tenant, const char *after, size_t max,
                                   struct arena *arena, struct store_responder *ret_responders, size_t *ret_n,
                                   bool *ret_more)
{
    struct gated_store *gated = (struct gated_store *)store;
    return store_list_responders(gated->inner, tenant, after, max, arena, ret_responders, ret_n, ret_more);
}

static enum status all_responders(struct store *store,
                                  void (*visit)(void *ctx, const struct store_responder *responder),
                                  void *ctx)
{
    struct gated_store *gated = (struct gated_store *)store;
    return store_all_responders(gated->inner, visit, ctx);
}

static enum status due(struct store *store, int64_t before_us, int64_t after_us, size_t max,
                       struct store_key *ret_keys, size_t *ret_n)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status status = pass(gated, GATE_DUE);
    return status == STATUS_OK ? store_due(gated->inner, before_us, after_us, max, ret_keys, ret_n) : status;
}

static enum status open_from(struct store *store, int64_t from_us, uint64_t after_seq, size_t max,
                             struct store_key *ret_keys, size_t *ret_n)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status status = pass(gated, GATE_OPEN_FROM);
    return status == STATUS_OK ? store_open_from(gated->inner, from_us, after_seq, max, ret_keys, ret_n)
                               : status;
}

static enum status waiting(struct store *store, uint8_t queue, size_t max, struct store_key *ret_keys,
                           size_t *ret_n)
{
    struct gated_store *gated = (struct gated_store *)store;
    return store_waiting(gated->inner, queue, max, ret_keys, ret_n);
}

static enum status counts(struct store *store, int64_t overdue_before_us, struct store_counts *ret_counts)
{
    struct gated_store *gated = (struct gated_store *)store;
    enum status status = pass(gated, GATE_COUNTS);
    return status == STATUS_OK ? store_counts(gated->inner, overdue_before_us, ret_counts) : status;
}

static void close_both(struct store *store)
{
    struct gated_store *gated = (struct gated_store *)store;
    store_close(gated->inner);
    pthread_cond_destroy(&gated->changed);
    pthread_mutex_destroy(&gated->lock);
    free(gated);
}

struct gated_store *gated_store_new(struct store *inner)
{
    static const struct store_ops ops = {
        .close = close_both,
        .apply = apply,
        .get = get,
        .read = read_many,
        .list = list,
        .events = events,
        .changes = changes,
        .last_seq = last_seq,
        .list_responders = list_responders,
        .all_responders = all_responders,
        .due = due,
        .open_from = open_from,
        .waiting = waiting,
        .counts = counts,
    };
    struct gated_store *gated = calloc(1, sizeof(*gated));
    if (gated != NULL) {
        gated->outer.ops = &ops;
        gated->inner = inner;
        pthread_mutex_init(&gated->lock, NULL);
        pthread_cond_init(&gated->changed, NULL);
    }
    return gated;
}

void gated_store_free(struct gated_store *gated)
{
    if (gated != NULL) {
        store_close(&gated->outer);
    }
}

struct store *gated_store_outer(struct gated_store *gated)
{
    return &gated->outer;
}

struct store *gated_store_inner(struct gated_store *gated)
{
    return gated->inner;
}

static void set_held(struct gated_store *gated, enum gate gate, bool held)
{
    pthread_mutex_lock(&gated->lock);
    gated->gates[gate].held = held;
    pthread_cond_broadcast(&gated->changed);
    pthread_mutex_unlock(&gated->lock);
}

void gated_store_hold(struct gated_store *gated, enum gate gate)
{
    set_held(gated, gate, true);
}

void gated_store_release(struct gated_store *gated, enum gate gate)
{
    set_held(gated, gate, false);
}

void gated_store_fail(struct gated_store *gated, enum gate gate, enum status status)
{
    pthread_mutex_lock(&gated->lock);
    gated->gates[gate].failure = status;
    pthread_mutex_unlock(&gated->lock);
}

static struct timespec patience_ends(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += GATED_PATIENCE_S;
    return end;
}

/* Waits, with the lock held, until *figure is at least n. */
static bool await_at_least(struct gated_store *gated, const size_t *figure, size_t n)
{
    const struct timespec end = patience_ends();
    int waited = 0;
    pthread_mutex_lock(&gated->lock);
    while (*figure < n && waited == 0) {
        waited = pthread_cond_timedwait(&gated->changed, &gated->lock, &end);
    }
    bool reached = *figure >= n;
    pthread_mutex_unlock(&gated->lock);
    return reached;
}

bool gated_store_await_held(struct gated_store *gated, enum gate gate, size_t n)
{
    return await_at_least(gated, &gated->gates[gate].waiting, n);
}

bool gated_store_await_passed(struct gated_store *gated, enum gate gate, size_t n)
{
    return await_at_least(gated, &gated->gates[gate].passed, n);
}

size_t gated_store_passed(struct gated_store *gated, enum gate gate)
{
    pthread_mutex_lock(&gated->lock);
    size_t passed = gated->gates[gate].passed;
    pthread_mutex_unlock(&gated->lock);
    return passed;
}

bool gated_store_await(struct gated_store *gated, bool (*is_so)(struct store *inner, void *ctx), void *ctx)
{
    const struct timespec end = patience_ends();
    int waited = 0;
    pthread_mutex_lock(&gated->lock);
    bool so = is_so(gated->inner, ctx);
    while (!so && waited == 0) {
        waited = pthread_cond_timedwait(&gated->changed, &gated->lock, &end);
        so = is_so(gated->inner, ctx);
    }
    pthread_mutex_unlock(&gated->lock);
    return so;
}

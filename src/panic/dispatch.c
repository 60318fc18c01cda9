/*
 * Two threads: the worker of a one-worker pool, which does all the work, and the scanner, which asks it for
 * scans: every half second for what is due, and at once for what waits when a responder was freed. A scan has
 * a step for each kind, of one batch, and goes back into the queue after each, so that hints of new panics
 * get their turn between batches.
 *
 * The first round, at the start, sees everything open, due or not: the clock may have been set back since a
 * former process received a panic. What is created meanwhile is due before the round's place soon enough for
 * the round to end.
 *
 * Why nothing is forgotten: a panic leaves the due index only by a committed change that gives it a new time
 * or closes it. Why nobody is sent twice: a change is compare-and-set on the panic's version, and it binds
 * the responder in the same statement that checks that nobody else has. The roster's own marking only avoids
 * vain attempts.
 *
 * Hints travel as pointers into `hints`; a free list (a ring) makes hinting free of malloc. No free one: the
 * hint is dropped, the due scan is there for that.
 */
#include "panic/dispatch.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "core/pool.h"
#include "core/ring.h"
#include "panic/dispatch_batch.h"
#include "panic/fail_stop.h"
#include "panic/lifecycle.h"

#define HINTS_MAX 4096
/* With room for the scan. */
#define QUEUE_MAX (2 * HINTS_MAX)
#define SCAN_EVERY_US (500 * US_PER_MS)
#define AUDIT_EVERY_US (5 * US_PER_S)

struct hint {
    char tenant[STORE_TENANT_MAX + 1];
    struct id id;
};

/* One batch each, in this order. */
enum scan_step { SCAN_FIRST_ROUND, SCAN_WAITING_LIVE, SCAN_WAITING_TEST, SCAN_DUE, SCAN_STEPS };

/* What the scanner asks the worker for, and gets. One at a time. */
struct scan {
    enum scan_step step;
    bool done;
    size_t changed;
};

/* What is due in a range of times, behind (from_us, after_seq), and has still to be gone through. */
struct range {
    int64_t from_us;
    uint64_t after_seq;
    int64_t until_us;
};

struct dispatch {
    struct dispatch_config config;
    struct pool *pool;
    struct ring *free_hints;
    struct hint hints[HINTS_MAX];

    /* The worker's own. */
    struct dispatch_batch *batch;
    struct store_key keys[DISPATCH_BATCH_MAX];
    /* What the first round has still to see. */
    struct range round_near;
    struct range round_far;

    pthread_t scanner;
    bool stopped;
    pthread_mutex_t scan_lock;
    pthread_cond_t scan_wake;
    pthread_cond_t scan_done;
    /* Under scan_lock. */
    bool stopping;
    bool responder_freed;
    struct scan scan;
    struct store_counts counts;
    int64_t counted_at_us;

    struct counter hints_dropped;
};

/* The ring has twice the room that all hints need, so it is never full. */
static void return_hint(struct dispatch *dispatch, struct hint *hint)
{
    bool returned = ring_push(dispatch->free_hints, hint);
    assert(returned);
}

static size_t scan_due(struct dispatch *dispatch)
{
    int64_t now_us = clock_wall_us(dispatch->config.clock);
    size_t n = 0;
    enum status status = store_due(dispatch->config.store, now_us, now_us + LIFECYCLE_HORIZON_US,
                                   DISPATCH_BATCH_MAX, dispatch->keys, &n);
    fail_stop_on_data_loss(status, "due scan");
    return status == STATUS_OK ? dispatch_batch_run(dispatch->batch, dispatch->keys, n).changed : 0;
}

/*
 * The next batch of a range that is gone through once. Returns how many it has seen; 0 when it is over, and
 * when the store fails for now: then the range keeps its place.
 */
static size_t scan_range(struct dispatch *dispatch, struct range *range)
{
    if (range->from_us >= range->until_us) {
        return 0;
    }
    size_t n = 0;
    enum status status = store_open_from(dispatch->config.store, range->from_us, range->after_seq,
                                         DISPATCH_BATCH_MAX, dispatch->keys, &n);
    fail_stop_on_data_loss(status, "first round");
    if (status != STATUS_OK) {
        return 0;
    }
    bool last = n < DISPATCH_BATCH_MAX;
    while (n > 0 && dispatch->keys[n - 1].next_action_at_us >= range->until_us) {
        n--;
        last = true;
    }
    struct batch_end end = dispatch_batch_run(dispatch->batch, dispatch->keys, n);
    if (last && end.seen == n) {
        range->from_us = range->until_us;
    } else if (end.seen > 0) {
        range->from_us = dispatch->keys[end.seen - 1].next_action_at_us;
        range->after_seq = dispatch->keys[end.seen - 1].seq;
    }
    return end.seen;
}

/*
 * The next batch of the round that is made once, at the start, over all that is open: a panic that a former
 * process received and never looked at must not wait for a clock that has been set back in between. What is
 * due far ahead comes first, since everything that this process assigns is put there, and would be looked at
 * a second time.
 */
static size_t scan_first_round(struct dispatch *dispatch)
{
    size_t n = scan_range(dispatch, &dispatch->round_far);
    return n > 0 ? n : scan_range(dispatch, &dispatch->round_near);
}

static size_t scan_waiting(struct dispatch *dispatch, enum lifecycle_queue queue)
{
    size_t available = roster_available(dispatch->config.roster, queue == LIFECYCLE_QUEUE_TEST);
    if (available == 0) {
        return 0;
    }
    size_t n = 0;
    enum status status =
        store_waiting(dispatch->config.store, (uint8_t)queue,
                      available < DISPATCH_BATCH_MAX ? available : DISPATCH_BATCH_MAX, dispatch->keys, &n);
    fail_stop_on_data_loss(status, "waiting scan");
    return status == STATUS_OK ? dispatch_batch_run(dispatch->batch, dispatch->keys, n).changed : 0;
}

static size_t run_step(struct dispatch *dispatch, enum scan_step step)
{
    switch (step) {
    case SCAN_FIRST_ROUND:
        return scan_first_round(dispatch);
    case SCAN_WAITING_LIVE:
        return scan_waiting(dispatch, LIFECYCLE_QUEUE_LIVE);
    case SCAN_WAITING_TEST:
        return scan_waiting(dispatch, LIFECYCLE_QUEUE_TEST);
    case SCAN_DUE:
        return scan_due(dispatch);
    case SCAN_STEPS:
        break;
    }
    return 0;
}

static void run_scan(struct dispatch *dispatch)
{
    size_t changed = run_step(dispatch, dispatch->scan.step);
    pthread_mutex_lock(&dispatch->scan_lock);
    dispatch->scan.changed = changed;
    dispatch->scan.done = true;
    pthread_cond_signal(&dispatch->scan_done);
    pthread_mutex_unlock(&dispatch->scan_lock);
}

static void run_items(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)worker;
    struct dispatch *dispatch = ctx;
    size_t n_hints = 0;
    bool scan = false;
    for (size_t i = 0; i < n; i++) {
        if (items[i] == &dispatch->scan) {
            scan = true;
            continue;
        }
        const struct hint *hint = items[i];
        /* As a whole: a scan has left keys of others here. */
        struct store_key *key = &dispatch->keys[n_hints++];
        *key = (struct store_key){.id = hint->id};
        memcpy(key->tenant, hint->tenant, sizeof(hint->tenant));
        return_hint(dispatch, items[i]);
    }
    dispatch_batch_run(dispatch->batch, dispatch->keys, n_hints);
    if (scan) {
        run_scan(dispatch);
    }
}

void dispatch_hint(struct dispatch *dispatch, const char *tenant, const struct id *id)
{
    void *item;
    if (!ring_pop(dispatch->free_hints, &item)) {
        counter_add(&dispatch->hints_dropped, 1);
        return;
    }
    struct hint *hint = item;
    size_t length = strnlen(tenant, STORE_TENANT_MAX);
    memcpy(hint->tenant, tenant, length);
    hint->tenant[length] = 0;
    hint->id = *id;
    if (pool_submit(dispatch->pool, hint) != STATUS_OK) {
        counter_add(&dispatch->hints_dropped, 1);
        return_hint(dispatch, hint);
    }
}

static bool is_stopping(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->scan_lock);
    bool stopping = dispatch->stopping;
    pthread_mutex_unlock(&dispatch->scan_lock);
    return stopping;
}

static void audit(struct dispatch *dispatch, int64_t now_us)
{
    struct store_counts counts;
    enum status status = store_counts(dispatch->config.store, now_us - DISPATCH_GRACE_US, &counts);
    fail_stop_on_data_loss(status, "audit");
    if (status != STATUS_OK) {
        return;
    }
    pthread_mutex_lock(&dispatch->scan_lock);
    dispatch->counts = counts;
    dispatch->counted_at_us = now_us;
    pthread_mutex_unlock(&dispatch->scan_lock);
    if (counts.overdue > 0) {
        log_error("open panics are overdue", log_int("panics", (int64_t)counts.overdue));
    }
}

/* Until the given time, or until a responder is freed. */
static void wait_for_scan(struct dispatch *dispatch, int64_t until_us)
{
    struct timespec until = {.tv_sec = until_us / US_PER_S, .tv_nsec = until_us % US_PER_S * 1000};
    pthread_mutex_lock(&dispatch->scan_lock);
    int waited = 0;
    while (!dispatch->stopping && !dispatch->responder_freed && waited == 0) {
        waited = pthread_cond_timedwait(&dispatch->scan_wake, &dispatch->scan_lock, &until);
    }
    dispatch->responder_freed = false;
    pthread_mutex_unlock(&dispatch->scan_lock);
}

/* Has the worker do one step, when the hints before it are done; returns how much it changed. */
static size_t request_scan(struct dispatch *dispatch, enum scan_step step)
{
    dispatch->scan = (struct scan){.step = step};
    /* There is room for it beside all hints. */
    enum status status = pool_submit(dispatch->pool, &dispatch->scan);
    assert(status == STATUS_OK);
    pthread_mutex_lock(&dispatch->scan_lock);
    while (!dispatch->scan.done) {
        pthread_cond_wait(&dispatch->scan_done, &dispatch->scan_lock);
    }
    size_t changed = dispatch->scan.changed;
    pthread_mutex_unlock(&dispatch->scan_lock);
    return changed;
}

/* A batch of each kind; without `due`, of what waits only. Returns how much they changed. */
static size_t request_steps(struct dispatch *dispatch, bool due)
{
    size_t changed = 0;
    for (enum scan_step step = 0; step < SCAN_STEPS && !is_stopping(dispatch); step++) {
        bool waiting = step == SCAN_WAITING_LIVE || step == SCAN_WAITING_TEST;
        changed += due || waiting ? request_scan(dispatch, step) : 0;
    }
    return changed;
}

static void *run_scanner(void *arg)
{
    struct dispatch *dispatch = arg;
    int64_t next_scan_us = 0;
    int64_t next_audit_us = 0;
    while (!is_stopping(dispatch)) {
        wait_for_scan(dispatch, next_scan_us);
        bool due = monotonic_us() >= next_scan_us;
        while (!is_stopping(dispatch) && request_steps(dispatch, due) > 0) {
        }
        if (!due) {
            continue;
        }
        next_scan_us = monotonic_us() + SCAN_EVERY_US;
        if (monotonic_us() >= next_audit_us) {
            audit(dispatch, clock_wall_us(dispatch->config.clock));
            next_audit_us = monotonic_us() + AUDIT_EVERY_US;
        }
    }
    return NULL;
}

void dispatch_responder_freed(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->scan_lock);
    dispatch->responder_freed = true;
    pthread_cond_signal(&dispatch->scan_wake);
    pthread_mutex_unlock(&dispatch->scan_lock);
}

static void init_scan(struct dispatch *dispatch)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&dispatch->scan_lock, NULL);
    pthread_cond_init(&dispatch->scan_wake, &monotonic);
    pthread_cond_init(&dispatch->scan_done, NULL);
    pthread_condattr_destroy(&monotonic);
}

static enum status start_hints(struct dispatch *dispatch)
{
    enum status status = ring_new(2 * HINTS_MAX, &dispatch->free_hints);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < HINTS_MAX; i++) {
        return_hint(dispatch, &dispatch->hints[i]);
    }
    const struct pool_config config = {.name = "dispatch",
                                       .workers = 1,
                                       .capacity = QUEUE_MAX,
                                       .batch_max = DISPATCH_BATCH_MAX,
                                       .run = run_items,
                                       .ctx = dispatch};
    return pool_new(&config, &dispatch->pool);
}

enum status dispatch_start(const struct dispatch_config *config, struct dispatch **ret_dispatch)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
    if (dispatch == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    dispatch->config = *config;
    int64_t now_us = clock_wall_us(config->clock);
    dispatch->round_near = (struct range){.from_us = now_us + 1, .until_us = now_us + LIFECYCLE_REVIEW_US};
    dispatch->round_far = (struct range){.from_us = now_us + LIFECYCLE_REVIEW_US,
                                         .until_us = now_us + LIFECYCLE_HORIZON_US + 1};
    init_scan(dispatch);
    enum status status = dispatch_batch_new(config, &dispatch->batch);
    if (status == STATUS_OK) {
        status = start_hints(dispatch);
    }
    if (status == STATUS_OK && pthread_create(&dispatch->scanner, NULL, run_scanner, dispatch) != 0) {
        status = STATUS_RESOURCE_EXHAUSTED;
    }
    if (status != STATUS_OK) {
        dispatch->stopped = true;
        dispatch_free(dispatch);
        return status;
    }
    *ret_dispatch = dispatch;
    return STATUS_OK;
}

void dispatch_stop(struct dispatch *dispatch)
{
    if (dispatch->stopped) {
        return;
    }
    dispatch->stopped = true;
    pthread_mutex_lock(&dispatch->scan_lock);
    dispatch->stopping = true;
    pthread_cond_signal(&dispatch->scan_wake);
    pthread_mutex_unlock(&dispatch->scan_lock);
    pthread_join(dispatch->scanner, NULL);
    pool_stop(dispatch->pool);
}

void dispatch_free(struct dispatch *dispatch)
{
    if (dispatch == NULL) {
        return;
    }
    dispatch_stop(dispatch);
    pool_free(dispatch->pool);
    ring_free(dispatch->free_hints);
    dispatch_batch_free(dispatch->batch);
    pthread_cond_destroy(&dispatch->scan_wake);
    pthread_cond_destroy(&dispatch->scan_done);
    pthread_mutex_destroy(&dispatch->scan_lock);
    free(dispatch);
}

const struct histogram *dispatch_latency_us(const struct dispatch *dispatch)
{
    return &dispatch_batch_figures(dispatch->batch)->latency_us;
}

struct dispatch_stats dispatch_stats(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->scan_lock);
    struct store_counts counts = dispatch->counts;
    int64_t counted_at_us = dispatch->counted_at_us;
    pthread_mutex_unlock(&dispatch->scan_lock);
    const struct dispatch_figures *figures = dispatch_batch_figures(dispatch->batch);
    return (struct dispatch_stats){.assigned = counter_read(&figures->assigned),
                                   .unassigned = counter_read(&figures->unassigned),
                                   .overtaken = counter_read(&figures->overtaken),
                                   .hints_dropped = counter_read(&dispatch->hints_dropped),
                                   .queue = pool_stats(dispatch->pool),
                                   .counts = counts,
                                   .counted_at_us = counted_at_us};
}

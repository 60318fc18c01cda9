/*
 * Two threads: the worker of a one-worker pool, which does all the work, and the scanner, which asks it for
 * scans: every half second for what is due, and at once for what waits when a responder was freed. A scan
 * does one batch of each kind and goes back into the queue, so that hints of new panics get their turn
 * between batches.
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
#include "panic/fail_stop.h"
#include "panic/lifecycle.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"
#include "rpc/alloc.h"

#define HINTS_MAX 4096
#define BATCH_MAX STORE_BATCH_MAX
#define SCAN_EVERY_US (500 * US_PER_MS)
#define AUDIT_EVERY_US (5 * US_PER_S)
/* Rows of a batch with their content, and the messages made from them. */
#define BATCH_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define BATCH_ARENA_FIRST (256 * 1024)

struct hint {
    char tenant[STORE_TENANT_MAX + 1];
    struct id id;
};

/* One panic of a batch: as read, as it is to be, and what was taken from the roster for it. */
struct job {
    struct store_panic before;
    struct store_panic after;
    struct store_event event;
    const Panic__V1__CreatePanicRequest *content;
    struct roster_match match;
    bool took;
    /* Its place in the cache: held through the commit; the version before the change was there. */
    struct view_key key;
    bool held;
    bool cached;
};

/* What the scanner asks the worker for, and gets. One at a time. */
struct scan {
    bool due;
    bool done;
    size_t changed;
};

/* Due times. */
struct range {
    int64_t from_us;
    int64_t until_us;
};

struct dispatch {
    struct dispatch_config config;
    struct pool *pool;
    struct ring *free_hints;
    struct hint hints[HINTS_MAX];

    /* The worker's own. */
    struct job jobs[BATCH_MAX];
    struct store_op ops[BATCH_MAX];
    struct store_key keys[BATCH_MAX];
    struct arena arena;
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

    struct histogram latency_us;
    struct counter assigned;
    struct counter unassigned;
    struct counter overtaken;
    struct counter hints_dropped;
};

static struct store_location place_of(const Panic__V1__CreatePanicRequest *content)
{
    if (content->location == NULL) {
        return (struct store_location){.known = false};
    }
    return (struct store_location){
        .known = true, .lat = content->location->lat, .lng = content->location->lng};
}

/*
 * What is to be done about the panic; false when nothing is. A waiting panic that is not due yet is tried
 * when it comes along, but a vain try is not written down: otherwise every freed responder would cost a write
 * for each panic that waits.
 */
static bool decide(struct dispatch *dispatch, struct job *job, int64_t now_us)
{
    struct lifecycle_command command = {.actor = "dispatch", .distance_m = -1};
    bool due = lifecycle_is_due(&job->before, now_us);
    if (lifecycle_needs_responder(&job->before)) {
        struct store_location place = place_of(job->content);
        bool test = job->content->mode == PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
        job->took = roster_take(dispatch->config.roster, job->before.tenant, &place, test, &job->match);
        bool first_look = job->before.waiting == 0;
        if (!job->took && !due && !first_look) {
            return false;
        }
        command.kind = job->took ? LIFECYCLE_ASSIGN : LIFECYCLE_NO_RESPONDER;
        command.responder_id = job->match.responder_id;
        command.distance_m = job->match.distance_m;
        command.queue = test ? LIFECYCLE_QUEUE_TEST : LIFECYCLE_QUEUE_LIVE;
    } else if (due) {
        command.kind = LIFECYCLE_REVIEW;
    } else {
        return false;
    }
    return lifecycle_apply(&job->before, &command, now_us, &job->after, &job->event) == STATUS_OK;
}

/*
 * Reads the panic. NOT_FOUND when it is gone, closed or damaged: there is nothing to be done about it;
 * RESOURCE_EXHAUSTED when it does not fit into the batch any more, or cannot be read just now.
 */
static enum status load(struct dispatch *dispatch, const struct store_key *key, struct job *job)
{
    *job = (struct job){0};
    enum status status =
        store_get(dispatch->config.store, key->tenant, &key->id, &dispatch->arena, &job->before);
    fail_stop_on_data_loss(status, "dispatch");
    if (status == STATUS_RESOURCE_EXHAUSTED) {
        return status;
    }
    if (status != STATUS_OK || !lifecycle_is_open(&job->before)) {
        return STATUS_NOT_FOUND;
    }
    ProtobufCAllocator allocator = rpc_arena_allocator(&dispatch->arena);
    job->content = panic__v1__create_panic_request__unpack(&allocator, job->before.content.length,
                                                           job->before.content.data);
    return job->content != NULL ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

static void give_back(struct dispatch *dispatch, struct job *job)
{
    if (job->took) {
        roster_release(dispatch->config.roster, job->before.tenant, job->match.responder_id);
    }
}

static void note_change(struct dispatch *dispatch, struct job *job)
{
    if (job->took) {
        counter_add(&dispatch->assigned, 1);
        int64_t waited_us = job->after.assign_time_us - job->after.create_time_us;
        histogram_record(&dispatch->latency_us, waited_us > 0 ? (uint64_t)waited_us : 0);
    } else if (job->after.waiting) {
        counter_add(&dispatch->unassigned, 1);
    } else {
        char id[ID_TEXT_SIZE];
        log_warn(
            "panic still open", log_str("id", id_format(&job->after.id, id)),
            log_str("responder", job->after.responder_id),
            log_int("minutes", (job->after.update_time_us - job->after.create_time_us) / (60 * US_PER_S)));
    }
}

/*
 * In a backlog most panics are of no interest to anybody just now: they are not brought into the cache. Where
 * the place could not be held, the new version is needed there to keep the old one from coming back.
 */
static void renew_cache(struct dispatch *dispatch, const struct job *job)
{
    if (job->held && !job->cached) {
        return;
    }
    const Panic__V1__Panic *panic = view_build(&job->after, job->content, &dispatch->arena);
    struct view_packed packed = {0};
    if (panic != NULL) {
        packed = view_pack(panic, 0, &dispatch->arena);
    }
    view_cache_put(dispatch->config.cache, &job->after, &packed);
}

/* What became of a batch: how many of its panics were looked at, from the first, and how many changed. */
struct batch_end {
    size_t seen;
    size_t changed;
};

/*
 * Works off up to BATCH_MAX panics. Nothing is changed when the store has no room, so that callers who loop
 * until there is nothing to do come to an end; then nothing counts as seen either.
 */
static struct batch_end run_batch(struct dispatch *dispatch, const struct store_key *keys, size_t n)
{
    int64_t now_us = clock_wall_us(dispatch->config.clock);
    struct batch_end end = {0};
    size_t n_jobs = 0;
    for (size_t i = 0; i < n; i++) {
        struct job *job = &dispatch->jobs[n_jobs];
        enum status loaded = load(dispatch, &keys[i], job);
        if (loaded == STATUS_RESOURCE_EXHAUSTED && i > 0) {
            break;
        }
        /* The first one always fits: if it cannot be had, it must not stand in the way of the others. */
        if (loaded == STATUS_RESOURCE_EXHAUSTED) {
            continue;
        }
        end.seen = i + 1;
        if (loaded == STATUS_OK && decide(dispatch, job, now_us)) {
            job->key = view_key(job->before.tenant, &job->before.id);
            job->held =
                view_cache_hold_change(dispatch->config.cache, &job->key, job->before.version, &job->cached);
            dispatch->ops[n_jobs] = (struct store_op){
                .kind = STORE_UPDATE, .panic = &job->after, .event = &job->event, .arena = &dispatch->arena};
            n_jobs++;
        }
    }
    enum status status = n_jobs > 0 ? store_apply(dispatch->config.store, dispatch->ops, n_jobs) : STATUS_OK;
    fail_stop_on_data_loss(status, "dispatch");
    if (status != STATUS_OK) {
        end.seen = 0;
    }
    const char *told = NULL;
    for (size_t i = 0; i < n_jobs; i++) {
        struct job *job = &dispatch->jobs[i];
        if (status == STATUS_OK && dispatch->ops[i].outcome == STATUS_OK) {
            note_change(dispatch, job);
            renew_cache(dispatch, job);
            hub_changed(dispatch->config.hub, job->after.tenant, &job->after.id, &told);
            end.changed++;
        } else {
            counter_add(&dispatch->overtaken, status == STATUS_OK);
            give_back(dispatch, job);
        }
        if (job->held) {
            view_cache_let_go(dispatch->config.cache, &job->key);
        }
    }
    arena_reset(&dispatch->arena);
    return end;
}

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
    enum status status = store_due(dispatch->config.store, now_us, now_us + LIFECYCLE_HORIZON_US, BATCH_MAX,
                                   dispatch->keys, &n);
    fail_stop_on_data_loss(status, "due scan");
    return status == STATUS_OK ? run_batch(dispatch, dispatch->keys, n).changed : 0;
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
    enum status status = store_due(dispatch->config.store, -1, range->from_us, BATCH_MAX, dispatch->keys, &n);
    fail_stop_on_data_loss(status, "first round");
    if (status != STATUS_OK) {
        return 0;
    }
    bool last = n < BATCH_MAX;
    while (n > 0 && dispatch->keys[n - 1].next_action_at_us >= range->until_us) {
        n--;
        last = true;
    }
    struct batch_end end = run_batch(dispatch, dispatch->keys, n);
    if (last && end.seen == n) {
        range->from_us = range->until_us;
    } else if (end.seen > 0 && dispatch->keys[end.seen - 1].next_action_at_us > range->from_us) {
        range->from_us = dispatch->keys[end.seen - 1].next_action_at_us;
    } else if (end.seen > 0 && end.changed == 0) {
        /*
         * A whole batch at one instant of which nothing had to change, so nothing of it will move out of the
         * way: what is behind it at this instant is left to the due scan.
         */
        log_warn("first round passes over an instant", log_int("due_us", range->from_us));
        range->from_us++;
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
    enum status status = store_waiting(dispatch->config.store, (uint8_t)queue,
                                       available < BATCH_MAX ? available : BATCH_MAX, dispatch->keys, &n);
    fail_stop_on_data_loss(status, "waiting scan");
    return status == STATUS_OK ? run_batch(dispatch, dispatch->keys, n).changed : 0;
}

static void run_scan(struct dispatch *dispatch)
{
    size_t changed = dispatch->scan.due ? scan_first_round(dispatch) : 0;
    changed += scan_waiting(dispatch, LIFECYCLE_QUEUE_LIVE);
    changed += scan_waiting(dispatch, LIFECYCLE_QUEUE_TEST);
    changed += dispatch->scan.due ? scan_due(dispatch) : 0;
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
        memcpy(dispatch->keys[n_hints].tenant, hint->tenant, sizeof(hint->tenant));
        dispatch->keys[n_hints].id = hint->id;
        n_hints++;
        return_hint(dispatch, items[i]);
    }
    run_batch(dispatch, dispatch->keys, n_hints);
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

/* Has the worker do one round; returns how much it changed. */
static size_t request_scan(struct dispatch *dispatch, bool due)
{
    dispatch->scan = (struct scan){.due = due};
    if (pool_submit(dispatch->pool, &dispatch->scan) != STATUS_OK) {
        return 0; /* full of hints: the next round comes soon enough */
    }
    pthread_mutex_lock(&dispatch->scan_lock);
    while (!dispatch->scan.done) {
        pthread_cond_wait(&dispatch->scan_done, &dispatch->scan_lock);
    }
    size_t changed = dispatch->scan.changed;
    pthread_mutex_unlock(&dispatch->scan_lock);
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
        while (!is_stopping(dispatch) && request_scan(dispatch, due) > 0) {
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
                                       .capacity = HINTS_MAX,
                                       .batch_max = BATCH_MAX,
                                       .run = run_items,
                                       .ctx = dispatch};
    return pool_new(&config, &dispatch->pool);
}

enum status dispatch_start(const struct dispatch_config *config, struct dispatch **ret_dispatch)
{
    struct dispatch *dispatch = calloc(1, sizeof(*dispatch));
    void *first = malloc(BATCH_ARENA_FIRST);
    if (dispatch == NULL || first == NULL) {
        free(dispatch);
        free(first);
        return STATUS_RESOURCE_EXHAUSTED;
    }
    dispatch->config = *config;
    arena_init(&dispatch->arena, first, BATCH_ARENA_FIRST, BATCH_ARENA_MAX);
    int64_t now_us = clock_wall_us(config->clock);
    dispatch->round_near = (struct range){.from_us = now_us + 1, .until_us = now_us + LIFECYCLE_REVIEW_US};
    dispatch->round_far = (struct range){.from_us = now_us + LIFECYCLE_REVIEW_US,
                                         .until_us = now_us + LIFECYCLE_HORIZON_US + 1};
    init_scan(dispatch);
    enum status status = start_hints(dispatch);
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
    void *first = dispatch->arena.first;
    arena_reset(&dispatch->arena);
    free(first);
    pthread_cond_destroy(&dispatch->scan_wake);
    pthread_cond_destroy(&dispatch->scan_done);
    pthread_mutex_destroy(&dispatch->scan_lock);
    free(dispatch);
}

const struct histogram *dispatch_latency_us(const struct dispatch *dispatch)
{
    return &dispatch->latency_us;
}

struct dispatch_stats dispatch_stats(struct dispatch *dispatch)
{
    pthread_mutex_lock(&dispatch->scan_lock);
    struct store_counts counts = dispatch->counts;
    int64_t counted_at_us = dispatch->counted_at_us;
    pthread_mutex_unlock(&dispatch->scan_lock);
    return (struct dispatch_stats){.assigned = counter_read(&dispatch->assigned),
                                   .unassigned = counter_read(&dispatch->unassigned),
                                   .overtaken = counter_read(&dispatch->overtaken),
                                   .hints_dropped = counter_read(&dispatch->hints_dropped),
                                   .queue = pool_stats(dispatch->pool),
                                   .counts = counts,
                                   .counted_at_us = counted_at_us};
}

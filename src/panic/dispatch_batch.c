/*
 * The panics of a batch are read in one transaction, and written in another. What happened in between shows
 * in their versions: each change holds only for the one that was read.
 *
 * Rows and the messages made from them have arenas of their own, so that one panic, however long, always
 * fits; of those that follow it as many are taken as there is room for.
 */
#include "panic/dispatch_batch.h"

#include <stdlib.h>

#include "base/log.h"
#include "panic/fail_stop.h"
#include "panic/lifecycle.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"
#include "rpc/alloc.h"

/* Rows with their content, and the messages made from them. */
#define ROWS_ARENA_MAX ((size_t)16 * 1024 * 1024)
#define MESSAGES_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define ARENA_FIRST ((size_t)512 * 1024)

/* One panic of a batch: as read, as it is to be, and what was taken from the roster for it. */
struct job {
    const struct store_panic *before;
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

struct dispatch_batch {
    struct dispatch_config config;
    struct dispatch_figures figures;
    struct store_panic rows[DISPATCH_BATCH_MAX];
    enum status statuses[DISPATCH_BATCH_MAX];
    struct job jobs[DISPATCH_BATCH_MAX];
    struct store_op ops[DISPATCH_BATCH_MAX];
    struct arena rows_arena;
    struct arena messages_arena;
    /* The first pieces of the arenas. Owned. */
    void *rows_first;
    void *messages_first;
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
static bool decide(struct dispatch_batch *batch, struct job *job, int64_t now_us)
{
    struct lifecycle_command command = {.actor = "dispatch", .distance_m = -1};
    bool due = lifecycle_is_due(job->before, now_us);
    if (lifecycle_needs_responder(job->before)) {
        struct store_location place = place_of(job->content);
        bool test = job->content->mode == PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
        job->took = roster_take(batch->config.roster, job->before->tenant, &place, test, &job->match);
        bool first_look = job->before->waiting == 0;
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
    return lifecycle_apply(job->before, &command, now_us, &job->after, &job->event) == STATUS_OK;
}

static bool try_unpack(struct dispatch_batch *batch, struct job *job)
{
    ProtobufCAllocator allocator = rpc_arena_allocator(&batch->messages_arena);
    job->content = panic__v1__create_panic_request__unpack(&allocator, job->before->content.length,
                                                           job->before->content.data);
    return job->content != NULL;
}

/*
 * False when the messages arena is full, or the content damaged. With no job before it the arena holds
 * nothing that is needed: then only damage is left as a reason.
 */
static bool unpack(struct dispatch_batch *batch, struct job *job, bool first)
{
    if (try_unpack(batch, job)) {
        return true;
    }
    if (first) {
        arena_reset(&batch->messages_arena);
    }
    return first && try_unpack(batch, job);
}

static void give_back(struct dispatch_batch *batch, struct job *job)
{
    if (job->took) {
        roster_release(batch->config.roster, job->before->tenant, job->match.responder_id);
    }
}

static void note_change(struct dispatch_batch *batch, struct job *job)
{
    if (job->took) {
        counter_add(&batch->figures.assigned, 1);
        int64_t waited_us = job->after.assign_time_us - job->after.create_time_us;
        histogram_record(&batch->figures.latency_us, waited_us > 0 ? (uint64_t)waited_us : 0);
    } else if (job->after.waiting) {
        counter_add(&batch->figures.unassigned, 1);
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
static void renew_cache(struct dispatch_batch *batch, const struct job *job)
{
    if (job->held && !job->cached) {
        return;
    }
    const Panic__V1__Panic *panic = view_build(&job->after, job->content, &batch->messages_arena);
    struct view_packed packed = {0};
    if (panic != NULL) {
        packed = view_pack(panic, 0, &batch->messages_arena);
    }
    view_cache_put(batch->config.cache, &job->after, &packed);
}

/* How many of the keys were read; 0 also when the store cannot be read for now. */
static size_t read_rows(struct dispatch_batch *batch, const struct store_key *keys, size_t n)
{
    size_t n_read = 0;
    enum status status = n == 0 ? STATUS_NOT_FOUND
                                : store_read(batch->config.store, keys, n, &batch->rows_arena, batch->rows,
                                             batch->statuses, &n_read);
    fail_stop_on_data_loss(status, "dispatch");
    return status == STATUS_OK ? n_read : 0;
}

static void hold_place(struct dispatch_batch *batch, struct job *job)
{
    job->key = view_key(job->before->tenant, &job->before->id);
    job->held = view_cache_hold_change(batch->config.cache, &job->key, job->before->version, &job->cached);
}

/*
 * Decides on the panics that were read, as far as there is room; *ret_seen of them, from the first. What is
 * gone, closed or damaged must not stand in the way of the others. Returns how many jobs there are.
 */
static size_t plan(struct dispatch_batch *batch, size_t n_read, size_t *ret_seen)
{
    int64_t now_us = clock_wall_us(batch->config.clock);
    size_t n_jobs = 0;
    size_t seen = 0;
    for (; seen < n_read; seen++) {
        struct job *job = &batch->jobs[n_jobs];
        *job = (struct job){.before = &batch->rows[seen]};
        if (batch->statuses[seen] != STATUS_OK || !lifecycle_is_open(job->before)) {
            continue;
        }
        if (!unpack(batch, job, n_jobs == 0)) {
            if (n_jobs > 0) {
                break;
            }
            continue;
        }
        if (decide(batch, job, now_us)) {
            hold_place(batch, job);
            batch->ops[n_jobs++] =
                (struct store_op){.kind = STORE_UPDATE, .panic = &job->after, .event = &job->event};
        } else {
            give_back(batch, job);
        }
    }
    *ret_seen = seen;
    return n_jobs;
}

/* Whether the panic was changed. */
static bool finish(struct dispatch_batch *batch, struct job *job, enum status status, enum status outcome,
                   const char **told)
{
    bool changed = status == STATUS_OK && outcome == STATUS_OK;
    if (changed) {
        note_change(batch, job);
        renew_cache(batch, job);
        hub_changed(batch->config.hub, job->after.tenant, &job->after.id, told);
    } else {
        counter_add(&batch->figures.overtaken, status == STATUS_OK);
        give_back(batch, job);
    }
    if (job->held) {
        view_cache_let_go(batch->config.cache, &job->key);
    }
    return changed;
}

struct batch_end dispatch_batch_run(struct dispatch_batch *batch, const struct store_key *keys, size_t n)
{
    struct batch_end end = {0};
    size_t n_jobs = plan(batch, read_rows(batch, keys, n), &end.seen);
    enum status status = n_jobs > 0 ? store_apply(batch->config.store, batch->ops, n_jobs) : STATUS_OK;
    fail_stop_on_data_loss(status, "dispatch");
    const char *told = NULL;
    for (size_t i = 0; i < n_jobs; i++) {
        end.changed += finish(batch, &batch->jobs[i], status, batch->ops[i].outcome, &told);
    }
    if (status != STATUS_OK) {
        end.seen = 0;
    }
    arena_reset(&batch->messages_arena);
    arena_reset(&batch->rows_arena);
    return end;
}

enum status dispatch_batch_new(const struct dispatch_config *config, struct dispatch_batch **ret_batch)
{
    struct dispatch_batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    batch->config = *config;
    batch->rows_first = malloc(ARENA_FIRST);
    batch->messages_first = malloc(ARENA_FIRST);
    if (batch->rows_first == NULL || batch->messages_first == NULL) {
        dispatch_batch_free(batch);
        return STATUS_RESOURCE_EXHAUSTED;
    }
    arena_init(&batch->rows_arena, batch->rows_first, ARENA_FIRST, ROWS_ARENA_MAX);
    arena_init(&batch->messages_arena, batch->messages_first, ARENA_FIRST, MESSAGES_ARENA_MAX);
    *ret_batch = batch;
    return STATUS_OK;
}

void dispatch_batch_free(struct dispatch_batch *batch)
{
    if (batch != NULL) {
        free(batch->rows_first);
        free(batch->messages_first);
        free(batch);
    }
}

const struct dispatch_figures *dispatch_batch_figures(const struct dispatch_batch *batch)
{
    return &batch->figures;
}

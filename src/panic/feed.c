/*
 * A call that may wait is registered with the hub before it is queued, so the number of those is bounded
 * where they come in; and so is the number of those that do not wait. The queue has room for all of both: a
 * woken call, which cannot be refused any more, always finds a place.
 *
 * A call looks, and is answered when it has found something, when the feed has led it on without finding
 * anything (the caller goes on from there), when nothing can come any more, or when its time is over; else it
 * parks. A call whose deadline is before the end of its wait is answered a little before that.
 */
#include "panic/feed.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "panic/fail_stop.h"
#include "panic/lifecycle.h"
#include "panic/service_internal.h"
#include "panic/v1/panic_service.pb-c.h"
#include "panic/view.h"

/* A power of two: all calls, and all threads that may be submitting. */
#define QUEUE_MAX 1024
#define BATCH_MAX 16
#define WAIT_MAX_MS 30000
/* What is left of a deadline for the way of the answer. */
#define ANSWER_US (50 * US_PER_MS)
#define FROM_NOW (-1)

static_assert(2 * SERVICE_EVENTS_MAX <= QUEUE_MAX, "a woken call must find a place");

struct feed {
    struct service *service;
    struct pool *pool;
    struct hub *hub;
    /* Calls under way that do not wait. */
    atomic_uint polls;
};

/* A call under way. In its arena. */
struct watch {
    struct hub_waiter waiter;
    struct feed *feed;
    struct rpc_call *call;
    bool waits;
    int64_t after;
    size_t max;
    struct store_change *changes;
    size_t n;
    /* The panic asked for is closed, and nothing comes behind what was found. */
    bool is_closed;
};

/* ---- answers ---- */

static void leave(struct watch *watch)
{
    if (watch->waits) {
        hub_leave(watch->feed->hub, &watch->waiter);
    } else {
        atomic_fetch_sub(&watch->feed->polls, 1);
    }
}

static Panic__V1__PanicEvent *event_of(const struct store_change *change, struct arena *arena)
{
    Panic__V1__PanicEvent *event = arena_alloc(arena, sizeof(*event));
    char *id = arena_alloc(arena, ID_TEXT_SIZE);
    Google__Protobuf__Timestamp *time = view_time(change->event.at_us, arena);
    if (event == NULL || id == NULL || time == NULL) {
        return NULL;
    }
    panic__v1__panic_event__init(event);
    event->sequence = (int64_t)change->seq;
    event->panic_id = (char *)id_format(&change->panic_id, id);
    event->version = (int64_t)change->event.version;
    event->type = (char *)change->event.type;
    event->actor = (char *)change->event.actor;
    event->event_time = time;
    event->from_stage = (Panic__V1__PanicStage)change->event.from_stage;
    event->to_stage = (Panic__V1__PanicStage)change->event.to_stage;
    return event;
}

static void reply(const struct watch *watch)
{
    struct rpc_call *call = watch->call;
    Panic__V1__ListEventsResponse response = PANIC__V1__LIST_EVENTS_RESPONSE__INIT;
    response.events = arena_alloc(&call->arena, watch->n * sizeof(Panic__V1__PanicEvent *));
    bool complete = response.events != NULL;
    for (size_t i = 0; i < watch->n && complete; i++) {
        response.events[i] = event_of(&watch->changes[i], &call->arena);
        complete = response.events[i] != NULL;
    }
    if (!complete) {
        service_fail(call, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    response.n_events = watch->n;
    response.last_sequence = watch->after;
    response.closed = watch->is_closed;
    rpc_call_reply(call, &response.base);
}

static void answer(struct watch *watch, enum status status)
{
    struct rpc_call *call = watch->call;
    bool was_cut = status == STATUS_OK && watch->waits && watch->n == 0 && !watch->is_closed &&
                   hub_is_closed(watch->feed->hub);
    leave(watch);
    if (was_cut) {
        rpc_call_fail(call, STATUS_UNAVAILABLE, "the server is shutting down; go on from the same sequence");
    } else if (status == STATUS_OK) {
        reply(watch);
    } else if (status == STATUS_NOT_FOUND) {
        service_fail_not_found(call);
    } else if (status == STATUS_OUT_OF_RANGE) {
        rpc_call_fail(
            call, status,
            "after_sequence: the feed has not come so far; it is another store's. Start over from 0");
    } else {
        service_fail(call, status);
    }
}

/* ---- looking ---- */

/* Whether the panic is there, if only on its way into the store, and whether it is closed. */
static enum status look_at_panic(struct watch *watch, struct arena *arena, bool *ret_closed)
{
    const struct hub_waiter *waiter = &watch->waiter;
    struct store_panic row;
    struct view_packed placeholder;
    enum status status =
        service_find(watch->feed->service, waiter->tenant, &waiter->id, arena, &row, &placeholder);
    *ret_closed = status == STATUS_OK && row.version > 0 && !lifecycle_is_open(&row);
    return status;
}

/* A number that the feed has not reached was given by another one. */
static enum status check_range(struct watch *watch)
{
    uint64_t last;
    enum status status = store_last_seq(watch->feed->service->config.store, &last);
    if (status == STATUS_OK && watch->after == FROM_NOW) {
        watch->after = (int64_t)last;
    } else if (status == STATUS_OK && (uint64_t)watch->after > last) {
        status = STATUS_OUT_OF_RANGE;
    }
    return status;
}

/*
 * Reads the next page into the watch; `arena` is for what is of no use beyond. The panic is read before its
 * changes: if it was closed then, they have its end in them. *ret_found says that there is something to tell.
 */
static enum status look(struct watch *watch, struct arena *arena, bool *ret_found)
{
    const struct hub_waiter *waiter = &watch->waiter;
    const struct id *id = id_is_nil(&waiter->id) ? NULL : &waiter->id;
    bool closed = false;
    enum status status = id != NULL ? look_at_panic(watch, arena, &closed) : STATUS_OK;
    if (status == STATUS_OK) {
        status = check_range(watch);
    }
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t last;
    bool more;
    status = store_changes(watch->feed->service->config.store, waiter->tenant, id, (uint64_t)watch->after,
                           watch->max, &watch->call->arena, watch->changes, &watch->n, &last, &more);
    if (status == STATUS_OK) {
        watch->is_closed = closed && !more;
        *ret_found = watch->n > 0 || more || watch->is_closed;
        watch->after = (int64_t)last;
    }
    return status;
}

static void run_watch(struct watch *watch)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, RPC_ARENA_MAX);
    bool parked = false;
    bool answered = false;
    while (!parked && !answered) {
        bool is_last = !watch->waits || hub_is_over(watch->feed->hub, &watch->waiter);
        bool found = false;
        enum status status = look(watch, &arena, &found);
        arena_reset(&arena);
        answered = status != STATUS_OK || found || is_last;
        if (answered) {
            answer(watch, status);
        } else {
            parked = hub_park(watch->feed->hub, &watch->waiter);
        }
    }
}

static void run_watches(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)ctx;
    (void)worker;
    for (size_t i = 0; i < n; i++) {
        run_watch(items[i]);
    }
}

/* ---- calls ---- */

static int64_t wait_until_us(const struct rpc_call *call, int32_t wait_ms)
{
    int64_t wait_us = (int64_t)(wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS) * US_PER_MS;
    int64_t until_us = monotonic_us() + wait_us;
    if (call->deadline_us != 0 && call->deadline_us - ANSWER_US < until_us) {
        until_us = call->deadline_us - ANSWER_US;
    }
    return until_us;
}

/* Takes a place for the call: RESOURCE_EXHAUSTED when there is none, UNAVAILABLE when the feed is closed. */
static enum status enter(struct watch *watch)
{
    struct feed *feed = watch->feed;
    if (watch->waits) {
        return hub_register(feed->hub, &watch->waiter);
    }
    if (atomic_fetch_add(&feed->polls, 1) < SERVICE_POLLS_MAX) {
        return STATUS_OK;
    }
    atomic_fetch_sub(&feed->polls, 1);
    return STATUS_RESOURCE_EXHAUSTED;
}

static void submit(struct feed *feed, struct watch *watch)
{
    struct rpc_call *call = watch->call;
    enum status status = enter(watch);
    if (status == STATUS_RESOURCE_EXHAUSTED) {
        rpc_call_add_trailer(call, "retry-after", "1");
        rpc_call_fail(call, status, "too many calls wait for events; try again after a second");
        return;
    }
    if (status == STATUS_OK) {
        status = pool_submit(feed->pool, watch);
        assert(status != STATUS_RESOURCE_EXHAUSTED);
        if (status != STATUS_OK) {
            leave(watch);
        }
    }
    if (status != STATUS_OK) {
        rpc_call_fail(call, status, "the server is shutting down; go on from the same sequence");
    }
}

void feed_list_events(struct feed *feed, struct rpc_call *call)
{
    const Panic__V1__ListEventsRequest *request = (const Panic__V1__ListEventsRequest *)call->request;
    struct id id = {0};
    if (request->panic_id[0] != 0 && id_parse(request->panic_id, &id) != STATUS_OK) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT,
                      "panic_id: not a UUID; leave it empty for the events of all panics");
        return;
    }
    if (request->after_sequence < FROM_NOW) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT,
                      "after_sequence: expected a sequence, 0 for the start or -1 for now");
        return;
    }
    struct watch *watch = arena_alloc_zero(&call->arena, sizeof(*watch));
    size_t max = service_page_size(request->page_size);
    struct store_change *changes = arena_alloc(&call->arena, max * sizeof(*changes));
    if (watch == NULL || changes == NULL) {
        service_fail(call, STATUS_RESOURCE_EXHAUSTED);
        return;
    }
    *watch = (struct watch){.feed = feed,
                            .call = call,
                            .waits = request->wait_ms > 0,
                            .after = request->after_sequence,
                            .max = max,
                            .changes = changes};
    watch->waiter.tenant = call->identity.tenant;
    watch->waiter.id = id;
    watch->waiter.until_us = wait_until_us(call, request->wait_ms);
    submit(feed, watch);
}

/* ---- life ---- */

/* There is room: see the head. A pool that is closed has run everything before, and the hub is closed first.
 */
static void wake(void *ctx, struct hub_waiter *waiter)
{
    struct feed *feed = ctx;
    enum status status = pool_submit(feed->pool, waiter);
    assert(status == STATUS_OK);
    (void)status;
}

static_assert(offsetof(struct watch, waiter) == 0, "a waiter is its watch");

enum status feed_new(struct service *service, struct feed **ret_feed)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    if (feed == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    feed->service = service;
    const struct hub_config hub = {.waiters_max = SERVICE_PARKED_MAX, .wake = wake, .ctx = feed};
    const struct pool_config pool = {
        .name = "events", .workers = 1, .capacity = QUEUE_MAX, .batch_max = BATCH_MAX, .run = run_watches};
    enum status status = hub_new(&hub, &feed->hub);
    if (status == STATUS_OK) {
        status = pool_new(&pool, &feed->pool);
    }
    if (status != STATUS_OK) {
        feed_free(feed);
        return status;
    }
    *ret_feed = feed;
    return STATUS_OK;
}

struct hub *feed_hub(struct feed *feed)
{
    return feed->hub;
}

void feed_close(struct feed *feed)
{
    hub_close(feed->hub);
}

void feed_stop(struct feed *feed)
{
    feed_close(feed);
    pool_stop(feed->pool);
}

void feed_free(struct feed *feed)
{
    if (feed != NULL) {
        pool_free(feed->pool);
        hub_free(feed->hub);
        free(feed);
    }
}

struct pool_stats feed_stats(const struct feed *feed)
{
    return pool_stats(feed->pool);
}

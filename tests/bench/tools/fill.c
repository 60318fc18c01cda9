/*
 * bench_fill: fills a store with panics as years of use would, through src/store in large batches, many times
 * faster than through panicd.
 *
 *     bench_fill URL N [PENDING [RESPONDERS [FIRST]]]
 *
 * N panics with the ids of load/ids.h from number FIRST on, all of them closed but the last PENDING, which
 * wait for a responder. RESPONDERS are free ones, put after the panics. What is there already stays.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "bench/load/ids.h"
#include "panic/lifecycle.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "store/store.h"

#define TENANT "default"
#define BATCH STORE_BATCH_MAX
#define ARENA_MAX ((size_t)16 * 1024 * 1024)

struct fill {
    struct store *store;
    struct arena arena;
    uint64_t panics;
    uint64_t pending;
    uint64_t first;
    int64_t now_us;
    struct store_panic rows[BATCH];
    struct store_responder responders[BATCH];
    struct store_op ops[BATCH];
};

static void check(enum status status, const char *what)
{
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_fill: %s: %s\n", what, status_name(status));
        exit(EXIT_FAILURE);
    }
}

/* What bench_load's creates leave in a store. */
static struct bytes content_of(const char *id, struct arena *arena)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    request.id = (char *)id;
    request.subject_id = (char *)"bench";
    request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_LIVE;
    request.location = &location;
    uint8_t *packed = arena_alloc(arena, panic__v1__create_panic_request__get_packed_size(&request));
    check(packed != NULL ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED, "content");
    return (struct bytes){packed, panic__v1__create_panic_request__pack(&request, packed)};
}

static void set_closed(struct store_panic *row)
{
    row->status = PANIC__V1__PANIC_STATUS__PANIC_STATUS_RESOLVED;
    row->stage = PANIC__V1__PANIC_STAGE__PANIC_STAGE_RESOLVED;
    row->waiting = 0;
    row->next_action_at_us = 0;
}

static void set_panic(struct fill *fill, uint64_t i, struct store_panic *row)
{
    char text[BENCH_ID_LENGTH + 1] = {0};
    struct id id;
    bench_id_stored(fill->first + i, text);
    check(id_parse(text, &id), text);
    bool closed = i < fill->panics - fill->pending;
    *row = lifecycle_create(TENANT, &id, content_of(text, &fill->arena), LIFECYCLE_QUEUE_LIVE, false,
                            fill->now_us);
    if (closed) {
        set_closed(row);
    }
}

static void apply(struct fill *fill, size_t n)
{
    check(store_apply(fill->store, fill->ops, n), "batch");
    for (size_t i = 0; i < n; i++) {
        check(fill->ops[i].outcome, "row");
    }
    arena_reset(&fill->arena);
}

static void put_panics(struct fill *fill)
{
    for (uint64_t first = 0; first < fill->panics; first += BATCH) {
        size_t n = fill->panics - first < BATCH ? (size_t)(fill->panics - first) : BATCH;
        for (size_t i = 0; i < n; i++) {
            set_panic(fill, first + i, &fill->rows[i]);
            fill->ops[i] =
                (struct store_op){.kind = STORE_CREATE, .panic = &fill->rows[i], .arena = &fill->arena};
        }
        apply(fill, n);
    }
}

static void set_responder(struct fill *fill, uint64_t i, struct store_responder *row)
{
    Panic__V1__Responder message = PANIC__V1__RESPONDER__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9 + (double)(i % 100) * 0.001;
    location.lng = 18.4 + (double)(i / 100 % 100) * 0.001;
    message.id = arena_printf(&fill->arena, "unit-%llu", (unsigned long long)i);
    message.state = PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_AVAILABLE;
    message.location = &location;
    uint8_t *packed = arena_alloc(&fill->arena, panic__v1__responder__get_packed_size(&message));
    check(message.id != NULL && packed != NULL ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED, "responder");
    *row = (struct store_responder){.tenant = TENANT,
                                    .id = message.id,
                                    .state = (uint8_t)message.state,
                                    .location = {.known = true, .lat = location.lat, .lng = location.lng},
                                    .update_time_us = fill->now_us,
                                    .content = {packed, panic__v1__responder__pack(&message, packed)}};
}

static void put_responders(struct fill *fill, uint64_t responders)
{
    for (uint64_t first = 0; first < responders; first += BATCH) {
        size_t n = responders - first < BATCH ? (size_t)(responders - first) : BATCH;
        for (size_t i = 0; i < n; i++) {
            set_responder(fill, first + i, &fill->responders[i]);
            fill->ops[i] = (struct store_op){
                .kind = STORE_PUT_RESPONDER, .responder = &fill->responders[i], .arena = &fill->arena};
        }
        apply(fill, n);
    }
}

static uint64_t count(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end != 0 || errno != 0 || value > 1000000000) {
        fprintf(stderr, "bench_fill: \"%s\" is not a number up to 1000000000\n", text);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 6) {
        fprintf(stderr, "Usage: bench_fill URL N [PENDING [RESPONDERS [FIRST]]]\n");
        return 64;
    }
    static struct fill fill;
    fill.panics = count(argv[2]);
    fill.pending = argc > 3 ? count(argv[3]) : 0;
    uint64_t responders = argc > 4 ? count(argv[4]) : 0;
    fill.first = argc > 5 ? count(argv[5]) : 0;
    if (fill.pending > fill.panics) {
        fprintf(stderr, "bench_fill: more pending than there are\n");
        return 64;
    }
    fill.now_us = clock_wall_us(clock_system());
    arena_init(&fill.arena, NULL, 0, ARENA_MAX);
    struct diag diag = {0};
    if (store_open(argv[1], &fill.store, &diag) != STATUS_OK) {
        fprintf(stderr, "bench_fill: %s\n", diag.text);
        return EXIT_FAILURE;
    }
    put_panics(&fill);
    put_responders(&fill, responders);
    store_close(fill.store);
    arena_reset(&fill.arena);
    return EXIT_SUCCESS;
}

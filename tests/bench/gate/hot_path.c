/*
 * The hot path in this process, for valgrind's callgrind to count the instructions of: creates, gets that hit
 * the cache, and dispatches, each in a section of its own, from the packed request to the packed answer, over
 * an SQLite store.
 *
 *     bench_hot_path FOLDER
 *
 * The same instructions in every run, as far as threads allow. What would differ is fixed: ids, clock and
 * content; and the size of batches, by a gate before the store. A batch of creates is one of 1, held at the
 * gate until the others are queued, and one of the others. Of the dispatches none but the first begins before
 * all are queued.
 *
 * Before a section the counters are zeroed, and after it they are written to a file, named by the section.
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <valgrind/callgrind.h>

#include "bench/load/ids.h"
#include "panic/service.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/envelope.h"
#include "support/gated_store.h"

#define TENANT "default"
#define CALLS 64
/* The first block of an arena, as rpc/server.c has it. */
#define FIRST_BLOCK 8192
#define WARM_UP_ROUNDS 4
#define CREATE_ROUNDS 12
#define GET_ROUNDS 48
#define DISPATCH_ROUNDS 8
#define RESPONDERS (DISPATCH_ROUNDS * CALLS)
#define PATIENCE_S 120

#define CREATE_PATH "/panic.v1.PanicService/CreatePanic"
#define GET_PATH "/panic.v1.PanicService/GetPanic"
#define PUT_PATH "/panic.v1.DispatchService/PutResponder"

struct hot_call {
    /* First, so that the transport finds the rest. */
    struct rpc_call call;
    alignas(max_align_t) char first[FIRST_BLOCK];
    uint8_t payload[512];
    size_t length;
};

struct hot_path {
    struct gated_store *store;
    struct cache *cache;
    struct service *service;
    struct rpc_router *router;
    struct hot_call calls[CALLS];
    uint64_t panics;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    unsigned answered;
};

static struct hot_path hot = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "bench_hot_path: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static int64_t wall_us(const struct clock *clock)
{
    (void)clock;
    return 1735689600 * US_PER_S;
}

/* ---- calls ---- */

static void finish(struct rpc_call *call, const struct rpc_response *response)
{
    check(call->status == STATUS_OK, call->message);
    nng_msg *msg = envelope_response(call, response);
    check(msg != NULL, "no memory");
    nng_msg_free(msg);
    arena_reset(&call->arena);
    pthread_mutex_lock(&hot.lock);
    hot.answered++;
    pthread_cond_signal(&hot.changed);
    pthread_mutex_unlock(&hot.lock);
}

static void set_payload(struct hot_call *call, const ProtobufCMessage *request)
{
    check(protobuf_c_message_get_packed_size(request) <= sizeof(call->payload), "request too long");
    call->length = protobuf_c_message_pack(request, call->payload);
}

static void start(struct hot_call *call, const char *path)
{
    static const struct rpc_transport transport = {.finish = finish};
    struct rpc_method *method = rpc_router_find(hot.router, path, strlen(path));
    check(method != NULL, path);
    call->call = (struct rpc_call){.transport = &transport, .identity = {.tenant = TENANT}, .start_us = 1};
    arena_init(&call->call.arena, call->first, sizeof(call->first), RPC_ARENA_MAX);
    rpc_router_dispatch(method, &call->call, call->payload, call->length);
}

static void wait_for_answers(unsigned n)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    int error = 0;
    pthread_mutex_lock(&hot.lock);
    while (hot.answered < n && error == 0) {
        error = pthread_cond_timedwait(&hot.changed, &hot.lock, &end);
    }
    check(hot.answered == n, "calls were not answered");
    hot.answered = 0;
    pthread_mutex_unlock(&hot.lock);
}

/* The first is held at the gate until all are queued. */
static void run_batch(const char *path, enum gate gate)
{
    gated_store_hold(hot.store, gate);
    start(&hot.calls[0], path);
    check(gated_store_await_held(hot.store, gate, 1), "the store was not asked");
    for (size_t i = 1; i < CALLS; i++) {
        start(&hot.calls[i], path);
    }
    gated_store_release(hot.store, gate);
    wait_for_answers(CALLS);
}

/* ---- requests ---- */

static void prepare_create(struct hot_call *call, Panic__V1__PanicMode mode)
{
    char id[BENCH_ID_LENGTH + 1] = {0};
    bench_id_stored(hot.panics++, id);
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    location.lat = -33.9;
    location.lng = 18.4;
    request.id = id;
    request.subject_id = (char *)"bench";
    request.mode = mode;
    request.location = &location;
    set_payload(call, &request.base);
}

static void create_round(Panic__V1__PanicMode mode)
{
    for (size_t i = 0; i < CALLS; i++) {
        prepare_create(&hot.calls[i], mode);
    }
    run_batch(CREATE_PATH, GATE_CREATE);
}

static void get_round(void)
{
    for (size_t i = 0; i < CALLS; i++) {
        start(&hot.calls[i], GET_PATH);
    }
    wait_for_answers(CALLS);
}

static void prepare_get(struct hot_call *call, uint64_t panic)
{
    char id[BENCH_ID_LENGTH + 1] = {0};
    bench_id_stored(panic, id);
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = id;
    set_payload(call, &request.base);
}

static void put_round(unsigned first)
{
    for (unsigned i = 0; i < CALLS; i++) {
        char id[16];
        snprintf(id, sizeof(id), "unit-%u", first + i);
        Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
        Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
        Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
        location.lat = -33.9 + i * 0.001;
        location.lng = 18.4;
        responder.id = id;
        responder.location = &location;
        request.responder = &responder;
        set_payload(&hot.calls[i], &request.base);
    }
    run_batch(PUT_PATH, GATE_PUT_RESPONDER);
}

/* ---- sections ---- */

/* For tests/bench/gate.sh: what the dump holds and how many of them. */
static void end_section(const char *name, unsigned operations)
{
    CALLGRIND_DUMP_STATS_AT(name);
    printf("%s %u\n", name, operations);
}

static void measure_creates(void)
{
    for (int i = 0; i < WARM_UP_ROUNDS; i++) {
        create_round(PANIC__V1__PANIC_MODE__PANIC_MODE_TEST);
    }
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < CREATE_ROUNDS; i++) {
        create_round(PANIC__V1__PANIC_MODE__PANIC_MODE_TEST);
    }
    end_section("create", CREATE_ROUNDS * CALLS);
}

static void measure_gets(void)
{
    for (size_t i = 0; i < CALLS; i++) {
        prepare_get(&hot.calls[i], i);
    }
    get_round();
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < GET_ROUNDS; i++) {
        get_round();
    }
    end_section("get", GET_ROUNDS * CALLS);
}

struct awaited {
    uint64_t dispatched;
};

static bool is_dispatched(struct store *inner, void *ctx)
{
    (void)inner;
    const struct awaited *awaited = ctx;
    return service_stats(hot.service).dispatch.assigned >= awaited->dispatched;
}

/* Each round's panics, with the dispatch of the first of them held until hints of all are queued. */
static void measure_dispatches(void)
{
    for (unsigned i = 0; i < RESPONDERS; i += CALLS) {
        put_round(i);
    }
    gated_store_hold(hot.store, GATE_DISPATCH);
    for (int i = 0; i < DISPATCH_ROUNDS; i++) {
        create_round(PANIC__V1__PANIC_MODE__PANIC_MODE_LIVE);
        check(gated_store_await_held(hot.store, GATE_DISPATCH, 1), "nothing was dispatched");
    }
    CALLGRIND_ZERO_STATS;
    gated_store_release(hot.store, GATE_DISPATCH);
    struct awaited awaited = {.dispatched = RESPONDERS};
    check(gated_store_await(hot.store, is_dispatched, &awaited), "not all were dispatched");
    end_section("dispatch", RESPONDERS);
}

static void start_service(const char *folder)
{
    static const struct clock clock = {.wall_us = wall_us};
    char url[4096];
    snprintf(url, sizeof(url), "sqlite:%s/panicd.db", folder);
    struct store *inner;
    struct diag diag = {0};
    check(store_open(url, &inner, &diag) == STATUS_OK, diag.text);
    hot.store = gated_store_new(inner);
    check(hot.store != NULL, "no memory");
    const struct cache_config cache = {
        .bytes_max = (size_t)32 * 1024 * 1024, .ttl_us = 3600 * US_PER_S, .shards = 16};
    check(cache_new(&cache, &hot.cache) == STATUS_OK, "no memory");
    const struct service_config config = {.store = gated_store_outer(hot.store),
                                          .cache = hot.cache,
                                          .clock = &clock,
                                          .calls_max = 1024,
                                          .responders_max = RESPONDERS};
    check(service_start(&config, &hot.service) == STATUS_OK, "the service does not start");
    struct rpc_service services[SERVICE_COUNT];
    service_describe(hot.service, services);
    check(rpc_router_new(services, SERVICE_COUNT, &hot.router) == STATUS_OK, "no memory");
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "Usage: bench_hot_path FOLDER\n");
        return 64;
    }
    start_service(argv[1]);
    measure_creates();
    measure_gets();
    measure_dispatches();
    service_free(hot.service);
    rpc_router_free(hot.router);
    cache_free(hot.cache);
    gated_store_free(hot.store);
    return EXIT_SUCCESS;
}

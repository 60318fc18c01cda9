/*
 * A thread that hands a finished call back to its loop touches the loop once more after the call is in its
 * queue. Here it stands still between the two (the linker wraps ring_push), while the loop answers the call
 * and is told to stop: that must wait for it, since a loop that has stopped is freed.
 */
#include "harness/test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/ring.h"
#include "harness/http_client.h"
#include "panic/v1/panic_service.pb-c.h"
#include "shim/shim.h"

#define PATIENCE_US (30 * US_PER_S)
/* For what must not happen. */
#define SHORT_US (300 * US_PER_MS)

bool __real_ring_push(struct ring *ring, void *item);
bool __wrap_ring_push(struct ring *ring, void *item);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
/* All under lock. */
static struct rpc_call *held;
static bool is_halted;
static bool may_go;
static bool has_stopped;

/* Of the thread that is to stand still. */
static _Thread_local bool halts;

static void set(bool *flag)
{
    pthread_mutex_lock(&lock);
    *flag = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* Whether it was set in time. */
static bool wait_for(const bool *flag, int64_t patience_us)
{
    int64_t until_us = monotonic_us() + patience_us;
    const struct timespec until = {.tv_sec = until_us / US_PER_S, .tv_nsec = until_us % US_PER_S * 1000};
    pthread_mutex_lock(&lock);
    int waited = 0;
    while (!*flag && waited == 0) {
        waited = pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
    }
    bool is_set = *flag;
    pthread_mutex_unlock(&lock);
    return is_set;
}

bool __wrap_ring_push(struct ring *ring, void *item)
{
    bool pushed = __real_ring_push(ring, item);
    if (halts) {
        set(&is_halted);
        (void)wait_for(&may_go, PATIENCE_US);
    }
    return pushed;
}

/* ---- the service ---- */

static bool is_held;

static void hold(void *ctx, struct rpc_call *call)
{
    (void)ctx;
    held = call;
    set(&is_held);
}

static void list_events(void *ctx, struct rpc_call *call)
{
    const Panic__V1__ListEventsRequest *request = (const Panic__V1__ListEventsRequest *)call->request;
    const Panic__V1__ListEventsResponse nothing = PANIC__V1__LIST_EVENTS_RESPONSE__INIT;
    if (request->wait_ms > 0) {
        hold(ctx, call);
    } else {
        rpc_call_reply(call, &nothing.base);
    }
}

static void *finish_and_halt(void *arg)
{
    struct rpc_call *call = arg;
    halts = true;
    rpc_call_fail(call, STATUS_UNAVAILABLE, "away");
    return NULL;
}

static void *stop(void *arg)
{
    shim_stop(arg);
    set(&has_stopped);
    return NULL;
}

/* ---- tests ---- */

struct fixture {
    struct rpc_health health;
    struct rpc_router *router;
    struct shim *shim;
};

static void start(struct fixture *f)
{
    static const struct rpc_binding bindings[] = {
        {.method = "CreatePanic", .handler = hold},
        {.method = "ListEvents", .handler = list_events, .read_only = true}};
    const struct rpc_service service = {
        .descriptor = &panic__v1__panic_service__descriptor, .bindings = bindings, .n_bindings = 2};
    *f = (struct fixture){0};
    is_held = is_halted = may_go = has_stopped = false;
    assert_ok(rpc_router_new(&service, 1, &f->router));
    const struct shim_config config = {.address = "127.0.0.1:0",
                                       .router = f->router,
                                       .health = &f->health,
                                       .tenant = "test",
                                       .loops = 1,
                                       .calls_max = 1};
    struct diag diag;
    assert_ok(shim_start(&config, &f->shim, &diag));
}

/* Has the call finished by a thread that stands still, reads the answer, and stops the shim meanwhile. */
static void stop_while_handing_back(const char *request, int status)
{
    struct fixture f;
    struct http_answer answer;
    pthread_t finisher;
    pthread_t stopper;
    start(&f);
    int fd = http_connect(shim_address(f.shim), NULL);
    http_send(fd, request);
    assert_true(wait_for(&is_held, PATIENCE_US));
    assert_int_equal(pthread_create(&finisher, NULL, finish_and_halt, held), 0);
    assert_true(wait_for(&is_halted, PATIENCE_US));
    shim_close(f.shim);
    http_receive(fd, &answer);
    assert_int_equal(answer.status, status);
    http_answer_free(&answer);
    close(fd);
    assert_int_equal(pthread_create(&stopper, NULL, stop, f.shim), 0);
    assert_false(wait_for(&has_stopped, SHORT_US));
    set(&may_go);
    pthread_join(finisher, NULL);
    assert_true(wait_for(&has_stopped, PATIENCE_US));
    pthread_join(stopper, NULL);
    shim_free(f.shim);
    rpc_router_free(f.router);
}

static void test_stop_waits_for_who_hands_a_call_back(void **state)
{
    (void)state;
    stop_while_handing_back("POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}", 503);
}

static void test_stop_waits_for_who_hands_a_stream_back(void **state)
{
    (void)state;
    stop_while_handing_back("GET /events HTTP/1.1\r\nHost: test\r\n\r\n", 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_waits_for_who_hands_a_call_back),
        cmocka_unit_test(test_stop_waits_for_who_hands_a_stream_back),
    };
    return cmocka_run_group_tests_name("shim: hand back", tests, NULL, NULL);
}

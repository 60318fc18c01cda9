/*
 * A thread that hands a finished call back to its loop touches the loop once more after the call is in its
 * queue. Here it stands still between the two (the linker wraps ring_push), while the loop answers the call
 * and is told to stop: that must wait for it, since a loop that has stopped is freed.
 */
#include "unit/shim/rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/ring.h"

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

static void start(struct shim_rig *rig)
{
    static const struct rpc_binding bindings[] = {
        {.method = "CreatePanic", .handler = hold},
        {.method = "ListEvents", .handler = list_events, .read_only = true}};
    is_held = is_halted = may_go = has_stopped = false;
    shim_rig_start(rig, bindings, 2, NULL, &(struct shim_config){.calls_max = 1});
}

/* Has the call finished by a thread that stands still, reads the answer, and stops the shim meanwhile. */
static void stop_while_handing_back(const char *request, int status)
{
    struct shim_rig rig;
    struct http_answer answer;
    pthread_t finisher;
    pthread_t stopper;
    start(&rig);
    int fd = http_connect(rig.url, NULL);
    http_send(fd, request);
    assert_true(wait_for(&is_held, PATIENCE_US));
    assert_int_equal(pthread_create(&finisher, NULL, finish_and_halt, held), 0);
    assert_true(wait_for(&is_halted, PATIENCE_US));
    shim_close(rig.shim);
    http_receive(fd, &answer);
    assert_int_equal(answer.status, status);
    http_answer_free(&answer);
    close(fd);
    assert_int_equal(pthread_create(&stopper, NULL, stop, rig.shim), 0);
    assert_false(wait_for(&has_stopped, SHORT_US));
    set(&may_go);
    pthread_join(finisher, NULL);
    assert_true(wait_for(&has_stopped, PATIENCE_US));
    pthread_join(stopper, NULL);
    shim_rig_end(&rig);
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

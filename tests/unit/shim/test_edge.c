/*
 * A shim of its own, with limits so short that they can be waited for and handlers that hold their calls
 * until the test lets them go: what happens when things are late, full, gone or about to stop.
 */
#include "unit/shim/rig.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* For a deadline that is to pass; far longer than a test takes for what must come before it. */
#define SHORT_MS 600
#define HELD_MAX 64
#define CREATE "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"
#define GET "GET /panic/018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41 HTTP/1.1\r\nHost: test\r\n\r\n"
#define EVENTS                                                                                               \
    "POST /panic.v1.PanicService/ListEvents HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"    \
    "Content-Length: 16\r\n\r\n{\"waitMs\":30000}"
#define HEALTH "GET /health HTTP/1.1\r\nHost: test\r\n\r\n"

struct fixture {
    struct shim_rig rig;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    struct rpc_call *held[HELD_MAX];
    size_t n_held;
    bool end;
};

/* ---- handlers ---- */

static void hold(void *ctx, struct rpc_call *call)
{
    struct fixture *f = ctx;
    pthread_mutex_lock(&f->lock);
    assert_true(f->n_held < HELD_MAX);
    f->held[f->n_held++] = call;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* More than the kernel's buffers take. */
static void answer_much(void *ctx, struct rpc_call *call)
{
    enum { LENGTH = 900 * 1024 };
    (void)ctx;
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    char *text = malloc(LENGTH + 1);
    assert_non_null(text);
    memset(text, 'x', LENGTH);
    text[LENGTH] = 0;
    panic.id = text;
    response.panic = &panic;
    rpc_call_reply(call, &response.base);
    free(text);
}

static void reply(struct rpc_call *call)
{
    if (call->method->descriptor->output == &panic__v1__list_events_response__descriptor) {
        const Panic__V1__ListEventsResponse nothing = PANIC__V1__LIST_EVENTS_RESPONSE__INIT;
        rpc_call_reply(call, &nothing.base);
        return;
    }
    Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    panic.id = (char *)"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41";
    response.panic = &panic;
    rpc_call_reply(call, &response.base);
}

static void wait_held(struct fixture *f, size_t n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_US / US_PER_S;
    pthread_mutex_lock(&f->lock);
    int waited = 0;
    while (f->n_held < n && waited == 0) {
        waited = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    }
    assert_int_equal(f->n_held, n);
    pthread_mutex_unlock(&f->lock);
}

/* NULL when none is held. */
static struct rpc_call *take_held(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    struct rpc_call *call = f->n_held > 0 ? f->held[--f->n_held] : NULL;
    pthread_mutex_unlock(&f->lock);
    return call;
}

static void let_go(struct fixture *f)
{
    struct rpc_call *call;
    while ((call = take_held(f)) != NULL) {
        reply(call);
    }
}

/* ---- fixture ---- */

static void start(struct fixture *f, const struct shim_config *wanted)
{
    static const struct rpc_binding bindings[] = {
        {.method = "CreatePanic", .handler = hold},
        {.method = "GetPanic", .handler = answer_much, .read_only = true},
        {.method = "ListEvents", .handler = hold, .read_only = true}};
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    shim_rig_start(&f->rig, bindings, 3, f, wanted);
}

static void end(struct fixture *f)
{
    shim_rig_end(&f->rig);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

static bool became_readable(int fd, int wait_ms)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    return poll(&ready, 1, wait_ms) == 1;
}

/* ---- deadlines ---- */

/* The bytes come one by one and never stop: for evhttp alone that keeps the connection for ever. */
static void drip_until_refused(struct fixture *f, const char *beginning)
{
    int64_t begin_us = monotonic_us();
    int fd = http_connect(f->rig.url, NULL);
    http_send(fd, beginning);
    while (!became_readable(fd, 10)) {
        http_send(fd, "x");
        assert_true(monotonic_us() - begin_us < PATIENCE_US);
    }
    http_expect_status(fd, 408);
    assert_true(monotonic_us() - begin_us >= SHORT_MS * US_PER_MS);
    close(fd);
}

static void test_head_that_drips_in_ends_at_its_deadline(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.limits = {.head_ms = SHORT_MS}});
    drip_until_refused(&f, "GET /health HTTP/1.1\r\nX-Slow: ");
    assert_int_equal(shim_stats(f.rig.shim).guarded, 1);
    end(&f);
}

static void test_body_that_drips_in_ends_at_its_deadline(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.limits = {.body_ms = SHORT_MS}});
    drip_until_refused(&f, "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n");
    end(&f);
}

static void test_connection_without_a_request_ends_in_silence(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.limits = {.head_ms = SHORT_MS}});
    int fd = http_connect(f.rig.url, NULL);
    assert_true(http_is_closed(fd));
    close(fd);
    end(&f);
}

static void test_connection_that_rests_too_long_ends(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.limits = {.idle_ms = SHORT_MS}});
    int fd = http_connect(f.rig.url, NULL);
    int64_t begin_us = monotonic_us();
    http_send(fd, HEALTH);
    http_expect_status(fd, 200);
    assert_true(http_is_closed(fd));
    assert_true(monotonic_us() - begin_us >= SHORT_MS * US_PER_MS);
    close(fd);
    end(&f);
}

static void test_client_that_does_not_take_its_answer_is_cut_off(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.limits = {.send_ms = SHORT_MS}});
    const int small = 4096;
    int fd = http_connect(f.rig.url, NULL);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < 8; i++) {
        http_send(fd, GET);
    }
    WAIT_UNTIL(shim_stats(f.rig.shim).requests > 0 && shim_stats(f.rig.shim).connections == 0);
    close(fd);
    end(&f);
}

static void test_handler_may_take_longer_than_any_deadline(void **state)
{
    (void)state;
    struct fixture f;
    const struct shim_limits limits = {
        .head_ms = SHORT_MS, .body_ms = SHORT_MS, .send_ms = SHORT_MS, .idle_ms = SHORT_MS};
    start(&f, &(struct shim_config){.limits = limits});
    int fd = http_connect(f.rig.url, NULL);
    http_send(fd, CREATE);
    wait_held(&f, 1);
    assert_false(became_readable(fd, 3 * SHORT_MS));
    let_go(&f);
    http_expect_status(fd, 202);
    close(fd);
    end(&f);
}

/* ---- caps ---- */

static void test_connections_of_one_address_are_capped(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.limits = {.connections_per_address_max = 2}});
    int first = http_connect(f.rig.url, "127.0.0.2");
    int second = http_connect(f.rig.url, "127.0.0.2");
    WAIT_UNTIL(shim_stats(f.rig.shim).connections == 2);
    int third = http_connect(f.rig.url, "127.0.0.2");
    http_expect_status(third, 503);
    assert_true(http_is_closed(third));
    int other = http_connect(f.rig.url, "127.0.0.3");
    http_send(other, HEALTH);
    http_expect_status(other, 200);
    close(first);
    WAIT_UNTIL(shim_stats(f.rig.shim).connections == 2);
    int fourth = http_connect(f.rig.url, "127.0.0.2");
    http_send(fourth, HEALTH);
    http_expect_status(fourth, 200);
    assert_int_equal(shim_stats(f.rig.shim).connections_refused, 1);
    close(second);
    close(third);
    close(other);
    close(fourth);
    end(&f);
}

static void test_connections_in_all_are_capped(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.loops = 2, .limits = {.connections_max = 3}});
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = http_connect(f.rig.url, NULL);
        http_send(fds[i], HEALTH);
        http_expect_status(fds[i], 200);
    }
    int fourth = http_connect(f.rig.url, NULL);
    http_expect_status(fourth, 503);
    assert_true(http_is_closed(fourth));
    close(fourth);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    end(&f);
}

/* ---- calls ---- */

static void test_with_every_call_under_way_creates_wait_and_reads_do_not(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.calls_max = 1});
    int first = http_connect(f.rig.url, NULL);
    int second = http_connect(f.rig.url, NULL);
    int read = http_connect(f.rig.url, NULL);
    http_send(first, CREATE);
    wait_held(&f, 1);
    http_send(second, CREATE);
    WAIT_UNTIL(shim_stats(f.rig.shim).waited == 1);
    http_send(read, GET);
    struct http_answer answer;
    http_receive(read, &answer);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    http_expect(&answer, 503, "code", "unavailable");
    http_send(read, HEALTH);
    http_expect_status(read, 200);
    /* One only: when it is out, the next takes its place. */
    reply(take_held(&f));
    http_expect_status(first, 202);
    wait_held(&f, 1);
    let_go(&f);
    http_expect_status(second, 202);
    close(first);
    close(second);
    close(read);
    end(&f);
}

static void test_calls_that_wait_for_events_leave_three_quarters_to_others(void **state)
{
    enum { CALLS = 8, EVENTS_MAX = CALLS / 4 };
    (void)state;
    struct fixture f;
    struct http_answer answer;
    int fds[CALLS];
    start(&f, &(struct shim_config){.calls_max = CALLS});
    for (size_t i = 0; i < CALLS; i++) {
        fds[i] = http_connect(f.rig.url, NULL);
    }
    for (size_t i = 0; i < EVENTS_MAX; i++) {
        http_send(fds[i], EVENTS);
    }
    wait_held(&f, EVENTS_MAX);
    http_send(fds[EVENTS_MAX], EVENTS);
    http_receive(fds[EVENTS_MAX], &answer);
    assert_non_null(http_header(&answer, "Retry-After"));
    http_expect(&answer, 503, "code", "unavailable");
    for (size_t i = EVENTS_MAX; i < CALLS; i++) {
        http_send(fds[i], CREATE);
    }
    wait_held(&f, CALLS);
    let_go(&f);
    for (size_t i = 0; i < CALLS; i++) {
        http_expect_status(fds[i], i < EVENTS_MAX ? 200 : 202);
    }
    http_send(fds[0], EVENTS);
    wait_held(&f, 1);
    let_go(&f);
    http_expect_status(fds[0], 200);
    for (size_t i = 0; i < CALLS; i++) {
        close(fds[i]);
    }
    end(&f);
}

static void test_connection_that_closes_during_its_call_harms_nobody(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.calls_max = 2});
    int first = http_connect(f.rig.url, NULL);
    http_send(first, CREATE);
    wait_held(&f, 1);
    const struct linger reset = {.l_onoff = 1};
    setsockopt(first, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(first);
    int second = http_connect(f.rig.url, NULL);
    http_send(second, CREATE);
    wait_held(&f, 2);
    let_go(&f);
    http_expect_status(second, 202);
    WAIT_UNTIL(shim_stats(f.rig.shim).in_flight == 0 && shim_stats(f.rig.shim).connections == 1);
    close(second);
    end(&f);
}

static void *finish_calls(void *arg)
{
    struct fixture *f = arg;
    for (;;) {
        pthread_mutex_lock(&f->lock);
        while (f->n_held == 0 && !f->end) {
            pthread_cond_wait(&f->changed, &f->lock);
        }
        bool is_over = f->n_held == 0;
        pthread_mutex_unlock(&f->lock);
        if (is_over) {
            return NULL;
        }
        struct rpc_call *call = take_held(f);
        if (call != NULL) {
            reply(call);
        }
    }
}

static void test_answers_from_many_threads_reach_their_own_requests(void **state)
{
    enum { CONNECTIONS = 16, ROUNDS = 200, THREADS = 3 };
    (void)state;
    struct fixture f;
    pthread_t threads[THREADS];
    int fds[CONNECTIONS];
    start(&f, &(struct shim_config){.loops = 2, .calls_max = 6});
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, finish_calls, &f), 0);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = http_connect(f.rig.url, NULL);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CONNECTIONS; i++) {
            char request[256];
            snprintf(
                request, sizeof(request),
                "POST /panic HTTP/1.1\r\nHost: test\r\nX-Request-Id: %d-%d\r\nContent-Length: 2\r\n\r\n{}",
                round, i);
            http_send(fds[i], request);
        }
        for (int i = 0; i < CONNECTIONS; i++) {
            struct http_answer answer;
            char id[32];
            snprintf(id, sizeof(id), "%d-%d", round, i);
            http_receive(fds[i], &answer);
            assert_int_equal(answer.status, 202);
            assert_string_equal(http_header(&answer, "X-Request-Id"), id);
            http_answer_free(&answer);
        }
    }
    pthread_mutex_lock(&f.lock);
    f.end = true;
    pthread_cond_broadcast(&f.changed);
    pthread_mutex_unlock(&f.lock);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        close(fds[i]);
    }
    end(&f);
}

/* ---- stopping ---- */

static void *stop(void *arg)
{
    shim_stop(arg);
    return NULL;
}

static void test_stop_waits_for_calls_and_their_answers(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t stopper;
    start(&f, &(struct shim_config){.loops = 1});
    int fd = http_connect(f.rig.url, NULL);
    http_send(fd, CREATE);
    wait_held(&f, 1);
    shim_close(f.rig.shim);
    assert_int_equal(pthread_create(&stopper, NULL, stop, f.rig.shim), 0);
    assert_false(became_readable(fd, SHORT_MS));
    let_go(&f);
    struct http_answer answer;
    http_receive(fd, &answer);
    assert_string_equal(http_header(&answer, "Connection"), "close");
    assert_int_equal(answer.status, 202);
    http_answer_free(&answer);
    pthread_join(stopper, NULL);
    close(fd);
    end(&f);
}

static void test_close_ends_what_rests_and_refuses_what_comes_late(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, &(struct shim_config){.loops = 1});
    int resting = http_connect(f.rig.url, NULL);
    int late = http_connect(f.rig.url, NULL);
    http_send(resting, HEALTH);
    http_expect_status(resting, 200);
    http_send(late, "GET /health HTTP/1.1\r\n");
    WAIT_UNTIL(shim_stats(f.rig.shim).connections == 2);
    http_send(late, "Host: ");
    shim_close(f.rig.shim);
    assert_true(http_is_closed(resting));
    http_send(late, "test\r\n\r\n");
    struct http_answer answer;
    http_receive(late, &answer);
    assert_string_equal(http_header(&answer, "Connection"), "close");
    http_expect(&answer, 503, "code", "unavailable");
    close(resting);
    close(late);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_that_drips_in_ends_at_its_deadline),
        cmocka_unit_test(test_body_that_drips_in_ends_at_its_deadline),
        cmocka_unit_test(test_connection_without_a_request_ends_in_silence),
        cmocka_unit_test(test_connection_that_rests_too_long_ends),
        cmocka_unit_test(test_client_that_does_not_take_its_answer_is_cut_off),
        cmocka_unit_test(test_handler_may_take_longer_than_any_deadline),
        cmocka_unit_test(test_connections_of_one_address_are_capped),
        cmocka_unit_test(test_connections_in_all_are_capped),
        cmocka_unit_test(test_with_every_call_under_way_creates_wait_and_reads_do_not),
        cmocka_unit_test(test_calls_that_wait_for_events_leave_three_quarters_to_others),
        cmocka_unit_test(test_connection_that_closes_during_its_call_harms_nobody),
        cmocka_unit_test(test_answers_from_many_threads_reach_their_own_requests),
        cmocka_unit_test(test_stop_waits_for_calls_and_their_answers),
        cmocka_unit_test(test_close_ends_what_rests_and_refuses_what_comes_late),
    };
    return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}

/* What all connections together may hold: who is refused when there is no room, who is not, and what is given
 * back. */
#include "unit/shim/rig.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim/budget.h"

#define KIB ((size_t)1024)
#define MUCH (900 * KIB)
#define CREATE "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n{}"
#define GET "GET /panic/018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41 HTTP/1.1\r\nHost: test\r\n\r\n"
#define CREATE_MUCH "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 20\r\n\r\n{\"subjectId\":\"much\"}"
/* The kernel takes some MiB, and each request beyond is some bytes. */
#define MUCH_TIMES 16
#define HEALTH_TIMES 1500
#define HEALTH "GET /health HTTP/1.1\r\nHost: test\r\n\r\n"

struct fixture {
    struct shim_rig rig;
    char *much;
    /* A create that the handler holds until it is let go. */
    _Atomic(struct rpc_call *) held;
    atomic_bool holds;
};

static void answer_create(struct fixture *f, struct rpc_call *call)
{
    Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    const Panic__V1__CreatePanicRequest *request = (const Panic__V1__CreatePanicRequest *)call->request;
    panic.id = (char *)"7";
    response.panic = &panic;
    response.warnings = &f->much;
    response.n_warnings = strcmp(request->subject_id, "much") == 0 ? 1 : 0;
    rpc_call_reply(call, &response.base);
}

static void create(void *ctx, struct rpc_call *call)
{
    struct fixture *f = ctx;
    if (atomic_load(&f->holds)) {
        atomic_store(&f->held, call);
    } else {
        answer_create(f, call);
    }
}

static void get(void *ctx, struct rpc_call *call)
{
    const struct fixture *f = ctx;
    Panic__V1__GetPanicResponse response = PANIC__V1__GET_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    panic.id = f->much;
    response.panic = &panic;
    rpc_call_reply(call, &response.base);
}

static void start(struct fixture *f, size_t buffered_max)
{
    static const struct rpc_binding bindings[] = {{.method = "CreatePanic", .handler = create},
                                                  {.method = "GetPanic", .handler = get, .read_only = true}};
    memset(f, 0, sizeof(*f));
    f->much = malloc(MUCH + 1);
    assert_non_null(f->much);
    memset(f->much, 'x', MUCH);
    f->much[MUCH] = 0;
    shim_rig_start(&f->rig, bindings, 2, f, &(struct shim_config){.limits = {.buffered_max = buffered_max}});
}

/* The shim itself asserts that nothing is left in the budget. */
static void end(struct fixture *f)
{
    shim_rig_end(&f->rig);
    free(f->much);
}

static void expect_no_room(int fd)
{
    struct http_answer answer;
    http_receive(fd, &answer);
    const char *retry = http_header(&answer, "Retry-After");
    assert_non_null(retry);
    assert_string_equal(retry, "1");
    http_expect(&answer, 503, "error", "holds as much as it may");
}

static void expect_small_requests_served(const struct fixture *f)
{
    int fd = http_connect(f->rig.url, NULL);
    http_send(fd, CREATE);
    http_expect_status(fd, 202);
    http_send(fd, HEALTH);
    http_expect_status(fd, 200);
    close(fd);
}

/* Begins a create whose body is announced with so many bytes, and sends all but the last of them. */
static int begin_body(const struct fixture *f, size_t length)
{
    char head[128];
    char *body = malloc(length);
    assert_non_null(body);
    memset(body, ' ', length);
    snprintf(head, sizeof(head), "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n", length);
    int fd = http_connect(f->rig.url, NULL);
    http_send(fd, head);
    http_send_bytes(fd, body, length - 1);
    free(body);
    return fd;
}

/* A client that asks for more than the kernel's buffers hold, and takes nothing. */
static int ask_for_much(const struct fixture *f, const char *request)
{
    int fd = http_connect(f->rig.url, NULL);
    for (int i = 0; i < MUCH_TIMES; i++) {
        http_send(fd, request);
    }
    return fd;
}

/* An answer from the shim's one loop, for what does not count as a request: whatever the loop could do for
 * other connections when it came, it has done. */
static void turn_loop(const struct fixture *f)
{
    struct http_answer answer;
    int fd = http_connect(f->rig.url, NULL);
    http_send(fd, "nonsense\r\n\r\n");
    http_receive(fd, &answer);
    assert_true(answer.status >= 400);
    http_answer_free(&answer);
    close(fd);
}

/* Nothing has been answered for a while, in which the loop had its turns: the client's answer is stuck. */
static void wait_stuck(const struct fixture *f)
{
    int64_t since_us = monotonic_us();
    uint64_t answered = shim_stats(f->rig.shim).requests;
    unsigned turns = 0;
    WAIT_UNTIL(({
        turn_loop(f);
        turns++;
        if (shim_stats(f->rig.shim).requests != answered) {
            answered = shim_stats(f->rig.shim).requests;
            since_us = monotonic_us();
            turns = 0;
        }
        turns >= 10 && monotonic_us() - since_us > 100 * US_PER_MS;
    }));
}

/* ---- the budget itself ---- */

static void test_last_quarter_is_for_what_is_small(void **state)
{
    (void)state;
    struct budget budget = {.bytes_max = 16 * KIB};
    assert_true(budget_has_room(&budget, 0, 12 * KIB));
    assert_false(budget_has_room(&budget, 0, 12 * KIB + 1));
    budget_add(&budget, 12 * KIB);
    assert_false(budget_has_room(&budget, 0, BUDGET_SMALL + 1));
    assert_true(budget_has_room(&budget, 0, BUDGET_SMALL));
    assert_false(budget_has_room(&budget, 1, BUDGET_SMALL));
    budget_add(&budget, 4 * KIB);
    assert_false(budget_has_room(&budget, 0, 1));
    assert_true(budget_has_room(&budget, 0, 0));
    budget_add(&budget, 1);
    assert_false(budget_has_room(&budget, 0, 0));
    budget_remove(&budget, 16 * KIB + 1);
    assert_true(budget_has_room(&budget, 0, 12 * KIB));
}

/* ---- requests ---- */

static void test_long_bodies_are_refused_beyond_the_budget_and_small_requests_are_not(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 128 * KIB);
    int first = begin_body(&f, 60 * KIB);
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered >= 60 * KIB);
    int second = begin_body(&f, 60 * KIB);
    expect_no_room(second);
    assert_true(shim_stats(f.rig.shim).buffered <= 96 * KIB);
    assert_int_equal(shim_stats(f.rig.shim).no_room, 1);
    expect_small_requests_served(&f);
    http_send(first, "x");
    http_expect_status(first, 400);
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered == 0);
    int third = begin_body(&f, 60 * KIB);
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered >= 60 * KIB);
    close(third);
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered == 0);
    close(first);
    close(second);
    end(&f);
}

static void test_announced_bytes_take_no_room_before_they_come(void **state)
{
    (void)state;
    struct fixture f;
    int fds[8];
    start(&f, 128 * KIB);
    for (int i = 0; i < 8; i++) {
        fds[i] = http_connect(f.rig.url, NULL);
        http_send(fds[i], "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n");
    }
    WAIT_UNTIL(shim_stats(f.rig.shim).connections == 8);
    int fd = begin_body(&f, 60 * KIB);
    http_send(fd, "x");
    http_expect_status(fd, 400);
    assert_int_equal(shim_stats(f.rig.shim).no_room, 0);
    for (int i = 0; i < 8; i++) {
        close(fds[i]);
    }
    close(fd);
    end(&f);
}

static void test_chunked_bodies_and_heads_are_counted_too(void **state)
{
    (void)state;
    struct fixture f;
    static char chunk[10 * 1024];
    memset(chunk, ' ', sizeof(chunk));
    start(&f, 16 * KIB);
    int fd = http_connect(f.rig.url, NULL);
    http_send(fd, "POST /panic HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n2800\r\n");
    http_send_bytes(fd, chunk, sizeof(chunk));
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered >= 10 * KIB);
    int head = http_connect(f.rig.url, NULL);
    http_send(head, "GET /health HTTP/1.1\r\nX: ");
    http_send_bytes(head, chunk, 7000);
    expect_no_room(head);
    close(head);
    close(fd);
    end(&f);
}

/* Each byte in a read of its own, which costs evhttp a piece of memory of a KiB if it gets it like that. */
static void test_tiny_chunks_take_no_more_memory_than_is_counted(void **state)
{
    enum { CHUNKS = 2000 };
    (void)state;
    struct fixture f;
    start(&f, 128 * KIB);
    int fd = http_connect(f.rig.url, NULL);
    http_send(fd, "POST /panic HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered > 0);
    size_t head = shim_stats(f.rig.shim).buffered;
    size_t before = mallinfo2().uordblks;
    for (size_t i = 0; i < CHUNKS; i++) {
        http_send(fd, "1\r\n ");
        SPIN_UNTIL(shim_stats(f.rig.shim).buffered == head + 6 * i + 4);
        http_send(fd, "\r\n");
        SPIN_UNTIL(shim_stats(f.rig.shim).buffered == head + 6 * i + 6);
    }
    size_t grown = mallinfo2().uordblks - before;
    if (grown > 2 * 6 * CHUNKS + 16 * KIB) {
        fail_msg("%zu bytes for %d", grown, 6 * CHUNKS);
    }
    http_send(fd, "2\r\n{}\r\n0\r\n\r\n");
    http_expect_status(fd, 202);
    close(fd);
    end(&f);
}

static void test_request_under_way_keeps_its_room_until_it_is_answered(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 128 * KIB);
    atomic_store(&f.holds, true);
    char *body = malloc(60 * KIB);
    assert_non_null(body);
    memset(body, ' ', 60 * KIB);
    memcpy(body, "{}", 2);
    int fd = http_connect(f.rig.url, NULL);
    http_send(fd, "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 61440\r\n\r\n");
    http_send_bytes(fd, body, 60 * KIB);
    free(body);
    WAIT_UNTIL(atomic_load(&f.held) != NULL);
    assert_true(shim_stats(f.rig.shim).buffered >= 60 * KIB);
    atomic_store(&f.holds, false);
    answer_create(&f, atomic_load(&f.held));
    http_expect_status(fd, 202);
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered == 0);
    close(fd);
    end(&f);
}

/* ---- answers ---- */

static void test_answers_that_are_not_taken_keep_reads_out_and_creates_not(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3 * MUCH);
    int first = ask_for_much(&f, GET);
    wait_stuck(&f);
    int second = ask_for_much(&f, GET);
    wait_stuck(&f);
    assert_true(shim_stats(f.rig.shim).buffered >= 2 * MUCH);
    int third = http_connect(f.rig.url, NULL);
    http_send(third, GET);
    expect_no_room(third);
    expect_small_requests_served(&f);
    close(first);
    close(second);
    WAIT_UNTIL(shim_stats(f.rig.shim).buffered < MUCH);
    http_send(third, GET);
    http_expect_status(third, 200);
    close(third);
    end(&f);
}

static void test_answer_to_a_write_is_sent_whatever_its_length(void **state)
{
    (void)state;
    struct fixture f;
    struct http_answer answer;
    start(&f, MUCH / 2);
    http_call(f.rig.url, "POST", "/panic", "", "{\"subjectId\":\"much\"}", &answer);
    assert_int_equal(answer.status, 202);
    assert_true(answer.length > MUCH);
    http_answer_free(&answer);
    end(&f);
}

static void test_connect_clients_are_told_in_their_way(void **state)
{
    (void)state;
    struct fixture f;
    struct http_answer answer;
    start(&f, MUCH / 2);
    http_call(f.rig.url, "POST", "/panic.v1.PanicService/GetPanic", HTTP_JSON_TYPE, "{}", &answer);
    assert_string_equal(http_header(&answer, "Retry-After"), "1");
    http_expect(&answer, 503, "message", "holds as much as it may");
    http_call(f.rig.url, "POST", "/panic.v1.PanicService/GetPanic", HTTP_JSON_TYPE, "{}", &answer);
    http_expect(&answer, 503, "code", "unavailable");
    end(&f);
}

static void test_requests_behind_an_answer_that_is_not_taken_are_read_no_further(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, MUCH);
    int fd = ask_for_much(&f, CREATE_MUCH);
    wait_stuck(&f);
    assert_true(shim_stats(f.rig.shim).buffered >= MUCH);
    for (int i = 0; i < HEALTH_TIMES; i++) {
        http_send(fd, HEALTH);
    }
    wait_stuck(&f);
    /* Of all that was sent, what was read before the answer was stuck, and one read more. */
    assert_true(shim_stats(f.rig.shim).buffered <= MUCH + 20 * KIB);
    for (int i = 0; i < MUCH_TIMES; i++) {
        http_expect_status(fd, 202);
    }
    for (int i = 0; i < HEALTH_TIMES; i++) {
        http_expect_status(fd, 200);
    }
    close(fd);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_quarter_is_for_what_is_small),
        cmocka_unit_test(test_long_bodies_are_refused_beyond_the_budget_and_small_requests_are_not),
        cmocka_unit_test(test_announced_bytes_take_no_room_before_they_come),
        cmocka_unit_test(test_chunked_bodies_and_heads_are_counted_too),
        cmocka_unit_test(test_tiny_chunks_take_no_more_memory_than_is_counted),
        cmocka_unit_test(test_request_under_way_keeps_its_room_until_it_is_answered),
        cmocka_unit_test(test_answers_that_are_not_taken_keep_reads_out_and_creates_not),
        cmocka_unit_test(test_answer_to_a_write_is_sent_whatever_its_length),
        cmocka_unit_test(test_connect_clients_are_told_in_their_way),
        cmocka_unit_test(test_requests_behind_an_answer_that_is_not_taken_are_read_no_further),
    };
    return cmocka_run_group_tests_name("budget", tests, NULL, NULL);
}

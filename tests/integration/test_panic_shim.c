/*
 * A real panic-shim in front of a real panicd: what comes through, what its clients see while the panicd is
 * gone, silent or back, and how it stops.
 */
#include "harness/test.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/edge.h"
#include "harness/scrape.h"
#include "panic/v1/panic_service.pb-c.h"

#define SERVICE "/panic.v1.PanicService/"
#define UNKNOWN_ID "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff"
/* Far below the 30 s after which a call to a silent panicd is given up. */
#define NO_HANG_US (15 * US_PER_S)

static struct panicd *panicd;
static struct panicd *shim;
static const char *url;

static bool is_ready(void)
{
    struct http_answer answer;
    http_call(url, "GET", "/readyz", "", NULL, &answer);
    bool ready = answer.status == 200;
    http_answer_free(&answer);
    return ready;
}

/* The shim asks for the health by itself; nothing tells when. */
static void wait_ready(bool expected)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    while (is_ready() != expected) {
        assert_true(monotonic_us() < give_up_us);
        poll(NULL, 0, 5);
    }
}

static int set_up(void **state)
{
    (void)state;
    panicd = panicd_start((const char *const[]){"--http", "", NULL});
    shim = panicd_start_shim(
        (const char *const[]){"--upstream", panicd_ipc(panicd), "--http", "127.0.0.1:0", NULL});
    url = panicd_http(shim);
    wait_ready(true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    panicd_end(shim);
    panicd_end(panicd);
    return 0;
}

static void create(const char *headers, const char *body, char ret_id[64])
{
    json_t *json = edge_create(url, headers, body);
    snprintf(ret_id, 64, "%s", http_text_of(json, "id"));
    json_decref(json);
}

static void call(const char *method, const char *body, struct http_answer *answer)
{
    char target[64];
    snprintf(target, sizeof(target), SERVICE "%s", method);
    http_call(url, "POST", target, HTTP_JSON_TYPE, body, answer);
}

/* ---- what comes through ---- */

static void test_create_and_get_come_through(void **state)
{
    (void)state;
    char id[64];
    char target[80];
    struct http_answer answer;
    create(HTTP_JSON_TYPE, "{\"location\":{\"lat\":-33.9,\"lng\":18.4},\"metadata\":{\"source\":\"app\"}}",
           id);
    snprintf(target, sizeof(target), "/panic/%s", id);
    http_call(url, "GET", target, "", NULL, &answer);
    json_t *json = http_take_json(&answer, 200);
    assert_string_equal(json_string_value(json_object_get(json, "id")), id);
    const json_t *metadata = json_object_get(json, "metadata");
    assert_string_equal(json_string_value(json_object_get(metadata, "source")), "app");
    json_decref(json);
}

static void test_metrics_are_those_of_the_shim_alone(void **state)
{
    (void)state;
    static const char created[] =
        "panicd_requests_total{method=\"/panic.v1.PanicService/CreatePanic\",code=\"OK\"}";
    struct http_answer answer;
    double before = scrape_now(url, created);
    http_call(url, "POST", "/panic", HTTP_JSON_TYPE, "{}", &answer);
    http_expect(&answer, 202, "status", "processing");
    char *page = scrape(url);
    assert_true(scrape_value(page, created) == before + 1);
    assert_true(scrape_value(page, "panicd_serving") == 1);
    assert_true(scrape_value(page, "panicd_http_connections") >= 1);
    assert_null(strstr(page, "panicd_store_"));
    assert_null(strstr(page, "panicd_rpc_"));
    scrape_check_histograms(page);
    free(page);
}

static void test_connect_json_and_get_come_through(void **state)
{
    (void)state;
    char id[64];
    char text[256];
    struct http_answer answer;
    create(HTTP_JSON_TYPE, "{}", id);
    snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id);
    call("GetPanic", text, &answer);
    json_t *json = http_take_json(&answer, 200);
    const json_t *panic = json_object_get(json, "panic");
    assert_string_equal(json_string_value(json_object_get(panic, "id")), id);
    assert_true(json_boolean_value(json_object_get(panic, "durable")));
    json_decref(json);
    snprintf(text, sizeof(text), SERVICE "GetPanic?encoding=json&message=%%7B%%22id%%22:%%22%s%%22%%7D", id);
    http_call(url, "GET", text, "", NULL, &answer);
    json = http_take_json(&answer, 200);
    panic = json_object_get(json, "panic");
    assert_string_equal(json_string_value(json_object_get(panic, "id")), id);
    json_decref(json);
}

static void test_connect_binary_comes_through(void **state)
{
    (void)state;
    char id[64];
    uint8_t packed[128];
    struct http_answer answer;
    create(HTTP_JSON_TYPE, "{}", id);
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = id;
    packed[panic__v1__get_panic_request__pack(&request, packed)] = 0;
    http_call(url, "POST", SERVICE "GetPanic", "Content-Type: application/proto\r\n", (const char *)packed,
              &answer);
    edge_expect_binary_panic(&answer, id);
}

static void test_errors_keep_their_code_and_text(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(url, "GET", "/panic/" UNKNOWN_ID, "", NULL, &answer);
    http_expect(&answer, 404, "error", "Panic not found");
    call("GetPanic", "{\"id\":\"7\"}", &answer);
    http_expect(&answer, 400, "message", "id: not a UUID");
    char id[64];
    char body[128];
    create(HTTP_JSON_TYPE, "{}", id);
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"subjectId\":\"other\"}", id);
    http_call(url, "POST", "/panic", HTTP_JSON_TYPE, body, &answer);
    http_expect(&answer, 409, "code", "already_exists");
}

static void test_header_that_is_not_utf8_does_not_keep_a_panic_out(void **state)
{
    (void)state;
    char id[64];
    create(HTTP_JSON_TYPE "X-Name: Jos\xe9\r\n", "{}", id);
}

static void test_body_longer_than_panicd_takes_harms_nobody_else(void **state)
{
    (void)state;
    static char body[66000];
    char id[64];
    struct http_answer answer;
    /* Within what HTTP takes, and with its method's name beyond what a message over nng may be. */
    memset(body, 'x', sizeof(body));
    int length = snprintf(body, sizeof(body), "{\"id\":\"" UNKNOWN_ID "\",\"subjectId\":\"");
    body[length] = 'x';
    snprintf(body + 65520, 16, "\"}");
    call("CreatePanic", body, &answer);
    http_expect(&answer, 400, "code", "invalid_argument");
    create(HTTP_JSON_TYPE, "{}", id);
    assert_false(panicd_logged(shim, "upstream does not serve"));
}

static void test_deadline_of_a_read_is_kept(void **state)
{
    (void)state;
    struct http_answer answer;
    panicd_pause(panicd);
    int64_t begin_us = monotonic_us();
    http_call(url, "POST", SERVICE "ListPanics", HTTP_JSON_TYPE "Connect-Timeout-Ms: 300\r\n", "{}", &answer);
    panicd_signal(panicd, SIGCONT);
    http_expect(&answer, 504, "code", "deadline_exceeded");
    assert_in_range(monotonic_us() - begin_us, 290 * US_PER_MS, NO_HANG_US);
    wait_ready(true);
}

/* ---- calls that wait for events ---- */

#define QUIET_ID "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41"
#define WAITING_BODY "{\"panicId\":\"" QUIET_ID "\",\"afterSequence\":\"-1\",\"waitMs\":30000}"

/* A panic of which nothing new is to be told for 30 s: it waits for a responder. */
static void create_quiet_panic(void)
{
    char id[64];
    bool is_quiet = false;
    create(HTTP_JSON_TYPE, "{\"id\":\"" QUIET_ID "\"}", id);
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    while (!is_quiet) {
        struct http_answer answer;
        call("ListEvents", "{\"panicId\":\"" QUIET_ID "\"}", &answer);
        is_quiet = strstr(answer.body, "PANIC_STAGE_UNASSIGNED") != NULL;
        http_answer_free(&answer);
        assert_true(monotonic_us() < give_up_us);
    }
}

static int start_waiting(void)
{
    char request[512];
    snprintf(request, sizeof(request),
             "POST " SERVICE "ListEvents HTTP/1.1\r\nHost: test\r\n" HTTP_JSON_TYPE
             "Content-Length: %zu\r\n\r\n%s",
             strlen(WAITING_BODY), WAITING_BODY);
    int fd = http_connect(url, NULL);
    http_send(fd, request);
    return fd;
}

/* The shim gives panicd up when a call takes as long as this one would wait. */
static void test_call_that_waits_as_long_as_it_may_is_answered(void **state)
{
    (void)state;
    struct http_answer answer;
    create_quiet_panic();
    int64_t begin_us = monotonic_us();
    call("ListEvents", WAITING_BODY, &answer);
    json_t *json = http_take_json(&answer, 200);
    assert_non_null(json_object_get(json, "lastSequence"));
    json_decref(json);
    assert_true(monotonic_us() - begin_us < NO_HANG_US);
}

/* More than there are calls. Those that find no room are told so; all others wait. */
static void test_calls_that_wait_for_events_keep_no_create_waiting(void **state)
{
    enum { WAITING = 300, CREATES = 20 };
    (void)state;
    static int fds[WAITING];
    char id[64];
    size_t n_refused = 0;
    create_quiet_panic();
    for (size_t i = 0; i < WAITING; i++) {
        fds[i] = start_waiting();
    }
    int64_t begin_us = monotonic_us();
    for (size_t i = 0; i < CREATES; i++) {
        create(HTTP_JSON_TYPE, "{}", id);
    }
    assert_true(monotonic_us() - begin_us < NO_HANG_US);
    for (size_t i = 0; i < WAITING; i++) {
        struct http_answer answer;
        http_receive(fds[i], &answer);
        if (answer.status != 200) {
            assert_int_equal(answer.status, 503);
            n_refused++;
        }
        http_answer_free(&answer);
        close(fds[i]);
    }
    assert_in_range(n_refused, 1, WAITING - 1);
}

/* ---- while the panicd is gone ---- */

static void expect_unavailable(const char *method, const char *target, const char *body)
{
    struct http_answer answer;
    int64_t begin_us = monotonic_us();
    http_call(url, method, target, body != NULL ? HTTP_JSON_TYPE : "", body, &answer);
    assert_true(monotonic_us() - begin_us < NO_HANG_US);
    assert_non_null(http_header(&answer, "Retry-After"));
    http_expect(&answer, 503, "code", "unavailable");
}

static void test_without_panicd_calls_are_unavailable_and_come_back_by_themselves(void **state)
{
    (void)state;
    struct http_answer answer;
    char id[64];
    panicd_kill(panicd);
    expect_unavailable("POST", "/panic", "{}");
    expect_unavailable("GET", "/panic/" UNKNOWN_ID, NULL);
    expect_unavailable("POST", SERVICE "ListPanics", "{}");
    wait_ready(false);
    http_call(url, "GET", "/livez", "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
    panicd_restart(panicd);
    wait_ready(true);
    create(HTTP_JSON_TYPE, "{}", id);
}

static void test_silent_panicd_is_not_ready(void **state)
{
    (void)state;
    panicd_pause(panicd);
    wait_ready(false);
    panicd_signal(panicd, SIGCONT);
    wait_ready(true);
}

/* A create that the shim has taken in, and that its panicd, which is stopped, leaves without an answer. */
static int start_create(const char *key)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    char request[256];
    int fd = http_connect(url, NULL);
    snprintf(request, sizeof(request),
             "POST /panic HTTP/1.1\r\nHost: test\r\nIdempotency-Key: %s\r\nContent-Length: 2\r\n\r\n{}", key);
    http_send(fd, request);
    while (scrape_now(url, "panicd_http_in_flight") < 1) {
        assert_true(monotonic_us() < give_up_us);
        poll(NULL, 0, 5);
    }
    assert_int_equal(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 200), 0);
    return fd;
}

static void test_create_whose_answer_was_lost_is_repeated_with_its_key(void **state)
{
    (void)state;
    struct http_answer answer;
    char first[64];
    char again[64];
    create(HTTP_JSON_TYPE "Idempotency-Key: done\r\n", "{}", first);
    panicd_pause(panicd);
    int fd = start_create("lost");
    panicd_kill(panicd);
    http_receive(fd, &answer);
    http_expect(&answer, 503, "error", "Idempotency-Key");
    close(fd);
    panicd_restart(panicd);
    wait_ready(true);
    create(HTTP_JSON_TYPE "Idempotency-Key: lost\r\n", "{}", again);
    create(HTTP_JSON_TYPE "Idempotency-Key: done\r\n", "{}", again);
    assert_string_equal(again, first);
}

/* ---- start and stop ---- */

static void test_panicd_may_come_after_the_shim(void **state)
{
    (void)state;
    char socket[320];
    snprintf(socket, sizeof(socket), "ipc://%s/late.sock", panicd_folder(panicd));
    struct panicd *early =
        panicd_start_shim((const char *const[]){"--upstream", socket, "--http", "127.0.0.1:0", NULL});
    panicd_wait_log(early, "upstream does not serve");
    struct panicd *late = panicd_start_with(
        (const char *const[]){"--listen", socket, "--store", "memory:", "--http", "", NULL});
    panicd_wait_log(early, "upstream serves");
    panicd_end(early);
    panicd_end(late);
}

static void expect_bad_usage(const char *option, const char *value, const char *text)
{
    char output[4096];
    const char *const argv[] = {harness_shim_path, "--http", "127.0.0.1:0", option, value, NULL};
    assert_int_equal(harness_run(argv, output, sizeof(output)), 64);
    if (strstr(output, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, output);
    }
}

static void test_bad_usage_exits_64_and_names_the_option(void **state)
{
    (void)state;
    expect_bad_usage("--upstream", "nonsense", "--upstream: nonsense: not supported");
    expect_bad_usage("--upstream", "ws://127.0.0.1:1", "--upstream: ws://127.0.0.1:1");
    expect_bad_usage("--upstream", "tcp://127.0.0.1:0", "must name the host and the port");
    expect_bad_usage("--upstream", "tcp://:7070", "must name the host and the port");
    expect_bad_usage("--upstream", "inproc://a", "use ipc://");
    expect_bad_usage("--upstream", "tcp://192.0.2.1:7070", "without encryption");
    expect_bad_usage("--upstream", "tls+tcp://localhost:1", "needs --upstream-ca");
    expect_bad_usage("--http", "0.0.0.0:0", "--http: 0.0.0.0:0 is reachable");
    expect_bad_usage("--log-level", "loud", "--log-level");
    expect_bad_usage("--store", "memory:", "--store");
}

static void test_options_come_from_the_environment(void **state)
{
    (void)state;
    char output[4096];
    setenv("PANIC_SHIM_UPSTREAM", "nowhere", 1);
    const char *const argv[] = {harness_shim_path, NULL};
    assert_int_equal(harness_run(argv, output, sizeof(output)), 64);
    unsetenv("PANIC_SHIM_UPSTREAM");
    assert_non_null(strstr(output, "nowhere"));
}

static void test_sigterm_answers_what_was_accepted(void **state)
{
    (void)state;
    struct http_answer answer;
    panicd_pause(panicd);
    int fd = start_create("drain");
    panicd_signal(shim, SIGTERM);
    panicd_wait_log(shim, "\"event\":\"stopping\"");
    panicd_signal(panicd, SIGCONT);
    http_receive(fd, &answer);
    json_decref(http_take_json(&answer, 202));
    close(fd);
    assert_int_equal(panicd_wait(shim), 0);
    panicd_restart(shim);
    url = panicd_http(shim);
    wait_ready(true);
}

static void test_sigterm_is_not_held_up_by_a_call_that_waits(void **state)
{
    (void)state;
    struct http_answer answer;
    create_quiet_panic();
    int fd = start_waiting();
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    while (scrape_now(url, "panicd_http_in_flight") < 1) {
        assert_true(monotonic_us() < give_up_us);
    }
    int64_t begin_us = monotonic_us();
    panicd_signal(shim, SIGTERM);
    http_receive(fd, &answer);
    json_decref(http_take_json(&answer, 200));
    close(fd);
    assert_int_equal(panicd_wait(shim), 0);
    assert_true(monotonic_us() - begin_us < NO_HANG_US);
    panicd_restart(shim);
    url = panicd_http(shim);
    wait_ready(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_get_come_through),
        cmocka_unit_test(test_metrics_are_those_of_the_shim_alone),
        cmocka_unit_test(test_connect_json_and_get_come_through),
        cmocka_unit_test(test_connect_binary_comes_through),
        cmocka_unit_test(test_errors_keep_their_code_and_text),
        cmocka_unit_test(test_header_that_is_not_utf8_does_not_keep_a_panic_out),
        cmocka_unit_test(test_body_longer_than_panicd_takes_harms_nobody_else),
        cmocka_unit_test(test_deadline_of_a_read_is_kept),
        cmocka_unit_test(test_call_that_waits_as_long_as_it_may_is_answered),
        cmocka_unit_test(test_calls_that_wait_for_events_keep_no_create_waiting),
        cmocka_unit_test(test_without_panicd_calls_are_unavailable_and_come_back_by_themselves),
        cmocka_unit_test(test_silent_panicd_is_not_ready),
        cmocka_unit_test(test_create_whose_answer_was_lost_is_repeated_with_its_key),
        cmocka_unit_test(test_panicd_may_come_after_the_shim),
        cmocka_unit_test(test_bad_usage_exits_64_and_names_the_option),
        cmocka_unit_test(test_options_come_from_the_environment),
        cmocka_unit_test(test_sigterm_answers_what_was_accepted),
        cmocka_unit_test(test_sigterm_is_not_held_up_by_a_call_that_waits),
    };
    return cmocka_run_group_tests_name("panic_shim", tests, set_up, tear_down);
}

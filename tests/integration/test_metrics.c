/*
 * /metrics of a real panicd: figures follow what was done, and asking for them disturbs nobody.
 *
 * One panicd for all tests, so each compares what it did with what was there before.
 */
#include "harness/test.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/calls.h"
#include "harness/creators.h"
#include "harness/edge.h"
#include "harness/scrape.h"

#define METHOD(name) "method=\"/panic.v1.PanicService/" name "\""
#define CREATED "panicd_requests_total{" METHOD("CreatePanic") ",code=\"OK\"}"
#define CREATE_TIMES "panicd_request_duration_seconds_count{" METHOD("CreatePanic") "}"

/* The id of a new panic, in static storage until the next one. */
static const char *create(const char *body)
{
    static char id[64];
    json_t *json = edge_create(edge_url(), HTTP_JSON_TYPE, body);
    snprintf(id, sizeof(id), "%s", http_text_of(json, "id"));
    json_decref(json);
    return id;
}

static void get(const char *target, int status)
{
    struct http_answer answer;
    http_call(edge_url(), "GET", target, "", NULL, &answer);
    assert_int_equal(answer.status, status);
    http_answer_free(&answer);
}

/* Asks again until the sample is at least so much. */
static void wait_for(const char *sample, double wanted)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    double value = scrape_now(edge_url(), sample);
    while (value < wanted) {
        if (monotonic_us() >= give_up_us) {
            fail_msg("%s stays at %g, expected %g", sample, value, wanted);
        }
        poll(NULL, 0, 20);
        value = scrape_now(edge_url(), sample);
    }
}

/* ---- figures ---- */

static void test_create_is_counted_all_the_way_down(void **state)
{
    static const char *const samples[] = {
        CREATED,
        CREATE_TIMES,
        "panicd_http_responses_total{code=\"202\"}",
        "panicd_queue_submitted_total{queue=\"intake\"}",
        "panicd_cache_entries",
    };
    enum { N = sizeof(samples) / sizeof(samples[0]), CREATES = 3 };
    (void)state;
    char *before = scrape(edge_url());
    for (int i = 0; i < CREATES; i++) {
        create("{}");
    }
    char *after = scrape(edge_url());
    for (size_t i = 0; i < N; i++) {
        if (scrape_value(after, samples[i]) - scrape_value(before, samples[i]) != CREATES) {
            fail_msg("%s was raised by %g", samples[i],
                     scrape_value(after, samples[i]) - scrape_value(before, samples[i]));
        }
    }
    assert_true(scrape_value(after, "panicd_store_batch_operations_sum") >=
                scrape_value(before, "panicd_store_batch_operations_sum") + CREATES);
    assert_true(scrape_value(after, "panicd_store_sync_duration_seconds_count") >=
                scrape_value(before, "panicd_store_sync_duration_seconds_count") + CREATES);
    assert_true(scrape_value(after, "panicd_store_sync_duration_seconds_sum") > 0);
    assert_true(scrape_value(after, "panicd_store_commit_duration_seconds_sum") >=
                scrape_value(after, "panicd_store_sync_duration_seconds_sum"));
    free(before);
    free(after);
}

static void test_refused_create_is_counted_under_its_code(void **state)
{
    (void)state;
    static const char refused[] =
        "panicd_requests_total{" METHOD("CreatePanic") ",code=\"INVALID_ARGUMENT\"}";
    struct http_answer answer;
    double created = scrape_now(edge_url(), CREATED);
    http_call(edge_url(), "POST", "/panic", HTTP_JSON_TYPE, "{\"location\":7}", &answer);
    assert_int_equal(answer.status, 400);
    http_answer_free(&answer);
    assert_true(scrape_now(edge_url(), refused) == 1);
    assert_true(scrape_now(edge_url(), CREATED) == created);
}

static void test_request_that_is_not_http_raises_its_reason(void **state)
{
    (void)state;
    static const char sample[] = "panicd_http_guarded_total{reason=\"malformed\"}";
    double before = scrape_now(edge_url(), sample);
    struct http_answer answer;
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    http_receive(fd, &answer);
    assert_int_equal(answer.status, 400);
    http_answer_free(&answer);
    close(fd);
    assert_true(scrape_now(edge_url(), sample) == before + 1);
}

static void test_reads_hit_the_cache_or_miss_it(void **state)
{
    (void)state;
    char target[80];
    snprintf(target, sizeof(target), "/panic/%s", create("{}"));
    char *before = scrape(edge_url());
    get(target, 200);
    get("/panic/018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff", 404);
    char *after = scrape(edge_url());
    assert_true(scrape_value(after, "panicd_cache_hits_total") ==
                scrape_value(before, "panicd_cache_hits_total") + 1);
    assert_true(scrape_value(after, "panicd_cache_misses_total") >
                scrape_value(before, "panicd_cache_misses_total"));
    assert_true(scrape_value(after, "panicd_queue_submitted_total{queue=\"query\"}") ==
                scrape_value(before, "panicd_queue_submitted_total{queue=\"query\"}") + 1);
    free(before);
    free(after);
}

static void test_calls_over_nng_are_counted_with_their_connection(void **state)
{
    (void)state;
    double requests = scrape_now(edge_url(), "panicd_rpc_requests_total");
    double created = scrape_now(edge_url(), CREATED);
    struct panic_client *client = calls_connect(panicd_ipc(edge_panicd()));
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024 * 1024);
    calls_create(client, &arena, NULL);
    assert_true(scrape_now(edge_url(), "panicd_rpc_requests_total") == requests + 1);
    assert_true(scrape_now(edge_url(), CREATED) == created + 1);
    assert_true(scrape_now(edge_url(), "panicd_rpc_connections") >= 1);
    arena_reset(&arena);
    panic_client_close(client);
}

static void test_auditor_counts_open_and_waiting_panics(void **state)
{
    (void)state;
    create("{}");
    create("{}");
    double created = scrape_now(edge_url(), "panicd_panics_counted_timestamp_seconds");
    /* Of the first test onwards nobody has been free. */
    wait_for("panicd_panics_unassigned", scrape_now(edge_url(), CREATED));
    char *page = scrape(edge_url());
    assert_true(scrape_value(page, "panicd_panics_open") == scrape_value(page, CREATED));
    assert_true(scrape_value(page, "panicd_panics_stored") == scrape_value(page, CREATED));
    assert_true(scrape_value(page, "panicd_panics_overdue") == 0);
    assert_true(scrape_value(page, "panicd_store_file_bytes") > 4096);
    assert_true(scrape_value(page, "panicd_store_wal_bytes") > 4096);
    double counted = scrape_value(page, "panicd_panics_counted_timestamp_seconds");
    assert_true(counted > created && counted < (double)time(NULL) + 1);
    free(page);
}

static void test_dispatch_is_counted_and_timed(void **state)
{
    (void)state;
    static const char latency[] = "panicd_dispatch_latency_seconds_count";
    double assigned = scrape_now(edge_url(), "panicd_dispatch_assigned_total");
    double times = scrape_now(edge_url(), latency);
    struct panic_client *client = calls_connect(panicd_ipc(edge_panicd()));
    calls_put_responder(client, "unit-42", -33.92, 18.42);
    wait_for("panicd_dispatch_assigned_total", assigned + 1);
    assert_true(scrape_now(edge_url(), latency) == times + 1);
    assert_true(scrape_now(edge_url(), "panicd_dispatch_latency_seconds_sum") > 0);
    assert_true(scrape_now(edge_url(), "panicd_responders_available{simulated=\"false\"}") == 0);
    panic_client_close(client);
}

static void test_process_figures_are_those_of_the_process(void **state)
{
    enum { CONNECTIONS = 50 };
    (void)state;
    char *page = scrape(edge_url());
    double resident_kib = (double)panicd_resident_kib(edge_panicd());
    double resident = scrape_value(page, "process_resident_memory_bytes") / 1024;
    assert_true(resident > resident_kib / 2 && resident < resident_kib * 2);
    double started = scrape_value(page, "process_start_time_seconds");
    assert_true(started <= (double)time(NULL) + 1 && started > (double)time(NULL) - 600);
    double open_before = scrape_value(page, "process_open_fds");
    free(page);
    int fds[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
        struct http_answer answer;
        fds[i] = http_connect(edge_url(), NULL);
        http_send(fds[i], "GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
        http_receive(fds[i], &answer);
        http_answer_free(&answer);
    }
    assert_true(scrape_now(edge_url(), "panicd_http_connections") >= CONNECTIONS);
    wait_for("process_open_fds", open_before + CONNECTIONS - 10);
    for (int i = 0; i < CONNECTIONS; i++) {
        close(fds[i]);
    }
}

/* ---- asking ---- */

/* Most of them, that is: on a busy machine any one may wait for its turn. */
static void test_scrapes_under_load_are_whole_and_quick(void **state)
{
    enum { SCRAPES = 200, CREATES = 400 };
    int slow = 0;
    (void)state;
    const char *const urls[] = {panicd_ipc(edge_panicd())};
    const struct creators_config config = {.urls = urls, .n_urls = 1, .threads = 4, .each_max = 100000};
    const int64_t bound_us = (HARNESS_SANITIZED ? 20 : 2) * US_PER_S;
    struct creators *creators = creators_start(&config);
    creators_wait(creators, CREATES / 2);
    double before = 0;
    for (int i = 0; i < SCRAPES; i++) {
        int64_t begin_us = monotonic_us();
        char *page = scrape(edge_url());
        slow += monotonic_us() - begin_us < bound_us ? 0 : 1;
        scrape_check_histograms(page);
        double now = scrape_value(page, CREATED);
        assert_true(now >= before);
        before = now;
        free(page);
    }
    assert_true(slow < SCRAPES / 2);
    creators_wait(creators, CREATES);
    creators_stop(creators, true);
    struct creators_totals totals = creators_totals(creators);
    assert_int_equal(totals.refused, 0);
    assert_int_equal(totals.unanswered, 0);
    creators_free(creators);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_is_counted_all_the_way_down),
        cmocka_unit_test(test_refused_create_is_counted_under_its_code),
        cmocka_unit_test(test_request_that_is_not_http_raises_its_reason),
        cmocka_unit_test(test_reads_hit_the_cache_or_miss_it),
        cmocka_unit_test(test_calls_over_nng_are_counted_with_their_connection),
        cmocka_unit_test(test_auditor_counts_open_and_waiting_panics),
        cmocka_unit_test(test_dispatch_is_counted_and_timed),
        cmocka_unit_test(test_process_figures_are_those_of_the_process),
        cmocka_unit_test(test_scrapes_under_load_are_whole_and_quick),
    };
    return cmocka_run_group_tests_name("metrics", tests, edge_set_up, edge_tear_down);
}

/*
 * The page of a shim that has nothing behind it, and the text format by itself: what every scraper relies on,
 * whatever the figures are.
 */
#include "unit/shim/rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/scrape.h"
#include "shim/backend_metrics.h"
#include "shim/exposition.h"

#define GUARDED(reason) "panicd_http_guarded_total{reason=\"" reason "\"}"

/* Sends what the gate refuses, and waits for that. */
static void expect_guarded(const struct shim_rig *rig, const char *bytes, int status)
{
    struct http_answer answer;
    int fd = http_connect(rig->url, NULL);
    http_send(fd, bytes);
    http_receive(fd, &answer);
    assert_int_equal(answer.status, status);
    http_answer_free(&answer);
    close(fd);
}

/* ---- the page ---- */

static void test_page_without_anything_behind_the_shim(void **state)
{
    (void)state;
    struct shim_rig rig;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    char *page = scrape(rig.url);
    assert_true(
        scrape_has(page, "panicd_requests_total{method=\"/panic.v1.PanicService/GetPanic\",code=\"OK\"}"));
    assert_true(scrape_value(page, "panicd_http_requests_total") == 1);
    assert_null(strstr(page, "panicd_store_"));
    assert_null(strstr(page, "panicd_panics_"));
    scrape_check_histograms(page);
    free(page);
    shim_rig_end(&rig);
}

static void test_backend_without_any_part_adds_nothing(void **state)
{
    (void)state;
    struct backend_metrics backend = {0};
    struct metrics_source source = backend_metrics_source(&backend);
    char *text = NULL;
    size_t length = 0;
    FILE *page = open_memstream(&text, &length);
    source.write(source.ctx, page);
    fclose(page);
    assert_int_equal(length, 0);
    free(text);
}

static void write_own(void *ctx, FILE *page)
{
    exposition_gauge(page, "own_figure", "Of the test.", *(uint64_t *)ctx);
}

static void test_source_adds_its_figures(void **state)
{
    (void)state;
    struct shim_rig rig;
    uint64_t figure = 42;
    shim_rig_start(&rig, NULL, 0, NULL,
                   &(struct shim_config){.metrics = {.write = write_own, .ctx = &figure}});
    assert_true(scrape_now(rig.url, "own_figure") == 42);
    figure = 43;
    assert_true(scrape_now(rig.url, "own_figure") == 43);
    shim_rig_end(&rig);
}

static void test_serving_follows_the_health_flag(void **state)
{
    (void)state;
    struct shim_rig rig;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    assert_true(scrape_now(rig.url, "panicd_serving") == 0);
    atomic_store(&rig.health.serving, true);
    assert_true(scrape_now(rig.url, "panicd_serving") == 1);
    shim_rig_end(&rig);
}

static void test_each_refusal_of_the_gate_raises_its_reason_alone(void **state)
{
    static const struct {
        const char *bytes;
        int status;
        const char *sample;
    } cases[] = {
        {"GET /health HTTP/1.1\r\n\r\n", 400, GUARDED("malformed")},
        {"CONNECT other:443 HTTP/1.1\r\nHost: other\r\n\r\n", 501, GUARDED("proxy")},
        {"GET /health HTTP/2.0\r\nHost: test\r\n\r\n", 505, GUARDED("version")},
        {"POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: 99999\r\n\r\n", 413,
         GUARDED("body_too_long")},
        {"GET /health HTTP/1.1\r\nHost: test\r\nX-Long: "
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "a",
         431, GUARDED("head_too_long")},
        {"GET /health HTTP/1.1\r\n", 408, GUARDED("too_slow")},
    };
    enum { N = sizeof(cases) / sizeof(cases[0]) };
    (void)state;
    struct shim_rig rig;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){.limits = {.head_max = 128, .head_ms = 1000}});
    for (size_t i = 0; i < N; i++) {
        expect_guarded(&rig, cases[i].bytes, cases[i].status);
        char *page = scrape(rig.url);
        for (size_t j = 0; j < N; j++) {
            assert_true(scrape_value(page, cases[j].sample) == (j <= i ? 1 : 0));
        }
        free(page);
    }
    shim_rig_end(&rig);
}

static void test_answers_are_counted_by_status(void **state)
{
    (void)state;
    struct shim_rig rig;
    struct http_answer answer;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    http_call(rig.url, "GET", "/nowhere", "", NULL, &answer);
    http_answer_free(&answer);
    http_call(rig.url, "POST", "/panic.v1.PanicService/GetPanic", HTTP_JSON_TYPE, "{}", &answer);
    http_answer_free(&answer);
    char *page = scrape(rig.url);
    assert_true(scrape_value(page, "panicd_http_responses_total{code=\"404\"}") == 1);
    assert_true(scrape_value(page, "panicd_http_responses_total{code=\"501\"}") == 1);
    assert_true(scrape_value(page, "panicd_http_responses_total{code=\"200\"}") == 0);
    assert_true(scrape_value(page, "panicd_requests_total{method=\"/panic.v1.PanicService/GetPanic\","
                                   "code=\"UNIMPLEMENTED\"}") == 1);
    free(page);
    shim_rig_end(&rig);
}

static void test_connections_that_are_too_many_are_counted(void **state)
{
    (void)state;
    struct shim_rig rig;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){.limits = {.connections_per_address_max = 1}});
    int first = http_connect(rig.url, "127.0.0.2");
    http_send(first, "GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
    struct http_answer answer;
    http_receive(first, &answer);
    http_answer_free(&answer);
    int second = http_connect(rig.url, "127.0.0.2");
    http_receive(second, &answer);
    assert_int_equal(answer.status, 503);
    http_answer_free(&answer);
    char *page = scrape(rig.url);
    assert_true(scrape_value(page, "panicd_http_connections_refused_total") == 1);
    assert_true(scrape_value(page, "panicd_http_connections_accepted_total") == 3);
    assert_true(scrape_value(page, "panicd_http_connections") == 2);
    free(page);
    close(first);
    close(second);
    shim_rig_end(&rig);
}

static void test_head_has_the_length_and_other_methods_are_refused(void **state)
{
    (void)state;
    struct shim_rig rig;
    struct http_answer answer;
    shim_rig_start(&rig, NULL, 0, NULL, &(struct shim_config){0});
    static const char *const targets[] = {"/metrics", "/openapi.yaml"};
    for (size_t i = 0; i < 2; i++) {
        char request[128];
        snprintf(request, sizeof(request), "HEAD %s HTTP/1.1\r\nHost: test\r\n\r\n", targets[i]);
        int fd = http_connect(rig.url, NULL);
        http_send(fd, request);
        http_receive_head(fd, &answer);
        assert_int_equal(answer.status, 200);
        assert_true(strtoul(http_header(&answer, "Content-Length"), NULL, 10) > 1000);
        /* What comes next is the next answer: there was no body. */
        http_send(fd, "GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
        http_receive(fd, &answer);
        http_expect(&answer, 200, "status", "OK");
        close(fd);
        http_call(rig.url, "POST", targets[i], "", "{}", &answer);
        assert_string_equal(http_header(&answer, "Allow"), "GET, HEAD");
        http_expect(&answer, 405, "code", "unimplemented");
    }
    shim_rig_end(&rig);
}

/* ---- the format ---- */

static char *write_histogram(const struct histogram *histogram, const char *labels)
{
    char *text = NULL;
    size_t length = 0;
    FILE *page = open_memstream(&text, &length);
    assert_non_null(page);
    exposition_histogram(page, "t_seconds", labels, histogram);
    fclose(page);
    return text;
}

static void test_buckets_are_cumulative_and_end_with_infinity(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_record(&histogram, 90);
    histogram_record(&histogram, 700);
    histogram_record(&histogram, 3 * US_PER_S);
    histogram_record(&histogram, 3600 * US_PER_S);
    char *page = write_histogram(&histogram, NULL);
    assert_true(scrape_value(page, "t_seconds_bucket{le=\"0.0001\"}") == 1);
    assert_true(scrape_value(page, "t_seconds_bucket{le=\"0.001\"}") == 2);
    assert_true(scrape_value(page, "t_seconds_bucket{le=\"2.5\"}") == 2);
    assert_true(scrape_value(page, "t_seconds_bucket{le=\"5\"}") == 3);
    assert_true(scrape_value(page, "t_seconds_bucket{le=\"60\"}") == 3);
    assert_true(scrape_value(page, "t_seconds_bucket{le=\"+Inf\"}") == 4);
    assert_true(scrape_value(page, "t_seconds_count") == 4);
    scrape_check_histograms(page);
    free(page);
}

static void test_sizes_have_no_unit(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    char *page = NULL;
    size_t length = 0;
    histogram_record(&histogram, 1);
    histogram_record(&histogram, 200);
    histogram_record(&histogram, 5000);
    FILE *file = open_memstream(&page, &length);
    assert_non_null(file);
    exposition_sizes(file, "t_items", "Items.", &histogram);
    fclose(file);
    assert_true(scrape_value(page, "t_items_bucket{le=\"1\"}") == 1);
    assert_true(scrape_value(page, "t_items_bucket{le=\"128\"}") == 1);
    assert_true(scrape_value(page, "t_items_bucket{le=\"256\"}") == 2);
    assert_true(scrape_value(page, "t_items_bucket{le=\"1024\"}") == 2);
    assert_true(scrape_value(page, "t_items_bucket{le=\"+Inf\"}") == 3);
    assert_true(scrape_value(page, "t_items_sum") == 5201);
    assert_true(scrape_value(page, "t_items_count") == 3);
    free(page);
}

static void test_labels_stand_before_the_bound(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    char *page = write_histogram(&histogram, "a=\"b\"");
    assert_true(scrape_has(page, "t_seconds_bucket{a=\"b\",le=\"+Inf\"}"));
    assert_true(scrape_has(page, "t_seconds_sum{a=\"b\"}"));
    assert_true(scrape_has(page, "t_seconds_count{a=\"b\"}"));
    free(page);
}

static void test_sum_keeps_its_last_digit(void **state)
{
    (void)state;
    struct histogram histogram = {0};
    histogram_record(&histogram, 12345678901);
    char *page = write_histogram(&histogram, NULL);
    assert_non_null(strstr(page, "t_seconds_sum 12345.678901\n"));
    free(page);
}

struct recorder {
    struct histogram histogram;
    atomic_bool end;
};

static void *record(void *arg)
{
    struct recorder *recorder = arg;
    for (uint64_t i = 0; !atomic_load(&recorder->end); i++) {
        histogram_record(&recorder->histogram, i * 7919 % (100 * US_PER_S));
    }
    return NULL;
}

static void test_histogram_that_is_being_written_to_stays_consistent(void **state)
{
    (void)state;
    struct recorder *recorder = calloc(1, sizeof(*recorder));
    pthread_t thread;
    assert_non_null(recorder);
    assert_int_equal(pthread_create(&thread, NULL, record, recorder), 0);
    for (int i = 0; i < 300; i++) {
        char *page = write_histogram(&recorder->histogram, NULL);
        scrape_check_histograms(page);
        free(page);
    }
    atomic_store(&recorder->end, true);
    pthread_join(thread, NULL);
    free(recorder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_without_anything_behind_the_shim),
        cmocka_unit_test(test_backend_without_any_part_adds_nothing),
        cmocka_unit_test(test_source_adds_its_figures),
        cmocka_unit_test(test_serving_follows_the_health_flag),
        cmocka_unit_test(test_each_refusal_of_the_gate_raises_its_reason_alone),
        cmocka_unit_test(test_answers_are_counted_by_status),
        cmocka_unit_test(test_connections_that_are_too_many_are_counted),
        cmocka_unit_test(test_head_has_the_length_and_other_methods_are_refused),
        cmocka_unit_test(test_buckets_are_cumulative_and_end_with_infinity),
        cmocka_unit_test(test_sizes_have_no_unit),
        cmocka_unit_test(test_labels_stand_before_the_bound),
        cmocka_unit_test(test_sum_keeps_its_last_digit),
        cmocka_unit_test(test_histogram_that_is_being_written_to_stays_consistent),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}

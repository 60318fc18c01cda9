/* The seed's routes against a real panicd: each answer's shape. How to get them wrong is in
 * test_http_bad_input.c. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "harness/calls.h"
#include "harness/edge.h"

#define PRESS                                                                                                \
    "{\"location\":{\"lat\":-33.9,\"lng\":18.4},\"metadata\":{\"triggerSource\":\"mobile-app\",\"level\":2}" \
    "}"

static void post(const char *headers, const char *body, struct http_answer *answer)
{
    http_call(edge_url(), "POST", "/panic", headers, body, answer);
}

static json_t *create(const char *headers, const char *body)
{
    return edge_create(edge_url(), headers, body);
}

static json_t *get_panic(const char *id)
{
    char target[64];
    struct http_answer answer;
    snprintf(target, sizeof(target), "/panic/%s", id);
    http_call(edge_url(), "GET", target, "", NULL, &answer);
    return http_take_json(&answer, 200);
}

static double number_in(const json_t *json, const char *object, const char *member)
{
    return json_number_value(json_object_get(json_object_get(json, object), member));
}

/* ---- what is promised ---- */

static void test_create_has_exactly_the_promised_shape(void **state)
{
    (void)state;
    int64_t before_ms = clock_wall_us(clock_system()) / US_PER_MS;
    json_t *json = create(HTTP_JSON_TYPE, PRESS);
    struct id id;
    assert_ok(id_parse(http_text_of(json, "id"), &id));
    json_int_t timestamp = json_integer_value(json_object_get(json, "timestamp"));
    assert_true(timestamp >= before_ms - 1000 && timestamp <= before_ms + 30000);
    assert_string_equal(http_text_of(json, "status"), "processing");
    assert_true(number_in(json, "location", "lat") == -33.9 && number_in(json, "location", "lng") == 18.4);
    assert_string_equal(http_text_of(json_object_get(json, "metadata"), "triggerSource"), "mobile-app");
    assert_true(number_in(json, "metadata", "level") == 2);
    assert_int_equal(json_object_size(json), 5);
    assert_int_equal(json_object_size(json_object_get(json, "location")), 2);
    json_decref(json);
}

static void test_get_answers_with_what_was_created(void **state)
{
    (void)state;
    json_t *created = create(HTTP_JSON_TYPE, PRESS);
    json_t *read = get_panic(http_text_of(created, "id"));
    assert_true(json_equal(created, read));
    json_decref(created);
    json_decref(read);
}

static void test_location_header_leads_to_the_panic(void **state)
{
    (void)state;
    struct http_answer answer;
    post(HTTP_JSON_TYPE, PRESS, &answer);
    char target[64];
    snprintf(target, sizeof(target), "%s", http_header(&answer, "Location"));
    json_t *created = http_take_json(&answer, 202);
    http_call(edge_url(), "GET", target, "", NULL, &answer);
    json_t *read = http_take_json(&answer, 200);
    assert_string_equal(http_text_of(created, "id"), http_text_of(read, "id"));
    json_decref(created);
    json_decref(read);
}

static void test_dispatched_panic_names_its_responder(void **state)
{
    (void)state;
    struct panic_client *client = calls_connect(panicd_ipc(edge_panicd()));
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024 * 1024);
    calls_put_responder(client, "unit-42", -33.92, 18.42);
    json_t *created = create(HTTP_JSON_TYPE, "{\"location\":{\"lat\":-33.9,\"lng\":18.4},"
                                             "\"metadata\":{\"responder\":\"mine\",\"note\":\"n\"}}");
    calls_wait_active(client, &arena, http_text_of(created, "id"));
    json_t *read = get_panic(http_text_of(created, "id"));
    const json_t *metadata = json_object_get(read, "metadata");
    assert_string_equal(http_text_of(read, "status"), "active");
    assert_string_equal(http_text_of(metadata, "responder"), "unit-42");
    assert_string_equal(http_text_of(metadata, "note"), "n");
    json_int_t dispatched = json_integer_value(json_object_get(metadata, "dispatchedAt"));
    assert_true(dispatched >= json_integer_value(json_object_get(read, "timestamp")));
    json_decref(created);
    json_decref(read);
    arena_reset(&arena);
    panic_client_close(client);
}

static void test_missing_content_type_is_taken_as_json(void **state)
{
    (void)state;
    json_decref(create("", PRESS));
}

static void test_other_fields_of_the_request_are_taken(void **state)
{
    (void)state;
    json_t *json =
        create(HTTP_JSON_TYPE, "{\"id\":\"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41\",\"subjectId\":\"s\","
                               "\"device_id\":\"d\",\"mode\":\"PANIC_MODE_TEST\","
                               "\"pressedAt\":\"2026-01-31T12:00:00Z\"}");
    assert_string_equal(http_text_of(json, "id"), "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41");
    assert_true(json_is_null(json_object_get(json, "location")));
    assert_int_equal(json_object_size(json_object_get(json, "metadata")), 0);
    json_decref(json);
}

static void test_health_routes(void **state)
{
    (void)state;
    static const char *const targets[] = {"/health", "/livez", "/readyz", "/health?from=probe"};
    for (size_t i = 0; i < 4; i++) {
        struct http_answer answer;
        http_call(edge_url(), "GET", targets[i], "", NULL, &answer);
        assert_string_equal(answer.body, "{\"status\":\"OK\"}");
        http_expect(&answer, 200, "status", "OK");
    }
}

static void test_head_has_the_length_and_no_body(void **state)
{
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    struct http_answer answer;
    http_send(fd, "HEAD /health HTTP/1.1\r\nHost: test\r\n\r\n");
    http_receive_head(fd, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "Content-Length"), "15");
    http_send(fd, "GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
    http_receive(fd, &answer);
    http_expect(&answer, 200, "status", "OK");
    close(fd);
}

static void test_what_http_stored_nng_reads(void **state)
{
    (void)state;
    json_t *created = create(HTTP_JSON_TYPE, PRESS);
    struct panic_client *client = calls_connect(panicd_ipc(edge_panicd()));
    struct arena arena;
    arena_init(&arena, NULL, 0, 1024 * 1024);
    const Panic__V1__Panic *panic = calls_get(client, &arena, http_text_of(created, "id"));
    assert_true(panic->durable && panic->location->lat == -33.9);
    arena_reset(&arena);
    panic_client_close(client);
    json_decref(created);
}

/* ---- repeats ---- */

static void test_idempotency_key_makes_a_repeat_the_same_panic(void **state)
{
    (void)state;
    const char *headers = HTTP_JSON_TYPE "Idempotency-Key: press-1\r\n";
    json_t *first = create(headers, PRESS);
    struct http_answer answer;
    post(headers, PRESS, &answer);
    assert_string_equal(http_header(&answer, "Idempotent-Replayed"), "true");
    json_t *second = http_take_json(&answer, 202);
    assert_string_equal(http_text_of(first, "id"), http_text_of(second, "id"));
    assert_true(json_equal(json_object_get(first, "timestamp"), json_object_get(second, "timestamp")));
    json_decref(first);
    json_decref(second);
}

static void test_other_keys_and_none_are_other_panics(void **state)
{
    (void)state;
    json_t *first = create(HTTP_JSON_TYPE "Idempotency-Key: press-2\r\n", PRESS);
    json_t *second = create(HTTP_JSON_TYPE "Idempotency-Key: press-3\r\n", PRESS);
    json_t *third = create(HTTP_JSON_TYPE, PRESS);
    json_t *fourth = create(HTTP_JSON_TYPE, PRESS);
    assert_string_not_equal(http_text_of(first, "id"), http_text_of(second, "id"));
    assert_string_not_equal(http_text_of(third, "id"), http_text_of(fourth, "id"));
    json_decref(first);
    json_decref(second);
    json_decref(third);
    json_decref(fourth);
}

static void test_key_with_other_content_is_refused(void **state)
{
    (void)state;
    struct http_answer answer;
    json_decref(create(HTTP_JSON_TYPE "Idempotency-Key: press-4\r\n", PRESS));
    post(HTTP_JSON_TYPE "Idempotency-Key: press-4\r\n", "{}", &answer);
    http_expect(&answer, 409, "code", "already_exists");
}

static void test_id_in_the_body_wins_over_the_key(void **state)
{
    (void)state;
    json_t *json = create(HTTP_JSON_TYPE "Idempotency-Key: press-5\r\n",
                          "{\"id\":\"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d42\"}");
    assert_string_equal(http_text_of(json, "id"), "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d42");
    json_decref(json);
}

static void test_key_that_is_too_long_is_refused(void **state)
{
    (void)state;
    char headers[512];
    struct http_answer answer;
    snprintf(headers, sizeof(headers), HTTP_JSON_TYPE "Idempotency-Key: %0300d\r\n", 1);
    post(headers, PRESS, &answer);
    http_expect(&answer, 400, "error", "Idempotency-Key");
}

/* ---- headers that are taken over ---- */

static void test_request_id_comes_back(void **state)
{
    (void)state;
    struct http_answer answer;
    post(HTTP_JSON_TYPE "X-Request-Id: abc-1\r\n", PRESS, &answer);
    assert_string_equal(http_header(&answer, "X-Request-Id"), "abc-1");
    http_answer_free(&answer);
    http_call(edge_url(), "GET", "/health", "X-Request-Id: a b\r\n", NULL, &answer);
    assert_null(http_header(&answer, "X-Request-Id"));
    http_answer_free(&answer);
}

static void test_traceparent_keeps_the_trace_and_gets_a_new_parent(void **state)
{
    (void)state;
    struct http_answer answer;
    post(HTTP_JSON_TYPE "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", PRESS,
         &answer);
    const char *traceparent = http_header(&answer, "Traceparent");
    assert_memory_equal(traceparent, "00-0af7651916cd43dd8448eb211c80319c-", 36);
    assert_memory_not_equal(traceparent + 36, "b7ad6b7169203331", 16);
    assert_string_equal(traceparent + 52, "-01");
    http_answer_free(&answer);
    http_call(edge_url(), "GET", "/health",
              "Traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\n", NULL, &answer);
    traceparent = http_header(&answer, "Traceparent");
    assert_int_equal(strlen(traceparent), 55);
    assert_memory_not_equal(traceparent + 3, "00000000000000000000000000000000", 32);
    http_answer_free(&answer);
}

/* ---- origins ---- */

static void test_page_of_an_unlisted_origin_is_refused(void **state)
{
    (void)state;
    struct http_answer answer;
    post("Origin: https://evil.example\r\n", PRESS, &answer);
    assert_null(http_header(&answer, "Access-Control-Allow-Origin"));
    http_expect(&answer, 403, "code", "permission_denied");
    http_call(edge_url(), "OPTIONS", "/panic",
              "Origin: https://evil.example\r\nAccess-Control-Request-Method: POST\r\n", NULL, &answer);
    http_expect(&answer, 403, "code", "permission_denied");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: a responder goes to whoever has waited longest. */
        cmocka_unit_test(test_dispatched_panic_names_its_responder),
        cmocka_unit_test(test_create_has_exactly_the_promised_shape),
        cmocka_unit_test(test_get_answers_with_what_was_created),
        cmocka_unit_test(test_location_header_leads_to_the_panic),
        cmocka_unit_test(test_missing_content_type_is_taken_as_json),
        cmocka_unit_test(test_other_fields_of_the_request_are_taken),
        cmocka_unit_test(test_health_routes),
        cmocka_unit_test(test_head_has_the_length_and_no_body),
        cmocka_unit_test(test_what_http_stored_nng_reads),
        cmocka_unit_test(test_idempotency_key_makes_a_repeat_the_same_panic),
        cmocka_unit_test(test_other_keys_and_none_are_other_panics),
        cmocka_unit_test(test_key_with_other_content_is_refused),
        cmocka_unit_test(test_id_in_the_body_wins_over_the_key),
        cmocka_unit_test(test_key_that_is_too_long_is_refused),
        cmocka_unit_test(test_request_id_comes_back),
        cmocka_unit_test(test_traceparent_keeps_the_trace_and_gets_a_new_parent),
        cmocka_unit_test(test_page_of_an_unlisted_origin_is_refused),
    };
    return cmocka_run_group_tests_name("http", tests, edge_set_up, edge_tear_down);
}

/* The Connect protocol, rule by rule, as bytes on the wire. The real clients are in tests/web. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/edge.h"
#include "json/base64.h"
#include "panic/v1/panic_service.pb-c.h"

#define SERVICE "/panic.v1.PanicService/"
#define PROTO_TYPE "Content-Type: application/proto\r\n"
#define ORIGIN "https://console.example"
#define UNKNOWN_ID "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff"

static int set_up(void **state)
{
    (void)state;
    edge_start((const char *const[]){"--http-origin", ORIGIN, NULL});
    return 0;
}

static void post(const char *method, const char *headers, const char *body, struct http_answer *answer)
{
    char target[128];
    snprintf(target, sizeof(target), SERVICE "%s", method);
    http_call(edge_url(), "POST", target, headers, body, answer);
}

static void get(const char *query, struct http_answer *answer)
{
    char target[1024];
    snprintf(target, sizeof(target), SERVICE "GetPanic?%s", query);
    http_call(edge_url(), "GET", target, "", NULL, answer);
}

/* The id of a new panic, in static storage. */
static const char *new_panic(void)
{
    static char id[64];
    struct http_answer answer;
    post("CreatePanic", HTTP_JSON_TYPE, "{\"location\":{\"lat\":1,\"lng\":2}}", &answer);
    assert_int_equal(answer.status, 200);
    json_t *json = http_json(&answer);
    snprintf(id, sizeof(id), "%s", json_string_value(json_object_get(json_object_get(json, "panic"), "id")));
    json_decref(json);
    http_answer_free(&answer);
    return id;
}

static void expect_panic(struct http_answer *answer, const char *id)
{
    assert_int_equal(answer->status, 200);
    assert_string_equal(http_header(answer, "Content-Type"), "application/json");
    json_t *json = http_json(answer);
    const json_t *panic = json_object_get(json, "panic");
    assert_string_equal(json_string_value(json_object_get(panic, "id")), id);
    assert_true(json_is_true(json_object_get(panic, "durable")));
    json_decref(json);
    http_answer_free(answer);
}

static void expect_error(struct http_answer *answer, int status, const char *code, const char *text)
{
    assert_string_equal(http_header(answer, "Content-Type"), "application/json");
    json_t *json = http_json(answer);
    assert_string_equal(json_string_value(json_object_get(json, "code")), code);
    json_decref(json);
    http_expect(answer, status, "message", text);
}

/* ---- 1: paths and methods ---- */

static void test_unknown_method_is_404(void **state)
{
    (void)state;
    static const char *const names[] = {"Nothing", "getPanic", "GETPANIC"};
    for (size_t i = 0; i < 3; i++) {
        struct http_answer answer;
        post(names[i], HTTP_JSON_TYPE, "{}", &answer);
        expect_error(&answer, 404, "unimplemented", "no such method");
    }
}

static void test_other_http_methods_are_405(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(edge_url(), "PUT", SERVICE "GetPanic", "", NULL, &answer);
    assert_string_equal(http_header(&answer, "Allow"), "GET, POST");
    expect_error(&answer, 405, "unimplemented", "method");
    http_call(edge_url(), "GET", SERVICE "CreatePanic?encoding=json&message=%7B%7D", "", NULL, &answer);
    assert_string_equal(http_header(&answer, "Allow"), "POST");
    expect_error(&answer, 405, "unimplemented", "method");
}

static void test_every_service_is_served(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(edge_url(), "POST", "/health.v1.HealthService/Check", HTTP_JSON_TYPE, "{}", &answer);
    http_expect(&answer, 200, "status", "SERVING_STATUS_SERVING");
    http_call(edge_url(), "POST", "/panic.v1.DispatchService/PutResponder", HTTP_JSON_TYPE,
              "{\"responder\":{\"id\":\"unit-1\"}}", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
}

/* ---- 2, 3: content types ---- */

static void test_other_content_types_are_415(void **state)
{
    (void)state;
    static const char *const types[] = {"", "Content-Type: text/plain\r\n",
                                        "Content-Type: application/grpc\r\n"};
    for (size_t i = 0; i < 3; i++) {
        struct http_answer answer;
        post("GetPanic", types[i], "{}", &answer);
        assert_string_equal(http_header(&answer, "Accept-Post"), "application/json, application/proto");
        expect_error(&answer, 415, "invalid_argument", "Content-Type");
    }
}

static void test_json_is_answered_with_json(void **state)
{
    (void)state;
    char body[128];
    const char *id = new_panic();
    struct http_answer answer;
    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
    post("GetPanic", "Content-Type: application/json; charset=utf-8\r\n", body, &answer);
    expect_panic(&answer, id);
}

static void test_binary_is_answered_with_binary(void **state)
{
    (void)state;
    char body[64];
    const char *id = new_panic();
    struct http_answer answer;
    snprintf(body, sizeof(body), "\n$%s", id);
    post("GetPanic", PROTO_TYPE, body, &answer);
    edge_expect_binary_panic(&answer, id);
}

static void test_empty_binary_message_is_a_message(void **state)
{
    (void)state;
    struct http_answer answer;
    post("ListPanics", PROTO_TYPE, "", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
}

/* ---- 4, 5: errors ---- */

static void test_errors_are_json_whatever_was_asked(void **state)
{
    (void)state;
    struct http_answer answer;
    post("GetPanic", PROTO_TYPE, "\n$" UNKNOWN_ID, &answer);
    expect_error(&answer, 404, "not_found", "Panic not found");
    post("GetPanic", HTTP_JSON_TYPE, "{\"id\":\"" UNKNOWN_ID "\"}", &answer);
    expect_error(&answer, 404, "not_found", "Panic not found");
}

static void test_codes_have_their_http_status(void **state)
{
    (void)state;
    struct http_answer answer;
    post("GetPanic", HTTP_JSON_TYPE, "{\"id\":\"7\"}", &answer);
    expect_error(&answer, 400, "invalid_argument", "id: not a UUID");
    post("CreatePanic", HTTP_JSON_TYPE, "{\"id\":\"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d43\"}", &answer);
    http_answer_free(&answer);
    post("CreatePanic", HTTP_JSON_TYPE,
         "{\"id\":\"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d43\",\"subjectId\":\"x\"}", &answer);
    expect_error(&answer, 409, "already_exists", "other content");
    char body[128];
    const char *id = new_panic();
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"outcome\":\"one\"}", id);
    post("ResolvePanic", HTTP_JSON_TYPE, body, &answer);
    http_answer_free(&answer);
    snprintf(body, sizeof(body), "{\"id\":\"%s\",\"outcome\":\"two\"}", id);
    post("ResolvePanic", HTTP_JSON_TYPE, body, &answer);
    expect_error(&answer, 400, "failed_precondition", "closed before");
}

static void test_bad_messages_name_the_field(void **state)
{
    (void)state;
    struct http_answer answer;
    post("GetPanic", HTTP_JSON_TYPE, "{\"ident\":\"7\"}", &answer);
    expect_error(&answer, 400, "invalid_argument", "ident");
    post("GetPanic", PROTO_TYPE, "\n\xFFxxx", &answer);
    expect_error(&answer, 400, "invalid_argument", "");
    post("CreatePanic", HTTP_JSON_TYPE, "{\"strict\":true,\"metadata\":{\"a\":[[[[[[[[[[1]]]]]]]]]]}}",
         &answer);
    expect_error(&answer, 400, "invalid_argument", "metadata");
}

/* The error has one detail, a google.rpc.BadRequest with this path and text. */
static void expect_violation(struct http_answer *answer, const char *field, const char *description)
{
    json_t *json = http_json(answer);
    const json_t *details = json_object_get(json, "details");
    assert_int_equal(json_array_size(details), 1);
    const json_t *detail = json_array_get(details, 0);
    const char *value = json_string_value(json_object_get(detail, "value"));
    assert_string_equal(json_string_value(json_object_get(detail, "type")), "google.rpc.BadRequest");
    assert_null(strchr(value, '='));
    uint8_t packed[1024];
    uint8_t expected[1024];
    size_t length = 0;
    assert_true(strlen(value) < sizeof(packed));
    assert_int_equal(base64_decode(value, strlen(value), packed, &length), 0);
    /* Field 1 of the outer message is the violation; in it, 1 is the field and 2 the description. */
    int expected_length = snprintf((char *)expected, sizeof(expected), "\n%c\n%c%s\x12%c%s",
                                   (char)(4 + strlen(field) + strlen(description)), (char)strlen(field),
                                   field, (char)strlen(description), description);
    assert_int_equal(length, expected_length);
    assert_memory_equal(packed, expected, length);
    json_decref(json);
    http_answer_free(answer);
}

static void test_details_name_the_field(void **state)
{
    (void)state;
    struct http_answer answer;
    post("CreatePanic", HTTP_JSON_TYPE, "{\"location\":{\"lat\":\"north\"}}", &answer);
    expect_violation(&answer, "location.lat", "expected number, got string");
    post("GetPanic", HTTP_JSON_TYPE, "{\"ident\":\"7\"}", &answer);
    expect_violation(&answer, "ident", "unknown field");
    post("GetPanic", PROTO_TYPE,
         "\n\x01"
         "7",
         &answer);
    expect_violation(&answer, "id",
                     "not a UUID; expected 36 characters like 018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41");
}

static void test_errors_that_are_of_no_field_have_no_details(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        const char *body;
    } bad[] = {{HTTP_JSON_TYPE, "{\"id\":\"" UNKNOWN_ID "\"}"},
               {HTTP_JSON_TYPE, "{\"id\":"},
               {HTTP_JSON_TYPE "Connect-Timeout-Ms: x\r\n", "{}"},
               {HTTP_JSON_TYPE "Content-Encoding: gzip\r\n", "no gzip"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_answer answer;
        post("GetPanic", bad[i].headers, bad[i].body, &answer);
        json_t *json = http_json(&answer);
        assert_true(answer.status >= 400);
        assert_null(json_object_get(json, "details"));
        json_decref(json);
        http_answer_free(&answer);
    }
}

/* ---- 6, 7: headers ---- */

static void test_protocol_version(void **state)
{
    (void)state;
    struct http_answer answer;
    post("ListPanics", HTTP_JSON_TYPE "Connect-Protocol-Version: 1\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
    post("ListPanics", HTTP_JSON_TYPE "Connect-Protocol-Version: 2\r\n", "{}", &answer);
    expect_error(&answer, 400, "invalid_argument", "Connect-Protocol-Version");
}

static void test_timeout(void **state)
{
    (void)state;
    static const char *const bad[] = {"12345678901", "-1", "1s", ""};
    struct http_answer answer;
    post("ListPanics", HTTP_JSON_TYPE "Connect-Timeout-Ms: 9999999999\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
    for (size_t i = 0; i < 4; i++) {
        char headers[128];
        snprintf(headers, sizeof(headers), HTTP_JSON_TYPE "Connect-Timeout-Ms: %s\r\n", bad[i]);
        post("ListPanics", headers, "{}", &answer);
        expect_error(&answer, 400, "invalid_argument", "Connect-Timeout-Ms");
    }
    post("ListPanics", HTTP_JSON_TYPE "Connect-Timeout-Ms: 0\r\n", "{}", &answer);
    expect_error(&answer, 504, "deadline_exceeded", "deadline");
}

static void test_create_is_carried_out_past_its_deadline(void **state)
{
    (void)state;
    struct http_answer answer;
    post("CreatePanic", HTTP_JSON_TYPE "Connect-Timeout-Ms: 0\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
}

static void test_unknown_content_coding_names_what_is_supported(void **state)
{
    (void)state;
    struct http_answer answer;
    post("ListPanics", HTTP_JSON_TYPE "Content-Encoding: br\r\n", "{}", &answer);
    expect_error(&answer, 501, "unimplemented", "identity");
    post("ListPanics", HTTP_JSON_TYPE "Content-Encoding: identity\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
}

/* ---- 8: GET ---- */

static void test_get_with_json(void **state)
{
    (void)state;
    char query[256];
    const char *id = new_panic();
    struct http_answer answer;
    snprintf(query, sizeof(query), "x=y&message=%%7B%%22id%%22%%3A+%%22%s%%22%%7D&connect=v1&encoding=json",
             id);
    get(query, &answer);
    expect_panic(&answer, id);
}

static void test_get_with_base64(void **state)
{
    (void)state;
    char message[64];
    char text[128];
    char query[256];
    const char *id = new_panic();
    struct http_answer answer;
    int length = snprintf(message, sizeof(message), "{\"id\":\"%s\"}", id);
    size_t text_length = base64_encode((const uint8_t *)message, (size_t)length, false, text);
    snprintf(query, sizeof(query), "encoding=json&base64=1&message=%.*s", (int)text_length, text);
    get(query, &answer);
    expect_panic(&answer, id);
    length = snprintf(message, sizeof(message), "\n$%s", id);
    text_length = base64_encode((const uint8_t *)message, (size_t)length, true, text);
    for (size_t i = 0; i < text_length; i++) {
        text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    }
    snprintf(query, sizeof(query), "encoding=proto&base64=1&message=%.*s", (int)text_length, text);
    get(query, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "Content-Type"), "application/proto");
    http_answer_free(&answer);
}

static void test_get_parameters_that_are_missing_or_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        int status;
        const char *code;
        const char *text;
    } bad[] = {
        {"encoding=json", 400, "invalid_argument", "message: missing"},
        {"message=%7B%7D", 400, "invalid_argument", "encoding: missing"},
        {"message=%7B%7D&encoding=xml", 415, "invalid_argument", "encoding"},
        {"message=%7B%7&encoding=json", 400, "invalid_argument", "message: not percent-encoded"},
        {"message=%7B%7D%00&encoding=json", 400, "invalid_argument", "not valid JSON"},
        {"message=%7B%7D&encoding=json&connect=v2", 400, "invalid_argument", "connect: expected v1"},
        {"message=%7B%7D&encoding=json&base64=1", 400, "invalid_argument", "message: not base64"},
        {"message=%7B%7D&encoding=json&base64=yes", 400, "invalid_argument", "base64"},
        {"message=%7B%7D&encoding=json&compression=br", 501, "unimplemented", "identity"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_answer answer;
        get(bad[i].query, &answer);
        expect_error(&answer, bad[i].status, bad[i].code, bad[i].text);
    }
}

static void test_get_with_a_body_is_415(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(edge_url(), "GET", SERVICE "GetPanic?encoding=json&message=%7B%7D", "", "{}", &answer);
    expect_error(&answer, 415, "invalid_argument", "no body");
}

/* ---- 9: binary headers ---- */

static void test_binary_headers_are_base64(void **state)
{
    (void)state;
    static const char *const good[] = {"AAECAw==", "AAECAw", ""};
    struct http_answer answer;
    for (size_t i = 0; i < 3; i++) {
        char headers[128];
        snprintf(headers, sizeof(headers), HTTP_JSON_TYPE "X-Extra-Bin: %s\r\n", good[i]);
        post("ListPanics", headers, "{}", &answer);
        assert_int_equal(answer.status, 200);
        http_answer_free(&answer);
    }
    post("ListPanics", HTTP_JSON_TYPE "X-Extra-Bin: A*\r\n", "{}", &answer);
    expect_error(&answer, 400, "invalid_argument", "x-extra-bin");
}

/* ---- 10: CORS ---- */

static void test_preflight_of_a_listed_origin(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(edge_url(), "OPTIONS", SERVICE "GetPanic",
              "Origin: " ORIGIN "\r\nAccess-Control-Request-Method: POST\r\n"
              "Access-Control-Request-Headers: content-type\r\n",
              NULL, &answer);
    assert_int_equal(answer.status, 204);
    assert_string_equal(http_header(&answer, "Access-Control-Allow-Origin"), ORIGIN);
    assert_string_equal(http_header(&answer, "Access-Control-Allow-Methods"), "GET, POST");
    assert_string_equal(http_header(&answer, "Access-Control-Max-Age"), "7200");
    assert_string_equal(http_header(&answer, "Vary"),
                        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
    static const char *const names[] = {"Content-Type",       "Connect-Protocol-Version",
                                        "Connect-Timeout-Ms", "X-User-Agent",
                                        "Authorization",      "Idempotency-Key"};
    for (size_t i = 0; i < 6; i++) {
        assert_non_null(strstr(http_header(&answer, "Access-Control-Allow-Headers"), names[i]));
    }
    http_answer_free(&answer);
}

static void test_answer_to_a_listed_origin_may_be_read(void **state)
{
    (void)state;
    struct http_answer answer;
    post("ListPanics", HTTP_JSON_TYPE "Origin: " ORIGIN "\r\n", "{}", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "Access-Control-Allow-Origin"), ORIGIN);
    http_answer_free(&answer);
    post("GetPanic", HTTP_JSON_TYPE "Origin: " ORIGIN "\r\n", "{", &answer);
    assert_string_equal(http_header(&answer, "Access-Control-Allow-Origin"), ORIGIN);
    expect_error(&answer, 400, "invalid_argument", "not valid JSON");
}

static void test_origin_that_only_looks_like_a_listed_one_is_refused(void **state)
{
    (void)state;
    static const char *const origins[] = {"http://console.example", "https://console.example.evil.example",
                                          "https://console.example:8443", "null", "http://test"};
    for (size_t i = 0; i < 5; i++) {
        char headers[128];
        struct http_answer answer;
        snprintf(headers, sizeof(headers), HTTP_JSON_TYPE "Origin: %s\r\n", origins[i]);
        post("ListPanics", headers, "{}", &answer);
        assert_null(http_header(&answer, "Access-Control-Allow-Origin"));
        http_expect(&answer, 403, "code", "permission_denied");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_method_is_404),
        cmocka_unit_test(test_other_http_methods_are_405),
        cmocka_unit_test(test_every_service_is_served),
        cmocka_unit_test(test_other_content_types_are_415),
        cmocka_unit_test(test_json_is_answered_with_json),
        cmocka_unit_test(test_binary_is_answered_with_binary),
        cmocka_unit_test(test_empty_binary_message_is_a_message),
        cmocka_unit_test(test_errors_are_json_whatever_was_asked),
        cmocka_unit_test(test_codes_have_their_http_status),
        cmocka_unit_test(test_bad_messages_name_the_field),
        cmocka_unit_test(test_details_name_the_field),
        cmocka_unit_test(test_errors_that_are_of_no_field_have_no_details),
        cmocka_unit_test(test_protocol_version),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_create_is_carried_out_past_its_deadline),
        cmocka_unit_test(test_unknown_content_coding_names_what_is_supported),
        cmocka_unit_test(test_get_with_json),
        cmocka_unit_test(test_get_with_base64),
        cmocka_unit_test(test_get_parameters_that_are_missing_or_wrong),
        cmocka_unit_test(test_get_with_a_body_is_415),
        cmocka_unit_test(test_binary_headers_are_base64),
        cmocka_unit_test(test_preflight_of_a_listed_origin),
        cmocka_unit_test(test_answer_to_a_listed_origin_may_be_read),
        cmocka_unit_test(test_origin_that_only_looks_like_a_listed_one_is_refused),
    };
    return cmocka_run_group_tests_name("http_connect", tests, set_up, edge_tear_down);
}

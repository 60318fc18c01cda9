/*
 * Creates whose metadata is too deep, too much or too long to be read at all: somebody pressed a button, so
 * they are taken in without it, by every way into a real panicd, straight and through a panic-shim.
 */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/calls.h"
#include "harness/http_client.h"
#include "harness/panicd.h"
#include "harness/sp_peer.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/v1/rpc.pb-c.h"
#include "unit/rpc/wire.h"

#define CREATE "/panic.v1.PanicService/CreatePanic"
#define REQUEST_ID 9
#define PLACE "\"location\":{\"lat\":-33.9,\"lng\":18.4}"
#define DEEP_WARNING "metadata: messages are nested deeper than 16; left out"
#define MANY_WARNING "metadata: more than 4096 fields and elements; left out"

/* Field numbers. */
enum {
    CREATE_ID = 1,
    CREATE_LOCATION = 4,
    CREATE_METADATA = 5,
    CREATE_STRICT = 8,
    STRUCT_FIELDS = 1,
    ENTRY_VALUE = 2,
    VALUE_LIST = 6
};

static struct panicd *panicd;
static struct panicd *shim;
/* The HTTP edges of both. */
static const char *edges[2];

static bool is_ready(const char *url)
{
    struct http_answer answer;
    http_call(url, "GET", "/readyz", "", NULL, &answer);
    bool ready = answer.status == 200;
    http_answer_free(&answer);
    return ready;
}

static int set_up(void **state)
{
    (void)state;
    panicd = panicd_start(NULL);
    shim = panicd_start_shim(
        (const char *const[]){"--upstream", panicd_ipc(panicd), "--http", "127.0.0.1:0", NULL});
    edges[0] = panicd_http(panicd);
    edges[1] = panicd_http(shim);
    panicd_wait_log(shim, "upstream serves");
    assert_true(is_ready(edges[1]));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    panicd_end(shim);
    panicd_end(panicd);
    return 0;
}

/* ---- requests ---- */

/* `n` times `piece` between the other two. The caller owns it. */
static char *repeated(const char *before, const char *piece, size_t n, const char *after)
{
    char *text = NULL;
    size_t length;
    FILE *stream = open_memstream(&text, &length);
    assert_non_null(stream);
    fputs(before, stream);
    for (size_t i = 0; i < n; i++) {
        fputs(piece, stream);
    }
    fputs(after, stream);
    fclose(stream);
    return text;
}

/* Lists in one another, as metadata. The caller owns it. */
static char *deep_json(size_t levels)
{
    char *open = repeated("{\"a\":", "[", levels, "1");
    char *both = repeated(open, "]", levels, "}");
    free(open);
    return both;
}

/* Too deep for the scan, too deep for JSON, too many values, values that are too many packed, a string that
 * is too long together with numbers that take more room packed. The caller owns them. */
struct json_case {
    char *metadata;
    const char *warning;
};

#define JSON_CASES 5

static void make_json_cases(struct json_case cases[JSON_CASES])
{
    char *numbers = repeated("", ",1", 2000, "");
    char *text = repeated("{\"a\":[\"", "x", 55000, "\"");
    cases[0] = (struct json_case){deep_json(7), DEEP_WARNING};
    cases[1] =
        (struct json_case){deep_json(30000), "metadata: nested deeper than 32 objects and arrays; left out"};
    cases[2] = (struct json_case){repeated("{\"a\":[1", ",1", 5000, "]}"),
                                  "metadata: more than 4096 keys and values; left out"};
    cases[3] = (struct json_case){repeated("{\"a\":[1", ",1", 2100, "]}"), MANY_WARNING};
    cases[4] = (struct json_case){repeated(text, numbers, 1, "]}"),
                                  "metadata: makes the message too long; left out"};
    free(numbers);
    free(text);
}

static void free_json_cases(struct json_case cases[JSON_CASES])
{
    for (size_t i = 0; i < JSON_CASES; i++) {
        free(cases[i].metadata);
    }
}

static void put_deep_metadata(struct wire *wire, unsigned levels)
{
    static struct wire field;
    field.length = 0;
    for (unsigned i = 0; i < levels; i++) {
        wire_wrap(&field, 1);
        wire_wrap(&field, VALUE_LIST);
    }
    wire_wrap(&field, ENTRY_VALUE);
    wire_wrap(&field, STRUCT_FIELDS);
    wire_wrap(&field, CREATE_METADATA);
    wire_raw(wire, field.data, field.length);
}

static void put_large_metadata(struct wire *wire)
{
    static struct wire field;
    field.length = 0;
    for (unsigned i = 0; i < 5000; i++) {
        wire_bytes(&field, STRUCT_FIELDS, "", 0);
    }
    wire_wrap(&field, CREATE_METADATA);
    wire_raw(wire, field.data, field.length);
}

#define BINARY_CASES 3

/* A create with a place behind the metadata. Gives the warning to be expected. */
static const char *make_binary_case(unsigned n, bool strict, struct wire *wire)
{
    wire->length = 0;
    if (n == 2) {
        put_large_metadata(wire);
    } else {
        put_deep_metadata(wire, n == 0 ? 7 : 5000);
    }
    /* lat 16, lng 2 */
    wire_bytes(wire, CREATE_LOCATION, "\x09\0\0\0\0\0\0\x30\x40\x11\0\0\0\0\0\0\0\x40", 18);
    if (strict) {
        wire_number(wire, CREATE_STRICT, 1);
    }
    return n == 2 ? MANY_WARNING : DEEP_WARNING;
}

/* ---- answers ---- */

/* The warning, without its "; left out": what a strict request is refused with. */
static const char *reason_of(const char *warning)
{
    static char reason[128];
    const char *end = strstr(warning, "; left out");
    assert_non_null(end);
    snprintf(reason, sizeof(reason), "%.*s", (int)(end - warning), warning);
    return reason;
}

static void expect_warning(const json_t *json, const char *warning)
{
    const json_t *warnings = json_object_get(json, "warnings");
    assert_int_equal(json_array_size(warnings), 1);
    assert_string_equal(json_string_value(json_array_get(warnings, 0)), warning);
}

static void expect_response(const uint8_t *packed, size_t length, const char *warning)
{
    Panic__V1__CreatePanicResponse *response = panic__v1__create_panic_response__unpack(NULL, length, packed);
    assert_non_null(response);
    assert_int_equal(response->n_warnings, 1);
    assert_string_equal(response->warnings[0], warning);
    assert_true(response->panic->durable);
    assert_true(response->panic->location != NULL && response->panic->location->lat == 16);
    assert_null(response->panic->metadata);
    panic__v1__create_panic_response__free_unpacked(response, NULL);
}

/* ---- POST /panic ---- */

static char *json_request(const char *metadata, const char *more)
{
    char *before = repeated("{\"metadata\":", metadata, 1, "," PLACE);
    char *text = repeated(before, more, 1, "}");
    free(before);
    return text;
}

static void expect_taken_in(const char *edge, const struct json_case *c)
{
    struct http_answer answer;
    char target[80];
    char *body = json_request(c->metadata, "");
    http_call(edge, "POST", "/panic", HTTP_JSON_TYPE, body, &answer);
    json_t *json = http_take_json(&answer, 202);
    expect_warning(json, c->warning);
    assert_true(json_is_object(json_object_get(json, "location")));
    assert_int_equal(json_object_size(json_object_get(json, "metadata")), 0);
    snprintf(target, sizeof(target), "/panic/%s", json_string_value(json_object_get(json, "id")));
    json_decref(json);
    http_call(edge, "GET", target, "", NULL, &answer);
    json = http_take_json(&answer, 200);
    assert_true(json_is_object(json_object_get(json, "location")));
    assert_int_equal(json_object_size(json_object_get(json, "metadata")), 0);
    json_decref(json);
    free(body);
}

static void test_a_panic_in_json_is_taken_in_without_it(void **state)
{
    (void)state;
    struct json_case cases[JSON_CASES];
    make_json_cases(cases);
    for (size_t i = 0; i < 2 * JSON_CASES; i++) {
        expect_taken_in(edges[i % 2], &cases[i / 2]);
    }
    free_json_cases(cases);
}

static void test_a_strict_panic_in_json_is_refused(void **state)
{
    (void)state;
    struct json_case cases[JSON_CASES];
    make_json_cases(cases);
    for (size_t i = 0; i < 2 * JSON_CASES; i++) {
        struct http_answer answer;
        char *body = json_request(cases[i / 2].metadata, ",\"strict\":true");
        http_call(edges[i % 2], "POST", "/panic", HTTP_JSON_TYPE, body, &answer);
        http_expect(&answer, 400, "error", reason_of(cases[i / 2].warning));
        free(body);
    }
    free_json_cases(cases);
}

static void test_its_repeat_is_the_same_panic(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct http_answer answer;
        char *metadata = deep_json(40);
        char *body = json_request(metadata, "");
        char headers[128];
        snprintf(headers, sizeof(headers), HTTP_JSON_TYPE "Idempotency-Key: left-out-%zu\r\n", i);
        http_call(edges[i], "POST", "/panic", headers, body, &answer);
        json_t *first = http_take_json(&answer, 202);
        http_call(edges[1 - i], "POST", "/panic", headers, body, &answer);
        assert_string_equal(http_header(&answer, "Idempotent-Replayed"), "true");
        json_t *second = http_take_json(&answer, 202);
        assert_true(json_equal(json_object_get(first, "id"), json_object_get(second, "id")));
        assert_true(json_equal(json_object_get(first, "warnings"), json_object_get(second, "warnings")));
        json_decref(first);
        json_decref(second);
        free(body);
        free(metadata);
    }
}

/* What panicd leaves out and what the edge does are told together. */
static void test_other_warnings_come_along(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct http_answer answer;
        char *metadata = deep_json(7);
        char *body = repeated("{\"location\":{\"lat\":91},\"metadata\":", metadata, 1, "}");
        http_call(edges[i], "POST", "/panic", HTTP_JSON_TYPE, body, &answer);
        json_t *json = http_take_json(&answer, 202);
        const json_t *warnings = json_object_get(json, "warnings");
        assert_int_equal(json_array_size(warnings), 2);
        assert_string_equal(json_string_value(json_array_get(warnings, 0)), DEEP_WARNING);
        assert_non_null(strstr(json_string_value(json_array_get(warnings, 1)), "location: lat 91"));
        json_decref(json);
        free(body);
        free(metadata);
    }
}

static void test_text_that_is_not_json_stays_refused(void **state)
{
    (void)state;
    struct http_answer answer;
    char *open = repeated("{\"metadata\":", "[", 40, "");
    char *mixed = repeated(open, "]", 39, "}}");
    http_call(edges[0], "POST", "/panic", HTTP_JSON_TYPE, open, &answer);
    http_expect(&answer, 400, "error", "nested deeper than 32");
    http_call(edges[0], "POST", "/panic", HTTP_JSON_TYPE, mixed, &answer);
    http_expect(&answer, 400, "error", "nested deeper than 32");
    free(open);
    free(mixed);
}

/* ---- Connect ---- */

static void test_a_connect_call_in_json_is_taken_in_or_refused_when_strict(void **state)
{
    (void)state;
    struct json_case cases[JSON_CASES];
    make_json_cases(cases);
    for (size_t i = 0; i < 2 * JSON_CASES; i++) {
        const struct json_case *c = &cases[i / 2];
        struct http_answer answer;
        char *body = json_request(c->metadata, "");
        http_call(edges[i % 2], "POST", CREATE, HTTP_JSON_TYPE, body, &answer);
        json_t *json = http_take_json(&answer, 200);
        expect_warning(json, c->warning);
        const json_t *panic = json_object_get(json, "panic");
        assert_non_null(json_object_get(panic, "location"));
        assert_null(json_object_get(panic, "metadata"));
        json_decref(json);
        free(body);
        body = json_request(c->metadata, ",\"strict\":true");
        http_call(edges[i % 2], "POST", CREATE, HTTP_JSON_TYPE, body, &answer);
        http_expect(&answer, 400, "message", reason_of(c->warning));
        free(body);
    }
    free_json_cases(cases);
}

static void call_binary(const char *edge, const struct wire *wire, struct http_answer *ret_answer)
{
    char head[256];
    snprintf(head, sizeof(head),
             "POST " CREATE " HTTP/1.1\r\nHost: test\r\nContent-Type: application/proto\r\n"
             "Content-Length: %zu\r\n\r\n",
             wire->length);
    int fd = http_connect(edge, NULL);
    http_send(fd, head);
    http_send_bytes(fd, wire->data, wire->length);
    http_receive(fd, ret_answer);
    close(fd);
}

static void test_a_connect_call_in_binary_is_taken_in_or_refused_when_strict(void **state)
{
    (void)state;
    static struct wire wire;
    for (unsigned i = 0; i < 2 * BINARY_CASES; i++) {
        struct http_answer answer;
        const char *warning = make_binary_case(i / 2, false, &wire);
        call_binary(edges[i % 2], &wire, &answer);
        assert_int_equal(answer.status, 200);
        expect_response((const uint8_t *)answer.body, answer.length, warning);
        http_answer_free(&answer);
        make_binary_case(i / 2, true, &wire);
        call_binary(edges[i % 2], &wire, &answer);
        http_expect(&answer, 400, "message", reason_of(warning));
    }
}

/* ---- nng ---- */

static Rpc__V1__Response *call_nng(const struct wire *wire)
{
    static uint8_t frame[128 * 1024];
    static uint8_t answer[64 * 1024];
    Rpc__V1__Request envelope = RPC__V1__REQUEST__INIT;
    envelope.method = (char *)CREATE;
    envelope.payload.data = (uint8_t *)wire->data;
    envelope.payload.len = wire->length;
    assert_true(rpc__v1__request__get_packed_size(&envelope) <= sizeof(frame));
    int fd = sp_connect_req(panicd_tcp(panicd));
    sp_send_request(fd, REQUEST_ID, frame, rpc__v1__request__pack(&envelope, frame));
    ssize_t n = sp_receive_answer(fd, REQUEST_ID, answer, sizeof(answer));
    close(fd);
    assert_true(n >= 0);
    Rpc__V1__Response *response = rpc__v1__response__unpack(NULL, (size_t)n, answer);
    assert_non_null(response);
    return response;
}

static void test_a_call_over_nng_is_taken_in(void **state)
{
    (void)state;
    static struct wire wire;
    for (unsigned i = 0; i < BINARY_CASES; i++) {
        const char *warning = make_binary_case(i, false, &wire);
        Rpc__V1__Response *response = call_nng(&wire);
        assert_int_equal(response->code, STATUS_OK);
        expect_response(response->payload.data, response->payload.len, warning);
        rpc__v1__response__free_unpacked(response, NULL);
    }
}

static void expect_refused_over_nng(const struct wire *wire, const char *text)
{
    Rpc__V1__Response *response = call_nng(wire);
    assert_int_equal(response->code, STATUS_INVALID_ARGUMENT);
    assert_string_equal(response->message, text);
    rpc__v1__response__free_unpacked(response, NULL);
}

static void test_a_strict_call_over_nng_is_refused(void **state)
{
    (void)state;
    static struct wire wire;
    for (unsigned i = 0; i < BINARY_CASES; i++) {
        const char *warning = make_binary_case(i, true, &wire);
        expect_refused_over_nng(&wire, reason_of(warning));
    }
}

static void test_what_is_wrong_elsewhere_is_refused_over_nng(void **state)
{
    (void)state;
    static struct wire wire;
    make_binary_case(0, false, &wire);
    wire_bytes(&wire, CREATE_ID, "\xFF", 1);
    expect_refused_over_nng(&wire, "id: text is not valid UTF-8 or holds NUL");
    make_binary_case(2, false, &wire);
    put_deep_metadata(&wire, 1);
    expect_refused_over_nng(&wire, "metadata: is given twice");
    make_binary_case(0, false, &wire);
    wire.length--;
    expect_refused_over_nng(&wire, "location: is longer than what encloses it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_panic_in_json_is_taken_in_without_it),
        cmocka_unit_test(test_a_strict_panic_in_json_is_refused),
        cmocka_unit_test(test_its_repeat_is_the_same_panic),
        cmocka_unit_test(test_other_warnings_come_along),
        cmocka_unit_test(test_text_that_is_not_json_stays_refused),
        cmocka_unit_test(test_a_connect_call_in_json_is_taken_in_or_refused_when_strict),
        cmocka_unit_test(test_a_connect_call_in_binary_is_taken_in_or_refused_when_strict),
        cmocka_unit_test(test_a_call_over_nng_is_taken_in),
        cmocka_unit_test(test_a_strict_call_over_nng_is_refused),
        cmocka_unit_test(test_what_is_wrong_elsewhere_is_refused_over_nng),
    };
    return cmocka_run_group_tests_name("left_out", tests, set_up, tear_down);
}

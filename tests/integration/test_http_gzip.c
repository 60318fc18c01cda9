/* Bodies and answers in gzip, as bytes on the wire, on both families of paths. What can be wrong with gzip
 * itself is in tests/unit/shim/test_gzip.c. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "harness/edge.h"
#include "json/base64.h"

#define CONNECT_CREATE "/panic.v1.PanicService/CreatePanic"
#define CONNECT_GET "/panic.v1.PanicService/GetPanic"
#define GZIP "Content-Encoding: gzip\r\n"
#define PACKED_MAX 65536
#define CONTENT_MAX (1024 * 1024)

struct packed {
    unsigned char data[PACKED_MAX];
    size_t length;
};

static void pack(const char *text, size_t length, struct packed *packed)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)length};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = packed->data;
    stream.avail_out = PACKED_MAX;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed->length = stream.total_out;
    deflateEnd(&stream);
}

/* The body of an answer, unpacked, in static storage. */
static const char *unpack(const struct http_answer *answer)
{
    static char content[CONTENT_MAX];
    z_stream stream = {.next_in = (Bytef *)answer->body, .avail_in = (uInt)answer->length};
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_out = (Bytef *)content;
    stream.avail_out = sizeof(content) - 1;
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    content[stream.total_out] = 0;
    inflateEnd(&stream);
    return content;
}

static void post_packed(const char *target, const struct packed *packed, const char *headers,
                        struct http_answer *answer)
{
    char head[512];
    int length =
        snprintf(head, sizeof(head),
                 "POST %s HTTP/1.1\r\nHost: test\r\n" HTTP_JSON_TYPE GZIP "%sContent-Length: %zu\r\n\r\n",
                 target, headers, packed->length);
    int fd = http_connect(edge_url(), NULL);
    http_send_bytes(fd, head, (size_t)length);
    http_send_bytes(fd, packed->data, packed->length);
    http_receive(fd, answer);
    close(fd);
}

static void expect_refused(const char *target, const struct packed *packed, int status, const char *text)
{
    struct http_answer answer;
    post_packed(target, packed, "", &answer);
    http_expect(&answer, status, strcmp(target, "/panic") == 0 ? "error" : "message", text);
}

static void expect_refused_everywhere(const struct packed *packed, int status, const char *text)
{
    expect_refused("/panic", packed, status, text);
    expect_refused(CONNECT_CREATE, packed, status, text);
}

static void test_create_comes_packed(void **state)
{
    static const char text[] = "{\"subjectId\":\"resident-7\",\"metadata\":{\"a\":\"b\"}}";
    struct packed packed;
    struct http_answer answer;
    (void)state;
    pack(text, strlen(text), &packed);
    post_packed("/panic", &packed, "", &answer);
    assert_int_equal(answer.status, 202);
    assert_non_null(strstr(answer.body, "\"metadata\":{\"a\":\"b\"}"));
    http_answer_free(&answer);
    post_packed(CONNECT_CREATE, &packed, "", &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(answer.body, "\"subjectId\":\"resident-7\""));
    http_answer_free(&answer);
}

static void test_binary_message_comes_packed(void **state)
{
    struct packed packed;
    struct http_answer answer;
    char head[256];
    (void)state;
    /* subject_id = "seven" */
    pack("\x12\x05seven", 7, &packed);
    int length =
        snprintf(head, sizeof(head),
                 "POST " CONNECT_CREATE " HTTP/1.1\r\nHost: test\r\nContent-Type: application/proto\r\n" GZIP
                 "Content-Length: %zu\r\n\r\n",
                 packed.length);
    int fd = http_connect(edge_url(), NULL);
    http_send_bytes(fd, head, (size_t)length);
    http_send_bytes(fd, packed.data, packed.length);
    http_receive(fd, &answer);
    close(fd);
    assert_int_equal(answer.status, 200);
    assert_non_null(memmem(answer.body, answer.length, "seven", 5));
    http_answer_free(&answer);
}

static void test_bomb_is_refused(void **state)
{
    static char text[4 * 1024 * 1024];
    struct packed packed;
    (void)state;
    memset(text, ' ', sizeof(text));
    pack(text, sizeof(text), &packed);
    expect_refused_everywhere(&packed, 413, "longer than 65536 bytes when unpacked");
}

static void test_cut_off_body_is_refused(void **state)
{
    struct packed packed;
    (void)state;
    pack("{\"subjectId\":\"a\"}", 17, &packed);
    packed.length--;
    expect_refused_everywhere(&packed, 400, "ends too early");
}

static void test_bytes_behind_the_end_are_refused(void **state)
{
    struct packed packed;
    (void)state;
    pack("{}", 2, &packed);
    packed.data[packed.length++] = '{';
    expect_refused_everywhere(&packed, 400, "behind its end");
}

static void test_wrong_checksum_is_refused(void **state)
{
    struct packed packed;
    (void)state;
    pack("{}", 2, &packed);
    packed.data[packed.length - 8] ^= 1;
    expect_refused_everywhere(&packed, 400, "incorrect data check");
}

static void test_body_that_is_not_gzip_is_refused(void **state)
{
    struct packed packed = {.data = "{\"subjectId\":\"a\"}", .length = 17};
    (void)state;
    expect_refused_everywhere(&packed, 400, "incorrect header check");
}

static void test_empty_body_is_in_no_coding(void **state)
{
    static const struct packed packed;
    struct http_answer answer;
    char head[256];
    (void)state;
    snprintf(head, sizeof(head),
             "POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/proto\r\n" GZIP
             "Content-Length: 0\r\n\r\n",
             CONNECT_CREATE);
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, head);
    http_receive(fd, &answer);
    close(fd);
    assert_int_equal(answer.status, 200);
    http_answer_free(&answer);
    post_packed("/panic", &packed, "", &answer);
    http_expect(&answer, 400, "error", "");
}

static void test_unknown_coding_is_refused_and_says_what_is_known(void **state)
{
    struct http_answer answer;
    (void)state;
    http_call(edge_url(), "POST", "/panic", "Content-Encoding: br\r\n", "{}", &answer);
    assert_string_equal(http_header(&answer, "Accept-Encoding"), "gzip, identity");
    http_expect(&answer, 415, "code", "unimplemented");
    http_call(edge_url(), "POST", CONNECT_CREATE, HTTP_JSON_TYPE "Content-Encoding: zstd\r\n", "{}", &answer);
    assert_string_equal(http_header(&answer, "Accept-Encoding"), "gzip, identity");
    http_expect(&answer, 501, "message", "gzip, identity");
}

static void test_identity_by_name_is_taken(void **state)
{
    struct http_answer answer;
    (void)state;
    http_call(edge_url(), "POST", "/panic", "Content-Encoding: identity\r\n", "{}", &answer);
    assert_int_equal(answer.status, 202);
    http_answer_free(&answer);
}

/* ---- GET of the Connect protocol ---- */

static void get_packed(const char *text, const char *compression, struct http_answer *answer)
{
    struct packed packed;
    char base64[2048];
    char target[4096];
    pack(text, strlen(text), &packed);
    size_t length = base64_encode(packed.data, packed.length, false, base64);
    for (size_t i = 0; i < length; i++) {
        base64[i] = (char)(base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i]);
    }
    snprintf(target, sizeof(target),
             CONNECT_GET "?connect=v1&encoding=json&base64=1&compression=%s&message=%.*s", compression,
             (int)length, base64);
    http_call(edge_url(), "GET", target, "", NULL, answer);
}

static void test_message_of_the_query_comes_packed(void **state)
{
    struct http_answer answer;
    (void)state;
    get_packed("{\"id\":\"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff\"}", "gzip", &answer);
    http_expect(&answer, 404, "message", "Panic not found");
    get_packed("{\"id\":\"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff\"}", "br", &answer);
    http_expect(&answer, 501, "message", "compression: only gzip, identity");
}

static void test_bomb_in_the_query_is_refused(void **state)
{
    static char text[200000];
    struct http_answer answer;
    (void)state;
    memset(text, ' ', sizeof(text) - 1);
    get_packed(text, "gzip", &answer);
    http_expect(&answer, 413, "message", "longer than 65536 bytes when unpacked");
}

/* ---- answers ---- */

/* A panic whose answer is longer than what is sent as it is; its path is put into `path`. */
static void new_long_panic(char path[64])
{
    static char body[4096];
    struct http_answer answer;
    memcpy(body, "{\"metadata\":{\"note\":\"", 21);
    memset(body + 21, 'n', 3000);
    memcpy(body + 3021, "\"}}", 4);
    http_call(edge_url(), "POST", "/panic", "", body, &answer);
    assert_int_equal(answer.status, 202);
    snprintf(path, 64, "%s", http_header(&answer, "Location"));
    http_answer_free(&answer);
}

static void expect_answer(const char *path, const char *accept_encoding, bool is_packed, const char *text)
{
    struct http_answer answer;
    char header[256];
    snprintf(header, sizeof(header), "Accept-Encoding: %s\r\n", accept_encoding);
    http_call(edge_url(), "GET", path, header, NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(http_header(&answer, "Vary"), "Accept-Encoding");
    if (is_packed) {
        assert_string_equal(http_header(&answer, "Content-Encoding"), "gzip");
        assert_non_null(strstr(unpack(&answer), text));
    } else {
        assert_null(http_header(&answer, "Content-Encoding"));
        assert_non_null(strstr(answer.body, text));
    }
    http_answer_free(&answer);
}

static void test_long_answers_go_out_as_wished(void **state)
{
    char path[64];
    (void)state;
    new_long_panic(path);
    expect_answer(path, "gzip", true, "\"note\":\"nnn");
    expect_answer(path, "br, gzip;q=0.8, *;q=0.1", true, "\"note\":\"nnn");
    expect_answer(path, "gzip;q=0", false, "\"note\":\"nnn");
    expect_answer(path, "identity", false, "\"note\":\"nnn");
    expect_answer(path, "gzip;q=0.5, identity;q=0.9", false, "\"note\":\"nnn");
    expect_answer("/openapi.yaml", "gzip", true, "openapi: 3.1");
    expect_answer("/metrics", "gzip", true, "panicd_");
}

static void test_short_answers_go_out_as_they_are(void **state)
{
    (void)state;
    expect_answer("/health", "gzip", false, "OK");
    expect_answer("/health", "gzip, identity;q=0", true, "OK");
}

static void test_wishes_on_several_lines_are_one_list(void **state)
{
    static const struct {
        const char *headers;
        bool packed;
    } cases[] = {
        {"Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n", true},
        {"Accept-Encoding: gzip;q=0.5\r\naccept-encoding: identity\r\n", false},
        {"Accept-Encoding: gzip\r\nAccept-Encoding: \r\n", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_answer answer;
        http_call(edge_url(), "GET", "/openapi.yaml", cases[i].headers, NULL, &answer);
        assert_int_equal(answer.status, 200);
        assert_int_equal(http_header(&answer, "Content-Encoding") != NULL, cases[i].packed);
        http_answer_free(&answer);
    }
}

static void test_head_says_the_length_of_the_packed_body(void **state)
{
    struct http_answer answer;
    (void)state;
    http_call(edge_url(), "GET", "/openapi.yaml", "Accept-Encoding: gzip\r\n", NULL, &answer);
    size_t length = answer.length;
    http_answer_free(&answer);
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "HEAD /openapi.yaml HTTP/1.1\r\nHost: test\r\nAccept-Encoding: gzip\r\n\r\n");
    http_receive_head(fd, &answer);
    close(fd);
    assert_string_equal(http_header(&answer, "Content-Encoding"), "gzip");
    assert_int_equal(strtoul(http_header(&answer, "Content-Length"), NULL, 10), length);
    http_answer_free(&answer);
}

static void test_connect_answers_are_packed_in_both_encodings(void **state)
{
    static const char *const types[] = {"application/json", "application/proto"};
    struct http_answer answer;
    char headers[128];
    char path[64];
    (void)state;
    new_long_panic(path);
    for (size_t i = 0; i < 2; i++) {
        snprintf(headers, sizeof(headers), "Content-Type: %s\r\nAccept-Encoding: gzip\r\n", types[i]);
        http_call(edge_url(), "POST", "/panic.v1.PanicService/ListPanics", headers, i == 0 ? "{}" : "",
                  &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(http_header(&answer, "Content-Type"), types[i]);
        assert_string_equal(http_header(&answer, "Content-Encoding"), "gzip");
        const char *content = unpack(&answer);
        assert_non_null(memmem(content, CONTENT_MAX, "nnnnnnnn", 8));
        http_answer_free(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_comes_packed),
        cmocka_unit_test(test_binary_message_comes_packed),
        cmocka_unit_test(test_bomb_is_refused),
        cmocka_unit_test(test_cut_off_body_is_refused),
        cmocka_unit_test(test_bytes_behind_the_end_are_refused),
        cmocka_unit_test(test_wrong_checksum_is_refused),
        cmocka_unit_test(test_body_that_is_not_gzip_is_refused),
        cmocka_unit_test(test_empty_body_is_in_no_coding),
        cmocka_unit_test(test_unknown_coding_is_refused_and_says_what_is_known),
        cmocka_unit_test(test_identity_by_name_is_taken),
        cmocka_unit_test(test_message_of_the_query_comes_packed),
        cmocka_unit_test(test_bomb_in_the_query_is_refused),
        cmocka_unit_test(test_long_answers_go_out_as_wished),
        cmocka_unit_test(test_short_answers_go_out_as_they_are),
        cmocka_unit_test(test_wishes_on_several_lines_are_one_list),
        cmocka_unit_test(test_head_says_the_length_of_the_packed_body),
        cmocka_unit_test(test_connect_answers_are_packed_in_both_encodings),
    };
    return cmocka_run_group_tests(tests, edge_set_up, edge_tear_down);
}

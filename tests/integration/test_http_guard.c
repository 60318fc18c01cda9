/* What must not get through to evhttp, each rule with the bytes that break it. The server answers, then
 * closes. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/edge.h"

#define HOST "Host: test\r\n"
#define PRESS "{\"location\":{\"lat\":1,\"lng\":2}}"
#define PRESS_LENGTH "30"

/* Refused in one answer, behind which nothing comes any more. */
static void expect_closed(const char *request, size_t length, int status, const char *text)
{
    int fd = http_connect(edge_url(), NULL);
    struct http_answer answer;
    http_send_bytes(fd, request, length);
    http_receive(fd, &answer);
    if (answer.status == 0) {
        fail_msg("no answer to: %s", request);
    }
    assert_string_equal(http_header(&answer, "Connection"), "close");
    http_expect(&answer, status, "error", text);
    assert_true(http_is_closed(fd));
    close(fd);
}

static void expect_refused(const char *request, int status, const char *text)
{
    expect_closed(request, strlen(request), status, text);
}

static void test_duplicate_content_length(void **state)
{
    (void)state;
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400,
                   "Content-Length: given twice");
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Content-Length: 2, 2\r\n\r\n{}", 400, "Content-Length");
}

static void test_content_length_that_is_no_number(void **state)
{
    (void)state;
    static const char *const values[] = {"+2", "-2", "0x2", "2 2", "", "two"};
    for (size_t i = 0; i < 6; i++) {
        char request[128];
        snprintf(request, sizeof(request), "POST /panic HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n{}",
                 values[i]);
        expect_refused(request, 400, "Content-Length: not a number");
    }
}

static void test_duplicate_host(void **state)
{
    (void)state;
    expect_refused("GET /health HTTP/1.1\r\n" HOST "hOsT: other\r\n\r\n", 400, "Host: given twice");
}

static void test_missing_host(void **state)
{
    (void)state;
    expect_refused("GET /health HTTP/1.1\r\n\r\n", 400, "Host: missing");
}

static void test_host_that_is_none(void **state)
{
    (void)state;
    expect_refused("GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "Host: not a host");
}

static void test_header_name_followed_by_a_space(void **state)
{
    (void)state;
    expect_refused("GET /health HTTP/1.1\r\nHost : test\r\n\r\n", 400, "colon");
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Content-Length : 2\r\n\r\n{}", 400, "colon");
    expect_refused("GET /health HTTP/1.1\r\n" HOST ": x\r\n\r\n", 400, "colon");
    expect_refused("GET /health HTTP/1.1\r\n" HOST "nothing\r\n\r\n", 400, "colon");
}

static void test_length_with_transfer_encoding(void **state)
{
    (void)state;
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\n{}\r\n0\r\n\r\n",
                   400, "Content-Length together with Transfer-Encoding");
}

static void test_transfer_encoding_other_than_chunked(void **state)
{
    (void)state;
    static const char *const values[] = {"gzip",     "gzip, chunked", "chunked, chunked",
                                         "xchunked", "identity",      ""};
    for (size_t i = 0; i < 6; i++) {
        char request[128];
        snprintf(request, sizeof(request),
                 "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: %s\r\n\r\n0\r\n\r\n", values[i]);
        expect_refused(request, 400, "Transfer-Encoding");
    }
    expect_refused("POST /panic HTTP/1.1\r\n" HOST
                   "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                   400, "Transfer-Encoding");
}

static void test_folded_header(void **state)
{
    (void)state;
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400,
                   "Transfer-Encoding");
    expect_refused("GET /health HTTP/1.1\r\n" HOST "A: b\r\n\tc\r\n\r\n", 400, "folded");
}

static void test_line_feed_alone(void **state)
{
    (void)state;
    expect_refused("GET /health HTTP/1.1\n" HOST "\r\n", 400, "CRLF");
    expect_refused("GET /health HTTP/1.1\r\nHost: test\n\n", 400, "CRLF");
}

static void test_control_characters(void **state)
{
    (void)state;
    static const char nul[] = "GET /health HTTP/1.1\r\nHost: te\0st\r\n\r\n";
    static const char bare_cr[] = "GET /health HTTP/1.1\r\nHost: te\rst\r\n\r\n";
    expect_closed(nul, sizeof(nul) - 1, 400, "control character");
    expect_closed(bare_cr, sizeof(bare_cr) - 1, 400, "control character");
}

static void test_request_lines_that_are_none(void **state)
{
    (void)state;
    expect_refused("\r\n\r\n", 400, "request line");
    expect_refused("rubbish\r\n\r\n", 400, "request line");
    expect_refused("GET /health\r\n" HOST "\r\n", 400, "HTTP version");
    expect_refused("GET  /health HTTP/1.1\r\n" HOST "\r\n", 400, "path");
    expect_refused("GET //other/health HTTP/1.1\r\n" HOST "\r\n", 400, "path");
    expect_refused("GET /\xC3\xA4 HTTP/1.1\r\n" HOST "\r\n", 400, "percent-encoded");
    expect_refused("GET /health#x HTTP/1.1\r\n" HOST "\r\n", 400, "percent-encoded");
    expect_refused("GET /health HTTP/2.0\r\n" HOST "\r\n", 505, "HTTP/1.1");
    expect_refused("CONNECT test:80 HTTP/1.1\r\n" HOST "\r\n", 501, "proxy");
}

/* evhttp would read the body as the next request. */
static void test_body_with_a_method_that_has_none(void **state)
{
    (void)state;
    expect_refused("HEAD /health HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nGET /", 400, "body");
    expect_refused("BREW /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
                   "body");
}

static void test_head_that_is_too_long(void **state)
{
    (void)state;
    char request[10000];
    int length = snprintf(request, sizeof(request), "GET /health HTTP/1.1\r\n" HOST "X: %09000d\r\n\r\n", 0);
    expect_closed(request, (size_t)length, 431, "longer");
    length = snprintf(request, sizeof(request), "GET /%09000d HTTP/1.1\r\n" HOST "\r\n", 0);
    expect_closed(request, (size_t)length, 431, "longer");
}

static void test_body_that_is_too_long(void **state)
{
    (void)state;
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n{", 413, "longer");
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n{", 413,
                   "longer");
}

static void test_chunks_that_are_too_long(void **state)
{
    (void)state;
    enum { PIECE = 4096, PIECES = 17 };
    char *request = NULL;
    size_t length;
    FILE *stream = open_memstream(&request, &length);
    assert_non_null(stream);
    fputs("POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", stream);
    for (int i = 0; i < PIECES; i++) {
        fprintf(stream, "%x\r\n%0*d\r\n", PIECE, PIECE, 0);
    }
    fclose(stream);
    expect_closed(request, length, 413, "longer");
    free(request);
}

static void test_chunk_that_is_too_long(void **state)
{
    (void)state;
    char request[70000];
    int length = snprintf(
        request, sizeof(request),
        "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n%069000d", 0);
    expect_closed(request, (size_t)length, 413, "longer");
}

/* evhttp takes all of these; who stands before it may find the end of the body elsewhere. */
static void test_chunks_that_can_be_read_in_two_ways(void **state)
{
    static const struct {
        const char *body;
        const char *text;
    } bad[] = {
        {"0x2\r\n{}\r\n0\r\n\r\n", "size"},
        {"+2\r\n{}\r\n0\r\n\r\n", "size"},
        {" 2\r\n{}\r\n0\r\n\r\n", "size"},
        {"2 ;a\r\n{}\r\n0\r\n\r\n", "size"},
        {"2;a=b\r\n{}\r\n0\r\n\r\n", "size"},
        {"zz\r\n{}\r\n0\r\n\r\n", "size"},
        {"2\n{}\r\n0\r\n\r\n", "size"},
        {"2\r\n{}\n0\r\n\r\n", "CRLF"},
        {"2\r\n{}0\r\n\r\n", "as long as it says"},
        {"\r\n2\r\n{}\r\n0\r\n\r\n", "size"},
        {"2\r\n{}\r\n0\n\n", "size"},
        {"2\r\n{}\r\n0\r\nHost: other\r\n\r\n", "last chunk"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char request[256];
        snprintf(request, sizeof(request),
                 "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%s", bad[i].body);
        expect_refused(request, 400, bad[i].text);
    }
}

static void test_too_many_headers(void **state)
{
    (void)state;
    char *request = NULL;
    size_t length;
    FILE *stream = open_memstream(&request, &length);
    assert_non_null(stream);
    fputs("GET /health HTTP/1.1\r\n" HOST, stream);
    for (int i = 0; i < 100; i++) {
        fputs("a:\r\n", stream);
    }
    fputs("\r\n", stream);
    fclose(stream);
    expect_closed(request, length, 431, "more headers");
    free(request);
}

/* evhttp finds these by itself; its page in HTML must not come through. */
static void test_what_evhttp_refuses_is_told_in_json_too(void **state)
{
    (void)state;
    expect_refused("POST /panic HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 2\r\n\r\n{}", 400,
                   "not a valid HTTP request");
    expect_refused("GET http://[x/ HTTP/1.1\r\n" HOST "\r\n", 400, "not a valid HTTP request");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duplicate_content_length),
        cmocka_unit_test(test_content_length_that_is_no_number),
        cmocka_unit_test(test_duplicate_host),
        cmocka_unit_test(test_missing_host),
        cmocka_unit_test(test_host_that_is_none),
        cmocka_unit_test(test_header_name_followed_by_a_space),
        cmocka_unit_test(test_length_with_transfer_encoding),
        cmocka_unit_test(test_transfer_encoding_other_than_chunked),
        cmocka_unit_test(test_folded_header),
        cmocka_unit_test(test_line_feed_alone),
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_request_lines_that_are_none),
        cmocka_unit_test(test_body_with_a_method_that_has_none),
        cmocka_unit_test(test_head_that_is_too_long),
        cmocka_unit_test(test_body_that_is_too_long),
        cmocka_unit_test(test_chunks_that_are_too_long),
        cmocka_unit_test(test_chunk_that_is_too_long),
        cmocka_unit_test(test_chunks_that_can_be_read_in_two_ways),
        cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_what_evhttp_refuses_is_told_in_json_too),
    };
    return cmocka_run_group_tests_name("http_guard", tests, edge_set_up, edge_tear_down);
}

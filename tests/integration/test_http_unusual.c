/* Requests that come in an unusual way and are right, and any bytes at all. */
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

static void expect_created(int fd)
{
    struct http_answer answer;
    http_receive(fd, &answer);
    http_expect(&answer, 202, "status", "processing");
}

static void expect_healthy(int fd)
{
    struct http_answer answer;
    http_receive(fd, &answer);
    http_expect(&answer, 200, "status", "OK");
}

static void test_chunked_body(void **state)
{
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                  "a\r\n{\"location\r\n14\r\n\":{\"lat\":1,\"lng\":2}}\r\n0\r\n\r\n");
    expect_created(fd);
    close(fd);
}

static void test_request_that_comes_byte_by_byte(void **state)
{
    (void)state;
    static const char request[] =
        "POST /panic HTTP/1.1\r\n" HOST "Content-Length: " PRESS_LENGTH "\r\n\r\n" PRESS
        "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "a\r\n{\"location\r\n14\r\n\":{\"lat\":1,\"lng\":2}}\r\n0\r\n\r\n";
    int fd = http_connect(edge_url(), NULL);
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        http_send_bytes(fd, request + i, 1);
    }
    expect_created(fd);
    expect_created(fd);
    close(fd);
}

/* Whatever part of the chunks comes with the head, and whatever is behind them. */
static void test_chunked_bodies_in_two_pieces_of_any_length(void **state)
{
    static const char request[] = "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                                  "a\r\n{\"location\r\n14\r\n\":{\"lat\":1,\"lng\":2}}\r\n0\r\n\r\n"
                                  "GET /health HTTP/1.1\r\n" HOST "\r\n";
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    for (size_t first = 1; first < sizeof(request) - 1; first++) {
        http_send_bytes(fd, request, first);
        http_send_bytes(fd, request + first, sizeof(request) - 1 - first);
        expect_created(fd);
        expect_healthy(fd);
    }
    close(fd);
}

static void test_requests_in_one_packet_are_answered_in_order(void **state)
{
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "GET /health HTTP/1.1\r\n" HOST "\r\n"
                  "POST /panic HTTP/1.1\r\n" HOST "Content-Length: " PRESS_LENGTH "\r\n\r\n" PRESS
                  "GET /health HTTP/1.1\r\n" HOST "\r\nGET /hea");
    expect_healthy(fd);
    expect_created(fd);
    expect_healthy(fd);
    http_send(fd, "lth HTTP/1.1\r\n" HOST "\r\n");
    expect_healthy(fd);
    close(fd);
}

static void test_rubbish_behind_a_request_does_not_cost_its_answer(void **state)
{
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    struct http_answer answer;
    http_send(fd, "POST /panic HTTP/1.1\r\n" HOST "Content-Length: " PRESS_LENGTH "\r\n\r\n" PRESS
                  "}\x01rubbish\r\n\r\n");
    expect_created(fd);
    http_receive(fd, &answer);
    http_expect(&answer, 400, "code", "invalid_argument");
    assert_true(http_is_closed(fd));
    close(fd);
}

static void test_expect_100_continue(void **state)
{
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    struct http_answer answer;
    http_send(fd, "POST /panic HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: " PRESS_LENGTH
                  "\r\n\r\n");
    http_receive(fd, &answer);
    assert_int_equal(answer.status, 100);
    http_answer_free(&answer);
    http_send(fd, PRESS);
    expect_created(fd);
    http_send(fd,
              "POST /panic HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    http_receive(fd, &answer);
    assert_int_equal(answer.status, 100);
    http_answer_free(&answer);
    http_send(fd, "2\r\n{}\r\n");
    http_send(fd, "0\r\n\r\n");
    expect_created(fd);
    close(fd);
}

static void test_half_a_request_and_gone_harms_nobody(void **state)
{
    (void)state;
    static const char *const halves[] = {
        "", "G",
        "POST /panic HTTP/1.1\r\nHost:", "POST /panic HTTP/1.1\r\n" HOST "Content-Length: 30\r\n\r\n{\"loc",
        "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\n{"};
    for (size_t i = 0; i < 5; i++) {
        int fd = http_connect(edge_url(), NULL);
        http_send(fd, halves[i]);
        close(fd);
    }
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "GET /health HTTP/1.1\r\n" HOST "\r\n");
    expect_healthy(fd);
    close(fd);
}

static void test_connection_close_is_honoured(void **state)
{
    (void)state;
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "GET /health HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    expect_healthy(fd);
    assert_true(http_is_closed(fd));
    close(fd);
}

/* ---- anything ---- */

static uint32_t next_random(void)
{
    static uint32_t random = 4711;
    random = random * 1664525U + 1013904223U;
    return random >> 8;
}

/* Bytes changed, doubled and left out, here and there. Returns the new length. */
static size_t mutate(char *text, size_t length, size_t size)
{
    for (unsigned n = next_random() % 4; n > 0; n--) {
        size_t at = next_random() % length;
        size_t piece = next_random() % (length - at < 16 ? length - at : 16);
        switch (next_random() % 3) {
        case 0:
            text[at] = (char)next_random();
            break;
        case 1:
            if (length + piece <= size) {
                memmove(text + at + piece, text + at, length - at);
                length += piece;
            }
            break;
        default:
            memmove(text + at, text + at + piece, length - at - piece);
            length -= piece;
            break;
        }
    }
    return length;
}

static void send_in_pieces(int fd, const char *text, size_t length)
{
    while (length > 0) {
        size_t piece = 1 + next_random() % length;
        http_send_bytes(fd, text, piece);
        text += piece;
        length -= piece;
    }
}

static void test_mutated_requests_harm_nobody(void **state)
{
    static const char request[] =
        "GET /health HTTP/1.1\r\n" HOST "\r\n"
        "POST /panic HTTP/1.1\r\n" HOST "Content-Length: " PRESS_LENGTH "\r\n\r\n" PRESS
        "POST /panic HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "a\r\n{\"location\r\n14\r\n\":{\"lat\":1,\"lng\":2}}\r\n0\r\n\r\n"
        "GET /panic.v1.PanicService/ListPanics?encoding=json&message=%7B%7D HTTP/1.1\r\n"
        "Expect: 100-continue\r\nConnection: close\r\n" HOST "\r\n";
    (void)state;
    for (int i = 0; i < (harness_long() ? 100000 : 2000); i++) {
        char text[2 * sizeof(request)];
        char rest[4096];
        memcpy(text, request, sizeof(request));
        size_t length = mutate(text, sizeof(request) - 1, sizeof(text));
        int fd = http_connect(edge_url(), NULL);
        send_in_pieces(fd, text, length);
        shutdown(fd, SHUT_WR);
        while (recv(fd, rest, sizeof(rest), 0) > 0) {
        }
        close(fd);
    }
    int fd = http_connect(edge_url(), NULL);
    http_send(fd, "GET /health HTTP/1.1\r\n" HOST "\r\n");
    expect_healthy(fd);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_body),
        cmocka_unit_test(test_request_that_comes_byte_by_byte),
        cmocka_unit_test(test_chunked_bodies_in_two_pieces_of_any_length),
        cmocka_unit_test(test_requests_in_one_packet_are_answered_in_order),
        cmocka_unit_test(test_rubbish_behind_a_request_does_not_cost_its_answer),
        cmocka_unit_test(test_expect_100_continue),
        cmocka_unit_test(test_half_a_request_and_gone_harms_nobody),
        cmocka_unit_test(test_connection_close_is_honoured),
        cmocka_unit_test(test_mutated_requests_harm_nobody),
    };
    return cmocka_run_group_tests_name("http_unusual", tests, edge_set_up, edge_tear_down);
}

/* The pure part of the gate. What each rule looks like on the wire is in tests/integration/test_http_guard.c.
 */
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

#include "shim/head.h"

#define BODY_MAX 1000

static const struct refusal *check(const char *text, struct head *head)
{
    size_t scanned = 0;
    size_t length = head_length(text, strlen(text), &scanned);
    assert_true(length > 0);
    return head_check(text, length, BODY_MAX, head);
}

static void test_length_is_found_however_the_bytes_come(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\nbody\r\n\r\n";
    (void)state;
    const size_t end = strlen(text) - strlen("body\r\n\r\n");
    for (size_t step = 1; step < 7; step++) {
        size_t scanned = 0;
        size_t found = 0;
        for (size_t length = step; found == 0 && length < sizeof(text) + step; length += step) {
            size_t there = length < sizeof(text) - 1 ? length : sizeof(text) - 1;
            found = head_length(text, there, &scanned);
            assert_true(found == 0 || there >= end);
        }
        assert_int_equal(found, end);
    }
}

static void test_head_without_end_has_no_length(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r";
    (void)state;
    size_t scanned = 0;
    assert_int_equal(head_length(text, strlen(text), &scanned), 0);
    assert_int_equal(head_length(text, strlen(text), &scanned), 0);
}

static void test_line_feeds_alone_end_a_head_too(void **state)
{
    (void)state;
    struct head head;
    const struct refusal *why = check("GET / HTTP/1.1\nHost: x\n\n", &head);
    assert_non_null(why);
    assert_int_equal(why->http_status, 400);
}

static void test_length_and_coding_are_told(void **state)
{
    (void)state;
    struct head head;
    assert_null(check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\t 17 \r\n\r\n", &head));
    assert_int_equal(head.body_length, 17);
    assert_false(head.is_chunked);
    assert_null(check("POST / HTTP/1.1\r\nHost: x\r\ntransfer-encoding: Chunked\r\n\r\n", &head));
    assert_true(head.is_chunked);
    assert_null(check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", &head));
    assert_int_equal(head.body_length, 0);
    assert_false(head.is_chunked);
}

static void test_longest_body_is_taken_and_one_byte_more_is_not(void **state)
{
    (void)state;
    struct head head;
    assert_null(check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", &head));
    assert_int_equal(check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n", &head)->http_status,
                     413);
    assert_null(check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 000000000000017\r\n\r\n", &head));
    assert_int_equal(head.body_length, 17);
}

static void test_bodies_belong_to_methods_that_evhttp_reads_them_for(void **state)
{
    (void)state;
    struct head head;
    assert_null(check("PATCH / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", &head));
    assert_null(check("HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", &head));
    assert_non_null(check("HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", &head));
    assert_non_null(check("TRACE / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", &head));
    assert_non_null(check("post / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", &head));
}

static void test_hosts(void **state)
{
    (void)state;
    struct head head;
    assert_null(check("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", &head));
    assert_null(check("GET / HTTP/1.1\r\nHost:\r\n\r\n", &head));
    assert_non_null(check("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", &head));
    assert_non_null(check("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", &head));
    assert_non_null(check("GET / HTTP/1.1\r\nHost: user@x\r\n\r\n", &head));
}

/* Whatever the byte, wherever it is: an answer, and no byte read beyond the head. */
static void test_any_byte_anywhere_is_judged(void **state)
{
    static const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n";
    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        for (int byte = 0; byte < 256; byte++) {
            char changed[sizeof(text)];
            struct head head;
            size_t scanned = 0;
            memcpy(changed, text, sizeof(text));
            changed[i] = (char)byte;
            size_t length = head_length(changed, sizeof(text) - 1, &scanned);
            if (length > 0 && head_check(changed, length, BODY_MAX, &head) == NULL) {
                assert_true(byte >= 0x20 && byte < 0x7F ? true
                                                        : byte == '\t' || byte >= 0x80 || byte == text[i]);
            }
        }
    }
}

static const struct refusal *check_headers(unsigned n)
{
    char text[1024];
    struct head head;
    size_t length = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n");
    for (unsigned i = 1; i < n; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, "a:\r\n");
    }
    snprintf(text + length, sizeof(text) - length, "\r\n");
    return check(text, &head);
}

static void test_number_of_headers_is_bounded(void **state)
{
    (void)state;
    assert_null(check_headers(100));
    const struct refusal *why = check_headers(101);
    assert_non_null(why);
    assert_int_equal(why->http_status, 431);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_is_found_however_the_bytes_come),
        cmocka_unit_test(test_head_without_end_has_no_length),
        cmocka_unit_test(test_line_feeds_alone_end_a_head_too),
        cmocka_unit_test(test_length_and_coding_are_told),
        cmocka_unit_test(test_longest_body_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(test_bodies_belong_to_methods_that_evhttp_reads_them_for),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_any_byte_anywhere_is_judged),
        cmocka_unit_test(test_number_of_headers_is_bounded),
    };
    return cmocka_run_group_tests_name("head", tests, NULL, NULL);
}

/* Bodies in chunks, as the gate judges them: each rule, however the bytes come. */
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

#include "shim/chunked.h"

#define BODY_MAX 100

/* In pieces of `step` bytes. NULL, or the reason. */
static const struct refusal *take(const char *text, size_t step, struct chunked *chunked)
{
    const struct refusal *why = NULL;
    *chunked = (struct chunked){0};
    for (size_t at = 0; why == NULL && at < strlen(text) && !chunked_is_whole(chunked); at += step) {
        size_t left = strlen(text) - at;
        why = chunked_take(chunked, text + at, left < step ? left : step, BODY_MAX);
    }
    return why;
}

static void expect_refused(const char *text, int http_status, const char *reason)
{
    for (size_t step = 1; step < 5; step++) {
        struct chunked chunked;
        const struct refusal *why = take(text, step, &chunked);
        if (why == NULL) {
            fail_msg("passes: %s", text);
        }
        assert_int_equal(why->http_status, http_status);
        assert_non_null(strstr(why->text, reason));
    }
}

static void test_end_is_found_however_the_bytes_come(void **state)
{
    static const char body[] =
        "2\r\n{}\r\n00a\r\n0\r\n\r\n12345\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n";
    (void)state;
    for (size_t step = 1; step < sizeof(body); step++) {
        struct chunked chunked;
        assert_null(take(body, step, &chunked));
        assert_true(chunked_is_whole(&chunked));
        assert_int_equal(chunked.taken, strlen(body));
    }
}

static void test_what_stands_behind_the_end_is_not_taken(void **state)
{
    static const char text[] = "0\r\n\r\nGET / HTTP/1.1\r\n";
    (void)state;
    struct chunked chunked = {0};
    assert_null(chunked_take(&chunked, text, strlen(text), BODY_MAX));
    assert_true(chunked_is_whole(&chunked));
    assert_int_equal(chunked.taken, strlen("0\r\n\r\n"));
}

static void test_body_without_its_end_is_not_whole(void **state)
{
    static const char *const parts[] = {
        "", "2", "2\r", "2\r\n", "2\r\n{}", "2\r\n{}\r\n0", "2\r\n{}\r\n0\r\n\r"};
    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct chunked chunked;
        assert_null(take(parts[i], 1, &chunked));
        assert_false(chunked_is_whole(&chunked));
    }
}

static void test_sizes_that_can_be_read_in_two_ways(void **state)
{
    static const char *const sizes[] = {"0x2",  "+2",    "-2", " 2", "\t2", "2 ",
                                        "2 ;x", "2;x=1", "2g", "",   "\v2"};
    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s\r\n{}\r\n0\r\n\r\n", sizes[i]);
        expect_refused(text, 400, "size");
    }
}

static void test_lines_that_do_not_end_with_crlf(void **state)
{
    (void)state;
    expect_refused("2\n{}\r\n0\r\n\r\n", 400, "size");
    expect_refused("2\r{}\r\n0\r\n\r\n", 400, "size");
    expect_refused("2\r\n{}\n0\r\n\r\n", 400, "CRLF");
    expect_refused("2\r\n{}0\r\n\r\n", 400, "as long as it says");
    expect_refused("1\r\n{}\r\n0\r\n\r\n", 400, "as long as it says");
    expect_refused("2\r\n{}\r\r\n0\r\n\r\n", 400, "CRLF");
    expect_refused("\r\n2\r\n{}\r\n0\r\n\r\n", 400, "size");
    expect_refused("2\r\n{}\r\n\r\n0\r\n\r\n", 400, "size");
    expect_refused("0\r\n\n", 400, "last chunk");
    expect_refused("0\r\n\rx", 400, "last chunk");
}

static void test_trailers(void **state)
{
    (void)state;
    expect_refused("2\r\n{}\r\n0\r\nHost: other\r\n\r\n", 400, "last chunk");
    expect_refused("0\r\n \r\n\r\n", 400, "last chunk");
}

static void test_body_that_is_too_long(void **state)
{
    (void)state;
    expect_refused("65\r\n", 413, "longer");
    expect_refused("fffffffffffffffff\r\n", 413, "longer");
    expect_refused("000000000000000000000000002\r\n", 413, "longer");
    /* 96 and what is around them. */
    expect_refused("30\r\n000000000000000000000000000000000000000000000000\r\n"
                   "30\r\n000000000000000000000000000000000000000000000000\r\n0\r\n\r\n",
                   413, "longer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_is_found_however_the_bytes_come),
        cmocka_unit_test(test_what_stands_behind_the_end_is_not_taken),
        cmocka_unit_test(test_body_without_its_end_is_not_whole),
        cmocka_unit_test(test_sizes_that_can_be_read_in_two_ways),
        cmocka_unit_test(test_lines_that_do_not_end_with_crlf),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_body_that_is_too_long),
    };
    return cmocka_run_group_tests_name("chunked", tests, NULL, NULL);
}

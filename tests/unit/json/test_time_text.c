#include "harness/test.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json/time_text.h"

#define FIRST_SECOND (-62135596800LL)
#define LAST_SECOND 253402300799LL

static void assert_time_refused(const char *text, enum status expected)
{
    int64_t seconds;
    int32_t nanos;
    if (timestamp_parse(text, strlen(text), &seconds, &nanos) != expected) {
        fail_msg("%s", text);
    }
}

static void test_every_day_of_the_range_agrees_with_gmtime(void **state)
{
    (void)state;
    for (int64_t seconds = FIRST_SECOND + 3661; seconds <= LAST_SECOND; seconds += 86400) {
        time_t time = (time_t)seconds;
        struct tm tm;
        assert_non_null(gmtime_r(&time, &tm));
        char expected[64];
        snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        char text[TIME_TEXT_SIZE];
        assert_ok(timestamp_print(seconds, 0, text));
        assert_string_equal(text, expected);
        int64_t back = 0;
        int32_t nanos = -1;
        assert_ok(timestamp_parse(text, strlen(text), &back, &nanos));
        assert_true(back == seconds);
        assert_int_equal(nanos, 0);
    }
}

static void test_ends_of_the_range_are_in_it(void **state)
{
    (void)state;
    char text[TIME_TEXT_SIZE];
    assert_ok(timestamp_print(FIRST_SECOND, 0, text));
    assert_string_equal(text, "0001-01-01T00:00:00Z");
    assert_ok(timestamp_print(LAST_SECOND, 999999999, text));
    assert_string_equal(text, "9999-12-31T23:59:59.999999999Z");
    assert_status(timestamp_print(FIRST_SECOND - 1, 0, text), STATUS_OUT_OF_RANGE);
    assert_status(timestamp_print(LAST_SECOND + 1, 0, text), STATUS_OUT_OF_RANGE);
    assert_status(timestamp_print(INT64_MIN, 0, text), STATUS_OUT_OF_RANGE);
    assert_status(timestamp_print(INT64_MAX, 0, text), STATUS_OUT_OF_RANGE);
    assert_status(timestamp_print(0, 1000000000, text), STATUS_OUT_OF_RANGE);
    assert_time_refused("0001-01-01T00:00:00+00:01", STATUS_OUT_OF_RANGE);
    assert_time_refused("9999-12-31T23:59:59-00:01", STATUS_OUT_OF_RANGE);
}

static void test_times_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2026",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31t12:00:00Z",
        "2026-01-31T12:00:00z",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-1-31T12:00:00Z",
        "26-01-31T12:00:00Z",
        "02026-01-31T12:00:00Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00.1234567890Z",
        "2026-01-31T12:00:00,5Z",
        "2026-01-31T12:00:00+0530",
        "2026-01-31T12:00:00+05",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+05:60",
        "2026-01-31T12:00:00Zx",
        " 2026-01-31T12:00:00Z",
        "2026-00-31T12:00:00Z",
        "2026-13-31T12:00:00Z",
        "2026-01-00T12:00:00Z",
        "2026-01-32T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2026-04-31T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:60Z",
        "0000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "2026-01-31T12:00:00-",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_time_refused(texts[i], STATUS_INVALID_ARGUMENT);
    }
}

static void test_leap_days_are_accepted(void **state)
{
    (void)state;
    int64_t seconds = 0;
    int32_t nanos = 0;
    assert_ok(timestamp_parse("2024-02-29T00:00:00Z", 20, &seconds, &nanos));
    assert_true(seconds == 1709164800);
    assert_ok(timestamp_parse("2000-02-29T00:00:00Z", 20, &seconds, &nanos));
    assert_true(seconds == 951782400);
}

static void test_fraction_of_any_length_up_to_nine_is_nanoseconds(void **state)
{
    (void)state;
    static const int32_t expected[] = {100000000, 120000000, 123000000, 123400000, 123450000,
                                       123456000, 123456700, 123456780, 123456789};
    for (int digits = 1; digits <= 9; digits++) {
        char text[64];
        snprintf(text, sizeof(text), "1970-01-01T00:00:00.%.*sZ", digits, "123456789");
        int64_t seconds = -1;
        int32_t nanos = -1;
        assert_ok(timestamp_parse(text, strlen(text), &seconds, &nanos));
        assert_int_equal(seconds, 0);
        assert_int_equal(nanos, expected[digits - 1]);
    }
}

static void test_durations_are_read_with_their_sign(void **state)
{
    (void)state;
    int64_t seconds = 0;
    int32_t nanos = 0;
    assert_ok(duration_parse("-1.5s", 5, &seconds, &nanos));
    assert_int_equal(seconds, -1);
    assert_int_equal(nanos, -500000000);
    assert_ok(duration_parse("-0.000000001s", 13, &seconds, &nanos));
    assert_int_equal(seconds, 0);
    assert_int_equal(nanos, -1);
    assert_ok(duration_parse("315576000000s", 13, &seconds, &nanos));
    assert_true(seconds == 315576000000);
}

static void test_durations_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",    "s",   "1",    "1 s",   "+1s", "--1s",
                                        "1.s", ".5s", "1e3s", "1ss",   "1m",  "1.1234567890s",
                                        "1S",  " 1s", "-s",   "1.-5s", "0x1s"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t seconds;
        int32_t nanos;
        assert_status(duration_parse(texts[i], strlen(texts[i]), &seconds, &nanos), STATUS_INVALID_ARGUMENT);
    }
}

static void test_durations_out_of_range_are_refused(void **state)
{
    (void)state;
    int64_t seconds;
    int32_t nanos;
    char text[TIME_TEXT_SIZE];
    assert_status(duration_parse("-315576000001s", 14, &seconds, &nanos), STATUS_OUT_OF_RANGE);
    assert_status(duration_print(315576000001, 0, text), STATUS_OUT_OF_RANGE);
    assert_status(duration_print(INT64_MIN, 0, text), STATUS_OUT_OF_RANGE);
    assert_status(duration_print(0, INT32_MIN, text), STATUS_OUT_OF_RANGE);
    assert_status(duration_print(-1, 1, text), STATUS_OUT_OF_RANGE);
    assert_status(duration_print(1, -1, text), STATUS_OUT_OF_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day_of_the_range_agrees_with_gmtime),
        cmocka_unit_test(test_ends_of_the_range_are_in_it),
        cmocka_unit_test(test_times_of_another_shape_are_refused),
        cmocka_unit_test(test_leap_days_are_accepted),
        cmocka_unit_test(test_fraction_of_any_length_up_to_nine_is_nanoseconds),
        cmocka_unit_test(test_durations_are_read_with_their_sign),
        cmocka_unit_test(test_durations_of_another_shape_are_refused),
        cmocka_unit_test(test_durations_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

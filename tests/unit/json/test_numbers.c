#include "harness/test.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json/numbers.h"

static uint64_t seed = 0x9E3779B97F4A7C15;

/* xorshift64 (Marsaglia, 2003) */
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void assert_double_prints(double value, const char *expected)
{
    char text[NUMBER_TEXT_SIZE];
    assert_int_equal(number_print_double(value, text), strlen(expected));
    assert_string_equal(text, expected);
}

static void assert_survives(double value)
{
    char text[NUMBER_TEXT_SIZE];
    size_t length = number_print_double(value, text);
    double back = 0;
    assert_ok(number_parse_double(text, length, &back));
    assert_memory_equal(&back, &value, sizeof(value));
}

static void test_doubles_print_shortest(void **state)
{
    (void)state;
    assert_double_prints(0.0, "0");
    assert_double_prints(-0.0, "-0.0");
    assert_double_prints(0.1, "0.1");
    assert_double_prints(0.1 + 0.2, "0.30000000000000004");
    assert_double_prints(-33.9, "-33.9");
    assert_double_prints(1e15, "1e+15");
    assert_double_prints(123456789012345, "123456789012345");
    assert_double_prints(DBL_MAX, "1.7976931348623157e+308");
    assert_double_prints(DBL_MIN, "2.2250738585072014e-308");
    assert_double_prints(5e-324, "5e-324");
    assert_double_prints(9007199254740993.0, "9007199254740992");
}

static void test_every_power_of_two_survives(void **state)
{
    (void)state;
    for (int exponent = -1074; exponent <= 1023; exponent++) {
        assert_survives(ldexp(1, exponent));
        assert_survives(nextafter(ldexp(1, exponent), 0));
    }
}

static void test_random_doubles_survive(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = next_random();
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value)) {
            assert_survives(value);
        }
    }
}

static void test_random_floats_survive(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)next_random();
        float value;
        memcpy(&value, &bits, sizeof(value));
        char text[NUMBER_TEXT_SIZE];
        if (isfinite(value)) {
            double back = 0;
            assert_ok(number_parse_double(text, number_print_float(value, text), &back));
            assert_true((float)back == value);
        }
    }
}

static void test_a_comma_as_decimal_point_of_the_process_changes_nothing(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8", "de_DE"};
    bool found = false;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !found; i++) {
        found = setlocale(LC_ALL, names[i]) != NULL;
    }
    if (!found) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    assert_double_prints(1.5, "1.5");
    double value = 0;
    assert_ok(number_parse_double("2.5", 3, &value));
    assert_true(value == 2.5);
    setlocale(LC_ALL, "C");
}

static void test_integers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"0e99999", 0},
        {"0.000", 0},
        {"1e18", 1000000000000000000},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"-9.223372036854775808e18", INT64_MIN},
        {"12345678901234567890e-1", 1234567890123456789},
        {"100000000000000000000000000000000e-32", 1},
        {"0.00000000000000000000000000000000001e35", 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = -1;
        assert_ok(number_parse_int64(cases[i].text, strlen(cases[i].text), &value));
        assert_true(value == cases[i].value);
    }
}

static void test_integers_that_do_not_fit_are_out_of_range(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "9223372036854775808",  "-9223372036854775809", "1e19",
        "99999999999999999999", "1e100000000000",       "184467440737095516150"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t value;
        assert_status(number_parse_int64(texts[i], strlen(texts[i]), &value), STATUS_OUT_OF_RANGE);
    }
    uint64_t value;
    assert_status(number_parse_uint64("18446744073709551616", 20, &value), STATUS_OUT_OF_RANGE);
    assert_status(number_parse_uint64("99999999999999999999", 20, &value), STATUS_OUT_OF_RANGE);
    assert_status(number_parse_uint64("-1", 2, &value), STATUS_OUT_OF_RANGE);
    assert_ok(number_parse_uint64("18446744073709551615", 20, &value));
    assert_true(value == UINT64_MAX);
}

static void test_fractions_are_no_integers(void **state)
{
    (void)state;
    static const char *const texts[] = {"1.5", "1e-1", "0.1", "10e-2", "1e-99999999999999999999"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int64_t value;
        assert_status(number_parse_int64(texts[i], strlen(texts[i]), &value), STATUS_INVALID_ARGUMENT);
    }
}

static void test_only_json_numbers_are_valid(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-0", "10", "1.0", "1e5", "1E+5", "1e-05", "-1.25e2"};
    static const char *const bad[] = {"",   "-",   "+1", "01", "-01", "1.", ".1",   "1e",  "1e+", "1 ",
                                      " 1", "0x1", "1_", "١",  "1..", "e1", "1e5.", "NaN", "--1", "1-1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(number_is_valid(good[i], strlen(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(number_is_valid(bad[i], strlen(bad[i])));
    }
}

static void test_a_number_of_ten_thousand_digits_is_refused(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, '1', sizeof(text));
    double value;
    assert_status(number_parse_double(text, sizeof(text), &value), STATUS_RESOURCE_EXHAUSTED);
    int64_t integer;
    assert_status(number_parse_int64(text, sizeof(text), &integer), STATUS_OUT_OF_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles_print_shortest),
        cmocka_unit_test(test_every_power_of_two_survives),
        cmocka_unit_test(test_random_doubles_survive),
        cmocka_unit_test(test_random_floats_survive),
        cmocka_unit_test(test_a_comma_as_decimal_point_of_the_process_changes_nothing),
        cmocka_unit_test(test_integers_are_exact),
        cmocka_unit_test(test_integers_that_do_not_fit_are_out_of_range),
        cmocka_unit_test(test_fractions_are_no_integers),
        cmocka_unit_test(test_only_json_numbers_are_valid),
        cmocka_unit_test(test_a_number_of_ten_thousand_digits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

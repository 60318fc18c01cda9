/* Ids: the bits of version 7 (RFC 9562, section 5.7), their order, their text. */
#include "harness/test.h"

#include <stdio.h>
#include <string.h>

#include "base/id.h"

#define TEXT "0192f0c1-2b3c-7d4e-8f50-0123456789ab"

static uint64_t milliseconds(const struct id *id)
{
    uint64_t ms = 0;
    for (int i = 0; i < 6; i++) {
        ms = ms << 8 | id->bytes[i];
    }
    return ms;
}

static unsigned fraction(const struct id *id)
{
    return (id->bytes[6] & 0x0FU) << 8 | id->bytes[7];
}

static void assert_version_and_variant(const struct id *id)
{
    assert_int_equal(id->bytes[6] >> 4, 7);
    assert_int_equal(id->bytes[8] >> 6, 2);
}

static void test_v7_has_the_time_the_version_and_the_variant(void **state)
{
    (void)state;
    struct id id = id_new_v7(1700000000123 * 1000 + 500);
    assert_version_and_variant(&id);
    assert_int_equal(milliseconds(&id), 1700000000123);
    assert_int_equal(fraction(&id), 2048);
}

static void test_v7_keeps_version_and_variant_for_every_fraction_and_far_times(void **state)
{
    (void)state;
    for (int64_t us = 0; us < 1000; us++) {
        struct id id = id_new_v7(us);
        assert_version_and_variant(&id);
        assert_int_equal(fraction(&id), us * 4096 / 1000);
    }
    static const int64_t far[] = {INT64_MIN, -1, -999, INT64_MAX, (1LL << 48) * 1000 - 1};
    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
        struct id id = id_new_v7(far[i]);
        assert_version_and_variant(&id);
    }
}

static void test_v7_before_1970_counts_as_1970(void **state)
{
    (void)state;
    struct id id = id_new_v7(-1);
    assert_int_equal(milliseconds(&id), 0);
    assert_int_equal(fraction(&id), 0);
}

static void test_v7_ids_of_a_later_microsecond_sort_later(void **state)
{
    (void)state;
    struct id last = id_new_v7(1700000000000000);
    for (int64_t us = 1; us < 5000; us++) {
        struct id id = id_new_v7(1700000000000000 + us);
        assert_true(memcmp(last.bytes, id.bytes, sizeof(id.bytes)) < 0);
        last = id;
    }
}

static void test_v7_ids_of_one_moment_differ_and_use_all_random_bits(void **state)
{
    (void)state;
    uint8_t ones[16] = {0};
    uint8_t zeros[16] = {0};
    struct id last = id_new_v7(1);
    for (unsigned i = 0; i < 200; i++) {
        struct id id = id_new_v7(1);
        assert_false(id_equal(&id, &last));
        for (unsigned k = 8; k < 16; k++) {
            ones[k] |= id.bytes[k];
            zeros[k] |= (uint8_t)~id.bytes[k];
        }
        last = id;
    }
    /* A random bit that stays the same 200 times does so once in 2^194 runs. */
    for (unsigned k = 8; k < 16; k++) {
        assert_int_equal(ones[k], k == 8 ? 0xBF : 0xFF);
        assert_int_equal(zeros[k], k == 8 ? 0x7F : 0xFF);
    }
}

static void test_parse_reads_network_order(void **state)
{
    (void)state;
    static const uint8_t bytes[16] = {0x01, 0x92, 0xf0, 0xc1, 0x2b, 0x3c, 0x7d, 0x4e,
                                      0x8f, 0x50, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab};
    struct id id;
    assert_ok(id_parse(TEXT, &id));
    assert_memory_equal(id.bytes, bytes, sizeof(bytes));
}

static void test_parse_takes_either_case_and_format_writes_lower(void **state)
{
    (void)state;
    struct id id;
    assert_ok(id_parse("0192F0C1-2B3c-7D4E-8F50-0123456789AB", &id));
    char text[ID_TEXT_SIZE];
    assert_ptr_equal(id_format(&id, text), text);
    assert_string_equal(text, TEXT);
}

static void test_what_was_formatted_parses_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct id id = id_new_v7(1700000000000000 + i);
        struct id again;
        char text[ID_TEXT_SIZE];
        assert_ok(id_parse(id_format(&id, text), &again));
        assert_true(id_equal(&id, &again));
    }
}

static void test_parse_refuses_what_is_no_id(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "0192f0c1",
        "0192f0c1-2b3c-7d4e-8f50-0123456789a",
        "0192f0c1-2b3c-7d4e-8f50-0123456789abc",
        TEXT " ",
        " " TEXT,
        TEXT "\n",
        "{" TEXT "}",
        "{192f0c1-2b3c-7d4e-8f50-0123456789a}",
        "urn:uuid:" TEXT,
        "0192f0c12b3c7d4e8f500123456789ab",
        "0192f0c12b3c7d4e8f500123456789ab----",
        "0192f0c1-2b3c-7d4e-8f50-0123456789ag",
        "0192f0c1-2b3c-7d4e-8f5-00123456789ab",
        "0192f0c1_2b3c_7d4e_8f50_0123456789ab",
        "0x92f0c1-2b3c-7d4e-8f50-0123456789ab",
        "+192f0c1-2b3c-7d4e-8f50-0123456789ab",
        "------------------------------------",
        "\xEF\xBC\x90\x31\x39\x32\x66\x30-2b3c-7d4e-8f50-0123456789ab",
        "00000000-0000-0000-0000-000000000000",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct id id = {{42}};
        assert_status(id_parse(wrong[i], &id), STATUS_INVALID_ARGUMENT);
        assert_int_equal(id.bytes[0], 42);
    }
}

static void test_parse_refuses_a_wrong_byte_at_every_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ID_TEXT_SIZE - 1; i++) {
        char text[ID_TEXT_SIZE];
        memcpy(text, TEXT, sizeof(text));
        text[i] = text[i] == '-' ? '0' : 'x';
        struct id id;
        assert_status(id_parse(text, &id), STATUS_INVALID_ARGUMENT);
    }
}

static void test_only_the_nil_id_is_nil(void **state)
{
    (void)state;
    struct id nil = {{0}};
    struct id one = {{[15] = 1}};
    assert_true(id_is_nil(&nil));
    assert_false(id_is_nil(&one));
    assert_false(id_equal(&nil, &one));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v7_has_the_time_the_version_and_the_variant),
        cmocka_unit_test(test_v7_keeps_version_and_variant_for_every_fraction_and_far_times),
        cmocka_unit_test(test_v7_before_1970_counts_as_1970),
        cmocka_unit_test(test_v7_ids_of_a_later_microsecond_sort_later),
        cmocka_unit_test(test_v7_ids_of_one_moment_differ_and_use_all_random_bits),
        cmocka_unit_test(test_parse_reads_network_order),
        cmocka_unit_test(test_parse_takes_either_case_and_format_writes_lower),
        cmocka_unit_test(test_what_was_formatted_parses_back),
        cmocka_unit_test(test_parse_refuses_what_is_no_id),
        cmocka_unit_test(test_parse_refuses_a_wrong_byte_at_every_place),
        cmocka_unit_test(test_only_the_nil_id_is_nil),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

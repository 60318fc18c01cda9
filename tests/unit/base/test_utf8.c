#include "harness/test.h"

#include <string.h>

#include "base/utf8.h"

static void test_length_of_a_character(void **state)
{
    (void)state;
    assert_int_equal(utf8_sequence("a", 1), 1);
    assert_int_equal(utf8_sequence("\xC3\xA9", 2), 2);
    assert_int_equal(utf8_sequence("\xE2\x82\xAC", 3), 3);
    assert_int_equal(utf8_sequence("\xF4\x8F\xBF\xBF", 4), 4);
}

static void test_what_is_no_character(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xC1\x81",
                                      "\xE0\x80\x80",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(utf8_sequence(bad[i], strlen(bad[i])), 0);
    }
    assert_int_equal(utf8_sequence("", 0), 0);
    assert_int_equal(utf8_sequence("\xE2\x82\xAC", 2), 0);
}

static void test_text_holds_no_nul_and_nothing_else_bad(void **state)
{
    (void)state;
    assert_true(utf8_is_text("", 0));
    assert_true(utf8_is_text("eight plain bytes and \xE2\x82\xAC", 25));
    assert_false(utf8_is_text("seven b\0tes", 11));
    assert_false(utf8_is_text("eight plain bytes and \xE2\x82", 24));
}

static void test_a_cut_keeps_characters_whole(void **state)
{
    (void)state;
    assert_int_equal(utf8_cut("ab", 2, 5), 2);
    assert_int_equal(utf8_cut("ab\xE2\x82\xAC", 5, 4), 2);
    assert_int_equal(utf8_cut("ab\xE2\x82\xAC!", 6, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_length_of_a_character),
        cmocka_unit_test(test_what_is_no_character),
        cmocka_unit_test(test_text_holds_no_nul_and_nothing_else_bad),
        cmocka_unit_test(test_a_cut_keeps_characters_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

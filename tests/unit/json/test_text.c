/* The text of a document: syntax, depth, size, characters, and where errors are said to be. */
#include "everything.h"

#include <string.h>

static void test_syntax_errors_name_line_and_column_and_what_was_expected(void **state)
{
    (void)state;
    assert_refused("", "not valid JSON at line 1, column 1: unexpected token near end of file");
    assert_refused("{\"color\":tru}", "not valid JSON at line 1, column 12: invalid token");
    assert_refused("{\n  \"color\": 1,\n}", "not valid JSON at line 3, column 1: string or '}' expected");
    assert_refused("{\"color\" 1}", "not valid JSON at line 1, column 10: ':' expected");
    assert_refused("{} x", "not valid JSON at line 1, column 4: end of file expected");
}

static void test_column_counts_the_callers_text_behind_rewritten_numbers(void **state)
{
    (void)state;
    assert_refused("{\"doubleField\":1.25e+00,\"repeatedDouble\":[-0,-0.0] 1}",
                   "not valid JSON at line 1, column 52: '}' expected");
    assert_refused("{\"stringField\":\"äöü\",\"doubleField\":-0 1}",
                   "not valid JSON at line 1, column 39: '}' expected");
}

static void test_numbers_that_json_has_not_are_refused(void **state)
{
    (void)state;
    static const char *const numbers[] = {"01",    "-01",  "00",    "1.",       ".5",  "+1",   "-",
                                          "--1",   "1-0",  "0-0",   "1e",       "1e+", "1.e5", "-.5",
                                          "1.5.5", "0x10", "1E5e1", "-0-0",     "-0.", "0-",   "1.5a",
                                          "-0x",   "- 1",  "1..5",  "Infinity", "-NaN"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char document[64];
        snprintf(document, sizeof(document), "{\"doubleField\":%s}", numbers[i]);
        ProtobufCMessage *message = NULL;
        struct diag diag = {""};
        assert_status(json_parse(&json__test__v1__everything__descriptor, document, strlen(document), NULL,
                                 &test_arena, &message, &diag),
                      STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(diag.text, "not valid JSON at line 1, column "));
    }
}

static void test_depth_is_refused_beyond_json_depth_max(void **state)
{
    (void)state;
    assert_keeps(nested_arrays("{\"listValue\":", JSON_DEPTH_MAX - 1, "}"));
    assert_refused(nested_arrays("{\"listValue\":", JSON_DEPTH_MAX, "}"),
                   "nested deeper than 32 objects and arrays");
}

static void test_brackets_side_by_side_are_no_depth(void **state)
{
    (void)state;
    assert_keeps("{\"listValue\":[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
                 "[],[],[],[],"
                 "[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],{},{},{}]}");
}

static void test_a_megabyte_of_brackets_is_refused(void **state)
{
    (void)state;
    assert_refused(nested_arrays("", 1 << 19, ""), "nested deeper than 32 objects and arrays");
}

static void test_brackets_inside_strings_do_not_count(void **state)
{
    (void)state;
    assert_keeps("{\"stringField\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\\\\\"}");
}

static void test_numbers_inside_strings_stay_text(void **state)
{
    (void)state;
    assert_keeps("{\"doubleField\":1.5,\"stringField\":\"-0 1.5 99999999999999999999 \\\" -0 \"}");
}

static void test_nul_in_a_string_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"stringField\":\"a\\u0000b\"}", "refused at line 1, column 25: U+0000 in a string");
    assert_refused("{\"a\\u0000\":1}", "refused at line 1, column 10: U+0000 in a string");

    static const char raw[] = "{\"stringField\":\"a\0b\"}";
    ProtobufCMessage *message = NULL;
    struct diag diag;
    assert_status(json_parse(&json__test__v1__everything__descriptor, raw, sizeof(raw) - 1, NULL, &test_arena,
                             &message, &diag),
                  STATUS_INVALID_ARGUMENT);
}

static void test_bad_utf8_and_lone_surrogates_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xff",     "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xe2\x82", "\\ud800",  "\\udc00",      "\\ud800\\ud800",
                                        "\x01",     "\\x"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char document[64];
        snprintf(document, sizeof(document), "{\"stringField\":\"%s\"}", texts[i]);
        ProtobufCMessage *message = NULL;
        assert_status(json_parse(&json__test__v1__everything__descriptor, document, strlen(document), NULL,
                                 &test_arena, &message, NULL),
                      STATUS_INVALID_ARGUMENT);
    }
}

static void test_escapes_and_characters_of_any_length_are_kept(void **state)
{
    (void)state;
    assert_becomes("{\"stringField\":\"\\u00e9\\uD83D\\uDE00\\/\\t\\u0007\\u007f\"}",
                   "{\"stringField\":\"é😀/\\t\\u0007\x7f\"}");
}

static void test_long_keys_are_cut_between_characters_in_errors(void **state)
{
    (void)state;
    /* 1 + 2 · 24 bytes, of which the last would be the half of a character. */
    assert_refused("{\"xéééééééééééééééééééééééé\":1}", "xééééééééééééééééééééééé…: unknown field");
    assert_refused("{\"éééééééééééééééééééééééé\":1}", "éééééééééééééééééééééééé: unknown field");
}

static void test_control_characters_do_not_get_into_errors(void **state)
{
    (void)state;
    assert_refused("{\"a\\u001b[2J\\n\":1}", "a?[2J?: unknown field");
    assert_refused("{\"color\":\"\\u001b\\u007f\"}", "color: \"??\" is no value of json.test.v1.Color");
}

static void test_full_arena_is_resource_exhausted(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{\"stringField\":\"0123456789012345678901234567890123456789\",\"repeatedInt32\":[1,2,3]}",
        "{\"doubleField\":-0.5,\"valueMap\":{\"a\":[1,{\"b\":null}]},\"bytesField\":\"AAAA\"}",
        "{\"int32Map\":{\"1\":2},\"anyField\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"a\":1}}}",
        "{\"fieldMask\":\"a,b\",\"nested\":{\"child\":{}}}",
    };
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        enum status status = STATUS_RESOURCE_EXHAUSTED;
        for (size_t cap = 0; status != STATUS_OK; cap += 16) {
            assert_true(cap < 100000);
            struct arena small;
            arena_init(&small, NULL, 0, cap);
            ProtobufCMessage *message = NULL;
            struct diag diag;
            status = json_parse(&json__test__v1__everything__descriptor, documents[i], strlen(documents[i]),
                                NULL, &small, &message, &diag);
            if (status != STATUS_OK) {
                assert_status(status, STATUS_RESOURCE_EXHAUSTED);
                assert_string_equal(diag.text, "the text takes more memory than a call may have");
            }
            arena_reset(&small);
        }
    }
}

static void test_type_without_a_table_is_unimplemented(void **state)
{
    (void)state;
    ProtobufCMessageDescriptor stranger = json__test__v1__everything__descriptor;
    stranger.name = "stranger.Message";
    ProtobufCMessage *message = NULL;
    assert_status(json_parse(&stranger, "{}", 2, NULL, &test_arena, &message, NULL), STATUS_UNIMPLEMENTED);
    ProtobufCMessage instance = {.descriptor = &stranger};
    struct json_text text;
    assert_status(json_print(&instance, NULL, &test_arena, &text), STATUS_UNIMPLEMENTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_syntax_errors_name_line_and_column_and_what_was_expected),
        everything_test(test_column_counts_the_callers_text_behind_rewritten_numbers),
        everything_test(test_numbers_that_json_has_not_are_refused),
        everything_test(test_depth_is_refused_beyond_json_depth_max),
        everything_test(test_brackets_side_by_side_are_no_depth),
        everything_test(test_a_megabyte_of_brackets_is_refused),
        everything_test(test_brackets_inside_strings_do_not_count),
        everything_test(test_numbers_inside_strings_stay_text),
        everything_test(test_nul_in_a_string_is_refused),
        everything_test(test_bad_utf8_and_lone_surrogates_are_refused),
        everything_test(test_escapes_and_characters_of_any_length_are_kept),
        everything_test(test_long_keys_are_cut_between_characters_in_errors),
        everything_test(test_control_characters_do_not_get_into_errors),
        everything_test(test_full_arena_is_resource_exhausted),
        everything_test(test_type_without_a_table_is_unimplemented),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

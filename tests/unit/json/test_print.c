/* Printing, rule by rule; what only a message made in C can hold. */
#include "everything.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "panic/v1/panic_service.pb-c.h"

static const char *print_with(const Json__Test__V1__Everything *message, struct json_print_options options)
{
    struct json_text text = {.data = ""};
    assert_ok(json_print(&message->base, &options, &test_arena, &text));
    return text.data;
}

static void assert_unprintable(const Json__Test__V1__Everything *message, enum status expected)
{
    struct json_text text = {.data = "untouched"};
    assert_status(json_print(&message->base, NULL, &test_arena, &text), expected);
    assert_string_equal(text.data, "untouched");
}

static void test_names_are_lower_camel_case_or_as_the_proto_says(void **state)
{
    (void)state;
    assert_becomes("{\"int32_field\":1,\"renamed\":\"a\",\"with_1_digit\":\"b\",\"_leading\":\"c\"}",
                   "{\"int32Field\":1,\"@other\":\"a\",\"with1Digit\":\"b\",\"Leading\":\"c\"}");
}

static void test_64_bit_integers_are_strings_and_others_numbers(void **state)
{
    (void)state;
    assert_keeps(
        "{\"int32Field\":-2147483648,\"int64Field\":\"-9223372036854775808\",\"uint32Field\":4294967295,"
        "\"uint64Field\":\"18446744073709551615\",\"sint32Field\":-1,\"sint64Field\":\"-1\","
        "\"fixed32Field\":4294967295,\"fixed64Field\":\"18446744073709551615\",\"sfixed32Field\":-1,"
        "\"sfixed64Field\":\"-1\",\"repeatedInt64\":[\"1\"]}");
}

static void test_doubles_are_shortest_and_specials_are_strings(void **state)
{
    (void)state;
    assert_keeps(
        "{\"floatField\":0.1,\"doubleField\":0.30000000000000004,\"repeatedDouble\":[0,-0.0,1.5,\"NaN\","
        "\"Infinity\",\"-Infinity\",5e-324,1e+22],\"repeatedFloat\":[3.4028235e+38,1e-45]}");
}

static void test_negative_zero_is_no_default(void **state)
{
    (void)state;
    assert_keeps("{\"floatField\":-0.0,\"doubleField\":-0.0}");
}

static void test_bytes_are_padded_standard_base64(void **state)
{
    (void)state;
    assert_becomes("{\"bytesField\":\"-_8\",\"repeatedBytes\":[\"\",\"AA\"]}",
                   "{\"bytesField\":\"+/8=\",\"repeatedBytes\":[\"\",\"AA==\"]}");
}

static void test_enum_is_its_name_or_its_number_when_unknown(void **state)
{
    (void)state;
    assert_becomes("{\"color\":-2,\"repeatedColor\":[0,1,77]}",
                   "{\"color\":\"COLOR_BLUE\",\"repeatedColor\":[\"COLOR_UNSPECIFIED\",\"COLOR_RED\",77]}");
}

static void test_defaults_are_omitted_without_presence(void **state)
{
    (void)state;
    assert_becomes(
        "{\"int32Field\":0,\"boolField\":false,\"stringField\":\"\",\"bytesField\":\"\",\"color\":0,"
        "\"doubleField\":0.0,\"int64Field\":\"0\"}",
        "{}");
}

static void test_defaults_are_kept_with_presence(void **state)
{
    (void)state;
    assert_keeps("{\"nested\":{},\"choiceString\":\"\",\"int32Wrapper\":0,\"stringWrapper\":\"\"}");
}

static void test_option_defaults_prints_what_has_no_presence(void **state)
{
    (void)state;
    Json__Test__V1__Nested nested = JSON__TEST__V1__NESTED__INIT;
    struct json_text text;
    assert_ok(json_print(&nested.base, &(struct json_print_options){.defaults = true}, &test_arena, &text));
    assert_string_equal(text.data, "{\"number\":0,\"children\":[],\"text\":\"\"}");

    Json__Test__V1__Everything everything = JSON__TEST__V1__EVERYTHING__INIT;
    const char *all = print_with(&everything, (struct json_print_options){.defaults = true});
    assert_non_null(strstr(all, "\"color\":\"COLOR_UNSPECIFIED\""));
    assert_non_null(strstr(all, "\"stringMap\":{}"));
    assert_null(strstr(all, "choice"));
    assert_null(strstr(all, "timestamp\""));
}

static void test_option_pretty_indents_by_two(void **state)
{
    (void)state;
    const Json__Test__V1__Everything *message =
        parse("{\"nested\":{},\"repeatedInt32\":[1,2],\"stringMap\":{\"a\":\"b\"}}");
    assert_string_equal(print_with(message, (struct json_print_options){.pretty = true}),
                        "{\n  \"nested\": {},\n  \"repeatedInt32\": [\n    1,\n    2\n  ],\n"
                        "  \"stringMap\": {\n    \"a\": \"b\"\n  }\n}");
}

static void test_text_is_escaped(void **state)
{
    (void)state;
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    char text[] = "\"\\\b\f\n\r\t\x01\x1f/<é\x7f";
    message.string_field = text;
    assert_string_equal(print(&message),
                        "{\"stringField\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f/<é\x7f\"}");
}

static void test_bytes_that_are_not_utf8_become_replacement_characters(void **state)
{
    (void)state;
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    char text[] = "a\xff\xed\xa0\x80z\xe2\x82";
    message.string_field = text;
    assert_string_equal(print(&message), "{\"stringField\":\"a\uFFFD\uFFFD\uFFFD\uFFFDz\uFFFD\uFFFD\"}");
}

static void test_last_of_equal_map_keys_counts(void **state)
{
    (void)state;
    Json__Test__V1__Everything__Int32MapEntry entries[4];
    Json__Test__V1__Everything__Int32MapEntry *pointers[4];
    static const int32_t keys[] = {7, -1, 7, 3};
    for (int i = 0; i < 4; i++) {
        json__test__v1__everything__int32_map_entry__init(&entries[i]);
        entries[i].key = keys[i];
        entries[i].value = i;
        pointers[i] = &entries[i];
    }
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    message.n_int32_map = 4;
    message.int32_map = pointers;
    assert_string_equal(print(&message), "{\"int32Map\":{\"-1\":1,\"7\":2,\"3\":3}}");
}

static void test_map_entry_without_a_value_has_an_empty_one(void **state)
{
    (void)state;
    Json__Test__V1__Everything__Int64MapEntry nested = JSON__TEST__V1__EVERYTHING__INT64_MAP_ENTRY__INIT;
    Json__Test__V1__Everything__Int64MapEntry *nested_entries[] = {&nested};
    Json__Test__V1__Everything__ValueMapEntry value = JSON__TEST__V1__EVERYTHING__VALUE_MAP_ENTRY__INIT;
    Json__Test__V1__Everything__ValueMapEntry *value_entries[] = {&value};
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    message.n_int64_map = 1;
    message.int64_map = nested_entries;
    message.n_value_map = 1;
    message.value_map = value_entries;
    assert_string_equal(print(&message), "{\"int64Map\":{\"0\":{}},\"valueMap\":{\"\":null}}");
}

static void test_messages_nested_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    Json__Test__V1__Nested chain[100];
    for (int i = 0; i < 100; i++) {
        json__test__v1__nested__init(&chain[i]);
        chain[i].child = i < 99 ? &chain[i + 1] : NULL;
    }
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    message.nested = &chain[0];
    assert_unprintable(&message, STATUS_INVALID_ARGUMENT);
    message.nested = &chain[50];
    assert_int_equal(strlen(print(&message)), strlen("{\"nested\":}") + 49 * strlen("{\"child\":}") + 2);
}

static void test_what_was_parsed_at_full_depth_can_be_shown_inside_a_reply(void **state)
{
    (void)state;
    const char *document = nested_arrays("{\"metadata\":{\"a\":", JSON_DEPTH_MAX - 2, "}}");
    ProtobufCMessage *request = NULL;
    assert_ok(json_parse(&panic__v1__create_panic_request__descriptor, document, strlen(document), NULL,
                         &test_arena, &request, NULL));
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    panic.metadata = ((Panic__V1__CreatePanicRequest *)request)->metadata;
    Panic__V1__Panic *panics[] = {&panic};
    Panic__V1__ListPanicsResponse reply = PANIC__V1__LIST_PANICS_RESPONSE__INIT;
    reply.n_panics = 1;
    reply.panics = panics;
    struct json_text text;
    assert_ok(json_print(&reply.base, NULL, &test_arena, &text));
}

static void test_full_arena_is_resource_exhausted(void **state)
{
    (void)state;
    const Json__Test__V1__Everything *message =
        parse("{\"stringField\":\"x\",\"bytesField\":\"AAAA\",\"int32Map\":{\"1\":2},\"fieldMask\":\"a\","
              "\"anyField\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"a\":1}}}");
    enum status status = STATUS_RESOURCE_EXHAUSTED;
    for (size_t cap = 0; status != STATUS_OK; cap += 16) {
        assert_true(cap < 100000);
        struct arena small;
        arena_init(&small, NULL, 0, cap);
        struct json_text text = {.data = "untouched"};
        status = json_print(&message->base, NULL, &small, &text);
        if (status != STATUS_OK) {
            assert_string_equal(text.data, "untouched");
        }
        arena_reset(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_names_are_lower_camel_case_or_as_the_proto_says),
        everything_test(test_64_bit_integers_are_strings_and_others_numbers),
        everything_test(test_doubles_are_shortest_and_specials_are_strings),
        everything_test(test_negative_zero_is_no_default),
        everything_test(test_bytes_are_padded_standard_base64),
        everything_test(test_enum_is_its_name_or_its_number_when_unknown),
        everything_test(test_defaults_are_omitted_without_presence),
        everything_test(test_defaults_are_kept_with_presence),
        everything_test(test_option_defaults_prints_what_has_no_presence),
        everything_test(test_option_pretty_indents_by_two),
        everything_test(test_text_is_escaped),
        everything_test(test_bytes_that_are_not_utf8_become_replacement_characters),
        everything_test(test_last_of_equal_map_keys_counts),
        everything_test(test_map_entry_without_a_value_has_an_empty_one),
        everything_test(test_messages_nested_beyond_the_limit_are_refused),
        everything_test(test_what_was_parsed_at_full_depth_can_be_shown_inside_a_reply),
        everything_test(test_full_arena_is_resource_exhausted),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

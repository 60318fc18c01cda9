/*
 * Members that a message can do without: what makes one too much, how its end is found, and what is refused
 * all the same.
 */
#include "everything.h"

#include <string.h>

#define BIT(number) (UINT64_C(1) << (number))
/* Of Everything. */
enum { INT64_FIELD = 2, NESTED = 17, STRUCT_FIELD = 53, LIST_VALUE = 55 };
#define VALUES_MAX 6
#define TOO_DEEP "nested deeper than 32 objects and arrays"
#define TOO_MANY "more than 6 keys and values"

static struct json_optional optional;

static enum status parse_optional(const char *text, ProtobufCMessage **ret_message, struct diag *diag)
{
    optional =
        (struct json_optional){.fields = BIT(INT64_FIELD) | BIT(NESTED) | BIT(STRUCT_FIELD) | BIT(LIST_VALUE),
                               .values_max = VALUES_MAX};
    return json_parse(&json__test__v1__everything__descriptor, text, strlen(text), &optional, &test_arena,
                      ret_message, diag);
}

/* Accepted as `expected`, without what `why` names; NULL = with everything. */
static void expect(const char *text, const char *expected, const char *why)
{
    ProtobufCMessage *message = NULL;
    struct diag diag = {""};
    if (parse_optional(text, &message, &diag) != STATUS_OK) {
        fail_msg("%s: %s", text, diag.text);
    }
    assert_string_equal(print((const Json__Test__V1__Everything *)message), expected);
    assert_int_equal(optional.n_left_out, why != NULL);
    if (why != NULL) {
        assert_string_equal(optional.left_out[0], why);
    }
}

static void expect_refused(const char *text, const char *error)
{
    ProtobufCMessage *message = NULL;
    struct diag diag = {""};
    assert_status(parse_optional(text, &message, &diag), STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, error);
}

/* `text` with @ replaced by a value that is too deep. */
static const char *with_deep(const char *text)
{
    const char *at = strchr(text, '@');
    assert_non_null(at);
    const char *before = arena_printf(&test_arena, "%.*s", (int)(at - text), text);
    return nested_arrays(before, JSON_DEPTH_MAX, at + 1);
}

/* ---- limits ---- */

static void test_member_as_deep_as_may_be_stays(void **state)
{
    (void)state;
    const char *text = nested_arrays("{\"listValue\":", JSON_DEPTH_MAX - 1, "}");
    ProtobufCMessage *message = NULL;
    optional = (struct json_optional){.fields = BIT(LIST_VALUE), .values_max = 1000};
    assert_ok(json_parse(&json__test__v1__everything__descriptor, text, strlen(text), &optional, &test_arena,
                         &message, NULL));
    assert_string_equal(print((const Json__Test__V1__Everything *)message), text);
    assert_int_equal(optional.n_left_out, 0);
}

static void test_member_that_is_too_deep_is_left_out(void **state)
{
    (void)state;
    expect(with_deep("{\"listValue\":@}"), "{}", "list_value: " TOO_DEEP);
}

static void test_member_with_as_many_values_as_may_be_stays(void **state)
{
    (void)state;
    expect("{\"listValue\":[1,\"a\",null,true,[]]}", "{\"listValue\":[1,\"a\",null,true,[]]}", NULL);
    expect("{\"structField\":{\"a\":1,\"b\":{}}}", "{\"structField\":{\"a\":1,\"b\":{}}}", NULL);
}

static void test_member_with_too_many_values_is_left_out(void **state)
{
    (void)state;
    expect("{\"listValue\":[1,\"a\",null,true,[],1.5]}", "{}", "list_value: " TOO_MANY);
    expect("{\"structField\":{\"a\":1,\"b\":2,\"c\":3}}", "{}", "struct_field: " TOO_MANY);
}

static void test_values_count_in_each_member_and_not_in_all(void **state)
{
    (void)state;
    expect("{\"structField\":{\"a\":1,\"b\":2},\"listValue\":[1,2,3,4,5],\"int32Field\":1}",
           "{\"int32Field\":1,\"structField\":{\"a\":1,\"b\":2},\"listValue\":[1,2,3,4,5]}", NULL);
}

static void test_several_members_are_left_out_together(void **state)
{
    (void)state;
    const char *text = with_deep("{\"structField\":{\"a\":@},\"listValue\":[1,2,3,4,5,6],\"int32Field\":1}");
    ProtobufCMessage *message = NULL;
    assert_ok(parse_optional(text, &message, NULL));
    assert_string_equal(print((const Json__Test__V1__Everything *)message), "{\"int32Field\":1}");
    assert_int_equal(optional.n_left_out, 2);
    assert_string_equal(optional.left_out[0], "struct_field: " TOO_DEEP);
    assert_string_equal(optional.left_out[1], "list_value: " TOO_MANY);
}

static void test_a_body_full_of_brackets_is_left_out(void **state)
{
    (void)state;
    expect(nested_arrays("{\"listValue\":", 32700, ",\"int32Field\":1}"), "{\"int32Field\":1}",
           "list_value: " TOO_DEEP);
    expect_refused(nested_arrays("{\"listValue\":", 32769, "}"), TOO_DEEP);
}

static void test_what_is_left_out_takes_no_memory(void **state)
{
    (void)state;
    char text[8192] = "{\"listValue\":[1.5";
    size_t length = strlen(text);
    for (; length < 8000; length += 4) {
        memcpy(text + length, ",1.5", 4); // NOLINT(bugprone-not-null-terminated-result)
    }
    memcpy(text + length, "]}", 3);
    struct arena small;
    arena_init(&small, NULL, 0, sizeof(text) + sizeof(Json__Test__V1__Everything) + 512);
    optional = (struct json_optional){.fields = BIT(LIST_VALUE), .values_max = VALUES_MAX};
    ProtobufCMessage *message = NULL;
    assert_ok(json_parse(&json__test__v1__everything__descriptor, text, strlen(text), &optional, &small,
                         &message, NULL));
    arena_reset(&small);
}

/* ---- where it stands ---- */

static void test_all_else_is_as_it_was(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"listValue\":@,\"int32Field\":7,\"doubleField\":1.25}",
        "{\"int32Field\":7,\"listValue\":@,\"doubleField\":1.25}",
        "{\"int32Field\":7,\"doubleField\":1.25,\"listValue\":@}",
        " { \"int32Field\" : 7 , \"listValue\" : @ , \"doubleField\":1.25 } "};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        expect(with_deep(texts[i]), "{\"int32Field\":7,\"doubleField\":1.25}", "list_value: " TOO_DEEP);
    }
}

static void test_numbers_around_it_keep_their_values(void **state)
{
    (void)state;
    expect(with_deep("{\"doubleField\":-0.0,\"listValue\":[-0,1e5,@,2.5],\"floatField\":0.1,"
                     "\"uint64Field\":18446744073709551615}"),
           "{\"uint64Field\":\"18446744073709551615\",\"floatField\":0.1,\"doubleField\":-0.0}",
           "list_value: " TOO_DEEP);
}

static void test_member_is_known_by_every_spelling(void **state)
{
    (void)state;
    expect(with_deep("{\"list_value\":@}"), "{}", "list_value: " TOO_DEEP);
    expect(with_deep("{\"list\\u0056alue\":@}"), "{}", "list_value: " TOO_DEEP);
}

static void test_it_is_the_whole_member_that_is_left_out(void **state)
{
    (void)state;
    expect(with_deep("{\"nested\":{\"number\":1,\"child\":{\"x\":@}},\"int32Field\":1}"),
           "{\"int32Field\":1}", "nested: " TOO_DEEP);
}

static void test_strings_in_it_hide_their_brackets(void **state)
{
    (void)state;
    expect("{\"listValue\":[1,2,3,4,5,\"]}\\\"]}\",6],\"int32Field\":1}", "{\"int32Field\":1}",
           "list_value: " TOO_MANY);
    expect("{\"structField\":{\"[\":1,\"{\":2,\"\\\\\":3},\"int32Field\":1}", "{\"int32Field\":1}",
           "struct_field: " TOO_MANY);
}

/* ---- what is refused ---- */

static void test_member_that_is_not_optional_is_refused_by_name(void **state)
{
    (void)state;
    expect_refused(with_deep("{\"valueField\":@}"), "valueField: " TOO_DEEP);
    expect_refused("{\"repeatedInt32\":[1,2,3,4,5,6]}", "repeatedInt32: " TOO_MANY);
    expect_refused(with_deep("{\"nobody\":@}"), "nobody: unknown field");
    /* Its number, 66, is one that no bit stands for, but 64 more than one with a bit. */
    expect_refused(with_deep("{\"doubleWrapper\":@}"), "doubleWrapper: " TOO_DEEP);
}

static void test_member_that_is_given_twice_is_refused(void **state)
{
    (void)state;
    expect_refused(with_deep("{\"listValue\":@,\"list_value\":[]}"),
                   "list_value: given twice, as listValue and as list_value");
    expect_refused(with_deep("{\"list_value\":[],\"listValue\":@}"),
                   "listValue: given twice, as listValue and as list_value");
    ProtobufCMessage *message = NULL;
    struct diag diag;
    assert_status(parse_optional(with_deep("{\"listValue\":[],\"listValue\":@}"), &message, &diag),
                  STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(diag.text, "duplicate object key"));
}

static void test_member_without_an_end_is_refused(void **state)
{
    (void)state;
    const char *whole = with_deep("{\"listValue\":@}");
    size_t length = strlen(whole);
    /* As many closing brackets missing as make it no longer what it seems; and strings without an end. */
    for (size_t cut = 1; cut <= JSON_DEPTH_MAX + 1; cut++) {
        ProtobufCMessage *message = NULL;
        const char *text = arena_printf(&test_arena, "%.*s", (int)(length - cut), whole);
        assert_status(parse_optional(text, &message, NULL), STATUS_INVALID_ARGUMENT);
    }
    expect_refused("{\"listValue\":[1,2,3,4,5,6,\"]}",
                   "not valid JSON at line 1, column 29: premature end of input");
}

static void test_brackets_that_do_not_match_are_refused(void **state)
{
    (void)state;
    expect_refused(with_deep("{\"structField\":{\"a\":@]}"), TOO_DEEP);
    expect_refused(with_deep("{\"listValue\":[{\"a\":@],1}}"), TOO_DEEP);
    ProtobufCMessage *message = NULL;
    assert_status(parse_optional("{\"listValue\":[1,2,3,4,5,6,{]}}", &message, NULL),
                  STATUS_INVALID_ARGUMENT);
}

/* A stand-in beside other text must not make one token of both. */
static void test_bad_text_around_it_does_not_become_good(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"doubleField\":1@}",
                                        "{\"doubleField\":@1}",
                                        "{\"doubleField\":-@}",
                                        "{\"doubleField\":@e5}",
                                        "{@:1}",
                                        "{\"listValue\" @}",
                                        "{\"listValue\":@@}",
                                        "{\"listValue\":@ \"int32Field\":1}",
                                        "{\"listValue\":@,}",
                                        "{\"listValue\":1.5@}",
                                        "{\"listValue\":@1.5}",
                                        "{\"listValue\":@}}",
                                        "{\"listValue\":@} x"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        ProtobufCMessage *message = NULL;
        const char *text = with_deep(texts[i]);
        text = strchr(text, '@') != NULL ? with_deep(text) : text;
        if (parse_optional(text, &message, NULL) != STATUS_INVALID_ARGUMENT) {
            fail_msg("%s is accepted", texts[i]);
        }
    }
}

static void test_only_members_of_the_outermost_object_are_left_out(void **state)
{
    (void)state;
    expect_refused(with_deep("[@]"), TOO_DEEP);
    expect_refused(nested_arrays("", JSON_DEPTH_MAX + 1, ""), TOO_DEEP);
}

static void test_column_counts_the_callers_text_behind_it(void **state)
{
    (void)state;
    expect_refused("{\"listValue\":[1,2,3,4,5,6],\"doubleField\":1.25 1}",
                   "not valid JSON at line 1, column 47: '}' expected");
}

static void test_nothing_is_left_out_where_nothing_is_optional(void **state)
{
    (void)state;
    assert_refused(with_deep("{\"listValue\":@}"), TOO_DEEP);
    assert_keeps("{\"listValue\":[1,2,3,4,5,6,7,8,9]}");
}

/* ---- any text ---- */

/* xorshift64*, so that a failure can be repeated. */
static uint64_t next_random(void)
{
    static uint64_t state = 7;
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(2685821657736338717);
}

/*
 * With a member that is too much in it, text is accepted exactly if it would be with a member of the same
 * kind in its place that is not.
 */
static void test_it_makes_no_bad_text_good_and_no_good_text_bad(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{", "}", "[", "]", ",", ":", "\"", "1", "1.5", "-0", " ", "\"a\""};
    unsigned accepted = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char text[128] = "{\"doubleField\":1.5,\"listValue\":@,\"int32Field\":7}";
        for (uint64_t n = next_random() % 3; n > 0; n--) {
            const char *piece = pieces[next_random() % (sizeof(pieces) / sizeof(pieces[0]))];
            size_t at = next_random() % (strlen(text) + 1);
            memmove(text + at + strlen(piece), text + at, strlen(text) - at + 1);
            memcpy(text + at, piece, strlen(piece)); // NOLINT(bugprone-not-null-terminated-result)
        }
        const char *mark = strchr(text, '@');
        const char *plain = arena_printf(&test_arena, "%.*s[]%s", (int)(mark - text), text, mark + 1);
        ProtobufCMessage *message = NULL;
        struct diag diag;
        enum status status = parse_optional(plain, &message, &diag);
        enum status with = parse_optional(with_deep(text), &message, &diag);
        if (status != with) {
            fail_msg("%s: %s, but when it is deep %s (%s)", plain, status_name(status), status_name(with),
                     diag.text);
        }
        accepted += status == STATUS_OK;
        arena_reset(&test_arena);
    }
    assert_in_range(accepted, 5000, 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_member_as_deep_as_may_be_stays),
        everything_test(test_member_that_is_too_deep_is_left_out),
        everything_test(test_member_with_as_many_values_as_may_be_stays),
        everything_test(test_member_with_too_many_values_is_left_out),
        everything_test(test_values_count_in_each_member_and_not_in_all),
        everything_test(test_several_members_are_left_out_together),
        everything_test(test_a_body_full_of_brackets_is_left_out),
        everything_test(test_what_is_left_out_takes_no_memory),
        everything_test(test_all_else_is_as_it_was),
        everything_test(test_numbers_around_it_keep_their_values),
        everything_test(test_member_is_known_by_every_spelling),
        everything_test(test_it_is_the_whole_member_that_is_left_out),
        everything_test(test_strings_in_it_hide_their_brackets),
        everything_test(test_member_that_is_not_optional_is_refused_by_name),
        everything_test(test_member_that_is_given_twice_is_refused),
        everything_test(test_member_without_an_end_is_refused),
        everything_test(test_brackets_that_do_not_match_are_refused),
        everything_test(test_bad_text_around_it_does_not_become_good),
        everything_test(test_only_members_of_the_outermost_object_are_left_out),
        everything_test(test_column_counts_the_callers_text_behind_it),
        everything_test(test_nothing_is_left_out_where_nothing_is_optional),
        everything_test(test_it_makes_no_bad_text_good_and_no_good_text_bad),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

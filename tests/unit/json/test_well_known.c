/* protobuf's own types in their special forms. */
#include "everything.h"

#include <math.h>
#include <string.h>

static void assert_unprintable(const Json__Test__V1__Everything *message)
{
    struct json_text text;
    assert_status(json_print(&message->base, NULL, &test_arena, &text), STATUS_INVALID_ARGUMENT);
}

static void test_timestamp_has_0_3_6_or_9_digits(void **state)
{
    (void)state;
    assert_keeps("{\"repeatedTimestamp\":[\"2026-01-31T12:00:00Z\",\"2026-01-31T12:00:00.120Z\","
                 "\"2026-01-31T12:00:00.000120Z\",\"2026-01-31T12:00:00.000000120Z\"]}");
}

static void test_timestamp_offset_is_taken_off(void **state)
{
    (void)state;
    assert_becomes("{\"timestamp\":\"2026-01-31T12:00:00.5+05:30\"}",
                   "{\"timestamp\":\"2026-01-31T06:30:00.500Z\"}");
    assert_becomes("{\"timestamp\":\"2026-01-31T23:00:00-02:00\"}",
                   "{\"timestamp\":\"2026-02-01T01:00:00Z\"}");
}

static void test_timestamp_out_of_range_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"timestamp\":\"9999-12-31T23:59:59-00:01\"}",
                   "timestamp: time is outside the years 1 to 9999");
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    Google__Protobuf__Timestamp timestamp = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    message.timestamp = &timestamp;
    timestamp.seconds = 253402300800;
    assert_unprintable(&message);
    timestamp = (Google__Protobuf__Timestamp)GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    timestamp.nanos = -1;
    assert_unprintable(&message);
}

static void test_timestamp_of_another_shape_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"timestamp\":\"yesterday\"}",
                   "timestamp: expected a time such as \"2026-01-31T12:00:00Z\"");
    assert_refused("{\"repeatedTimestamp\":[1769860800]}",
                   "repeatedTimestamp[0]: expected time as a string, got number");
}

static void test_duration_has_an_s_and_0_3_6_or_9_digits(void **state)
{
    (void)state;
    assert_keeps(
        "{\"repeatedDuration\":[\"0s\",\"-1s\",\"1.500s\",\"-0.000001s\",\"315576000000.999999999s\"]}");
    assert_becomes("{\"duration\":\"-0.5s\"}", "{\"duration\":\"-0.500s\"}");
}

static void test_duration_out_of_range_or_shape_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"duration\":\"315576000001s\"}", "duration: duration is longer than 10000 years");
    assert_refused("{\"duration\":\"1\"}", "duration: expected a duration such as \"1.5s\"");
    assert_refused("{\"duration\":1}", "duration: expected duration as a string, got number");
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    Google__Protobuf__Duration duration = GOOGLE__PROTOBUF__DURATION__INIT;
    message.duration = &duration;
    duration.seconds = 1;
    duration.nanos = -1;
    assert_unprintable(&message);
}

static void test_struct_is_an_object_in_the_order_it_came(void **state)
{
    (void)state;
    assert_keeps("{\"structField\":{}}");
    assert_keeps("{\"structField\":{\"z\":null,\"a\":[1,\"x\",true,{\"b\":[]}],\"m\":-0.0,\"\":false}}");
    assert_refused("{\"structField\":[]}", "structField: expected object, got array");
    assert_refused("{\"structField\":{\"a\":1,\"a\":2}}",
                   "not valid JSON at line 1, column 25: duplicate object key near '\"a\"'");
}

static void test_error_inside_a_struct_names_key_and_index(void **state)
{
    (void)state;
    assert_refused("{\"structField\":{\"a\":[1,2,1e999]}}", "structField.a[2]: out of range of double");
}

static void test_value_is_any_json_and_null_when_nothing_is_set(void **state)
{
    (void)state;
    assert_keeps("{\"valueField\":{\"a\":[]}}");
    assert_keeps("{\"valueField\":\"1.5\"}");
    assert_keeps("{\"repeatedValue\":[1.5,null,true]}");
    assert_becomes("{\"valueField\":18446744073709551616}", "{\"valueField\":1.8446744073709552e+19}");
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    message.value_field = &value;
    assert_string_equal(print(&message), "{\"valueField\":null}");
}

static void test_value_that_is_not_finite_is_unprintable(void **state)
{
    (void)state;
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    value.number_value = NAN;
    message.value_field = &value;
    assert_unprintable(&message);
}

static void test_list_value_is_an_array(void **state)
{
    (void)state;
    assert_keeps("{\"listValue\":[]}");
    assert_keeps("{\"listValue\":[null,[1],{\"a\":\"b\"}]}");
    assert_refused("{\"listValue\":{}}", "listValue: expected array, got object");
}

static void test_wrappers_are_their_value(void **state)
{
    (void)state;
    assert_keeps("{\"boolWrapper\":false,\"int32Wrapper\":0,\"int64Wrapper\":\"0\",\"uint32Wrapper\":1,"
                 "\"uint64Wrapper\":\"18446744073709551615\",\"floatWrapper\":0.1,\"doubleWrapper\":\"NaN\","
                 "\"stringWrapper\":\"\",\"bytesWrapper\":\"AA==\",\"repeatedWrapper\":[\"1\"]}");
    assert_refused("{\"int32Wrapper\":\"x\"}", "int32Wrapper: expected integer, got string");
    assert_refused("{\"repeatedWrapper\":[null]}", "repeatedWrapper[0]: null is no element of an array");
}

static void test_empty_is_an_empty_object(void **state)
{
    (void)state;
    assert_keeps("{\"empty\":{}}");
    assert_refused("{\"empty\":{\"a\":1}}", "empty.a: unknown field");
}

static void test_field_mask_is_camel_case_paths_with_commas(void **state)
{
    (void)state;
    Json__Test__V1__Everything *message = parse("{\"fieldMask\":\"fooBar.baz,a,b1C\"}");
    assert_int_equal(message->field_mask->n_paths, 3);
    assert_string_equal(message->field_mask->paths[0], "foo_bar.baz");
    assert_string_equal(message->field_mask->paths[2], "b1_c");
    assert_string_equal(print(message), "{\"fieldMask\":\"fooBar.baz,a,b1C\"}");
    assert_keeps("{\"fieldMask\":\"\"}");
}

static void test_field_mask_that_would_change_on_the_way_is_refused(void **state)
{
    (void)state;
    static const char refusal[] = "fieldMask: expected paths in lowerCamelCase, separated by commas";
    assert_refused("{\"fieldMask\":\"foo_bar\"}", refusal);
    assert_refused("{\"fieldMask\":\"a,,b\"}", refusal);
    assert_refused("{\"fieldMask\":\"a,\"}", refusal);
    static const char *const paths[] = {"fooBar", "a_1", "a_", "a__b", "_A", ""};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
        Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
        char *path = (char *)(uintptr_t)paths[i];
        mask.n_paths = 1;
        mask.paths = &path;
        message.field_mask = &mask;
        assert_unprintable(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_timestamp_has_0_3_6_or_9_digits),
        everything_test(test_timestamp_offset_is_taken_off),
        everything_test(test_timestamp_out_of_range_is_refused),
        everything_test(test_timestamp_of_another_shape_is_refused),
        everything_test(test_duration_has_an_s_and_0_3_6_or_9_digits),
        everything_test(test_duration_out_of_range_or_shape_is_refused),
        everything_test(test_struct_is_an_object_in_the_order_it_came),
        everything_test(test_error_inside_a_struct_names_key_and_index),
        everything_test(test_value_is_any_json_and_null_when_nothing_is_set),
        everything_test(test_value_that_is_not_finite_is_unprintable),
        everything_test(test_list_value_is_an_array),
        everything_test(test_wrappers_are_their_value),
        everything_test(test_empty_is_an_empty_object),
        everything_test(test_field_mask_is_camel_case_paths_with_commas),
        everything_test(test_field_mask_that_would_change_on_the_way_is_refused),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

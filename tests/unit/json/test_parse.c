/* Parsing, rule by rule. */
#include "everything.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void test_names_are_accepted_in_both_spellings(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"int32Field\":1}")->int32_field, 1);
    assert_int_equal(parse("{\"int32_field\":1}")->int32_field, 1);
    assert_string_equal(parse("{\"@other\":\"x\"}")->renamed, "x");
    assert_string_equal(parse("{\"renamed\":\"x\"}")->renamed, "x");
}

static void test_unknown_field_is_refused_with_its_path(void **state)
{
    (void)state;
    assert_refused("{\"nope\":1}", "nope: unknown field");
    assert_refused("{\"nested\":{\"child\":{\"nope\":null}}}", "nested.child.nope: unknown field");
    assert_refused("{\"repeatedNested\":[{},{\"nope\":1}]}", "repeatedNested[1].nope: unknown field");
    assert_refused("{\"Int32Field\":1}", "Int32Field: unknown field");
}

static void test_duplicate_key_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"color\":1,\n \"color\":1}",
                   "not valid JSON at line 2, column 8: duplicate object key near '\"color\"'");
}

static void test_both_spellings_count_as_one_key(void **state)
{
    (void)state;
    assert_refused("{\"int32Field\":1,\"int32_field\":1}",
                   "int32_field: given twice, as int32Field and as int32_field");
    assert_refused("{\"int32Field\":null,\"int32_field\":1}",
                   "int32_field: given twice, as int32Field and as int32_field");
}

static void test_integers_are_accepted_as_number_string_exponent_and_point_zero(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"int32Field\":-7}")->int32_field, -7);
    assert_int_equal(parse("{\"int32Field\":\"-7\"}")->int32_field, -7);
    assert_int_equal(parse("{\"int32Field\":1e3}")->int32_field, 1000);
    assert_int_equal(parse("{\"int32Field\":\"1E3\"}")->int32_field, 1000);
    assert_int_equal(parse("{\"int32Field\":100.0}")->int32_field, 100);
    assert_int_equal(parse("{\"int32Field\":1200e-2}")->int32_field, 12);
    assert_int_equal(parse("{\"int32Field\":-0}")->int32_field, 0);
    assert_int_equal(parse("{\"uint32Field\":-0.0}")->uint32_field, 0);
}

static void test_64_bit_integers_are_exact_up_to_their_ends(void **state)
{
    (void)state;
    assert_true(parse("{\"int64Field\":9223372036854775807}")->int64_field == INT64_MAX);
    assert_true(parse("{\"int64Field\":-9223372036854775808}")->int64_field == INT64_MIN);
    assert_true(parse("{\"int64Field\":\"9223372036854775807\"}")->int64_field == INT64_MAX);
    assert_true(parse("{\"uint64Field\":18446744073709551615}")->uint64_field == UINT64_MAX);
    assert_true(parse("{\"uint64Field\":\"18446744073709551615\"}")->uint64_field == UINT64_MAX);
    assert_true(parse("{\"fixed64Field\":18446744073709551615.0}")->fixed64_field == UINT64_MAX);
    assert_true(parse("{\"int64Field\":9007199254740993.0}")->int64_field == 9007199254740993);
    assert_true(parse("{\"sint64Field\":-900719925474099.3e1}")->sint64_field == -9007199254740993);
}

static void test_fractions_in_integers_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"int32Field\":1.5}", "int32Field: expected integer, got number with a fraction");
    assert_refused("{\"int64Field\":1e-1}", "int64Field: expected integer, got number with a fraction");
    assert_refused("{\"int32Field\":\"1.5\"}", "int32Field: expected integer, got string");
}

static void test_integers_out_of_range_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"int32Field\":2147483648}", "int32Field: out of range of int32");
    assert_refused("{\"sint32Field\":-2147483649}", "sint32Field: out of range of int32");
    assert_refused("{\"uint32Field\":-1}", "uint32Field: out of range of uint32");
    assert_refused("{\"fixed32Field\":\"4294967296\"}", "fixed32Field: out of range of uint32");
    assert_refused("{\"int64Field\":9223372036854775808}", "int64Field: out of range of int64");
    assert_refused("{\"sfixed64Field\":\"-9223372036854775809\"}", "sfixed64Field: out of range of int64");
    assert_refused("{\"uint64Field\":18446744073709551616}", "uint64Field: out of range of uint64");
    assert_refused("{\"uint64Field\":\"-1\"}", "uint64Field: out of range of uint64");
    assert_refused("{\"int32Field\":1e999999999999999999999}", "int32Field: out of range of int32");
}

static void test_strings_that_hold_no_number_are_refused_for_integers(void **state)
{
    (void)state;
    static const char *const texts[] = {"",   " 1", "1 ", "+1", "01",  "0x1", "1_0",
                                        "1e", "1.", ".5", "-",  "NaN", "٣"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char document[64];
        snprintf(document, sizeof(document), "{\"int32Field\":\"%s\"}", texts[i]);
        assert_refused(document, "int32Field: expected integer, got string");
    }
}

static void test_other_kinds_are_refused_naming_what_was_expected(void **state)
{
    (void)state;
    assert_refused("{\"int32Field\":true}", "int32Field: expected integer, got boolean");
    assert_refused("{\"doubleField\":\"abc\"}", "doubleField: expected number, got string");
    assert_refused("{\"doubleField\":[]}", "doubleField: expected number, got array");
    assert_refused("{\"boolField\":\"true\"}", "boolField: expected boolean, got string");
    assert_refused("{\"boolField\":1}", "boolField: expected boolean, got number");
    assert_refused("{\"stringField\":1}", "stringField: expected string, got number");
    assert_refused("{\"stringField\":1.5}", "stringField: expected string, got number");
    assert_refused("{\"stringField\":99999999999999999999}", "stringField: expected string, got number");
    assert_refused("{\"bytesField\":1}", "bytesField: expected string in base64, got number");
    assert_refused("{\"color\":true}", "color: expected name of a value, got boolean");
    assert_refused("{\"nested\":[]}", "nested: expected object, got array");
    assert_refused("{\"repeatedInt32\":1}", "repeatedInt32: expected array, got number");
    assert_refused("{\"stringMap\":[]}", "stringMap: expected object, got array");
    assert_refused("[]", "expected object, got array");
    assert_refused("null", "expected object, got null");
}

static void test_doubles_accept_numbers_strings_and_special_values(void **state)
{
    (void)state;
    assert_true(parse("{\"doubleField\":1.5}")->double_field == 1.5);
    assert_true(parse("{\"doubleField\":3}")->double_field == 3);
    assert_true(parse("{\"doubleField\":\"-2.5e-3\"}")->double_field == -2.5e-3);
    assert_true(parse("{\"doubleField\":18446744073709551616}")->double_field == 18446744073709551616.0);
    assert_true(parse("{\"doubleField\":1.7976931348623157e308}")->double_field == DBL_MAX);
    assert_true(parse("{\"doubleField\":5e-324}")->double_field == 5e-324);
    assert_true(isnan(parse("{\"doubleField\":\"NaN\"}")->double_field));
    assert_true(parse("{\"doubleField\":\"Infinity\"}")->double_field == INFINITY);
    assert_true(parse("{\"floatField\":\"-Infinity\"}")->float_field == -INFINITY);
    assert_true(parse("{\"floatField\":3.4028235e38}")->float_field == FLT_MAX);
}

static void test_sign_of_zero_is_kept(void **state)
{
    (void)state;
    assert_true(signbit(parse("{\"doubleField\":-0}")->double_field));
    assert_true(signbit(parse("{\"doubleField\":-0.0}")->double_field));
    assert_true(signbit(parse("{\"doubleField\":\"-0\"}")->double_field));
    assert_true(signbit(parse("{\"floatField\":-0e5}")->float_field));
    assert_false(signbit(parse("{\"doubleField\":0}")->double_field));
}

static void test_doubles_out_of_range_or_misspelt_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"doubleField\":1e309}", "doubleField: out of range of double");
    assert_refused("{\"doubleField\":\"-1e309\"}", "doubleField: out of range of double");
    assert_refused("{\"floatField\":3.5e38}", "floatField: out of range of float");
    assert_refused("{\"doubleField\":\"nan\"}", "doubleField: expected number, got string");
    assert_refused("{\"doubleField\":\"inf\"}", "doubleField: expected number, got string");
    assert_refused("{\"doubleField\":\"\"}", "doubleField: expected number, got string");
    assert_refused("{\"doubleField\":NaN}", "not valid JSON at line 1, column 18: invalid token");
}

static void test_bytes_accept_both_alphabets_padded_or_not(void **state)
{
    (void)state;
    static const char *const texts[] = {"+/8=", "-_8=", "+/8", "-_8"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char document[64];
        snprintf(document, sizeof(document), "{\"bytesField\":\"%s\"}", texts[i]);
        ProtobufCBinaryData bytes = parse(document)->bytes_field;
        assert_int_equal(bytes.len, 2);
        assert_memory_equal(bytes.data, "\xfb\xff", 2);
    }
}

static void test_bytes_that_are_not_base64_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"bytesField\":\"A\"}", "bytesField: not valid base64");
    assert_refused("{\"bytesField\":\"AA A\"}", "bytesField: not valid base64");
    assert_refused("{\"repeatedBytes\":[\"\",\"*\"]}", "repeatedBytes[1]: not valid base64");
}

static void test_enum_accepts_name_and_number(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"color\":\"COLOR_BLUE\"}")->color, -2);
    assert_int_equal(parse("{\"color\":1}")->color, 1);
    assert_int_equal(parse("{\"color\":1.0}")->color, 1);
    assert_int_equal(parse("{\"color\":77}")->color, 77);
    assert_refused("{\"color\":\"red\"}", "color: \"red\" is no value of json.test.v1.Color");
    assert_refused("{\"color\":\"1\"}", "color: \"1\" is no value of json.test.v1.Color");
    assert_refused("{\"color\":2147483648}", "color: out of range of int32");
}

static void test_null_leaves_a_field_unset(void **state)
{
    (void)state;
    assert_becomes(
        "{\"int32Field\":null,\"stringField\":null,\"nested\":null,\"repeatedInt32\":null,\"stringMap\":null,"
        "\"timestamp\":null,\"int32Wrapper\":null,\"structField\":null,\"color\":null,\"anyField\":null}",
        "{}");
}

static void test_null_inside_repeated_or_map_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"repeatedInt32\":[1,null]}", "repeatedInt32[1]: null is no element of an array");
    assert_refused("{\"repeatedNested\":[null]}", "repeatedNested[0]: null is no element of an array");
    assert_refused("{\"repeatedTimestamp\":[null]}", "repeatedTimestamp[0]: null is no element of an array");
    assert_refused("{\"stringMap\":{\"a\":null}}", "stringMap.a: null is no value in a map");
    assert_refused("{\"int64Map\":{\"1\":null}}", "int64Map.1: null is no value in a map");
}

static void test_value_keeps_null(void **state)
{
    (void)state;
    assert_keeps("{\"valueField\":null}");
    assert_keeps("{\"repeatedValue\":[null,1]}");
    assert_keeps("{\"valueMap\":{\"a\":null}}");
    assert_keeps("{\"choiceValue\":null}");
    assert_keeps("{\"choiceNull\":null}");
    assert_keeps("{\"repeatedNull\":[null,null]}");
}

static void test_null_value_is_null_and_nothing_else(void **state)
{
    (void)state;
    assert_becomes("{\"nullValue\":null,\"choiceNull\":\"NULL_VALUE\"}", "{\"choiceNull\":null}");
    assert_becomes("{\"repeatedNull\":[0,null]}", "{\"repeatedNull\":[null,null]}");
    assert_refused("{\"choiceNull\":1}", "choiceNull: 1 is no value of google.protobuf.NullValue");
}

static void test_maps_are_objects_with_string_keys(void **state)
{
    (void)state;
    assert_keeps("{\"stringMap\":{\"b\":\"1\",\"a\":\"2\",\"\":\"3\"}}");
    assert_keeps("{\"int32Map\":{\"-5\":1,\"0\":0}}");
    assert_keeps("{\"int64Map\":{\"9223372036854775807\":{\"number\":1},\"-9223372036854775808\":{}}}");
    assert_keeps("{\"boolMap\":{\"true\":1.5,\"false\":0}}");
    assert_keeps("{\"uint64Map\":{\"18446744073709551615\":\"COLOR_RED\"}}");
    assert_keeps("{\"timestampMap\":{\"t\":\"1970-01-01T00:00:00Z\"}}");
}

static void test_map_keys_of_another_type_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"int32Map\":{\"x\":1}}", "int32Map.x: key is no int32");
    assert_refused("{\"int32Map\":{\"2147483648\":1}}", "int32Map.2147483648: key is no int32");
    assert_refused("{\"boolMap\":{\"True\":1}}", "boolMap.True: key is neither true nor false");
    assert_refused("{\"stringMap\":{\"a\":1}}", "stringMap.a: expected string, got number");
}

static void test_map_keys_that_are_one_number_are_refused(void **state)
{
    (void)state;
    assert_refused("{\"int32Map\":{\"1\":1,\"2\":1,\"1.0\":1}}", "int32Map: two keys are the same number");
}

static void test_oneof_set_twice_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"choiceInt32\":1,\"choiceString\":\"a\"}",
                   "choiceString: only one of its oneof may be set, and choice_int32 is");
    assert_refused("{\"choiceNested\":{},\"choiceNull\":null}",
                   "choiceNull: only one of its oneof may be set, and choice_nested is");
    assert_keeps("{\"choiceInt32\":0}");
    assert_becomes("{\"choiceString\":null,\"choiceDouble\":0}", "{\"choiceDouble\":0}");
    assert_becomes("{\"choiceDouble\":0,\"choiceString\":null}", "{\"choiceDouble\":0}");
}

static void test_empty_arrays_and_objects_are_as_unset(void **state)
{
    (void)state;
    Json__Test__V1__Everything *message =
        parse("{\"repeatedInt32\":[],\"stringMap\":{},\"repeatedNested\":[]}");
    assert_null(message->repeated_int32);
    assert_null(message->string_map);
    assert_string_equal(print(message), "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_names_are_accepted_in_both_spellings),
        everything_test(test_unknown_field_is_refused_with_its_path),
        everything_test(test_duplicate_key_is_refused),
        everything_test(test_both_spellings_count_as_one_key),
        everything_test(test_integers_are_accepted_as_number_string_exponent_and_point_zero),
        everything_test(test_64_bit_integers_are_exact_up_to_their_ends),
        everything_test(test_fractions_in_integers_are_refused),
        everything_test(test_integers_out_of_range_are_refused),
        everything_test(test_strings_that_hold_no_number_are_refused_for_integers),
        everything_test(test_other_kinds_are_refused_naming_what_was_expected),
        everything_test(test_doubles_accept_numbers_strings_and_special_values),
        everything_test(test_sign_of_zero_is_kept),
        everything_test(test_doubles_out_of_range_or_misspelt_are_refused),
        everything_test(test_bytes_accept_both_alphabets_padded_or_not),
        everything_test(test_bytes_that_are_not_base64_are_refused),
        everything_test(test_enum_accepts_name_and_number),
        everything_test(test_null_leaves_a_field_unset),
        everything_test(test_null_inside_repeated_or_map_is_refused),
        everything_test(test_value_keeps_null),
        everything_test(test_null_value_is_null_and_nothing_else),
        everything_test(test_maps_are_objects_with_string_keys),
        everything_test(test_map_keys_of_another_type_are_refused),
        everything_test(test_map_keys_that_are_one_number_are_refused),
        everything_test(test_oneof_set_twice_is_refused),
        everything_test(test_empty_arrays_and_objects_are_as_unset),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

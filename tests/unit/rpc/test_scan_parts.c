/*
 * Parts that a message can do without: each limit, just below and above, wherever the part stands, which of
 * several go, and what is left.
 */
#include "unit/rpc/create_parts.h"

#include "google/protobuf/struct.pb-c.h"
#include "rpc/v1/rpc.pb-c.h"

static void expect_excess(const struct wire *wire, enum scan_excess excess, const char *text)
{
    struct scan_parts parts;
    struct diag why;
    assert_ok(scan_with(&limits, wire, &parts, NULL));
    assert_int_equal(parts.n_left_out, 1);
    assert_int_equal(parts.part[0].excess, excess);
    scan_describe(parts.part[0].excess, &limits, &why);
    assert_string_equal(why.text, text);
}

/* ---- each limit ---- */

static void test_part_as_deep_as_may_be_stays(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_lists(wire, LISTS_MAX, "", 0);
    expect_left_out(wire, "");
}

static void test_part_that_is_too_deep_is_left_out(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_deep(wire);
    expect_left_out(wire, "metadata ");
    expect_excess(wire, SCAN_TOO_DEEP, "messages are nested deeper than 16");
}

static void test_part_with_as_many_elements_as_may_be_stays(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_elements(wire, CREATE_METADATA, 4096);
    expect_left_out(wire, "");
}

static void test_part_with_too_many_elements_is_left_out(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_elements(wire, CREATE_METADATA, 4097);
    expect_left_out(wire, "metadata ");
    expect_excess(wire, SCAN_TOO_MANY, "more than 4096 fields and elements");
}

static void test_part_goes_when_it_is_too_much_with_the_rest_wherever_that_stands(void **state)
{
    (void)state;
    for (unsigned before = 0; before <= 100; before += 50) {
        struct wire *wire = empty();
        put_unknown(wire, before);
        put_elements(wire, CREATE_METADATA, 3996);
        put_unknown(wire, 100 - before);
        expect_left_out(wire, "");
        put_unknown(wire, 1);
        expect_left_out(wire, "metadata ");
        expect_excess(wire, SCAN_TOO_MANY, "more than 4096 fields and elements");
    }
}

static void test_part_goes_when_the_rest_alone_is_as_much_as_may_be(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_unknown(wire, 4096);
    put_elements(wire, CREATE_METADATA, 1);
    expect_left_out(wire, "metadata ");
}

static void test_thirty_kilobytes_of_nesting_are_left_out(void **state)
{
    (void)state;
    struct wire *wire = empty();
    wire_text(wire, CREATE_ID, "x");
    put_lists(wire, 5000, "", 0);
    assert_true(wire->length > 30000);
    expect_left_out(wire, "metadata ");
}

/* ---- which part ---- */

static void test_largest_part_goes_first_whatever_the_order(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_elements(wire, CREATE_LOCATION, 1500);
    put_elements(wire, CREATE_METADATA, 3000);
    expect_left_out(wire, "metadata ");
    wire = empty();
    put_elements(wire, CREATE_METADATA, 3000);
    put_elements(wire, CREATE_LOCATION, 1500);
    expect_left_out(wire, "metadata ");
    wire = empty();
    put_elements(wire, CREATE_METADATA, 1500);
    put_elements(wire, CREATE_LOCATION, 3000);
    expect_left_out(wire, "location ");
}

static void test_as_many_parts_go_as_must(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_elements(wire, CREATE_LOCATION, 2000);
    put_elements(wire, CREATE_METADATA, 3000);
    put_elements(wire, CREATE_PRESSED_AT, 2500);
    expect_left_out(wire, "metadata pressed_at ");
    put_unknown(wire, 2097);
    expect_left_out(wire, "location metadata pressed_at ");
}

static void test_part_that_is_over_by_itself_does_not_count_against_others(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_deep(wire);
    put_elements(wire, CREATE_LOCATION, 4096);
    expect_left_out(wire, "metadata ");
    wire = empty();
    put_elements(wire, CREATE_LOCATION, 4097);
    put_deep(wire);
    expect_left_out(wire, "location metadata ");
}

/* ---- what is left ---- */

static void expect_rest(const struct wire *before, void (*put)(struct wire *wire), const struct wire *behind)
{
    static struct wire rest;
    static struct wire expected;
    struct wire *wire = empty();
    add(wire, before);
    put(wire);
    add(wire, behind);
    assert_string_equal(left_out_of(wire, &rest), "metadata ");
    expected.length = 0;
    add(&expected, before);
    add(&expected, behind);
    assert_int_equal(rest.length, expected.length);
    assert_memory_equal(rest.data, expected.data, expected.length);
}

static void test_all_else_is_left_as_it_was(void **state)
{
    (void)state;
    static struct wire none;
    static struct wire some;
    none.length = 0;
    some.length = 0;
    wire_text(&some, CREATE_ID, "0190a5c1-7b5e-7000-8000-000000000001");
    put_elements(&some, CREATE_LOCATION, 3);
    wire_number(&some, CREATE_MODE, 2);
    wire_bytes(&some, 99, "\xFF\0", 2);
    expect_rest(&none, put_deep, &none);
    expect_rest(&none, put_deep, &some);
    expect_rest(&some, put_deep, &none);
    expect_rest(&none, put_many, &some);
    expect_rest(&some, put_many, &none);
    some.length = 0;
    wire_text(&some, CREATE_ID, "y");
    static struct wire more;
    more.length = 0;
    wire_number(&more, CREATE_MODE, 3);
    expect_rest(&some, put_deep, &more);
    expect_rest(&some, put_many, &more);
}

static void test_two_parts_side_by_side_are_both_cut_out(void **state)
{
    (void)state;
    static struct wire rest;
    struct wire *wire = empty();
    wire_text(wire, CREATE_ID, "a");
    put_elements(wire, CREATE_LOCATION, 4097);
    put_deep(wire);
    wire_number(wire, CREATE_MODE, 1);
    assert_string_equal(left_out_of(wire, &rest), "location metadata ");
    assert_int_equal(rest.length, 5);
    assert_memory_equal(rest.data,
                        "\x0A\x01"
                        "a\x38\x01",
                        5);
}

/* ---- length ---- */

static struct scan_parts parts_of(const struct wire *wire)
{
    struct scan_parts parts;
    assert_ok(scan_with(&limits, wire, &parts, NULL));
    return parts;
}

static void test_longest_part_goes_when_the_message_is_too_long(void **state)
{
    (void)state;
    struct wire *wire = empty();
    wire_text(wire, CREATE_ID, "x");
    put_elements(wire, CREATE_LOCATION, 10);
    put_elements(wire, CREATE_METADATA, 100);
    struct scan_parts parts = parts_of(wire);
    assert_true(scan_shorten(&parts, wire->length, wire->length));
    assert_int_equal(parts.n_left_out, 0);
    assert_true(scan_shorten(&parts, wire->length, wire->length - 1));
    assert_int_equal(parts.n_left_out, 1);
    assert_int_equal(parts.part[1].excess, SCAN_TOO_LONG);
    /* What went already is not counted again. */
    assert_true(scan_shorten(&parts, wire->length, wire->length - parts.part[1].length));
    assert_int_equal(parts.n_left_out, 1);
    assert_true(scan_shorten(&parts, wire->length, 3));
    assert_int_equal(parts.n_left_out, 2);
    assert_false(scan_shorten(&parts, wire->length, 2));
}

/* ---- which fields may be ---- */

static void test_only_single_messages_may_be_optional(void **state)
{
    (void)state;
    const ProtobufCMessageDescriptor *const types[] = {CREATE, &google__protobuf__struct__descriptor,
                                                       &google__protobuf__value__descriptor,
                                                       &rpc__v1__request__descriptor};
    unsigned n = 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        for (unsigned f = 0; f < types[i]->n_fields; f++) {
            n += scan_may_be_optional(&types[i]->fields[f]);
        }
    }
    /* Those of CreatePanicRequest; not the entries of a Struct, the kinds of a Value, the headers. */
    assert_int_equal(n, 3);
    ProtobufCFieldDescriptor field = *protobuf_c_message_descriptor_get_field_by_name(CREATE, "metadata");
    assert_true(scan_may_be_optional(&field));
    field.label = PROTOBUF_C_LABEL_REQUIRED;
    assert_false(scan_may_be_optional(&field));
    field.label = PROTOBUF_C_LABEL_OPTIONAL;
    field.id = 63;
    assert_true(scan_may_be_optional(&field));
    field.id = 64;
    assert_false(scan_may_be_optional(&field));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part_as_deep_as_may_be_stays),
        cmocka_unit_test(test_part_that_is_too_deep_is_left_out),
        cmocka_unit_test(test_part_with_as_many_elements_as_may_be_stays),
        cmocka_unit_test(test_part_with_too_many_elements_is_left_out),
        cmocka_unit_test(test_part_goes_when_it_is_too_much_with_the_rest_wherever_that_stands),
        cmocka_unit_test(test_part_goes_when_the_rest_alone_is_as_much_as_may_be),
        cmocka_unit_test(test_thirty_kilobytes_of_nesting_are_left_out),
        cmocka_unit_test(test_largest_part_goes_first_whatever_the_order),
        cmocka_unit_test(test_as_many_parts_go_as_must),
        cmocka_unit_test(test_part_that_is_over_by_itself_does_not_count_against_others),
        cmocka_unit_test(test_all_else_is_left_as_it_was),
        cmocka_unit_test(test_two_parts_side_by_side_are_both_cut_out),
        cmocka_unit_test(test_longest_part_goes_when_the_message_is_too_long),
        cmocka_unit_test(test_only_single_messages_may_be_optional),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

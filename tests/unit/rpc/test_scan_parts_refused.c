/*
 * Messages with parts that they can do without which are refused all the same; and any bytes, against the
 * scan itself: what is left must be within its limits.
 */
#include "unit/rpc/create_parts.h"
#include "unit/rpc/mutation.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

static void expect_refused(const struct wire *wire, const char *text)
{
    struct scan_parts parts;
    struct diag diag = {.text = ""};
    assert_status(scan_with(&limits, wire, &parts, &diag), STATUS_INVALID_ARGUMENT);
    if (strncmp(diag.text, text, strlen(text)) != 0) {
        fail_msg("diag is \"%s\", expected \"%s\"", diag.text, text);
    }
}

/* ---- what stays refused ---- */

/* Two would be merged: leaving out one of them would leave half of what was meant. */
static void test_part_that_is_given_twice_is_refused(void **state)
{
    (void)state;
    static const bool deep[][2] = {{false, false}, {true, false}, {false, true}, {true, true}};
    for (size_t i = 0; i < sizeof(deep) / sizeof(deep[0]); i++) {
        struct wire *wire = empty();
        put_lists(wire, deep[i][0] ? LISTS_MAX + 1 : 1, "", 0);
        put_lists(wire, deep[i][1] ? LISTS_MAX + 1 : 1, "", 0);
        expect_refused(wire, "metadata: is given twice");
    }
}

static void test_part_that_is_given_twice_beside_all_others_is_refused(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_deep(wire);
    put_elements(wire, CREATE_LOCATION, 1);
    put_elements(wire, CREATE_PRESSED_AT, 1);
    put_deep(wire);
    expect_refused(wire, "metadata: is given twice");
}

static void test_rest_that_is_too_much_is_refused_whatever_is_left_out(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_many(wire);
    put_unknown(wire, 4097);
    expect_refused(wire, "field 99: more than 4096 fields and elements");
}

static void test_wrongs_around_a_part_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
        const char *text;
    } wrongs[] = {
        {BYTES("\x0A\x01\xFF"), "id: text is not valid UTF-8"},
        {BYTES("\x0A\x03"
               "a\0b"),
         "id: text is not valid UTF-8"},
        {BYTES("\x08\x01"), "id: has the wrong wire type"},
        {BYTES("\x28\x01"), "metadata: "},
        {BYTES("\x9B\x06\x9C\x06"), "field 99: groups are not supported"},
        {BYTES("\x9E\x06"), "field 99: has no valid wire type"},
        {BYTES("\x02\x00"), "message: a field's number"},
        {BYTES("\x22\x02\x09\x01"), "location.lat: is cut"},
    };
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        struct wire *wire = empty();
        wire_raw(wire, wrongs[i].bytes, wrongs[i].length);
        put_deep(wire);
        expect_refused(wire, wrongs[i].text);
        wire = empty();
        put_many(wire);
        wire_raw(wire, wrongs[i].bytes, wrongs[i].length);
        expect_refused(wire, wrongs[i].text);
    }
}

static void test_message_that_is_cut_anywhere_behind_a_tag_is_refused(void **state)
{
    (void)state;
    struct wire *wire = empty();
    put_deep(wire);
    size_t length = wire->length;
    for (wire->length = 1; wire->length < length; wire->length++) {
        expect_refused(wire, "metadata: ");
    }
}

static void test_part_that_is_wrong_before_it_is_too_deep_is_refused(void **state)
{
    (void)state;
    static struct wire value;
    struct wire *wire = empty();
    /* In an entry before the one that is too deep, and in the deepest list that may be. */
    value.length = 0;
    wire_bytes(&value, VALUE_STRING, "\xFF", 1);
    put_lists(wire, 1, value.data, value.length);
    expect_refused(wire, "metadata.fields.value.list_value.values.string_value: text is not valid UTF-8");
    wire = empty();
    put_lists(wire, LISTS_MAX, value.data, value.length);
    expect_refused(wire, "metadata.fields.value.list_value");
    /* A list of too many levels behind the text in the same Value. */
    wire_bytes(&value, VALUE_LIST, "\x0A\x00", 2);
    wire = empty();
    put_lists(wire, LISTS_MAX, value.data, value.length);
    expect_refused(wire, "metadata.fields.value.list_value");
}

static void test_nothing_is_looked_at_behind_the_place_that_is_too_deep(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length;
    } wrongs[] = {{BYTES("\x1A\x01\xFF")}, {BYTES("\x0B\x0C")}, {BYTES("\xFF")}, {BYTES("\x1A\x7F")}};
    static struct wire value;
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        value.length = 0;
        wire_bytes(&value, VALUE_LIST, "\x0A\x00", 2);
        wire_raw(&value, wrongs[i].bytes, wrongs[i].length);
        struct wire *wire = empty();
        put_lists(wire, LISTS_MAX, value.data, value.length);
        expect_left_out(wire, "metadata ");
    }
}

static void test_field_that_is_not_optional_is_refused(void **state)
{
    (void)state;
    struct scan_limits without = limits;
    without.optional &= ~BIT(CREATE_METADATA);
    struct scan_parts parts;
    struct diag diag;
    struct wire *wire = empty();
    put_deep(wire);
    assert_status(scan_with(&without, wire, &parts, &diag), STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(diag.text, "metadata.fields.value.list_value"));
    assert_non_null(strstr(diag.text, ": messages are nested deeper than 16"));
    wire = empty();
    put_many(wire);
    assert_status(scan_with(&without, wire, &parts, &diag), STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, "metadata.fields: more than 4096 fields and elements");
}

/* Nobody has a bit. */
static void test_numbers_above_63_are_no_parts(void **state)
{
    (void)state;
    struct scan_parts parts;
    struct wire *wire = empty();
    for (unsigned i = 0; i < 10; i++) {
        wire_bytes(wire, 64 + CREATE_METADATA, "", 0);
        wire_number(wire, 64 + CREATE_LOCATION, i);
    }
    assert_ok(scan_with(&limits, wire, &parts, NULL));
    assert_int_equal(parts.n, 0);
}

/* Metadata has the number of a fix's time in a place. */
static void test_only_fields_of_the_outermost_message_are_parts(void **state)
{
    (void)state;
    struct scan_limits metadata_only = limits;
    metadata_only.optional = BIT(CREATE_METADATA);
    static struct wire field;
    field.length = 0;
    put_unknown(&field, 4096);
    wire_wrap(&field, LOCATION_FIX_TIME);
    wire_wrap(&field, CREATE_LOCATION);
    struct scan_parts parts;
    struct diag diag;
    assert_status(scan_with(&metadata_only, &field, &parts, &diag), STATUS_INVALID_ARGUMENT);
    assert_string_equal(diag.text, "location.fix_time.field 99: more than 4096 fields and elements");
    expect_left_out(&field, "location ");
}

/* ---- any bytes ---- */

static void put_seed(struct wire *wire, uint64_t kind)
{
    static struct wire value;
    value.length = 0;
    wire_text(&value, VALUE_STRING, "t\xC3\xBCr");
    wire->length = 0;
    wire_text(wire, CREATE_ID, "0190a5c1-7b5e-7000-8000-000000000001");
    wire_bytes(wire, CREATE_LOCATION, "\x09\x11\x12\x13\x14\x15\x16\x17\x18\x2A\x04\x08\x01\x10\x02", 15);
    put_lists(wire, kind % 2 == 0 ? LISTS_MAX : LISTS_MAX + 1, value.data, value.length);
    wire_bytes(wire, CREATE_PRESSED_AT, "\x08\x01\x10\x02", 4);
    wire_number(wire, CREATE_MODE, 1);
    wire_number(wire, 99, 7);
}

/* What the guard without optional parts says is the judge: of the whole message, and of what is left. */
static void judge(const struct wire *wire, const struct scan_limits *strict,
                  const struct scan_limits *lenient, unsigned *left_out)
{
    static struct wire rest;
    struct scan_parts parts;
    enum status status = scan_with(lenient, wire, &parts, NULL);
    bool is_fine = scan_with(strict, wire, NULL, NULL) == STATUS_OK;
    if (status != STATUS_OK) {
        assert_false(is_fine);
        return;
    }
    assert_int_equal(is_fine, parts.n_left_out == 0);
    rest.length = scan_without(&parts, wire->data, wire->length, rest.data);
    assert_ok(scan_with(strict, &rest, NULL, NULL));
    assert_true(unpacks(&rest));
    *left_out += parts.n_left_out > 0;
}

static void test_whatever_is_left_is_within_the_limits_and_unpacks(void **state)
{
    (void)state;
    static struct wire wire;
    uint64_t random = 4;
    unsigned left_out = 0;
    for (unsigned i = 0; i < 120000; i++) {
        put_seed(&wire, mutation_random(&random));
        /* Also where the elements end the message, at any of them. */
        struct scan_limits strict = {.depth_max = 16, .elements_max = 20 + (unsigned)(i % 30)};
        struct scan_limits lenient = strict;
        lenient.optional = limits.optional;
        mutation_apply(&wire, &random);
        judge(&wire, &strict, &lenient, &left_out);
    }
    /* Enough for the loop to mean something. */
    assert_true(left_out > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_part_that_is_given_twice_is_refused),
        cmocka_unit_test(test_part_that_is_given_twice_beside_all_others_is_refused),
        cmocka_unit_test(test_rest_that_is_too_much_is_refused_whatever_is_left_out),
        cmocka_unit_test(test_wrongs_around_a_part_are_refused),
        cmocka_unit_test(test_message_that_is_cut_anywhere_behind_a_tag_is_refused),
        cmocka_unit_test(test_part_that_is_wrong_before_it_is_too_deep_is_refused),
        cmocka_unit_test(test_nothing_is_looked_at_behind_the_place_that_is_too_deep),
        cmocka_unit_test(test_field_that_is_not_optional_is_refused),
        cmocka_unit_test(test_numbers_above_63_are_no_parts),
        cmocka_unit_test(test_only_fields_of_the_outermost_message_are_parts),
        cmocka_unit_test(test_whatever_is_left_is_within_the_limits_and_unpacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

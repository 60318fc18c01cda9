/* google.protobuf.Any, whose payload is a stranger's. */
#include "everything.h"

#include <string.h>

#define NESTED_URL "type.googleapis.com/json.test.v1.Nested"

static void assert_payload_refused(const char *type_url, const uint8_t *data, size_t length)
{
    Json__Test__V1__Everything message = JSON__TEST__V1__EVERYTHING__INIT;
    Google__Protobuf__Any any = GOOGLE__PROTOBUF__ANY__INIT;
    any.type_url = (char *)type_url;
    any.value = (ProtobufCBinaryData){.data = (uint8_t *)data, .len = length};
    message.any_field = &any;
    struct json_text text;
    assert_status(json_print(&message.base, NULL, &test_arena, &text), STATUS_INVALID_ARGUMENT);
}

static void test_any_is_its_members_and_type(void **state)
{
    (void)state;
    assert_keeps("{\"anyField\":{\"@type\":\"" NESTED_URL "\",\"number\":1,\"child\":{\"text\":\"a\"}}}");
    assert_keeps("{\"anyField\":{\"@type\":\"x/json.test.v1.Nested\"}}");
    assert_keeps("{\"anyField\":{}}");
    assert_becomes("{\"anyField\":{\"number\":1,\"@type\":\"" NESTED_URL "\"}}",
                   "{\"anyField\":{\"@type\":\"" NESTED_URL "\",\"number\":1}}");
}

static void test_any_of_a_special_form_has_a_value(void **state)
{
    (void)state;
    assert_keeps(
        "{\"repeatedAny\":[{\"@type\":\"x/google.protobuf.Timestamp\",\"value\":\"2026-01-31T12:00:00Z\"},"
        "{\"@type\":\"x/google.protobuf.Int64Value\",\"value\":\"7\"},"
        "{\"@type\":\"x/google.protobuf.Value\",\"value\":null},"
        "{\"@type\":\"x/google.protobuf.Struct\",\"value\":{\"a\":[1]}},"
        "{\"@type\":\"x/google.protobuf.Empty\"},"
        "{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"" NESTED_URL "\",\"number\":1}}]}");
}

static void test_any_knows_the_messages_of_the_product(void **state)
{
    (void)state;
    assert_keeps(
        "{\"anyField\":{\"@type\":\"type.googleapis.com/panic.v1.Panic\",\"id\":\"a\",\"version\":\"3\"}}");
}

static void test_any_without_a_known_type_is_refused(void **state)
{
    (void)state;
    static const char unknown[] =
        "anyField.@type: unknown type; expected \"type.googleapis.com/\" and a full name";
    assert_refused("{\"anyField\":{\"number\":1}}", "anyField.@type: missing, or not a string");
    assert_refused("{\"anyField\":{\"@type\":1}}", "anyField.@type: missing, or not a string");
    assert_refused("{\"anyField\":{\"@type\":\"x/no.Such\"}}", unknown);
    assert_refused("{\"anyField\":{\"@type\":\"json.test.v1.Nested\"}}", unknown);
    assert_refused("{\"anyField\":{\"@type\":\"/json.test.v1.Nested\"}}", unknown);
    assert_refused("{\"anyField\":[]}", "anyField: expected object, got array");
}

static void test_any_with_members_it_should_not_have_is_refused(void **state)
{
    (void)state;
    assert_refused("{\"anyField\":{\"@type\":\"" NESTED_URL "\",\"value\":1}}",
                   "anyField.value: unknown field");
    assert_refused("{\"anyField\":{\"@type\":\"x/google.protobuf.Duration\"}}", "anyField.value: missing");
    assert_refused("{\"anyField\":{\"@type\":\"x/google.protobuf.Duration\",\"value\":\"1s\",\"a\":1}}",
                   "anyField: expected only @type and value");
}

static void test_any_of_an_unknown_type_is_unprintable(void **state)
{
    (void)state;
    assert_payload_refused("x/no.Such", NULL, 0);
    assert_payload_refused("", (const uint8_t *)"\x08\x01", 2);
}

static void test_any_with_a_broken_payload_is_unprintable(void **state)
{
    (void)state;
    assert_payload_refused(NESTED_URL, (const uint8_t *)"\x08", 1);
    assert_payload_refused(NESTED_URL, (const uint8_t *)"\x12\x05\x08\x01", 4);
    assert_payload_refused(NESTED_URL, (const uint8_t *)"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    assert_payload_refused(NESTED_URL, (const uint8_t *)"\x0b\x0c", 2);
}

static void test_any_nested_ten_thousand_deep_is_unprintable_and_does_no_harm(void **state)
{
    (void)state;
    enum { LEVELS = 10000 };
    size_t size = (size_t)LEVELS * 4;
    uint8_t *data = arena_alloc(&test_arena, size);
    assert_non_null(data);
    /* Written from the inside out: each level is tag 2, then the length of what is inside. */
    size_t start = size;
    for (int i = 0; i < LEVELS; i++) {
        size_t length = size - start;
        data[--start] = (uint8_t)(length >> 14);
        data[--start] = (uint8_t)(length >> 7 | 0x80);
        data[--start] = (uint8_t)(length | 0x80);
        data[--start] = 0x12;
    }
    assert_payload_refused(NESTED_URL, data, size);
}

static void test_any_with_too_many_elements_is_unprintable(void **state)
{
    (void)state;
    size_t size = 2 * (size_t)20000;
    uint8_t *data = arena_alloc_zero(&test_arena, size);
    assert_non_null(data);
    for (size_t i = 0; i < size; i += 2) {
        data[i] = 0x1a; /* children, empty */
    }
    assert_payload_refused(NESTED_URL, data, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        everything_test(test_any_is_its_members_and_type),
        everything_test(test_any_of_a_special_form_has_a_value),
        everything_test(test_any_knows_the_messages_of_the_product),
        everything_test(test_any_without_a_known_type_is_refused),
        everything_test(test_any_with_members_it_should_not_have_is_refused),
        everything_test(test_any_of_an_unknown_type_is_unprintable),
        everything_test(test_any_with_a_broken_payload_is_unprintable),
        everything_test(test_any_nested_ten_thousand_deep_is_unprintable_and_does_no_harm),
        everything_test(test_any_with_too_many_elements_is_unprintable),
    };
    return cmocka_run_group_tests(tests, setup_everything, NULL);
}

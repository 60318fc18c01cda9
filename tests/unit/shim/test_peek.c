/* Single fields of a packed message. */
#include "harness/test.h"

#include <stdlib.h>
#include <string.h>

#include "panic/v1/panic_service.pb-c.h"
#include "shim/peek.h"

enum { PANIC = 1, REPLAYED = 2, WARNINGS = 3, ID = 1, VERSION = 5, OUTCOME = 16 };

static struct peek pack_response(uint8_t *data, size_t size)
{
    Panic__V1__CreatePanicResponse response = PANIC__V1__CREATE_PANIC_RESPONSE__INIT;
    Panic__V1__Panic panic = PANIC__V1__PANIC__INIT;
    Panic__V1__Location location = PANIC__V1__LOCATION__INIT;
    char *warnings[] = {(char *)"first", (char *)"second"};
    location.lat = 1.5;
    panic.id = (char *)"018f4e2a";
    panic.version = INT64_C(1) << 40;
    panic.location = &location;
    panic.outcome = (char *)"helped";
    response.panic = &panic;
    response.replayed = true;
    response.warnings = warnings;
    response.n_warnings = 2;
    assert_true(panic__v1__create_panic_response__get_packed_size(&response) <= size);
    return (struct peek){data, panic__v1__create_panic_response__pack(&response, data)};
}

static void assert_text(struct peek bytes, const char *text)
{
    assert_non_null(bytes.data);
    assert_int_equal(bytes.length, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.length);
}

static void test_fields_are_found(void **state)
{
    (void)state;
    uint8_t data[256];
    struct peek response = pack_response(data, sizeof(data));
    struct peek panic = peek_bytes(response, PANIC);
    assert_text(peek_bytes(panic, ID), "018f4e2a");
    assert_text(peek_bytes(panic, OUTCOME), "helped");
    assert_true(peek_number(panic, VERSION) == UINT64_C(1) << 40);
    assert_int_equal(peek_number(response, REPLAYED), 1);
    assert_text(peek_bytes(response, WARNINGS), "first");
}

static void test_fields_that_are_not_there(void **state)
{
    (void)state;
    uint8_t data[256];
    struct peek response = pack_response(data, sizeof(data));
    assert_null(peek_bytes(response, 9).data);
    assert_int_equal(peek_number(response, 9), 0);
    assert_null(peek_bytes(response, REPLAYED).data);
    assert_int_equal(peek_number(response, PANIC), 0);
    assert_null(peek_bytes((struct peek){0}, PANIC).data);
}

/* The sanitizer sees when a byte beyond the end is read. */
static void test_message_that_is_cut_off_ends_the_search(void **state)
{
    (void)state;
    uint8_t data[256];
    struct peek response = pack_response(data, sizeof(data));
    for (size_t length = 0; length < response.length; length++) {
        uint8_t *copy = malloc(length > 0 ? length : 1);
        assert_non_null(copy);
        memcpy(copy, data, length);
        struct peek part = {copy, length};
        assert_null(peek_bytes(part, 9).data);
        assert_true(peek_bytes(part, PANIC).length <= length);
        free(copy);
    }
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    static const uint8_t group[] = {0x0B, 0x0C, 0x10, 0x01};
    assert_int_equal(peek_number((struct peek){endless, sizeof(endless)}, 1), 0);
    assert_int_equal(peek_number((struct peek){group, sizeof(group)}, 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_are_found),
        cmocka_unit_test(test_fields_that_are_not_there),
        cmocka_unit_test(test_message_that_is_cut_off_ends_the_search),
    };
    return cmocka_run_group_tests_name("peek", tests, NULL, NULL);
}

#include "everything.h"

#include <string.h>

#include "json/descriptor_table.h"

extern const struct descriptor_table json_test_table;

struct arena test_arena;

int setup_everything(void **state)
{
    (void)state;
    descriptor_table_add(&json_test_table);
    arena_init(&test_arena, NULL, 0, 64 << 20);
    return 0;
}

int teardown_everything(void **state)
{
    (void)state;
    arena_reset(&test_arena);
    return 0;
}

Json__Test__V1__Everything *parse(const char *text)
{
    ProtobufCMessage *message = NULL;
    struct diag diag = {""};
    if (json_parse(&json__test__v1__everything__descriptor, text, strlen(text), NULL, &test_arena, &message,
                   &diag) != STATUS_OK) {
        fail_msg("%s: %s", text, diag.text);
    }
    return (Json__Test__V1__Everything *)message;
}

const char *print(const Json__Test__V1__Everything *message)
{
    struct json_text text = {.data = ""};
    assert_ok(json_print(&message->base, NULL, &test_arena, &text));
    assert_int_equal(strlen(text.data), text.length);
    return text.data;
}

void assert_becomes(const char *text, const char *expected)
{
    assert_string_equal(print(parse(text)), expected);
}

void assert_keeps(const char *text)
{
    assert_becomes(text, text);
}

void assert_refused(const char *text, const char *error)
{
    ProtobufCMessage *message = NULL;
    struct diag diag = {""};
    assert_status(json_parse(&json__test__v1__everything__descriptor, text, strlen(text), NULL, &test_arena,
                             &message, &diag),
                  STATUS_INVALID_ARGUMENT);
    assert_null(message);
    assert_string_equal(diag.text, error);
}

const char *nested_arrays(const char *before, size_t levels, const char *after)
{
    char *brackets = arena_alloc(&test_arena, 2 * levels);
    assert_non_null(brackets);
    memset(brackets, '[', levels);
    memset(brackets + levels, ']', levels);
    const char *text = arena_printf(&test_arena, "%s%.*s%s", before, (int)(2 * levels), brackets, after);
    assert_non_null(text);
    return text;
}

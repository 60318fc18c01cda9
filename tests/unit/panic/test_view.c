/* The packed panic and the room round it, with the longest content there can be. */
#include "harness/test.h"

#include <string.h>

#include "panic/content.h"
#include "panic/view.h"
#include "unit/panic/metadata.h"

#define ARENA_MAX ((size_t)256 * 1024)
#define CANARY_SIZE 64
#define CANARY 0xa5
#define WARNING_LENGTH 250

/* The answer, as the transport has seen it. */
struct answer {
    size_t size;
    uint8_t bytes[64 * 1024];
};

static struct answer answer;

static void keep_answer(struct rpc_call *call, const struct rpc_response *response)
{
    (void)call;
    assert_true(response->size <= sizeof(answer.bytes));
    answer.size = response->size;
    rpc_response_pack(response, answer.bytes);
}

static char *text_of(struct arena *arena, size_t length)
{
    char *text = arena_alloc(arena, length + 1);
    assert_non_null(text);
    memset(text, 'x', length);
    text[length] = 0;
    return text;
}

struct longest {
    struct arena arena;
    Google__Protobuf__Timestamp time;
    Panic__V1__Location place;
    Panic__V1__CreatePanicRequest content;
    struct store_panic row;
    char *warnings[CONTENT_WARNINGS_MAX];
    Panic__V1__CreatePanicResponse rest;
    struct view_packed packed;
    const uint8_t *canary;
};

static void set_content(struct longest *longest)
{
    struct arena *arena = &longest->arena;
    google__protobuf__timestamp__init(&longest->time);
    longest->time.seconds = 4102444799;
    longest->time.nanos = 999999999;
    panic__v1__location__init(&longest->place);
    longest->place.lat = -33.9;
    longest->place.lng = 18.4;
    longest->place.accuracy_m = 12.5;
    longest->place.altitude_m = 1086;
    longest->place.fix_time = &longest->time;
    panic__v1__create_panic_request__init(&longest->content);
    const struct member note = {.key = "note",
                                .value = make_text(arena, text_of(arena, CONTENT_METADATA_MAX))};
    longest->content.metadata = make_object(arena, 1, &note);
    longest->content.location = &longest->place;
    longest->content.pressed_at = &longest->time;
    longest->content.subject_id = text_of(arena, CONTENT_NAME_MAX);
    longest->content.device_id = text_of(arena, CONTENT_NAME_MAX);
    longest->content.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_EXERCISE;
}

/* A placeholder of the longest panic, packed, with a canary behind its room. */
static int set_up(void **state)
{
    struct longest *longest = calloc(1, sizeof(*longest));
    assert_non_null(longest);
    arena_init(&longest->arena, NULL, 0, ARENA_MAX);
    set_content(longest);
    longest->row = (struct store_panic){.version = INT64_MAX,
                                        .status = 3,
                                        .stage = 3,
                                        .attempts = UINT32_MAX,
                                        .create_time_us = INT64_MAX,
                                        .update_time_us = INT64_MAX,
                                        .responder_id = text_of(&longest->arena, STORE_RESPONDER_ID_MAX),
                                        .assign_time_us = INT64_MAX,
                                        .distance_m = 20015086.8,
                                        .outcome = text_of(&longest->arena, CONTENT_NAME_MAX)};
    panic__v1__create_panic_response__init(&longest->rest);
    for (size_t i = 0; i < CONTENT_WARNINGS_MAX; i++) {
        longest->warnings[i] = text_of(&longest->arena, WARNING_LENGTH);
    }
    longest->rest.warnings = longest->warnings;
    longest->rest.n_warnings = CONTENT_WARNINGS_MAX;
    longest->rest.replayed = true;

    Panic__V1__Panic *panic = view_build(&longest->row, &longest->content, &longest->arena);
    assert_non_null(panic);
    panic->durable = false;
    panic->version = 0;
    longest->packed = view_pack_placeholder(
        panic, panic__v1__create_panic_response__get_packed_size(&longest->rest), &longest->arena);
    assert_non_null(longest->packed.data);
    uint8_t *canary = arena_alloc(&longest->arena, CANARY_SIZE);
    assert_non_null(canary);
    memset(canary, CANARY, CANARY_SIZE);
    longest->canary = canary;
    *state = longest;
    return 0;
}

static int tear_down(void **state)
{
    struct longest *longest = *state;
    arena_reset(&longest->arena);
    free(longest);
    return 0;
}

static bool reply(struct longest *longest)
{
    static const struct rpc_transport transport = {.finish = keep_answer};
    struct rpc_call call = {.transport = &transport};
    return view_reply(&call, &longest->packed, &longest->rest.base);
}

static void test_the_longest_panic_with_all_its_warnings_fits_its_room(void **state)
{
    struct longest *longest = *state;
    view_set_stored(&longest->packed, INT64_MAX);
    assert_true(reply(longest));
    for (size_t i = 0; i < CANARY_SIZE; i++) {
        assert_int_equal(longest->canary[i], CANARY);
    }
    Panic__V1__CreatePanicResponse *response =
        panic__v1__create_panic_response__unpack(NULL, answer.size, answer.bytes);
    assert_non_null(response);
    assert_true(response->replayed);
    assert_int_equal(response->n_warnings, CONTENT_WARNINGS_MAX);
    assert_string_equal(response->warnings[CONTENT_WARNINGS_MAX - 1], longest->warnings[0]);
    assert_true(response->panic->durable);
    assert_true(response->panic->version == INT64_MAX);
    assert_string_equal(response->panic->outcome, longest->row.outcome);
    assert_string_equal(response->panic->assignment->responder_id, longest->row.responder_id);
    assert_string_equal(response->panic->metadata->fields[0]->value->string_value,
                        longest->content.metadata->fields[0]->value->string_value);
    panic__v1__create_panic_response__free_unpacked(response, NULL);
}

/* What it is for: the stored panic takes the placeholder's place in the cache as it is. */
static void test_a_placeholder_is_as_long_as_the_panic_stored_first(void **state)
{
    struct longest *longest = *state;
    size_t length = longest->packed.length;
    Panic__V1__Panic *placeholder = panic__v1__panic__unpack(NULL, length, longest->packed.data);
    assert_non_null(placeholder);
    assert_false(placeholder->durable);
    assert_true(placeholder->version == 0);
    panic__v1__panic__free_unpacked(placeholder, NULL);
    view_set_stored(&longest->packed, 1);
    assert_int_equal(longest->packed.length, length);
}

static void test_a_rest_longer_than_its_room_is_refused_with_nothing_written(void **state)
{
    struct longest *longest = *state;
    view_set_stored(&longest->packed, INT64_MAX);
    longest->warnings[0] = text_of(&longest->arena, WARNING_LENGTH + CANARY_SIZE);
    assert_false(reply(longest));
    assert_int_equal(longest->canary[0], CANARY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_longest_panic_with_all_its_warnings_fits_its_room, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_placeholder_is_as_long_as_the_panic_stored_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_rest_longer_than_its_room_is_refused_with_nothing_written,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests_name("panic: view", tests, NULL, NULL);
}

/*
 * What a creator sent, made usable and canonical: each part that can be left out, at its bounds; what counts
 * as the same content; and an arena that ends at any byte.
 */
#include "harness/test.h"

#include <math.h>
#include <string.h>

#include "panic/content.h"
#include "unit/panic/metadata.h"

#define ARENA_MAX ((size_t)1024 * 1024)
#define TIME_MIN_S 946684800LL
#define TIME_MAX_S 4102444800LL

struct fixture {
    struct arena arena;
    struct content content;
    struct diag diag;
    Panic__V1__CreatePanicRequest request;
    Panic__V1__Location place;
    Google__Protobuf__Timestamp time;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    arena_init(&fixture->arena, NULL, 0, ARENA_MAX);
    panic__v1__create_panic_request__init(&fixture->request);
    panic__v1__location__init(&fixture->place);
    google__protobuf__timestamp__init(&fixture->time);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_reset(&fixture->arena);
    free(fixture);
    return 0;
}

static enum status judge(struct fixture *fixture)
{
    return content_from_request(&fixture->request, NULL, 0, &fixture->arena, &fixture->content,
                                &fixture->diag);
}

static void assert_starts_with(const char *text, const char *start)
{
    if (strncmp(text, start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not start with \"%s\"", text, start);
    }
}

/* Taken in with one warning that names the field; with strict, set by the caller's second call, refused. */
static void assert_left_out(struct fixture *fixture, const char *field)
{
    assert_ok(judge(fixture));
    assert_int_equal(fixture->content.n_warnings, 1);
    assert_starts_with(fixture->content.warnings[0], field);
}

static void assert_refused(struct fixture *fixture, const char *field)
{
    fixture->request.strict = true;
    assert_status(judge(fixture), STATUS_INVALID_ARGUMENT);
    assert_starts_with(fixture->diag.text, field);
    fixture->request.strict = false;
}

static void assert_kept(struct fixture *fixture)
{
    fixture->request.strict = true;
    assert_ok(judge(fixture));
    assert_int_equal(fixture->content.n_warnings, 0);
    fixture->request.strict = false;
}

/* ---- names ---- */

static void test_names_are_kept_up_to_their_bound(void **state)
{
    struct fixture *fixture = *state;
    char name[CONTENT_NAME_MAX + 2] = "";
    memset(name, 'n', CONTENT_NAME_MAX);
    fixture->request.subject_id = name;
    fixture->request.device_id = name;
    assert_kept(fixture);
    assert_string_equal(fixture->content.request.subject_id, name);
    assert_string_equal(fixture->content.request.device_id, name);
}

static void test_a_subject_that_is_too_long_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    char name[CONTENT_NAME_MAX + 2] = "";
    memset(name, 'n', CONTENT_NAME_MAX + 1);
    fixture->request.subject_id = name;
    assert_refused(fixture, "subject_id: ");
    assert_left_out(fixture, "subject_id: ");
    assert_string_equal(fixture->content.request.subject_id, "");
}

static void test_a_device_that_is_too_long_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    char name[CONTENT_NAME_MAX + 2] = "";
    memset(name, 'n', CONTENT_NAME_MAX + 1);
    fixture->request.device_id = name;
    assert_refused(fixture, "device_id: ");
    assert_left_out(fixture, "device_id: ");
    assert_string_equal(fixture->content.request.device_id, "");
}

/* ---- place ---- */

static void test_0_0_is_a_place(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.location = &fixture->place;
    assert_kept(fixture);
    assert_non_null(fixture->content.request.location);
    Panic__V1__CreatePanicRequest *again = panic__v1__create_panic_request__unpack(
        NULL, fixture->content.packed.length, fixture->content.packed.data);
    assert_non_null(again);
    assert_non_null(again->location);
    panic__v1__create_panic_request__free_unpacked(again, NULL);
}

static void test_absent_stays_absent(void **state)
{
    struct fixture *fixture = *state;
    assert_kept(fixture);
    assert_null(fixture->content.request.location);
    assert_null(fixture->content.request.metadata);
    assert_null(fixture->content.request.pressed_at);
    assert_int_equal(fixture->content.packed.length, 0);
}

static void test_a_place_off_the_world_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    const double bad[][2] = {{90.5, 0}, {-91, 0}, {0, 180.5}, {0, -181}, {NAN, 0}, {0, INFINITY}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture->place.lat = bad[i][0];
        fixture->place.lng = bad[i][1];
        fixture->request.location = &fixture->place;
        assert_refused(fixture, "location: ");
        fixture->request.location = &fixture->place;
        assert_left_out(fixture, "location: ");
        assert_null(fixture->content.request.location);
    }
}

static void test_the_edge_of_the_world_is_kept(void **state)
{
    struct fixture *fixture = *state;
    fixture->place.lat = -90;
    fixture->place.lng = 180;
    fixture->request.location = &fixture->place;
    assert_kept(fixture);
    assert_true(fixture->content.request.location->lat == -90);
}

static void test_an_accuracy_that_cannot_be_is_left_out_and_the_place_kept(void **state)
{
    struct fixture *fixture = *state;
    const double bad[] = {-0.5, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture->place.lat = -33.9;
        fixture->request.location = &fixture->place;
        fixture->place.accuracy_m = bad[i];
        assert_refused(fixture, "location.accuracy_m: ");
        fixture->place.accuracy_m = bad[i];
        assert_left_out(fixture, "location.accuracy_m: ");
        assert_true(fixture->content.request.location->lat == -33.9);
        assert_true(fixture->content.request.location->accuracy_m == 0);
    }
}

static void test_an_altitude_that_cannot_be_is_left_out_and_the_place_kept(void **state)
{
    struct fixture *fixture = *state;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture->request.location = &fixture->place;
        fixture->place.altitude_m = bad[i];
        assert_refused(fixture, "location.altitude_m: ");
        fixture->place.altitude_m = bad[i];
        assert_left_out(fixture, "location.altitude_m: ");
        assert_true(fixture->content.request.location->altitude_m == 0);
    }
}

static void test_below_the_sea_is_a_height(void **state)
{
    struct fixture *fixture = *state;
    fixture->place.altitude_m = -430;
    fixture->request.location = &fixture->place;
    assert_kept(fixture);
    assert_true(fixture->content.request.location->altitude_m == -430);
}

/* ---- times ---- */

struct time_case {
    int64_t seconds;
    int32_t nanos;
};

static const struct time_case good_times[] = {
    {TIME_MIN_S, 0}, {TIME_MIN_S, 999999999}, {TIME_MAX_S - 1, 999999999}, {1700000000, 1}};

static const struct time_case bad_times[] = {{TIME_MIN_S - 1, 999999999},
                                             {TIME_MAX_S, 0},
                                             {0, 0},
                                             {-1, 0},
                                             {INT64_MAX, 0},
                                             {INT64_MIN, 0},
                                             {1700000000, -1},
                                             {1700000000, 1000000000},
                                             {1700000000, INT32_MIN}};

static void test_a_press_in_this_century_is_kept(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(good_times) / sizeof(good_times[0]); i++) {
        fixture->time.seconds = good_times[i].seconds;
        fixture->time.nanos = good_times[i].nanos;
        fixture->request.pressed_at = &fixture->time;
        assert_kept(fixture);
        assert_int_equal(fixture->content.request.pressed_at->seconds, good_times[i].seconds);
    }
}

static void test_a_press_at_another_time_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(bad_times) / sizeof(bad_times[0]); i++) {
        fixture->time.seconds = bad_times[i].seconds;
        fixture->time.nanos = bad_times[i].nanos;
        fixture->request.pressed_at = &fixture->time;
        assert_refused(fixture, "pressed_at: ");
        assert_left_out(fixture, "pressed_at: ");
        assert_null(fixture->content.request.pressed_at);
    }
}

static void test_a_fix_at_another_time_is_left_out_and_the_place_kept(void **state)
{
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof(bad_times) / sizeof(bad_times[0]); i++) {
        fixture->time.seconds = bad_times[i].seconds;
        fixture->time.nanos = bad_times[i].nanos;
        fixture->request.location = &fixture->place;
        fixture->place.fix_time = &fixture->time;
        assert_refused(fixture, "location.fix_time: ");
        fixture->place.fix_time = &fixture->time;
        assert_left_out(fixture, "location.fix_time: ");
        assert_non_null(fixture->content.request.location);
        assert_null(fixture->content.request.location->fix_time);
    }
}

/* ---- mode ---- */

static void test_every_mode_is_kept(void **state)
{
    struct fixture *fixture = *state;
    for (int mode = 0; mode <= 3; mode++) {
        fixture->request.mode = (Panic__V1__PanicMode)mode;
        assert_kept(fixture);
        assert_int_equal(fixture->content.request.mode, mode);
    }
}

/* Unspecified counts as live: what cannot be understood must not become a test. */
static void test_a_mode_that_is_none_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    const int bad[] = {4, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        fixture->request.mode = (Panic__V1__PanicMode)bad[i];
        assert_refused(fixture, "mode: ");
        assert_left_out(fixture, "mode: ");
        assert_int_equal(fixture->content.request.mode, PANIC__V1__PANIC_MODE__PANIC_MODE_UNSPECIFIED);
    }
}

/* ---- metadata ---- */

/* {"k": "xxx…"} of exactly `size` bytes, packed. */
static Google__Protobuf__Struct *object_of_size(struct arena *arena, size_t size)
{
    for (size_t length = size > 32 ? size - 32 : 0; length <= size; length++) {
        char *text = arena_alloc(arena, length + 1);
        assert_non_null(text);
        memset(text, 'x', length);
        text[length] = 0;
        Google__Protobuf__Struct *object =
            make_object(arena, 1, (struct member[]){{"k", make_text(arena, text)}});
        if (google__protobuf__struct__get_packed_size(object) == size) {
            return object;
        }
    }
    fail();
    return NULL;
}

static void test_metadata_is_kept_up_to_its_bound(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.metadata = object_of_size(&fixture->arena, CONTENT_METADATA_MAX);
    assert_kept(fixture);
    assert_non_null(fixture->content.request.metadata);
}

static void test_metadata_that_is_too_large_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.metadata = object_of_size(&fixture->arena, CONTENT_METADATA_MAX + 1);
    assert_refused(fixture, "metadata: ");
    assert_left_out(fixture, "metadata: ");
    assert_null(fixture->content.request.metadata);
}

static void test_metadata_with_a_number_that_is_none_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = &fixture->arena;
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Google__Protobuf__Value *inner = make_list(
            arena, 2, (Google__Protobuf__Value *[]){make_number(arena, 1), make_number(arena, bad[i])});
        fixture->request.metadata =
            make_object(arena, 2, (struct member[]){{"a", make_text(arena, "x")}, {"deep", inner}});
        assert_refused(fixture, "metadata: ");
        assert_left_out(fixture, "metadata: ");
        assert_null(fixture->content.request.metadata);
    }
}

/* ---- what was left out before ---- */

static enum status judge_without(struct fixture *fixture, const char *const *left_out, size_t n)
{
    return content_from_request(&fixture->request, left_out, n, &fixture->arena, &fixture->content,
                                &fixture->diag);
}

static void test_what_was_left_out_before_gets_its_warning(void **state)
{
    struct fixture *fixture = *state;
    const char *const left_out[] = {"metadata: messages are nested deeper than 16", "location: too much"};
    fixture->request.mode = (Panic__V1__PanicMode)77;
    assert_ok(judge_without(fixture, left_out, 2));
    assert_int_equal(fixture->content.n_warnings, 3);
    assert_string_equal(fixture->content.warnings[0],
                        "metadata: messages are nested deeper than 16; left out");
    assert_string_equal(fixture->content.warnings[1], "location: too much; left out");
    assert_starts_with(fixture->content.warnings[2], "mode: ");
}

static void test_a_strict_request_is_refused_for_what_was_left_out_before(void **state)
{
    struct fixture *fixture = *state;
    const char *const left_out[] = {"metadata: messages are nested deeper than 16"};
    fixture->request.strict = true;
    assert_status(judge_without(fixture, left_out, 1), STATUS_INVALID_ARGUMENT);
    assert_string_equal(fixture->diag.text, "metadata: messages are nested deeper than 16");
}

static void test_what_was_left_out_before_is_not_content(void **state)
{
    struct fixture *fixture = *state;
    const char *const left_out[] = {"metadata: messages are nested deeper than 16"};
    assert_ok(judge_without(fixture, left_out, 1));
    assert_int_equal(fixture->content.packed.length, 0);
}

/* ---- together ---- */

static void test_every_warning_at_once_has_room(void **state)
{
    struct fixture *fixture = *state;
    char name[CONTENT_NAME_MAX + 2] = "";
    memset(name, 'n', CONTENT_NAME_MAX + 1);
    Google__Protobuf__Timestamp never = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    fixture->request.subject_id = name;
    fixture->request.device_id = name;
    fixture->request.location = &fixture->place;
    fixture->place.accuracy_m = -1;
    fixture->place.altitude_m = NAN;
    fixture->place.fix_time = &never;
    fixture->request.metadata = object_of_size(&fixture->arena, CONTENT_METADATA_MAX + 1);
    fixture->request.pressed_at = &never;
    fixture->request.mode = (Panic__V1__PanicMode)77;
    assert_ok(judge(fixture));
    assert_int_equal(fixture->content.n_warnings, 8);
    assert_non_null(fixture->content.request.location);
}

static void test_id_and_strict_are_not_content(void **state)
{
    struct fixture *fixture = *state;
    fixture->request.id = (char *)"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41";
    assert_kept(fixture);
    assert_int_equal(fixture->content.packed.length, 0);
}

/* ---- an arena that ends ---- */

static Google__Protobuf__Struct *rich_metadata(struct arena *arena)
{
    Google__Protobuf__Value *object = make_object_value(
        arena, 3,
        (struct member[]){{"z", make_number(arena, 1)}, {"a", NULL}, {"a", make_text(arena, "last")}});
    Google__Protobuf__Value *list = make_list(
        arena, 3,
        (Google__Protobuf__Value *[]){object, make_unset(arena), make_object_value(arena, 0, NULL)});
    return make_object(arena, 2, (struct member[]){{"list", list}, {"empty", NULL}});
}

static void test_an_arena_that_ends_anywhere_is_a_status(void **state)
{
    struct fixture *fixture = *state;
    char name[CONTENT_NAME_MAX + 2] = "";
    memset(name, 'n', CONTENT_NAME_MAX + 1);
    enum status status = STATUS_UNKNOWN;
    unsigned failures = 0;
    for (size_t used_max = 0; status != STATUS_OK; used_max++) {
        struct arena arena;
        arena_init(&arena, NULL, 0, used_max);
        fixture->request.subject_id = name;
        fixture->place.accuracy_m = NAN;
        fixture->request.location = &fixture->place;
        fixture->request.metadata = rich_metadata(&fixture->arena);
        status = content_from_request(&fixture->request, NULL, 0, &arena, &fixture->content, NULL);
        if (status != STATUS_OK) {
            assert_status(status, STATUS_RESOURCE_EXHAUSTED);
            failures++;
        } else {
            assert_int_equal(fixture->content.n_warnings, 2);
            assert_true(fixture->content.packed.length > 0);
        }
        arena_reset(&arena);
        arena_reset(&fixture->arena);
    }
    assert_true(failures > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names_are_kept_up_to_their_bound),
        TEST(test_a_subject_that_is_too_long_is_left_out),
        TEST(test_a_device_that_is_too_long_is_left_out),
        TEST(test_0_0_is_a_place),
        TEST(test_absent_stays_absent),
        TEST(test_a_place_off_the_world_is_left_out),
        TEST(test_the_edge_of_the_world_is_kept),
        TEST(test_an_accuracy_that_cannot_be_is_left_out_and_the_place_kept),
        TEST(test_an_altitude_that_cannot_be_is_left_out_and_the_place_kept),
        TEST(test_below_the_sea_is_a_height),
        TEST(test_a_press_in_this_century_is_kept),
        TEST(test_a_press_at_another_time_is_left_out),
        TEST(test_a_fix_at_another_time_is_left_out_and_the_place_kept),
        TEST(test_every_mode_is_kept),
        TEST(test_a_mode_that_is_none_is_left_out),
        TEST(test_metadata_is_kept_up_to_its_bound),
        TEST(test_metadata_that_is_too_large_is_left_out),
        TEST(test_metadata_with_a_number_that_is_none_is_left_out),
        TEST(test_what_was_left_out_before_gets_its_warning),
        TEST(test_a_strict_request_is_refused_for_what_was_left_out_before),
        TEST(test_what_was_left_out_before_is_not_content),
        TEST(test_every_warning_at_once_has_room),
        TEST(test_id_and_strict_are_not_content),
        TEST(test_an_arena_that_ends_anywhere_is_a_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

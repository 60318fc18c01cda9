/* Which requests have the same content, byte for byte, and which have not. */
#include "harness/test.h"

#include <math.h>
#include <string.h>

#include "panic/content.h"
#include "rpc/alloc.h"
#include "unit/panic/metadata.h"

#define ARENA_MAX ((size_t)4 * 1024 * 1024)

static int set_up(void **state)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    assert_non_null(arena);
    arena_init(arena, NULL, 0, ARENA_MAX);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    arena_reset(*state);
    free(*state);
    return 0;
}

static struct content content_of(struct arena *arena, const Panic__V1__CreatePanicRequest *request)
{
    struct content content;
    assert_ok(content_from_request(request, NULL, 0, arena, &content, NULL));
    return content;
}

/* The canonical bytes of a request with nothing but this metadata. */
static struct bytes bytes_of(struct arena *arena, Google__Protobuf__Struct *metadata)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.metadata = metadata;
    return content_of(arena, &request).packed;
}

static bool same(struct bytes a, struct bytes b)
{
    return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

static void assert_same(struct arena *arena, Google__Protobuf__Struct *a, Google__Protobuf__Struct *b)
{
    struct bytes bytes = bytes_of(arena, a);
    assert_true(bytes.length > 0);
    assert_true(same(bytes, bytes_of(arena, b)));
}

static void assert_differ(struct arena *arena, Google__Protobuf__Struct *a, Google__Protobuf__Struct *b)
{
    assert_false(same(bytes_of(arena, a), bytes_of(arena, b)));
}

#define OBJECT(...)                                                                                          \
    make_object(arena, sizeof((struct member[]){__VA_ARGS__}) / sizeof(struct member),                       \
                (struct member[]){__VA_ARGS__})

static void test_the_order_of_keys_does_not_count(void **state)
{
    struct arena *arena = *state;
    assert_same(
        arena,
        OBJECT({"a", make_number(arena, 1)}, {"b", make_text(arena, "x")}, {"", make_bool(arena, true)}),
        OBJECT({"", make_bool(arena, true)}, {"b", make_text(arena, "x")}, {"a", make_number(arena, 1)}));
}

static void test_the_order_of_keys_does_not_count_deep_inside(void **state)
{
    struct arena *arena = *state;
    const struct member ab[] = {{"a", make_number(arena, 1)}, {"b", make_number(arena, 2)}};
    const struct member ba[] = {{"b", make_number(arena, 2)}, {"a", make_number(arena, 1)}};
    Google__Protobuf__Value *left = make_object_value(arena, 2, ab);
    Google__Protobuf__Value *right = make_object_value(arena, 2, ba);
    left = make_list(arena, 1, &left);
    right = make_list(arena, 1, &right);
    left = make_object_value(arena, 1, &(struct member){"list", left});
    right = make_object_value(arena, 1, &(struct member){"list", right});
    assert_same(arena, OBJECT({"deep", left}), OBJECT({"deep", right}));
}

static void test_the_last_of_equal_keys_counts(void **state)
{
    struct arena *arena = *state;
    assert_same(
        arena, OBJECT({"a", make_number(arena, 1)}, {"b", make_null(arena, 0)}, {"a", make_number(arena, 2)}),
        OBJECT({"a", make_number(arena, 2)}, {"b", make_null(arena, 0)}));
    assert_differ(arena, OBJECT({"a", make_number(arena, 1)}, {"a", make_number(arena, 2)}),
                  OBJECT({"a", make_number(arena, 1)}));
}

/* What an equal key behind it replaces is not there, so it cannot spoil anything either. */
static void test_what_is_replaced_by_an_equal_key_is_not_judged(void **state)
{
    struct arena *arena = *state;
    assert_same(arena, OBJECT({"a", make_number(arena, NAN)}, {"a", make_number(arena, 2)}),
                OBJECT({"a", make_number(arena, 2)}));
}

static void test_the_order_of_a_list_counts(void **state)
{
    struct arena *arena = *state;
    Google__Protobuf__Value *one_two[] = {make_number(arena, 1), make_number(arena, 2)};
    Google__Protobuf__Value *two_one[] = {make_number(arena, 2), make_number(arena, 1)};
    assert_differ(arena, OBJECT({"l", make_list(arena, 2, one_two)}),
                  OBJECT({"l", make_list(arena, 2, two_one)}));
}

static void test_kinds_are_told_apart(void **state)
{
    struct arena *arena = *state;
    Google__Protobuf__Value *values[] = {make_null(arena, 0),
                                         make_number(arena, 0),
                                         make_text(arena, ""),
                                         make_bool(arena, false),
                                         make_text(arena, "0"),
                                         make_list(arena, 0, NULL),
                                         make_object_value(arena, 0, NULL)};
    size_t n = sizeof(values) / sizeof(values[0]);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            assert_differ(arena, OBJECT({"v", values[i]}), OBJECT({"v", values[j]}));
        }
    }
}

static void test_a_value_of_no_kind_is_null(void **state)
{
    struct arena *arena = *state;
    assert_same(arena, OBJECT({"v", make_unset(arena)}), OBJECT({"v", make_null(arena, 0)}));
    assert_same(arena, OBJECT({"v", NULL}), OBJECT({"v", make_null(arena, 0)}));
    Google__Protobuf__Value *unset = make_unset(arena);
    Google__Protobuf__Value *null = make_null(arena, 0);
    assert_same(arena, OBJECT({"v", make_list(arena, 1, &unset)}), OBJECT({"v", make_list(arena, 1, &null)}));
}

static void test_there_is_one_null(void **state)
{
    struct arena *arena = *state;
    assert_same(arena, OBJECT({"v", make_null(arena, 7)}), OBJECT({"v", make_null(arena, 0)}));
}

static void test_empty_metadata_is_not_none(void **state)
{
    struct arena *arena = *state;
    assert_differ(arena, make_object(arena, 0, NULL), NULL);
}

/* ---- unknown fields ---- */

static ProtobufCMessageUnknownField stranger = {
    .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT, .len = 1, .data = (uint8_t *)"\x01"};

static void add_stranger(ProtobufCMessage *message)
{
    message->n_unknown_fields = 1;
    message->unknown_fields = &stranger;
}

static void test_unknown_fields_are_dropped_everywhere(void **state)
{
    struct arena *arena = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    Google__Protobuf__Timestamp time = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    Google__Protobuf__Timestamp fix = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    time.seconds = fix.seconds = 1700000000;
    Google__Protobuf__Value *number = make_number(arena, 1);
    Google__Protobuf__Value *list = make_list(arena, 1, &number);
    Google__Protobuf__Struct *object = OBJECT({"list", list});
    request.metadata = object;
    request.location = &place;
    request.pressed_at = &time;
    place.fix_time = &fix;
    struct bytes clean = content_of(arena, &request).packed;

    ProtobufCMessage *messages[] = {
        &request.base,           &place.base, &time.base,    &fix.base,
        &number->base,           &list->base, &object->base, &list->list_value->base,
        &object->fields[0]->base};
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        add_stranger(messages[i]);
        assert_true(same(content_of(arena, &request).packed, clean));
        request.base.n_unknown_fields = 0;
    }
}

/* ---- doing it twice ---- */

static struct content judged_again(struct arena *arena, struct bytes bytes)
{
    ProtobufCAllocator allocator = rpc_arena_allocator(arena);
    Panic__V1__CreatePanicRequest *request =
        panic__v1__create_panic_request__unpack(&allocator, bytes.length, bytes.data);
    assert_non_null(request);
    return content_of(arena, request);
}

static void test_what_is_canonical_stays_as_it_is(void **state)
{
    struct arena *arena = *state;
    char long_name[CONTENT_NAME_MAX + 2] = "";
    memset(long_name, 'n', CONTENT_NAME_MAX + 1);
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    place.lat = 91;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.subject_id = long_name;
    request.device_id = (char *)"button";
    request.location = &place;
    request.mode = (Panic__V1__PanicMode)9;
    request.metadata = OBJECT({"z", NULL}, {"a", make_number(arena, -0.0)}, {"z", make_text(arena, "é")});
    struct content first = content_of(arena, &request);
    assert_int_equal(first.n_warnings, 3);
    struct content second = judged_again(arena, first.packed);
    assert_int_equal(second.n_warnings, 0);
    assert_true(same(first.packed, second.packed));
}

/* ---- random metadata ---- */

static uint64_t random_state = 1;

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state >> 20) % n;
}

static Google__Protobuf__Value *random_value(struct arena *arena, unsigned depth);

static Google__Protobuf__Struct *random_object(struct arena *arena, unsigned depth)
{
    static const char *const keys[] = {"", "a", "b", "aa", "é", "A", "z"};
    struct member members[8];
    size_t n = random_below(8);
    for (size_t i = 0; i < n; i++) {
        members[i] = (struct member){keys[random_below(7)], random_value(arena, depth + 1)};
    }
    return make_object(arena, n, members);
}

static Google__Protobuf__Value *random_value(struct arena *arena, unsigned depth)
{
    switch (random_below(depth < 4 ? 7 : 5)) {
    case 0:
        return make_number(arena, (double)random_below(3));
    case 1:
        return make_text(arena, random_below(2) != 0 ? "text" : "");
    case 2:
        return make_unset(arena);
    case 3:
        return NULL;
    case 4:
        return make_bool(arena, random_below(2) != 0);
    case 5: {
        Google__Protobuf__Value *values[4];
        size_t n = random_below(4);
        for (size_t i = 0; i < n; i++) {
            Google__Protobuf__Value *value = random_value(arena, depth + 1);
            values[i] = value != NULL ? value : make_unset(arena);
        }
        return make_list(arena, n, values);
    }
    default: {
        Google__Protobuf__Value *value = make_unset(arena);
        value->kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
        value->struct_value = random_object(arena, depth);
        return value;
    }
    }
}

/* Any order that keeps entries of equal keys in theirs: swaps neighbours of different keys. */
static void shuffle(Google__Protobuf__Struct *object)
{
    for (size_t round = 0; round < 3 * object->n_fields; round++) {
        size_t i = 1 + random_below(object->n_fields);
        if (i < object->n_fields && strcmp(object->fields[i - 1]->key, object->fields[i]->key) != 0) {
            Google__Protobuf__Struct__FieldsEntry *entry = object->fields[i];
            object->fields[i] = object->fields[i - 1];
            object->fields[i - 1] = entry;
        }
    }
    for (size_t i = 0; i < object->n_fields; i++) {
        Google__Protobuf__Value *value = object->fields[i]->value;
        if (value != NULL && value->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE) {
            shuffle(value->struct_value);
        }
    }
}

static void test_random_metadata_is_the_same_however_it_is_shuffled(void **state)
{
    struct arena *arena = *state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        random_state = seed;
        Google__Protobuf__Struct *original = random_object(arena, 0);
        random_state = seed;
        Google__Protobuf__Struct *shuffled = random_object(arena, 0);
        shuffle(shuffled);
        struct bytes first = bytes_of(arena, original);
        if (!same(first, bytes_of(arena, shuffled)) || !same(first, judged_again(arena, first).packed)) {
            fail_msg("seed %llu", (unsigned long long)seed);
        }
        arena_reset(arena);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_order_of_keys_does_not_count),
        TEST(test_the_order_of_keys_does_not_count_deep_inside),
        TEST(test_the_last_of_equal_keys_counts),
        TEST(test_what_is_replaced_by_an_equal_key_is_not_judged),
        TEST(test_the_order_of_a_list_counts),
        TEST(test_kinds_are_told_apart),
        TEST(test_a_value_of_no_kind_is_null),
        TEST(test_there_is_one_null),
        TEST(test_empty_metadata_is_not_none),
        TEST(test_unknown_fields_are_dropped_everywhere),
        TEST(test_what_is_canonical_stays_as_it_is),
        TEST(test_random_metadata_is_the_same_however_it_is_shuffled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

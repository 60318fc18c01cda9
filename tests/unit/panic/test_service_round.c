/* The first round after a start, the turns of a scan, and clocks that jump. */
#include "unit/panic/rig.h"

#define OTHER "ecma"
#define HOUR_US (3600 * US_PER_S)

static struct rig_stored stored(struct rig *rig, unsigned n)
{
    struct rig_stored found;
    assert_ok(rig_stored(rig, RIG_TENANT, n, &found));
    return found;
}

/* A panic of a clock that was days ahead: looked at once, not again and again without a pause. */
static void test_after_a_clock_days_ahead_each_panic_is_looked_at_once(void **state)
{
    struct rig *rig = *state;
    int64_t ahead_us = RIG_START_US + 72 * HOUR_US;
    rig_leave_panic(rig, RIG_TENANT, 1, true, ahead_us);
    rig_leave_panic(rig, RIG_TENANT, 2, false, ahead_us);
    rig_start(rig);
    rig_await_version(rig, 1, 2);
    rig_await_version(rig, 2, 2);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).version, 2);
    assert_int_equal(stored(rig, 2).version, 2);
    assert_int_equal(stored(rig, 1).update_time_us, ahead_us);
    rig_put(rig, "unit");
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

static void test_an_assigned_panic_of_a_clock_days_ahead_is_reviewed_once(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_stop(rig);
    rig_advance(rig, -72 * HOUR_US);
    rig_start(rig);
    rig_await_version(rig, 1, 3);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).version, 3);
    rig_resolve(rig, 1);
    assert_int_equal(stored(rig, 1).update_time_us, RIG_START_US);
}

/* By less than what would be impossible: nothing is due for a long time by the clock of now. */
static void test_after_a_clock_set_back_what_was_received_is_dispatched_at_once(void **state)
{
    struct rig *rig = *state;
    rig_leave_responder(rig, RIG_TENANT, "unit");
    rig_leave_panic(rig, RIG_TENANT, 1, true, RIG_START_US + HOUR_US / 4);
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

/* So far that what this process assigns is due at the same time. */
static void test_after_a_clock_set_back_by_half_an_hour_it_is_as_well(void **state)
{
    struct rig *rig = *state;
    rig_leave_responder(rig, RIG_TENANT, "unit");
    rig_leave_panic(rig, RIG_TENANT, 1, true, RIG_START_US + HOUR_US / 2 + 30 * US_PER_S);
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

/* More than a batch that wait and are not due: nothing of them changes, and who is behind them must be seen.
 */
static void test_the_first_round_goes_through_an_instant_that_many_share(void **state)
{
    struct rig *rig = *state;
    const unsigned many = STORE_BATCH_MAX + 100;
    const int64_t waiting_since_us = RIG_START_US + HOUR_US / 4;
    for (unsigned n = 1; n <= many; n++) {
        rig_leave_panic(rig, RIG_TENANT, n, false, waiting_since_us);
    }
    rig_leave_panic(rig, RIG_TENANT, many + 1, true,
                    waiting_since_us + LIFECYCLE_RETRY_MIN_US - LIFECYCLE_FIRST_LOOK_US);
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, many + 1, STAGE(UNASSIGNED));
    assert_int_equal(stored(rig, many).version, 1);
}

/* Contents that nobody can read, where the scan begins. */
static void test_damaged_panics_do_not_stand_in_the_way_of_others(void **state)
{
    struct rig *rig = *state;
    const struct bytes damaged = {.data = (const uint8_t *)"\xff\xff", .length = 2};
    for (unsigned n = 1; n <= 3; n++) {
        rig_leave_panic_with(rig, n, damaged, RIG_START_US - HOUR_US - 10 + n);
    }
    rig_leave_panic(rig, RIG_TENANT, 4, true, RIG_START_US - HOUR_US);
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 4, STAGE(UNASSIGNED));
    assert_int_equal(stored(rig, 1).stage, STAGE(RECEIVED));
}

/* The number of the panic's first change, which must have been made. */
static uint64_t change_of(struct rig *rig, unsigned n)
{
    struct arena arena;
    struct store_change changes[10];
    struct id id;
    size_t n_changes;
    uint64_t last;
    bool more;
    arena_init(&arena, NULL, 0, 65536);
    assert_ok(id_parse(rig_id(n), &id));
    assert_ok(store_changes(gated_store_inner(rig->store), RIG_TENANT, &id, 0, 10, &arena, changes,
                            &n_changes, &last, &more));
    arena_reset(&arena);
    assert_true(n_changes >= 2);
    return changes[1].seq;
}

static void test_a_new_panic_gets_its_turn_between_the_batches_of_a_scan(void **state)
{
    struct rig *rig = *state;
    rig_leave_responder(rig, OTHER, "theirs");
    rig_leave_panic(rig, RIG_TENANT, 1, true, RIG_START_US + HOUR_US / 4);
    rig_leave_panic(rig, RIG_TENANT, 2, true, RIG_START_US - HOUR_US);
    gated_store_hold(rig->store, GATE_DISPATCH);
    rig_start(rig);
    /* The first round with panic 1 alone; the due scan with panic 2 is still to come. */
    assert_true(gated_store_await_held(rig->store, GATE_DISPATCH, 1));
    rig_create(rig, 3);
    gated_store_release(rig->store, GATE_DISPATCH);
    for (unsigned n = 1; n <= 3; n++) {
        rig_await_stage(rig, RIG_TENANT, n, STAGE(UNASSIGNED));
    }
    assert_true(change_of(rig, 1) < change_of(rig, 3));
    assert_true(change_of(rig, 3) < change_of(rig, 2));
}

/* The packed content of a create whose metadata is a list of so many empty lists. */
static size_t long_content(uint8_t *room, size_t n)
{
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    Google__Protobuf__Struct metadata = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Value outer = GOOGLE__PROTOBUF__VALUE__INIT;
    Google__Protobuf__ListValue list = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    Google__Protobuf__Value inner = GOOGLE__PROTOBUF__VALUE__INIT;
    Google__Protobuf__ListValue empty = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    Google__Protobuf__Value **values = calloc(n, sizeof(Google__Protobuf__Value *));
    assert_non_null(values);
    inner.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    inner.list_value = &empty;
    for (size_t i = 0; i < n; i++) {
        values[i] = &inner;
    }
    list.values = values;
    list.n_values = n;
    outer.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    outer.list_value = &list;
    entry.key = (char *)"k";
    entry.value = &outer;
    metadata.fields = entries;
    metadata.n_fields = 1;
    request.metadata = &metadata;
    size_t length = panic__v1__create_panic_request__pack(&request, room);
    free(values);
    return length;
}

/* A store that fails for a while must not end the first round, nor carry it past anybody. */
static void assert_round_outlives(struct rig *rig, enum gate gate)
{
    for (unsigned n = 1; n <= 3; n++) {
        rig_leave_panic(rig, RIG_TENANT, n, true, RIG_START_US + HOUR_US / 4);
    }
    gated_store_fail(rig->store, gate, STATUS_RESOURCE_EXHAUSTED);
    rig_start(rig);
    rig_await_scan(rig);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(RECEIVED));
    gated_store_fail(rig->store, gate, STATUS_OK);
    for (unsigned n = 1; n <= 3; n++) {
        rig_await_stage(rig, RIG_TENANT, n, STAGE(UNASSIGNED));
    }
}

static void test_the_first_round_outlives_a_scan_that_fails(void **state)
{
    assert_round_outlives(*state, GATE_OPEN_FROM);
}

static void test_the_first_round_outlives_a_full_disk(void **state)
{
    assert_round_outlives(*state, GATE_DISPATCH);
}

/* So that far less than a batch fits into the memory for one. */
static void test_the_first_round_passes_over_no_panic_with_long_metadata(void **state)
{
    struct rig *rig = *state;
    enum { N = 600, EMPTY_LISTS = 1500 };
    uint8_t *content = malloc(16 * EMPTY_LISTS);
    assert_non_null(content);
    size_t length = long_content(content, EMPTY_LISTS);
    for (unsigned n = 1; n <= N; n++) {
        rig_leave_panic_with(rig, n, (struct bytes){.data = content, .length = length},
                             RIG_START_US + HOUR_US / 4 + n);
    }
    rig_start(rig);
    for (unsigned n = 1; n <= N; n++) {
        rig_await_stage(rig, RIG_TENANT, n, STAGE(UNASSIGNED));
    }
    free(content);
}

/* More of them than a batch holds, all of one instant. */
static void test_the_first_round_ends(void **state)
{
    struct rig *rig = *state;
    for (unsigned n = 1; n <= 3000; n++) {
        rig_leave_panic(rig, RIG_TENANT, n, false, RIG_START_US + HOUR_US / 4);
    }
    rig_leave_panic(rig, RIG_TENANT, 3001, true, RIG_START_US + HOUR_US / 4 + 60 * US_PER_S);
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 3001, STAGE(UNASSIGNED));
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).version, 1);
}

static void test_a_clock_far_ahead_makes_everything_due_once(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    rig_stop(rig);
    rig_advance(rig, 10000 * HOUR_US);
    rig_start(rig);
    rig_await_version(rig, 1, 2);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).version, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STOPPED(test_after_a_clock_days_ahead_each_panic_is_looked_at_once),
        TEST(test_an_assigned_panic_of_a_clock_days_ahead_is_reviewed_once),
        TEST_STOPPED(test_after_a_clock_set_back_what_was_received_is_dispatched_at_once),
        TEST_STOPPED(test_after_a_clock_set_back_by_half_an_hour_it_is_as_well),
        TEST_STOPPED(test_the_first_round_outlives_a_scan_that_fails),
        TEST_STOPPED(test_the_first_round_outlives_a_full_disk),
        TEST_STOPPED(test_the_first_round_passes_over_no_panic_with_long_metadata),
        TEST_STOPPED(test_the_first_round_ends),
        TEST_STOPPED(test_the_first_round_goes_through_an_instant_that_many_share),
        TEST_STOPPED(test_damaged_panics_do_not_stand_in_the_way_of_others),
        TEST_STOPPED(test_a_new_panic_gets_its_turn_between_the_batches_of_a_scan),
        TEST(test_a_clock_far_ahead_makes_everything_due_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

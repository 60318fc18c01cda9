/*
 * Batches: creates and replays, updates and bindings, responders, and what a failed op may not leave behind.
 */
#include "conformance.h"
#include "fixture.h"

#include <math.h>

static void test_get_returns_what_was_created(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    panic.waiting = 1;
    panic.attempts = UINT32_MAX;
    assert_status(create(fixture, &panic), STATUS_OK);
    struct store_panic got = stored(fixture, &panic.id);
    assert_panic_equal(&got, &panic);
}

static void test_get_returns_what_was_updated(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    panic.version = 2;
    panic.status = 3;
    panic.stage = 4;
    panic.waiting = 2;
    panic.attempts = UINT32_MAX;
    panic.update_time_us = 9;
    panic.next_action_at_us = 10;
    panic.responder_id = "unit-9";
    panic.assign_time_us = 5;
    panic.distance_m = -1;
    panic.outcome = "none yet";
    assert_status(update(fixture, &panic), STATUS_OK);
    struct store_panic got = stored(fixture, &panic.id);
    assert_panic_equal(&got, &panic);
}

static void test_store_keeps_copies_of_what_it_was_given(void **state)
{
    struct fixture *fixture = *state;
    char texts[][8] = {"acme", "unit-1", "lost", "content"};
    struct store_panic panic = panic_of(1);
    panic.tenant = texts[0];
    panic.content = (struct bytes){.data = (const uint8_t *)texts[3], .length = 7};
    struct store_responder responder = responder_of(texts[1]);
    assert_status(create(fixture, &panic), STATUS_OK);
    panic.version = 2;
    panic.responder_id = texts[1];
    panic.outcome = texts[2];
    assert_status(update(fixture, &panic), STATUS_OK);
    assert_status(put(fixture, &responder), STATUS_OK);
    memset(texts, 'x', sizeof(texts));

    struct store_panic got = stored(fixture, &panic.id);
    assert_string_equal(got.tenant, "acme");
    assert_string_equal(got.responder_id, "unit-1");
    assert_string_equal(got.outcome, "lost");
    assert_memory_equal(got.content.data, "content", 7);
    struct store_responder listed[1];
    size_t n;
    bool more;
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 1, &fixture->arena, listed, &n, &more));
    assert_string_equal(listed[0].id, "unit-1");
}

static void test_get_of_unknown_id_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct id id = id_of(1);
    struct store_panic panic;
    assert_status(store_get(fixture->store, "acme", &id, &fixture->arena, &panic), STATUS_NOT_FOUND);
}

static void test_create_of_same_content_replays_the_stored_panic(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic first = panic_of(1);
    assert_status(create(fixture, &first), STATUS_OK);
    struct store_panic moved = bound_next(&first, "unit-1");
    assert_status(update(fixture, &moved), STATUS_OK);

    struct store_panic again = panic_of(1);
    again.create_time_us = 99;
    again.update_time_us = 99;
    struct store_op op = create_op(fixture, &again);
    assert_ok(store_apply(fixture->store, &op, 1));
    assert_status(op.outcome, STATUS_OK);
    assert_true(op.replayed);
    assert_panic_equal(&op.existing, &moved);
}

static void test_first_create_is_no_replay(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    struct store_op op = create_op(fixture, &panic);
    op.replayed = true;
    assert_ok(store_apply(fixture->store, &op, 1));
    assert_false(op.replayed);
}

static void test_create_of_other_content_already_exists_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic first = panic_of(1);
    assert_status(create(fixture, &first), STATUS_OK);
    struct store_panic other = panic_of(2);
    other.id = first.id;
    assert_status(create(fixture, &other), STATUS_ALREADY_EXISTS);
    struct store_panic longer = first;
    longer.content.length = 1;
    assert_status(create(fixture, &longer), STATUS_ALREADY_EXISTS);
    struct store_panic got = stored(fixture, &first.id);
    assert_panic_equal(&got, &first);
}

static void test_duplicates_within_one_batch(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic first = panic_of(1);
    struct store_panic other = panic_of(2);
    other.id = first.id;
    struct store_op ops[] = {create_op(fixture, &first), create_op(fixture, &first),
                             create_op(fixture, &other)};
    assert_ok(store_apply(fixture->store, ops, 3));
    assert_status(ops[0].outcome, STATUS_OK);
    assert_false(ops[0].replayed);
    assert_status(ops[1].outcome, STATUS_OK);
    assert_true(ops[1].replayed);
    assert_panic_equal(&ops[1].existing, &first);
    assert_status(ops[2].outcome, STATUS_ALREADY_EXISTS);
}

/* More creates than share a statement, among them a repeat, a taken id and a duplicate of their own. */
static void test_taken_ids_among_many_creates(void **state)
{
    enum { N = 40, REPEAT = 3, TAKEN = 20, FIRST = 24, SECOND = 25 };
    struct fixture *fixture = *state;
    struct store_panic panics[N];
    struct store_op ops[N];
    for (unsigned i = 0; i < N; i++) {
        panics[i] = panic_of(i + 1);
        ops[i] = create_op(fixture, &panics[i]);
    }
    assert_status(create(fixture, &panics[REPEAT]), STATUS_OK);
    struct store_panic taken = panic_of(1000);
    taken.id = panics[TAKEN].id;
    assert_status(create(fixture, &taken), STATUS_OK);
    ops[SECOND] = create_op(fixture, &panics[FIRST]);

    assert_ok(store_apply(fixture->store, ops, N));
    for (unsigned i = 0; i < N; i++) {
        assert_status(ops[i].outcome, i == TAKEN ? STATUS_ALREADY_EXISTS : STATUS_OK);
        assert_int_equal(ops[i].replayed, i == REPEAT || i == SECOND);
    }
    assert_panic_equal(&ops[REPEAT].existing, &panics[REPEAT]);
    assert_panic_equal(&ops[SECOND].existing, &panics[FIRST]);
    for (unsigned i = 0; i < N; i++) {
        if (i != SECOND) {
            struct store_panic got = stored(fixture, &panics[i].id);
            assert_panic_equal(&got, i == TAKEN ? &taken : &panics[i]);
        }
    }
    assert_ok(store_apply(fixture->store, ops, N));
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(ops[i].replayed, i != TAKEN);
    }
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.panics, N - 1);
}

static void test_replay_without_room_in_the_arena_is_resource_exhausted(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    struct arena small;
    arena_init(&small, NULL, 0, 4);
    struct store_op ops[] = {create_op(fixture, &panic), create_op(fixture, &panic)};
    ops[0].arena = &small;
    assert_ok(store_apply(fixture->store, ops, 2));
    assert_status(ops[0].outcome, STATUS_RESOURCE_EXHAUSTED);
    assert_status(ops[1].outcome, STATUS_OK);
    arena_reset(&small);
}

static void test_same_id_of_another_tenant_is_another_panic(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic first = panic_of(1);
    struct store_panic other = panic_of(2);
    other.id = first.id;
    other.tenant = "umbrella";
    assert_status(create(fixture, &first), STATUS_OK);
    assert_status(create(fixture, &other), STATUS_OK);
    struct store_panic got;
    assert_ok(store_get(fixture->store, "umbrella", &first.id, &fixture->arena, &got));
    assert_panic_equal(&got, &other);
    assert_status(store_get(fixture->store, "initech", &first.id, &fixture->arena, &got), STATUS_NOT_FOUND);
}

static void test_update_replaces_the_mutable_part_only(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    struct store_panic next = {.tenant = "acme",
                               .id = panic.id,
                               .version = 2,
                               .status = 3,
                               .stage = 4,
                               .waiting = 1,
                               .attempts = 7,
                               .update_time_us = 12,
                               .responder_id = "unit-1",
                               .assigned = true,
                               .assign_time_us = 13,
                               .distance_m = 0.1,
                               .outcome = "resolved"};
    assert_status(update(fixture, &next), STATUS_OK);
    struct store_panic got = stored(fixture, &panic.id);
    next.create_time_us = panic.create_time_us;
    next.content = panic.content;
    assert_panic_equal(&got, &next);
}

static void test_update_of_another_version_is_aborted(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    struct store_panic next = bound_next(&panic, NULL);
    next.version = 3;
    assert_status(update(fixture, &next), STATUS_ABORTED);
    next.version = 2;
    assert_status(update(fixture, &next), STATUS_OK);
    next.status = 9;
    assert_status(update(fixture, &next), STATUS_ABORTED);
    assert_int_equal(stored(fixture, &panic.id).status, 1);
}

static void test_update_of_unknown_panic_is_not_found(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    struct store_panic next = bound_next(&panic, NULL);
    assert_status(update(fixture, &next), STATUS_NOT_FOUND);
}

static void test_two_panics_binding_one_responder_in_one_batch(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic a = panic_of(1);
    struct store_panic b = panic_of(2);
    assert_status(create(fixture, &a), STATUS_OK);
    assert_status(create(fixture, &b), STATUS_OK);
    struct store_event event = {.at_us = 1, .type = "assigned", .actor = "dispatch"};
    struct store_panic a_bound = bound_next(&a, "unit-1");
    struct store_panic b_bound = bound_next(&b, "unit-1");
    struct store_op ops[] = {update_op(&a_bound, &event), update_op(&b_bound, &event)};
    assert_ok(store_apply(fixture->store, ops, 2));
    assert_status(ops[0].outcome, STATUS_OK);
    assert_status(ops[1].outcome, STATUS_ABORTED);

    struct store_panic got = stored(fixture, &b.id);
    assert_panic_equal(&got, &b);
    struct store_event events[2];
    size_t n;
    assert_ok(store_events(fixture->store, "acme", &b.id, 0, 2, &fixture->arena, events, &n));
    assert_int_equal(n, 0);
}

static void test_responder_of_the_same_name_of_another_tenant_can_be_bound(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic a = panic_of(1);
    struct store_panic b = panic_of(2);
    b.tenant = "umbrella";
    assert_status(create(fixture, &a), STATUS_OK);
    assert_status(create(fixture, &b), STATUS_OK);
    struct store_panic a_bound = bound_next(&a, "unit-1");
    struct store_panic b_bound = bound_next(&b, "unit-1");
    assert_status(update(fixture, &a_bound), STATUS_OK);
    assert_status(update(fixture, &b_bound), STATUS_OK);
}

static void test_responder_freed_by_an_update_can_be_bound_again(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic a = panic_of(1);
    struct store_panic b = panic_of(2);
    assert_status(create(fixture, &a), STATUS_OK);
    assert_status(create(fixture, &b), STATUS_OK);
    a = bound_next(&a, "unit-1");
    assert_status(update(fixture, &a), STATUS_OK);
    struct store_panic b_bound = bound_next(&b, "unit-1");
    assert_status(update(fixture, &b_bound), STATUS_ABORTED);

    /* The id stays for the record, but binds no more. */
    a.version++;
    a.assigned = false;
    struct store_op ops[] = {update_op(&a, NULL), update_op(&b_bound, NULL)};
    assert_ok(store_apply(fixture->store, ops, 2));
    assert_status(ops[0].outcome, STATUS_OK);
    assert_status(ops[1].outcome, STATUS_OK);
    assert_string_equal(stored(fixture, &a.id).responder_id, "unit-1");
}

static void test_bound_panic_keeps_its_responder_through_further_updates(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic a = panic_of(1);
    struct store_panic b = panic_of(2);
    assert_status(create(fixture, &a), STATUS_OK);
    assert_status(create(fixture, &b), STATUS_OK);
    a = bound_next(&a, "unit-1");
    assert_status(update(fixture, &a), STATUS_OK);
    a = bound_next(&a, "unit-1");
    assert_status(update(fixture, &a), STATUS_OK);
    struct store_panic b_bound = bound_next(&b, "unit-1");
    assert_status(update(fixture, &b_bound), STATUS_ABORTED);
}

static void test_batch_with_failing_ops_commits_the_rest(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic a = panic_of(1);
    struct store_panic b = panic_of(2);
    struct store_panic unknown = bound_next(&b, NULL);
    unknown.id = id_of(77);
    struct store_panic nameless = panic_of(3);
    nameless.tenant = "";
    struct store_op ops[] = {create_op(fixture, &a), update_op(&unknown, NULL), create_op(fixture, &nameless),
                             create_op(fixture, &b)};
    assert_ok(store_apply(fixture->store, ops, 4));
    assert_status(ops[1].outcome, STATUS_NOT_FOUND);
    assert_status(ops[2].outcome, STATUS_INVALID_ARGUMENT);
    (void)stored(fixture, &a.id);
    (void)stored(fixture, &b.id);
}

static void test_ops_out_of_bounds_are_invalid(void **state)
{
    struct fixture *fixture = *state;
    char long_text[STORE_TENANT_MAX + 2];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = 0;
    struct store_panic bad[10];
    for (size_t i = 0; i < 10; i++) {
        bad[i] = panic_of(1);
    }
    bad[0].tenant = long_text;
    bad[1].id = (struct id){0};
    bad[2].version = 2;
    bad[3].responder_id = "unit-1";
    bad[3].assigned = true;
    bad[4].distance_m = NAN;
    bad[5].content.length = STORE_CONTENT_MAX + 1;
    bad[6].next_action_at_us = -1;
    bad[7].waiting = STORE_QUEUES + 1;
    bad[8].update_time_us++;
    bad[9].outcome = "over before it began";
    for (size_t i = 0; i < 10; i++) {
        assert_status(create(fixture, &bad[i]), STATUS_INVALID_ARGUMENT);
    }
    struct store_panic unnamed = panic_of(1);
    unnamed.version = 2;
    unnamed.assigned = true;
    assert_status(update(fixture, &unnamed), STATUS_INVALID_ARGUMENT);
    struct store_responder lost = responder_of("unit-1");
    lost.location.lat = INFINITY;
    assert_status(put(fixture, &lost), STATUS_INVALID_ARGUMENT);
}

static void test_batch_of_too_many_ops_is_invalid(void **state)
{
    struct fixture *fixture = *state;
    static struct store_op ops[STORE_BATCH_MAX + 1];
    assert_status(store_apply(fixture->store, ops, STORE_BATCH_MAX + 1), STATUS_INVALID_ARGUMENT);
}

static void test_largest_and_empty_content_come_back_whole(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *data = malloc(STORE_CONTENT_MAX);
    assert_non_null(data);
    for (size_t i = 0; i < STORE_CONTENT_MAX; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    struct store_panic large = panic_of(1);
    large.content = (struct bytes){.data = data, .length = STORE_CONTENT_MAX};
    assert_status(create(fixture, &large), STATUS_OK);
    struct store_panic empty = panic_of(2);
    empty.content = (struct bytes){0};
    assert_status(create(fixture, &empty), STATUS_OK);
    assert_status(create(fixture, &empty), STATUS_OK);

    struct store_panic got = stored(fixture, &large.id);
    assert_panic_equal(&got, &large);
    got = stored(fixture, &empty.id);
    assert_int_equal(got.content.length, 0);
    assert_non_null(got.content.data);
    free(data);
}

static void test_full_batch_of_large_contents(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t data[6144];
    static struct store_panic panics[STORE_BATCH_MAX];
    static struct store_op ops[STORE_BATCH_MAX];
    for (unsigned i = 0; i < STORE_BATCH_MAX; i++) {
        panics[i] = panic_of(i);
        panics[i].content = (struct bytes){.data = data, .length = sizeof(data)};
        ops[i] = create_op(fixture, &panics[i]);
    }
    assert_ok(store_apply(fixture->store, ops, STORE_BATCH_MAX));
    struct store_counts counts;
    assert_ok(store_counts(fixture->store, 0, &counts));
    assert_int_equal(counts.panics, STORE_BATCH_MAX);
}

static void test_put_responder_inserts_then_replaces(void **state)
{
    struct fixture *fixture = *state;
    struct store_responder responder = responder_of("unit-1");
    struct store_op op = put_op(fixture, &responder);
    assert_ok(store_apply(fixture->store, &op, 1));
    assert_status(op.outcome, STATUS_OK);
    assert_string_equal(op.existing_responder.id, "unit-1");
    assert_true(id_is_nil(&op.existing_responder.panic_id));

    responder.state = 2;
    responder.location.lat = 1.5;
    assert_status(put(fixture, &responder), STATUS_OK);
    struct store_responder listed[2];
    size_t n;
    bool more;
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 2, &fixture->arena, listed, &n, &more));
    assert_int_equal(n, 1);
    assert_int_equal(listed[0].state, 2);
    assert_true(listed[0].location.lat == 1.5);
    assert_int_equal(listed[0].update_time_us, 7000000);
    assert_memory_equal(listed[0].content.data, "unit-1", 6);
}

static void test_put_responder_keeps_what_binds_it(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    panic = bound_next(&panic, "unit-1");
    assert_status(update(fixture, &panic), STATUS_OK);
    struct store_responder responder = responder_of("unit-1");
    struct store_op op = put_op(fixture, &responder);
    assert_ok(store_apply(fixture->store, &op, 1));
    assert_true(id_equal(&op.existing_responder.panic_id, &panic.id));

    struct store_panic other = panic_of(2);
    assert_status(create(fixture, &other), STATUS_OK);
    other = bound_next(&other, "unit-1");
    assert_status(update(fixture, &other), STATUS_ABORTED);
}

static void test_place_0_0_is_not_an_unknown_place(void **state)
{
    struct fixture *fixture = *state;
    struct store_responder at_origin = responder_of("a");
    at_origin.location = (struct store_location){.known = true};
    struct store_responder nowhere = responder_of("b");
    nowhere.location = (struct store_location){0};
    assert_status(put(fixture, &at_origin), STATUS_OK);
    assert_status(put(fixture, &nowhere), STATUS_OK);
    struct store_responder listed[2];
    size_t n;
    bool more;
    assert_ok(store_list_responders(fixture->store, "acme", NULL, 2, &fixture->arena, listed, &n, &more));
    assert_int_equal(n, 2);
    assert_true(listed[0].location.known);
    assert_true(listed[0].location.lat == 0 && listed[0].location.lng == 0);
    assert_false(listed[1].location.known);
}

static void test_events_are_kept_in_order(void **state)
{
    struct fixture *fixture = *state;
    struct store_panic panic = panic_of(1);
    assert_status(create(fixture, &panic), STATUS_OK);
    static const char *const types[] = {"assigned", "retry", "resolved"};
    for (size_t i = 0; i < 3; i++) {
        panic.version++;
        struct store_event event = {
            .at_us = (int64_t)i, .type = types[i], .actor = "api", .from_stage = 1, .to_stage = 2};
        struct store_op op = update_op(&panic, &event);
        assert_ok(store_apply(fixture->store, &op, 1));
        assert_status(op.outcome, STATUS_OK);
    }
    struct store_event events[3];
    size_t n;
    assert_ok(store_events(fixture->store, "acme", &panic.id, 0, 3, &fixture->arena, events, &n));
    assert_int_equal(n, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(events[i].version, i + 2);
        assert_int_equal(events[i].at_us, i);
        assert_string_equal(events[i].type, types[i]);
        assert_string_equal(events[i].actor, "api");
        assert_int_equal(events[i].from_stage, 1);
        assert_int_equal(events[i].to_stage, 2);
    }
    assert_ok(store_events(fixture->store, "acme", &panic.id, 3, 3, &fixture->arena, events, &n));
    assert_int_equal(n, 1);
    assert_string_equal(events[0].type, "resolved");
}

int run_write_conformance(void)
{
    const struct CMUnitTest tests[] = {
        FOR_EACH_STORE(test_get_returns_what_was_created),
        FOR_EACH_STORE(test_get_returns_what_was_updated),
        FOR_EACH_STORE(test_store_keeps_copies_of_what_it_was_given),
        FOR_EACH_STORE(test_get_of_unknown_id_is_not_found),
        FOR_EACH_STORE(test_create_of_same_content_replays_the_stored_panic),
        FOR_EACH_STORE(test_first_create_is_no_replay),
        FOR_EACH_STORE(test_create_of_other_content_already_exists_and_changes_nothing),
        FOR_EACH_STORE(test_duplicates_within_one_batch),
        FOR_EACH_STORE(test_taken_ids_among_many_creates),
        FOR_EACH_STORE(test_replay_without_room_in_the_arena_is_resource_exhausted),
        FOR_EACH_STORE(test_same_id_of_another_tenant_is_another_panic),
        FOR_EACH_STORE(test_update_replaces_the_mutable_part_only),
        FOR_EACH_STORE(test_update_of_another_version_is_aborted),
        FOR_EACH_STORE(test_update_of_unknown_panic_is_not_found),
        FOR_EACH_STORE(test_two_panics_binding_one_responder_in_one_batch),
        FOR_EACH_STORE(test_responder_of_the_same_name_of_another_tenant_can_be_bound),
        FOR_EACH_STORE(test_responder_freed_by_an_update_can_be_bound_again),
        FOR_EACH_STORE(test_bound_panic_keeps_its_responder_through_further_updates),
        FOR_EACH_STORE(test_batch_with_failing_ops_commits_the_rest),
        FOR_EACH_STORE(test_ops_out_of_bounds_are_invalid),
        FOR_EACH_STORE(test_batch_of_too_many_ops_is_invalid),
        FOR_EACH_STORE(test_largest_and_empty_content_come_back_whole),
        FOR_EACH_STORE(test_full_batch_of_large_contents),
        FOR_EACH_STORE(test_put_responder_inserts_then_replaces),
        FOR_EACH_STORE(test_put_responder_keeps_what_binds_it),
        FOR_EACH_STORE(test_place_0_0_is_not_an_unknown_place),
        FOR_EACH_STORE(test_events_are_kept_in_order),
    };
    return cmocka_run_group_tests_name("store: writes", tests, NULL, NULL);
}

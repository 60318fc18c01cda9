/* From stored to assigned: with and without responders, hints, crashes and full disks. */
#include "unit/panic/rig.h"

#define OTHER "ecma"

/* One that makes creates count on a responder, and is of no use to our tenant. */
static void put_other_tenants_responder(struct rig *rig)
{
    assert_ok(rig_end(rig_start_put(rig, OTHER, "theirs", RESPONDER_STATE(AVAILABLE))));
}

static struct rig_stored stored(struct rig *rig, unsigned n)
{
    struct rig_stored found;
    assert_ok(rig_stored(rig, RIG_TENANT, n, &found));
    return found;
}

/* GetPanic, until it answers with that version or a later one: cache and store are brought in line in that
 * order. */
static struct local_call *get_of_version(struct rig *rig, unsigned n, int64_t version)
{
    rig_await_version(rig, n, (uint64_t)version);
    struct local_call *call = rig_get(rig, n);
    assert_true(rig_panic_of(call)->version >= version);
    return call;
}

/* ---- responders come and go ---- */

static void test_a_new_panic_gets_the_nearest_responder(void **state)
{
    struct rig *rig = *state;
    assert_ok(rig_end(rig_start_put_at(rig, "far", 0, 2)));
    assert_ok(rig_end(rig_start_put_at(rig, "near", 0, 1)));
    assert_ok(rig_end(rig_start_create_at(rig, RIG_TENANT, 1, 0, 0)));
    struct local_call *call = get_of_version(rig, 1, 2);
    const Panic__V1__Panic *panic = rig_panic_of(call);
    assert_int_equal(panic->status, PANIC_STATUS(ACTIVE));
    assert_int_equal(panic->stage, STAGE(ACCEPTED));
    assert_non_null(panic->assignment);
    assert_string_equal(panic->assignment->responder_id, "near");
    assert_float_equal(panic->assignment->distance_m, 111195.08, 0.01);
    assert_int_equal(panic->assignment->assign_time->seconds, RIG_START_US / US_PER_S);
    local_call_free(call);
}

static void test_with_nobody_free_a_panic_waits_until_somebody_comes(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_int_equal(stored(rig, 1).stage, STAGE(UNASSIGNED));
    rig_put(rig, "unit");
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    assert_string_equal(stored(rig, 1).responder_id, "unit");
}

static void test_one_responder_is_not_given_to_two_panics(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    rig_advance(rig, 1);
    rig_create(rig, 2);
    rig_put(rig, "unit");
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 2).stage, STAGE(UNASSIGNED));
    rig_resolve(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 2, STAGE(ACCEPTED));
    assert_string_equal(stored(rig, 2).responder_id, "unit");
}

static void test_the_oldest_waiting_panic_is_first(void **state)
{
    struct rig *rig = *state;
    for (unsigned n = 9; n > 4; n--) {
        rig_create(rig, n);
        rig_advance(rig, 1);
    }
    rig_put(rig, "unit");
    rig_await_stage(rig, RIG_TENANT, 9, STAGE(ACCEPTED));
    for (unsigned n = 8; n > 4; n--) {
        assert_int_equal(stored(rig, n).stage, STAGE(UNASSIGNED));
        rig_resolve(rig, n + 1);
        rig_await_stage(rig, RIG_TENANT, n, STAGE(ACCEPTED));
    }
}

static void test_a_responder_off_duty_gets_nothing(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    assert_ok(rig_end(rig_start_put(rig, RIG_TENANT, "unit", RESPONDER_STATE(OFF))));
    rig_create(rig, 1);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(UNASSIGNED));
    rig_put(rig, "unit");
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

/*
 * The scanner looks by itself every half second, counted from the start of its last look. What takes less
 * than half of that was told; one of some tries must, on a machine however busy.
 */
static void assert_soon(struct rig *rig, void (*free_responder)(struct rig *rig, unsigned n))
{
    int64_t quickest_us = INT64_MAX;
    for (unsigned n = 1; n <= 8 && quickest_us >= 250 * US_PER_MS; n++) {
        rig_advance(rig, 1);
        rig_create(rig, n + 1);
        rig_await_scan(rig);
        int64_t start_us = monotonic_us();
        free_responder(rig, n);
        rig_await_stage(rig, RIG_TENANT, n + 1, STAGE(ACCEPTED));
        int64_t took_us = monotonic_us() - start_us;
        quickest_us = took_us < quickest_us ? took_us : quickest_us;
    }
    assert_true(quickest_us < 250 * US_PER_MS);
}

static void free_by_resolving(struct rig *rig, unsigned n)
{
    rig_resolve(rig, n);
}

static void test_a_responder_freed_by_a_resolve_is_given_on_at_once(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    assert_soon(rig, free_by_resolving);
}

static void put_numbered(struct rig *rig, unsigned n)
{
    char id[16];
    snprintf(id, sizeof(id), "unit-%u", n);
    rig_put(rig, id);
}

static void test_a_new_responder_is_given_to_who_waits_at_once(void **state)
{
    assert_soon(*state, put_numbered);
}

static void test_another_tenants_responder_is_not_sent(void **state)
{
    struct rig *rig = *state;
    put_other_tenants_responder(rig);
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(UNASSIGNED));
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(UNASSIGNED));
}

/* A create, of another tenant, whose answer does not come back from the transport before the test lets it. */
static struct local_call *create_with_stalled_answer(struct rig *rig, unsigned n)
{
    gated_store_hold(rig->store, GATE_CREATE);
    struct local_call *call = rig_start_create_at(rig, OTHER, n, 0, 0);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    local_call_stall(call);
    size_t passed = gated_store_passed(rig->store, GATE_CREATE_DONE);
    gated_store_release(rig->store, GATE_CREATE);
    assert_true(gated_store_await_passed(rig->store, GATE_CREATE_DONE, passed + 1));
    return call;
}

static void end_stalled(struct local_call *call)
{
    local_call_let_go(call);
    assert_ok(rig_end(call));
}

/*
 * Two workers answer. Both are kept busy until a put waits behind a create; one of them takes both, and
 * sticks at the create; the other one answers a later put. What was committed last must count, not what was
 * answered last.
 */
static void test_of_two_states_of_a_responder_the_one_committed_last_counts(void **state)
{
    struct rig *rig = *state;
    struct local_call *busy_a = create_with_stalled_answer(rig, 1);
    assert_ok(local_call_wait(busy_a));
    struct local_call *busy_b = create_with_stalled_answer(rig, 2);
    assert_ok(local_call_wait(busy_b));
    struct local_call *stuck = create_with_stalled_answer(rig, 3);
    struct local_call *on = rig_start_put(rig, RIG_TENANT, "unit", RESPONDER_STATE(AVAILABLE));
    assert_true(gated_store_await_passed(rig->store, GATE_PUT_RESPONDER_DONE, 1));
    /* Its commit comes after the put has been handed on to be answered. */
    struct local_call *behind = create_with_stalled_answer(rig, 4);
    end_stalled(busy_a);
    assert_ok(local_call_wait(stuck));
    struct local_call *off = rig_start_put(rig, RIG_TENANT, "unit", RESPONDER_STATE(OFF));
    end_stalled(busy_b);
    assert_ok(rig_end(off));
    end_stalled(stuck);
    assert_ok(rig_end(on));
    end_stalled(behind);
    rig_create(rig, 5);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 5).stage, STAGE(UNASSIGNED));
}

/* ---- the due scan ---- */

static void test_waiting_panics_are_tried_again_and_ever_more_seldom(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    int64_t delay_us = LIFECYCLE_RETRY_MIN_US;
    for (uint32_t attempts = 1; attempts < 4; attempts++) {
        struct rig_stored before = stored(rig, 1);
        assert_int_equal(before.attempts, attempts);
        assert_int_equal(before.next_action_at_us, atomic_load(&rig->now_us) + delay_us);
        rig_advance(rig, delay_us);
        rig_await_version(rig, 1, before.version + 1);
        delay_us *= 2;
    }
}

static void test_an_assigned_panic_is_reviewed_and_stays_assigned(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    uint64_t unassigned = service_stats(rig->service).dispatch.unassigned;
    rig_advance(rig, LIFECYCLE_REVIEW_US);
    rig_await_version(rig, 1, 3);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(ACCEPTED));
    assert_int_equal(stored(rig, 1).version, 3);
    assert_int_equal(service_stats(rig->service).dispatch.unassigned, unassigned);
}

static bool nobody_is_received(struct store *inner, void *ctx)
{
    struct store_counts counts;
    return store_counts(inner, 0, &counts) == STATUS_OK && counts.waiting == *(const uint64_t *)ctx;
}

static void test_lost_hints_are_made_good_by_the_due_scan(void **state)
{
    struct rig *rig = *state;
    put_other_tenants_responder(rig);
    gated_store_hold(rig->store, GATE_DISPATCH);
    rig_create(rig, 1);
    assert_true(gated_store_await_held(rig->store, GATE_DISPATCH, 1));
    uint64_t n = 1;
    while (service_stats(rig->service).dispatch.hints_dropped < 100 && n < 20000) {
        rig_create(rig, (unsigned)++n);
    }
    assert_true(service_stats(rig->service).dispatch.hints_dropped >= 100);
    gated_store_release(rig->store, GATE_DISPATCH);
    rig_advance(rig, LIFECYCLE_FIRST_LOOK_US);
    assert_true(gated_store_await(rig->store, nobody_is_received, &n));
    assert_int_equal(rig_counts(rig).panics, n);
}

/* ---- crashes and full disks ---- */

static void test_what_a_crash_left_is_dispatched_by_the_next_start(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    gated_store_fail(rig->store, GATE_DISPATCH, STATUS_RESOURCE_EXHAUSTED);
    rig_create(rig, 1);
    rig_stop(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(RECEIVED));
    gated_store_fail(rig->store, GATE_DISPATCH, STATUS_OK);
    rig_advance(rig, LIFECYCLE_FIRST_LOOK_US);
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

static void test_what_waited_before_a_restart_gets_a_responder_at_once(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, false, RIG_START_US);
    rig_leave_responder(rig, RIG_TENANT, "unit");
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

static void test_a_responder_bound_before_a_restart_stays_bound(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_stop(rig);
    rig_start(rig);
    rig_create(rig, 2);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 2).stage, STAGE(UNASSIGNED));
    rig_resolve(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 2, STAGE(ACCEPTED));
}

static void test_a_full_disk_delays_dispatch_and_gives_the_responder_back(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    gated_store_fail(rig->store, GATE_DISPATCH, STATUS_RESOURCE_EXHAUSTED);
    rig_create(rig, 1);
    assert_true(gated_store_await_passed(rig->store, GATE_DISPATCH_DONE, 1));
    rig_advance(rig, LIFECYCLE_FIRST_LOOK_US);
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(RECEIVED));
    gated_store_fail(rig->store, GATE_DISPATCH, STATUS_OK);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    assert_int_equal(stored(rig, 1).version, 2);
}

/* The clock stands still: nothing is due, so without its hint the panic would stay where it is. */
static void test_hints_are_followed_after_a_scan_has_found_others(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, false, RIG_START_US);
    rig_leave_responder(rig, OTHER, "theirs");
    rig_start(rig);
    rig_await_scan(rig);
    rig_advance(rig, LIFECYCLE_RETRY_MIN_US);
    rig_await_version(rig, 1, 2);
    assert_ok(rig_end(rig_start_create_at(rig, OTHER, 2, 0, 0)));
    rig_await_stage(rig, OTHER, 2, STAGE(ACCEPTED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_new_panic_gets_the_nearest_responder),
        TEST_WITHOUT_CACHE(test_a_new_panic_gets_the_nearest_responder),
        TEST(test_with_nobody_free_a_panic_waits_until_somebody_comes),
        TEST_STOPPED(test_hints_are_followed_after_a_scan_has_found_others),
        TEST_STOPPED_ON_DISK(test_hints_are_followed_after_a_scan_has_found_others),
        TEST(test_one_responder_is_not_given_to_two_panics),
        TEST(test_the_oldest_waiting_panic_is_first),
        TEST(test_a_responder_off_duty_gets_nothing),
        TEST(test_a_responder_freed_by_a_resolve_is_given_on_at_once),
        TEST(test_a_new_responder_is_given_to_who_waits_at_once),
        TEST(test_another_tenants_responder_is_not_sent),
        TEST(test_of_two_states_of_a_responder_the_one_committed_last_counts),
        TEST(test_waiting_panics_are_tried_again_and_ever_more_seldom),
        TEST(test_an_assigned_panic_is_reviewed_and_stays_assigned),
        TEST(test_lost_hints_are_made_good_by_the_due_scan),
        TEST(test_what_a_crash_left_is_dispatched_by_the_next_start),
        TEST_STOPPED(test_what_waited_before_a_restart_gets_a_responder_at_once),
        TEST(test_a_responder_bound_before_a_restart_stays_bound),
        TEST(test_a_full_disk_delays_dispatch_and_gives_the_responder_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

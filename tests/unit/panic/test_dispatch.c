/* The dispatch by itself: what the auditor counts, and that starting and stopping is safe at any time. */
#include "unit/panic/rig.h"

static struct dispatch_stats stats(struct rig *rig)
{
    return service_stats(rig->service).dispatch;
}

/* Until an audit is over: the scanner has gone on to its next scan. */
static void await_audit(struct rig *rig)
{
    assert_true(gated_store_await_passed(rig->store, GATE_COUNTS, 1));
    rig_await_scan(rig);
}

static void test_the_auditor_counts_what_is_overdue(void **state)
{
    struct rig *rig = *state;
    int64_t long_ago_us = RIG_START_US - DISPATCH_GRACE_US - LIFECYCLE_RETRY_MIN_US - 1;
    rig_leave_panic(rig, RIG_TENANT, 1, false, long_ago_us);
    rig_leave_panic(rig, RIG_TENANT, 2, true, long_ago_us);
    rig_leave_panic(rig, RIG_TENANT, 3, true, RIG_START_US - LIFECYCLE_FIRST_LOOK_US);
    gated_store_fail(rig->store, GATE_DISPATCH, STATUS_RESOURCE_EXHAUSTED);
    rig_start(rig);
    await_audit(rig);
    assert_int_equal(stats(rig).counts.overdue, 2);
    assert_int_equal(stats(rig).counts.open, 3);
    assert_int_equal(stats(rig).counts.waiting, 1);
}

static void test_the_auditor_finds_nothing_where_dispatch_works(void **state)
{
    struct rig *rig = *state;
    for (unsigned n = 1; n <= 1000; n++) {
        rig_leave_panic(rig, RIG_TENANT, n, n % 2 == 0, RIG_START_US - 100 * LIFECYCLE_RETRY_MAX_US);
    }
    rig_start(rig);
    await_audit(rig);
    assert_int_equal(stats(rig).counts.overdue, 0);
    assert_int_equal(stats(rig).counts.open, 1000);
    assert_int_equal(stats(rig).counts.waiting, 1000);
    assert_int_equal(stats(rig).unassigned, 1000);
}

static void test_a_store_that_cannot_be_read_is_tried_again(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, true, RIG_START_US - LIFECYCLE_FIRST_LOOK_US);
    gated_store_fail(rig->store, GATE_DUE, STATUS_RESOURCE_EXHAUSTED);
    rig_start(rig);
    rig_await_scan(rig);
    gated_store_fail(rig->store, GATE_DUE, STATUS_OK);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(UNASSIGNED));
}

static void test_the_time_to_an_assignment_is_measured(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, false, RIG_START_US);
    rig_advance(rig, 8 * US_PER_S);
    rig_leave_responder(rig, RIG_TENANT, "unit");
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_await_scan(rig);
    const struct histogram *latency_us = service_dispatch_latency_us(rig->service);
    assert_int_equal(atomic_load(&latency_us->count), 1);
    assert_int_equal(atomic_load(&latency_us->max), 8 * US_PER_S);
    assert_int_equal(stats(rig).assigned, 1);
}

static void test_thousands_that_a_crash_left_all_get_their_responder(void **state)
{
    struct rig *rig = *state;
    for (unsigned n = 1; n <= 2000; n++) {
        char id[16];
        snprintf(id, sizeof(id), "unit-%u", n);
        rig_leave_panic(rig, RIG_TENANT, n, n % 3 != 0, RIG_START_US - 60 * US_PER_S);
        rig_leave_responder(rig, RIG_TENANT, id);
    }
    rig_start(rig);
    for (unsigned n = 1; n <= 2000; n++) {
        rig_await_stage(rig, RIG_TENANT, n, STAGE(ACCEPTED));
    }
    rig_await_scan(rig);
    assert_int_equal(stats(rig).assigned, 2000);
}

static void test_a_backlog_that_nobody_reads_stays_out_of_the_cache(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, false, RIG_START_US - 60 * US_PER_S);
    rig_leave_responder(rig, RIG_TENANT, "unit");
    rig_start(rig);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_await_scan(rig);
    assert_int_equal(cache_stats(rig->cache).entries, 0);
}

static void test_what_is_in_the_cache_is_renewed_there(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, false, RIG_START_US);
    rig_start(rig);
    rig_await_scan(rig);
    local_call_free(rig_get(rig, 1));
    rig_put(rig, "unit");
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_await_scan(rig);
    uint64_t hits = cache_stats(rig->cache).hits;
    struct local_call *call = rig_get(rig, 1);
    assert_int_equal(rig_panic_of(call)->stage, STAGE(ACCEPTED));
    local_call_free(call);
    assert_true(cache_stats(rig->cache).hits > hits);
}

static void test_a_stop_waits_for_the_batch_under_way(void **state)
{
    struct rig *rig = *state;
    rig_leave_panic(rig, RIG_TENANT, 1, true, RIG_START_US - LIFECYCLE_FIRST_LOOK_US);
    gated_store_hold(rig->store, GATE_DISPATCH_DONE);
    rig_start(rig);
    assert_true(gated_store_await_held(rig->store, GATE_DISPATCH_DONE, 1));
    gated_store_release(rig->store, GATE_DISPATCH_DONE);
    rig_stop(rig);
    struct rig_stored stored;
    assert_ok(rig_stored(rig, RIG_TENANT, 1, &stored));
    assert_int_equal(stored.stage, STAGE(UNASSIGNED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STOPPED(test_the_auditor_counts_what_is_overdue),
        TEST_STOPPED(test_the_auditor_finds_nothing_where_dispatch_works),
        TEST_STOPPED(test_a_store_that_cannot_be_read_is_tried_again),
        TEST_STOPPED(test_the_time_to_an_assignment_is_measured),
        TEST_STOPPED(test_thousands_that_a_crash_left_all_get_their_responder),
        TEST_STOPPED(test_a_backlog_that_nobody_reads_stays_out_of_the_cache),
        TEST_STOPPED(test_what_is_in_the_cache_is_renewed_there),
        TEST_STOPPED(test_a_stop_waits_for_the_batch_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

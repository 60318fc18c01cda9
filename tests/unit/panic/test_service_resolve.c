/* Closing panics: who may, what it frees, what a repeat gets, and what races with dispatch. */
#include "unit/panic/rig.h"

#include <string.h>

static struct rig_stored stored(struct rig *rig, unsigned n)
{
    struct rig_stored found;
    assert_ok(rig_stored(rig, RIG_TENANT, n, &found));
    return found;
}

static void create_and_assign(struct rig *rig, unsigned n)
{
    rig_put(rig, "unit");
    rig_create(rig, n);
    rig_await_stage(rig, RIG_TENANT, n, STAGE(ACCEPTED));
}

static void assert_resolved_as(struct local_call *call, const char *outcome)
{
    const Panic__V1__Panic *panic = rig_panic_of(call);
    assert_int_equal(panic->status, PANIC_STATUS(RESOLVED));
    assert_int_equal(panic->stage, STAGE(RESOLVED));
    assert_string_equal(panic->outcome, outcome);
    local_call_free(call);
}

static void test_resolving_closes_with_the_outcome(void **state)
{
    struct rig *rig = *state;
    create_and_assign(rig, 1);
    assert_resolved_as(rig_start_resolve(rig, 1, "false alarm"), "false alarm");
    struct local_call *get = rig_get(rig, 1);
    assert_string_equal(rig_panic_of(get)->assignment->responder_id, "unit");
    assert_resolved_as(get, "false alarm");
    assert_int_equal(rig_counts(rig).open, 0);
}

static void test_without_an_outcome_it_is_resolved(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_resolved_as(rig_start_resolve(rig, 1, ""), "resolved");
}

static void test_a_waiting_panic_that_is_resolved_waits_no_more(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    rig_resolve(rig, 1);
    assert_int_equal(rig_counts(rig).waiting, 0);
    rig_put(rig, "unit");
    rig_await_scan(rig);
    assert_int_equal(stored(rig, 1).stage, STAGE(RESOLVED));
    assert_string_equal(stored(rig, 1).responder_id, "");
}

static void test_the_same_outcome_again_is_a_repeat(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_resolved_as(rig_start_resolve(rig, 1, "helped"), "helped");
    assert_resolved_as(rig_start_resolve(rig, 1, "helped"), "helped");
    assert_int_equal(stored(rig, 1).version, 2);
}

static void test_another_outcome_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    rig_resolve(rig, 1);
    assert_status(rig_end(rig_start_resolve(rig, 1, "helped")), STATUS_FAILED_PRECONDITION);
    assert_resolved_as(rig_get(rig, 1), "resolved");
}

static void test_an_outcome_is_taken_up_to_its_bound(void **state)
{
    struct rig *rig = *state;
    char outcome[130] = "";
    memset(outcome, 'o', 129);
    rig_create(rig, 1);
    assert_status(rig_end(rig_start_resolve(rig, 1, outcome)), STATUS_INVALID_ARGUMENT);
    assert_int_equal(stored(rig, 1).version, 1);
    outcome[128] = 0;
    assert_resolved_as(rig_start_resolve(rig, 1, outcome), outcome);
}

static void test_what_does_not_exist_is_not_found(void **state)
{
    assert_status(rig_end(rig_start_resolve(*state, 1, "")), STATUS_NOT_FOUND);
}

static void test_another_tenant_cannot_resolve(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    assert_status(
        rig_end(local_call_start(rig->router, "ecma", "/panic.v1.PanicService/ResolvePanic", &request.base)),
        STATUS_NOT_FOUND);
    assert_int_equal(stored(rig, 1).version, 1);
}

static void test_a_panic_that_is_being_stored_can_be_resolved_in_a_moment(void **state)
{
    struct rig *rig = *state;
    gated_store_hold(rig->store, GATE_CREATE);
    struct local_call *create = rig_start_create(rig, 1);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    assert_status(rig_end(rig_start_resolve(rig, 1, "")), STATUS_UNAVAILABLE);
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
    rig_resolve(rig, 1);
}

/* Nothing is cached: after the creation its placeholder is gone. */
static void test_a_panic_that_is_stored_while_a_resolve_looks_for_it_is_found(void **state)
{
    struct rig *rig = *state;
    gated_store_hold(rig->store, GATE_CREATE);
    struct local_call *create = rig_start_create(rig, 1);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    gated_store_hold(rig->store, GATE_GET_DONE);
    struct local_call *resolve = rig_start_resolve(rig, 1, "");
    assert_true(gated_store_await_held(rig->store, GATE_GET_DONE, 1));
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
    gated_store_release(rig->store, GATE_GET_DONE);
    assert_resolved_as(resolve, "resolved");
}

static void test_a_full_disk_leaves_the_panic_open(void **state)
{
    struct rig *rig = *state;
    create_and_assign(rig, 1);
    gated_store_fail(rig->store, GATE_CHANGE, STATUS_RESOURCE_EXHAUSTED);
    struct local_call *resolve = rig_start_resolve(rig, 1, "");
    assert_status(local_call_wait(resolve), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(local_call_trailer(resolve, "retry-after"), "1");
    local_call_free(resolve);
    struct local_call *get = rig_get(rig, 1);
    assert_int_equal(rig_panic_of(get)->stage, STAGE(ACCEPTED));
    local_call_free(get);
    gated_store_fail(rig->store, GATE_CHANGE, STATUS_OK);
    rig_resolve(rig, 1);
}

/* ---- races ---- */

static void test_a_resolve_that_dispatch_overtook_reads_again(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_CHANGE);
    struct local_call *resolve = rig_start_resolve(rig, 1, "helped");
    assert_true(gated_store_await_held(rig->store, GATE_CHANGE, 1));
    rig_advance(rig, LIFECYCLE_RETRY_MIN_US);
    rig_await_version(rig, 1, 2);
    gated_store_release(rig->store, GATE_CHANGE);
    assert_int_equal(rig_panic_of(resolve)->version, 3);
    assert_resolved_as(resolve, "helped");
    assert_int_equal(stored(rig, 1).version, 3);
}

static void test_dispatch_that_a_resolve_overtook_gives_the_responder_back(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_DISPATCH);
    rig_put(rig, "unit");
    assert_true(gated_store_await_held(rig->store, GATE_DISPATCH, 1));
    rig_resolve(rig, 1);
    gated_store_release(rig->store, GATE_DISPATCH);
    rig_create(rig, 2);
    rig_await_stage(rig, RIG_TENANT, 2, STAGE(ACCEPTED));
    assert_int_equal(stored(rig, 1).stage, STAGE(RESOLVED));
    assert_int_equal(stored(rig, 1).version, 2);
}

static void test_of_two_resolves_at_once_one_wins(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_CHANGE);
    struct local_call *a = rig_start_resolve(rig, 1, "a");
    assert_true(gated_store_await_held(rig->store, GATE_CHANGE, 1));
    struct local_call *b = rig_start_resolve(rig, 1, "b");
    struct local_call *a_again = rig_start_resolve(rig, 1, "a");
    gated_store_release(rig->store, GATE_CHANGE);
    assert_ok(rig_end(a));
    assert_status(rig_end(b), STATUS_FAILED_PRECONDITION);
    assert_resolved_as(a_again, "a");
    assert_int_equal(stored(rig, 1).version, 2);
}

/* What one reader could see in the store no other may find older in the cache. */
static void assert_get_keeps_up(struct rig *rig, unsigned n)
{
    struct local_call *list = rig_start_list(rig, 0, "");
    assert_ok(local_call_wait(list));
    const Panic__V1__ListPanicsResponse *page =
        (const Panic__V1__ListPanicsResponse *)local_call_response(list);
    assert_int_equal(page->n_panics, 1);
    struct local_call *get = rig_get(rig, n);
    assert_int_equal(page->panics[0]->version, 2);
    assert_int_equal(rig_panic_of(get)->version, 2);
    local_call_free(get);
    local_call_free(list);
}

static void test_get_does_not_lag_behind_list_while_a_resolve_ends(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    local_call_free(rig_get(rig, 1));
    gated_store_hold(rig->store, GATE_CHANGE_DONE);
    struct local_call *resolve = rig_start_resolve(rig, 1, "");
    assert_true(gated_store_await_held(rig->store, GATE_CHANGE_DONE, 1));
    assert_get_keeps_up(rig, 1);
    gated_store_release(rig->store, GATE_CHANGE_DONE);
    assert_ok(rig_end(resolve));
}

static void test_get_does_not_lag_behind_list_while_dispatch_ends(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    local_call_free(rig_get(rig, 1));
    gated_store_hold(rig->store, GATE_DISPATCH_DONE);
    rig_put(rig, "unit");
    assert_true(gated_store_await_held(rig->store, GATE_DISPATCH_DONE, 1));
    assert_get_keeps_up(rig, 1);
    gated_store_release(rig->store, GATE_DISPATCH_DONE);
}

/* While the change is on its way the old version is still the truth. */
static void test_get_answers_while_a_resolve_is_held(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_CHANGE);
    struct local_call *resolve = rig_start_resolve(rig, 1, "");
    assert_true(gated_store_await_held(rig->store, GATE_CHANGE, 1));
    struct local_call *get = rig_get(rig, 1);
    assert_int_equal(rig_panic_of(get)->version, 1);
    local_call_free(get);
    gated_store_release(rig->store, GATE_CHANGE);
    assert_ok(rig_end(resolve));
    assert_resolved_as(rig_get(rig, 1), "resolved");
}

static void test_a_responder_with_a_panic_changes_its_kind_when_that_is_resolved(void **state)
{
    struct rig *rig = *state;
    create_and_assign(rig, 1);
    struct local_call *call = rig_start_put_simulated(rig, "unit");
    assert_status(local_call_wait(call), STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(local_call_message(call), "responder.simulated: unit has a panic"));
    local_call_free(call);
    rig_resolve(rig, 1);
    assert_ok(rig_end(rig_start_put_simulated(rig, "unit")));
    rig_create(rig, 2);
    rig_await_stage(rig, RIG_TENANT, 2, STAGE(UNASSIGNED));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(test_resolving_closes_with_the_outcome),
        TEST(test_without_an_outcome_it_is_resolved),
        TEST_BOTH(test_a_waiting_panic_that_is_resolved_waits_no_more),
        TEST_BOTH(test_the_same_outcome_again_is_a_repeat),
        TEST_BOTH(test_a_responder_with_a_panic_changes_its_kind_when_that_is_resolved),
        TEST_BOTH(test_another_outcome_is_refused),
        TEST(test_an_outcome_is_taken_up_to_its_bound),
        TEST(test_what_does_not_exist_is_not_found),
        TEST(test_another_tenant_cannot_resolve),
        TEST_BOTH(test_a_panic_that_is_being_stored_can_be_resolved_in_a_moment),
        TEST_WITHOUT_CACHE(test_a_panic_that_is_stored_while_a_resolve_looks_for_it_is_found),
        TEST_BOTH(test_a_full_disk_leaves_the_panic_open),
        TEST_BOTH(test_a_resolve_that_dispatch_overtook_reads_again),
        TEST_BOTH(test_dispatch_that_a_resolve_overtook_gives_the_responder_back),
        TEST(test_of_two_resolves_at_once_one_wins),
        TEST_BOTH(test_get_does_not_lag_behind_list_while_a_resolve_ends),
        TEST_BOTH(test_get_does_not_lag_behind_list_while_dispatch_ends),
        TEST_BOTH(test_get_answers_while_a_resolve_is_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Creating and reading panics: what is readable when, what is acknowledged when, and what a repeat gets. */
#include "unit/panic/rig.h"

#include <string.h>

#include "unit/rpc/wire.h"

/* Starts a create and returns when its commit is held back. */
static struct local_call *create_held(struct rig *rig, unsigned n)
{
    gated_store_hold(rig->store, GATE_CREATE);
    struct local_call *call = rig_start_create(rig, n);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    return call;
}

static void assert_placeholder(struct rig *rig, unsigned n)
{
    struct local_call *call = rig_get(rig, n);
    const Panic__V1__Panic *panic = rig_panic_of(call);
    assert_string_equal(panic->id, rig_id(n));
    assert_int_equal(panic->status, PANIC_STATUS(PROCESSING));
    assert_false(panic->durable);
    assert_int_equal(panic->version, 0);
    assert_string_equal(panic->device_id, "button-1");
    local_call_free(call);
}

static void assert_durable(struct rig *rig, unsigned n)
{
    struct local_call *call = rig_get(rig, n);
    assert_true(rig_panic_of(call)->durable);
    assert_true(rig_panic_of(call)->version >= 1);
    local_call_free(call);
}

static size_t listed(struct rig *rig)
{
    struct local_call *call = rig_start_list(rig, 0, "");
    assert_ok(local_call_wait(call));
    size_t n = ((const Panic__V1__ListPanicsResponse *)local_call_response(call))->n_panics;
    local_call_free(call);
    return n;
}

static bool is_replayed(struct local_call *call)
{
    assert_ok(local_call_wait(call));
    return ((const Panic__V1__CreatePanicResponse *)local_call_response(call))->replayed;
}

/* ---- before and after the commit ---- */

static void test_get_sees_placeholder_before_commit(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = create_held(rig, 1);
    assert_placeholder(rig, 1);
    assert_placeholder(rig, 1);
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
    assert_durable(rig, 1);
}

/* Its answer from the store is from before the commit, and what the cache has then is gone before it looks.
 */
static void test_a_get_during_which_the_panic_is_stored_and_dispatched_finds_it(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit");
    struct local_call *create = create_held(rig, 1);
    gated_store_hold(rig->store, GATE_GET_DONE);
    struct local_call *get = rig_start_get(rig, RIG_TENANT, 1);
    assert_true(gated_store_await_held(rig->store, GATE_GET_DONE, 1));
    gated_store_hold(rig->store, GATE_DISPATCH);
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
    assert_true(gated_store_await_held(rig->store, GATE_DISPATCH, 1));
    gated_store_release(rig->store, GATE_GET_DONE);
    enum status status = rig_end(get);
    gated_store_release(rig->store, GATE_DISPATCH);
    assert_ok(status);
}

static void test_creator_is_answered_after_the_commit_only(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = create_held(rig, 1);
    assert_false(local_call_is_answered(create));
    gated_store_hold(rig->store, GATE_CREATE_DONE);
    gated_store_release(rig->store, GATE_CREATE);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE_DONE, 1));
    assert_false(local_call_is_answered(create));
    gated_store_release(rig->store, GATE_CREATE_DONE);
    assert_true(rig_panic_of(create)->durable);
    assert_int_equal(rig_panic_of(create)->version, 1);
    local_call_free(create);
    struct rig_stored stored;
    assert_ok(rig_stored(rig, RIG_TENANT, 1, &stored));
}

static void test_list_shows_nothing_before_the_commit(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = create_held(rig, 1);
    assert_int_equal(listed(rig), 0);
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
    assert_int_equal(listed(rig), 1);
}

static void test_a_failed_commit_leaves_no_trace(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = create_held(rig, 1);
    assert_placeholder(rig, 1);
    gated_store_fail(rig->store, GATE_CREATE, STATUS_RESOURCE_EXHAUSTED);
    gated_store_release(rig->store, GATE_CREATE);
    assert_status(local_call_wait(create), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(local_call_trailer(create, "retry-after"), "1");
    local_call_free(create);
    assert_status(rig_get_status(rig, 1), STATUS_NOT_FOUND);
    assert_int_equal(listed(rig), 0);
}

static void test_after_a_failed_commit_the_same_request_succeeds(void **state)
{
    struct rig *rig = *state;
    gated_store_fail(rig->store, GATE_CREATE, STATUS_RESOURCE_EXHAUSTED);
    assert_status(rig_end(rig_start_create(rig, 1)), STATUS_RESOURCE_EXHAUSTED);
    gated_store_fail(rig->store, GATE_CREATE, STATUS_OK);
    struct local_call *create = rig_start_create(rig, 1);
    assert_false(is_replayed(create));
    local_call_free(create);
    assert_durable(rig, 1);
}

static void test_get_of_a_stored_panic_that_left_the_cache(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_durable(rig, 1);
    assert_durable(rig, 1);
}

/* ---- repeats ---- */

static void test_a_repeat_gets_the_stored_panic(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    rig_resolve(rig, 1);
    struct local_call *repeat = rig_start_create(rig, 1);
    assert_true(is_replayed(repeat));
    assert_int_equal(rig_panic_of(repeat)->status, PANIC_STATUS(RESOLVED));
    assert_true(rig_panic_of(repeat)->durable);
    local_call_free(repeat);
    assert_int_equal(listed(rig), 1);
}

/* The repeat's placeholder lies over a stored panic: nobody may take it for the truth. */
static void test_a_repeat_never_hides_the_stored_panic(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    struct local_call *repeat = create_held(rig, 1);
    assert_durable(rig, 1);
    assert_durable(rig, 1);
    gated_store_release(rig->store, GATE_CREATE);
    assert_true(is_replayed(repeat));
    local_call_free(repeat);
    assert_durable(rig, 1);
}

static void test_a_repeat_that_fails_does_not_hide_the_stored_panic_either(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_fail(rig->store, GATE_CREATE, STATUS_RESOURCE_EXHAUSTED);
    assert_status(rig_end(rig_start_create(rig, 1)), STATUS_RESOURCE_EXHAUSTED);
    assert_durable(rig, 1);
}

static void test_other_content_under_the_same_id_is_refused(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_status(rig_end(rig_start_create_by(rig, 1, "button-2")), STATUS_ALREADY_EXISTS);
    struct local_call *get = rig_get(rig, 1);
    assert_string_equal(rig_panic_of(get)->device_id, "button-1");
    assert_true(rig_panic_of(get)->durable);
    local_call_free(get);
}

static void test_repeats_while_the_commit_is_held_wait_for_it(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = create_held(rig, 1);
    struct local_call *repeats[20];
    for (int i = 0; i < 20; i++) {
        repeats[i] = rig_start_create(rig, 1);
    }
    struct local_call *other = rig_start_create_by(rig, 1, "button-2");
    assert_placeholder(rig, 1);
    for (int i = 0; i < 20; i++) {
        assert_false(local_call_is_answered(repeats[i]));
    }
    gated_store_release(rig->store, GATE_CREATE);
    assert_false(is_replayed(create));
    local_call_free(create);
    for (int i = 0; i < 20; i++) {
        assert_true(is_replayed(repeats[i]));
        local_call_free(repeats[i]);
    }
    assert_status(rig_end(other), STATUS_ALREADY_EXISTS);
    assert_int_equal(listed(rig), 1);
}

static void test_when_the_first_of_two_fails_the_repeat_is_stored(void **state)
{
    struct rig *rig = *state;
    struct local_call *first = create_held(rig, 1);
    struct local_call *repeat = rig_start_create(rig, 1);
    gated_store_fail(rig->store, GATE_CREATE, STATUS_RESOURCE_EXHAUSTED);
    gated_store_hold(rig->store, GATE_CREATE_DONE);
    gated_store_release(rig->store, GATE_CREATE);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE_DONE, 1));
    gated_store_fail(rig->store, GATE_CREATE, STATUS_OK);
    gated_store_release(rig->store, GATE_CREATE_DONE);
    assert_status(rig_end(first), STATUS_RESOURCE_EXHAUSTED);
    assert_false(is_replayed(repeat));
    local_call_free(repeat);
    assert_durable(rig, 1);
}

/* ---- ids and tenants ---- */

static struct local_call *start_create_request(struct rig *rig, const Panic__V1__CreatePanicRequest *request)
{
    return local_call_start(rig->router, RIG_TENANT, "/panic.v1.PanicService/CreatePanic", &request->base);
}

static void test_without_an_id_the_server_chooses_one(void **state)
{
    struct rig *rig = *state;
    const Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    struct local_call *first = start_create_request(rig, &request);
    struct local_call *second = start_create_request(rig, &request);
    const char *id = rig_panic_of(first)->id;
    assert_int_equal(strlen(id), ID_TEXT_SIZE - 1);
    assert_int_equal(id[14], '7');
    assert_string_not_equal(id, rig_panic_of(second)->id);
    assert_false(is_replayed(second));
    local_call_free(first);
    local_call_free(second);
}

static void test_an_id_that_is_none_is_refused(void **state)
{
    struct rig *rig = *state;
    static const char *const bad[] = {"1",
                                      "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d4",
                                      "018f4e2a7c3b7d109a553b1f0e6c2d41",
                                      "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41 ",
                                      "00000000-0000-0000-0000-000000000000",
                                      "g18f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
        request.id = (char *)bad[i];
        assert_status(rig_end(start_create_request(rig, &request)), STATUS_INVALID_ARGUMENT);
        Panic__V1__GetPanicRequest get = PANIC__V1__GET_PANIC_REQUEST__INIT;
        get.id = (char *)bad[i];
        assert_status(
            rig_end(local_call_start(rig->router, RIG_TENANT, "/panic.v1.PanicService/GetPanic", &get.base)),
            STATUS_INVALID_ARGUMENT);
    }
    assert_int_equal(listed(rig), 0);
}

static void test_an_id_is_read_in_either_case(void **state)
{
    struct rig *rig = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.id = (char *)"018F4E2A-7C3B-7D10-9A55-000000000ABC";
    request.device_id = (char *)"button-1";
    struct local_call *create = start_create_request(rig, &request);
    assert_string_equal(rig_panic_of(create)->id, rig_id(0xabc));
    local_call_free(create);
    assert_durable(rig, 0xabc);
}

static void test_an_unknown_id_is_not_found(void **state)
{
    assert_status(rig_get_status(*state, 1), STATUS_NOT_FOUND);
}

static void test_tenants_do_not_see_one_another(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_status(rig_end(rig_start_get(rig, "ecma", 1)), STATUS_NOT_FOUND);
    assert_ok(rig_end(rig_start_create_at(rig, "ecma", 1, 1, 2)));
    struct local_call *get = rig_start_get(rig, "ecma", 1);
    assert_true(rig_panic_of(get)->location->lat == 1);
    local_call_free(get);
    assert_int_equal(listed(rig), 1);
    assert_durable(rig, 1);
}

static void test_another_tenants_placeholder_is_not_seen(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = create_held(rig, 1);
    assert_status(rig_end(rig_start_get(rig, "ecma", 1)), STATUS_NOT_FOUND);
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
}

/* ---- content ---- */

static void test_what_is_left_out_is_named_in_the_answer(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = rig_start_create_at(rig, RIG_TENANT, 1, 91, 0);
    assert_null(rig_panic_of(create)->location);
    const Panic__V1__CreatePanicResponse *response =
        (const Panic__V1__CreatePanicResponse *)local_call_response(create);
    assert_int_equal(response->n_warnings, 1);
    assert_non_null(strstr(response->warnings[0], "location"));
    local_call_free(create);
}

static void test_a_strict_request_is_refused_and_not_stored(void **state)
{
    struct rig *rig = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    request.strict = true;
    request.mode = (Panic__V1__PanicMode)44;
    assert_status(rig_end(start_create_request(rig, &request)), STATUS_INVALID_ARGUMENT);
    assert_status(rig_get_status(rig, 1), STATUS_NOT_FOUND);
}

/* A create with id number n whose metadata is seven lists in one another, which is one too many. */
static struct local_call *start_too_deep(struct rig *rig, unsigned n, bool strict)
{
    static struct wire wire;
    wire.length = 0;
    for (unsigned i = 0; i < 7; i++) {
        wire_wrap(&wire, 1);
        wire_wrap(&wire, 6);
    }
    wire_wrap(&wire, 2);
    wire_wrap(&wire, 1);
    wire_wrap(&wire, 5);
    wire_text(&wire, 1, rig_id(n));
    wire_number(&wire, 8, strict);
    return local_call_start_raw(rig->router, RIG_TENANT, "/panic.v1.PanicService/CreatePanic", wire.data,
                                wire.length, RPC_ARENA_MAX, 0);
}

static void test_a_create_that_is_too_deep_is_stored_without_its_metadata(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = start_too_deep(rig, 1, false);
    assert_ok(local_call_wait(create));
    const Panic__V1__CreatePanicResponse *response =
        (const Panic__V1__CreatePanicResponse *)local_call_response(create);
    assert_int_equal(response->n_warnings, 1);
    assert_string_equal(response->warnings[0], "metadata: messages are nested deeper than 16; left out");
    local_call_free(create);
    struct local_call *get = rig_get(rig, 1);
    assert_null(rig_panic_of(get)->metadata);
    local_call_free(get);
}

static void test_a_repeat_that_is_too_deep_gets_the_stored_panic(void **state)
{
    struct rig *rig = *state;
    assert_ok(rig_end(start_too_deep(rig, 1, false)));
    struct local_call *repeat = start_too_deep(rig, 1, false);
    assert_true(is_replayed(repeat));
    local_call_free(repeat);
}

static void test_a_strict_create_that_is_too_deep_is_refused_and_not_stored(void **state)
{
    struct rig *rig = *state;
    struct local_call *create = start_too_deep(rig, 1, true);
    assert_status(local_call_wait(create), STATUS_INVALID_ARGUMENT);
    assert_string_equal(local_call_message(create), "metadata: messages are nested deeper than 16");
    local_call_free(create);
    assert_status(rig_get_status(rig, 1), STATUS_NOT_FOUND);
}

static void test_0_0_comes_back_as_a_place(void **state)
{
    struct rig *rig = *state;
    assert_ok(rig_end(rig_start_create_at(rig, RIG_TENANT, 1, 0, 0)));
    rig_create(rig, 2);
    struct local_call *with = rig_get(rig, 1);
    struct local_call *without = rig_get(rig, 2);
    assert_non_null(rig_panic_of(with)->location);
    assert_null(rig_panic_of(without)->location);
    local_call_free(with);
    local_call_free(without);
}

/* The store's answer is held back: who reads what was just acknowledged does not need it. */
static void test_an_acknowledged_panic_is_read_from_the_cache(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_GET);
    struct local_call *call = rig_start_get(rig, RIG_TENANT, 1);
    bool answered = local_call_is_answered(call);
    gated_store_release(rig->store, GATE_GET);
    assert_ok(local_call_wait(call));
    assert_true(answered);
    assert_true(rig_panic_of(call)->durable);
    assert_true(rig_panic_of(call)->version == 1);
    local_call_free(call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_acknowledged_panic_is_read_from_the_cache),
        TEST_BOTH(test_get_sees_placeholder_before_commit),
        TEST_BOTH(test_a_get_during_which_the_panic_is_stored_and_dispatched_finds_it),
        TEST(test_creator_is_answered_after_the_commit_only),
        TEST_BOTH(test_list_shows_nothing_before_the_commit),
        TEST_BOTH(test_a_failed_commit_leaves_no_trace),
        TEST_BOTH(test_after_a_failed_commit_the_same_request_succeeds),
        TEST_BOTH(test_get_of_a_stored_panic_that_left_the_cache),
        TEST_BOTH(test_a_repeat_gets_the_stored_panic),
        TEST_BOTH(test_a_repeat_never_hides_the_stored_panic),
        TEST_BOTH(test_a_repeat_that_fails_does_not_hide_the_stored_panic_either),
        TEST_BOTH(test_other_content_under_the_same_id_is_refused),
        TEST_BOTH(test_repeats_while_the_commit_is_held_wait_for_it),
        TEST_BOTH(test_when_the_first_of_two_fails_the_repeat_is_stored),
        TEST(test_without_an_id_the_server_chooses_one),
        TEST(test_an_id_that_is_none_is_refused),
        TEST_BOTH(test_an_id_is_read_in_either_case),
        TEST_BOTH(test_an_unknown_id_is_not_found),
        TEST_BOTH(test_tenants_do_not_see_one_another),
        TEST_BOTH(test_another_tenants_placeholder_is_not_seen),
        TEST(test_what_is_left_out_is_named_in_the_answer),
        TEST(test_a_strict_request_is_refused_and_not_stored),
        TEST(test_a_create_that_is_too_deep_is_stored_without_its_metadata),
        TEST(test_a_repeat_that_is_too_deep_gets_the_stored_panic),
        TEST(test_a_strict_create_that_is_too_deep_is_refused_and_not_stored),
        TEST_BOTH(test_0_0_comes_back_as_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

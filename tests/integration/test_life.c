/* A panic's way through a real panicd, by the client library, over both transports. */
#include "harness/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "c/panic_client.h"
#include "harness/fixture.h"

static void test_create_answers_processing_and_durable(void **state)
{
    struct fixture *f = *state;
    const Panic__V1__Panic *panic = calls_create(f->client, &f->arena, NULL);
    assert_int_equal(panic->status, PANIC__V1__PANIC_STATUS__PANIC_STATUS_PROCESSING);
    assert_true(panic->durable);
    assert_int_equal(panic->version, 1);
    assert_int_equal(strlen(panic->id), 36);
}

static void test_nearest_responder_gets_the_panic(void **state)
{
    struct fixture *f = *state;
    calls_put_responder(f->client, "far", -26.2, 28.0);
    calls_put_responder(f->client, "near", -33.92, 18.42);
    const Panic__V1__Panic *created = calls_create(f->client, &f->arena, NULL);
    const Panic__V1__Panic *panic = calls_wait_active(f->client, &f->arena, created->id);
    assert_string_equal(panic->assignment->responder_id, "near");
    assert_true(panic->assignment->distance_m > 2500 && panic->assignment->distance_m < 3500);
    assert_true(panic->version > created->version);
}

static void test_a_responder_has_one_panic_at_a_time(void **state)
{
    struct fixture *f = *state;
    calls_put_responder(f->client, "only", -33.92, 18.42);
    const Panic__V1__Panic *first = calls_create(f->client, &f->arena, NULL);
    calls_wait_active(f->client, &f->arena, first->id);
    const Panic__V1__Panic *second = calls_create(f->client, &f->arena, NULL);
    calls_wait_stage(f->client, &f->arena, second->id, PANIC__V1__PANIC_STAGE__PANIC_STAGE_UNASSIGNED);

    calls_resolve(f->client, &f->arena, first->id, "arrived");
    const Panic__V1__Panic *active = calls_wait_active(f->client, &f->arena, second->id);
    assert_string_equal(active->assignment->responder_id, "only");
    const Panic__V1__Panic *closed = calls_get(f->client, &f->arena, first->id);
    assert_int_equal(closed->status, PANIC__V1__PANIC_STATUS__PANIC_STATUS_RESOLVED);
    assert_string_equal(closed->outcome, "arrived");
}

static void test_resolving_twice_is_a_repeat_only_with_the_same_outcome(void **state)
{
    struct fixture *f = *state;
    const Panic__V1__Panic *panic = calls_create(f->client, &f->arena, NULL);
    const Panic__V1__Panic *first = calls_resolve(f->client, &f->arena, panic->id, "false alarm");
    const Panic__V1__Panic *again = calls_resolve(f->client, &f->arena, panic->id, "false alarm");
    assert_int_equal(first->version, again->version);

    Panic__V1__ResolvePanicRequest other = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    other.id = panic->id;
    other.outcome = (char *)"something else";
    const Panic__V1__ResolvePanicResponse *response;
    struct diag diag;
    assert_status(panic_client_resolve(f->client, &other, HARNESS_PATIENCE_US, &f->arena, &response, &diag),
                  STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(diag.text, "false alarm"));
}

static void test_unknown_id_is_not_found(void **state)
{
    struct fixture *f = *state;
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)"018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41";
    const Panic__V1__GetPanicResponse *response;
    struct diag diag;
    assert_status(panic_client_get(f->client, &request, HARNESS_PATIENCE_US, &f->arena, &response, &diag),
                  STATUS_NOT_FOUND);
    assert_string_equal(diag.text, "Panic not found");
}

static void test_list_pages_through_everything_once(void **state)
{
    struct fixture *f = *state;
    char ids[25][ID_TEXT_SIZE];
    for (int i = 0; i < 25; i++) {
        const Panic__V1__Panic *panic = calls_create(f->client, &f->arena, NULL);
        memcpy(ids[i], panic->id, ID_TEXT_SIZE);
    }
    Panic__V1__ListPanicsRequest request = PANIC__V1__LIST_PANICS_REQUEST__INIT;
    request.page_size = 10;
    size_t seen = 0;
    do {
        const Panic__V1__ListPanicsResponse *response;
        struct diag diag;
        assert_ok(panic_client_list(f->client, &request, HARNESS_PATIENCE_US, &f->arena, &response, &diag));
        assert_true(response->n_panics > 0 && response->n_panics <= 10);
        for (size_t i = 0; i < response->n_panics; i++) {
            assert_string_equal(response->panics[i]->id, ids[seen]);
            seen++;
        }
        request.page_token = response->next_page_token;
    } while (request.page_token[0] != 0);
    assert_int_equal(seen, 25);
}

static void test_what_was_acknowledged_survives_a_restart(void **state)
{
    struct fixture *f = *state;
    calls_put_responder(f->client, "unit-42", -33.92, 18.42);
    const Panic__V1__Panic *panic = calls_create(f->client, &f->arena, NULL);
    calls_wait_active(f->client, &f->arena, panic->id);
    panicd_signal(f->panicd, SIGTERM);
    assert_int_equal(panicd_wait(f->panicd), 0);
    panicd_restart(f->panicd);
    const Panic__V1__Panic *after = calls_get(f->client, &f->arena, panic->id);
    assert_int_equal(after->status, PANIC__V1__PANIC_STATUS__PANIC_STATUS_ACTIVE);
    assert_string_equal(after->assignment->responder_id, "unit-42");
}

static void test_test_panics_get_simulated_responders_and_live_ones_the_others(void **state)
{
    struct fixture *f = *state;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.mode = PANIC__V1__PANIC_MODE__PANIC_MODE_TEST;
    const Panic__V1__CreatePanicResponse *test;
    struct diag diag;
    assert_ok(panic_client_create(f->client, &request, HARNESS_PATIENCE_US, &f->arena, &test, &diag));

    calls_put_responder(f->client, "real", -33.92, 18.42);
    const Panic__V1__Panic *live = calls_create(f->client, &f->arena, NULL);
    live = calls_wait_active(f->client, &f->arena, live->id);
    assert_string_equal(live->assignment->responder_id, "real");
    const Panic__V1__Panic *waiting = calls_get(f->client, &f->arena, test->panic->id);
    assert_int_equal(waiting->stage, PANIC__V1__PANIC_STAGE__PANIC_STAGE_UNASSIGNED);

    Panic__V1__PutResponderRequest put = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    Panic__V1__Responder simulated = PANIC__V1__RESPONDER__INIT;
    simulated.id = (char *)"simulated";
    simulated.simulated = true;
    put.responder = &simulated;
    const Panic__V1__PutResponderResponse *response;
    assert_ok(panic_client_put_responder(f->client, &put, HARNESS_PATIENCE_US, &f->arena, &response, &diag));
    const Panic__V1__Panic *active = calls_wait_active(f->client, &f->arena, test->panic->id);
    assert_string_equal(active->assignment->responder_id, "simulated");
}

static void test_tcp_and_ipc_see_the_same_panic(void **state)
{
    struct fixture *f = *state;
    const Panic__V1__Panic *panic = calls_create(f->client, &f->arena, NULL);
    struct panic_client *tcp = calls_connect(panicd_tcp(f->panicd));
    const Panic__V1__Panic *seen = calls_get(tcp, &f->arena, panic->id);
    assert_string_equal(seen->id, panic->id);
    panic_client_close(tcp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_create_answers_processing_and_durable),
        FIXTURE_TEST(test_nearest_responder_gets_the_panic),
        FIXTURE_TEST(test_a_responder_has_one_panic_at_a_time),
        FIXTURE_TEST(test_resolving_twice_is_a_repeat_only_with_the_same_outcome),
        FIXTURE_TEST(test_unknown_id_is_not_found),
        FIXTURE_TEST(test_list_pages_through_everything_once),
        FIXTURE_TEST(test_what_was_acknowledged_survives_a_restart),
        FIXTURE_TEST(test_test_panics_get_simulated_responders_and_live_ones_the_others),
        FIXTURE_TEST(test_tcp_and_ipc_see_the_same_panic),
    };
    return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}

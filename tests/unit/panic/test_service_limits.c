/*
 * What happens when there is too much: reads beyond what may wait, calls whose deadline is past, responders
 * beyond the limit. Reads are refused or not begun; creates and resolves are carried out all the same. Where
 * the memory for a call ends is test_service_memory.c's.
 */
#include "unit/panic/rig.h"

#include <sched.h>

#define READS_MAX (4 * SERVICE_QUERIES_MAX)

/* ---- too many reads ---- */

struct reads {
    struct local_call *calls[READS_MAX];
    size_t n;
};

static struct local_call *start_get(struct rig *rig)
{
    return rig_start_get(rig, RIG_TENANT, 1000);
}

static struct local_call *start_list(struct rig *rig)
{
    return rig_start_list(rig, 0, "");
}

/* Reads that hang at the gate, until one more is refused: that one, not yet freed. */
static struct local_call *fill_with(struct rig *rig, struct reads *reads, enum gate gate,
                                    struct local_call *(*start)(struct rig *rig))
{
    gated_store_hold(rig->store, gate);
    while (reads->n < READS_MAX) {
        struct local_call *call = start(rig);
        if (local_call_is_answered(call)) {
            return call;
        }
        reads->calls[reads->n++] = call;
    }
    fail_msg("%d reads, and none is refused", READS_MAX);
    return NULL;
}

static struct local_call *fill_with_reads(struct rig *rig, struct reads *reads)
{
    return fill_with(rig, reads, GATE_GET, start_get);
}

static void end_all(struct rig *rig, struct reads *reads, enum gate gate, enum status expected)
{
    gated_store_release(rig->store, gate);
    for (size_t i = 0; i < reads->n; i++) {
        assert_status(rig_end(reads->calls[i]), expected);
    }
}

static void end_reads(struct rig *rig, struct reads *reads)
{
    end_all(rig, reads, GATE_GET, STATUS_NOT_FOUND);
}

static void test_too_many_reads_are_sent_away_for_a_second(void **state)
{
    struct rig *rig = *state;
    struct reads reads = {.n = 0};
    struct local_call *refused = fill_with_reads(rig, &reads);
    assert_status(local_call_wait(refused), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(local_call_trailer(refused, "retry-after"), "1");
    local_call_free(refused);
    assert_in_range(reads.n, SERVICE_GET_QUEUE_MAX, SERVICE_QUERIES_MAX - SERVICE_LIST_QUEUE_MAX);
    end_reads(rig, &reads);
    assert_status(rig_get_status(rig, 1000), STATUS_NOT_FOUND);
}

static void test_waiting_reads_do_not_take_the_place_of_creates(void **state)
{
    struct rig *rig = *state;
    struct reads reads = {.n = 0};
    local_call_free(fill_with_reads(rig, &reads));
    for (unsigned n = 1; n <= 500; n++) {
        rig_create(rig, n);
    }
    /* In the cache, so answered without the store. */
    assert_ok(rig_get_status(rig, 500));
    end_reads(rig, &reads);
}

static void test_gets_and_resolves_do_not_wait_behind_lists(void **state)
{
    struct rig *rig = *state;
    struct reads lists = {.n = 0};
    rig_create(rig, 1);
    struct local_call *refused = fill_with(rig, &lists, GATE_LIST, start_list);
    assert_status(local_call_wait(refused), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(local_call_trailer(refused, "retry-after"), "1");
    local_call_free(refused);
    assert_true(lists.n >= SERVICE_LIST_QUEUE_MAX);
    assert_status(rig_get_status(rig, 1000), STATUS_NOT_FOUND);
    rig_resolve(rig, 1);
    end_all(rig, &lists, GATE_LIST, STATUS_OK);
}

/* Together, with what the workers have in hand: as many as transports have calls for. */
static void test_no_more_reads_wait_than_transports_keep_calls_for(void **state)
{
    struct rig *rig = *state;
    struct reads reads = {.n = 0};
    struct reads lists = {.n = 0};
    local_call_free(fill_with(rig, &lists, GATE_LIST, start_list));
    local_call_free(fill_with_reads(rig, &reads));
    assert_in_range(reads.n + lists.n, SERVICE_GET_QUEUE_MAX + SERVICE_LIST_QUEUE_MAX, SERVICE_QUERIES_MAX);
    end_reads(rig, &reads);
    end_all(rig, &lists, GATE_LIST, STATUS_OK);
}

#define RESOLVES 500

static void test_no_resolve_is_refused_however_many_reads_wait(void **state)
{
    struct rig *rig = *state;
    static struct local_call *resolves[RESOLVES];
    struct reads reads = {.n = 0};
    for (unsigned n = 0; n < RESOLVES; n++) {
        rig_create(rig, n + 1);
    }
    local_call_free(fill_with_reads(rig, &reads));
    for (unsigned n = 0; n < RESOLVES; n++) {
        resolves[n] = rig_start_resolve(rig, n + 1, "");
    }
    end_reads(rig, &reads);
    for (unsigned n = 0; n < RESOLVES; n++) {
        assert_ok(rig_end(resolves[n]));
    }
}

/* ---- deadlines ---- */

static void test_a_read_whose_deadline_is_past_is_not_begun(void **state)
{
    struct rig *rig = *state;
    struct local_call *call = local_call_start_raw(
        rig->router, RIG_TENANT, "/panic.v1.PanicService/ListPanics", NULL, 0, RPC_ARENA_MAX, 1);
    assert_status(rig_end(call), STATUS_DEADLINE_EXCEEDED);
}

static void test_a_read_whose_deadline_passes_while_it_waits_is_not_begun(void **state)
{
    struct rig *rig = *state;
    gated_store_hold(rig->store, GATE_GET);
    struct local_call *ahead[2];
    for (size_t i = 0; i < 2; i++) {
        ahead[i] = rig_start_get(rig, RIG_TENANT, 1);
        assert_true(gated_store_await_held(rig->store, GATE_GET, i + 1));
    }
    int64_t deadline_us = monotonic_us() + 5000;
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    uint8_t payload[64];
    size_t length = panic__v1__get_panic_request__pack(&request, payload);
    struct local_call *late = local_call_start_raw(rig->router, RIG_TENANT, "/panic.v1.PanicService/GetPanic",
                                                   payload, length, RPC_ARENA_MAX, deadline_us);
    while (monotonic_us() < deadline_us) {
        sched_yield();
    }
    gated_store_release(rig->store, GATE_GET);
    assert_status(rig_end(late), STATUS_DEADLINE_EXCEEDED);
    for (size_t i = 0; i < 2; i++) {
        assert_status(rig_end(ahead[i]), STATUS_NOT_FOUND);
    }
}

static void test_a_create_is_stored_whatever_its_deadline(void **state)
{
    struct rig *rig = *state;
    struct local_call *call = local_call_start_raw(
        rig->router, RIG_TENANT, "/panic.v1.PanicService/CreatePanic", NULL, 0, RPC_ARENA_MAX, 1);
    assert_true(rig_panic_of(call)->durable);
    local_call_free(call);
    assert_int_equal(rig_counts(rig).panics, 1);
}

/* ---- responders ---- */

static void test_a_responder_beyond_the_limit_is_refused_and_not_stored(void **state)
{
    struct rig *rig = *state;
    rig->responders_max = 2;
    rig_start(rig);
    rig_put(rig, "a");
    rig_put(rig, "b");
    struct local_call *call = rig_start_put(rig, RIG_TENANT, "c", RESPONDER_STATE(AVAILABLE));
    assert_status(local_call_wait(call), STATUS_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(local_call_message(call), "there are 2 responders, the most there can be"));
    local_call_free(call);
    call = rig_start_list_responders(rig, 10, "");
    assert_ok(local_call_wait(call));
    const Panic__V1__ListRespondersResponse *list =
        (const Panic__V1__ListRespondersResponse *)local_call_response(call);
    assert_int_equal(list->n_responders, 2);
    local_call_free(call);
    rig_put(rig, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_STOPPED(test_a_responder_beyond_the_limit_is_refused_and_not_stored),
        TEST(test_too_many_reads_are_sent_away_for_a_second),
        TEST(test_waiting_reads_do_not_take_the_place_of_creates),
        TEST(test_gets_and_resolves_do_not_wait_behind_lists),
        TEST(test_no_more_reads_wait_than_transports_keep_calls_for),
        TEST(test_no_resolve_is_refused_however_many_reads_wait),
        TEST(test_a_read_whose_deadline_is_past_is_not_begun),
        TEST(test_a_read_whose_deadline_passes_while_it_waits_is_not_begun),
        TEST(test_a_create_is_stored_whatever_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

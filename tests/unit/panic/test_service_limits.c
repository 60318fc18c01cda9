/* What happens at the bounds: too many reads, deadlines, memory that ends, a stop with calls under way, a
 * disk error. */
#include "unit/panic/rig.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "panic/fail_stop.h"

#define CREATE "/panic.v1.PanicService/CreatePanic"
#define READS_MAX (4 * SERVICE_QUERIES_MAX)

struct payload {
    uint8_t bytes[2048];
    size_t length;
};

static struct payload packed(const ProtobufCMessage *message)
{
    struct payload payload;
    payload.length = protobuf_c_message_get_packed_size(message);
    assert_true(payload.length <= sizeof(payload.bytes));
    protobuf_c_message_pack(message, payload.bytes);
    return payload;
}

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
    struct payload payload = packed(&request.base);
    struct local_call *late = local_call_start_raw(rig->router, RIG_TENANT, "/panic.v1.PanicService/GetPanic",
                                                   payload.bytes, payload.length, RPC_ARENA_MAX, deadline_us);
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
    struct local_call *call =
        local_call_start_raw(rig->router, RIG_TENANT, CREATE, NULL, 0, RPC_ARENA_MAX, 1);
    assert_true(rig_panic_of(call)->durable);
    local_call_free(call);
    assert_int_equal(rig_counts(rig).panics, 1);
}

/* ---- memory that ends ---- */

static struct payload create_payload(unsigned n)
{
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    place.lat = 91;
    Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(n);
    request.location = &place;
    request.subject_id = (char *)"somebody";
    return packed(&request.base);
}

/*
 * The call with ever more memory, until it succeeds: until then RESOURCE_EXHAUSTED, each time.
 * `after_failure` looks at what the failure of number n left behind.
 */
static void assert_ends_well_with_any_memory(struct rig *rig, const char *path,
                                             struct payload (*payload_of)(unsigned),
                                             void (*after_failure)(struct rig *rig, unsigned n))
{
    enum status status = STATUS_UNKNOWN;
    unsigned failures = 0;
    for (unsigned n = 1; status != STATUS_OK; n++) {
        struct payload payload = payload_of(n);
        status = rig_end(local_call_start_raw(rig->router, RIG_TENANT, path, payload.bytes, payload.length,
                                              (size_t)n * 16, 0));
        if (status != STATUS_OK) {
            assert_status(status, STATUS_RESOURCE_EXHAUSTED);
            failures++;
            if (after_failure != NULL) {
                after_failure(rig, n);
            }
        }
    }
    assert_true(failures > 10);
}

static void assert_not_stored(struct rig *rig, unsigned n)
{
    assert_status(rig_get_status(rig, n), STATUS_NOT_FOUND);
}

static void test_a_create_without_memory_stores_nothing(void **state)
{
    assert_ends_well_with_any_memory(*state, CREATE, create_payload, assert_not_stored);
}

static struct payload repeat_payload(unsigned n)
{
    (void)n;
    return create_payload(7);
}

static void test_a_repeat_without_memory_fails_and_harms_nothing(void **state)
{
    struct rig *rig = *state;
    struct payload payload = create_payload(7);
    assert_ok(rig_end(local_call_start_raw(rig->router, RIG_TENANT, CREATE, payload.bytes, payload.length,
                                           RPC_ARENA_MAX, 0)));
    assert_ends_well_with_any_memory(rig, CREATE, repeat_payload, NULL);
    assert_ok(rig_get_status(rig, 7));
    assert_int_equal(rig_counts(rig).panics, 1);
}

static struct payload get_payload(unsigned n)
{
    (void)n;
    Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    return packed(&request.base);
}

static void test_a_get_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_ends_well_with_any_memory(rig, "/panic.v1.PanicService/GetPanic", get_payload, NULL);
}

static struct payload list_payload(unsigned n)
{
    (void)n;
    return (struct payload){.length = 0};
}

static void test_a_list_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_ends_well_with_any_memory(rig, "/panic.v1.PanicService/ListPanics", list_payload, NULL);
}

static struct payload resolve_payload(unsigned n)
{
    (void)n;
    Panic__V1__ResolvePanicRequest request = PANIC__V1__RESOLVE_PANIC_REQUEST__INIT;
    request.id = (char *)rig_id(1);
    return packed(&request.base);
}

static void test_a_resolve_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_ends_well_with_any_memory(rig, "/panic.v1.PanicService/ResolvePanic", resolve_payload, NULL);
    assert_ok(rig_get_status(rig, 1));
}

static struct payload put_payload(unsigned n)
{
    (void)n;
    Panic__V1__Location place = PANIC__V1__LOCATION__INIT;
    Panic__V1__Responder responder = PANIC__V1__RESPONDER__INIT;
    responder.id = (char *)"unit";
    responder.location = &place;
    Panic__V1__PutResponderRequest request = PANIC__V1__PUT_RESPONDER_REQUEST__INIT;
    request.responder = &responder;
    return packed(&request.base);
}

static void test_a_put_without_memory_fails(void **state)
{
    struct rig *rig = *state;
    assert_ends_well_with_any_memory(rig, "/panic.v1.DispatchService/PutResponder", put_payload, NULL);
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
}

/* ---- stop ---- */

static void *stop(void *arg)
{
    struct rig *rig = arg;
    service_stop(rig->service);
    return NULL;
}

static void test_stop_answers_every_call_once(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_CREATE);
    gated_store_hold(rig->store, GATE_GET);
    struct local_call *creates[300];
    struct local_call *reads[100];
    for (unsigned i = 0; i < 300; i++) {
        creates[i] = rig_start_create(rig, 10 + i);
    }
    for (unsigned i = 0; i < 100; i++) {
        reads[i] = rig_start_get(rig, RIG_TENANT, 10 + i);
    }
    struct local_call *resolve = rig_start_resolve(rig, 1, "");
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    assert_true(gated_store_await_held(rig->store, GATE_GET, 1));
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop, rig), 0);
    gated_store_release(rig->store, GATE_GET);
    for (unsigned i = 0; i < 100; i++) {
        enum status status = rig_end(reads[i]);
        assert_true(status == STATUS_OK || status == STATUS_NOT_FOUND);
    }
    gated_store_release(rig->store, GATE_CREATE);
    for (unsigned i = 0; i < 300; i++) {
        assert_ok(rig_end(creates[i]));
    }
    assert_ok(rig_end(resolve));
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(rig_counts(rig).panics, 301);
}

/* What was committed during the stop must not be answered as if it had been refused. */
static void test_what_is_committed_during_the_stop_is_acknowledged(void **state)
{
    struct rig *rig = *state;
    struct local_call *accepted[READS_MAX];
    unsigned n = 0;
    gated_store_hold(rig->store, GATE_CREATE);
    accepted[n++] = rig_start_create(rig, 1);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop, rig), 0);
    /* Until the intake is closed, which shows in a create that is refused at once. */
    while (n < READS_MAX && !local_call_is_answered(accepted[n - 1])) {
        sched_yield();
        accepted[n] = rig_start_create(rig, n + 1);
        n++;
    }
    assert_status(rig_end(accepted[--n]), STATUS_UNAVAILABLE);
    gated_store_release(rig->store, GATE_CREATE);
    for (unsigned i = 0; i < n; i++) {
        assert_ok(rig_end(accepted[i]));
    }
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(rig_counts(rig).panics, n);
}

static void test_after_the_stop_calls_are_refused(void **state)
{
    struct rig *rig = *state;
    service_stop(rig->service);
    assert_status(rig_end(rig_start_create(rig, 1)), STATUS_UNAVAILABLE);
    assert_status(rig_get_status(rig, 1), STATUS_UNAVAILABLE);
    assert_status(rig_end(rig_start_resolve(rig, 1, "")), STATUS_UNAVAILABLE);
    assert_status(rig_end(rig_start_put(rig, RIG_TENANT, "unit", RESPONDER_STATE(AVAILABLE))),
                  STATUS_UNAVAILABLE);
    assert_status(rig_end(rig_start_list(rig, 0, "")), STATUS_UNAVAILABLE);
    assert_int_equal(rig_counts(rig).panics, 0);
    service_stop(rig->service);
}

static void test_a_resolve_overtaken_during_the_stop_is_answered(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    gated_store_hold(rig->store, GATE_CHANGE);
    struct local_call *resolve = rig_start_resolve(rig, 1, "");
    assert_true(gated_store_await_held(rig->store, GATE_CHANGE, 1));
    rig_advance(rig, LIFECYCLE_RETRY_MIN_US);
    rig_await_version(rig, 1, 2);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop, rig), 0);
    /* The pool for gets closes last; once it refuses, what the commit hands back to it has nowhere to go. */
    while (rig_get_status(rig, 99) != STATUS_UNAVAILABLE) {
    }
    gated_store_release(rig->store, GATE_CHANGE);
    assert_status(rig_end(resolve), STATUS_UNAVAILABLE);
    assert_int_equal(pthread_join(stopper, NULL), 0);
}

/* ---- fail-stop ---- */

/* Runs `calls` in a process of its own, whose store has an I/O error at the gate; returns its exit status. */
static int exit_after_io_error(enum gate gate, void (*calls)(struct rig *rig))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        void *state;
        rig_set_up(&state);
        struct rig *rig = state;
        rig_create(rig, 1);
        gated_store_fail(rig->store, gate, STATUS_DATA_LOSS);
        calls(rig);
        _exit(0);
    }
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    return WEXITSTATUS(ended);
}

static void create_another(struct rig *rig)
{
    (void)rig_end(rig_start_create(rig, 2));
}

static void read_unknown(struct rig *rig)
{
    (void)rig_get_status(rig, 2);
}

static void resolve_it(struct rig *rig)
{
    (void)rig_end(rig_start_resolve(rig, 1, ""));
}

static void dispatch_it(struct rig *rig)
{
    rig_put(rig, "unit");
    rig_await_scan(rig);
}

static void wait_for_scan(struct rig *rig)
{
    rig_await_scan(rig);
}

static void test_an_io_error_ends_the_process_without_an_answer(void **state)
{
    (void)state;
    assert_int_equal(exit_after_io_error(GATE_CREATE, create_another), FAIL_STOP_EXIT);
    assert_int_equal(exit_after_io_error(GATE_GET, read_unknown), FAIL_STOP_EXIT);
    assert_int_equal(exit_after_io_error(GATE_CHANGE, resolve_it), FAIL_STOP_EXIT);
    assert_int_equal(exit_after_io_error(GATE_DISPATCH, dispatch_it), FAIL_STOP_EXIT);
    assert_int_equal(exit_after_io_error(GATE_DUE, wait_for_scan), FAIL_STOP_EXIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_set_up, rig_tear_down)
#define TEST_WITHOUT_CACHE(name)                                                                             \
    {                                                                                                        \
#name " (nothing cached)", name, rig_set_up_without_cache, rig_tear_down, NULL                       \
    }

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
        /* First: its processes are copies of this one, which has no other threads yet. */
        cmocka_unit_test(test_an_io_error_ends_the_process_without_an_answer),
        cmocka_unit_test_setup_teardown(test_a_responder_beyond_the_limit_is_refused_and_not_stored,
                                        rig_set_up_stopped, rig_tear_down),
        TEST(test_too_many_reads_are_sent_away_for_a_second),
        TEST(test_waiting_reads_do_not_take_the_place_of_creates),
        TEST(test_gets_and_resolves_do_not_wait_behind_lists),
        TEST(test_no_more_reads_wait_than_transports_keep_calls_for),
        TEST(test_no_resolve_is_refused_however_many_reads_wait),
        TEST(test_a_read_whose_deadline_is_past_is_not_begun),
        TEST(test_a_read_whose_deadline_passes_while_it_waits_is_not_begun),
        TEST(test_a_create_is_stored_whatever_its_deadline),
        TEST(test_a_create_without_memory_stores_nothing),
        TEST(test_a_repeat_without_memory_fails_and_harms_nothing),
        TEST(test_a_get_without_memory_fails),
        TEST_WITHOUT_CACHE(test_a_get_without_memory_fails),
        TEST(test_a_list_without_memory_fails),
        TEST(test_a_resolve_without_memory_fails),
        TEST(test_a_put_without_memory_fails),
        TEST(test_stop_answers_every_call_once),
        TEST(test_what_is_committed_during_the_stop_is_acknowledged),
        TEST(test_after_the_stop_calls_are_refused),
        TEST(test_a_resolve_overtaken_during_the_stop_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

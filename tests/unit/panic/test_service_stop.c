/*
 * How a service ends. Told to stop, it answers each call once: what was accepted with what came of it, the
 * rest with UNAVAILABLE. After an I/O error of the store it ends the process, and nobody is answered.
 */
#include "unit/panic/rig.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "panic/fail_stop.h"

/* Some may be accepted before the stop begins: on a busy machine many. */
#define CREATES_MAX (RIG_CALLS_MAX / 2)

static void *stop(void *arg)
{
    struct rig *rig = arg;
    service_stop(rig->service);
    return NULL;
}

struct begun_stop {
    struct rig *rig;
    pthread_barrier_t begun;
};

static void *stop_begun(void *arg)
{
    struct begun_stop *stop = arg;
    pthread_barrier_wait(&stop->begun);
    service_stop(stop->rig->service);
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
    struct local_call *accepted[CREATES_MAX];
    unsigned n = 0;
    gated_store_hold(rig->store, GATE_CREATE);
    accepted[n++] = rig_start_create(rig, 1);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    struct begun_stop begun = {.rig = rig};
    pthread_barrier_init(&begun.begun, NULL, 2);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_begun, &begun), 0);
    pthread_barrier_wait(&begun.begun);
    /* Until the intake is closed, which shows in a create that is refused at once. */
    while (n < CREATES_MAX && !local_call_is_answered(accepted[n - 1])) {
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
    pthread_barrier_destroy(&begun.begun);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: its processes are copies of this one, which has no other threads yet. */
        cmocka_unit_test(test_an_io_error_ends_the_process_without_an_answer),
        TEST(test_stop_answers_every_call_once),
        TEST(test_what_is_committed_during_the_stop_is_acknowledged),
        TEST(test_after_the_stop_calls_are_refused),
        TEST(test_a_resolve_overtaken_during_the_stop_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

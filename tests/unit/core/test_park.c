/* Parking: who is woken, when a system call is due, and that no wake-up is lost. */
#include "harness/test.h"

#include <sched.h>

#include "actor.h"
#include "base/clock.h"
#include "core/park.c" /* NOLINT(bugprone-suspicious-include): its steps are under test */

static struct park *new_park(unsigned workers)
{
    struct park *park = NULL;
    assert_ok(park_new(workers, &park));
    return park;
}

/* A worker that parks once; it stops between registering and sleeping, where the caller lets it go on. */
static void act_wait(struct actor *self)
{
    park_prepare(self->subject, (unsigned)self->value);
    park_wait(self->subject, (unsigned)self->value);
}

static void act_wake_one(struct actor *self)
{
    park_wake_one(self->subject);
}

/* Starts a worker and brings it to where it is asleep for its wakers, and next goes into the kernel. */
static void fall_asleep(struct actor *sleeper, struct park *park, unsigned worker)
{
    *sleeper = (struct actor){.act = act_wait, .subject = park, .value = worker, .stop_at = "wait look"};
    assert_true(actor_start(sleeper));
    assert_int_equal(atomic_load(&park->workers[worker].state), ASLEEP);
    actor_resume(sleeper);
}

static bool is_parked(struct park *park, unsigned worker)
{
    return (atomic_load(&park->parked) >> worker & 1) != 0;
}

static void test_number_of_workers_must_be_1_to_64(void **state)
{
    (void)state;
    struct park *park = NULL;
    assert_status(park_new(0, &park), STATUS_INVALID_ARGUMENT);
    assert_status(park_new(PARK_WORKERS_MAX + 1, &park), STATUS_INVALID_ARGUMENT);
    assert_null(park);
    park_free(NULL);
}

static void test_waking_with_nobody_parked_is_one_load_and_no_system_call(void **state)
{
    (void)state;
    struct park *park = new_park(4);
    struct actor waker = {.act = act_wake_one, .subject = park, .stop_at = "none"};
    assert_false(actor_start(&waker));
    assert_int_equal(waker.steps, 1);
    actor_join(&waker);
    assert_int_equal(park_wakeups(park), 0);
    park_free(park);
}

static void test_worker_woken_before_it_sleeps_does_not_sleep_and_costs_no_system_call(void **state)
{
    (void)state;
    struct park *park = new_park(1);
    park_prepare(park, 0);
    park_wake_one(park);
    park_wait(park, 0);
    assert_int_equal(park_wakeups(park), 0);
    park_free(park);
}

static void test_wake_ups_do_not_add_up_while_nobody_is_parked(void **state)
{
    (void)state;
    struct park *park = new_park(1);
    park_wake_one(park);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    park_wake_one(park);
    actor_join(&sleeper);
    assert_int_equal(park_wakeups(park), 1);
    park_free(park);
}

static void test_most_recently_parked_is_woken_first(void **state)
{
    (void)state;
    struct park *park = new_park(PARK_WORKERS_MAX);
    const unsigned order[] = {2, 63, 0, 1};
    struct actor sleepers[4];
    for (unsigned i = 0; i < 4; i++) {
        fall_asleep(&sleepers[i], park, order[i]);
    }
    for (unsigned i = 4; i-- > 0;) {
        park_wake_one(park);
        actor_join(&sleepers[i]);
        assert_false(is_parked(park, order[i]));
        for (unsigned j = 0; j < i; j++) {
            assert_true(is_parked(park, order[j]));
        }
    }
    assert_int_equal(park_wakeups(park), 4);
    park_free(park);
}

static void test_nobody_else_is_woken_while_one_is_on_its_way(void **state)
{
    (void)state;
    struct park *park = new_park(2);
    park_prepare(park, 1);
    park_wake_one(park);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    park_wake_one(park);
    assert_int_equal(atomic_load(&park->workers[0].state), ASLEEP);
    assert_int_equal(park_wakeups(park), 0);
    park_wait(park, 1);
    park_wake_one(park);
    actor_join(&sleeper);
    assert_int_equal(park_wakeups(park), 1);
    park_free(park);
}

static void test_sleeping_worker_does_not_spin(void **state)
{
    (void)state;
    struct park *park = new_park(1);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    /* Time to spin in; a yield may cost a time slice of whatever else runs on the machine. */
    int64_t until_us = monotonic_us() + US_PER_S / 5;
    while (monotonic_us() < until_us) {
        sched_yield();
    }
    park_wake_one(park);
    actor_join(&sleeper);
    assert_in_range(sleeper.steps, 1, 20);
    park_free(park);
}

static void test_cancelled_worker_is_not_woken(void **state)
{
    (void)state;
    struct park *park = new_park(2);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    park_prepare(park, 1);
    park_cancel(park, 1);
    assert_true(is_parked(park, 0));
    assert_int_equal(park_wakeups(park), 0);
    park_wake_one(park);
    actor_join(&sleeper);
    park_free(park);
}

static void test_wake_up_that_hit_a_cancelling_worker_is_passed_on(void **state)
{
    (void)state;
    struct park *park = new_park(2);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    park_prepare(park, 1);
    park_wake_one(park);
    assert_true(is_parked(park, 0));
    park_cancel(park, 1);
    actor_join(&sleeper);
    park_free(park);
}

static void test_cancelled_wake_up_does_not_linger(void **state)
{
    (void)state;
    struct park *park = new_park(1);
    park_prepare(park, 0);
    park_wake_one(park);
    park_cancel(park, 0);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    assert_true(is_parked(park, 0));
    park_wake_one(park);
    actor_join(&sleeper);
    assert_int_equal(park_wakeups(park), 1);
    park_free(park);
}

static void test_wake_all_wakes_everybody(void **state)
{
    (void)state;
    struct park *park = new_park(PARK_WORKERS_MAX);
    struct actor sleepers[PARK_WORKERS_MAX];
    for (unsigned i = 0; i < PARK_WORKERS_MAX; i++) {
        fall_asleep(&sleepers[i], park, i);
    }
    park_wake_all(park);
    for (unsigned i = 0; i < PARK_WORKERS_MAX; i++) {
        actor_join(&sleepers[i]);
    }
    assert_int_equal(atomic_load(&park->parked), 0);
    park_free(park);
}

static void test_waker_stopped_at_any_step_keeps_nobody_asleep(void **state)
{
    (void)state;
    bool was_stopped = true;
    unsigned steps = 0;
    for (; was_stopped; steps++) {
        struct park *park = new_park(1);
        struct actor sleeper;
        fall_asleep(&sleeper, park, 0);
        struct actor waker = {.act = act_wake_one, .subject = park, .skip = steps};
        was_stopped = actor_start(&waker);
        park_wake_one(park);
        actor_join(&sleeper);
        actor_finish(&waker);
        park_free(park);
    }
    assert_in_range(steps, 4, 100);
}

static void test_late_waker_does_not_harm_the_next_sleep(void **state)
{
    (void)state;
    struct park *park = new_park(1);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    struct actor late = {.act = act_wake_one, .subject = park, .stop_at = "wake sleeper"};
    assert_true(actor_start(&late));
    park_wake_one(park);
    actor_join(&sleeper);
    actor_finish(&late);
    fall_asleep(&sleeper, park, 0);
    park_wake_one(park);
    actor_join(&sleeper);
    park_free(park);
}

static void test_waker_whose_choice_woke_up_meanwhile_wakes_another(void **state)
{
    (void)state;
    struct park *park = new_park(2);
    struct actor sleeper;
    fall_asleep(&sleeper, park, 0);
    park_prepare(park, 1);
    struct actor waker = {.act = act_wake_one, .subject = park, .stop_at = "notify"};
    assert_true(actor_start(&waker));
    park_cancel(park, 1);
    assert_true(is_parked(park, 0));
    actor_finish(&waker);
    actor_join(&sleeper);
    park_free(park);
}

/* Tokens go to workers one at a time, so a single lost wake-up stops everything. */

#define TOKENS 20000
#define TOKEN_WORKERS 3

struct tokens {
    struct park *park;
    _Atomic int waiting;
    _Atomic bool closed;
    sem_t taken;
};

struct token_worker {
    struct tokens *tokens;
    unsigned number;
    pthread_t thread;
};

static bool take_token(struct tokens *tokens)
{
    int waiting = atomic_load(&tokens->waiting);
    while (waiting > 0 && !atomic_compare_exchange_weak(&tokens->waiting, &waiting, waiting - 1)) {
    }
    return waiting > 0;
}

static void *take_tokens(void *arg)
{
    struct token_worker *self = arg;
    struct tokens *tokens = self->tokens;
    while (!atomic_load(&tokens->closed)) {
        park_prepare(tokens->park, self->number);
        if (take_token(tokens)) {
            park_cancel(tokens->park, self->number);
            sem_post(&tokens->taken);
        } else if (atomic_load(&tokens->closed)) {
            park_cancel(tokens->park, self->number);
        } else {
            park_wait(tokens->park, self->number);
        }
    }
    return NULL;
}

static void test_no_wake_up_is_lost_in_many_handovers(void **state)
{
    (void)state;
    struct tokens tokens = {.park = new_park(TOKEN_WORKERS)};
    sem_init(&tokens.taken, 0, 0);
    struct token_worker workers[TOKEN_WORKERS];
    for (unsigned i = 0; i < TOKEN_WORKERS; i++) {
        workers[i] = (struct token_worker){.tokens = &tokens, .number = i};
        start_thread(&workers[i].thread, take_tokens, &workers[i]);
    }
    for (int i = 0; i < TOKENS; i++) {
        atomic_fetch_add(&tokens.waiting, 1);
        park_wake_one(tokens.park);
        await(&tokens.taken, "the taking of a token");
    }
    atomic_store(&tokens.closed, true);
    park_wake_all(tokens.park);
    for (unsigned i = 0; i < TOKEN_WORKERS; i++) {
        join_thread(workers[i].thread);
    }
    sem_destroy(&tokens.taken);
    park_free(tokens.park);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_of_workers_must_be_1_to_64),
        cmocka_unit_test(test_waking_with_nobody_parked_is_one_load_and_no_system_call),
        cmocka_unit_test(test_worker_woken_before_it_sleeps_does_not_sleep_and_costs_no_system_call),
        cmocka_unit_test(test_wake_ups_do_not_add_up_while_nobody_is_parked),
        cmocka_unit_test(test_most_recently_parked_is_woken_first),
        cmocka_unit_test(test_nobody_else_is_woken_while_one_is_on_its_way),
        cmocka_unit_test(test_sleeping_worker_does_not_spin),
        cmocka_unit_test(test_cancelled_worker_is_not_woken),
        cmocka_unit_test(test_wake_up_that_hit_a_cancelling_worker_is_passed_on),
        cmocka_unit_test(test_cancelled_wake_up_does_not_linger),
        cmocka_unit_test(test_wake_all_wakes_everybody),
        cmocka_unit_test(test_waker_stopped_at_any_step_keeps_nobody_asleep),
        cmocka_unit_test(test_late_waker_does_not_harm_the_next_sleep),
        cmocka_unit_test(test_waker_whose_choice_woke_up_meanwhile_wakes_another),
        cmocka_unit_test(test_no_wake_up_is_lost_in_many_handovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

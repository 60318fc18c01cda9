/* The pool step by step: the races of submitting with parking and with closing, played on purpose. */
#include "harness/test.h"

#include "actor.h"
#include "core/park.c" /* NOLINT(bugprone-suspicious-include): their steps are under test */
#include "core/pool.c" /* NOLINT(bugprone-suspicious-include) */
#include "core/ring.c" /* NOLINT(bugprone-suspicious-include) */

/* The test itself is no passer-by. */
static struct actor spectator = {.stop_at = "none"};

static sem_t entered;
static sem_t go;
static _Atomic size_t n_run;

/* Holds the worker until the test lets it go. */
static void run(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)ctx;
    (void)worker;
    (void)items;
    sem_post(&entered);
    await(&go, "leave to go on");
    atomic_fetch_add(&n_run, n);
}

static void act_submit(struct actor *self)
{
    self->value = pool_submit(self->subject, NULL);
}

static int set_up(void **state)
{
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&go, 0, 0);
    n_run = 0;
    passer_by = NULL;
    current_actor = &spectator;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sem_destroy(&entered);
    sem_destroy(&go);
    return 0;
}

static struct pool *new_pool(unsigned workers, size_t capacity)
{
    const struct pool_config config = {
        .name = "steps", .workers = workers, .capacity = capacity, .batch_max = 1, .run = run};
    struct pool *pool = NULL;
    enum status status = pool_new(&config, &pool);
    assert(status == STATUS_OK);
    return pool;
}

/* A pool of which one worker, the one that comes there after `skip` others, is stopped at the given step. */
static struct pool *new_pool_stopped_at(struct actor *stopped, unsigned workers, unsigned skip,
                                        const char *step)
{
    *stopped = (struct actor){.stop_at = step, .skip = skip};
    actor_init(stopped);
    passer_by = stopped;
    struct pool *pool = new_pool(workers, 16);
    await(&stopped->paused, "the stop of a worker");
    return pool;
}

static void let_run(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        await(&entered, "a run");
    }
    for (size_t i = 0; i < n; i++) {
        sem_post(&go);
    }
}

static void test_item_submitted_before_the_worker_registers_is_found(void **state)
{
    (void)state;
    struct actor worker;
    struct pool *pool = new_pool_stopped_at(&worker, 1, 0, "prepare stamp");
    assert_ok(pool_submit(pool, NULL));
    actor_resume(&worker);
    let_run(1);
    pool_free(pool);
    assert_int_equal(n_run, 1);
    actor_release(&worker);
}

static void test_items_left_behind_a_batch_go_to_another_worker(void **state)
{
    (void)state;
    struct actor worker;
    struct pool *pool = new_pool_stopped_at(&worker, 3, 2, "pool gate");
    for (int i = 0; i < 3; i++) {
        assert_ok(pool_submit(pool, NULL));
    }
    actor_resume(&worker);
    let_run(3);
    pool_free(pool);
    assert_int_equal(n_run, 3);
    actor_release(&worker);
}

static void test_item_accepted_just_before_close_is_run(void **state)
{
    (void)state;
    struct actor worker;
    struct pool *pool = new_pool_stopped_at(&worker, 1, 0, "pool gate");
    assert_ok(pool_submit(pool, NULL));
    pool_close(pool);
    actor_resume(&worker);
    let_run(1);
    pool_free(pool);
    assert_int_equal(n_run, 1);
    actor_release(&worker);
}

static void test_submitter_that_close_met_inside_gets_its_item_run(void **state)
{
    (void)state;
    struct pool *pool = new_pool(2, 16);
    struct actor submitter = {.act = act_submit, .subject = pool, .stop_at = "enqueue enter"};
    assert_true(actor_start(&submitter));
    pool_close(pool);
    actor_finish(&submitter);
    assert_status((enum status)submitter.value, STATUS_OK);
    let_run(1);
    pool_free(pool);
    assert_int_equal(n_run, 1);
}

static void test_submitter_that_close_met_outside_is_refused(void **state)
{
    (void)state;
    struct pool *pool = new_pool(1, 16);
    struct actor submitter = {.act = act_submit, .subject = pool, .stop_at = "pool enter"};
    assert_true(actor_start(&submitter));
    pool_stop(pool);
    actor_finish(&submitter);
    assert_status((enum status)submitter.value, STATUS_UNAVAILABLE);
    assert_int_equal(pool_stats(pool).depth, 0);
    pool_free(pool);
}

static void test_refusing_after_close_leaves_the_gate_alone(void **state)
{
    (void)state;
    struct pool *pool = new_pool(1, 16);
    pool_close(pool);
    struct actor submitter = {.act = act_submit, .subject = pool, .stop_at = "pool enter"};
    assert_false(actor_start(&submitter));
    actor_join(&submitter);
    assert_status((enum status)submitter.value, STATUS_UNAVAILABLE);
    pool_free(pool);
}

static void test_more_submitters_than_the_ring_bears_find_the_queue_full(void **state)
{
    (void)state;
    struct pool *pool = new_pool(1, 4);
    struct actor submitters[3];
    for (int i = 0; i < 3; i++) {
        submitters[i] = (struct actor){.act = act_submit, .subject = pool, .stop_at = "dequeue threshold"};
        assert_true(actor_start(&submitters[i]));
    }
    assert_status(pool_submit(pool, NULL), STATUS_RESOURCE_EXHAUSTED);
    for (int i = 0; i < 3; i++) {
        actor_finish(&submitters[i]);
        assert_status((enum status)submitters[i].value, STATUS_OK);
    }
    for (int i = 0; i < 3; i++) {
        let_run(1);
    }
    pool_free(pool);
    assert_int_equal(n_run, 3);
}

static void test_submitter_stopped_at_any_step_stops_no_other(void **state)
{
    (void)state;
    bool was_stopped = true;
    unsigned steps = 0;
    for (; was_stopped; steps++) {
        struct pool *pool = new_pool(1, 16);
        struct actor stopped = {.act = act_submit, .subject = pool, .skip = steps};
        was_stopped = actor_start(&stopped);
        assert_ok(pool_submit(pool, NULL));
        let_run(1);
        actor_finish(&stopped);
        let_run(1);
        pool_free(pool);
    }
    assert_in_range(steps, 12, 100);
    assert_int_equal(n_run, 2 * steps);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_item_submitted_before_the_worker_registers_is_found),
        TEST(test_items_left_behind_a_batch_go_to_another_worker),
        TEST(test_item_accepted_just_before_close_is_run),
        TEST(test_submitter_that_close_met_inside_gets_its_item_run),
        TEST(test_submitter_that_close_met_outside_is_refused),
        TEST(test_refusing_after_close_leaves_the_gate_alone),
        TEST(test_more_submitters_than_the_ring_bears_find_the_queue_full),
        TEST(test_submitter_stopped_at_any_step_stops_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

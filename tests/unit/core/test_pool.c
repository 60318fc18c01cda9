/* The pool: every accepted item is run exactly once, in batches, by workers that sleep when there is nothing.
 */
#include "harness/test.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

#include "await.h"
#include "core/pool.h"

#define ITEMS_MAX 65536

/* What the workers did, and a gate at which they can be held. */
struct record {
    bool hold;
    sem_t entered;
    sem_t go;
    sem_t ran;
    _Atomic unsigned char runs[ITEMS_MAX];
    _Atomic size_t total;
    _Atomic size_t largest_batch;
    /* How often a worker asked whether to linger. */
    _Atomic size_t asked;
    _Atomic uint64_t workers_seen;
    /* The items of the latest batch; one worker only. */
    uintptr_t latest[POOL_BATCH_MAX];
    char thread_name[16];
    bool sigterm_blocked;
};

static struct record record;

static void *item(size_t number)
{
    return (void *)(uintptr_t)number;
}

static void run(void *ctx, unsigned worker, void **items, size_t n)
{
    struct record *self = ctx;
    if (self->hold) {
        sem_post(&self->entered);
        await(&self->go, "leave to go on");
    }
    atomic_fetch_or(&self->workers_seen, 1ULL << worker);
    size_t largest = atomic_load(&self->largest_batch);
    while (largest < n && !atomic_compare_exchange_weak(&self->largest_batch, &largest, n)) {
    }
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_add(&self->runs[(uintptr_t)items[i]], 1);
    }
    atomic_fetch_add(&self->total, n);
    for (size_t i = 0; i < n; i++) {
        sem_post(&self->ran);
    }
}

static int set_up(void **state)
{
    (void)state;
    memset(&record, 0, sizeof(record));
    sem_init(&record.entered, 0, 0);
    sem_init(&record.go, 0, 0);
    sem_init(&record.ran, 0, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sem_destroy(&record.entered);
    sem_destroy(&record.go);
    sem_destroy(&record.ran);
    return 0;
}

static struct pool_config config_of(unsigned workers, size_t capacity, size_t batch_max)
{
    return (struct pool_config){.name = "pool-under-test",
                                .workers = workers,
                                .capacity = capacity,
                                .batch_max = batch_max,
                                .run = run,
                                .ctx = &record};
}

static struct pool *new_pool(unsigned workers, size_t capacity, size_t batch_max)
{
    struct pool_config config = config_of(workers, capacity, batch_max);
    struct pool *pool = NULL;
    assert_ok(pool_new(&config, &pool));
    return pool;
}

static void await_runs(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        await(&record.ran, "the run of an item");
    }
}

static void assert_each_ran_once(size_t n)
{
    assert_int_equal(record.total, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(record.runs[i], 1);
    }
}

/* A pool whose only worker is held inside `run` with item 0. */
static struct pool *new_busy_pool(size_t capacity, size_t batch_max)
{
    record.hold = true;
    struct pool *pool = new_pool(1, capacity, batch_max);
    assert_ok(pool_submit(pool, item(0)));
    await(&record.entered, "the first run");
    return pool;
}

static void test_config_out_of_bounds_is_refused(void **state)
{
    (void)state;
    struct pool_config bad[] = {config_of(0, 16, 1), config_of(POOL_WORKERS_MAX + 1, 1024, 1),
                                config_of(1, 16, 0), config_of(1, 16, POOL_BATCH_MAX + 1),
                                config_of(1, 0, 1),  config_of(1, 17, 1),
                                config_of(2, 2, 1),  config_of(1, SIZE_MAX, 1),
                                config_of(1, 16, 1), config_of(1, 16, 1),
                                config_of(1, 16, 1)};
    bad[8].name = "sixteen-letters-";
    bad[9].name = NULL;
    bad[10].run = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct pool *pool = NULL;
        assert_status(pool_new(&bad[i], &pool), STATUS_INVALID_ARGUMENT);
        assert_null(pool);
    }
}

static void test_free_takes_null_and_an_idle_pool(void **state)
{
    (void)state;
    pool_free(NULL);
    pool_free(new_pool(POOL_WORKERS_MAX, 128, POOL_BATCH_MAX));
}

static void test_every_item_is_run_exactly_once(void **state)
{
    (void)state;
    struct pool *pool = new_pool(4, 1024, 16);
    for (size_t i = 0; i < ITEMS_MAX; i++) {
        enum status status;
        while ((status = pool_submit(pool, item(i))) == STATUS_RESOURCE_EXHAUSTED) {
            sched_yield();
        }
        assert_ok(status);
    }
    await_runs(ITEMS_MAX);
    assert_int_equal(pool_stats(pool).submitted, ITEMS_MAX);
    pool_free(pool);
    assert_each_ran_once(ITEMS_MAX);
    assert_in_range(record.largest_batch, 1, 16);
}

static void note_latest(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)worker;
    struct record *self = ctx;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    self->sigterm_blocked = sigismember(&blocked, SIGTERM) == 1;
    pthread_getname_np(pthread_self(), self->thread_name, sizeof(self->thread_name));
    sem_post(&self->entered);
    await(&self->go, "leave to go on");
    for (size_t i = 0; i < n; i++) {
        self->latest[i] = (uintptr_t)items[i];
    }
    self->largest_batch = n;
    sem_post(&self->ran);
}

static void test_batch_grows_in_order_while_the_worker_is_busy(void **state)
{
    (void)state;
    struct pool_config config = config_of(1, 1024, 256);
    config.run = note_latest;
    struct pool *pool = NULL;
    assert_ok(pool_new(&config, &pool));
    assert_ok(pool_submit(pool, item(0)));
    await(&record.entered, "the first run");
    for (size_t i = 1; i <= 300; i++) {
        assert_ok(pool_submit(pool, item(i)));
    }
    assert_int_equal(pool_stats(pool).depth, 300);
    sem_post(&record.go);
    await(&record.ran, "the first batch");
    sem_post(&record.go);
    await(&record.ran, "the second batch");
    assert_int_equal(record.largest_batch, 256);
    for (size_t i = 0; i < 256; i++) {
        assert_int_equal(record.latest[i], i + 1);
    }
    sem_post(&record.go);
    await(&record.ran, "the third batch");
    assert_int_equal(record.largest_batch, 44);
    assert_int_equal(pool_stats(pool).batches, 3);
    pool_free(pool);
}

static struct pool *lingering_pool;

/* More comes while the worker is about to wait. */
static unsigned linger_over_one(void *ctx, void **items, size_t n)
{
    struct record *self = ctx;
    self->asked++;
    if (n > 1) {
        return 0;
    }
    uintptr_t first = (uintptr_t)items[0];
    for (uintptr_t next = first + 1; next < first + 4; next++) {
        if (pool_submit(lingering_pool, item(next)) != STATUS_OK) {
            abort();
        }
    }
    return 1;
}

static void test_what_comes_while_a_worker_lingers_is_in_its_batch(void **state)
{
    (void)state;
    struct pool_config config = config_of(1, 16, 8);
    config.linger_us = linger_over_one;
    assert_ok(pool_new(&config, &lingering_pool));
    assert_ok(pool_submit(lingering_pool, item(0)));
    await_runs(4);
    pool_stop(lingering_pool);
    assert_each_ran_once(4);
    assert_int_equal(record.largest_batch, 4);
    assert_int_equal(pool_stats(lingering_pool).batches, 1);
    pool_free(lingering_pool);
}

static void test_a_worker_with_a_full_batch_does_not_ask_whether_to_linger(void **state)
{
    (void)state;
    struct pool_config config = config_of(1, 16, 1);
    config.linger_us = linger_over_one;
    assert_ok(pool_new(&config, &lingering_pool));
    assert_ok(pool_submit(lingering_pool, item(0)));
    await_runs(1);
    pool_stop(lingering_pool);
    assert_int_equal(record.asked, 0);
    pool_free(lingering_pool);
}

static void test_workers_carry_the_name_and_take_no_signals(void **state)
{
    (void)state;
    struct pool_config config = config_of(1, 16, 1);
    config.run = note_latest;
    struct pool *pool = NULL;
    assert_ok(pool_new(&config, &pool));
    assert_ok(pool_submit(pool, item(0)));
    sem_post(&record.go);
    await(&record.ran, "the run");
    assert_string_equal(record.thread_name, "pool-under-test");
    assert_true(record.sigterm_blocked);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGTERM), 0);
    pool_free(pool);
}

static void test_full_queue_refuses_and_takes_again_later(void **state)
{
    (void)state;
    struct pool *pool = new_busy_pool(16, 16);
    for (size_t i = 1; i <= 16; i++) {
        assert_ok(pool_submit(pool, item(i)));
    }
    assert_status(pool_submit(pool, item(17)), STATUS_RESOURCE_EXHAUSTED);
    struct pool_stats stats = pool_stats(pool);
    assert_int_equal(stats.depth, 16);
    assert_int_equal(stats.capacity, 16);
    assert_int_equal(stats.submitted, 17);
    sem_post(&record.go);
    await(&record.entered, "the second run");
    assert_ok(pool_submit(pool, item(17)));
    sem_post(&record.go);
    sem_post(&record.go);
    pool_free(pool);
    assert_each_ran_once(18);
}

static void test_close_refuses_what_comes_after_it(void **state)
{
    (void)state;
    struct pool *pool = new_pool(2, 16, 4);
    pool_close(pool);
    pool_close(pool);
    assert_status(pool_submit(pool, item(0)), STATUS_UNAVAILABLE);
    pool_stop(pool);
    pool_stop(pool);
    assert_status(pool_submit(pool, item(0)), STATUS_UNAVAILABLE);
    assert_int_equal(pool_stats(pool).submitted, 0);
    pool_free(pool);
    assert_int_equal(record.total, 0);
}

static void test_stop_finishes_what_was_accepted(void **state)
{
    (void)state;
    struct pool *pool = new_busy_pool(128, 4);
    for (size_t i = 1; i <= 100; i++) {
        assert_ok(pool_submit(pool, item(i)));
    }
    pool_close(pool);
    for (size_t i = 0; i <= 100; i++) {
        sem_post(&record.go);
    }
    pool_stop(pool);
    assert_each_ran_once(101);
    assert_int_equal(pool_stats(pool).depth, 0);
    pool_free(pool);
}

static void test_no_system_call_while_the_worker_is_awake(void **state)
{
    (void)state;
    struct pool *pool = new_busy_pool(1024, 256);
    uint64_t wakeups = pool_stats(pool).wakeups;
    for (size_t i = 1; i <= 1000; i++) {
        assert_ok(pool_submit(pool, item(i)));
    }
    assert_int_equal(pool_stats(pool).wakeups, wakeups);
    for (size_t i = 0; i <= 1000; i++) {
        sem_post(&record.go);
    }
    await_runs(1001);
    assert_in_range(pool_stats(pool).wakeups, 0, 1);
    pool_free(pool);
    assert_each_ran_once(1001);
}

static void test_items_left_behind_a_batch_go_to_another_worker(void **state)
{
    (void)state;
    record.hold = true;
    struct pool *pool = new_pool(3, 16, 1);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(pool_submit(pool, item(i)));
    }
    for (size_t i = 0; i < 3; i++) {
        await(&record.entered, "a worker for each item");
    }
    for (size_t i = 0; i < 3; i++) {
        sem_post(&record.go);
    }
    await_runs(3);
    assert_int_equal(record.workers_seen, 7);
    pool_free(pool);
}

#define CHAIN 1000

struct chain {
    struct pool *pool;
    _Atomic size_t links;
    sem_t refused;
};

/* Each run submits the next, until the pool is closed. */
static void run_chain(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)worker;
    (void)n;
    struct chain *chain = ctx;
    size_t links = atomic_fetch_add(&chain->links, 1) + 1;
    if (links == CHAIN) {
        pool_close(chain->pool);
    }
    if (pool_submit(chain->pool, items[0]) == STATUS_UNAVAILABLE) {
        sem_post(&chain->refused);
    }
}

static void test_run_may_submit_to_and_close_its_own_pool(void **state)
{
    (void)state;
    struct chain chain = {.pool = NULL};
    sem_init(&chain.refused, 0, 0);
    struct pool_config config = config_of(1, 4, 1);
    config.run = run_chain;
    config.ctx = &chain;
    assert_ok(pool_new(&config, &chain.pool));
    assert_ok(pool_submit(chain.pool, NULL));
    await(&chain.refused, "the end of the chain");
    pool_free(chain.pool);
    assert_int_equal(chain.links, CHAIN);
    sem_destroy(&chain.refused);
}

static void test_no_wake_up_is_lost_in_many_handovers(void **state)
{
    (void)state;
    struct pool *pool = new_pool(3, 16, 4);
    for (size_t i = 0; i < 20000; i++) {
        assert_ok(pool_submit(pool, item(i)));
        await(&record.ran, "the run of an item");
    }
    pool_free(pool);
    assert_each_ran_once(20000);
}

#define RACE_SUBMITTERS 3
#define RACE_ITEMS 200
#define RACE_ROUNDS 300

struct submitter {
    struct pool *pool;
    pthread_barrier_t *start;
    size_t first;
    bool accepted[RACE_ITEMS];
    pthread_t thread;
};

static void *submit_until_closed(void *arg)
{
    struct submitter *self = arg;
    pthread_barrier_wait(self->start);
    for (size_t i = 0; i < RACE_ITEMS; i++) {
        self->accepted[i] = pool_submit(self->pool, item(self->first + i)) == STATUS_OK;
    }
    return NULL;
}

/* Stopping, not only closing, while others submit: what was accepted was run by the time that pool_stop
 * returns. */
static void play_closing_race(unsigned workers, size_t capacity)
{
    memset((void *)record.runs, 0, sizeof(record.runs));
    struct submitter submitters[RACE_SUBMITTERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, RACE_SUBMITTERS + 1);
    struct pool *pool = new_pool(workers, capacity, 8);
    for (size_t i = 0; i < RACE_SUBMITTERS; i++) {
        submitters[i] = (struct submitter){.pool = pool, .start = &start, .first = i * RACE_ITEMS};
        start_thread(&submitters[i].thread, submit_until_closed, &submitters[i]);
    }
    pthread_barrier_wait(&start);
    pool_stop(pool);
    size_t ran = record.total;
    for (size_t i = 0; i < RACE_SUBMITTERS; i++) {
        join_thread(submitters[i].thread);
        for (size_t j = 0; j < RACE_ITEMS; j++) {
            assert_int_equal(record.runs[submitters[i].first + j], submitters[i].accepted[j] ? 1 : 0);
        }
    }
    assert_int_equal(record.total, ran);
    pool_free(pool);
    pthread_barrier_destroy(&start);
}

static void test_nothing_accepted_is_lost_when_stopping_races_with_submitting(void **state)
{
    (void)state;
    for (int i = 0; i < RACE_ROUNDS; i++) {
        play_closing_race(1, 1024);
        play_closing_race(2, 4);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_config_out_of_bounds_is_refused),
        TEST(test_free_takes_null_and_an_idle_pool),
        TEST(test_every_item_is_run_exactly_once),
        TEST(test_batch_grows_in_order_while_the_worker_is_busy),
        TEST(test_what_comes_while_a_worker_lingers_is_in_its_batch),
        TEST(test_a_worker_with_a_full_batch_does_not_ask_whether_to_linger),
        TEST(test_workers_carry_the_name_and_take_no_signals),
        TEST(test_full_queue_refuses_and_takes_again_later),
        TEST(test_close_refuses_what_comes_after_it),
        TEST(test_stop_finishes_what_was_accepted),
        TEST(test_no_system_call_while_the_worker_is_awake),
        TEST(test_items_left_behind_a_batch_go_to_another_worker),
        TEST(test_run_may_submit_to_and_close_its_own_pool),
        TEST(test_no_wake_up_is_lost_in_many_handovers),
        TEST(test_nothing_accepted_is_lost_when_stopping_races_with_submitting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

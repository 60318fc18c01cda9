/* Work on nng's threads: every item is run once, also when there is more of it than room. */
#include "harness/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "rpc/tasks.h"

#define ITEMS_MAX 5000

struct fixture {
    struct rpc_tasks *tasks;
    _Atomic unsigned runs[ITEMS_MAX];
    _Atomic unsigned total;
    void *items[ITEMS_MAX];
    pthread_t submitter;
    _Atomic unsigned elsewhere;
    pthread_mutex_t gate;
};

static void run(void *ctx, void **items, size_t n)
{
    struct fixture *f = ctx;
    bool here = pthread_equal(pthread_self(), f->submitter) != 0;
    if (!here) {
        pthread_mutex_lock(&f->gate);
        pthread_mutex_unlock(&f->gate);
        atomic_fetch_add(&f->elsewhere, (unsigned)n);
    }
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_add((_Atomic unsigned *)items[i], 1);
        atomic_fetch_add(&f->total, 1);
    }
}

static int setup(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    f->submitter = pthread_self();
    pthread_mutex_init(&f->gate, NULL);
    atomic_store(&f->total, 0);
    atomic_store(&f->elsewhere, 0);
    for (size_t i = 0; i < ITEMS_MAX; i++) {
        atomic_store(&f->runs[i], 0);
        f->items[i] = (void *)&f->runs[i];
    }
    *state = f;
    return rpc_tasks_new(run, f, &f->tasks) == STATUS_OK ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rpc_tasks_free(f->tasks);
    pthread_mutex_destroy(&f->gate);
    return 0;
}

static void assert_each_ran_once(struct fixture *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(atomic_load(&f->runs[i]), 1);
    }
    assert_int_equal(atomic_load(&f->total), n);
}

static void test_every_item_runs_once_on_threads_of_nng(void **state)
{
    struct fixture *f = *state;
    rpc_tasks_submit(f->tasks, f->items, 100);
    rpc_tasks_wait(f->tasks);
    assert_each_ran_once(f, 100);
    assert_int_equal(atomic_load(&f->elsewhere), 100);
}

/* More in all than there are portions, and yet none for the submitter to run itself. */
static void test_portions_are_used_again(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 1000; i++) {
        rpc_tasks_submit(f->tasks, &f->items[i], 1);
        rpc_tasks_wait(f->tasks);
    }
    assert_each_ran_once(f, 1000);
    assert_int_equal(atomic_load(&f->elsewhere), 1000);
}

static void test_a_submitter_without_room_runs_items_itself(void **state)
{
    struct fixture *f = *state;
    pthread_mutex_lock(&f->gate);
    rpc_tasks_submit(f->tasks, f->items, ITEMS_MAX);
    /* All that nng's threads could take is held up, and yet the submitter is here. */
    assert_int_equal(atomic_load(&f->elsewhere), 0);
    assert_in_range(atomic_load(&f->total), 1, ITEMS_MAX - 1);
    pthread_mutex_unlock(&f->gate);
    rpc_tasks_wait(f->tasks);
    assert_each_ran_once(f, ITEMS_MAX);
}

static void test_freeing_waits_for_what_was_submitted(void **state)
{
    struct fixture *f = *state;
    rpc_tasks_submit(f->tasks, f->items, 1000);
    rpc_tasks_free(f->tasks);
    f->tasks = NULL;
    assert_each_ran_once(f, 1000);
}

static void test_nothing_may_be_submitted(void **state)
{
    struct fixture *f = *state;
    rpc_tasks_submit(f->tasks, f->items, 0);
    rpc_tasks_wait(f->tasks);
    assert_each_ran_once(f, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_item_runs_once_on_threads_of_nng, setup, teardown),
        cmocka_unit_test_setup_teardown(test_portions_are_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_submitter_without_room_runs_items_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_freeing_waits_for_what_was_submitted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_may_be_submitted, setup, teardown),
    };
    return cmocka_run_group_tests_name("rpc: tasks", tests, NULL, NULL);
}

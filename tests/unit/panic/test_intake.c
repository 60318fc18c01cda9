/*
 * How batches grow: in a crowd of calls a worker with few writes lingers for more, otherwise it commits what
 * it has. The transport, asked in between how many calls are under way, is where the test brings more.
 */
#include "harness/test.h"

#include <semaphore.h>
#include <stdatomic.h>

#include "panic/intake.h"

#define CROWD 128
/* Of a crowd: a batch that has so many does not linger. */
#define LARGE (CROWD / 4)
#define WRITES_MAX 64
#define ANSWERS_MAX 2
#define PATIENCE_S 30

/* How many writes the transport submits before it says how many calls are under way. */
struct answer {
    unsigned more;
    unsigned under_way;
};

struct rig {
    struct store *store;
    struct hub *hub;
    struct intake *intake;
    struct arena arena;
    struct rpc_call calls[WRITES_MAX];
    struct intake_write writes[WRITES_MAX];
    struct store_responder responders[WRITES_MAX];
    char ids[WRITES_MAX][16];
    sem_t done;
    _Atomic unsigned failed;
    /* How often the transport has been asked. */
    unsigned asked;
    struct answer answers[ANSWERS_MAX];
    _Atomic unsigned submitted;
};

static struct rig rig;

static void no_answer(struct rpc_call *call, const struct rpc_response *response)
{
    (void)call;
    (void)response;
}

static void write_done(void *ctx, struct intake_write *write)
{
    (void)ctx;
    atomic_fetch_add(&rig.failed, write->status != STATUS_OK || write->op.outcome != STATUS_OK);
    sem_post(&rig.done);
}

static void wake(void *ctx, struct hub_waiter *waiter)
{
    (void)ctx;
    (void)waiter;
}

static void submit(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        intake_submit(rig.intake, &rig.writes[rig.submitted++]);
    }
}

static unsigned under_way(const struct rpc_call *call)
{
    (void)call;
    const struct answer answer = rig.asked < ANSWERS_MAX ? rig.answers[rig.asked++] : (struct answer){0};
    submit(answer.more);
    return answer.under_way;
}

static int set_up(void **state)
{
    (void)state;
    static const struct rpc_transport transport = {.finish = no_answer, .under_way = under_way};
    rig = (struct rig){.submitted = 0};
    sem_init(&rig.done, 0, 0);
    arena_init(&rig.arena, NULL, 0, RPC_ARENA_MAX);
    assert_ok(store_open("memory:", &rig.store, NULL));
    const struct hub_config hub = {.waiters_max = WRITES_MAX, .wake = wake};
    assert_ok(hub_new(&hub, &rig.hub));
    assert_ok(intake_new(rig.store, rig.hub, WRITES_MAX, &rig.intake));
    for (unsigned i = 0; i < WRITES_MAX; i++) {
        snprintf(rig.ids[i], sizeof(rig.ids[i]), "unit-%u", i);
        rig.responders[i] = (struct store_responder){.tenant = "acme", .id = rig.ids[i]};
        rig.calls[i].transport = &transport;
        rig.writes[i] = (struct intake_write){
            .call = &rig.calls[i],
            .op = {.kind = STORE_PUT_RESPONDER, .responder = &rig.responders[i], .arena = &rig.arena},
            .done = write_done,
        };
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    intake_stop(rig.intake);
    intake_free(rig.intake);
    hub_free(rig.hub);
    store_close(rig.store);
    arena_reset(&rig.arena);
    sem_destroy(&rig.done);
    return 0;
}

/* How many commits it took. */
static unsigned await_all(void)
{
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += PATIENCE_S;
    for (unsigned i = 0; i < rig.submitted; i++) {
        assert_int_equal(sem_timedwait(&rig.done, &limit), 0);
    }
    assert_int_equal(rig.failed, 0);
    return (unsigned)atomic_load(&rig.store->stats.batch_ops.count);
}

static void test_in_a_crowd_what_comes_while_a_batch_lingers_is_in_it(void **state)
{
    (void)state;
    rig.answers[0] = (struct answer){.more = 5, .under_way = CROWD};
    submit(1);
    assert_int_equal(await_all(), 1);
    assert_int_equal(rig.submitted, 6);
}

static void test_with_fewer_calls_under_way_a_batch_is_committed_as_it_is(void **state)
{
    (void)state;
    rig.answers[0] = (struct answer){.more = 5, .under_way = CROWD - 1};
    submit(1);
    assert_int_equal(await_all(), 2);
    assert_int_equal(rig.submitted, 6);
}

/* n writes in one batch, which come while that of the first one is begun; the commits with five that follow.
 */
static unsigned commits_around_a_batch_of(unsigned n)
{
    rig.answers[0] = (struct answer){.more = n};
    rig.answers[1] = (struct answer){.more = 5, .under_way = CROWD};
    submit(1);
    return await_all();
}

static void test_a_batch_with_less_than_a_quarter_of_the_crowd_lingers(void **state)
{
    (void)state;
    assert_int_equal(commits_around_a_batch_of(LARGE - 1), 2);
}

static void test_a_batch_with_a_quarter_of_the_crowd_is_committed_as_it_is(void **state)
{
    (void)state;
    assert_int_equal(commits_around_a_batch_of(LARGE), 3);
}

static void test_calls_that_wait_for_events_are_no_crowd(void **state)
{
    (void)state;
    struct hub_waiter waiter = {.tenant = "acme", .until_us = INT64_MAX};
    assert_ok(hub_register(rig.hub, &waiter));
    assert_true(hub_park(rig.hub, &waiter));
    rig.answers[0] = (struct answer){.more = 5, .under_way = CROWD};
    submit(1);
    unsigned commits = await_all();
    hub_close(rig.hub);
    hub_leave(rig.hub, &waiter);
    assert_int_equal(commits, 2);
}

static void test_a_transport_that_does_not_know_its_crowd_is_not_asked(void **state)
{
    (void)state;
    static const struct rpc_transport ignorant = {.finish = no_answer};
    rig.calls[0].transport = &ignorant;
    submit(1);
    assert_int_equal(await_all(), 1);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(test_in_a_crowd_what_comes_while_a_batch_lingers_is_in_it),
        test(test_with_fewer_calls_under_way_a_batch_is_committed_as_it_is),
        test(test_a_batch_with_less_than_a_quarter_of_the_crowd_lingers),
        test(test_a_batch_with_a_quarter_of_the_crowd_is_committed_as_it_is),
        test(test_calls_that_wait_for_events_are_no_crowd),
        test(test_a_transport_that_does_not_know_its_crowd_is_not_asked),
    };
    return cmocka_run_group_tests_name("panic: intake", tests, NULL, NULL);
}

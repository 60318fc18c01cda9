/*
 * SIGTERM and SIGINT: what was accepted is finished and answered, and the process ends with 0; a second
 * signal ends it at once.
 *
 * Where a test needs creates that are surely under way, it stops the thread that commits them.
 */
#include "harness/test.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "harness/calls.h"
#include "harness/creators.h"
#include "harness/hold.h"
#include "harness/panicd.h"
#include "rpc/channel.h"

#define CREATORS 32
#define UNDER_WAY 24
/* For what must not come; a stop of panicd at rest takes far less. */
#define HELD_MS 300
#define ARENA_MAX ((size_t)16 * 1024 * 1024)

/* ---- creates that are under way ---- */

struct pending {
    struct rpc_channel *channel;
    char ids[UNDER_WAY][ID_TEXT_SIZE];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    size_t n_ended;
    size_t n_ok;
    size_t n_unavailable;
};

static void note_end(void *arg, const struct rpc_result *result)
{
    struct pending *pending = arg;
    pthread_mutex_lock(&pending->lock);
    pending->n_ended++;
    pending->n_ok += result->status == STATUS_OK ? 1 : 0;
    pending->n_unavailable += result->status == STATUS_UNAVAILABLE ? 1 : 0;
    pthread_cond_signal(&pending->changed);
    pthread_mutex_unlock(&pending->lock);
}

/* Returns when panicd has taken in all of them, which shows in that it can be asked for them. */
static void begin_creates(struct pending *pending, const char *url)
{
    *pending = (struct pending){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    const struct rpc_channel_config config = {.url = url, .contexts = UNDER_WAY};
    assert_ok(rpc_channel_open(&config, &pending->channel, NULL));
    struct panic_client *client = calls_connect(url);
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    for (size_t i = 0; i < UNDER_WAY; i++) {
        struct id id = id_new_v7(clock_wall_us(clock_system()));
        Panic__V1__CreatePanicRequest request = PANIC__V1__CREATE_PANIC_REQUEST__INIT;
        request.id = (char *)id_format(&id, pending->ids[i]);
        assert_ok(rpc_channel_call(pending->channel, &panic__v1__panic_service__descriptor, "CreatePanic",
                                   &request.base, HARNESS_PATIENCE_US, note_end, pending));
    }
    for (size_t i = 0; i < UNDER_WAY; i++) {
        Panic__V1__GetPanicRequest request = PANIC__V1__GET_PANIC_REQUEST__INIT;
        request.id = pending->ids[i];
        const Panic__V1__GetPanicResponse *response;
        struct diag diag;
        enum status status = STATUS_NOT_FOUND;
        while (status == STATUS_NOT_FOUND) {
            status = panic_client_get(client, &request, HARNESS_PATIENCE_US, &arena, &response, &diag);
        }
        assert_ok(status);
        assert_false(response->panic->durable);
    }
    arena_reset(&arena);
    panic_client_close(client);
}

/* Nothing may end while nothing is committed, however long that takes. */
static void expect_no_end_for(struct pending *pending, long ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&pending->lock);
    while (pending->n_ended == 0 && pthread_cond_timedwait(&pending->changed, &pending->lock, &until) == 0) {
    }
    size_t ended = pending->n_ended;
    pthread_mutex_unlock(&pending->lock);
    assert_int_equal(ended, 0);
}

static void wait_for_ends(struct pending *pending)
{
    pthread_mutex_lock(&pending->lock);
    while (pending->n_ended < UNDER_WAY) {
        pthread_cond_wait(&pending->changed, &pending->lock);
    }
    pthread_mutex_unlock(&pending->lock);
}

static void test_creates_under_way_are_stored_and_answered_before_the_end(void **state)
{
    (void)state;
    struct panicd *panicd = panicd_start(NULL);
    pid_t intake = hold_thread(panicd, "intake");
    struct pending pending;
    begin_creates(&pending, panicd_tcp(panicd));
    panicd_signal(panicd, SIGTERM);
    panicd_wait_log(panicd, "\"event\":\"stopping\"");
    expect_no_end_for(&pending, HELD_MS);
    hold_let_go(intake);
    wait_for_ends(&pending);
    assert_int_equal(panicd_wait(panicd), 0);
    assert_int_equal(pending.n_ok, UNDER_WAY);
    rpc_channel_close(pending.channel);

    panicd_restart(panicd);
    struct panic_client *client = calls_connect(panicd_ipc(panicd));
    struct arena arena;
    arena_init(&arena, NULL, 0, ARENA_MAX);
    for (size_t i = 0; i < UNDER_WAY; i++) {
        assert_true(calls_get(client, &arena, pending.ids[i])->durable);
    }
    arena_reset(&arena);
    panic_client_close(client);
    panicd_end(panicd);
}

static void test_a_second_signal_ends_the_process_at_once(void **state)
{
    (void)state;
    struct panicd *panicd = panicd_start(NULL);
    pid_t intake = hold_thread(panicd, "intake");
    struct pending pending;
    begin_creates(&pending, panicd_ipc(panicd));
    panicd_signal(panicd, SIGTERM);
    panicd_wait_log(panicd, "\"event\":\"stopping\"");
    panicd_signal(panicd, SIGTERM);
    hold_wait_end(intake);
    assert_int_equal(panicd_wait(panicd), -1);
    assert_false(panicd_logged(panicd, "\"event\":\"stopped\""));
    wait_for_ends(&pending);
    assert_int_equal(pending.n_unavailable, UNDER_WAY);
    rpc_channel_close(pending.channel);
    panicd_forget(panicd);
}

/* ---- under load ---- */

static void stop_under_load(int number, const char *name)
{
    struct panicd *panicd = panicd_start(NULL);
    const char *const urls[] = {panicd_ipc(panicd), panicd_tcp(panicd), panicd_ipc(panicd),
                                panicd_tcp(panicd)};
    const struct creators_config config = {
        .urls = urls, .n_urls = 4, .threads = CREATORS, .each_max = 100000};
    struct creators *creators = creators_start(&config);
    creators_wait(creators, HARNESS_SANITIZED ? 300 : 2000);
    panicd_signal(panicd, number);
    panicd_wait_log(panicd, "\"event\":\"stopping\"");
    creators_stop(creators, false);
    assert_int_equal(panicd_wait(panicd), 0);
    assert_true(panicd_logged(panicd, name));
    assert_true(panicd_logged(panicd, "\"event\":\"stopped\""));

    panicd_restart(panicd);
    struct panic_client *client = calls_connect(panicd_ipc(panicd));
    size_t stored = creators_check(creators, client);
    struct creators_totals totals = creators_totals(creators);
    print_message("%s: %zu acknowledged, %zu stored, %zu refused, %zu without an answer\n", name,
                  totals.acknowledged, stored, totals.refused, totals.unanswered);
    assert_true(stored >= totals.acknowledged);
    assert_true(stored - totals.acknowledged <= totals.unanswered);
    creators_free(creators);
    panic_client_close(client);
    panicd_end(panicd);
}

static void test_sigterm_under_load_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    stop_under_load(SIGTERM, "SIGTERM");
}

static void test_sigint_under_load_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    stop_under_load(SIGINT, "SIGINT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creates_under_way_are_stored_and_answered_before_the_end),
        cmocka_unit_test(test_a_second_signal_ends_the_process_at_once),
        cmocka_unit_test(test_sigterm_under_load_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(test_sigint_under_load_loses_nothing_that_was_acknowledged),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}

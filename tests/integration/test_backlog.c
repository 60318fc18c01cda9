/* Panics that wait because nobody is free, and what happens when somebody is. */
#include "harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "harness/burst.h"
#include "harness/fixture.h"

#define BACKLOG 10000
#define BACKLOG_SANITIZED 2000
#define FEW_PANICS 60
#define FEW_RESPONDERS 25

struct create {
    Panic__V1__CreatePanicRequest request;
    Panic__V1__Location location;
    char subject[32];
};

static const ProtobufCMessage *make_create(void *ctx, size_t i)
{
    struct create *create = ctx;
    panic__v1__create_panic_request__init(&create->request);
    panic__v1__location__init(&create->location);
    snprintf(create->subject, sizeof(create->subject), "user-%zu", i);
    create->location.lat = -33.9 + (double)(i % 100) * 0.001;
    create->location.lng = 18.4;
    create->request.subject_id = create->subject;
    create->request.location = &create->location;
    return &create->request.base;
}

static double create_many(struct fixture *f, size_t n)
{
    struct create create;
    const struct burst burst = {.url = panicd_ipc(f->panicd),
                                .service = &panic__v1__panic_service__descriptor,
                                .method = "CreatePanic",
                                .n = n,
                                .at_once = 128,
                                .make = make_create,
                                .ctx = &create};
    return burst_run(&burst);
}

static void expect_unassigned(void *ctx, const Panic__V1__Panic *panic)
{
    (void)ctx;
    if (panic->stage != PANIC__V1__PANIC_STAGE__PANIC_STAGE_UNASSIGNED) {
        fail_msg("panic %s is at stage %d", panic->id, (int)panic->stage);
    }
}

static void test_a_backlog_is_dispatched_once_there_are_responders(void **state)
{
    struct fixture *f = *state;
    size_t n = HARNESS_SANITIZED ? BACKLOG_SANITIZED : BACKLOG;
    double creating = create_many(f, n);
    assert_int_equal(calls_each_panic(f->client, expect_unassigned, NULL), n);

    double putting = burst_put_responders(panicd_ipc(f->panicd), 0, n);
    int64_t waited_us = calls_wait_all_dispatched(f->client);
    assert_int_equal(calls_expect_all_active(f->client), n);
    print_message("%zu creates in %.2f s, as many responders in %.2f s, all active %.2f s later\n", n,
                  creating, putting, (double)waited_us / 1e6);
}

static void expect_served_up_to(struct fixture *f, char ids[][ID_TEXT_SIZE], size_t n, size_t served)
{
    for (size_t i = 0; i < n; i++) {
        Panic__V1__PanicStage expected = i < served ? PANIC__V1__PANIC_STAGE__PANIC_STAGE_ACCEPTED
                                                    : PANIC__V1__PANIC_STAGE__PANIC_STAGE_UNASSIGNED;
        assert_int_equal(calls_get(f->client, &f->arena, ids[i])->stage, expected);
        arena_reset(&f->arena);
    }
}

static void test_the_oldest_are_served_first_when_responders_are_few(void **state)
{
    struct fixture *f = *state;
    char ids[FEW_PANICS][ID_TEXT_SIZE];
    for (size_t i = 0; i < FEW_PANICS; i++) {
        /* Random ids, so that the order of the ids is not that of the creations. */
        struct id id = id_new_v7((int64_t)arc4random_uniform(1000000) * US_PER_S);
        id_format(&id, ids[i]);
        calls_create(f->client, &f->arena, ids[i]);
    }
    burst_put_responders(panicd_ipc(f->panicd), 0, FEW_RESPONDERS);
    calls_wait_active(f->client, &f->arena, ids[FEW_RESPONDERS - 1]);
    expect_served_up_to(f, ids, FEW_PANICS, FEW_RESPONDERS);

    calls_resolve(f->client, &f->arena, ids[0], "arrived");
    calls_wait_active(f->client, &f->arena, ids[FEW_RESPONDERS]);
    assert_int_equal(calls_get(f->client, &f->arena, ids[FEW_RESPONDERS + 1])->stage,
                     PANIC__V1__PANIC_STAGE__PANIC_STAGE_UNASSIGNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_a_backlog_is_dispatched_once_there_are_responders),
        FIXTURE_TEST(test_the_oldest_are_served_first_when_responders_are_few),
    };
    return cmocka_run_group_tests_name("backlog", tests, NULL, NULL);
}

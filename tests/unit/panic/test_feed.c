/* ListEvents: what is told, who waits, and what wakes them; and the hub on its own. */
#include "unit/panic/rig.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/clock.h"
#include "panic/hub.h"

#define LONG_MS 30000

static struct local_call *start_events(struct rig *rig, const char *tenant, const char *panic_id,
                                       int64_t after, int wait_ms)
{
    Panic__V1__ListEventsRequest request = PANIC__V1__LIST_EVENTS_REQUEST__INIT;
    request.panic_id = (char *)panic_id;
    request.after_sequence = after;
    request.wait_ms = wait_ms;
    return local_call_start(rig->router, tenant, "/panic.v1.PanicService/ListEvents", &request.base);
}

static const Panic__V1__ListEventsResponse *events_of(struct local_call *call)
{
    assert_ok(local_call_wait(call));
    return (const Panic__V1__ListEventsResponse *)local_call_response(call);
}

static void assert_event(const Panic__V1__PanicEvent *event, unsigned n, int64_t version, const char *type)
{
    assert_string_equal(event->panic_id, rig_id(n));
    assert_int_equal(event->version, version);
    assert_string_equal(event->type, type);
}

static void test_a_life_is_told_in_order(void **state)
{
    struct rig *rig = *state;
    rig_put(rig, "unit-1");
    rig_create(rig, 1);
    rig_await_stage(rig, RIG_TENANT, 1, STAGE(ACCEPTED));
    rig_resolve(rig, 1);
    struct local_call *call = start_events(rig, RIG_TENANT, rig_id(1), 0, 0);
    const Panic__V1__ListEventsResponse *response = events_of(call);
    assert_int_equal(response->n_events, 3);
    assert_event(response->events[0], 1, 1, "created");
    assert_event(response->events[1], 1, 2, "assigned");
    assert_event(response->events[2], 1, 3, "resolved");
    assert_int_equal(response->events[0]->from_stage, STAGE(UNSPECIFIED));
    assert_int_equal(response->events[0]->to_stage, STAGE(RECEIVED));
    assert_string_equal(response->events[2]->actor, "api");
    assert_int_equal(response->events[2]->to_stage, STAGE(RESOLVED));
    assert_int_equal(response->last_sequence, response->events[2]->sequence);
    assert_true(response->closed);
    local_call_free(call);
}

static void test_the_feed_goes_on_behind_any_sequence(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    rig_create(rig, 2);
    struct local_call *whole = start_events(rig, RIG_TENANT, "", 0, 0);
    const Panic__V1__ListEventsResponse *all = events_of(whole);
    assert_int_equal(all->n_events, 2);
    struct local_call *rest = start_events(rig, RIG_TENANT, "", all->events[0]->sequence, 0);
    assert_int_equal(events_of(rest)->n_events, 1);
    assert_event(events_of(rest)->events[0], 2, 1, "created");
    local_call_free(rest);
    struct local_call *end = start_events(rig, RIG_TENANT, "", all->last_sequence, 0);
    assert_int_equal(events_of(end)->n_events, 0);
    assert_int_equal(events_of(end)->last_sequence, all->last_sequence);
    local_call_free(end);
    struct local_call *now = start_events(rig, RIG_TENANT, "", -1, 0);
    assert_int_equal(events_of(now)->n_events, 0);
    assert_int_equal(events_of(now)->last_sequence, all->last_sequence);
    local_call_free(now);
    local_call_free(whole);
}

static void test_requests_that_cannot_be_answered_are_told_why(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    assert_status(rig_end(start_events(rig, RIG_TENANT, rig_id(2), 0, LONG_MS)), STATUS_NOT_FOUND);
    assert_status(rig_end(start_events(rig, "other", rig_id(1), 0, LONG_MS)), STATUS_NOT_FOUND);
    assert_status(rig_end(start_events(rig, RIG_TENANT, "17", 0, 0)), STATUS_INVALID_ARGUMENT);
    assert_status(rig_end(start_events(rig, RIG_TENANT, "", -2, 0)), STATUS_INVALID_ARGUMENT);
    assert_status(rig_end(start_events(rig, RIG_TENANT, "", 1000, 0)), STATUS_OUT_OF_RANGE);
    assert_status(rig_end(start_events(rig, RIG_TENANT, "", INT64_MAX, LONG_MS)), STATUS_OUT_OF_RANGE);
}

/* Until so many wait. They park on a worker of the feed, and tell nobody. */
static void await_parked(struct rig *rig, unsigned n)
{
    int64_t end_us = monotonic_us() + 30 * US_PER_S;
    while (service_stats(rig->service).parked != n && monotonic_us() < end_us) {
        sched_yield();
    }
    assert_int_equal(service_stats(rig->service).parked, n);
}

static void test_a_call_that_waits_is_answered_by_the_next_change(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    struct local_call *of_all = start_events(rig, RIG_TENANT, "", -1, LONG_MS);
    struct local_call *of_one = start_events(rig, RIG_TENANT, rig_id(1), -1, LONG_MS);
    await_parked(rig, 2);
    rig_create(rig, 2);
    assert_int_equal(events_of(of_all)->n_events, 1);
    assert_event(events_of(of_all)->events[0], 2, 1, "created");
    local_call_free(of_all);
    assert_false(local_call_is_answered(of_one));
    rig_resolve(rig, 1);
    assert_event(events_of(of_one)->events[0], 1, 2, "resolved");
    assert_true(events_of(of_one)->closed);
    local_call_free(of_one);
}

static void test_dispatch_wakes_whoever_waits(void **state)
{
    struct rig *rig = *state;
    rig_create(rig, 1);
    struct local_call *call = start_events(rig, RIG_TENANT, rig_id(1), -1, LONG_MS);
    await_parked(rig, 1);
    rig_put(rig, "unit-1");
    assert_event(events_of(call)->events[0], 1, 2, "assigned");
    local_call_free(call);
}

#define FOLLOWED 300

struct follower {
    struct rig *rig;
    pthread_t thread;
    /* What it has seen, and whether each was behind the one before. */
    size_t n;
    bool in_order;
};

static void *follow(void *arg)
{
    struct follower *follower = arg;
    int64_t last = 0;
    follower->in_order = true;
    while (follower->n < FOLLOWED && follower->in_order) {
        struct local_call *call = start_events(follower->rig, RIG_TENANT, "", last, LONG_MS);
        follower->in_order = local_call_wait(call) == STATUS_OK;
        const Panic__V1__ListEventsResponse *page =
            (const Panic__V1__ListEventsResponse *)local_call_response(call);
        for (size_t i = 0; follower->in_order && i < page->n_events; i++) {
            follower->in_order = page->events[i]->sequence > last;
            last = page->events[i]->sequence;
            follower->n += strcmp(page->events[i]->type, "created") == 0 ? 1 : 0;
        }
        local_call_free(call);
    }
    return NULL;
}

static void test_who_follows_while_others_write_sees_each_creation_once(void **state)
{
    struct rig *rig = *state;
    struct follower followers[4];
    for (size_t i = 0; i < 4; i++) {
        followers[i] = (struct follower){.rig = rig};
        assert_int_equal(pthread_create(&followers[i].thread, NULL, follow, &followers[i]), 0);
    }
    for (unsigned n = 1; n <= FOLLOWED; n++) {
        rig_create(rig, n);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(followers[i].thread, NULL);
        assert_true(followers[i].in_order);
        assert_int_equal(followers[i].n, FOLLOWED);
    }
}

static void test_another_tenants_change_wakes_nobody(void **state)
{
    struct rig *rig = *state;
    struct local_call *call = start_events(rig, RIG_TENANT, "", 0, LONG_MS);
    await_parked(rig, 1);
    uint64_t woken = service_stats(rig->service).events.submitted;
    assert_ok(rig_end(rig_start_create_at(rig, "other", 1, 0, 0)));
    assert_int_equal(service_stats(rig->service).events.submitted, woken);
    assert_false(local_call_is_answered(call));
    rig_create(rig, 2);
    assert_int_equal(events_of(call)->n_events, 1);
    local_call_free(call);
}

static void test_a_wait_ends_empty_when_its_time_is_over(void **state)
{
    struct rig *rig = *state;
    struct local_call *call = start_events(rig, RIG_TENANT, "", 0, 20);
    assert_int_equal(events_of(call)->n_events, 0);
    assert_int_equal(events_of(call)->last_sequence, 0);
    assert_false(events_of(call)->closed);
    local_call_free(call);
    Panic__V1__ListEventsRequest request = PANIC__V1__LIST_EVENTS_REQUEST__INIT;
    request.wait_ms = LONG_MS;
    uint8_t payload[32];
    size_t length = panic__v1__list_events_request__pack(&request, payload);
    call = local_call_start_raw(rig->router, RIG_TENANT, "/panic.v1.PanicService/ListEvents", payload, length,
                                1 << 20, monotonic_us() + 2 * US_PER_S);
    assert_int_equal(events_of(call)->n_events, 0);
    local_call_free(call);
}

static void test_a_panic_on_its_way_into_the_store_is_waited_for(void **state)
{
    struct rig *rig = *state;
    gated_store_hold(rig->store, GATE_CREATE);
    struct local_call *create = rig_start_create(rig, 1);
    struct local_call *call = start_events(rig, RIG_TENANT, rig_id(1), 0, LONG_MS);
    await_parked(rig, 1);
    gated_store_release(rig->store, GATE_CREATE);
    assert_event(events_of(call)->events[0], 1, 1, "created");
    local_call_free(call);
    assert_ok(rig_end(create));
}

/* Nothing is cached: after the creation its placeholder is gone. */
static void test_a_panic_that_is_stored_while_a_call_looks_for_it_is_found(void **state)
{
    struct rig *rig = *state;
    gated_store_hold(rig->store, GATE_CREATE);
    struct local_call *create = rig_start_create(rig, 1);
    assert_true(gated_store_await_held(rig->store, GATE_CREATE, 1));
    gated_store_hold(rig->store, GATE_GET_DONE);
    struct local_call *call = start_events(rig, RIG_TENANT, rig_id(1), 0, 0);
    assert_true(gated_store_await_held(rig->store, GATE_GET_DONE, 1));
    gated_store_release(rig->store, GATE_CREATE);
    assert_ok(rig_end(create));
    gated_store_release(rig->store, GATE_GET_DONE);
    assert_event(events_of(call)->events[0], 1, 1, "created");
    local_call_free(call);
}

static void test_too_many_waiting_calls_are_told_to_come_again(void **state)
{
    struct rig *rig = *state;
    static struct local_call *calls[SERVICE_PARKED_MAX];
    for (size_t i = 0; i < SERVICE_PARKED_MAX; i++) {
        calls[i] = start_events(rig, RIG_TENANT, "", 0, LONG_MS);
    }
    await_parked(rig, SERVICE_PARKED_MAX);
    struct local_call *beyond = start_events(rig, RIG_TENANT, "", 0, LONG_MS);
    assert_status(local_call_wait(beyond), STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(local_call_trailer(beyond, "retry-after"), "1");
    local_call_free(beyond);
    assert_ok(rig_end(start_events(rig, RIG_TENANT, "", 0, 0)));
    rig_create(rig, 1);
    for (size_t i = 0; i < SERVICE_PARKED_MAX; i++) {
        assert_int_equal(events_of(calls[i])->n_events, 1);
        local_call_free(calls[i]);
    }
}

static void test_closing_answers_whoever_waits(void **state)
{
    struct rig *rig = *state;
    struct local_call *call = start_events(rig, RIG_TENANT, "", 0, LONG_MS);
    await_parked(rig, 1);
    service_close(rig->service);
    assert_status(rig_end(call), STATUS_UNAVAILABLE);
    assert_status(rig_end(start_events(rig, RIG_TENANT, "", 0, LONG_MS)), STATUS_UNAVAILABLE);
}

/* ---- the hub on its own ---- */

static void count_wake(void *ctx, struct hub_waiter *waiter)
{
    (void)waiter;
    atomic_fetch_add((atomic_uint *)ctx, 1);
}

static struct hub *new_hub(atomic_uint *woken)
{
    const struct hub_config config = {.waiters_max = 4, .wake = count_wake, .ctx = woken};
    struct hub *hub;
    assert_ok(hub_new(&config, &hub));
    return hub;
}

/* A commit of one change. */
static void change(struct hub *hub, const char *tenant, const struct id *id)
{
    const char *told = NULL;
    hub_changed(hub, tenant, id, &told);
}

static void test_a_change_between_looking_and_parking_is_not_lost(void **state)
{
    (void)state;
    atomic_uint woken = 0;
    struct hub *hub = new_hub(&woken);
    const struct id id = {.bytes = {1}};
    const struct id other = {.bytes = {2}};
    struct hub_waiter waiter = {.tenant = "acme", .id = id, .until_us = INT64_MAX};
    assert_ok(hub_register(hub, &waiter));
    change(hub, "acme", &id);
    assert_false(hub_park(hub, &waiter));
    assert_false(hub_is_over(hub, &waiter));
    change(hub, "acme", &other);
    change(hub, "acme2", &id);
    assert_true(hub_park(hub, &waiter));
    assert_int_equal(woken, 0);
    change(hub, "acme", &id);
    change(hub, "acme", &id);
    assert_int_equal(woken, 1);
    hub_leave(hub, &waiter);
    hub_free(hub);
}

/* Who waits for a panic is told though its tenant was, and who waits for a tenant though another one was. */
static void test_a_commit_of_many_changes_is_told_to_all_whom_it_concerns(void **state)
{
    (void)state;
    static const char *const tenants[] = {"acme", "acme", "acme2"};
    atomic_uint woken = 0;
    struct hub *hub = new_hub(&woken);
    struct hub_waiter waiters[] = {{.tenant = "acme"}, {.tenant = "acme2"}, {.tenant = "acme"}};
    const struct id ids[] = {{.bytes = {1}}, {.bytes = {2}}, {.bytes = {3}}};
    waiters[2].id = ids[1];
    for (size_t i = 0; i < 3; i++) {
        waiters[i].until_us = INT64_MAX;
        assert_ok(hub_register(hub, &waiters[i]));
        assert_true(hub_park(hub, &waiters[i]));
    }
    const char *told = NULL;
    for (size_t i = 0; i < 3; i++) {
        hub_changed(hub, tenants[i], &ids[i], &told);
    }
    assert_int_equal(woken, 3);
    for (size_t i = 0; i < 3; i++) {
        hub_leave(hub, &waiters[i]);
    }
    hub_free(hub);
}

/* It parks between two commits, and so must be woken by the second, though the first told its tenant. */
static void test_each_commit_tells_a_tenant_anew(void **state)
{
    (void)state;
    atomic_uint woken = 0;
    struct hub *hub = new_hub(&woken);
    const struct id id = {.bytes = {1}};
    struct hub_waiter waiter = {.tenant = "acme", .until_us = INT64_MAX};
    assert_ok(hub_register(hub, &waiter));
    for (unsigned i = 1; i <= 3; i++) {
        assert_true(hub_park(hub, &waiter));
        change(hub, "acme", &id);
        assert_int_equal(woken, i);
    }
    hub_leave(hub, &waiter);
    hub_free(hub);
}

static void test_a_hub_takes_so_many_and_none_when_closed(void **state)
{
    (void)state;
    atomic_uint woken = 0;
    struct hub *hub = new_hub(&woken);
    struct hub_waiter waiters[5];
    for (size_t i = 0; i < 5; i++) {
        waiters[i] = (struct hub_waiter){.tenant = "acme", .until_us = INT64_MAX};
        assert_status(hub_register(hub, &waiters[i]), i < 4 ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED);
    }
    assert_true(hub_park(hub, &waiters[0]));
    hub_close(hub);
    assert_int_equal(woken, 1);
    assert_true(hub_is_over(hub, &waiters[0]));
    assert_false(hub_park(hub, &waiters[1]));
    assert_true(hub_is_over(hub, &waiters[1]));
    for (size_t i = 0; i < 4; i++) {
        hub_leave(hub, &waiters[i]);
    }
    assert_status(hub_register(hub, &waiters[0]), STATUS_UNAVAILABLE);
    hub_free(hub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_life_is_told_in_order),
        TEST(test_the_feed_goes_on_behind_any_sequence),
        TEST(test_requests_that_cannot_be_answered_are_told_why),
        TEST(test_a_call_that_waits_is_answered_by_the_next_change),
        TEST(test_dispatch_wakes_whoever_waits),
        TEST(test_who_follows_while_others_write_sees_each_creation_once),
        TEST(test_another_tenants_change_wakes_nobody),
        TEST(test_a_wait_ends_empty_when_its_time_is_over),
        TEST(test_a_panic_on_its_way_into_the_store_is_waited_for),
        TEST_WITHOUT_CACHE(test_a_panic_that_is_stored_while_a_call_looks_for_it_is_found),
        TEST(test_too_many_waiting_calls_are_told_to_come_again),
        TEST(test_closing_answers_whoever_waits),
        cmocka_unit_test(test_a_change_between_looking_and_parking_is_not_lost),
        cmocka_unit_test(test_a_commit_of_many_changes_is_told_to_all_whom_it_concerns),
        cmocka_unit_test(test_each_commit_tells_a_tenant_anew),
        cmocka_unit_test(test_a_hub_takes_so_many_and_none_when_closed),
    };
    return cmocka_run_group_tests_name("panic: feed", tests, NULL, NULL);
}

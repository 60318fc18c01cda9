/* Who is nearest, who is free, and that nobody is taken twice. */
#include "harness/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "panic/geo.h"
#include "panic/roster.h"
#include "panic/v1/panic.pb-c.h"

#define AVAILABLE ((uint8_t)PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_AVAILABLE)
#define OFF ((uint8_t)PANIC__V1__RESPONDER_STATE__RESPONDER_STATE_OFF)
#define MANY 10000
#define TAKERS 8

static const struct store_location nowhere = {.known = false};
static const struct store_location origin = {.known = true};

static int set_up(void **state)
{
    struct roster *roster;
    assert_ok(roster_new(2 * MANY, &roster));
    *state = roster;
    return 0;
}

static int tear_down(void **state)
{
    roster_free(*state);
    return 0;
}

static void put_state(struct roster *roster, const char *tenant, const char *id, uint8_t state)
{
    const struct store_responder responder = {.tenant = tenant, .id = id, .state = state};
    assert_ok(roster_put(roster, &responder));
}

static void put(struct roster *roster, const char *id)
{
    put_state(roster, "acme", id, AVAILABLE);
}

static void put_at(struct roster *roster, const char *id, double lat, double lng)
{
    const struct store_responder responder = {
        .tenant = "acme", .id = id, .state = AVAILABLE, .location = {.known = true, .lat = lat, .lng = lng}};
    assert_ok(roster_put(roster, &responder));
}

static void assert_takes(struct roster *roster, const struct store_location *place, const char *id)
{
    struct roster_match match;
    assert_true(roster_take(roster, "acme", place, false, &match));
    assert_string_equal(match.responder_id, id);
}

static void assert_nobody(struct roster *roster, const struct store_location *place)
{
    struct roster_match match;
    assert_false(roster_take(roster, "acme", place, false, &match));
}

static void test_an_empty_roster_has_nobody(void **state)
{
    assert_nobody(*state, &origin);
    assert_int_equal(roster_available(*state, false), 0);
}

static void test_the_nearest_is_taken_first(void **state)
{
    put_at(*state, "far", 0, 3);
    put_at(*state, "near", 0, 1);
    put_at(*state, "middle", 0, -2);
    assert_takes(*state, &origin, "near");
    assert_takes(*state, &origin, "middle");
    assert_takes(*state, &origin, "far");
    assert_nobody(*state, &origin);
}

static void test_the_nearest_across_the_date_line(void **state)
{
    const struct store_location fiji = {.known = true, .lat = -17, .lng = 179.9};
    put_at(*state, "west", -17, 178);
    put_at(*state, "east", -17, -179.9);
    assert_takes(*state, &fiji, "east");
}

static void test_the_distance_is_told(void **state)
{
    struct roster_match match;
    put_at(*state, "unit", 0, 1);
    assert_true(roster_take(*state, "acme", &origin, false, &match));
    assert_float_equal(match.distance_m, GEO_EARTH_RADIUS_M * 3.14159265358979 / 180, 0.01);
}

static void test_without_a_place_comes_last(void **state)
{
    put(*state, "unplaced");
    put_at(*state, "antipode", 0, 180);
    assert_takes(*state, &origin, "antipode");
    struct roster_match match;
    assert_true(roster_take(*state, "acme", &origin, false, &match));
    assert_string_equal(match.responder_id, "unplaced");
    assert_true(match.distance_m == -1);
}

static void test_a_panic_without_place_gets_anybody(void **state)
{
    put_at(*state, "placed", 10, 10);
    put(*state, "unplaced");
    struct roster_match match;
    for (int i = 0; i < 2; i++) {
        assert_true(roster_take(*state, "acme", &nowhere, false, &match));
        assert_true(match.distance_m == -1);
    }
    assert_nobody(*state, &nowhere);
}

static void test_of_those_equally_near_the_first_id_is_taken(void **state)
{
    put_at(*state, "b", 0, 1);
    put_at(*state, "c", 0, -1);
    put_at(*state, "a", 1, 0);
    put_at(*state, "a2", 0, 1);
    assert_takes(*state, &origin, "a");
    assert_takes(*state, &origin, "a2");
    assert_takes(*state, &origin, "b");
    assert_takes(*state, &origin, "c");
}

static void test_of_those_without_a_place_the_first_id_is_taken(void **state)
{
    put(*state, "b");
    put(*state, "a");
    assert_takes(*state, &origin, "a");
    assert_takes(*state, &origin, "b");
}

static void test_a_panic_without_place_leaves_those_with_one_to_others(void **state)
{
    put_at(*state, "a", 0, 1);
    put(*state, "b");
    assert_takes(*state, &nowhere, "b");
    assert_takes(*state, &nowhere, "a");
}

static void test_one_that_moves_is_found_where_it_is(void **state)
{
    put_at(*state, "mover", 0, 1);
    put_at(*state, "stayer", 0, 2);
    put_at(*state, "mover", 0, 3);
    assert_takes(*state, &origin, "stayer");
    put_at(*state, "mover", 0, 4);
    assert_takes(*state, &origin, "mover");
    assert_nobody(*state, &origin);
}

static void test_tenants_are_apart(void **state)
{
    put_state(*state, "other", "unit", AVAILABLE);
    assert_nobody(*state, &origin);
    put(*state, "unit");
    assert_takes(*state, &origin, "unit");
    assert_nobody(*state, &origin);
    roster_release(*state, "other", "unit");
    assert_nobody(*state, &origin);
    assert_int_equal(roster_available(*state, false), 1);
}

static void test_a_nearer_responder_of_another_tenant_does_not_hide_ours(void **state)
{
    const struct store_responder theirs = {
        .tenant = "other", .id = "x", .state = AVAILABLE, .location = {.known = true}};
    assert_ok(roster_put(*state, &theirs));
    put_at(*state, "ours", 50, 50);
    assert_takes(*state, &origin, "ours");
}

static void test_off_duty_is_not_taken(void **state)
{
    put(*state, "unit");
    put_state(*state, "acme", "unit", OFF);
    assert_nobody(*state, &origin);
    assert_int_equal(roster_available(*state, false), 0);
    put(*state, "unit");
    assert_takes(*state, &origin, "unit");
}

static void test_put_does_not_unbind(void **state)
{
    put(*state, "unit");
    assert_takes(*state, &origin, "unit");
    put_at(*state, "unit", 1, 1);
    assert_nobody(*state, &origin);
    put_state(*state, "acme", "unit", OFF);
    put(*state, "unit");
    assert_nobody(*state, &origin);
}

static void test_release_frees_at_the_last_place(void **state)
{
    put_at(*state, "unit", 0, 90);
    assert_takes(*state, &origin, "unit");
    put_at(*state, "unit", 0, 1);
    roster_release(*state, "acme", "unit");
    struct roster_match match;
    assert_true(roster_take(*state, "acme", &origin, false, &match));
    assert_true(match.distance_m < 112000);
}

static void test_release_of_one_off_duty_does_not_make_it_available(void **state)
{
    put(*state, "unit");
    assert_takes(*state, &origin, "unit");
    put_state(*state, "acme", "unit", OFF);
    roster_release(*state, "acme", "unit");
    assert_nobody(*state, &origin);
    put(*state, "unit");
    assert_takes(*state, &origin, "unit");
}

static void test_release_of_a_free_or_unknown_one_is_harmless(void **state)
{
    put(*state, "unit");
    roster_release(*state, "acme", "unit");
    roster_release(*state, "acme", "unit");
    roster_release(*state, "acme", "nobody");
    assert_int_equal(roster_available(*state, false), 1);
}

static void test_a_place_can_be_lost_again(void **state)
{
    put_at(*state, "a", 0, 1);
    put_at(*state, "b", 0, 2);
    put(*state, "a");
    assert_takes(*state, &origin, "b");
}

static void test_names_of_full_length_are_told_apart(void **state)
{
    char a[STORE_RESPONDER_ID_MAX + 1];
    memset(a, 'n', sizeof(a) - 1);
    a[sizeof(a) - 1] = 0;
    char b[sizeof(a)];
    memcpy(b, a, sizeof(a));
    b[sizeof(b) - 2] = 'm';
    put_at(*state, a, 0, 1);
    put_at(*state, b, 0, 2);
    assert_takes(*state, &origin, a);
    assert_takes(*state, &origin, b);
}

static void test_ten_thousand_are_found_nearest_first(void **state)
{
    char id[32];
    for (int i = 0; i < MANY; i++) {
        int n = (int)((i * 7919L) % MANY);
        snprintf(id, sizeof(id), "unit-%d", n);
        put_at(*state, id, 0, (n + 1) * 0.01);
    }
    assert_int_equal(roster_available(*state, false), MANY);
    for (int n = 0; n < 200; n++) {
        snprintf(id, sizeof(id), "unit-%d", n);
        assert_takes(*state, &origin, id);
    }
    for (int n = 199; n >= 0; n--) {
        snprintf(id, sizeof(id), "unit-%d", n);
        roster_release(*state, "acme", id);
    }
    assert_int_equal(roster_available(*state, false), MANY);
    assert_takes(*state, &origin, "unit-0");
}

/* ---- from the store ---- */

static void apply(struct store *store, struct store_op op)
{
    struct arena arena;
    arena_init(&arena, NULL, 0, 64 * 1024);
    op.arena = &arena;
    assert_ok(store_apply(store, &op, 1));
    assert_ok(op.outcome);
    arena_reset(&arena);
}

static void test_load_knows_who_is_bound_and_who_is_off(void **state)
{
    struct store *store;
    assert_ok(store_open("memory:", &store, NULL));
    const struct store_responder responders[] = {
        {.tenant = "acme", .id = "bound", .state = AVAILABLE},
        {.tenant = "acme", .id = "free", .state = AVAILABLE, .location = {.known = true, .lat = 1}},
        {.tenant = "acme", .id = "off", .state = OFF},
        {.tenant = "other", .id = "free", .state = AVAILABLE}};
    for (size_t i = 0; i < sizeof(responders) / sizeof(responders[0]); i++) {
        apply(store, (struct store_op){.kind = STORE_PUT_RESPONDER, .responder = &responders[i]});
    }
    struct store_panic panic = {.tenant = "acme",
                                .id = {.bytes = {1}},
                                .version = 1,
                                .status = 1,
                                .stage = 1,
                                .next_action_at_us = 1};
    apply(store, (struct store_op){.kind = STORE_CREATE, .panic = &panic});
    panic.version = 2;
    panic.assigned = true;
    panic.responder_id = "bound";
    apply(store, (struct store_op){.kind = STORE_UPDATE, .panic = &panic});

    assert_ok(roster_load(*state, store));
    store_close(store);
    assert_int_equal(roster_available(*state, false), 2);
    assert_takes(*state, &origin, "free");
    assert_nobody(*state, &origin);
    roster_release(*state, "acme", "bound");
    assert_takes(*state, &origin, "bound");
}

/* ---- many threads ---- */

struct taking {
    struct roster *roster;
    pthread_barrier_t start;
    /* How many hold responder n at the moment. */
    _Atomic int holders[16];
    _Atomic uint64_t taken;
    _Atomic bool doubled;
};

static void *take_and_release(void *arg)
{
    struct taking *taking = arg;
    pthread_barrier_wait(&taking->start);
    for (int i = 0; i < 20000; i++) {
        struct roster_match match;
        if (!roster_take(taking->roster, "acme", &origin, false, &match)) {
            continue;
        }
        long n = strtol(match.responder_id, NULL, 10);
        if (atomic_fetch_add(&taking->holders[n], 1) != 0) {
            atomic_store(&taking->doubled, true);
        }
        atomic_fetch_add(&taking->taken, 1);
        atomic_fetch_sub(&taking->holders[n], 1);
        roster_release(taking->roster, "acme", match.responder_id);
    }
    return NULL;
}

static void *put_again_and_again(void *arg)
{
    struct taking *taking = arg;
    pthread_barrier_wait(&taking->start);
    for (int i = 0; i < 20000; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i % 4);
        const struct store_responder responder = {.tenant = "acme",
                                                  .id = id,
                                                  .state = i % 3 == 0 ? OFF : AVAILABLE,
                                                  .location = {.known = true, .lat = i % 90}};
        if (roster_put(taking->roster, &responder) != STATUS_OK) {
            atomic_store(&taking->doubled, true);
        }
    }
    return NULL;
}

static void test_nobody_is_taken_twice_however_many_take(void **state)
{
    struct taking taking = {.roster = *state};
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        put(*state, id);
    }
    pthread_t threads[TAKERS + 1];
    assert_int_equal(pthread_barrier_init(&taking.start, NULL, TAKERS + 1), 0);
    for (int i = 0; i < TAKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_release, &taking), 0);
    }
    assert_int_equal(pthread_create(&threads[TAKERS], NULL, put_again_and_again, &taking), 0);
    for (int i = 0; i <= TAKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    pthread_barrier_destroy(&taking.start);
    assert_false(taking.doubled);
    assert_true(taking.taken > 0);
    for (int i = 0; i < 4; i++) {
        char id[16];
        snprintf(id, sizeof(id), "%d", i);
        put(*state, id);
    }
    assert_int_equal(roster_available(*state, false), 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void assert_may_put(struct roster *roster, const char *tenant, const char *id, enum status expected)
{
    assert_status(roster_check_put(roster, tenant, id, false), expected);
}

static void test_there_is_room_until_the_limit_and_always_for_who_is_known(void **state)
{
    (void)state;
    struct roster *roster;
    assert_ok(roster_new(2, &roster));
    assert_may_put(roster, "acme", "a", STATUS_OK);
    put(roster, "a");
    put(roster, "a");
    put_state(roster, "ecma", "b", OFF);
    assert_may_put(roster, "acme", "b", STATUS_RESOURCE_EXHAUSTED);
    assert_may_put(roster, "ecma", "b", STATUS_OK);
    assert_may_put(roster, "acme", "a", STATUS_OK);
    /* What is stored already is never turned away. */
    put(roster, "c");
    assert_takes(roster, &nowhere, "a");
    assert_takes(roster, &nowhere, "c");
    roster_free(roster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_is_room_until_the_limit_and_always_for_who_is_known),
        TEST(test_an_empty_roster_has_nobody),
        TEST(test_the_nearest_is_taken_first),
        TEST(test_the_nearest_across_the_date_line),
        TEST(test_the_distance_is_told),
        TEST(test_without_a_place_comes_last),
        TEST(test_a_panic_without_place_gets_anybody),
        TEST(test_of_those_equally_near_the_first_id_is_taken),
        TEST(test_of_those_without_a_place_the_first_id_is_taken),
        TEST(test_a_panic_without_place_leaves_those_with_one_to_others),
        TEST(test_one_that_moves_is_found_where_it_is),
        TEST(test_tenants_are_apart),
        TEST(test_a_nearer_responder_of_another_tenant_does_not_hide_ours),
        TEST(test_off_duty_is_not_taken),
        TEST(test_put_does_not_unbind),
        TEST(test_release_frees_at_the_last_place),
        TEST(test_release_of_one_off_duty_does_not_make_it_available),
        TEST(test_release_of_a_free_or_unknown_one_is_harmless),
        TEST(test_a_place_can_be_lost_again),
        TEST(test_names_of_full_length_are_told_apart),
        TEST(test_ten_thousand_are_found_nearest_first),
        TEST(test_load_knows_who_is_bound_and_who_is_off),
        TEST(test_nobody_is_taken_twice_however_many_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The table of lifecycle.h cell by cell, then a million random lives against the invariants: whatever
 * commands come, whenever, and however the clock jumps.
 */
#include "harness/test.h"

#include <string.h>

#include "panic/lifecycle.h"
#include "panic/v1/panic.pb-c.h"

#define STAGE(name) PANIC__V1__PANIC_STAGE__PANIC_STAGE_##name
#define PANIC_STATUS(name) PANIC__V1__PANIC_STATUS__PANIC_STATUS_##name
#define NOW_US (1700000000 * US_PER_S)
#define LIVES 1000000
#define STEPS_MAX 12
#define DAY_US (24 * 3600 * US_PER_S)

static const struct id some_id = {.bytes = {1}};

static struct lifecycle_command command_of(enum lifecycle_kind kind)
{
    return (struct lifecycle_command){.kind = kind,
                                      .queue = LIFECYCLE_QUEUE_LIVE,
                                      .actor = "dispatch",
                                      .responder_id = kind == LIFECYCLE_ASSIGN ? "unit-1" : NULL,
                                      .distance_m = kind == LIFECYCLE_ASSIGN ? 12.5 : -1,
                                      .outcome = kind == LIFECYCLE_RESOLVE ? "helped" : NULL};
}

static struct store_panic new_panic(bool responder_free)
{
    return lifecycle_create("acme", &some_id, (struct bytes){.data = (const uint8_t *)"x", .length = 1},
                            LIFECYCLE_QUEUE_LIVE, responder_free, NOW_US);
}

/* The panic after a legal command. */
static struct store_panic after(const struct store_panic *panic, enum lifecycle_kind kind, int64_t now_us)
{
    struct lifecycle_command command = command_of(kind);
    struct store_panic next;
    struct store_event event;
    assert_ok(lifecycle_apply(panic, &command, now_us, &next, &event));
    return next;
}

static struct store_panic panic_in(int stage)
{
    struct store_panic panic = new_panic(true);
    switch (stage) {
    case STAGE(UNASSIGNED):
        return after(&panic, LIFECYCLE_NO_RESPONDER, NOW_US);
    case STAGE(ACCEPTED):
        return after(&panic, LIFECYCLE_ASSIGN, NOW_US);
    case STAGE(RESOLVED):
        return after(&panic, LIFECYCLE_RESOLVE, NOW_US);
    default:
        return panic;
    }
}

static void assert_moves(int from, enum lifecycle_kind kind, int to, int status, const char *type)
{
    struct store_panic panic = panic_in(from);
    struct lifecycle_command command = command_of(kind);
    struct store_panic next;
    struct store_event event;
    assert_ok(lifecycle_apply(&panic, &command, NOW_US + 5, &next, &event));
    assert_int_equal(next.stage, to);
    assert_int_equal(next.status, status);
    assert_int_equal(next.version, panic.version + 1);
    assert_int_equal(next.update_time_us, NOW_US + 5);
    assert_int_equal(event.at_us, NOW_US + 5);
    assert_int_equal(event.from_stage, from);
    assert_int_equal(event.to_stage, to);
    assert_string_equal(event.type, type);
    assert_string_equal(event.actor, "dispatch");
}

static void assert_refuses(int from, enum lifecycle_kind kind)
{
    struct store_panic panic = panic_in(from);
    struct lifecycle_command command = command_of(kind);
    struct store_panic next;
    struct store_event event;
    memset(&next, 0x5A, sizeof(next));
    memset(&event, 0x5A, sizeof(event));
    struct store_panic next_before = next;
    struct store_event event_before = event;
    assert_status(lifecycle_apply(&panic, &command, NOW_US + 5, &next, &event), STATUS_FAILED_PRECONDITION);
    assert_memory_equal(&next, &next_before, sizeof(next));
    assert_memory_equal(&event, &event_before, sizeof(event));
}

static void test_received_can_be_assigned(void **state)
{
    (void)state;
    assert_moves(STAGE(RECEIVED), LIFECYCLE_ASSIGN, STAGE(ACCEPTED), PANIC_STATUS(ACTIVE), "assigned");
}

static void test_received_without_responder_becomes_unassigned(void **state)
{
    (void)state;
    assert_moves(STAGE(RECEIVED), LIFECYCLE_NO_RESPONDER, STAGE(UNASSIGNED), PANIC_STATUS(PROCESSING),
                 "no_responder");
}

static void test_received_can_be_resolved(void **state)
{
    (void)state;
    assert_moves(STAGE(RECEIVED), LIFECYCLE_RESOLVE, STAGE(RESOLVED), PANIC_STATUS(RESOLVED), "resolved");
}

static void test_unassigned_can_be_assigned(void **state)
{
    (void)state;
    assert_moves(STAGE(UNASSIGNED), LIFECYCLE_ASSIGN, STAGE(ACCEPTED), PANIC_STATUS(ACTIVE), "assigned");
}

static void test_unassigned_can_be_put_off_again(void **state)
{
    (void)state;
    assert_moves(STAGE(UNASSIGNED), LIFECYCLE_NO_RESPONDER, STAGE(UNASSIGNED), PANIC_STATUS(PROCESSING),
                 "no_responder");
}

static void test_unassigned_can_be_resolved(void **state)
{
    (void)state;
    assert_moves(STAGE(UNASSIGNED), LIFECYCLE_RESOLVE, STAGE(RESOLVED), PANIC_STATUS(RESOLVED), "resolved");
}

static void test_accepted_can_be_reviewed(void **state)
{
    (void)state;
    assert_moves(STAGE(ACCEPTED), LIFECYCLE_REVIEW, STAGE(ACCEPTED), PANIC_STATUS(ACTIVE), "review");
}

static void test_accepted_can_be_resolved(void **state)
{
    (void)state;
    assert_moves(STAGE(ACCEPTED), LIFECYCLE_RESOLVE, STAGE(RESOLVED), PANIC_STATUS(RESOLVED), "resolved");
}

static void test_review_needs_an_assignment(void **state)
{
    (void)state;
    assert_refuses(STAGE(RECEIVED), LIFECYCLE_REVIEW);
    assert_refuses(STAGE(UNASSIGNED), LIFECYCLE_REVIEW);
}

static void test_an_assigned_panic_is_not_assigned_again(void **state)
{
    (void)state;
    assert_refuses(STAGE(ACCEPTED), LIFECYCLE_ASSIGN);
    assert_refuses(STAGE(ACCEPTED), LIFECYCLE_NO_RESPONDER);
}

static void test_resolved_is_the_end(void **state)
{
    (void)state;
    assert_refuses(STAGE(RESOLVED), LIFECYCLE_ASSIGN);
    assert_refuses(STAGE(RESOLVED), LIFECYCLE_NO_RESPONDER);
    assert_refuses(STAGE(RESOLVED), LIFECYCLE_REVIEW);
    assert_refuses(STAGE(RESOLVED), LIFECYCLE_RESOLVE);
}

static void test_a_command_that_is_none_is_refused(void **state)
{
    (void)state;
    assert_refuses(STAGE(RECEIVED), (enum lifecycle_kind)99);
}

static void test_a_new_panic_is_version_1_and_soon_looked_at(void **state)
{
    (void)state;
    struct store_panic panic = new_panic(true);
    assert_int_equal(panic.version, 1);
    assert_int_equal(panic.stage, STAGE(RECEIVED));
    assert_int_equal(panic.status, PANIC_STATUS(PROCESSING));
    assert_false(panic.waiting);
    assert_false(panic.assigned);
    assert_int_equal(panic.attempts, 0);
    assert_int_equal(panic.create_time_us, NOW_US);
    assert_int_equal(panic.update_time_us, NOW_US);
    assert_int_equal(panic.next_action_at_us, NOW_US + LIFECYCLE_FIRST_LOOK_US);
    assert_string_equal(panic.tenant, "acme");
    assert_int_equal(panic.content.length, 1);
}

static void test_with_nobody_free_a_new_panic_waits_from_the_start(void **state)
{
    (void)state;
    struct store_panic panic = new_panic(false);
    assert_int_equal(panic.version, 1);
    assert_int_equal(panic.stage, STAGE(UNASSIGNED));
    assert_int_equal(panic.status, PANIC_STATUS(PROCESSING));
    assert_true(panic.waiting);
    assert_int_equal(panic.attempts, 1);
    assert_int_equal(panic.next_action_at_us, NOW_US + LIFECYCLE_RETRY_MIN_US);
}

static void test_assigning_keeps_who_when_and_how_far(void **state)
{
    (void)state;
    struct store_panic panic = panic_in(STAGE(ACCEPTED));
    assert_true(panic.assigned);
    assert_string_equal(panic.responder_id, "unit-1");
    assert_true(panic.distance_m == 12.5);
    assert_int_equal(panic.assign_time_us, NOW_US);
    assert_int_equal(panic.next_action_at_us, NOW_US + LIFECYCLE_REVIEW_US);
}

static void test_resolving_frees_the_responder_but_remembers_it(void **state)
{
    (void)state;
    struct store_panic panic = panic_in(STAGE(ACCEPTED));
    panic = after(&panic, LIFECYCLE_RESOLVE, NOW_US + 7);
    assert_false(panic.assigned);
    assert_string_equal(panic.responder_id, "unit-1");
    assert_string_equal(panic.outcome, "helped");
    assert_int_equal(panic.next_action_at_us, 0);
    assert_int_equal(panic.assign_time_us, NOW_US);
}

static void test_waiting_doubles_up_to_its_maximum(void **state)
{
    (void)state;
    static const int64_t expected_s[] = {30, 60, 120, 240, 480, 600, 600, 600};
    struct store_panic panic = new_panic(true);
    for (size_t i = 0; i < sizeof(expected_s) / sizeof(expected_s[0]); i++) {
        panic = after(&panic, LIFECYCLE_NO_RESPONDER, NOW_US);
        assert_int_equal(panic.next_action_at_us, NOW_US + expected_s[i] * US_PER_S);
        assert_int_equal(panic.attempts, i + 1);
    }
}

static void test_attempts_saturate(void **state)
{
    (void)state;
    struct store_panic panic = new_panic(false);
    panic.attempts = UINT32_MAX - 1;
    for (int i = 0; i < 3; i++) {
        panic = after(&panic, LIFECYCLE_NO_RESPONDER, NOW_US);
        assert_int_equal(panic.attempts, UINT32_MAX);
        assert_int_equal(panic.next_action_at_us, NOW_US + LIFECYCLE_RETRY_MAX_US);
    }
}

static void test_time_does_not_run_backwards(void **state)
{
    (void)state;
    struct store_panic panic = new_panic(true);
    struct lifecycle_command command = command_of(LIFECYCLE_ASSIGN);
    struct store_panic next;
    struct store_event event;
    assert_ok(lifecycle_apply(&panic, &command, NOW_US - 3 * DAY_US, &next, &event));
    assert_int_equal(next.update_time_us, NOW_US);
    assert_int_equal(next.assign_time_us, NOW_US);
    assert_int_equal(event.at_us, NOW_US);
}

/* Otherwise the due scan would find it again at once, and again, for as long as the clock had been ahead. */
static void test_after_a_clock_that_was_ahead_the_next_action_is_near_again(void **state)
{
    (void)state;
    static const enum lifecycle_kind kinds[] = {LIFECYCLE_ASSIGN, LIFECYCLE_NO_RESPONDER, LIFECYCLE_REVIEW};
    static const int stages[] = {STAGE(RECEIVED), STAGE(UNASSIGNED), STAGE(ACCEPTED)};
    for (size_t i = 0; i < 3; i++) {
        struct store_panic panic = panic_in(stages[i]);
        int64_t now_us = NOW_US - 3 * DAY_US;
        assert_true(lifecycle_is_due(&panic, now_us));
        panic = after(&panic, kinds[i], now_us);
        assert_false(lifecycle_is_due(&panic, now_us));
        assert_true(lifecycle_is_due(&panic, now_us + LIFECYCLE_REVIEW_US));
    }
}

static void test_due_is_at_its_time_and_not_before(void **state)
{
    (void)state;
    struct store_panic panic = new_panic(true);
    assert_false(lifecycle_is_due(&panic, panic.next_action_at_us - 1));
    assert_true(lifecycle_is_due(&panic, panic.next_action_at_us));
    assert_true(lifecycle_is_due(&panic, panic.next_action_at_us + 1));
}

static void test_a_time_that_cannot_be_true_is_due(void **state)
{
    (void)state;
    struct store_panic panic = new_panic(true);
    panic.next_action_at_us = NOW_US + LIFECYCLE_HORIZON_US - 1;
    assert_false(lifecycle_is_due(&panic, NOW_US));
    panic.next_action_at_us = NOW_US + LIFECYCLE_HORIZON_US;
    assert_true(lifecycle_is_due(&panic, NOW_US));
    panic.next_action_at_us = INT64_MAX;
    assert_true(lifecycle_is_due(&panic, NOW_US));
}

static void test_a_closed_panic_is_never_due(void **state)
{
    (void)state;
    struct store_panic panic = panic_in(STAGE(RESOLVED));
    assert_false(lifecycle_is_due(&panic, 0));
    assert_false(lifecycle_is_due(&panic, NOW_US + 1000 * DAY_US));
}

static void test_open_and_needing_a_responder_by_stage(void **state)
{
    (void)state;
    static const struct {
        int stage;
        bool open;
        bool needs;
    } cases[] = {{STAGE(RECEIVED), true, true},
                 {STAGE(UNASSIGNED), true, true},
                 {STAGE(ACCEPTED), true, false},
                 {STAGE(RESOLVED), false, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store_panic panic = panic_in(cases[i].stage);
        assert_int_equal(lifecycle_is_open(&panic), cases[i].open);
        assert_int_equal(lifecycle_needs_responder(&panic), cases[i].needs);
    }
}

/* ---- random lives ---- */

static uint64_t random_state;

/* xorshift64* (S. Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled"). */
static uint64_t random_number(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 2685821657736338717U;
}

static int64_t jumped(int64_t now_us)
{
    switch (random_number() % 8) {
    case 0:
        return now_us - (int64_t)(random_number() % (uint64_t)(400 * DAY_US));
    case 1:
        return now_us + (int64_t)(random_number() % (uint64_t)(400 * DAY_US));
    default:
        return now_us + (int64_t)(random_number() % (uint64_t)(3600 * US_PER_S));
    }
}

static bool may(int stage, enum lifecycle_kind kind)
{
    static const bool table[][4] = {[STAGE(RECEIVED)] = {true, true, false, true},
                                    [STAGE(UNASSIGNED)] = {true, true, false, true},
                                    [STAGE(ACCEPTED)] = {false, false, true, true},
                                    [STAGE(RESOLVED)] = {false, false, false, false}};
    return table[stage][kind];
}

/* NULL when the panic is as every panic must be at any time; otherwise what it breaks. */
static const char *broken_rule(const struct store_panic *panic)
{
    bool open = panic->stage != STAGE(RESOLVED);
    if (open != (panic->next_action_at_us > 0)) {
        return "open panics have a next action, closed ones none";
    }
    if (panic->waiting != (panic->stage == STAGE(UNASSIGNED))) {
        return "waiting exactly while unassigned";
    }
    if (panic->assigned != (panic->stage == STAGE(ACCEPTED))) {
        return "assigned exactly while accepted";
    }
    if (panic->assigned && panic->responder_id == NULL) {
        return "somebody is assigned";
    }
    if ((panic->outcome != NULL) == open) {
        return "an outcome exactly when closed";
    }
    if ((panic->status == PANIC_STATUS(ACTIVE)) != (panic->stage == STAGE(ACCEPTED)) ||
        (panic->status == PANIC_STATUS(RESOLVED)) == open) {
        return "the status follows the stage";
    }
    return NULL;
}

/* The same for one change. */
static const char *broken_step(const struct store_panic *before, const struct store_panic *panic,
                               const struct store_event *event, int64_t now_us)
{
    if (panic->version != before->version + 1) {
        return "one version for each change";
    }
    if (panic->update_time_us < before->update_time_us || panic->update_time_us < now_us) {
        return "time never runs backwards";
    }
    if (panic->next_action_at_us > now_us + LIFECYCLE_REVIEW_US) {
        return "the next action is near";
    }
    if (panic->stage != STAGE(RESOLVED) && lifecycle_is_due(panic, now_us)) {
        return "what was just looked at is not due";
    }
    if (panic->attempts < before->attempts || panic->create_time_us != before->create_time_us ||
        panic->content.data != before->content.data || !id_equal(&panic->id, &before->id)) {
        return "the past does not change";
    }
    if (event->at_us != panic->update_time_us || event->to_stage != panic->stage ||
        event->from_stage != before->stage) {
        return "the event tells the change";
    }
    return broken_rule(panic);
}

static const char *live(void)
{
    int64_t now_us = NOW_US;
    struct store_panic panic = lifecycle_create("acme", &some_id, (struct bytes){.length = 0},
                                                LIFECYCLE_QUEUE_LIVE, random_number() % 2 == 0, now_us);
    const char *broken = broken_rule(&panic);
    uint64_t steps = random_number() % STEPS_MAX;
    for (uint64_t i = 0; broken == NULL && i < steps; i++) {
        now_us = jumped(now_us);
        struct lifecycle_command command = command_of((enum lifecycle_kind)(random_number() % 4));
        struct store_panic next;
        struct store_event event;
        enum status status = lifecycle_apply(&panic, &command, now_us, &next, &event);
        if ((status == STATUS_OK) != may(panic.stage, command.kind)) {
            return "the table";
        }
        if (status == STATUS_OK) {
            broken = broken_step(&panic, &next, &event, now_us);
            panic = next;
        }
    }
    return broken;
}

static void test_a_million_random_lives_keep_the_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        random_state = seed * 0x9E3779B97F4A7C15U;
        const char *broken = live();
        if (broken != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, broken);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_received_can_be_assigned),
        cmocka_unit_test(test_received_without_responder_becomes_unassigned),
        cmocka_unit_test(test_received_can_be_resolved),
        cmocka_unit_test(test_unassigned_can_be_assigned),
        cmocka_unit_test(test_unassigned_can_be_put_off_again),
        cmocka_unit_test(test_unassigned_can_be_resolved),
        cmocka_unit_test(test_accepted_can_be_reviewed),
        cmocka_unit_test(test_accepted_can_be_resolved),
        cmocka_unit_test(test_review_needs_an_assignment),
        cmocka_unit_test(test_an_assigned_panic_is_not_assigned_again),
        cmocka_unit_test(test_resolved_is_the_end),
        cmocka_unit_test(test_a_command_that_is_none_is_refused),
        cmocka_unit_test(test_a_new_panic_is_version_1_and_soon_looked_at),
        cmocka_unit_test(test_with_nobody_free_a_new_panic_waits_from_the_start),
        cmocka_unit_test(test_assigning_keeps_who_when_and_how_far),
        cmocka_unit_test(test_resolving_frees_the_responder_but_remembers_it),
        cmocka_unit_test(test_waiting_doubles_up_to_its_maximum),
        cmocka_unit_test(test_attempts_saturate),
        cmocka_unit_test(test_time_does_not_run_backwards),
        cmocka_unit_test(test_after_a_clock_that_was_ahead_the_next_action_is_near_again),
        cmocka_unit_test(test_due_is_at_its_time_and_not_before),
        cmocka_unit_test(test_a_time_that_cannot_be_true_is_due),
        cmocka_unit_test(test_a_closed_panic_is_never_due),
        cmocka_unit_test(test_open_and_needing_a_responder_by_stage),
        cmocka_unit_test(test_a_million_random_lives_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

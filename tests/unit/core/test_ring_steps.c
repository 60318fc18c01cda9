/* The ring step by step: schedules that random testing does not find, and threads that stop for ever
 * half-way. */
#include "harness/test.h"

#include "actor.h"
#include "core/ring.c" /* NOLINT(bugprone-suspicious-include): its steps and its circles are under test */

static void act_enqueue(struct actor *self)
{
    enqueue(self->subject, self->value);
}

static void act_dequeue(struct actor *self)
{
    self->ok = dequeue(self->subject, &self->value);
}

static void act_push(struct actor *self)
{
    self->ok = ring_push(self->subject, (void *)(uintptr_t)self->value);
}

static void act_pop(struct actor *self)
{
    void *item = NULL;
    self->ok = ring_pop(self->subject, &item);
    self->value = (uintptr_t)item;
}

static struct ring *new_ring(size_t capacity)
{
    struct ring *ring = NULL;
    enum status status = ring_new(capacity, &ring);
    assert(status == STATUS_OK);
    return ring;
}

static void assert_dequeues(struct circle *circle, uint64_t expected)
{
    uint64_t index = UINT64_MAX;
    assert_true(dequeue(circle, &index));
    assert_int_equal(index, expected);
}

/* Passes index 1 through the circle until head and tail stand at `ticket`. */
static void advance_to(struct circle *circle, uint64_t ticket)
{
    while (atomic_load(&circle->tail) < ticket) {
        enqueue(circle, 1);
        assert_dequeues(circle, 1);
    }
    assert_int_equal(atomic_load(&circle->head), ticket);
    assert_int_equal(atomic_load(&circle->tail), ticket);
}

/*
 * Slot 0 of a circle of 8 slots, tickets 0, 8 and 16. The dequeuer of 0 is slow to take its element; the one
 * of 16 finds it there, marks the slot unsafe and is gone. Then the element goes, and the late dequeuer of 8
 * advances the empty slot. If it made the slot safe again, the enqueuer of 16 would put in what nobody comes
 * for.
 */
static void test_late_dequeuer_does_not_make_an_unsafe_slot_safe(void **state)
{
    (void)state;
    struct circle circle;
    assert_ok(circle_init(&circle, 4, 0));

    enqueue(&circle, 0);
    struct actor of_0 = {.act = act_dequeue, .subject = &circle, .stop_at = "dequeue take"};
    assert_true(actor_start(&of_0));
    advance_to(&circle, 8);

    enqueue(&circle, 1);
    struct actor of_8 = {.act = act_dequeue, .subject = &circle, .stop_at = "dequeue look"};
    assert_true(actor_start(&of_8));
    assert_dequeues(&circle, 1);
    advance_to(&circle, 16);

    struct actor enqueuer = {.act = act_enqueue, .subject = &circle, .value = 2, .stop_at = "enqueue look"};
    assert_true(actor_start(&enqueuer));
    enqueue(&circle, 1);
    assert_dequeues(&circle, 1);

    actor_finish(&of_0);
    assert_true(of_0.ok);
    assert_int_equal(of_0.value, 0);
    actor_finish(&of_8);
    assert_false(of_8.ok);
    actor_finish(&enqueuer);
    assert_dequeues(&circle, 2);
    free(circle.slots);
}

/* The dequeuer of ticket 0 overtakes the enqueuer of ticket 0, which then must go on to a ticket that is
 * still to come. */
static void test_overtaken_enqueuer_draws_another_ticket(void **state)
{
    (void)state;
    struct circle circle;
    assert_ok(circle_init(&circle, 4, 0));
    struct actor enqueuer = {.act = act_enqueue, .subject = &circle, .value = 2, .stop_at = "enqueue look"};
    assert_true(actor_start(&enqueuer));
    enqueue(&circle, 1);
    assert_dequeues(&circle, 1);
    actor_finish(&enqueuer);
    assert_dequeues(&circle, 2);
    free(circle.slots);
}

/* Circle of 4 slots; an element that waits for its slow dequeuer is skipped by the enqueuer one round later.
 */
static void test_enqueuer_passes_over_a_slot_whose_element_was_not_taken_yet(void **state)
{
    (void)state;
    struct circle circle;
    assert_ok(circle_init(&circle, 2, 0));
    enqueue(&circle, 0);
    struct actor slow = {.act = act_dequeue, .subject = &circle, .stop_at = "dequeue take"};
    assert_true(actor_start(&slow));
    for (int i = 0; i < 1000; i++) {
        enqueue(&circle, 1);
        assert_dequeues(&circle, 1);
    }
    actor_finish(&slow);
    assert_true(slow.ok);
    assert_int_equal(slow.value, 0);
    free(circle.slots);
}

/*
 * As many vain tickets as possible after an enqueue, in a circle of 4 indices: three slots still hold the
 * elements of slow dequeuers when tail comes round, three enqueuers stop with a ticket each, and three
 * dequeuers that drew a vain ticket long ago count it off late. One element lies behind all that.
 */
static void test_threshold_lasts_to_an_element_behind_many_vain_tickets(void **state)
{
    (void)state;
    struct circle circle;
    assert_ok(circle_init(&circle, 4, 0));
    const uint64_t others[] = {0, 2, 3};
    struct actor late[3];
    for (int i = 0; i < 3; i++) {
        late[i] = (struct actor){.act = act_dequeue, .subject = &circle, .stop_at = "dequeue ticket"};
        enqueue(&circle, 1);
        assert_true(actor_start(&late[i]));
        assert_dequeues(&circle, 1);
        assert_true(actor_resume_to(&late[i], "dequeue overtook"));
    }
    advance_to(&circle, 8);

    struct actor slow[3];
    for (int i = 0; i < 3; i++) {
        slow[i] = (struct actor){.act = act_dequeue, .subject = &circle, .stop_at = "dequeue take"};
        enqueue(&circle, others[i]);
        assert_true(actor_start(&slow[i]));
    }
    advance_to(&circle, 16);
    struct actor last = {
        .act = act_enqueue, .subject = &circle, .value = 1, .stop_at = "enqueue ticket", .skip = 3};
    assert_true(actor_start(&last));
    struct actor stopped[3];
    for (int i = 0; i < 3; i++) {
        actor_finish(&slow[i]);
        assert_int_equal(slow[i].value, others[i]);
        stopped[i] = (struct actor){
            .act = act_enqueue, .subject = &circle, .value = others[i], .stop_at = "enqueue look"};
        assert_true(actor_start(&stopped[i]));
    }
    actor_finish(&last);
    for (int i = 0; i < 3; i++) {
        actor_finish(&late[i]);
        assert_false(late[i].ok);
    }
    assert_dequeues(&circle, 1);
    for (int i = 0; i < 3; i++) {
        actor_finish(&stopped[i]);
    }
    free(circle.slots);
}

/*
 * A vain ticket that is counted off late has a dequeuer look at head and tail though something is inside.
 * While it looks, one element comes and the one before it goes: at no moment is the circle empty.
 */
static void test_dequeuer_that_looks_slowly_does_not_take_two_moments_for_an_empty_one(void **state)
{
    (void)state;
    struct circle circle;
    assert_ok(circle_init(&circle, 4, 0));
    struct actor late = {.act = act_dequeue, .subject = &circle, .stop_at = "dequeue ticket"};
    enqueue(&circle, 1);
    assert_true(actor_start(&late));
    assert_dequeues(&circle, 1);
    assert_true(actor_resume_to(&late, "dequeue overtook"));
    enqueue(&circle, 0);
    actor_finish(&late);

    struct actor slow = {.act = act_dequeue, .subject = &circle, .skip = 2};
    assert_true(actor_start(&slow));
    enqueue(&circle, 2);
    assert_dequeues(&circle, 0);
    actor_finish(&slow);
    assert_true(slow.ok);
    assert_int_equal(slow.value, 2);
    free(circle.slots);
}

#define PAUSE_CAPACITY 8
#define PAUSE_ROUNDS 1000
#define PAUSED_VALUE 1000000

/*
 * One thread stops before the step after the first `skip` of its operation, on a ring with `filling` items.
 * The others push and pop as if it were not there; only an item whose ticket a stopped pop of the empty ring
 * has drawn waits for it, the first one. Then it goes on, and nothing is lost or doubled. False when the
 * operation has no such step.
 */
static bool play_pause(void (*act)(struct actor *), uint64_t filling, unsigned skip)
{
    struct ring *ring = new_ring(PAUSE_CAPACITY);
    uint64_t pushed = 0;
    uint64_t sum = 0;
    void *item = NULL;
    /* Once round, so that a pop of the empty ring is not turned away by its first step. */
    assert_true(ring_push(ring, NULL));
    assert_true(ring_pop(ring, &item));
    for (; pushed < filling; pushed++) {
        assert_true(ring_push(ring, (void *)(uintptr_t)(pushed + 1)));
        sum += pushed + 1;
    }
    struct actor paused = {.act = act, .subject = ring, .value = PAUSED_VALUE, .skip = skip};
    bool was_paused = actor_start(&paused);
    bool waits_for_item = act == act_pop && filling == 0;
    for (int i = 0; i < PAUSE_ROUNDS; i++, pushed++) {
        assert_true(ring_push(ring, (void *)(uintptr_t)(pushed + 1)));
        sum += pushed + 1;
        if (ring_pop(ring, &item)) {
            sum -= (uintptr_t)item;
        } else {
            assert_true(waits_for_item && i == 0);
        }
    }
    actor_finish(&paused);
    if (act == act_push) {
        assert_true(paused.ok);
        sum += PAUSED_VALUE;
    } else if (paused.ok) {
        sum -= paused.value;
    }
    while (ring_pop(ring, &item)) {
        sum -= (uintptr_t)item;
    }
    assert_int_equal(sum, 0);
    ring_free(ring);
    return was_paused;
}

static void test_push_stopped_at_any_step_stops_nobody(void **state)
{
    (void)state;
    for (uint64_t filling = 0; filling <= PAUSE_CAPACITY - 2; filling++) {
        unsigned steps = 0;
        while (play_pause(act_push, filling, steps)) {
            steps++;
        }
        assert_in_range(steps, 8, 100);
    }
}

static void test_pop_stopped_at_any_step_stops_nobody(void **state)
{
    (void)state;
    for (uint64_t filling = 1; filling <= PAUSE_CAPACITY - 2; filling++) {
        unsigned steps = 0;
        while (play_pause(act_pop, filling, steps)) {
            steps++;
        }
        assert_in_range(steps, 8, 100);
    }
}

static void test_vain_pop_stopped_at_any_step_stops_nobody(void **state)
{
    (void)state;
    unsigned steps = 0;
    while (play_pause(act_pop, 0, steps)) {
        steps++;
    }
    assert_in_range(steps, 3, 100);
}

/* A slot's word has room for a few cycles only when it wraps; the comparison must not mind. */
static void test_order_survives_the_wrap_of_tickets(void **state)
{
    (void)state;
    struct circle circle;
    assert_ok(circle_init(&circle, 2, 0));
    uint64_t start = UINT64_MAX - 39;
    for (uint64_t i = 0; i < 4; i++) {
        atomic_store(slot_of(&circle, i),
                     (ticket_cycle(&circle, start) - 2 * circle.safe) | circle.safe | circle.none);
    }
    atomic_store(&circle.head, start);
    atomic_store(&circle.tail, start);
    for (uint64_t i = 0; i < 1000; i++) {
        enqueue(&circle, i & 1);
        assert_dequeues(&circle, i & 1);
        uint64_t index;
        assert_false(dequeue(&circle, &index));
    }
    free(circle.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_dequeuer_does_not_make_an_unsafe_slot_safe),
        cmocka_unit_test(test_overtaken_enqueuer_draws_another_ticket),
        cmocka_unit_test(test_enqueuer_passes_over_a_slot_whose_element_was_not_taken_yet),
        cmocka_unit_test(test_threshold_lasts_to_an_element_behind_many_vain_tickets),
        cmocka_unit_test(test_dequeuer_that_looks_slowly_does_not_take_two_moments_for_an_empty_one),
        cmocka_unit_test(test_push_stopped_at_any_step_stops_nobody),
        cmocka_unit_test(test_pop_stopped_at_any_step_stops_nobody),
        cmocka_unit_test(test_vain_pop_stopped_at_any_step_stops_nobody),
        cmocka_unit_test(test_order_survives_the_wrap_of_tickets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

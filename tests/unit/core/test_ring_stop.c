/*
 * Lock-freedom, the property itself: a thread stops for ever before each labelled step of push and of pop,
 * and the others complete a million operations. Afterwards it goes on, and nothing is lost.
 *
 * Some steps are reached only where others have stopped already; they stay stopped as well.
 */
#include "harness/test.h"

#include "actor.h"
#include "core/ring.c" /* NOLINT(bugprone-suspicious-include): its steps are where to stop */

#define CAPACITY 16
#define OTHERS 4
#define HELPERS_MAX 2
#define ATTEMPTS_MAX (8 * CAPACITY)

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define OPERATIONS 20000
#else
#define OPERATIONS 1000000
#endif

/* What has happened to the ring before the thread in question begins. */
enum scene {
    HALF_FULL,
    /* Nothing to take out of the circle, as one thread has found out already. */
    EXHAUSTED,
    /* Nothing to take out of the circle but what one thread, or two, drew a ticket for and never put in. */
    ONE_LATE,
    TWO_LATE,
    /* The same with one, and its ticket is passed while the thread catches up. */
    ONE_LATE_AND_ON,
    /* A slot of the circle to put into is unsafe and empty. */
    UNSAFE_SLOT,
    /* Vain tickets were drawn in the circle to put into. */
    THRESHOLD_DOWN,
};

struct stop {
    const char *label;
    enum scene scene;
};

static const struct stop stops[] = {
    {"dequeue threshold", HALF_FULL},
    {"dequeue ticket", HALF_FULL},
    {"dequeue look", HALF_FULL},
    {"dequeue take", HALF_FULL},
    {"enqueue ticket", HALF_FULL},
    {"enqueue look", HALF_FULL},
    {"enqueue enter", HALF_FULL},
    {"enqueue threshold", HALF_FULL},
    {"dequeue mark", ONE_LATE},
    {"dequeue vain tail", ONE_LATE},
    {"dequeue catch up", ONE_LATE},
    {"dequeue overtook", ONE_LATE},
    {"dequeue vain", TWO_LATE},
    {"dequeue head", EXHAUSTED},
    {"dequeue tail", EXHAUSTED},
    {"dequeue catch up head", ONE_LATE_AND_ON},
    {"dequeue catch up tail", ONE_LATE_AND_ON},
    {"enqueue head", UNSAFE_SLOT},
    {"enqueue reset", THRESHOLD_DOWN},
};

struct stage {
    struct ring *ring;
    struct actor victim;
    struct actor helpers[HELPERS_MAX];
    unsigned n_helpers;
    /* Pushed less popped; what the others do included. */
    _Atomic uint64_t balance;
    _Atomic int64_t operations_left;
};

static void act_push(struct actor *self)
{
    struct stage *stage = self->subject;
    self->ok = ring_push(stage->ring, (void *)(uintptr_t)self->value);
    if (self->ok) {
        atomic_fetch_add(&stage->balance, self->value);
    }
}

static void act_pop(struct actor *self)
{
    struct stage *stage = self->subject;
    void *item = NULL;
    self->ok = ring_pop(stage->ring, &item);
    if (self->ok) {
        atomic_fetch_sub(&stage->balance, (uintptr_t)item);
    }
}

static bool push(struct stage *stage, uint64_t value)
{
    struct actor now = {.subject = stage, .value = value};
    act_push(&now);
    return now.ok;
}

static bool pop(struct stage *stage)
{
    struct actor now = {.subject = stage};
    act_pop(&now);
    return now.ok;
}

/* The other operation than `act`, at once. */
static bool do_opposite(struct stage *stage, void (*act)(struct actor *))
{
    return act == act_push ? pop(stage) : push(stage, 1);
}

static void start_helper(struct stage *stage, void (*act)(struct actor *), const char *stop_at)
{
    struct actor *helper = &stage->helpers[stage->n_helpers++];
    *helper = (struct actor){.act = act, .subject = stage, .value = 77, .stop_at = stop_at};
    assert_true(actor_start(helper));
}

/* Empties the circle from which `act` takes. */
static void exhaust(struct stage *stage, void (*act)(struct actor *))
{
    while (act == act_push ? push(stage, 3) : pop(stage)) {
    }
}

static void set_scene(struct stage *stage, enum scene scene, void (*act)(struct actor *))
{
    void (*opposite)(struct actor *) = act == act_push ? act_pop : act_push;
    if (scene == HALF_FULL) {
        return;
    }
    if (scene == UNSAFE_SLOT) {
        /* Slow to take its element out of the circle into which `act` puts; the tickets go round once. */
        start_helper(stage, opposite, "dequeue take");
        for (int i = 0; i < 2 * CAPACITY; i++) {
            assert_true(push(stage, 5) && pop(stage));
        }
        actor_finish(&stage->helpers[--stage->n_helpers]);
        return;
    }
    if (scene == THRESHOLD_DOWN) {
        exhaust(stage, opposite);
        return;
    }
    exhaust(stage, act);
    if (scene == EXHAUSTED) {
        return;
    }
    assert_true(do_opposite(stage, act));
    struct actor once = {.subject = stage, .value = 9};
    act(&once);
    assert_true(once.ok);
    for (int i = 0; i < (scene == TWO_LATE ? 2 : 1); i++) {
        start_helper(stage, opposite, "enqueue look");
    }
}

/* Has the thread stop before the step. False when it never comes there. */
static bool stop_victim(struct stage *stage, const struct stop *stop, void (*act)(struct actor *))
{
    bool goes_on = stop->scene == ONE_LATE_AND_ON;
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        stage->victim = (struct actor){
            .act = act, .subject = stage, .value = 11, .stop_at = goes_on ? "dequeue catch up" : stop->label};
        if (actor_start(&stage->victim)) {
            return !goes_on || (do_opposite(stage, act) && actor_resume_to(&stage->victim, stop->label));
        }
        actor_join(&stage->victim);
        (void)do_opposite(stage, act);
    }
    return false;
}

static void *push_and_pop(void *arg)
{
    struct stage *stage = arg;
    uint64_t value = 100;
    while (atomic_load_explicit(&stage->operations_left, memory_order_relaxed) > 0) {
        int done = push(stage, value++);
        done += pop(stage);
        atomic_fetch_sub_explicit(&stage->operations_left, done, memory_order_relaxed);
    }
    return NULL;
}

static void let_others_work(struct stage *stage)
{
    pthread_t others[OTHERS];
    atomic_store(&stage->operations_left, OPERATIONS);
    for (int i = 0; i < OTHERS; i++) {
        start_thread(&others[i], push_and_pop, stage);
    }
    for (int i = 0; i < OTHERS; i++) {
        join_thread(others[i]);
    }
    assert_true(atomic_load(&stage->operations_left) <= 0);
}

static void play(const struct stop *stop, void (*act)(struct actor *))
{
    struct stage stage = {.n_helpers = 0};
    assert_ok(ring_new(CAPACITY, &stage.ring));
    for (int i = 0; i < CAPACITY / 2; i++) {
        assert_true(push(&stage, 1));
    }
    set_scene(&stage, stop->scene, act);
    if (!stop_victim(&stage, stop, act)) {
        fail_msg("no %s comes to \"%s\"", act == act_push ? "push" : "pop", stop->label);
    }
    let_others_work(&stage);
    actor_finish(&stage.victim);
    for (unsigned i = 0; i < stage.n_helpers; i++) {
        actor_finish(&stage.helpers[i]);
        assert_true(stage.helpers[i].ok);
    }
    while (pop(&stage)) {
    }
    assert_int_equal(atomic_load(&stage.balance), 0);
    for (int i = 0; i < CAPACITY; i++) {
        assert_true(push(&stage, 1));
    }
    ring_free(stage.ring);
}

static void test_push_stopped_for_ever_at_any_label_stops_nobody(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
        play(&stops[i], act_push);
    }
}

static void test_pop_stopped_for_ever_at_any_label_stops_nobody(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++) {
        play(&stops[i], act_pop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_push_stopped_for_ever_at_any_label_stops_nobody),
        cmocka_unit_test(test_pop_stopped_for_ever_at_any_label_stops_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

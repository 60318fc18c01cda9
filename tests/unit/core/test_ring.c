/* The ring as its callers see it: order, bounds, and many threads at once. */
#include "harness/test.h"

#include <sched.h>
#include <stdlib.h>

#include "await.h"
#include "base/clock.h"
#include "core/ring.h"

static struct ring *new_ring(size_t capacity)
{
    struct ring *ring = NULL;
    assert_ok(ring_new(capacity, &ring));
    return ring;
}

static void *item(uint64_t value)
{
    return (void *)(uintptr_t)value;
}

static void assert_pops(struct ring *ring, uint64_t value)
{
    void *popped = NULL;
    assert_true(ring_pop(ring, &popped));
    assert_ptr_equal(popped, item(value));
}

static void assert_empty(struct ring *ring)
{
    void *popped = item(42);
    assert_false(ring_pop(ring, &popped));
    assert_ptr_equal(popped, item(42));
}

static void test_capacity_must_be_a_power_of_two_within_bounds(void **state)
{
    (void)state;
    const size_t bad[] = {0,
                          1,
                          3,
                          6,
                          1000,
                          RING_CAPACITY_MAX + 1,
                          (size_t)RING_CAPACITY_MAX * 2,
                          SIZE_MAX,
                          (SIZE_MAX >> 1) + 1};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ring *ring = NULL;
        assert_status(ring_new(bad[i], &ring), STATUS_INVALID_ARGUMENT);
        assert_null(ring);
    }
}

static void test_free_takes_null(void **state)
{
    (void)state;
    ring_free(NULL);
}

static void test_new_ring_is_empty(void **state)
{
    (void)state;
    struct ring *ring = new_ring(RING_CAPACITY_MIN);
    assert_empty(ring);
    assert_int_equal(ring_depth(ring), 0);
    assert_int_equal(ring_capacity(ring), RING_CAPACITY_MIN);
    ring_free(ring);
}

static void test_null_is_an_item(void **state)
{
    (void)state;
    struct ring *ring = new_ring(4);
    assert_true(ring_push(ring, NULL));
    assert_pops(ring, 0);
    assert_empty(ring);
    ring_free(ring);
}

static void test_holds_exactly_its_capacity_in_order(void **state)
{
    (void)state;
    for (size_t capacity = RING_CAPACITY_MIN; capacity <= 4096; capacity *= 2) {
        struct ring *ring = new_ring(capacity);
        for (uint64_t i = 0; i < capacity; i++) {
            assert_int_equal(ring_depth(ring), i);
            assert_true(ring_push(ring, item(i)));
        }
        assert_false(ring_push(ring, item(99)));
        assert_int_equal(ring_depth(ring), capacity);
        for (uint64_t i = 0; i < capacity; i++) {
            assert_pops(ring, i);
        }
        assert_empty(ring);
        assert_int_equal(ring_depth(ring), 0);
        ring_free(ring);
    }
}

static void test_one_pop_makes_room_for_one_push(void **state)
{
    (void)state;
    struct ring *ring = new_ring(2);
    assert_true(ring_push(ring, item(1)));
    assert_true(ring_push(ring, item(2)));
    for (uint64_t i = 3; i < 1000; i++) {
        assert_false(ring_push(ring, item(i)));
        assert_pops(ring, i - 2);
        assert_true(ring_push(ring, item(i)));
    }
    ring_free(ring);
}

static void test_order_survives_many_rounds_at_every_filling(void **state)
{
    (void)state;
    struct ring *ring = new_ring(8);
    uint64_t pushed = 0;
    uint64_t popped = 0;
    for (uint64_t round = 0; round < 50000; round++) {
        for (uint64_t i = 0; i < 1 + round % 8; i++) {
            assert_true(ring_push(ring, item(pushed++)));
        }
        for (uint64_t i = 0; i < 1 + round % 8; i++) {
            assert_pops(ring, popped++);
        }
        assert_empty(ring);
    }
    ring_free(ring);
}

static void test_works_on_after_thousands_of_vain_pops_and_pushes(void **state)
{
    (void)state;
    struct ring *ring = new_ring(4);
    for (uint64_t round = 0; round < 100; round++) {
        for (int i = 0; i < 1000; i++) {
            assert_empty(ring);
        }
        for (uint64_t i = 0; i < 4; i++) {
            assert_true(ring_push(ring, item(i)));
        }
        for (int i = 0; i < 1000; i++) {
            assert_false(ring_push(ring, item(99)));
        }
        for (uint64_t i = 0; i < 4; i++) {
            assert_pops(ring, i);
        }
    }
    ring_free(ring);
}

/*
 * Stress: every value says who pushed it and as which one; consumers keep what they got, in order. On a
 * machine that is busy with something else every handover in a small ring may cost a time slice; so producers
 * end after STRESS_US, however little they have pushed by then.
 */

#define SIDE_MAX 8
#define STRESS_US US_PER_S

struct stress {
    struct ring *ring;
    unsigned sides;
    uint64_t per_producer;
    int64_t end_us;
    /* To be pushed, or popped. */
    _Atomic uint64_t left;
};

struct producer {
    struct stress *stress;
    uint64_t number;
    uint64_t pushed;
    pthread_t thread;
};

struct consumer {
    struct stress *stress;
    uint64_t *log;
    size_t logged;
    pthread_t thread;
};

static void *produce(void *arg)
{
    struct producer *self = arg;
    struct stress *stress = self->stress;
    while (self->pushed < stress->per_producer && monotonic_us() < stress->end_us) {
        if (ring_push(stress->ring, item(self->number << 32 | self->pushed))) {
            self->pushed++;
        } else {
            sched_yield();
        }
    }
    stress->left -= stress->per_producer - self->pushed;
    return NULL;
}

static void *consume(void *arg)
{
    struct consumer *self = arg;
    struct stress *stress = self->stress;
    while (stress->left > 0) {
        void *popped;
        if (ring_pop(stress->ring, &popped)) {
            stress->left--;
            self->log[self->logged++] = (uintptr_t)popped;
        } else {
            sched_yield();
        }
    }
    return NULL;
}

/* Marks what the consumer got in `seen`, a byte for each value, and checks that each producer's values
 * ascend. */
static void check_log(const struct consumer *consumer, unsigned char *seen)
{
    const struct stress *stress = consumer->stress;
    uint64_t next[SIDE_MAX] = {0};
    for (size_t i = 0; i < consumer->logged; i++) {
        uint64_t producer = consumer->log[i] >> 32;
        uint64_t value = consumer->log[i] & UINT32_MAX;
        assert_in_range(producer, 0, stress->sides - 1);
        assert_in_range(value, next[producer], stress->per_producer - 1);
        next[producer] = value + 1;
        assert_int_equal(seen[producer * stress->per_producer + value]++, 0);
    }
}

static void run_stress(size_t capacity, unsigned sides, uint64_t per_producer)
{
    uint64_t total = per_producer * sides;
    struct stress stress = {.ring = new_ring(capacity),
                            .sides = sides,
                            .per_producer = per_producer,
                            .end_us = monotonic_us() + STRESS_US,
                            .left = total};
    struct producer producers[SIDE_MAX];
    struct consumer consumers[SIDE_MAX];
    for (unsigned i = 0; i < sides; i++) {
        consumers[i] = (struct consumer){.stress = &stress, .log = calloc(total, sizeof(uint64_t))};
        assert_non_null(consumers[i].log);
        producers[i] = (struct producer){.stress = &stress, .number = i};
        start_thread(&consumers[i].thread, consume, &consumers[i]);
        start_thread(&producers[i].thread, produce, &producers[i]);
    }
    unsigned char *seen = calloc(total, 1);
    assert_non_null(seen);
    size_t pushed = 0;
    size_t logged = 0;
    for (unsigned i = 0; i < sides; i++) {
        join_thread(producers[i].thread);
        join_thread(consumers[i].thread);
        pushed += producers[i].pushed;
        logged += consumers[i].logged;
        check_log(&consumers[i], seen);
        free(consumers[i].log);
    }
    assert_true(pushed > 0);
    assert_int_equal(logged, pushed);
    assert_empty(stress.ring);
    free(seen);
    ring_free(stress.ring);
}

static void test_one_to_one_loses_and_doubles_nothing_at_any_capacity(void **state)
{
    (void)state;
    for (size_t capacity = 2; capacity <= 4096; capacity *= 2) {
        run_stress(capacity, 1, 20000);
    }
}

static void test_two_to_two_loses_and_doubles_nothing_at_any_capacity(void **state)
{
    (void)state;
    for (size_t capacity = 4; capacity <= 4096; capacity *= 2) {
        run_stress(capacity, 2, 10000);
    }
}

static void test_four_to_four_loses_and_doubles_nothing_at_any_capacity(void **state)
{
    (void)state;
    for (size_t capacity = 8; capacity <= 4096; capacity *= 2) {
        run_stress(capacity, 4, 5000);
    }
}

static void test_eight_to_eight_loses_and_doubles_nothing_in_the_smallest_ring_allowed(void **state)
{
    (void)state;
    run_stress(16, 8, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_capacity_must_be_a_power_of_two_within_bounds),
        cmocka_unit_test(test_free_takes_null),
        cmocka_unit_test(test_new_ring_is_empty),
        cmocka_unit_test(test_null_is_an_item),
        cmocka_unit_test(test_holds_exactly_its_capacity_in_order),
        cmocka_unit_test(test_one_pop_makes_room_for_one_push),
        cmocka_unit_test(test_order_survives_many_rounds_at_every_filling),
        cmocka_unit_test(test_works_on_after_thousands_of_vain_pops_and_pushes),
        cmocka_unit_test(test_one_to_one_loses_and_doubles_nothing_at_any_capacity),
        cmocka_unit_test(test_two_to_two_loses_and_doubles_nothing_at_any_capacity),
        cmocka_unit_test(test_four_to_four_loses_and_doubles_nothing_at_any_capacity),
        cmocka_unit_test(test_eight_to_eight_loses_and_doubles_nothing_in_the_smallest_ring_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

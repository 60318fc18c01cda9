/* The anchored wall clock and the monotonic one. */
#include "harness/test.h"

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "base/clock.h"

#define READS 20000

static int64_t realtime_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static void test_wall_time_is_about_the_systems(void **state)
{
    (void)state;
    int64_t before = realtime_us();
    int64_t wall = clock_wall_us(clock_system());
    int64_t after = realtime_us();
    /* Anchor and reading are rounded to a µs each; the rest is the drift that the system corrects meanwhile.
     */
    assert_true(wall >= before - US_PER_S && wall <= after + US_PER_S);
}

static void test_wall_time_never_runs_backwards(void **state)
{
    (void)state;
    int64_t last = clock_wall_us(clock_system());
    for (unsigned i = 0; i < READS; i++) {
        int64_t now = clock_wall_us(clock_system());
        assert_true(now >= last);
        last = now;
    }
}

static void test_monotonic_time_is_in_microseconds(void **state)
{
    (void)state;
    struct timespec before;
    clock_gettime(CLOCK_MONOTONIC, &before);
    int64_t now = monotonic_us();
    struct timespec after;
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(now >= (int64_t)before.tv_sec * US_PER_S + before.tv_nsec / 1000);
    assert_true(now <= (int64_t)after.tv_sec * US_PER_S + after.tv_nsec / 1000);
}

/* A reading of the wall between two of the monotonic clock. */
struct reading {
    pthread_barrier_t *start;
    int64_t before;
    int64_t wall;
    int64_t after;
};

static void *read_clocks(void *arg)
{
    struct reading *reading = arg;
    if (reading->start != NULL) {
        pthread_barrier_wait(reading->start);
    }
    reading->before = monotonic_us();
    reading->wall = clock_wall_us(clock_system());
    reading->after = monotonic_us();
    return NULL;
}

/* Whether one distance between wall and monotonic time explains all readings. */
static bool have_one_anchor(const struct reading *readings, size_t n)
{
    int64_t least = INT64_MIN;
    int64_t most = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        int64_t low = readings[i].wall - readings[i].after;
        int64_t high = readings[i].wall - readings[i].before;
        least = low > least ? low : least;
        most = high < most ? high : most;
    }
    return least <= most;
}

static void test_wall_time_keeps_its_distance_to_the_monotonic(void **state)
{
    (void)state;
    static struct reading readings[READS];
    for (size_t i = 0; i < READS; i++) {
        read_clocks(&readings[i]);
    }
    assert_true(have_one_anchor(readings, READS));
}

static void test_all_threads_share_one_anchor(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    struct reading readings[THREADS];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        readings[i] = (struct reading){.start = &start};
        assert_int_equal(pthread_create(&threads[i], NULL, read_clocks, &readings[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&start);
    assert_true(have_one_anchor(readings, THREADS));
}

static int64_t stopped(const struct clock *clock)
{
    (void)clock;
    return 1234567;
}

static void test_an_injected_clock_is_asked(void **state)
{
    (void)state;
    struct clock clock = {.wall_us = stopped};
    assert_int_equal(clock_wall_us(&clock), 1234567);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First, so that the anchor is set by all threads at once. */
        cmocka_unit_test(test_all_threads_share_one_anchor),
        cmocka_unit_test(test_wall_time_is_about_the_systems),
        cmocka_unit_test(test_wall_time_never_runs_backwards),
        cmocka_unit_test(test_wall_time_keeps_its_distance_to_the_monotonic),
        cmocka_unit_test(test_monotonic_time_is_in_microseconds),
        cmocka_unit_test(test_an_injected_clock_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

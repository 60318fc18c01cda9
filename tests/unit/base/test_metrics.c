/* Counters, and histograms against the sorted values themselves. */
#include "harness/test.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

#define THREADS 4
#define ROUNDS 50000
#define VALUES 20000

static struct histogram histogram;

static int set_up(void **state)
{
    (void)state;
    memset(&histogram, 0, sizeof(histogram));
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* xorshift64 (Marsaglia, 2003): the same numbers on every machine. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void test_an_empty_histogram_gives_zero(void **state)
{
    (void)state;
    assert_int_equal(histogram_quantile(&histogram, 0.0), 0);
    assert_int_equal(histogram_quantile(&histogram, 0.5), 0);
    assert_int_equal(histogram_quantile(&histogram, 1.0), 0);
    assert_int_equal(histogram_count_up_to(&histogram, UINT64_MAX), 0);
}

static void test_one_value_is_every_quantile(void **state)
{
    (void)state;
    histogram_record(&histogram, 1000003);
    assert_int_equal(histogram_quantile(&histogram, 0.0), 1000003);
    assert_int_equal(histogram_quantile(&histogram, 0.5), 1000003);
    assert_int_equal(histogram_quantile(&histogram, 1.0), 1000003);
}

static void test_count_sum_and_max_are_exact(void **state)
{
    (void)state;
    static const uint64_t values[] = {5, 1000, 0, 77777, 123};
    for (size_t i = 0; i < 5; i++) {
        histogram_record(&histogram, values[i]);
    }
    assert_int_equal(histogram.count, 5);
    assert_int_equal(histogram.sum, 78905);
    assert_int_equal(histogram.max, 77777);
}

static void test_values_below_32_are_exact(void **state)
{
    (void)state;
    for (uint64_t value = 0; value < 32; value++) {
        histogram_record(&histogram, value);
    }
    for (unsigned value = 0; value < 32; value++) {
        assert_int_equal(histogram_quantile(&histogram, (value + 1) / 32.0), value);
        assert_int_equal(histogram_count_up_to(&histogram, value), value + 1);
    }
}

static void test_each_power_of_two_begins_a_bucket(void **state)
{
    (void)state;
    for (unsigned bit = 4; bit < 40; bit++) {
        uint64_t edge = 1ULL << bit;
        memset(&histogram, 0, sizeof(histogram));
        histogram_record(&histogram, edge - 1);
        histogram_record(&histogram, edge);
        assert_int_equal(histogram_count_up_to(&histogram, edge - 1), 1);
        assert_int_equal(histogram_quantile(&histogram, 0.5), edge - 1);
        assert_int_equal(histogram_quantile(&histogram, 1.0), edge);
    }
}

static void test_every_bucket_is_a_sixteenth_of_its_octave(void **state)
{
    (void)state;
    for (unsigned bit = 5; bit < 40; bit++) {
        uint64_t width = 1ULL << (bit - 4);
        for (uint64_t low = 1ULL << bit; low < 2ULL << bit; low += width) {
            memset(&histogram, 0, sizeof(histogram));
            histogram_record(&histogram, low);
            histogram_record(&histogram, low + width - 1);
            /* Both are in one bucket, whose largest value is the second. */
            assert_int_equal(histogram_count_up_to(&histogram, low + width - 2), 0);
            assert_int_equal(histogram_count_up_to(&histogram, low + width - 1), 2);
        }
    }
}

static void test_values_beyond_the_last_bucket_count_in_it(void **state)
{
    (void)state;
    histogram_record(&histogram, (1ULL << 40) - 1);
    histogram_record(&histogram, 1ULL << 40);
    histogram_record(&histogram, UINT64_MAX);
    assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 3);
    assert_int_equal(histogram_quantile(&histogram, 1.0), (1ULL << 40) - 1);
}

static void test_quantiles_are_above_the_true_value_by_at_most_a_sixteenth(void **state)
{
    (void)state;
    static uint64_t values[VALUES];
    uint64_t seed = 4711;
    for (size_t i = 0; i < VALUES; i++) {
        uint64_t random = next_random(&seed);
        /* Spread over all octaves, as latencies are. */
        values[i] = (random >> 24) >> (random % 40);
        histogram_record(&histogram, values[i]);
    }
    qsort(values, VALUES, sizeof(values[0]), compare);
    static const double quantiles[] = {0.001, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0};
    for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
        size_t rank = (size_t)(quantiles[i] * VALUES + 0.5);
        double truth = (double)values[rank - 1];
        double found = (double)histogram_quantile(&histogram, quantiles[i]);
        assert_true(found >= truth);
        assert_true(found <= truth * (1 + 0.0625));
    }
}

static struct counter counter;

static void *count_and_record(void *arg)
{
    pthread_barrier_wait(arg);
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        counter_add(&counter, 3);
        histogram_record(&histogram, i);
    }
    return NULL;
}

static void test_many_threads_lose_no_count(void **state)
{
    (void)state;
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_and_record, &start), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&start);
    assert_int_equal(counter_read(&counter), 3ULL * THREADS * ROUNDS);
    assert_int_equal(histogram.count, (uint64_t)THREADS * ROUNDS);
    assert_int_equal(histogram.sum, (uint64_t)THREADS * ROUNDS * (ROUNDS + 1) / 2);
    assert_int_equal(histogram.max, ROUNDS);
    assert_int_equal(histogram_count_up_to(&histogram, UINT64_MAX), (uint64_t)THREADS * ROUNDS);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        test(test_an_empty_histogram_gives_zero),
        test(test_one_value_is_every_quantile),
        test(test_count_sum_and_max_are_exact),
        test(test_values_below_32_are_exact),
        test(test_each_power_of_two_begins_a_bucket),
        test(test_every_bucket_is_a_sixteenth_of_its_octave),
        test(test_values_beyond_the_last_bucket_count_in_it),
        test(test_quantiles_are_above_the_true_value_by_at_most_a_sixteenth),
        test(test_many_threads_lose_no_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

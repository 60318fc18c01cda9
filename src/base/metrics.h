/*
 * Counters and histograms that any thread may write without a lock.
 *
 * A histogram has buckets of equal width within each power of two (the layout of HdrHistogram, G. Tene): 16
 * to an octave, so that a quantile is off by at most 1/16 (6.25 %) of its value. Values are non-negative
 * integers in whatever unit the owner says.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

static inline void counter_add(struct counter *counter, uint64_t n)
{
    atomic_fetch_add_explicit(&counter->value, n, memory_order_relaxed);
}

static inline uint64_t counter_read(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

/* Values from 0 to 2^40-1, which in microseconds is twelve days; larger ones count in the last bucket. */
#define HISTOGRAM_OCTAVES 37
#define HISTOGRAM_BUCKETS (16 * HISTOGRAM_OCTAVES)

struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic uint64_t count;
    _Atomic uint64_t sum;
    _Atomic uint64_t max;
};

/* All zero is a valid empty histogram. */
void histogram_record(struct histogram *histogram, uint64_t value);

/* The value below which `quantile` (0 to 1) of the recorded values lie, rounded up to its bucket; 0 when
 * empty. */
uint64_t histogram_quantile(const struct histogram *histogram, double quantile);

/* How many recorded values are at most `bound`, to the accuracy of a bucket. */
uint64_t histogram_count_up_to(const struct histogram *histogram, uint64_t bound);

#endif

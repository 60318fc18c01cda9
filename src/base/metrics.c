#include "base/metrics.h"

#include <math.h>
#include <stddef.h>

enum { BUCKETS = HISTOGRAM_BUCKETS };

/* Below 16 a bucket a value; above, the octave of the top bit and the four bits after it. */
static size_t bucket_of(uint64_t value)
{
    if (value < 16) {
        return (size_t)value;
    }
    unsigned top = 63U - (unsigned)__builtin_clzll(value);
    size_t bucket = (size_t)(top - 3) * 16 + (size_t)(value >> (top - 4) & 15);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The largest value that counts in the bucket. */
static uint64_t bucket_top(size_t bucket)
{
    if (bucket < 16) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket / 16) - 1;
    return ((16 + bucket % 16 + 1) << shift) - 1;
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    atomic_fetch_add_explicit(&histogram->buckets[bucket_of(value)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, value, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    while (value > max && !atomic_compare_exchange_weak_explicit(
                              &histogram->max, &max, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

static uint64_t bucket_count(const struct histogram *histogram, size_t bucket)
{
    return atomic_load_explicit(&histogram->buckets[bucket], memory_order_relaxed);
}

uint64_t histogram_quantile(const struct histogram *histogram, double quantile)
{
    uint64_t total = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        total += bucket_count(histogram, i);
    }
    uint64_t wanted = (uint64_t)ceil(quantile * (double)total);
    uint64_t max = atomic_load_explicit(&histogram->max, memory_order_relaxed);
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += bucket_count(histogram, i);
        if (seen >= wanted && seen > 0) {
            uint64_t top = bucket_top(i);
            return top < max ? top : max;
        }
    }
    return 0;
}

uint64_t histogram_count_up_to(const struct histogram *histogram, uint64_t bound)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS && bucket_top(i) <= bound; i++) {
        seen += bucket_count(histogram, i);
    }
    return seen;
}

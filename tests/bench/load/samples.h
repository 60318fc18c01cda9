/*
 * Latencies, each kept as it was measured, so that quantiles are exact. Any thread may add; reading comes
 * after.
 */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Further ones are counted, but not kept. */
#define SAMPLES_MAX 8000000

struct samples {
    /* SAMPLES_MAX of them; pages that are not used are not there. */
    int64_t *ns;
    _Atomic uint64_t count;
};

/* False when memory is short. Never freed: it lives as long as the program. */
bool samples_init(struct samples *samples);

static inline void samples_add(struct samples *samples, int64_t ns)
{
    uint64_t i = atomic_fetch_add_explicit(&samples->count, 1, memory_order_relaxed);
    if (i < SAMPLES_MAX) {
        samples->ns[i] = ns;
    }
}

/* Sorts them; before the two below. */
void samples_sort(struct samples *samples);

/* In µs; 0 when there are none. */
double samples_quantile_us(const struct samples *samples, double quantile);

/* The whole distribution as JSON: [[quantile, µs], …]. */
void samples_print(const struct samples *samples, FILE *out);

#endif

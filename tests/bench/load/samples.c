#include "bench/load/samples.h"

#include <stdlib.h>

bool samples_init(struct samples *samples)
{
    samples->ns = calloc(SAMPLES_MAX, sizeof(*samples->ns));
    return samples->ns != NULL;
}

static uint64_t kept(const struct samples *samples)
{
    uint64_t count = atomic_load(&samples->count);
    return count < SAMPLES_MAX ? count : SAMPLES_MAX;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void samples_sort(struct samples *samples)
{
    qsort(samples->ns, kept(samples), sizeof(*samples->ns), compare);
}

double samples_quantile_us(const struct samples *samples, double quantile)
{
    uint64_t n = kept(samples);
    if (n == 0) {
        return 0;
    }
    uint64_t i = (uint64_t)(quantile * (double)n);
    return (double)samples->ns[i < n ? i : n - 1] / 1000.0;
}

void samples_print(const struct samples *samples, FILE *out)
{
    static const double tail[] = {0.995, 0.999, 0.9995, 0.9999, 1};
    fprintf(out, "[");
    for (int percent = 1; percent <= 99; percent++) {
        double quantile = percent / 100.0;
        fprintf(out, "[%g,%.1f],", quantile, samples_quantile_us(samples, quantile));
    }
    for (size_t i = 0; i < sizeof(tail) / sizeof(tail[0]); i++) {
        fprintf(out, "%s[%g,%.1f]", i > 0 ? "," : "", tail[i], samples_quantile_us(samples, tail[i]));
    }
    fprintf(out, "]");
}

/*
 * Buckets never fall because each is counted after the one before, from counters that only grow, and one
 * thread's reads of a counter never go back. The sum is read last; it may be ahead of the count by what was
 * recorded meanwhile, which rates over a scrape's interval do not notice.
 *
 * Times are written with integers: a sum in floating point would lose its last digits after some days.
 */
#include "shim/exposition.h"

#include <inttypes.h>

#include "base/clock.h"

struct bound {
    uint64_t value;
    const char *text;
};

static const struct bound time_bounds[] = {
    {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},  {15000000, "15"}, {60000000, "60"},
};

static const struct bound size_bounds[] = {
    {1, "1"},   {2, "2"},     {4, "4"},     {8, "8"},     {16, "16"},     {32, "32"},
    {64, "64"}, {128, "128"}, {256, "256"}, {512, "512"}, {1024, "1024"},
};

void exposition_family(FILE *page, const char *name, const char *type, const char *help)
{
    fprintf(page, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(FILE *page, const char *name, const char *suffix, const char *labels)
{
    if (labels == NULL) {
        fprintf(page, "%s%s ", name, suffix);
    } else {
        fprintf(page, "%s%s{%s} ", name, suffix, labels);
    }
}

static void put_seconds(FILE *page, uint64_t us)
{
    const uint64_t second = US_PER_S;
    fprintf(page, "%" PRIu64 ".%06" PRIu64 "\n", us / second, us % second);
}

void exposition_sample(FILE *page, const char *name, const char *labels, uint64_t value)
{
    put_name(page, name, "", labels);
    fprintf(page, "%" PRIu64 "\n", value);
}

void exposition_counter(FILE *page, const char *name, const char *help, uint64_t value)
{
    exposition_family(page, name, "counter", help);
    exposition_sample(page, name, NULL, value);
}

void exposition_gauge(FILE *page, const char *name, const char *help, uint64_t value)
{
    exposition_family(page, name, "gauge", help);
    exposition_sample(page, name, NULL, value);
}

void exposition_seconds(FILE *page, const char *name, const char *type, const char *help, uint64_t us)
{
    exposition_family(page, name, type, help);
    put_name(page, name, "", NULL);
    put_seconds(page, us);
}

static void put_bucket(FILE *page, const char *name, const char *labels, const char *bound, uint64_t count)
{
    fprintf(page, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels != NULL ? labels : "",
            labels != NULL ? "," : "", bound, count);
}

/* What was recorded up to each bound and in all. The latter. */
static uint64_t put_buckets(FILE *page, const char *name, const char *labels,
                            const struct histogram *histogram, const struct bound *bounds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_bucket(page, name, labels, bounds[i].text, histogram_count_up_to(histogram, bounds[i].value));
    }
    uint64_t count = histogram_count_up_to(histogram, UINT64_MAX);
    put_bucket(page, name, labels, "+Inf", count);
    return count;
}

static uint64_t sum_of(const struct histogram *histogram)
{
    return atomic_load_explicit(&histogram->sum, memory_order_relaxed);
}

void exposition_histogram(FILE *page, const char *name, const char *labels, const struct histogram *histogram)
{
    uint64_t count =
        put_buckets(page, name, labels, histogram, time_bounds, sizeof(time_bounds) / sizeof(time_bounds[0]));
    put_name(page, name, "_sum", labels);
    put_seconds(page, sum_of(histogram));
    put_name(page, name, "_count", labels);
    fprintf(page, "%" PRIu64 "\n", count);
}

void exposition_sizes(FILE *page, const char *name, const char *help, const struct histogram *histogram)
{
    exposition_family(page, name, "histogram", help);
    uint64_t count =
        put_buckets(page, name, NULL, histogram, size_bounds, sizeof(size_bounds) / sizeof(size_bounds[0]));
    fprintf(page, "%s_sum %" PRIu64 "\n%s_count %" PRIu64 "\n", name, sum_of(histogram), name, count);
}

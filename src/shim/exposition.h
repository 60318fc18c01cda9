/*
 * Prometheus' text format, version 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * A family is begun with its name, type and help; then come its samples, each with the same name. Durations
 * are kept in µs and written in seconds, to the last digit. Names, help and labels are the program's own
 * words, so nothing is escaped: labels are NULL or pairs as they stand in the braces, `queue="intake"`.
 */
#ifndef SHIM_EXPOSITION_H
#define SHIM_EXPOSITION_H

#include <stdint.h>
#include <stdio.h>

#include "base/metrics.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Who has figures of its own to show. Called by threads that must not block: only what is at hand. */
struct metrics_source {
    /* NULL: nothing to show. Any thread. */
    void (*write)(void *ctx, FILE *page);
    void *ctx;
};

/* `type` is "counter", "gauge" or "histogram". */
void exposition_family(FILE *page, const char *name, const char *type, const char *help);
void exposition_sample(FILE *page, const char *name, const char *labels, uint64_t value);

/* A family of one sample without labels. */
void exposition_counter(FILE *page, const char *name, const char *help, uint64_t value);
void exposition_gauge(FILE *page, const char *name, const char *help, uint64_t value);
/* The same of a time, given in µs. `type` as above. */
void exposition_seconds(FILE *page, const char *name, const char *type, const char *help, uint64_t us);

/*
 * The samples of a histogram of µs: buckets from 100 µs to 60 s, cumulative, then sum and count. While it is
 * being written to, the buckets still never fall from one to the next, and the count is that of the last one.
 */
void exposition_histogram(FILE *page, const char *name, const char *labels,
                          const struct histogram *histogram);

/* A family of one histogram of numbers without a unit, with buckets from 1 to 1024; otherwise the same. */
void exposition_sizes(FILE *page, const char *name, const char *help, const struct histogram *histogram);

#endif

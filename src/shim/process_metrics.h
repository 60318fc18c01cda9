/*
 * The figures of the process, under the names that Prometheus' client libraries give them
 * (https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics).
 */
#ifndef SHIM_PROCESS_METRICS_H
#define SHIM_PROCESS_METRICS_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

struct process_sample {
    uint64_t cpu_us;
    uint64_t threads;
    uint64_t virtual_bytes;
    uint64_t resident_bytes;
    uint64_t open_fds;
};

struct process_metrics {
    int64_t start_us;
    pthread_mutex_t lock;
    /* Under lock; from when it is, by the monotonic clock. */
    struct process_sample sample;
    int64_t sampled_at_us;
};

void process_metrics_init(struct process_metrics *process);
void process_metrics_release(struct process_metrics *process);

/* Any thread. */
void process_metrics_write(struct process_metrics *process, FILE *page);

#endif

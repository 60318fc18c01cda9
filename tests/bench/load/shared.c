#include <stdio.h>
#include <stdlib.h>

#include "bench/load/ids.h"
#include "bench/load/load.h"

/* Prime, so that multiples of it modulo a span go through all of the span, in an order without neighbours. */
#define STRIDE 1000003

int64_t load_now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void load_ids_init(struct load_ids *ids, const struct load_config *config)
{
    ids->config = config;
    ids->run = arc4random();
    ids->wall_offset_ns = load_now_ns(CLOCK_REALTIME) - load_now_ns(CLOCK_MONOTONIC);
}

void load_ids_take(struct load_ids *ids, int64_t at_ns, char *text)
{
    uint64_t number = atomic_fetch_add_explicit(&ids->next, 1, memory_order_relaxed);
    if (ids->config->frame.kind == FRAME_GET) {
        bench_id_stored(ids->config->first + number * STRIDE % ids->config->span, text);
    } else {
        bench_id_new(at_ns + ids->wall_offset_ns, ids->run, (uint32_t)number, text);
    }
}

struct load_cpu load_cpu_read(const struct load_config *config)
{
    struct load_cpu cpu = {.client_ns = load_now_ns(CLOCK_PROCESS_CPUTIME_ID)};
    clockid_t clock;
    if (config->server != 0) {
        if (clock_getcpuclockid(config->server, &clock) != 0) {
            fprintf(stderr, "bench_load: --server %d: no such process\n", (int)config->server);
            exit(EXIT_FAILURE);
        }
        cpu.server_ns = load_now_ns(clock);
    }
    return cpu;
}

void load_cpu_take(const struct load_config *config, const struct load_cpu *before,
                   struct load_result *result)
{
    struct load_cpu after = load_cpu_read(config);
    result->client_cpu_us = (double)(after.client_ns - before->client_ns) / 1000;
    result->server_cpu_us = (double)(after.server_ns - before->server_ns) / 1000;
}

/*
 * Time. Two kinds, both int64_t microseconds:
 *   wall:      since 1970-01-01 UTC; what is stored and shown.
 *   monotonic: since some start; for deadlines and latencies within the process.
 *
 * The system's wall clock may jump. clock_system() anchors wall time to the monotonic clock when the process
 * starts: within a process wall time never runs backwards, and a jump of the system's clock moves nothing
 * until a restart. Tests inject a struct clock of their own. Any thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define US_PER_S 1000000LL
#define US_PER_MS 1000LL

struct clock {
    /* Wall time in µs. Any thread, must not block. */
    int64_t (*wall_us)(const struct clock *clock);
};

/* The anchored clock of this process. Static storage. */
const struct clock *clock_system(void);

static inline int64_t clock_wall_us(const struct clock *clock)
{
    return clock->wall_us(clock);
}

/* CLOCK_MONOTONIC in µs. */
int64_t monotonic_us(void);

#endif

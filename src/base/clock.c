#include "base/clock.h"

#include <pthread.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

static pthread_once_t anchored = PTHREAD_ONCE_INIT;
static int64_t anchor_offset_us; /* written once under `anchored` */

static void anchor(void)
{
    anchor_offset_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_MONOTONIC);
}

static int64_t system_wall_us(const struct clock *clock)
{
    (void)clock;
    pthread_once(&anchored, anchor);
    return read_us(CLOCK_MONOTONIC) + anchor_offset_us;
}

const struct clock *clock_system(void)
{
    static const struct clock system_clock = {.wall_us = system_wall_us};
    return &system_clock;
}

int64_t monotonic_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

/*
 * Workers take what the ring holds, run it, and park when there is nothing.
 *
 * No accepted item is lost in the race of submitting with closing. `gate` counts the submitters inside
 * pool_submit and holds the closed bit, in one word: a submitter enters by adding one and goes back if the
 * bit was set, so that an item is pushed only by who entered before the bit. A worker ends only when it read
 * "closed, nobody inside" and found the ring empty after that: no push can follow. Whoever makes that true,
 * pool_close or the last submitter to leave, does so first and then wakes all; a parked worker registered
 * before it read the gate, so it is woken or has read it.
 *
 * Wake-ups go one at a time (park.h): who submits wakes one worker unless one is on its way; who takes a
 * batch and leaves items behind wakes the next before it runs the batch.
 *
 * The ring is right for at most `capacity` threads at once. The gate's count lets no more submitters than
 * capacity - workers touch it; for those beyond, the queue is full. With credits no larger than the capacity
 * less the workers that never happens, since each submitter and each waiting item holds one.
 */
#include "core/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "core/atomic_ops.h"
#include "core/park.h"
#include "core/ring.h"

#define NAME_SIZE 16
#define GATE_CLOSED (1ULL << 63)

struct pool_worker {
    struct pool *pool;
    unsigned number;
    pthread_t thread;
    /* batch_max places, part of pool.items. */
    void **items;
};

struct pool {
    /* GATE_CLOSED and the number of threads inside pool_submit. */
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t gate;
    struct counter submitted;
    _Alignas(CACHE_LINE_SIZE) struct counter batches;
    /* Constant until pool_stop, which alone takes n_running down. */
    _Alignas(CACHE_LINE_SIZE) struct pool_config config;
    char name[NAME_SIZE];
    struct ring *ring;
    struct park *park;
    void **items;
    unsigned n_running;
    struct pool_worker workers[];
};

/* Once true for good: nothing will be pushed any more. */
static bool is_drying_up(struct pool *pool)
{
    return step_load("pool gate", &pool->gate) == GATE_CLOSED;
}

/* What the ring holds, behind the n items that there are; how many it is then. */
static size_t take(struct pool_worker *self, size_t n)
{
    struct pool *pool = self->pool;
    while (n < pool->config.batch_max && ring_pop(pool->ring, &self->items[n])) {
        n++;
    }
    return n;
}

/* Submitters need not wake who lingers: he is not registered as asleep. */
static size_t linger(struct pool_worker *self, size_t n)
{
    const struct pool_config *config = &self->pool->config;
    if (n == 0 || n == config->batch_max || config->linger_us == NULL) {
        return n;
    }
    unsigned us = config->linger_us(config->ctx, self->items, n);
    if (us == 0) {
        return n;
    }
    assert(us < US_PER_S);
    const struct timespec time = {.tv_nsec = (long)us * 1000};
    nanosleep(&time, NULL);
    return take(self, n);
}

/* The next batch, waiting for one if need be; 0 when there will be none any more. */
static size_t next_batch(struct pool_worker *self)
{
    struct pool *pool = self->pool;
    size_t n = take(self, 0);
    while (n == 0) {
        park_prepare(pool->park, self->number);
        bool last_look = is_drying_up(pool);
        n = take(self, 0);
        if (n > 0 || last_look) {
            park_cancel(pool->park, self->number);
            break;
        }
        park_wait(pool->park, self->number);
        n = take(self, 0);
    }
    n = linger(self, n);
    if (n > 0 && ring_depth(pool->ring) > 0) {
        park_wake_one(pool->park);
    }
    return n;
}

static void *work(void *arg)
{
    struct pool_worker *self = arg;
    struct pool *pool = self->pool;
    pthread_setname_np(pthread_self(), pool->name);
    size_t n;
    while ((n = next_batch(self)) > 0) {
        counter_add(&pool->batches, 1);
        pool->config.run(pool->config.ctx, self->number, self->items, n);
    }
    return NULL;
}

/* Signals are for the thread that waits for them, not for workers. */
static enum status start_workers(struct pool *pool)
{
    sigset_t all;
    sigset_t old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = 0;
    while (pool->n_running < pool->config.workers && error == 0) {
        struct pool_worker *worker = &pool->workers[pool->n_running];
        error = pthread_create(&worker->thread, NULL, work, worker);
        if (error == 0) {
            pool->n_running++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error == 0 ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

static bool is_valid(const struct pool_config *config)
{
    return config->name != NULL && strlen(config->name) < NAME_SIZE && config->run != NULL &&
           config->workers >= 1 && config->workers <= POOL_WORKERS_MAX && config->batch_max >= 1 &&
           config->batch_max <= POOL_BATCH_MAX && config->capacity > config->workers;
}

static enum status pool_init(struct pool *pool, const struct pool_config *config)
{
    *pool = (struct pool){.config = *config};
    memcpy(pool->name, config->name, strlen(config->name) + 1);
    pool->config.name = pool->name;
    enum status status = ring_new(config->capacity, &pool->ring);
    if (status != STATUS_OK) {
        return status;
    }
    status = park_new(config->workers, &pool->park);
    if (status != STATUS_OK) {
        return status;
    }
    pool->items = calloc(config->workers * config->batch_max, sizeof(*pool->items));
    if (pool->items == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    for (unsigned i = 0; i < config->workers; i++) {
        pool->workers[i] =
            (struct pool_worker){.pool = pool, .number = i, .items = pool->items + i * config->batch_max};
    }
    return start_workers(pool);
}

enum status pool_new(const struct pool_config *config, struct pool **ret_pool)
{
    if (!is_valid(config)) {
        return STATUS_INVALID_ARGUMENT;
    }
    size_t size = sizeof(struct pool) + config->workers * sizeof(struct pool_worker);
    size = (size + CACHE_LINE_SIZE - 1) / CACHE_LINE_SIZE * CACHE_LINE_SIZE;
    struct pool *pool = aligned_alloc(CACHE_LINE_SIZE, size);
    if (pool == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    enum status status = pool_init(pool, config);
    if (status != STATUS_OK) {
        pool_free(pool);
        return status;
    }
    *ret_pool = pool;
    return STATUS_OK;
}

static void leave_gate(struct pool *pool)
{
    if (step_sub("pool leave", &pool->gate, 1) == (GATE_CLOSED | 1)) {
        park_wake_all(pool->park);
    }
}

/* With OK the caller is inside and has to leave. */
static enum status enter_gate(struct pool *pool)
{
    /* Refused submitters in great number would keep the count above 0, and the workers from ending. */
    if ((step_load("pool look", &pool->gate) & GATE_CLOSED) != 0) {
        return STATUS_UNAVAILABLE;
    }
    uint64_t gate = step_add("pool enter", &pool->gate, 1);
    bool is_closed = (gate & GATE_CLOSED) != 0;
    bool is_crowded = (gate & ~GATE_CLOSED) >= pool->config.capacity - pool->config.workers;
    if (is_closed || is_crowded) {
        leave_gate(pool);
        return is_closed ? STATUS_UNAVAILABLE : STATUS_RESOURCE_EXHAUSTED;
    }
    return STATUS_OK;
}

enum status pool_submit(struct pool *pool, void *item)
{
    enum status status = enter_gate(pool);
    if (status != STATUS_OK) {
        return status;
    }
    if (ring_push(pool->ring, item)) {
        counter_add(&pool->submitted, 1);
        park_wake_one(pool->park);
    } else {
        status = STATUS_RESOURCE_EXHAUSTED;
    }
    leave_gate(pool);
    return status;
}

void pool_close(struct pool *pool)
{
    step_or("pool close", &pool->gate, GATE_CLOSED);
    park_wake_all(pool->park);
}

void pool_stop(struct pool *pool)
{
    pool_close(pool);
    while (pool->n_running > 0) {
        pthread_t thread = pool->workers[pool->n_running - 1].thread;
        /* Fails when a worker stops its own pool. */
        int error = pthread_join(thread, NULL);
        assert(error == 0);
        pool->n_running--;
    }
}

void pool_free(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    if (pool->park != NULL) {
        pool_stop(pool);
    }
    park_free(pool->park);
    ring_free(pool->ring);
    free(pool->items);
    free(pool);
}

struct pool_stats pool_stats(const struct pool *pool)
{
    return (struct pool_stats){.depth = ring_depth(pool->ring),
                               .capacity = ring_capacity(pool->ring),
                               .submitted = counter_read(&pool->submitted),
                               .batches = counter_read(&pool->batches),
                               .wakeups = park_wakeups(pool->park)};
}

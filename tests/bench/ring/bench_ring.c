/*
 * Measures one queue in one setting and prints one line, `name value` pairs.
 *
 *     bench_ring throughput QUEUE SIDES MS       SIDES producers and as many consumers, who yield when they
 *                                                find the queue full or empty; items a second
 *     bench_ring latency QUEUE SIDES MS          the same, each operation timed: by the clock, and by the CPU
 *                                                time of its thread, which leaves out that the thread itself
 *                                                was not running
 *     bench_ring parking QUEUE SIDES MS          consumers work on each item and sleep when there is none;
 *                                                items a second, system calls an item (sleeps and wake-ups),
 *                                                yields an item of producers that found the queue full.
 *                                                scq: core/pool; vyukov, ck: core/park around the queue;
 *                                                mutex: conditions
 *
 * QUEUE is scq, vyukov, ck or mutex; MS is how long to measure, in milliseconds.
 */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/metrics.h"
#include "core/park.h"
#include "core/pool.h"
#include "queues.h"

#define CAPACITY 1024
#define SIDES_MAX 32
#define BATCH_MAX 64
#define WORK_ROUNDS 1000
#define USAGE_EXIT 64

struct bench {
    const struct queue_ops *ops;
    void *queue;
    struct park *park;
    struct pool *pool;
    unsigned sides;
    uint64_t ms;
    pthread_barrier_t start;
    _Alignas(64) _Atomic bool time_is_up;
    _Atomic bool closed;
    _Alignas(64) _Atomic uint64_t popped;
    _Atomic uint64_t yields;
    _Alignas(64) struct histogram by_clock;
    struct histogram by_cpu;
};

struct side {
    struct bench *bench;
    unsigned number;
    pthread_t thread;
};

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *item_of(uint64_t i)
{
    return (void *)(uintptr_t)(i + 1);
}

static bool goes_on(struct bench *bench)
{
    return !atomic_load_explicit(&bench->time_is_up, memory_order_relaxed);
}

static void *produce(void *arg)
{
    struct side *self = arg;
    struct bench *bench = self->bench;
    bool (*push)(void *, void *) = bench->ops->push;
    pthread_barrier_wait(&bench->start);
    for (uint64_t i = 0; goes_on(bench); i++) {
        if (!push(bench->queue, item_of(i))) {
            sched_yield();
        }
    }
    return NULL;
}

static void *consume(void *arg)
{
    struct side *self = arg;
    struct bench *bench = self->bench;
    bool (*pop)(void *, void **) = bench->ops->pop;
    uint64_t n = 0;
    pthread_barrier_wait(&bench->start);
    while (goes_on(bench)) {
        void *item;
        if (pop(bench->queue, &item)) {
            n++;
        } else {
            sched_yield();
        }
    }
    atomic_fetch_add(&bench->popped, n);
    return NULL;
}

/* One timed operation: odd ones by the CPU time, even ones by the clock. */
static bool timed(struct bench *bench, uint64_t i, bool pushes)
{
    clockid_t clock = i % 2 == 0 ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID;
    struct histogram *histogram = i % 2 == 0 ? &bench->by_clock : &bench->by_cpu;
    void *item = item_of(i);
    uint64_t start = now_ns(clock);
    bool done = pushes ? bench->ops->push(bench->queue, item) : bench->ops->pop(bench->queue, &item);
    uint64_t end = now_ns(clock);
    histogram_record(histogram, end - start);
    return done;
}

static void *produce_timed(void *arg)
{
    struct side *self = arg;
    pthread_barrier_wait(&self->bench->start);
    for (uint64_t i = 0; goes_on(self->bench); i++) {
        if (!timed(self->bench, i, true)) {
            sched_yield();
        }
    }
    return NULL;
}

static void *consume_timed(void *arg)
{
    struct side *self = arg;
    pthread_barrier_wait(&self->bench->start);
    for (uint64_t i = 0; goes_on(self->bench); i++) {
        if (!timed(self->bench, i, false)) {
            sched_yield();
        }
    }
    return NULL;
}

/* What a consumer does about an item: one or two microseconds, so that producers are ahead. */
static void work_on(const void *item)
{
    uint64_t x = (uintptr_t)item;
    for (int i = 0; i < WORK_ROUNDS; i++) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
    }
    *(volatile uint64_t *)&x;
}

static void run_batch(void *ctx, unsigned worker, void **items, size_t n)
{
    (void)ctx;
    (void)worker;
    for (size_t i = 0; i < n; i++) {
        work_on(items[i]);
    }
}

/* Hands one item to whoever waits. False when the queue is full. */
static bool hand_over(struct bench *bench, void *item)
{
    if (bench->pool != NULL) {
        return pool_submit(bench->pool, item) == STATUS_OK;
    }
    if (bench->park == NULL) {
        mutex_queue_push_wait(bench->queue, item);
        return true;
    }
    if (!bench->ops->push(bench->queue, item)) {
        return false;
    }
    park_wake_one(bench->park);
    return true;
}

static void *produce_waking(void *arg)
{
    struct side *self = arg;
    struct bench *bench = self->bench;
    uint64_t yields = 0;
    pthread_barrier_wait(&bench->start);
    uint64_t n = 0;
    while (goes_on(bench)) {
        if (hand_over(bench, item_of(n))) {
            n++;
        } else {
            sched_yield();
            yields++;
        }
    }
    atomic_fetch_add(&bench->popped, n);
    atomic_fetch_add(&bench->yields, yields);
    return NULL;
}

/* False: closed, and nothing is left. */
static bool pop_or_park(struct bench *bench, unsigned worker, void **ret_item)
{
    while (!bench->ops->pop(bench->queue, ret_item)) {
        park_prepare(bench->park, worker);
        bool last_look = atomic_load(&bench->closed);
        bool popped = bench->ops->pop(bench->queue, ret_item);
        if (popped || last_look) {
            park_cancel(bench->park, worker);
            return popped;
        }
        park_wait(bench->park, worker);
    }
    return true;
}

/* With a pool the workers are its own, and this one has nothing to do. */
static void *consume_parking(void *arg)
{
    struct side *self = arg;
    struct bench *bench = self->bench;
    void *item;
    pthread_barrier_wait(&bench->start);
    if (bench->pool == NULL && bench->park == NULL) {
        while (mutex_queue_pop_wait(bench->queue, &item)) {
            work_on(item);
        }
    } else if (bench->pool == NULL) {
        while (pop_or_park(bench, self->number, &item)) {
            park_wake_one(bench->park);
            work_on(item);
        }
    }
    return NULL;
}

/* Seconds from the start to the end of all. */
static double run_sides(struct bench *bench, void *(*producer)(void *), void *(*consumer)(void *))
{
    struct side producers[SIDES_MAX];
    struct side consumers[SIDES_MAX];
    pthread_barrier_init(&bench->start, NULL, 2 * bench->sides + 1);
    for (unsigned i = 0; i < bench->sides; i++) {
        producers[i] = (struct side){.bench = bench, .number = i};
        consumers[i] = (struct side){.bench = bench, .number = i};
        pthread_create(&producers[i].thread, NULL, producer, &producers[i]);
        pthread_create(&consumers[i].thread, NULL, consumer, &consumers[i]);
    }
    uint64_t start = now_ns(CLOCK_MONOTONIC);
    pthread_barrier_wait(&bench->start);
    struct timespec time = {.tv_sec = (time_t)(bench->ms / 1000),
                            .tv_nsec = (long)(bench->ms % 1000) * 1000000};
    nanosleep(&time, NULL);
    atomic_store(&bench->time_is_up, true);
    for (unsigned i = 0; i < bench->sides; i++) {
        pthread_join(producers[i].thread, NULL);
    }
    atomic_store(&bench->closed, true);
    if (bench->pool != NULL) {
        pool_stop(bench->pool);
    } else if (bench->park != NULL) {
        park_wake_all(bench->park);
    } else if (consumer == consume_parking) {
        mutex_queue_close(bench->queue);
    }
    for (unsigned i = 0; i < bench->sides; i++) {
        pthread_join(consumers[i].thread, NULL);
    }
    pthread_barrier_destroy(&bench->start);
    return (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
}

/* Voluntary switches of the whole process: its sleeps. A yield is not one. */
static uint64_t sleeps_of_process(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_nvcsw;
}

/* Every sleep in a mutex or a condition was ended by one wake-up; those of the lot are counted there. */
static void measure_parking(struct bench *bench)
{
    enum status status = STATUS_OK;
    if (bench->ops == &queue_scq) {
        const struct pool_config config = {.name = "bench",
                                           .workers = bench->sides,
                                           .capacity = CAPACITY,
                                           .batch_max = BATCH_MAX,
                                           .run = run_batch};
        status = pool_new(&config, &bench->pool);
    } else if (bench->ops != &queue_mutex) {
        status = park_new(bench->sides, &bench->park);
    }
    assert(status == STATUS_OK);
    uint64_t sleeps = sleeps_of_process();
    double seconds = run_sides(bench, produce_waking, consume_parking);
    sleeps = sleeps_of_process() - sleeps;
    uint64_t wakeups = bench->pool != NULL   ? pool_stats(bench->pool).wakeups
                       : bench->park != NULL ? park_wakeups(bench->park)
                                             : sleeps;
    double n = (double)bench->popped;
    printf("parking %s %u per_second %.0f calls_per_item %.5f yields_per_item %.5f\n", bench->ops->name,
           bench->sides, n / seconds, (double)(sleeps + wakeups) / n, (double)bench->yields / n);
    pool_free(bench->pool);
    park_free(bench->park);
}

static bool measure(struct bench *bench, const char *what)
{
    if (strcmp(what, "throughput") == 0) {
        double seconds = run_sides(bench, produce, consume);
        printf("throughput %s %u per_second %.0f\n", bench->ops->name, bench->sides,
               (double)bench->popped / seconds);
    } else if (strcmp(what, "latency") == 0) {
        run_sides(bench, produce_timed, consume_timed);
        printf("latency %s %u p9999_ns %lu worst_ns %lu cpu_p9999_ns %lu cpu_worst_ns %lu\n",
               bench->ops->name, bench->sides, histogram_quantile(&bench->by_clock, 0.9999),
               (uint64_t)bench->by_clock.max, histogram_quantile(&bench->by_cpu, 0.9999),
               (uint64_t)bench->by_cpu.max);
    } else if (strcmp(what, "parking") == 0) {
        measure_parking(bench);
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct queue_ops *const all[] = {&queue_scq, &queue_vyukov, &queue_ck, &queue_mutex};
    static struct bench bench;
    for (size_t i = 0; argc == 5 && i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i]->name, argv[2]) == 0) {
            bench.ops = all[i];
        }
    }
    bench.sides = argc == 5 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
    if (bench.ops == NULL || bench.sides < 1 || bench.sides > SIDES_MAX) {
        fputs("Usage: bench_ring throughput|latency|parking scq|vyukov|ck|mutex SIDES MS\n", stderr);
        return USAGE_EXIT;
    }
    bench.ms = strtoull(argv[4], NULL, 10);
    bench.queue = bench.ops->new (CAPACITY);
    bool known = measure(&bench, argv[1]);
    bench.ops->free(bench.queue);
    return known ? 0 : USAGE_EXIT;
}

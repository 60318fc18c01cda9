/*
 * Stress histories of the ring, judged: 1 to 8 producers, 1 to 8 consumers, capacities from 2 to 4096.
 *
 * Stamps are taken outside the operations. A shared counter orders them totally, but its own traffic gets
 * between the threads; the clock lets them run freely and orders nothing for ThreadSanitizer. Every second
 * run uses the one, every second the other. With PANIC_TEST_LONG set the histories are longer.
 *
 * On a machine that is busy with something else every handover in a small ring may cost a time slice; so
 * producers end after a while, however short the history is by then.
 */
#include "harness/test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "await.h"
#include "base/clock.h"
#include "core/ring.h"
#include "history.h"

#define SIDE_MAX 8
#define CAPACITY_MAX 4096
/* Vain operations kept from each thread; those beyond go unjudged. */
#define VAIN_MAX 2000

struct run {
    struct ring *ring;
    bool by_clock;
    unsigned consumers;
    uint64_t per_producer;
    int64_t end_us;
    _Atomic uint64_t counter;
    /* To be pushed, or popped. */
    _Atomic uint64_t n_left;
    pthread_barrier_t start;
};

struct party {
    struct run *run;
    uint64_t number;
    struct operation *log;
    size_t n_logged;
    size_t n_vain;
    pthread_t thread;
};

static uint64_t stamp(struct run *run)
{
    if (!run->by_clock) {
        return atomic_fetch_add(&run->counter, 1);
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void log_operation(struct party *self, struct operation operation)
{
    bool is_vain = operation.kind == FOUND_FULL || operation.kind == FOUND_EMPTY;
    if (is_vain && self->n_vain++ >= VAIN_MAX) {
        return;
    }
    self->log[self->n_logged++] = operation;
}

static void *produce(void *arg)
{
    struct party *self = arg;
    struct run *run = self->run;
    pthread_barrier_wait(&run->start);
    uint64_t i = 0;
    while (i < run->per_producer && monotonic_us() < run->end_us) {
        uint64_t value = self->number << 32 | i;
        uint64_t start = stamp(run);
        bool pushed = ring_push(run->ring, (void *)(uintptr_t)value);
        uint64_t end = stamp(run);
        log_operation(self, (struct operation){pushed ? PUSHED : FOUND_FULL, value, start, end});
        if (pushed) {
            i++;
        } else {
            sched_yield();
        }
    }
    atomic_fetch_sub_explicit(&run->n_left, run->per_producer - i, memory_order_relaxed);
    return NULL;
}

static void *consume(void *arg)
{
    struct party *self = arg;
    struct run *run = self->run;
    pthread_barrier_wait(&run->start);
    while (atomic_load_explicit(&run->n_left, memory_order_relaxed) > 0) {
        void *item = NULL;
        uint64_t start = stamp(run);
        bool popped = ring_pop(run->ring, &item);
        uint64_t end = stamp(run);
        log_operation(self, (struct operation){popped ? POPPED : FOUND_EMPTY, (uintptr_t)item, start, end});
        if (popped) {
            atomic_fetch_sub_explicit(&run->n_left, 1, memory_order_relaxed);
        } else {
            sched_yield();
        }
    }
    return NULL;
}

/* All the logs in one, which the caller frees. */
static struct operation *joined(const struct party *parties, unsigned n, size_t *ret_n)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        total += parties[i].n_logged;
    }
    struct operation *operations = calloc(total, sizeof(*operations));
    assert_non_null(operations);
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        memcpy(operations + at, parties[i].log, parties[i].n_logged * sizeof(*operations));
        at += parties[i].n_logged;
    }
    *ret_n = total;
    return operations;
}

/* Gives the number of operations judged. */
static size_t assert_linearizable(unsigned producers, unsigned consumers, size_t capacity, uint64_t items,
                                  int64_t limit_us, bool by_clock)
{
    struct run run = {.by_clock = by_clock,
                      .consumers = consumers,
                      .per_producer = items / producers,
                      .end_us = monotonic_us() + limit_us};
    uint64_t total = run.per_producer * producers;
    run.n_left = total;
    assert_ok(ring_new(capacity, &run.ring));
    struct party parties[2 * SIDE_MAX];
    unsigned n_parties = producers + consumers;
    pthread_barrier_init(&run.start, NULL, n_parties);
    for (unsigned i = 0; i < n_parties; i++) {
        parties[i] = (struct party){
            .run = &run, .number = i, .log = calloc(total + VAIN_MAX, sizeof(struct operation))};
        assert_non_null(parties[i].log);
        start_thread(&parties[i].thread, i < producers ? produce : consume, &parties[i]);
    }
    for (unsigned i = 0; i < n_parties; i++) {
        join_thread(parties[i].thread);
    }
    size_t n = 0;
    struct operation *operations = joined(parties, n_parties, &n);
    enum verdict verdict = history_judge(operations, n, capacity);
    if (verdict != LINEARIZABLE) {
        fail_msg("%u producers, %u consumers, capacity %zu: %s", producers, consumers, capacity,
                 verdict_name(verdict));
    }
    assert_int_equal(ring_depth(run.ring), 0);
    for (unsigned i = 0; i < n_parties; i++) {
        free(parties[i].log);
    }
    free(operations);
    pthread_barrier_destroy(&run.start);
    ring_free(run.ring);
    return n;
}

static void test_every_history_is_linearizable(void **state)
{
    (void)state;
    bool is_long = getenv("PANIC_TEST_LONG") != NULL;
    uint64_t items = is_long ? 100000 : 1600;
    int64_t limit_us = is_long ? 10 * US_PER_S : US_PER_S / 5;
    bool by_clock = false;
    size_t judged = 0;
    for (size_t capacity = RING_CAPACITY_MIN; capacity <= CAPACITY_MAX; capacity *= 2) {
        for (unsigned producers = 1; producers <= SIDE_MAX; producers++) {
            for (unsigned consumers = 1; consumers <= SIDE_MAX; consumers++) {
                if (producers + consumers <= capacity) {
                    judged += assert_linearizable(producers, consumers, capacity, items, limit_us, by_clock);
                    by_clock = !by_clock;
                }
            }
        }
    }
    print_message("%zu operations\n", judged);
    assert_true(judged > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_history_is_linearizable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

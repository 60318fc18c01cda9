/*
 * What two producers and two consumers still pass on while a third producer has stopped for ever in the
 * middle of a push.
 *
 *     bench_ring_halted QUEUE STEP MILLISECONDS    prints items a second; STEP is where it stops, from 0, and
 *                                                  "none" for nowhere; exit status 1 when there is no such
 *                                                  step. QUEUE is scq, vyukov, ck or mutex
 *
 * The process ends itself when the time is over, since the threads may never do so.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queues.h"

#define CAPACITY 1024
#define SIDES 2
#define HALTING_MS 50
#define USAGE_EXIT 64

static const struct queue_ops *ops;
static void *queue;
static unsigned halt_step;
static _Atomic bool has_no_such_step;
static _Alignas(64) _Atomic uint64_t passed[SIDES];

static void sleep_ms(unsigned long ms)
{
    struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

_Noreturn static void *halt(void *arg)
{
    (void)arg;
    if (!ops->push_half(queue, halt_step)) {
        atomic_store(&has_no_such_step, true);
    }
    for (;;) {
        pause();
    }
}

_Noreturn static void *produce(void *arg)
{
    (void)arg;
    for (;;) {
        if (!ops->push(queue, NULL)) {
            sched_yield();
        }
    }
}

_Noreturn static void *consume(void *arg)
{
    _Atomic uint64_t *count = arg;
    for (;;) {
        void *item;
        if (ops->pop(queue, &item)) {
            atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
        } else {
            sched_yield();
        }
    }
}

int main(int argc, char **argv)
{
    static const struct queue_ops *const all[] = {&queue_scq, &queue_vyukov, &queue_ck, &queue_mutex};
    for (size_t i = 0; argc == 4 && i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(all[i]->name, argv[1]) == 0) {
            ops = all[i];
        }
    }
    if (ops == NULL) {
        fputs("Usage: bench_ring_halted scq|vyukov|ck|mutex STEP|none MILLISECONDS\n", stderr);
        return USAGE_EXIT;
    }
    pthread_t thread;
    queue = ops->new (CAPACITY);
    if (strcmp(argv[2], "none") != 0) {
        halt_step = (unsigned)strtoul(argv[2], NULL, 10);
        pthread_create(&thread, NULL, halt, NULL);
        sleep_ms(HALTING_MS);
        if (has_no_such_step) {
            return 1;
        }
    }
    for (int i = 0; i < SIDES; i++) {
        pthread_create(&thread, NULL, produce, NULL);
        pthread_create(&thread, NULL, consume, &passed[i]);
    }
    unsigned long ms = strtoul(argv[3], NULL, 10);
    sleep_ms(ms);
    double total = (double)(passed[0] + passed[1]);
    printf("halted %s %s per_second %.0f\n", ops->name, argv[2], total * 1000 / (double)ms);
    fflush(stdout);
    _exit(0);
}

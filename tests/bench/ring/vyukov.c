/*
 * D. Vyukov's bounded queue for many producers and many consumers, as published on 1024cores.net: each cell
 * has a sequence number that says whose turn it is. Written anew for this comparison. A thread that stops
 * between claiming a cell and setting its number stops everybody who comes to that cell.
 */
#include "queues.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#define CACHE_LINE_SIZE 64

struct cell {
    _Atomic uint64_t turn;
    void *item;
};

struct vyukov {
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t tail;
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t head;
    _Alignas(CACHE_LINE_SIZE) uint64_t mask;
    struct cell *cells;
};

static void *vyukov_new(size_t capacity)
{
    struct vyukov *queue = aligned_alloc(CACHE_LINE_SIZE, sizeof(*queue));
    assert(queue != NULL);
    *queue = (struct vyukov){.mask = capacity - 1, .cells = calloc(capacity, sizeof(struct cell))};
    assert(queue->cells != NULL);
    for (uint64_t i = 0; i < capacity; i++) {
        atomic_init(&queue->cells[i].turn, i);
    }
    return queue;
}

static void vyukov_free(void *arg)
{
    struct vyukov *queue = arg;
    free(queue->cells);
    free(queue);
}

/* Draws the next number of `line` when it is its cell's turn; NULL when it is not: full, or empty. */
static struct cell *claim(struct vyukov *queue, _Atomic uint64_t *line, uint64_t turn_ahead,
                          uint64_t *ret_number)
{
    uint64_t number = atomic_load_explicit(line, memory_order_relaxed);
    for (;;) {
        struct cell *cell = &queue->cells[number & queue->mask];
        uint64_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);
        int64_t ahead = (int64_t)(turn - (number + turn_ahead));
        if (ahead < 0) {
            return NULL;
        }
        if (ahead > 0) {
            number = atomic_load_explicit(line, memory_order_relaxed);
        } else if (atomic_compare_exchange_weak_explicit(line, &number, number + 1, memory_order_relaxed,
                                                         memory_order_relaxed)) {
            *ret_number = number;
            return cell;
        }
    }
}

static bool vyukov_push(void *arg, void *item)
{
    struct vyukov *queue = arg;
    uint64_t number;
    struct cell *cell = claim(queue, &queue->tail, 0, &number);
    if (cell == NULL) {
        return false;
    }
    cell->item = item;
    atomic_store_explicit(&cell->turn, number + 1, memory_order_release);
    return true;
}

static bool vyukov_pop(void *arg, void **ret_item)
{
    struct vyukov *queue = arg;
    uint64_t number;
    struct cell *cell = claim(queue, &queue->head, 1, &number);
    if (cell == NULL) {
        return false;
    }
    *ret_item = cell->item;
    atomic_store_explicit(&cell->turn, number + queue->mask + 1, memory_order_release);
    return true;
}

static bool vyukov_push_half(void *arg, unsigned step)
{
    struct vyukov *queue = arg;
    uint64_t number;
    return step == 0 && claim(queue, &queue->tail, 0, &number) != NULL;
}

const struct queue_ops queue_vyukov = {.name = "vyukov",
                                       .new = vyukov_new,
                                       .free = vyukov_free,
                                       .push = vyukov_push,
                                       .pop = vyukov_pop,
                                       .push_half = vyukov_push_half};

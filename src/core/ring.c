/*
 * SCQ with index indirection: R. Nikolaev, "A Scalable, Portable, and Memory-Efficient Lock-Free FIFO Queue",
 * DISC 2019 (arXiv 1908.04511), which holds the full proofs. Two circles of indices, `free` (starts with all
 * n) and `used` (starts empty), and an array of items. A push moves an index from free to used and writes the
 * item in between; a pop moves it back and reads the item in between. Whoever took an index out of a circle
 * is its only owner until it puts it into the other one, so items[index] needs no atomics: the owner's access
 * lies between the load that found the index and the compare-and-swap that publishes it. Only n indices
 * exist, hence at most n are in a circle of R = 2n slots, and putting one in cannot fail. "Full" is nothing
 * but an empty `free`.
 *
 * A circle. Tickets are drawn from head and tail by fetch-and-add, so every ticket has one enqueuer and one
 * dequeuer. Ticket t belongs to slot t mod R and cycle t / R. A slot is one word: cycle | safe | index, the
 * index all ones (NONE) when nothing is inside. Its cycle only grows. Who writes a slot:
 * - The enqueuer of ticket T finds an earlier cycle and NONE, and puts in {cycle(T), safe, index}, if the
 * slot is safe or head has not passed T.
 * - The dequeuer of ticket H finds its own cycle: the element is its own, the index becomes NONE.
 * - The dequeuer of ticket H finds an earlier cycle: it leaves a mark, so that the enqueuer of H, should it
 * come late, cannot put in what nobody would collect. On an empty slot the mark is the cycle itself; on a
 * slot whose element waits for a slow dequeuer it is `safe` cleared.
 *
 * An unsafe slot means: a dequeuer of some later cycle has gone. Only an enqueuer that sees head at or before
 * its own ticket knows that its dequeuer is still to come, and sets `safe` again. A dequeuer that advances an
 * empty slot must keep the bit as it is: the one that has gone may have had a later cycle still.
 *
 * Nobody waits. A slot is changed by one compare-and-swap, which fails only because another thread changed
 * the slot; a ticket is given up only because another thread was there first or has not collected yet, and
 * then the next is drawn. A thread that stops for ever keeps one ticket and one index, not a lock.
 *
 * Dequeuing ends. An element is put in at most 2n tickets ahead of head: of the tickets between, each holds
 * an index or was skipped because its slot still held one, and an index counts once in each way. At most n-1
 * other dequeuers (n threads at most) can have drawn tickets before it was in and count theirs off later. So
 * after 3n-1 vain tickets since the last enqueue there is nothing inside: every enqueue sets the threshold to
 * 3n-1 after its compare-and-swap, every vain ticket takes one off, and below zero the circle is empty.
 * Sequential consistency is needed here: an enqueuer that finds the threshold still full comes before every
 * decrement of a dequeuer that missed its element.
 */
#include "core/ring.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/atomic_ops.h"

struct circle {
    /* Drawn by dequeuers, read by enqueuers. */
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t head;
    /* Drawn by enqueuers; a dequeuer that overtook it moves it up. */
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t tail;
    /* Vain tickets left before the circle counts as empty. Set by enqueuers, taken down by dequeuers. */
    _Alignas(CACHE_LINE_SIZE) _Atomic int64_t threshold;
    /* Constant from here on, but for the slots' contents. */
    _Alignas(CACHE_LINE_SIZE) _Atomic uint64_t *slots;
    /* log2 of the number of slots. */
    unsigned slots_bits;
    /* All bits of an index; as an index, "none". */
    uint64_t none;
    uint64_t safe;
    int64_t threshold_max;
};

struct ring {
    struct circle free;
    struct circle used;
    /* items[i] belongs to whoever took index i out of a circle. */
    void **items;
    size_t capacity;
};

/* The cycle of a ticket, in the place that it has in a slot. */
static uint64_t ticket_cycle(const struct circle *circle, uint64_t ticket)
{
    return (ticket >> circle->slots_bits) << (circle->slots_bits + 1);
}

static uint64_t entry_cycle(const struct circle *circle, uint64_t entry)
{
    return entry & ~(circle->safe | circle->none);
}

static uint64_t entry_index(const struct circle *circle, uint64_t entry)
{
    return entry & circle->none;
}

/* Order of cycles or tickets by signed difference: the first cycle of all is -1. */
static bool before(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

/*
 * Neighbouring tickets share a cache line. Spreading them over lines, as the paper proposes, gives each
 * thread a line of its own but makes every operation fetch one; measured, that costs a third of the
 * throughput.
 */
static _Atomic uint64_t *slot_of(const struct circle *circle, uint64_t ticket)
{
    return &circle->slots[ticket & circle->none];
}

/* May the enqueuer of `ticket` put its index into a slot that holds `entry`? */
static bool may_enter(struct circle *circle, uint64_t entry, uint64_t ticket)
{
    if (entry_index(circle, entry) != circle->none ||
        !before(entry_cycle(circle, entry), ticket_cycle(circle, ticket))) {
        return false;
    }
    return (entry & circle->safe) != 0 || !before(ticket, step_load("enqueue head", &circle->head));
}

/* Cannot fail: there are half as many indices as slots. */
static void enqueue(struct circle *circle, uint64_t index)
{
    for (;;) {
        uint64_t ticket = step_add("enqueue ticket", &circle->tail, 1);
        _Atomic uint64_t *slot = slot_of(circle, ticket);
        uint64_t mine = ticket_cycle(circle, ticket) | circle->safe | index;
        uint64_t entry = step_load("enqueue look", slot);
        while (may_enter(circle, entry, ticket)) {
            if (!step_swap("enqueue enter", slot, &entry, mine)) {
                continue;
            }
            if (step_load("enqueue threshold", &circle->threshold) != circle->threshold_max) {
                step_store("enqueue reset", &circle->threshold, circle->threshold_max);
            }
            return;
        }
    }
}

/* Takes the element of `ticket`; if there is none, leaves the mark that stops a late enqueuer. */
static bool collect(struct circle *circle, uint64_t ticket, uint64_t *ret_index)
{
    _Atomic uint64_t *slot = slot_of(circle, ticket);
    uint64_t cycle = ticket_cycle(circle, ticket);
    uint64_t entry = step_load("dequeue look", slot);
    for (;;) {
        if (entry_cycle(circle, entry) == cycle) {
            assert(entry_index(circle, entry) != circle->none);
            step_or("dequeue take", slot, circle->none);
            *ret_index = entry_index(circle, entry);
            return true;
        }
        if (!before(entry_cycle(circle, entry), cycle)) {
            return false;
        }
        bool empty = entry_index(circle, entry) == circle->none;
        uint64_t mark = empty ? cycle | (entry & circle->safe) | circle->none : entry & ~circle->safe;
        if (mark == entry || step_swap("dequeue mark", slot, &entry, mark)) {
            return false;
        }
    }
}

/* Moves a tail that dequeuers overtook up to head, so that enqueuers need not try every ticket in between. */
static void catch_up(struct circle *circle, uint64_t tail, uint64_t head)
{
    while (!step_swap("dequeue catch up", &circle->tail, &tail, head)) {
        head = step_load("dequeue catch up head", &circle->head);
        tail = step_load("dequeue catch up tail", &circle->tail);
        if (!before(tail, head)) {
            return;
        }
    }
}

/* What was enqueued before now has been drawn by a dequeuer already. Head must be read first. */
static bool is_overtaken(struct circle *circle)
{
    uint64_t head = step_load("dequeue head", &circle->head);
    return !before(head, step_load("dequeue tail", &circle->tail));
}

/* False: the circle was empty at some moment of the call. */
static bool dequeue(struct circle *circle, uint64_t *ret_index)
{
    int64_t threshold = step_load("dequeue threshold", &circle->threshold);
    if (threshold < 0) {
        return false;
    }
    /* Only after a vain ticket: two lines that others write would cost more than the ticket they may save. */
    if (threshold != circle->threshold_max && is_overtaken(circle)) {
        return false;
    }
    for (;;) {
        uint64_t ticket = step_add("dequeue ticket", &circle->head, 1);
        if (collect(circle, ticket, ret_index)) {
            return true;
        }
        uint64_t tail = step_load("dequeue vain tail", &circle->tail);
        if (!before(ticket + 1, tail)) {
            catch_up(circle, tail, ticket + 1);
            step_sub("dequeue overtook", &circle->threshold, 1);
            return false;
        }
        if (step_sub("dequeue vain", &circle->threshold, 1) <= 0) {
            return false;
        }
    }
}

/* A circle for `capacity` indices with the first `count` of them inside. */
static enum status circle_init(struct circle *circle, size_t capacity, size_t count)
{
    size_t slots = 2 * capacity;
    *circle = (struct circle){.slots_bits = (unsigned)__builtin_ctzll(slots),
                              .none = slots - 1,
                              .safe = slots,
                              .threshold_max = 3 * (int64_t)capacity - 1};
    size_t bytes = slots * sizeof(*circle->slots);
    circle->slots = aligned_alloc(CACHE_LINE_SIZE, bytes < CACHE_LINE_SIZE ? CACHE_LINE_SIZE : bytes);
    if (circle->slots == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    atomic_init(&circle->head, 0);
    atomic_init(&circle->tail, count);
    atomic_init(&circle->threshold, count > 0 ? circle->threshold_max : -1);
    for (uint64_t ticket = 0; ticket < slots; ticket++) {
        atomic_init(slot_of(circle, ticket), ticket < count ? circle->safe | ticket : UINT64_MAX);
    }
    return STATUS_OK;
}

enum status ring_new(size_t capacity, struct ring **ret_ring)
{
    bool power_of_two = (capacity & (capacity - 1)) == 0;
    if (capacity < RING_CAPACITY_MIN || capacity > RING_CAPACITY_MAX || !power_of_two) {
        return STATUS_INVALID_ARGUMENT;
    }
    struct ring *ring = aligned_alloc(CACHE_LINE_SIZE, sizeof(*ring));
    if (ring == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    *ring = (struct ring){.capacity = capacity, .items = calloc(capacity, sizeof(*ring->items))};
    if (ring->items == NULL || circle_init(&ring->free, capacity, capacity) != STATUS_OK ||
        circle_init(&ring->used, capacity, 0) != STATUS_OK) {
        ring_free(ring);
        return STATUS_RESOURCE_EXHAUSTED;
    }
    *ret_ring = ring;
    return STATUS_OK;
}

void ring_free(struct ring *ring)
{
    if (ring == NULL) {
        return;
    }
    free(ring->used.slots);
    free(ring->free.slots);
    free(ring->items);
    free(ring);
}

bool ring_push(struct ring *ring, void *item)
{
    uint64_t index;
    if (!dequeue(&ring->free, &index)) {
        return false;
    }
    ring->items[index] = item;
    enqueue(&ring->used, index);
    return true;
}

bool ring_pop(struct ring *ring, void **ret_item)
{
    uint64_t index;
    if (!dequeue(&ring->used, &index)) {
        return false;
    }
    *ret_item = ring->items[index];
    enqueue(&ring->free, index);
    return true;
}

size_t ring_capacity(const struct ring *ring)
{
    return ring->capacity;
}

size_t ring_depth(const struct ring *ring)
{
    /* Head first: an item that is inside and not yet drawn is then never missed. */
    uint64_t head = step_load("depth head", &ring->used.head);
    uint64_t tail = step_load("depth tail", &ring->used.tail);
    if (!before(head, tail)) {
        return 0;
    }
    return tail - head < ring->capacity ? tail - head : ring->capacity;
}

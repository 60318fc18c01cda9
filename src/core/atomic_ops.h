/*
 * The atomic operations of core/, all sequentially consistent, each under the name of the step it performs.
 *
 * A test that includes a .c file of this folder may define ATOMIC_STEP(label) first: it runs just before the
 * operation, on the thread that performs it, so that a schedule can stop a thread at a named step while
 * others go on. Otherwise it is nothing. There are no stand-alone fences (ThreadSanitizer does not follow
 * them) and no weaker orders: on x86, and on arm64 with LSE, the read-modify-write instructions are the same
 * in any order.
 */
#ifndef CORE_ATOMIC_OPS_H
#define CORE_ATOMIC_OPS_H

#include <stdatomic.h>

#ifndef ATOMIC_STEP
#define ATOMIC_STEP(label) ((void)0)
#endif

#define CACHE_LINE_SIZE 64

#define step_load(label, cell) (ATOMIC_STEP(label), atomic_load(cell))
#define step_store(label, cell, value) (ATOMIC_STEP(label), atomic_store((cell), (value)))
#define step_exchange(label, cell, value) (ATOMIC_STEP(label), atomic_exchange((cell), (value)))
#define step_add(label, cell, value) (ATOMIC_STEP(label), atomic_fetch_add((cell), (value)))
#define step_sub(label, cell, value) (ATOMIC_STEP(label), atomic_fetch_sub((cell), (value)))
#define step_or(label, cell, value) (ATOMIC_STEP(label), atomic_fetch_or((cell), (value)))
#define step_and(label, cell, value) (ATOMIC_STEP(label), atomic_fetch_and((cell), (value)))

/* True when *cell was *expected and now is `desired`; otherwise *expected is what was found. */
#define step_swap(label, cell, expected, desired)                                                            \
    (ATOMIC_STEP(label), atomic_compare_exchange_strong((cell), (expected), (desired)))

#endif

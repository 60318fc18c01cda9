/*
 * Is a history of queue operations linearizable? Values are unique.
 *
 * The conditions are those of T. Henzinger, A. Sezgin, V. Vafeiadis, "Aspect-Oriented Linearizability
 * Proofs", CONCUR 2013: a complete history of a queue is linearizable if and only if no value is popped that
 * was not pushed before (phantom), none twice (duplicate), no two values go in in one order and come out in
 * the other (order), and no pop answers "empty" while at every moment of it some value was certainly inside
 * (empty). A bounded ring adds: no push answers "full" unless at some moment of it `capacity` values may have
 * been inside (full).
 */
#ifndef UNIT_CORE_HISTORY_H
#define UNIT_CORE_HISTORY_H

#include <stddef.h>
#include <stdint.h>

enum operation_kind { PUSHED, FOUND_FULL, POPPED, FOUND_EMPTY };

struct operation {
    enum operation_kind kind;
    /* Of PUSHED and POPPED. */
    uint64_t value;
    /* Taken before the first and after the last step. Equal stamps count as at the same time. */
    uint64_t start;
    uint64_t end;
};

enum verdict { LINEARIZABLE, PHANTOM, DUPLICATE, WRONG_ORDER, WRONG_EMPTY, WRONG_FULL };

/* Sorts `operations`. Values that are pushed and never popped are fine. O(n log n). */
enum verdict history_judge(struct operation *operations, size_t n, size_t capacity);

const char *verdict_name(enum verdict verdict);

#endif

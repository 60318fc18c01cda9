/* Bytes made wrong at random, always in the same way for the same seed. For tests. */
#ifndef UNIT_RPC_MUTATION_H
#define UNIT_RPC_MUTATION_H

#include "unit/rpc/wire.h"

/* xorshift64*, so that a failure can be repeated. */
static inline uint64_t mutation_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

/* Changes, inserts, removes, doubles or cuts a few bytes. */
static inline void mutation_apply(struct wire *wire, uint64_t *random)
{
    for (uint64_t n = 1 + mutation_random(random) % 4; n > 0; n--) {
        size_t at = wire->length > 0 ? mutation_random(random) % wire->length : 0;
        uint8_t byte = (uint8_t)mutation_random(random);
        size_t left = wire->length - at;
        switch (mutation_random(random) % 6) {
        case 0:
            wire->data[at] = byte;
            break;
        case 1:
            wire->data[at] ^= (uint8_t)(1U << byte % 8);
            break;
        case 2:
            memmove(wire->data + at + 1, wire->data + at, left);
            wire->data[at] = byte;
            wire->length++;
            break;
        case 3:
            if (left > 0) {
                memmove(wire->data + at, wire->data + at + 1, left - 1);
                wire->length--;
            }
            break;
        case 4:
            wire_raw(wire, wire->data + at, left < 64 ? left : 64);
            break;
        default:
            wire->length = byte % 8 == 0 ? at : wire->length;
        }
    }
}

#endif

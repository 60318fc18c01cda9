/*
 * A failure that comes again and again, as on a full disk with every batch: logged when it begins, once a
 * minute while it lasts, and when it is over.
 *
 * Not thread-safe: its owner's lock is held. All zero at the start.
 */
#ifndef STORE_TROUBLE_H
#define STORE_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct trouble {
    /* Since it began; 0 = there is none. */
    uint64_t failures;
    int64_t logged_at_us;
};

/* Counts a failure. True when it is to be logged; times are monotonic. */
MUST_USE bool trouble_note(struct trouble *trouble, int64_t now_us);

/* It is over, if there was any. Returns how many failures there were; 0: nothing to be logged. */
uint64_t trouble_end(struct trouble *trouble);

#endif

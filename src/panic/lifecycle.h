/*
 * The life of a panic as one pure function: panic × command × now → panic' and the event to record. No clock,
 * no I/O, no randomness inside, so that every store runs the same rules and a test can run millions of lives.
 *
 *     stage (status)            ASSIGN          NO_RESPONDER        REVIEW              RESOLVE
 *     received (processing)     → accepted      → unassigned        –                   → resolved
 *     unassigned (processing)   → accepted      unassigned, later   –                   → resolved
 *     accepted (active)         –               –                   accepted, later     → resolved
 *     resolved (resolved)       –               –                   –                   –
 *
 * "–" is an illegal move: FAILED_PRECONDITION, and nothing changes. Every open panic has a next action at a
 * time that is never more than LIFECYCLE_HORIZON_US ahead; a closed one has none.
 */
#ifndef PANIC_LIFECYCLE_H
#define PANIC_LIFECYCLE_H

#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"
#include "store/store.h"

/* A new panic that nobody looked at by then is found by the due scan. */
#define LIFECYCLE_FIRST_LOOK_US (2 * US_PER_S)
/*
 * Wait after the first vain search for a responder; doubled each time up to the maximum. Only a safety net: a
 * responder that becomes free is given to the oldest waiting panic at once. Not spread at random: times in
 * the order of creation keep the store's index of times append-only, and the due scan takes what is due at
 * its own pace anyway.
 */
#define LIFECYCLE_RETRY_MIN_US (30 * US_PER_S)
#define LIFECYCLE_RETRY_MAX_US (10 * 60 * US_PER_S)
/* An assigned panic is looked at again this often until it is resolved. */
#define LIFECYCLE_REVIEW_US (30 * 60 * US_PER_S)
/* No next action is further ahead than this; one that seems to be comes from a clock that was wrong. */
#define LIFECYCLE_HORIZON_US (LIFECYCLE_REVIEW_US + 60 * US_PER_S)

/* The queues in which panics wait for a responder (store_panic.waiting). */
enum lifecycle_queue {
    LIFECYCLE_QUEUE_LIVE = 1,
    /* For simulated responders. */
    LIFECYCLE_QUEUE_TEST = 2,
};

enum lifecycle_kind {
    /* A responder was found: responder_id, distance_m. */
    LIFECYCLE_ASSIGN,
    /* None was free. */
    LIFECYCLE_NO_RESPONDER,
    /* Nobody has closed an assigned panic for LIFECYCLE_REVIEW_US. */
    LIFECYCLE_REVIEW,
    /* A person has dealt with it: outcome. */
    LIFECYCLE_RESOLVE,
};

struct lifecycle_command {
    enum lifecycle_kind kind;
    /* Who commands, for the event: "dispatch", "api". */
    const char *actor;
    const char *responder_id;
    /* -1 = unknown. */
    double distance_m;
    const char *outcome;
    /* Where a panic waits that NO_RESPONDER was found for. */
    enum lifecycle_queue queue;
};

/*
 * A panic as it is first stored: version 1. Received, and to be looked at within LIFECYCLE_FIRST_LOOK_US; or,
 * when it is known that no responder is free, unassigned and waiting from the start, which saves a write.
 */
struct store_panic lifecycle_create(const char *tenant, const struct id *id, struct bytes content,
                                    enum lifecycle_queue queue, bool responder_free, int64_t now_us);

/*
 * OK with the panic after the command and its event, or FAILED_PRECONDITION. The results point to strings of
 * `panic` and `command`. A `now_us` before the panic's last change is recorded as that time; the next action
 * is counted from `now_us` itself.
 */
MUST_USE enum status lifecycle_apply(const struct store_panic *panic, const struct lifecycle_command *command,
                                     int64_t now_us, struct store_panic *ret_panic,
                                     struct store_event *ret_event);

/* Is it time, or is the time one that cannot be true? False for a closed panic. */
bool lifecycle_is_due(const struct store_panic *panic, int64_t now_us);

bool lifecycle_is_open(const struct store_panic *panic);

/* Open, and no responder has it. */
bool lifecycle_needs_responder(const struct store_panic *panic);

#endif

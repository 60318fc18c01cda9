/*
 * The roster: every responder in memory, who is free, and who is nearest.
 *
 * A copy of what the store holds, loaded at the start. Whether a responder is bound by a panic changes only
 * through roster_take, roster_release (dispatch and resolve); roster_put changes state and place alone, so
 * that an update that was read before a binding cannot undo it. The store has the last word: its update binds
 * a responder only if nobody else has.
 *
 * Any thread; one mutex, held for the length of one search.
 */
#ifndef PANIC_ROSTER_H
#define PANIC_ROSTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "store/store.h"

struct roster;

/* A responder taken for a panic. */
struct roster_match {
    char responder_id[STORE_RESPONDER_ID_MAX + 1];
    /* Metres; -1 when the place of the panic or of the responder is unknown. */
    double distance_m;
};

/* `responders_max`: of all tenants together. */
MUST_USE enum status roster_new(size_t responders_max, struct roster **ret_roster);
/* NULL is fine. */
void roster_free(struct roster *roster);

/* Adds every responder of the store, bound as it is there. Before anybody else uses the roster. */
MUST_USE enum status roster_load(struct roster *roster, struct store *store);

/*
 * May the responder be put as a simulated one, or as a real one? To be asked before it is stored.
 * RESOURCE_EXHAUSTED for a new one when there are responders_max, FAILED_PRECONDITION for one that would turn
 * from one kind into the other while it has a panic. What is stored already gets its place in any case, so
 * that `responders_max` is passed by as many as are put at that moment.
 */
MUST_USE enum status roster_check_put(struct roster *roster, const char *tenant, const char *responder_id,
                                      bool simulated);

/*
 * Adds a responder (free) or updates its state and place. RESOURCE_EXHAUSTED when memory is short: the
 * responder will be known after the next put or start.
 */
MUST_USE enum status roster_put(struct roster *roster, const struct store_responder *responder);

/*
 * Takes the nearest free responder of the tenant, those without a place last; `place` not known: any.
 * Simulated responders are taken if `simulated`, the others if not. It is bound until roster_release. False
 * when none is free.
 */
MUST_USE bool roster_take(struct roster *roster, const char *tenant, const struct store_location *place,
                          bool simulated, struct roster_match *ret_match);

/* Frees a responder; harmless when it is free. */
void roster_release(struct roster *roster, const char *tenant, const char *responder_id);

/* How many are free, simulated or real ones, over all tenants. Takes no lock. */
size_t roster_available(const struct roster *roster, bool simulated);

#endif

/*
 * A store around another store, whose calls a test can count, hold back at a gate, and make fail.
 *
 * A batch belongs to the gate of the first of these that it holds: a create, a responder, a change by
 * dispatch, a change by anybody else. It is held before it reaches the inner store, or, at the gates whose
 * names end in _DONE, after it is committed there and before the caller hears of it; so is a get, before and
 * after it is read. Any thread. Waits end after GATED_PATIENCE_S.
 */
#ifndef SUPPORT_GATED_STORE_H
#define SUPPORT_GATED_STORE_H

#include "store/store.h"

#define GATED_PATIENCE_S 30

enum gate {
    GATE_CREATE,
    GATE_CREATE_DONE,
    GATE_PUT_RESPONDER,
    GATE_PUT_RESPONDER_DONE,
    GATE_DISPATCH,
    GATE_DISPATCH_DONE,
    GATE_CHANGE,
    GATE_CHANGE_DONE,
    GATE_GET,
    GATE_GET_DONE,
    GATE_READ,
    GATE_LIST,
    GATE_CHANGES,
    GATE_DUE,
    GATE_OPEN_FROM,
    GATE_COUNTS,
    GATE_MAX,
};

struct gated_store;

/* Takes the inner store over: gated_store_free closes it. NULL without memory. */
struct gated_store *gated_store_new(struct store *inner);
/* NULL is fine. Nobody may be held. */
void gated_store_free(struct gated_store *gated);

/* What the code under test is given. */
struct store *gated_store_outer(struct gated_store *gated);
/* What is really stored, past all gates. */
struct store *gated_store_inner(struct gated_store *gated);

/* From now on calls stop at the gate, until it is released. */
void gated_store_hold(struct gated_store *gated, enum gate gate);
void gated_store_release(struct gated_store *gated, enum gate gate);

/*
 * From now on calls that have come through the gate end with this status, without reaching the inner store;
 * OK: no more. Not for the gates whose names end in _DONE.
 */
void gated_store_fail(struct gated_store *gated, enum gate gate, enum status status);

/* Until this many calls stand at the gate; false when they do not come. */
MUST_USE bool gated_store_await_held(struct gated_store *gated, enum gate gate, size_t n);

/* How many calls have come through the gate so far. */
size_t gated_store_passed(struct gated_store *gated, enum gate gate);
/* Until that many have. */
MUST_USE bool gated_store_await_passed(struct gated_store *gated, enum gate gate, size_t n);

/* Until what is stored is so: asked again after each batch. */
MUST_USE bool gated_store_await(struct gated_store *gated, bool (*is_so)(struct store *inner, void *ctx),
                                void *ctx);

#endif

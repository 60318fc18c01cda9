/*
 * What every kind of store does with rows: copy them out for the caller, compare their content.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

/* Copies into an arena, with all that it points to; false, with part of the arena used, when it is full. */
MUST_USE bool panic_copy_out(struct arena *arena, const struct store_panic *panic,
                             struct store_panic *ret_panic);
MUST_USE bool event_copy_out(struct arena *arena, const struct store_event *event,
                             struct store_event *ret_event);
MUST_USE bool responder_copy_out(struct arena *arena, const struct store_responder *responder,
                                 struct store_responder *ret_responder);

bool bytes_equal(const struct bytes *a, const struct bytes *b);

#endif

/*
 * W3C Trace Context (https://www.w3.org/TR/trace-context/), level 1: `traceparent` is taken over with a new
 * parent id; one that is not valid begins a new trace.
 */
#ifndef SHIM_TRACE_H
#define SHIM_TRACE_H

#include <stdint.h>

#define TRACEPARENT_SIZE 56 /* 55 characters and the NUL */

/* Numbers that need not be hard to guess (SplitMix64). One owner. */
struct trace_ids {
    uint64_t state;
};

void trace_ids_init(struct trace_ids *ids);

/* What goes on, for what came in: "" for NULL. */
void trace_continue(struct trace_ids *ids, const char *traceparent, char ret_text[TRACEPARENT_SIZE]);

#endif

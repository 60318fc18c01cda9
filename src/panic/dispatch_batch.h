/*
 * A batch of dispatch: panics are read, decided upon, written in one transaction, and cache, roster and hub
 * brought in line.
 *
 * One thread at a time runs batches; the figures may be read by any.
 */
#ifndef PANIC_DISPATCH_BATCH_H
#define PANIC_DISPATCH_BATCH_H

#include "panic/dispatch.h"

#define DISPATCH_BATCH_MAX STORE_BATCH_MAX

struct dispatch_batch;

/* Since the start. */
struct dispatch_figures {
    struct histogram latency_us;
    struct counter assigned;
    struct counter unassigned;
    struct counter overtaken;
};

/* What became of a batch: how many of its panics were looked at, from the first, and how many changed. */
struct batch_end {
    size_t seen;
    size_t changed;
};

/* RESOURCE_EXHAUSTED. `config` is copied; what it names must outlive the batch. */
MUST_USE enum status dispatch_batch_new(const struct dispatch_config *config,
                                        struct dispatch_batch **ret_batch);
/* NULL is fine. */
void dispatch_batch_free(struct dispatch_batch *batch);

/*
 * Works off up to DISPATCH_BATCH_MAX panics. Nothing is changed when the store has no room, so that callers
 * who loop until there is nothing to do come to an end; then nothing counts as seen either.
 */
struct batch_end dispatch_batch_run(struct dispatch_batch *batch, const struct store_key *keys, size_t n);

const struct dispatch_figures *dispatch_batch_figures(const struct dispatch_batch *batch);

#endif

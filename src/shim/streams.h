/*
 * Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) of one loop: each
 * stream is a loop of ListEvents calls, made like every other call, so that it makes no difference whether
 * the service is in this process.
 *
 * Life: streams_new → streams_begin … → streams_close (ends all) → streams_free, when streams_count() is 0.
 * On the loop's thread, but for what `config` says.
 */
#ifndef SHIM_STREAMS_H
#define SHIM_STREAMS_H

#include <event2/event.h>
#include <stdatomic.h>

#include "shim/routes.h"
#include "shim/trace.h"

struct streams;

struct streams_config {
    /* These must outlive the streams. */
    const struct edge *edge;
    struct event_base *base;
    struct counter *answers;
    /* Open in all loops together. */
    atomic_uint *open;
    unsigned streams_max;
    /* Any thread: have the loop call streams_deliver(). */
    void (*wake)(void *loop);
    void *loop;
};

MUST_USE enum status streams_new(const struct streams_config *config, struct streams **ret_streams);
/* NULL is fine. */
void streams_free(struct streams *streams);

/* False when there are too many, or no memory: to be refused. */
MUST_USE bool streams_begin(struct streams *streams, const struct request *request, const struct plan *plan,
                            const char *traceparent);

/* Takes the answers of finished calls on. */
void streams_deliver(struct streams *streams);

/* Ends all, and those that begin from now on. */
void streams_close(struct streams *streams);

/* Streams that are open, have a call under way, or are being handed back by another thread. */
size_t streams_count(const struct streams *streams);

#endif

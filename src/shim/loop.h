/*
 * One loop of the shim: a thread with an event base, an evhttp on a socket of its own, a gate, and its share
 * of the calls.
 *
 * Life: loop_new → loop_run → loop_close → loop_stop → loop_free.
 */
#ifndef SHIM_LOOP_H
#define SHIM_LOOP_H

#include <stdatomic.h>

#include "base/metrics.h"
#include "shim/gate.h"
#include "shim/routes.h"

/* Of all loops. */
struct loop_counters {
    struct counter requests;
    struct counter shed;
    struct counter waited;
    /* By http_status_index(). */
    struct counter answers[HTTP_STATUSES + 1];
    atomic_uint in_flight;
    atomic_uint streams;
};

struct loop_config {
    /* These must outlive the loop. */
    const struct edge *edge;
    struct gate_shared *shared;
    struct loop_counters *counters;
    size_t calls_max;
    unsigned index;
};

struct loop;

MUST_USE enum status loop_new(const struct loop_config *config, struct loop **ret_loop);

/* Starts the thread, which accepts from the listening socket. That is the loop's from now on, also on
 * failure. */
MUST_USE enum status loop_run(struct loop *loop, int listening_socket);

/* From now on refuses what is new. */
void loop_close(struct loop *loop);
/* Waits until all calls are finished and answered, and the thread has ended. */
void loop_stop(struct loop *loop);
/* NULL is fine. A loop that runs has been stopped before. */
void loop_free(struct loop *loop);

#endif

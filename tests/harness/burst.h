/*
 * Many calls of one method, a fixed number of them under way at any moment, over one connection.
 */
#ifndef HARNESS_BURST_H
#define HARNESS_BURST_H

#include "rpc/channel.h"

struct burst {
    const char *url;
    const ProtobufCServiceDescriptor *service;
    const char *method;
    size_t n;
    /* Under way at once, up to 256. */
    unsigned at_once;
    /* The request of call `i`: on the caller's thread, valid until the next one is asked for. */
    const ProtobufCMessage *(*make)(void *ctx, size_t i);
    /* Every answer, on a thread of nng's. NULL: every answer must be OK, else the test fails. */
    void (*done)(void *ctx, size_t i, const struct rpc_result *result);
    void *ctx;
};

/* Returns when every call is answered, with the seconds that took. */
double burst_run(const struct burst *burst);

/* Puts responders unit-FROM to unit-(FROM + n - 1), spread around -33.9, 18.4. Returns the seconds. */
double burst_put_responders(const char *url, size_t from, size_t n);

#endif

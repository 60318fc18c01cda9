/*
 * What channel.c (the transport: contexts, connections) and channel_calls.c (those who wait for answers)
 * share.
 */
#ifndef RPC_CHANNEL_PRIVATE_H
#define RPC_CHANNEL_PRIVATE_H

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>
#include <pthread.h>
#include <stdatomic.h>

#include "rpc/channel.h"
#include "rpc/endpoint.h"

struct channel_call;
struct stub_service;

struct outcome {
    enum status status;
    /* Why there is no answer; "" when status is OK. */
    char text[256];
    /* The answer's envelope when status is OK. Owned by whom the outcome is given to. */
    nng_msg *msg;
};

struct completion {
    void (*complete)(const struct completion *completion, struct outcome *outcome);
    const ProtobufCMessageDescriptor *output;
    rpc_done *done;
    ProtobufCClosure closure;
    /* Of done, closure or complete. */
    void *arg;
};

struct rpc_channel {
    struct endpoint endpoint;
    nng_socket socket;
    bool socket_open;
    nng_dialer dialer;
    /* Connections that are open. Written by nng's threads, read by those that time out in a send. */
    atomic_uint connections;
    nng_tls_config *tls;
    struct channel_call *calls;
    unsigned n_calls;

    pthread_mutex_t mutex;
    /* Broadcast when `closing` is set, when a waiter leaves, and while closing when a call ends. */
    pthread_cond_t changed;
    /* Under mutex. */
    struct channel_call *free_calls;
    unsigned under_way;
    unsigned waiters;
    bool closing;
    struct stub_service *services;
};

/*
 * Sends the request; completion->complete is called once, later, with a copy of it, on a thread of nng's, and
 * must not block. On failure it is not called (see rpc_channel_send).
 */
MUST_USE enum status channel_start(struct rpc_channel *channel, const struct rpc_outgoing *outgoing,
                                   const struct completion *completion);

/* Frees the stubs; part of closing. */
void channel_free_services(struct stub_service *services);

#endif

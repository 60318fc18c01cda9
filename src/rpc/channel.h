/*
 * RPC client: calls over one nng REQ socket, up to `contexts` at once, usable directly or under the stubs
 * that protoc-c generates (ProtobufCService).
 *
 * A call is one attempt. If the connection is lost while it waits, it fails with UNAVAILABLE at once: whether
 * the server has done it is unknown, and an idempotent request may simply be sent again, which is the
 * caller's to decide. While there is no connection a call waits for one until its timeout.
 */
#ifndef RPC_CHANNEL_H
#define RPC_CHANNEL_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "rpc/call.h"

/* Largest answer taken in. */
#define RPC_ANSWER_MAX (4 * 1024 * 1024)

struct rpc_channel;

struct rpc_channel_config {
    /* As for the server: tcp://, ipc://, inproc://, tls+tcp://. */
    const char *url;
    /* Calls under way at most, 1 to 1024 (Debian 12's nng slows down above a few hundred). */
    unsigned contexts;
    /* PEM file of the authorities that tls+tcp servers are checked against; NULL otherwise. */
    const char *tls_ca_file;
};

/* What came back. Valid during rpc_done only. */
struct rpc_result {
    enum status status;
    /* For people; "" when OK. */
    const char *message;
    /* Of the method's output type; NULL unless OK. */
    const ProtobufCMessage *response;
    /* The status is the server's; otherwise there was no answer, or none that can be read, and the message
     * names the URL. */
    bool is_answer;
    /* What came beside the response or the error. */
    struct rpc_header trailers[RPC_TRAILERS_MAX];
    size_t n_trailers;
};

/* A call to be sent, with all that may go with it. Read before rpc_channel_send() returns. */
struct rpc_outgoing {
    const ProtobufCServiceDescriptor *service;
    const ProtobufCMethodDescriptor *method;
    const ProtobufCMessage *request;
    /* Names in lower case, values in UTF-8. */
    const struct rpc_header *headers;
    size_t n_headers;
    /* How long to wait for the answer, > 0; and how long while there is no connection, after which the call
     * fails with UNAVAILABLE, unsent (0 = as long as for the answer). */
    int64_t timeout_us;
    int64_t connect_us;
    /* What the server is told: how long the caller waits; 0 = for ever. */
    uint32_t told_ms;
};

/* Called once per call, on a thread of nng's or of the caller of rpc_channel_call; must not block. */
typedef void rpc_done(void *arg, const struct rpc_result *result);

/* Does not wait for the connection. The caller owns *ret_channel. */
MUST_USE enum status rpc_channel_open(const struct rpc_channel_config *config,
                                      struct rpc_channel **ret_channel, struct diag *diag);

/* Calls under way end with CANCELLED first. NULL is fine. Not from within rpc_done. */
void rpc_channel_close(struct rpc_channel *channel);

/*
 * Sends the call. When this fails `done` is not called: RESOURCE_EXHAUSTED when all contexts are busy,
 * CANCELLED when the channel is closing, INVALID_ARGUMENT when the call is longer than a server takes
 * (RPC_MESSAGE_MAX): it would cost the connection, and with it all calls that are under way.
 */
MUST_USE enum status rpc_channel_send(struct rpc_channel *channel, const struct rpc_outgoing *outgoing,
                                      rpc_done *done, void *arg);

/* The same in short: timeout_us is also sent to the server as the call's deadline. */
MUST_USE enum status rpc_channel_call(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                                      const char *method, const ProtobufCMessage *request, int64_t timeout_us,
                                      rpc_done *done, void *arg);

/*
 * The same, waiting for the answer, which is unpacked into `arena`. Repeats on UNAVAILABLE and
 * RESOURCE_EXHAUSTED with exponential backoff and full jitter until timeout_us is over when `idempotent` says
 * that a repeat does no harm.
 */
MUST_USE enum status rpc_channel_call_wait(struct rpc_channel *channel,
                                           const ProtobufCServiceDescriptor *service, const char *method,
                                           const ProtobufCMessage *request, int64_t timeout_us,
                                           bool idempotent, struct arena *arena,
                                           const ProtobufCMessage **ret_response, struct diag *diag);

/*
 * For generated stubs, e.g. panic__v1__panic_service__get_panic(service, &request, closure, data): the
 * closure gets NULL when the call failed; rpc_channel_last_error() says why, inside the closure only. Owned
 * by the channel; calls use the timeout given here. NULL when memory is short.
 */
ProtobufCService *rpc_channel_service(struct rpc_channel *channel,
                                      const ProtobufCServiceDescriptor *descriptor, int64_t timeout_us);
const struct rpc_result *rpc_channel_last_error(void);

#endif

/*
 * One RPC under way: what came in, who asked, until when, the memory that lives as long, and how to answer.
 *
 * nng (rpc/server.c) and HTTP (shim/) both make calls; handlers cannot tell them apart. A handler finishes
 * its call exactly once, with rpc_call_reply or rpc_call_fail, from any thread, now or later; after that it
 * must not touch the call or anything in its arena. Until then the call has one owner at a time: handing it
 * to another thread through a queue hands over everything in it. Calls are preallocated by their transport
 * and reused.
 */
#ifndef RPC_CALL_H
#define RPC_CALL_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"

/* Most that one call may use of memory, in bytes. */
#define RPC_ARENA_MAX (1024 * 1024)
#define RPC_TRAILERS_MAX 4
/* Largest message taken in; over nng, a peer that announces more loses its connection. */
#define RPC_MESSAGE_MAX (64 * 1024)
/* Most parts of a request that can be left out. */
#define RPC_LEFT_OUT_MAX 4
/* Longest answer, packed; a longer one becomes RESOURCE_EXHAUSTED. */
#define RPC_RESPONSE_MAX (1024 * 1024)

struct rpc_call;
struct rpc_method;

struct rpc_header {
    const char *name;
    const char *value;
};

/* Who asks, from the credential, never from the request. Lives as long as the call. */
struct rpc_identity {
    const char *tenant;
};

/* What a call is answered with: a message of the method's output type, or its encoding. */
struct rpc_response {
    /* NULL when there is only the encoding. */
    const ProtobufCMessage *message;
    /* NULL when there is only the message. */
    const uint8_t *packed;
    /* Of the encoding, in bytes. */
    size_t size;
};

struct rpc_transport {
    /*
     * Sends call->status, call->message, call->trailers and, if not NULL, `response`, which is read before
     * this returns. Called once per call, by the thread that finishes it. Takes the call back.
     */
    void (*finish)(struct rpc_call *call, const struct rpc_response *response);
    /* NULL, or see rpc_calls_under_way(). Any thread. */
    unsigned (*under_way)(const struct rpc_call *call);
};

struct rpc_call {
    const struct rpc_transport *transport;
    /* NULL until it is known; finished calls are counted in it. */
    struct rpc_method *method;
    /* The decoded request, of the method's input type. In the arena. NULL until the handler is called. */
    const ProtobufCMessage *request;
    /*
     * Why parts of the request are not in `request`: they are optional and were over the limits of what is
     * read (rpc/router.h). Each begins with the field: "metadata: messages are nested deeper than 16". Live
     * as long as the call.
     */
    const char *left_out[RPC_LEFT_OUT_MAX];
    size_t n_left_out;
    const struct rpc_header *headers;
    size_t n_headers;
    struct rpc_identity identity;
    /* Monotonic µs: when it arrived, and when the caller stops waiting (0 = never). */
    int64_t start_us;
    int64_t deadline_us;
    struct arena arena;

    /* The answer, set on the way out: message is "" when OK. */
    enum status status;
    const char *message;
    struct rpc_header trailers[RPC_TRAILERS_MAX];
    size_t n_trailers;
};

/* Value of the first header with this (lower-case) name; NULL when there is none. */
const char *rpc_call_header(const struct rpc_call *call, const char *name);

/* Adds a trailer; both strings must live as long as the call. Ignored when there are RPC_TRAILERS_MAX
 * already. */
void rpc_call_add_trailer(struct rpc_call *call, const char *name, const char *value);

/* For transports: adds to what was left out; the text must live as long as the call. */
void rpc_call_add_left_out(struct rpc_call *call, const char *text);

/* Answers OK. `response` is of the method's output type and may live on the caller's stack. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *response);

/* The same with the response in its encoding, for handlers that have it, or most of it, at hand. */
void rpc_call_reply_packed(struct rpc_call *call, const uint8_t *packed, size_t size);

/* For transports: writes the encoding, response->size bytes. */
void rpc_response_pack(const struct rpc_response *response, uint8_t *at);

/* For transports: the message, unpacked into the call's arena if need be. NULL when that is full. */
const ProtobufCMessage *rpc_response_message(const struct rpc_response *response, struct rpc_call *call);

/* Answers with an error; the text is for the caller's people: name the field and the mend, no internals. */
void rpc_call_fail(struct rpc_call *call, enum status status, const char *format, ...) PRINTF_LIKE(3, 4);

/*
 * How many calls are under way in the transport of this one, those whose answers are still on their way out
 * included: a recent value, 0 when the transport does not know. By the owner of the call.
 */
unsigned rpc_calls_under_way(const struct rpc_call *call);

/* Is the deadline past? */
bool rpc_call_expired(const struct rpc_call *call);

#endif

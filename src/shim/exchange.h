/*
 * An HTTP request that became a call: the call itself, what its answer will look like, and the way back to
 * the loop. As many are preallocated as calls may be under way.
 */
#ifndef SHIM_EXCHANGE_H
#define SHIM_EXCHANGE_H

#include <stdalign.h>
#include <stddef.h>

#include "json/json.h"
#include "rpc/call.h"
#include "rpc/router.h"
#include "shim/answer.h"
#include "shim/coding.h"
#include "shim/request.h"
#include "shim/trace.h"

/* An answer in JSON may be some times as long as packed. */
#define EXCHANGE_ANSWER_MAX (4 * RPC_RESPONSE_MAX)

struct exchange;

/* How requests of one kind become calls and their responses answers. */
struct exchange_kind {
    /*
     * On the loop's thread. Decodes the request, as the method's input, and invokes or fails the call, which
     * may finish before this returns: nothing touches the exchange behind that.
     */
    void (*begin)(struct exchange *exchange, const struct request *request, struct rpc_method *method);
    /* On any thread, with a response: sets the answer. RESOURCE_EXHAUSTED when the arena is full,
     * INTERNAL when the response has no panic, INVALID_ARGUMENT when it has no form in JSON. */
    enum status (*render)(struct exchange *exchange, const struct rpc_response *response);
    /*
     * Instead, when memory is short and something has been done: the caller must not be told that it has
     * not. Needs no more memory than the arena's first. NULL: an error that says so.
     */
    enum status (*render_short)(struct exchange *exchange, const struct rpc_response *response);
    /* ERROR_PLAIN becomes ERROR_PROBLEM for clients that ask for it. */
    enum error_style style;
};

struct exchange {
    /* First, so that a call's address is its exchange's. */
    struct rpc_call call;
    const struct exchange_kind *kind;
    enum error_style style;
    /* Once the call is finished and the answer made: brings it to the loop. */
    void (*done)(struct exchange *exchange);
    void *loop;
    /* The loop's own. NULL when the connection has ended. */
    struct peer *peer;
    struct evhttp_request *evhttp;
    struct exchange *next_free;

    struct answer answer;
    struct arena answer_arena;
    /* For an error, instead of the one that belongs to its status; 0 = that one. */
    int http_status;
    /* Of the client, for the answer. */
    enum coding_wish wish;
    /* "" unless the request had one. */
    char traceparent[TRACEPARENT_SIZE];
    alignas(max_align_t) char first[8192];
    alignas(max_align_t) char answer_first[4096];
};

void exchange_init(struct exchange *exchange, void *loop, void (*done)(struct exchange *exchange));

/*
 * Begins the call. The exchange is free, that is, just initialized or reset; exchange->call.identity and
 * evhttp, peer are set here.
 */
void exchange_begin(struct exchange *exchange, const struct exchange_kind *kind, struct rpc_method *method,
                    const struct request *request, const char *tenant, struct trace_ids *ids);

/* Fails the call with an HTTP status of its own: 415 for one. */
void exchange_fail(struct exchange *exchange, int http_status, enum status status, const char *text);

/* Gives back the memory of the call and the answer. */
void exchange_reset(struct exchange *exchange);

/*
 * The method's request, from JSON, in the call's arena. What the method can do without and is too deep or too
 * much to be parsed is left out and noted in the call. Statuses and texts are those of json_parse().
 */
MUST_USE enum status exchange_parse(struct exchange *exchange, const struct rpc_method *method,
                                    struct json_text text, ProtobufCMessage **ret_request, struct diag *diag);

/*
 * Invokes the call with a message that did not come through rpc_router_dispatch(). Refuses what the scan
 * would refuse, and leaves out what it would leave out: what comes in by JSON must be readable by everybody
 * who reads it packed.
 */
void exchange_invoke(struct exchange *exchange, struct rpc_method *method, ProtobufCMessage *request);

#endif

/*
 * rpc.v1.Request and rpc.v1.Response as bodies of nng messages.
 */
#ifndef RPC_ENVELOPE_H
#define RPC_ENVELOPE_H

#include <nng/nng.h>
#include <stdint.h>

#include "rpc/call.h"
#include "rpc/v1/rpc.pb-c.h"

/* The request to "/service/method". The caller owns it; NULL when memory is short. */
nng_msg *envelope_request(const char *service, const char *method, const ProtobufCMessage *request,
                          uint32_t timeout_ms);

/* Gives the call the headers of its request, whose texts must live as long. False when its arena is full. */
MUST_USE bool envelope_take_headers(const Rpc__V1__Request *request, struct rpc_call *call);

/* The answer of a finished call. The caller owns it; NULL when memory is short. */
nng_msg *envelope_response(const struct rpc_call *call, const struct rpc_response *response);

#endif

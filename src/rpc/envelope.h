/*
 * rpc.v1.Request and rpc.v1.Response as bodies of nng messages.
 */
#ifndef RPC_ENVELOPE_H
#define RPC_ENVELOPE_H

#include <nng/nng.h>
#include <stdint.h>

#include "rpc/call.h"

/* The request to "/service/method". The caller owns it; NULL when memory is short. */
nng_msg *envelope_request(const char *service, const char *method, const ProtobufCMessage *request,
                          uint32_t timeout_ms);

/* The answer of a finished call. The caller owns it; NULL when memory is short. */
nng_msg *envelope_response(const struct rpc_call *call, const struct rpc_response *response);

#endif

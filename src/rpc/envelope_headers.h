/* Headers of a call that is passed on, behind the rest of its rpc.v1.Request. */
#ifndef RPC_ENVELOPE_HEADERS_H
#define RPC_ENVELOPE_HEADERS_H

#include <nng/nng.h>
#include <stddef.h>

#include "base/status.h"
#include "rpc/call.h"

/* RESOURCE_EXHAUSTED when memory is short; the message is then to be thrown away. */
MUST_USE enum status envelope_add_headers(nng_msg *msg, const struct rpc_header *headers, size_t n);

#endif

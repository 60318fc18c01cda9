/*
 * The Connect protocol for unary calls (https://connectrpc.com/docs/protocol): every method of every service
 * of the router, as JSON and binary, with POST, and with GET for methods without side effects.
 */
#ifndef SHIM_CONNECT_H
#define SHIM_CONNECT_H

#include "shim/routes.h"

/* False when the path is none of a method; otherwise *plan is set, if only to a refusal. */
MUST_USE bool connect_plan(const struct edge *edge, const struct request *request, struct arena *arena,
                           struct plan *plan);

/* ---- for connect_get.c ---- */

/* What all calls have in common: headers, timeout. False when the call was failed. */
MUST_USE bool connect_take_headers(struct exchange *exchange, const struct request *request);

/* Decode and invoke, or fail. */
void connect_invoke_json(struct exchange *exchange, struct rpc_method *method, const char *text,
                         size_t length);
void connect_invoke_proto(struct exchange *exchange, struct rpc_method *method, const void *data,
                          size_t length);

enum status connect_render_json(struct exchange *exchange, const struct rpc_response *response);
enum status connect_render_proto(struct exchange *exchange, const struct rpc_response *response);

/* NULL when the query names no encoding that is known. */
const struct exchange_kind *connect_get_kind(const struct request *request, struct arena *arena);

#endif

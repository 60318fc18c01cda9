/*
 * The seed's routes: POST /panic and GET /panic/{id}. Their calls are CreatePanic and GetPanic; their answers
 * have a shape of their own:
 *
 *     {"id", "timestamp": epoch ms, "status": "processing", "location": {"lat", "lng"}, "metadata": {}}
 *
 * with "warnings" behind a creation when there are any, and in the metadata "responder" and "dispatchedAt"
 * (epoch ms) once a responder has been sent.
 */
#ifndef SHIM_PANIC_ROUTES_H
#define SHIM_PANIC_ROUTES_H

#include "shim/exchange.h"

/* The body is CreatePanicRequest as ProtoJSON. Without an id in it, an Idempotency-Key is made into one. */
extern const struct exchange_kind panic_routes_create;
extern const struct exchange_kind panic_routes_get;

#endif

/* The content of a request, unpacked if it came in gzip. */
#ifndef SHIM_BODY_H
#define SHIM_BODY_H

#include "json/json.h"
#include "rpc/server.h"
#include "shim/coding.h"
#include "shim/exchange.h"

/* Longest content of what came packed: as long as a message may be on any way in. */
#define BODY_CONTENT_MAX RPC_MESSAGE_MAX

/* The body after its Content-Encoding; it lives as long as the request and the call. False when the call was
 * failed. */
MUST_USE bool body_take(struct exchange *exchange, const struct request *request, struct json_text *ret_body);

/* The same for what came elsewhere in this coding; `name` is what the coding was named by. */
MUST_USE bool body_unpack(struct exchange *exchange, const char *name, enum coding coding,
                          struct json_text packed, struct json_text *ret_content);

#endif

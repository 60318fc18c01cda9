/* An answer on its way through evhttp, with the headers that all answers have. */
#ifndef SHIM_REPLY_H
#define SHIM_REPLY_H

#include "shim/routes.h"

/* On the loop's thread, once a request. `traceparent` "" = none. Adds to the answer's headers. */
void reply_send(const struct edge *edge, const struct request *request, struct answer *answer,
                const char *traceparent);

/*
 * The head of an answer in server-sent events, as text. True: what follows is to be sent in chunks; false: as
 * it is, up to the end of the connection.
 */
bool reply_begin_stream(const struct edge *edge, const struct request *request, const char *traceparent,
                        struct evbuffer *output);

#endif

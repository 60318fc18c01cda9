/* What goes back, before it is written: made on any thread, sent by the loop. */
#ifndef SHIM_ANSWER_H
#define SHIM_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "rpc/call.h"

#define ANSWER_HEADERS_MAX 12

/* How an error is written: {"error","code"}; RFC 9457; the Connect protocol. */
enum error_style { ERROR_PLAIN, ERROR_PROBLEM, ERROR_CONNECT };

/* ERROR_PROBLEM when Accept asks for it; NULL when there is none. */
enum error_style answer_plain_style(const char *accept);

struct answer {
    int http_status;
    /* NULL without body. Body and headers live as long as the arena that they are in. */
    const char *content_type;
    /* Of the body; NULL = identity. */
    const char *content_encoding;
    const char *body;
    size_t length;
    /* The same in gzip, where that is at hand already; NULL otherwise. */
    const char *packed;
    size_t packed_length;
    struct rpc_header headers[ANSWER_HEADERS_MAX];
    size_t n_headers;
    bool close;
    /* To what changed something: is sent also when there is no room for it. */
    bool must_go;
};

/* A body of static storage or in an arena. */
void answer_body(struct answer *answer, int http_status, const char *content_type, const char *body,
                 size_t length);

/* Instead of an answer for which there is no room. */
void answer_no_room(struct answer *answer);

/* An error; `http_status` 0 = the one that belongs to `status`. Adds to the headers that are there. 429 and
 * 503 get a Retry-After, unless there is one. */
void answer_error(struct answer *answer, enum error_style style, int http_status, enum status status,
                  const char *text, struct arena *arena);

/* Ignored when there are ANSWER_HEADERS_MAX already, or when the value could not stand in a head. */
void answer_add_header(struct answer *answer, const char *name, const char *value);

#endif

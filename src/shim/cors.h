/*
 * Pages of which origins may call (https://fetch.spec.whatwg.org/#http-cors-protocol). A request from the
 * page of an origin that is not allowed is refused, not only hidden from the page: it would otherwise have
 * been carried out.
 */
#ifndef SHIM_CORS_H
#define SHIM_CORS_H

#include "shim/answer.h"
#include "shim/request.h"

/* NONE: not from a page, or from a page of this server. */
enum cors { CORS_NONE, CORS_ALLOWED, CORS_REFUSED };

struct cors_origins {
    const char *const *origins;
    size_t n_origins;
};

/* Is it written as browsers send it, and so can ever match: scheme://host or scheme://host:port, in small
 * letters, and nothing behind? */
bool cors_is_origin(const char *text);

enum cors cors_check(const struct cors_origins *allowed, const struct request *request);

/* Is it the question that a browser asks before a request? */
bool cors_is_preflight(const struct request *request);

/* The answer to that question, 204. */
void cors_answer_preflight(struct answer *answer);

/* What lets the page read the answer. */
void cors_add_headers(const struct cors_origins *allowed, const struct request *request,
                      struct answer *answer);

#endif

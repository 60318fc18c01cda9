/* A request as the routes see it. Valid on the loop's thread until it is answered. */
#ifndef SHIM_REQUEST_H
#define SHIM_REQUEST_H

#include <event2/http.h>
#include <stdbool.h>
#include <stddef.h>

#include "shim/gate.h"

enum http_method { HTTP_OTHER = 0, HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 4, HTTP_OPTIONS = 8 };

struct request {
    struct evhttp_request *evhttp;
    struct peer *peer;
    enum http_method method;
    const char *path;
    /* NULL when there is none. */
    const char *query;
    const char *body;
    size_t body_length;
};

/* False when memory is short. */
MUST_USE bool request_init(struct request *request, struct evhttp_request *evhttp, struct peer *peer);

/* The connection has ended before the answer. */
void request_drop(struct evhttp_request *evhttp);

/* The value of the first header with this name in any case; NULL when there is none. */
const char *request_header(const struct request *request, const char *name);

#endif

#include "shim/request.h"

#include <event2/buffer.h>

static enum http_method method_of(const struct evhttp_request *evhttp)
{
    switch (evhttp_request_get_command(evhttp)) {
    case EVHTTP_REQ_GET:
        return HTTP_GET;
    case EVHTTP_REQ_HEAD:
        return HTTP_HEAD;
    case EVHTTP_REQ_POST:
        return HTTP_POST;
    case EVHTTP_REQ_OPTIONS:
        return HTTP_OPTIONS;
    default:
        return HTTP_OTHER;
    }
}

bool request_init(struct request *request, struct evhttp_request *evhttp, struct peer *peer)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(evhttp);
    struct evbuffer *body = evhttp_request_get_input_buffer(evhttp);
    const char *path = uri != NULL ? evhttp_uri_get_path(uri) : NULL;
    *request = (struct request){.evhttp = evhttp,
                                .peer = peer,
                                .method = method_of(evhttp),
                                .path = path != NULL ? path : "",
                                .query = uri != NULL ? evhttp_uri_get_query(uri) : NULL,
                                .body = "",
                                .body_length = evbuffer_get_length(body)};
    if (request->body_length > 0) {
        request->body = (const char *)evbuffer_pullup(body, -1);
    }
    return request->body != NULL;
}

/* evhttp frees it with the connection, unless it has detached it. */
void request_drop(struct evhttp_request *evhttp)
{
    if (evhttp_request_get_connection(evhttp) == NULL) {
        evhttp_request_free(evhttp);
    }
}

const char *request_header(const struct request *request, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(request->evhttp), name);
}

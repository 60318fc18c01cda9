#include "shim/reply.h"

#include <event2/buffer.h>
#include <event2/http_struct.h>
#include <stdio.h>

#include "shim/http_status.h"

#define REQUEST_ID_MAX 128

static bool is_printable(const char *text)
{
    size_t n = 0;
    while (n <= REQUEST_ID_MAX && text[n] > 0x20 && text[n] < 0x7F) {
        n++;
    }
    return n > 0 && n <= REQUEST_ID_MAX && text[n] == 0;
}

static void write_head(struct evhttp_request *evhttp, const struct answer *answer)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(evhttp);
    if (answer->content_type != NULL) {
        evhttp_add_header(headers, "Content-Type", answer->content_type);
    }
    if (answer->content_encoding != NULL) {
        evhttp_add_header(headers, "Content-Encoding", answer->content_encoding);
    }
    for (size_t i = 0; i < answer->n_headers; i++) {
        evhttp_add_header(headers, answer->headers[i].name, answer->headers[i].value);
    }
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (answer->close) {
        evhttp_add_header(headers, "Connection", "close");
    }
}

static void write_body(const struct request *request, const struct answer *answer)
{
    if (request->method != HTTP_HEAD) {
        evbuffer_add(evhttp_request_get_output_buffer(request->evhttp), answer->body, answer->length);
        return;
    }
    char length[24];
    snprintf(length, sizeof(length), "%zu", answer->length);
    evhttp_add_header(evhttp_request_get_output_headers(request->evhttp), "Content-Length", length);
}

static void add_headers(const struct edge *edge, const struct request *request, struct answer *answer,
                        const char *traceparent)
{
    const char *id = request_header(request, "X-Request-Id");
    if (id != NULL && is_printable(id)) {
        answer_add_header(answer, "X-Request-Id", id);
    }
    if (traceparent[0] != 0) {
        answer_add_header(answer, "Traceparent", traceparent);
    }
    cors_add_headers(&edge->origins, request, answer);
}

void reply_send(const struct edge *edge, const struct request *request, struct answer *answer,
                const char *traceparent)
{
    add_headers(edge, request, answer, traceparent);
    write_head(request->evhttp, answer);
    write_body(request, answer);
    gate_begin_answer(request->peer, request->evhttp);
    evhttp_send_reply(request->evhttp, answer->http_status, http_phrase(answer->http_status), NULL);
}

bool reply_begin_stream(const struct edge *edge, const struct request *request, const char *traceparent,
                        struct evbuffer *output)
{
    struct answer answer = {0};
    bool in_chunks = request->evhttp->major == 1 && request->evhttp->minor >= 1;
    add_headers(edge, request, &answer, traceparent);
    evbuffer_add_printf(output,
                        "HTTP/1.1 200 %s\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                        "X-Content-Type-Options: nosniff\r\nX-Accel-Buffering: no\r\nConnection: close\r\n%s",
                        http_phrase(200), in_chunks ? "Transfer-Encoding: chunked\r\n" : "");
    for (size_t i = 0; i < answer.n_headers; i++) {
        evbuffer_add_printf(output, "%s: %s\r\n", answer.headers[i].name, answer.headers[i].value);
    }
    evbuffer_add(output, "\r\n", 2);
    return in_chunks;
}

/*
 * HTTP as tests need it: bytes as they are written, answers taken apart only so far as to look at them.
 * Failures of the transport itself fail the test. Nothing waits longer than 30 seconds.
 */
#ifndef HARNESS_HTTP_CLIENT_H
#define HARNESS_HTTP_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_SIZE 8192

/* A header line, for http_call. */
#define HTTP_JSON_TYPE "Content-Type: application/json\r\n"

struct http_answer {
    /* 0: the connection ended without one. */
    int status;
    char head[HTTP_HEAD_SIZE];
    char *body;
    size_t length;
};

/* A connection to "http://127.0.0.1:PORT"; `from`, "127.0.0.7", is the address that it comes from, NULL =
 * any. */
int http_connect(const char *url, const char *from);

void http_send(int fd, const char *text);
void http_send_bytes(int fd, const void *data, size_t length);

/* Reads one answer; fails the test unless it has this status. */
void http_expect_status(int fd, int status);
/* Reads one answer. The caller owns the body (http_answer_free). */
void http_receive(int fd, struct http_answer *ret_answer);
/* The same for the answer to HEAD. */
void http_receive_head(int fd, struct http_answer *ret_answer);
void http_answer_free(struct http_answer *answer);

/* Waits until the other side has closed; false when bytes came instead. */
bool http_is_closed(int fd);

/*
 * One request on a connection of its own. `headers` is "" or lines, each with its CRLF; Host and
 * Content-Length are added. `body` NULL = none.
 */
void http_call(const char *url, const char *method, const char *target, const char *headers, const char *body,
               struct http_answer *ret_answer);

/* The value of a header, in static storage until the next call; NULL when there is none. */
const char *http_header(const struct http_answer *answer, const char *name);

/* The body as JSON; the caller owns it. */
json_t *http_json(const struct http_answer *answer);

/* The same, and frees the answer's body; fails the test when the status is another. */
json_t *http_take_json(struct http_answer *answer, int status);

/* The text of a member, which must be there; valid as long as `json`. */
const char *http_text_of(const json_t *json, const char *member);

/* Fails the test unless the answer has this status and a JSON body whose `member` is, or contains, `text`. */
void http_expect(struct http_answer *answer, int status, const char *member, const char *text);

#endif

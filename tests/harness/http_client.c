#include "harness/http_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness/test.h"

#define PATIENCE_MS 30000

int http_connect(const char *url, const char *from)
{
    static const char scheme[] = "http://";
    const char *colon = strrchr(url, ':');
    char host[64];
    assert_memory_equal(url, scheme, sizeof(scheme) - 1);
    const char *start = url + sizeof(scheme) - 1;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - start), start);
    unsigned long port = strtoul(colon + 1, NULL, 10);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (from != NULL) {
        assert_int_equal(inet_pton(AF_INET, from, &address.sin_addr), 1);
        address.sin_port = 0;
        assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        address.sin_port = htons((uint16_t)port);
    }
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* A server that has refused may have closed already: what it said is what the test looks at. */
void http_send_bytes(int fd, const void *data, size_t length)
{
    const char *rest = data;
    while (length > 0) {
        ssize_t sent = send(fd, rest, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return;
        }
        rest += sent;
        length -= (size_t)sent;
    }
}

void http_send(int fd, const char *text)
{
    http_send_bytes(fd, text, strlen(text));
}

/* 0 at the end of the connection, however that came. */
static size_t receive_some(int fd, char *buffer, size_t size)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    ssize_t n = recv(fd, buffer, size, 0);
    return n > 0 ? (size_t)n : 0;
}

static void receive_head(int fd, struct http_answer *answer)
{
    size_t length = 0;
    memset(answer, 0, sizeof(*answer));
    /* One byte at a time leaves what follows to its reader. */
    while (length < sizeof(answer->head) - 1 && strstr(answer->head, "\r\n\r\n") == NULL) {
        if (receive_some(fd, answer->head + length, 1) == 0) {
            assert_int_equal(length, 0);
            return;
        }
        length++;
    }
    assert_memory_equal(answer->head, "HTTP/1.", 7);
    answer->status = (int)strtol(answer->head + strlen("HTTP/1.1 "), NULL, 10);
    assert_true(answer->status >= 100);
}

static void receive_body(int fd, struct http_answer *answer)
{
    const char *length_text = http_header(answer, "Content-Length");
    size_t length = length_text != NULL ? strtoul(length_text, NULL, 10) : 0;
    answer->body = calloc(1, length + 1);
    assert_non_null(answer->body);
    while (answer->length < length) {
        size_t n = receive_some(fd, answer->body + answer->length, length - answer->length);
        assert_true(n > 0);
        answer->length += n;
    }
}

void http_receive_head(int fd, struct http_answer *answer)
{
    receive_head(fd, answer);
}

void http_receive(int fd, struct http_answer *answer)
{
    receive_head(fd, answer);
    receive_body(fd, answer);
}

void http_expect_status(int fd, int status)
{
    struct http_answer answer;
    http_receive(fd, &answer);
    if (answer.status != status) {
        fail_msg("expected %d, got %s%s", status, answer.head, answer.body);
    }
    http_answer_free(&answer);
}

void http_answer_free(struct http_answer *answer)
{
    free(answer->body);
    answer->body = NULL;
}

bool http_is_closed(int fd)
{
    char byte;
    return receive_some(fd, &byte, 1) == 0;
}

void http_call(const char *url, const char *method, const char *target, const char *headers, const char *body,
               struct http_answer *answer)
{
    int fd = http_connect(url, NULL);
    char length[64] = "";
    if (body != NULL) {
        snprintf(length, sizeof(length), "Content-Length: %zu\r\n", strlen(body));
    }
    char *text = NULL;
    assert_true(asprintf(&text, "%s %s HTTP/1.1\r\nHost: test\r\n%s%s\r\n%s", method, target, headers, length,
                         body != NULL ? body : "") > 0);
    http_send(fd, text);
    http_receive(fd, answer);
    free(text);
    close(fd);
}

const char *http_header(const struct http_answer *answer, const char *name)
{
    static char value[HTTP_HEAD_SIZE];
    size_t length = strlen(name);
    for (const char *line = strstr(answer->head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) == 0 && line[length] == ':') {
            const char *start = line + length + 1 + strspn(line + length + 1, " ");
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(start, "\r"), start);
            return value;
        }
    }
    return NULL;
}

json_t *http_json(const struct http_answer *answer)
{
    json_error_t error;
    json_t *json = json_loadb(answer->body, answer->length, 0, &error);
    if (json == NULL) {
        fail_msg("not JSON (%s): %s\n%s", error.text, answer->head, answer->body);
    }
    return json;
}

json_t *http_take_json(struct http_answer *answer, int status)
{
    if (answer->status != status) {
        fail_msg("expected %d, got %s%s", status, answer->head, answer->body);
    }
    json_t *json = http_json(answer);
    http_answer_free(answer);
    return json;
}

const char *http_text_of(const json_t *json, const char *member)
{
    const char *text = json_string_value(json_object_get(json, member));
    assert_non_null(text);
    return text;
}

void http_expect(struct http_answer *answer, int status, const char *member, const char *text)
{
    json_t *json = http_json(answer);
    const char *value = json_string_value(json_object_get(json, member));
    if (answer->status != status || value == NULL || strstr(value, text) == NULL) {
        fail_msg("expected %d and %s with \"%s\", got %d and %s", status, member, text, answer->status,
                 answer->body);
    }
    json_decref(json);
    http_answer_free(answer);
}

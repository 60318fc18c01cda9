/*
 * One pass over the lines. Every rule is one that request smuggling has been built on (RFC 9112,
 * section 11.2): two lengths, two hosts, a length beside a transfer coding, names that one side trims and the
 * other does not, folded lines, bare line feeds, NUL. Stricter than the RFC where it leaves a choice.
 *
 * evhttp takes no body for HEAD, TRACE and methods that it does not know, and would read one as the next
 * request; so those must not announce any.
 */
#include "shim/head.h"

#include <string.h>
#include <strings.h>

#define METHOD_MAX 16
/* evhttp needs more than 100 bytes for each, however short it is. */
#define HEADERS_MAX 100
/* More digits than any body that is taken. */
#define LENGTH_DIGITS_MAX 15

struct span {
    const char *text;
    size_t length;
};

struct checker {
    size_t body_max;
    unsigned n_headers;
    unsigned n_hosts;
    unsigned n_lengths;
    unsigned n_codings;
    bool may_have_body;
    bool is_http_1_0;
    struct head head;
};

#define REFUSAL(http_code, status_code, message)                                                             \
    ({                                                                                                       \
        static const struct refusal why_ = {(http_code), (status_code), (message)};                          \
        &why_;                                                                                               \
    })
#define BAD(message) REFUSAL(400, STATUS_INVALID_ARGUMENT, message)

size_t head_length(const char *data, size_t length, size_t *scanned)
{
    size_t at = *scanned;
    while (at < length) {
        const char *feed = memchr(data + at, '\n', length - at);
        if (feed == NULL) {
            at = length;
            break;
        }
        size_t next = (size_t)(feed - data) + 1;
        if (next < length && data[next] == '\n') {
            return next + 1;
        }
        if (next + 1 < length && data[next] == '\r' && data[next + 1] == '\n') {
            return next + 2;
        }
        if (next + 1 >= length) {
            /* What follows the line feed has to be looked at once it is there. */
            at = next - 1;
            break;
        }
        at = next;
    }
    *scanned = at;
    return 0;
}

/* RFC 9110, section 5.6.2. */
static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static size_t token_length(struct span span)
{
    size_t n = 0;
    while (n < span.length && is_token_char(span.text[n])) {
        n++;
    }
    return n;
}

static bool span_is(struct span span, const char *text)
{
    return span.length == strlen(text) && strncasecmp(span.text, text, span.length) == 0;
}

/* Takes one line off, without its CRLF; false when it ends otherwise, or holds what no line may. */
static bool take_line(struct span *rest, struct span *ret_line)
{
    const char *feed = memchr(rest->text, '\n', rest->length);
    if (feed == NULL || feed == rest->text || feed[-1] != '\r') {
        return false;
    }
    struct span line = {rest->text, (size_t)(feed - rest->text) - 1};
    for (size_t i = 0; i < line.length; i++) {
        unsigned char c = (unsigned char)line.text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7F) {
            return false;
        }
    }
    rest->length -= line.length + 2;
    rest->text = feed + 1;
    *ret_line = line;
    return true;
}

static struct span trim(struct span span)
{
    while (span.length > 0 && (span.text[0] == ' ' || span.text[0] == '\t')) {
        span.text++;
        span.length--;
    }
    while (span.length > 0 && (span.text[span.length - 1] == ' ' || span.text[span.length - 1] == '\t')) {
        span.length--;
    }
    return span;
}

static bool method_may_have_body(struct span method)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (method.length == strlen(methods[i]) && memcmp(method.text, methods[i], method.length) == 0) {
            return true;
        }
    }
    return false;
}

static const struct refusal *check_request_line(struct checker *checker, struct span line)
{
    struct span method = {line.text, token_length(line)};
    if (method.length == 0 || method.length > METHOD_MAX || method.length == line.length ||
        line.text[method.length] != ' ') {
        return BAD("the request line does not begin with a method and one space");
    }
    checker->may_have_body = method_may_have_body(method);
    if (span_is(method, "CONNECT")) {
        return REFUSAL(501, STATUS_UNIMPLEMENTED, "this server is no proxy");
    }
    struct span target = {line.text + method.length + 1, line.length - method.length - 1};
    const char *space = memchr(target.text, ' ', target.length);
    if (space == NULL) {
        return BAD("the request line has no HTTP version");
    }
    struct span version = {space + 1, target.length - (size_t)(space - target.text) - 1};
    target.length = (size_t)(space - target.text);
    for (size_t i = 0; i < target.length; i++) {
        /* A fragment is the client's own; who passes one on may take it for part of the path. */
        if ((unsigned char)target.text[i] >= 0x7F || target.text[i] < 0x21 || target.text[i] == '#') {
            return BAD("the request target has a character that must be percent-encoded");
        }
    }
    /* evhttp would take what follows "//" for a host. */
    if (target.length == 0 || (target.length > 1 && memcmp(target.text, "//", 2) == 0)) {
        return BAD("the request target is not a path");
    }
    checker->is_http_1_0 = version.length == 8 && memcmp(version.text, "HTTP/1.0", 8) == 0;
    if (!checker->is_http_1_0 && (version.length != 8 || memcmp(version.text, "HTTP/1.1", 8) != 0)) {
        if (version.length > 5 && memcmp(version.text, "HTTP/", 5) == 0) {
            return REFUSAL(505, STATUS_UNIMPLEMENTED, "this server speaks HTTP/1.1");
        }
        return BAD("the request line does not end with an HTTP version");
    }
    return NULL;
}

static const struct refusal *check_content_length(struct checker *checker, struct span value)
{
    if (++checker->n_lengths > 1) {
        return BAD("Content-Length: given twice");
    }
    if (value.length == 0 || strspn(value.text, "0123456789") < value.length) {
        return BAD("Content-Length: not a number");
    }
    for (size_t i = 0; i < value.length && i <= LENGTH_DIGITS_MAX; i++) {
        checker->head.body_length = checker->head.body_length * 10 + (uint64_t)(value.text[i] - '0');
    }
    if (value.length > LENGTH_DIGITS_MAX || checker->head.body_length > checker->body_max) {
        return REFUSAL(413, STATUS_RESOURCE_EXHAUSTED, "the body is longer than this server takes");
    }
    return NULL;
}

static bool is_host(struct span value)
{
    for (size_t i = 0; i < value.length; i++) {
        if (!is_token_char(value.text[i]) && strchr(":[]", value.text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static const struct refusal *check_header(struct checker *checker, struct span line)
{
    if (++checker->n_headers > HEADERS_MAX) {
        return REFUSAL(431, STATUS_RESOURCE_EXHAUSTED, "the request has more headers than this server takes");
    }
    if (line.text[0] == ' ' || line.text[0] == '\t') {
        return BAD("a header is folded over two lines");
    }
    struct span name = {line.text, token_length(line)};
    if (name.length == 0 || name.length == line.length || line.text[name.length] != ':') {
        return BAD("a header's name is not followed by a colon at once");
    }
    struct span value = trim((struct span){line.text + name.length + 1, line.length - name.length - 1});
    if (span_is(name, "Content-Length")) {
        return check_content_length(checker, value);
    }
    if (span_is(name, "Host")) {
        if (++checker->n_hosts > 1) {
            return BAD("Host: given twice");
        }
        if (!is_host(value)) {
            return BAD("Host: not a host");
        }
    }
    if (span_is(name, "Transfer-Encoding")) {
        checker->head.is_chunked = true;
        if (++checker->n_codings > 1 || !span_is(value, "chunked")) {
            return BAD("Transfer-Encoding: only chunked is taken");
        }
    }
    return NULL;
}

static const struct refusal *check_whole(const struct checker *checker)
{
    if (checker->n_hosts == 0) {
        return BAD("Host: missing");
    }
    if (checker->head.is_chunked && checker->n_lengths > 0) {
        return BAD("Content-Length together with Transfer-Encoding");
    }
    if (checker->head.is_chunked && checker->is_http_1_0) {
        return BAD("Transfer-Encoding in a request of HTTP/1.0");
    }
    if (!checker->may_have_body && (checker->head.is_chunked || checker->head.body_length > 0)) {
        return BAD("a body with a method that has none");
    }
    return NULL;
}

const struct refusal *head_check(const char *data, size_t length, size_t body_max, struct head *ret_head)
{
    struct checker checker = {.body_max = body_max};
    struct span rest = {data, length};
    struct span line;
    bool is_first = true;
    for (;;) {
        if (!take_line(&rest, &line)) {
            return BAD("a line of the head does not end with CRLF, or has a control character");
        }
        if (line.length == 0 && !is_first) {
            break;
        }
        const struct refusal *why =
            is_first ? check_request_line(&checker, line) : check_header(&checker, line);
        if (why != NULL) {
            return why;
        }
        is_first = false;
    }
    const struct refusal *why = check_whole(&checker);
    if (why == NULL) {
        *ret_head = checker.head;
    }
    return why;
}

#include "shim/answer.h"

#include <string.h>
#include <strings.h>

#include "json/writer.h"
#include "shim/details.h"
#include "shim/http_status.h"
#include "shim/media_type.h"

#define RETRY_AFTER_S "1"

enum error_style answer_plain_style(const char *accept)
{
    return media_accepts_problem(accept) ? ERROR_PROBLEM : ERROR_PLAIN;
}

void answer_body(struct answer *answer, int http_status, const char *content_type, const char *body,
                 size_t length)
{
    answer->http_status = http_status;
    answer->content_type = content_type;
    answer->body = body;
    answer->length = length;
}

void answer_add_header(struct answer *answer, const char *name, const char *value)
{
    if (answer->n_headers < ANSWER_HEADERS_MAX && strpbrk(value, "\r\n") == NULL) {
        answer->headers[answer->n_headers++] = (struct rpc_header){.name = name, .value = value};
    }
}

static bool has_header(const struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->n_headers; i++) {
        if (strcasecmp(answer->headers[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void put(struct writer *writer, const char *key, const char *text)
{
    writer_key(writer, key, strlen(key));
    writer_string(writer, text, strlen(text));
}

static void put_problem(struct writer *writer, int http_status, const char *code, const char *text)
{
    char number[4] = {(char)('0' + http_status / 100), (char)('0' + http_status / 10 % 10),
                      (char)('0' + http_status % 10), 0};
    put(writer, "type", "about:blank");
    put(writer, "title", http_phrase(http_status));
    writer_key(writer, "status", 6);
    writer_raw(writer, number, 3);
    put(writer, "detail", text);
    put(writer, "code", code);
}

void answer_error(struct answer *answer, enum error_style style, int http_status, enum status status,
                  const char *text, struct arena *arena)
{
    static const char no_memory[] = "{\"error\":\"out of memory\",\"code\":\"resource_exhausted\"}";
    const char *code = connect_code_of(status);
    http_status = http_status != 0 ? http_status : http_status_of(status);
    struct writer writer;
    writer_init(&writer, arena, false);
    writer_open(&writer, '{');
    if (style == ERROR_PROBLEM) {
        put_problem(&writer, http_status, code, text);
    } else if (style == ERROR_CONNECT) {
        put(&writer, "code", code);
        put(&writer, "message", text);
        details_write(&writer, status, text);
    } else {
        put(&writer, "error", text);
        put(&writer, "code", code);
    }
    writer_close(&writer, '}');
    if (writer.status == STATUS_OK) {
        const char *type = style == ERROR_PROBLEM ? "application/problem+json" : "application/json";
        answer_body(answer, http_status, type, writer.text, writer.length);
    } else {
        answer_body(answer, http_status, "application/json", no_memory, sizeof(no_memory) - 1);
    }
    if ((http_status == 429 || http_status == 503) && !has_header(answer, "retry-after")) {
        answer_add_header(answer, "Retry-After", RETRY_AFTER_S);
    }
}

void answer_no_room(struct answer *answer)
{
    /* Which protocol is spoken is left open: `message` is what clients of Connect look for. */
    static const char text[] =
        "{\"error\":\"the server holds as much as it may; send the request again\",\"code\":\"unavailable\","
        "\"message\":\"the server holds as much as it may; send the request again\"}";
    *answer = (struct answer){.close = answer->close};
    answer_body(answer, 503, "application/json", text, sizeof(text) - 1);
    answer_add_header(answer, "Retry-After", RETRY_AFTER_S);
}

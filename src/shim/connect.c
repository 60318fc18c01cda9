#include "shim/connect.h"

#include <string.h>

#include "base/clock.h"
#include "json/base64.h"
#include "json/descriptor_table.h"
#include "json/json.h"
#include "shim/body.h"
#include "shim/media_type.h"

#define ACCEPT_POST "application/json, application/proto"
#define TIMEOUT_DIGITS_MAX 10

/* ---- calls ---- */

/* "-bin" headers are base64; that they are is all that can be said of them here. */
static bool check_binary_headers(struct exchange *exchange)
{
    struct rpc_call *call = &exchange->call;
    for (size_t i = 0; i < call->n_headers; i++) {
        const struct rpc_header *header = &call->headers[i];
        size_t name_length = strlen(header->name);
        size_t length = strlen(header->value);
        if (name_length <= 4 || strcmp(header->name + name_length - 4, "-bin") != 0) {
            continue;
        }
        uint8_t *data = arena_alloc(&call->arena, BASE64_DECODED_SIZE_MAX(length));
        if (data == NULL || base64_decode(header->value, length, data, &length) != STATUS_OK) {
            rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "%s: not base64", header->name);
            return false;
        }
    }
    return true;
}

static bool take_timeout(struct exchange *exchange, const char *text)
{
    struct rpc_call *call = &exchange->call;
    size_t length = strlen(text);
    if (length == 0 || length > TIMEOUT_DIGITS_MAX || strspn(text, "0123456789") != length) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "Connect-Timeout-Ms: expected at most %d digits",
                      TIMEOUT_DIGITS_MAX);
        return false;
    }
    int64_t timeout_ms = 0;
    for (size_t i = 0; i < length; i++) {
        timeout_ms = timeout_ms * 10 + (text[i] - '0');
    }
    call->deadline_us = call->start_us + timeout_ms * US_PER_MS;
    return true;
}

bool connect_take_headers(struct exchange *exchange, const struct request *request)
{
    struct rpc_call *call = &exchange->call;
    const char *version = request_header(request, "Connect-Protocol-Version");
    const char *timeout = request_header(request, "Connect-Timeout-Ms");
    if (version != NULL && strcmp(version, "1") != 0) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "Connect-Protocol-Version: expected 1");
        return false;
    }
    return check_binary_headers(exchange) && (timeout == NULL || take_timeout(exchange, timeout));
}

void connect_invoke_json(struct exchange *exchange, struct rpc_method *method, const char *text,
                         size_t length)
{
    ProtobufCMessage *message = NULL;
    struct diag diag;
    enum status status = exchange_parse(exchange, method, (struct json_text){text, length}, &message, &diag);
    if (status != STATUS_OK) {
        rpc_call_fail(&exchange->call, status, "%s", diag.text);
        return;
    }
    exchange_invoke(exchange, method, message);
}

void connect_invoke_proto(struct exchange *exchange, struct rpc_method *method, const void *data,
                          size_t length)
{
    rpc_router_dispatch(method, &exchange->call, data, length);
}

enum status connect_render_json(struct exchange *exchange, const struct rpc_response *response)
{
    const ProtobufCMessage *message = rpc_response_message(response, &exchange->call);
    if (message == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    struct json_text text;
    enum status status = json_print(message, NULL, &exchange->answer_arena, &text);
    if (status == STATUS_OK) {
        answer_body(&exchange->answer, 200, "application/json", text.data, text.length);
    }
    return status;
}

enum status connect_render_proto(struct exchange *exchange, const struct rpc_response *response)
{
    uint8_t *packed = arena_alloc(&exchange->answer_arena, response->size);
    if (packed == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    rpc_response_pack(response, packed);
    answer_body(&exchange->answer, 200, "application/proto", (const char *)packed, response->size);
    return STATUS_OK;
}

static void begin_json(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct json_text body;
    if (connect_take_headers(exchange, request) && body_take(exchange, request, &body)) {
        connect_invoke_json(exchange, method, body.data, body.length);
    }
}

static void begin_proto(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct json_text body;
    if (connect_take_headers(exchange, request) && body_take(exchange, request, &body)) {
        connect_invoke_proto(exchange, method, body.data, body.length);
    }
}

static const struct exchange_kind json_post = {
    .begin = begin_json, .render = connect_render_json, .style = ERROR_CONNECT};
static const struct exchange_kind proto_post = {
    .begin = begin_proto, .render = connect_render_proto, .style = ERROR_CONNECT};

/* ---- plan ---- */

static void refuse(struct plan *plan, int http_status, enum status status, const char *text,
                   struct arena *arena)
{
    answer_error(&plan->answer, ERROR_CONNECT, http_status, status, text, arena);
}

/* "/package.Service/Method", though there is none of that name. */
static bool looks_like_method(const char *path)
{
    const char *slash = path[0] == '/' ? strchr(path + 1, '/') : NULL;
    const char *dot = path[0] == '/' ? strchr(path + 1, '.') : NULL;
    return slash != NULL && dot != NULL && dot < slash && slash[1] != 0 && strchr(slash + 1, '/') == NULL;
}

static const struct exchange_kind *post_kind(const struct request *request)
{
    switch (media_type_of(request_header(request, "Content-Type"))) {
    case MEDIA_JSON:
        return &json_post;
    case MEDIA_PROTO:
        return &proto_post;
    default:
        return NULL;
    }
}

bool connect_plan(const struct edge *edge, const struct request *request, struct arena *arena,
                  struct plan *plan)
{
    struct rpc_method *method = rpc_router_find(edge->router, request->path, strlen(request->path));
    if (method == NULL) {
        if (looks_like_method(request->path)) {
            refuse(plan, 404, STATUS_UNIMPLEMENTED, "there is no such method", arena);
            return true;
        }
        return false;
    }
    bool is_read = descriptor_table_idempotency(method->service->name, method->descriptor->name) ==
                   DESCRIPTOR_NO_SIDE_EFFECTS;
    bool is_get = is_read && request->method == HTTP_GET;
    if (request->method != HTTP_POST && !is_get) {
        answer_add_header(&plan->answer, "Allow", is_read ? "GET, POST" : "POST");
        refuse(plan, 405, STATUS_UNIMPLEMENTED, "this method is not called in this way", arena);
        return true;
    }
    const struct exchange_kind *kind = is_get ? connect_get_kind(request, arena) : post_kind(request);
    if (kind == NULL || (is_get && request->body_length > 0)) {
        answer_add_header(&plan->answer, "Accept-Post", ACCEPT_POST);
        refuse(plan, 415, STATUS_INVALID_ARGUMENT,
               is_get ? "expected encoding=json or encoding=proto in the query, and no body"
                      : "Content-Type: expected application/json or application/proto",
               arena);
        return true;
    }
    plan->kind = kind;
    plan->method = method;
    plan->is_read = is_read;
    return true;
}

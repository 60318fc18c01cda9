#include "shim/exchange.h"

#include <event2/keyvalq_struct.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void finish(struct rpc_call *call, const struct rpc_response *response);

static const struct rpc_transport transport = {.finish = finish};

void exchange_init(struct exchange *exchange, void *loop, void (*done)(struct exchange *exchange))
{
    *exchange = (struct exchange){.loop = loop, .done = done};
    exchange->call.transport = &transport;
    arena_init(&exchange->call.arena, exchange->first, sizeof(exchange->first), RPC_ARENA_MAX);
    arena_init(&exchange->answer_arena, exchange->answer_first, sizeof(exchange->answer_first),
               EXCHANGE_ANSWER_MAX);
}

void exchange_reset(struct exchange *exchange)
{
    arena_reset(&exchange->call.arena);
    arena_reset(&exchange->answer_arena);
    exchange->peer = NULL;
    exchange->evhttp = NULL;
}

static const char *lower_case(struct arena *arena, const char *name)
{
    char *copy = arena_copy(arena, name, strlen(name));
    for (char *c = copy; c != NULL && *c != 0; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
    }
    return copy;
}

static const char *header_value(struct exchange *exchange, const char *name, const char *value)
{
    return strcmp(name, "traceparent") == 0 ? exchange->traceparent
                                            : arena_copy(&exchange->call.arena, value, strlen(value));
}

/* Copies: handlers on other threads read them, and the connection may end before. */
static bool take_headers(struct exchange *exchange, const struct request *request)
{
    struct arena *arena = &exchange->call.arena;
    const struct evkeyvalq *queue = evhttp_request_get_input_headers(request->evhttp);
    size_t n = 0;
    const struct evkeyval *item;
    TAILQ_FOREACH(item, queue, next)
    {
        n++;
    }
    struct rpc_header *headers = arena_alloc(arena, n * sizeof(*headers));
    if (headers == NULL) {
        return false;
    }
    size_t i = 0;
    TAILQ_FOREACH(item, queue, next)
    {
        headers[i].name = lower_case(arena, item->key);
        if (headers[i].name != NULL) {
            headers[i].value = header_value(exchange, headers[i].name, item->value);
        }
        if (headers[i].name == NULL || headers[i].value == NULL) {
            return false;
        }
        i++;
    }
    exchange->call.headers = headers;
    exchange->call.n_headers = n;
    return true;
}

static enum error_style style_of(const struct exchange_kind *kind, const struct request *request)
{
    return kind->style == ERROR_PLAIN ? answer_plain_style(request_header(request, "Accept")) : kind->style;
}

void exchange_begin(struct exchange *exchange, const struct exchange_kind *kind, struct rpc_method *method,
                    const struct request *request, const char *tenant, struct trace_ids *ids)
{
    struct rpc_call *call = &exchange->call;
    call->method = method;
    call->request = NULL;
    call->n_headers = 0;
    call->n_trailers = 0;
    call->n_left_out = 0;
    call->start_us = monotonic_us();
    call->deadline_us = 0;
    call->identity.tenant = tenant;
    exchange->kind = kind;
    exchange->style = style_of(kind, request);
    exchange->peer = request->peer;
    exchange->evhttp = request->evhttp;
    exchange->answer = (struct answer){0};
    exchange->http_status = 0;
    exchange->wish = coding_wish_of_request(request);
    trace_continue(ids, request_header(request, "traceparent"), exchange->traceparent);
    if (!take_headers(exchange, request)) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED, "headers: need more memory than a call may use");
        return;
    }
    kind->begin(exchange, request, method);
}

void exchange_fail(struct exchange *exchange, int http_status, enum status status, const char *text)
{
    exchange->http_status = http_status;
    rpc_call_fail(&exchange->call, status, "%s", text);
}

enum status exchange_parse(struct exchange *exchange, const struct rpc_method *method, struct json_text text,
                           ProtobufCMessage **ret_request, struct diag *diag)
{
    struct rpc_call *call = &exchange->call;
    /* Each value is at least one element when packed. */
    struct json_optional optional = {.fields = method->limits.optional,
                                     .values_max = method->limits.elements_max};
    enum status status = json_parse(method->descriptor->input, text.data, text.length,
                                    optional.fields != 0 ? &optional : NULL, &call->arena, ret_request, diag);
    for (size_t i = 0; status == STATUS_OK && i < optional.n_left_out; i++) {
        rpc_call_add_left_out(call, optional.left_out[i]);
    }
    return status;
}

static enum status scan(struct exchange *exchange, const struct rpc_method *method, ProtobufCMessage *request,
                        struct diag *diag)
{
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = arena_alloc(&exchange->answer_arena, size);
    if (packed == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "needs more memory than a call may use");
    }
    protobuf_c_message_pack(request, packed);
    enum status status = rpc_router_scan(method, &exchange->call, request, packed, size, diag);
    /* The answer needs the room. */
    arena_reset(&exchange->answer_arena);
    return status;
}

void exchange_invoke(struct exchange *exchange, struct rpc_method *method, ProtobufCMessage *request)
{
    struct rpc_call *call = &exchange->call;
    struct diag diag;
    if (method->read_only && rpc_call_expired(call)) {
        rpc_call_fail(call, STATUS_DEADLINE_EXCEEDED, "the deadline was past before the call began");
        return;
    }
    enum status status = scan(exchange, method, request, &diag);
    if (status != STATUS_OK) {
        rpc_call_fail(call, status, "%s", diag.text);
        return;
    }
    rpc_router_invoke(method, call, request);
}

/* Trailers go out as Trailer-*; what says when to come again also as itself. */
static void add_trailers(struct exchange *exchange)
{
    const struct rpc_call *call = &exchange->call;
    for (size_t i = 0; i < call->n_trailers; i++) {
        const struct rpc_header *trailer = &call->trailers[i];
        const char *value = arena_copy(&exchange->answer_arena, trailer->value, strlen(trailer->value));
        if (exchange->style == ERROR_CONNECT) {
            const char *name = arena_printf(&exchange->answer_arena, "Trailer-%s", trailer->name);
            if (name != NULL && value != NULL) {
                answer_add_header(&exchange->answer, name, value);
            }
        }
        if (value != NULL && strcmp(trailer->name, "retry-after") == 0) {
            answer_add_header(&exchange->answer, "Retry-After", value);
        }
    }
}

/* There is no memory for the answer to what has been done. */
static enum status render_done(struct exchange *exchange, const struct rpc_response *response,
                               const char **ret_message)
{
    arena_reset(&exchange->answer_arena);
    exchange->answer = (struct answer){0};
    log_warn("no memory for the answer to a call that was carried out",
             log_str("method", exchange->call.method->path));
    if (exchange->kind->render_short != NULL &&
        exchange->kind->render_short(exchange, response) == STATUS_OK) {
        return STATUS_OK;
    }
    *ret_message = "this was done, but there is no memory for the answer; send it again, with the same id or "
                   "Idempotency-Key where it has one";
    return STATUS_UNAVAILABLE;
}

static enum status render(struct exchange *exchange, const struct rpc_response *response,
                          const char **ret_message)
{
    enum status status = exchange->kind->render(exchange, response);
    if (status == STATUS_RESOURCE_EXHAUSTED && !exchange->call.method->read_only) {
        return render_done(exchange, response, ret_message);
    }
    switch (status) {
    case STATUS_RESOURCE_EXHAUSTED:
        *ret_message = "the answer needs more memory than there is for one; ask for less at once";
        break;
    case STATUS_INTERNAL:
        *ret_message = "the panic service answered without a panic";
        break;
    default:
        *ret_message = "the answer cannot be written as JSON; ask for application/proto";
        break;
    }
    return status == STATUS_INVALID_ARGUMENT ? STATUS_INTERNAL : status;
}

static void finish(struct rpc_call *call, const struct rpc_response *response)
{
    struct exchange *exchange = (struct exchange *)call;
    enum status status = call->status;
    const char *message = call->message;
    if (response != NULL) {
        status = render(exchange, response, &message);
    }
    add_trailers(exchange);
    if (status != STATUS_OK) {
        answer_error(&exchange->answer, exchange->style, exchange->http_status, status, message,
                     &exchange->answer_arena);
    }
    coding_pack_answer(&exchange->answer, exchange->wish, &exchange->answer_arena);
    exchange->done(exchange);
}

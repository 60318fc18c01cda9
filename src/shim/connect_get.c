/*
 * Calls with GET: the message stands in the query, so that caches between may answer. `message` and
 * `encoding` are needed, `base64`, `compression` and `connect` are known, all others passed over.
 */
#include <string.h>

#include "json/base64.h"
#include "shim/body.h"
#include "shim/connect.h"
#include "shim/query.h"

/* The parameter, or "" when there is none and it need not be; false when the call was failed. */
static bool take(struct exchange *exchange, const struct request *request, const char *name, bool is_needed,
                 struct json_text *ret_value)
{
    struct rpc_call *call = &exchange->call;
    enum status status = query_find(request->query, name, &call->arena, ret_value);
    if (status == STATUS_OK) {
        return true;
    }
    if (status == STATUS_NOT_FOUND && !is_needed) {
        *ret_value = (struct json_text){"", 0};
        return true;
    }
    if (status == STATUS_NOT_FOUND) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "%s: missing in the query", name);
    } else {
        rpc_call_fail(call, status, "%s: not percent-encoded as it should be", name);
    }
    return false;
}

static bool is_text(struct json_text text, const char *expected)
{
    return text.length == strlen(expected) && memcmp(text.data, expected, text.length) == 0;
}

/* What the query says about the message; false when the call was failed. */
static bool check_parameters(struct exchange *exchange, const struct request *request, bool *ret_is_base64,
                             enum coding *ret_coding)
{
    struct json_text version;
    struct json_text compression;
    struct json_text base64;
    if (!take(exchange, request, "connect", false, &version) ||
        !take(exchange, request, "compression", false, &compression) ||
        !take(exchange, request, "base64", false, &base64)) {
        return false;
    }
    if (version.length > 0 && !is_text(version, "v1")) {
        rpc_call_fail(&exchange->call, STATUS_INVALID_ARGUMENT, "connect: expected v1");
        return false;
    }
    if (base64.length > 0 && !is_text(base64, "1") && !is_text(base64, "0")) {
        rpc_call_fail(&exchange->call, STATUS_INVALID_ARGUMENT, "base64: expected 1");
        return false;
    }
    *ret_is_base64 = is_text(base64, "1");
    *ret_coding = coding_of(compression.length > 0 ? compression.data : NULL);
    return true;
}

static bool take_message(struct exchange *exchange, const struct request *request,
                         struct json_text *ret_message)
{
    bool is_base64;
    enum coding coding;
    struct json_text text;
    if (!connect_take_headers(exchange, request) ||
        !check_parameters(exchange, request, &is_base64, &coding) ||
        !take(exchange, request, "message", true, &text)) {
        return false;
    }
    if (!is_base64) {
        return body_unpack(exchange, "compression", coding, text, ret_message);
    }
    uint8_t *data = arena_alloc(&exchange->call.arena, BASE64_DECODED_SIZE_MAX(text.length));
    size_t length;
    if (data == NULL || base64_decode(text.data, text.length, data, &length) != STATUS_OK) {
        rpc_call_fail(&exchange->call, STATUS_INVALID_ARGUMENT, "message: not base64");
        return false;
    }
    text = (struct json_text){(const char *)data, length};
    return body_unpack(exchange, "compression", coding, text, ret_message);
}

static void begin_json(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct json_text message;
    if (take_message(exchange, request, &message)) {
        connect_invoke_json(exchange, method, message.data, message.length);
    }
}

static void begin_proto(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct json_text message;
    if (take_message(exchange, request, &message)) {
        connect_invoke_proto(exchange, method, message.data, message.length);
    }
}

/* `encoding` is needed, and the one thing that has to be known before the call begins; then it fails the
 * call. */
static void begin_nothing(struct exchange *exchange, const struct request *request, struct rpc_method *method)
{
    struct json_text encoding;
    (void)method;
    if (take(exchange, request, "encoding", true, &encoding)) {
        rpc_call_fail(&exchange->call, STATUS_INVALID_ARGUMENT, "encoding: expected json or proto");
    }
}

static const struct exchange_kind json_get = {
    .begin = begin_json, .render = connect_render_json, .style = ERROR_CONNECT};
static const struct exchange_kind proto_get = {
    .begin = begin_proto, .render = connect_render_proto, .style = ERROR_CONNECT};
static const struct exchange_kind no_encoding = {
    .begin = begin_nothing, .render = connect_render_json, .style = ERROR_CONNECT};

const struct exchange_kind *connect_get_kind(const struct request *request, struct arena *arena)
{
    struct json_text encoding;
    if (query_find(request->query, "encoding", arena, &encoding) != STATUS_OK) {
        return &no_encoding;
    }
    return is_text(encoding, "json") ? &json_get : is_text(encoding, "proto") ? &proto_get : NULL;
}

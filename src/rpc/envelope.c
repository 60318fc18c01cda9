/*
 * Envelopes are written by hand, straight into a message of the right size: protobuf-c would want the
 * payload as bytes of its own first, which is one more copy and allocation for each call. Default values are
 * left out, as proto3 has it.
 */
#include "rpc/envelope.h"

#include <assert.h>
#include <string.h>

#include "rpc/encode.h"

/* Fields of rpc/v1/rpc.proto. */
enum { REQUEST_METHOD = 1, REQUEST_PAYLOAD = 2, REQUEST_TIMEOUT_MS = 3 };
enum { RESPONSE_CODE = 1, RESPONSE_MESSAGE = 2, RESPONSE_PAYLOAD = 3, RESPONSE_TRAILERS = 4 };
enum { HEADER_NAME = 1, HEADER_VALUE = 2 };

static size_t bytes_size(size_t length)
{
    return length > 0 ? encode_head_size(length) + length : 0;
}

/* Only the head: the content of `length` bytes is to follow. */
static uint8_t *put_head(uint8_t *at, unsigned field, size_t length)
{
    return length > 0 ? encode_head(at, field, length) : at;
}

static uint8_t *put_raw(uint8_t *at, const char *text, size_t length)
{
    memcpy(at, text, length);
    return at + length;
}

static uint8_t *put_text(uint8_t *at, unsigned field, const char *text)
{
    size_t length = strlen(text);
    return put_raw(put_head(at, field, length), text, length);
}

static size_t header_size(const struct rpc_header *header)
{
    return bytes_size(strlen(header->name)) + bytes_size(strlen(header->value));
}

nng_msg *envelope_request(const char *service, const char *method, const ProtobufCMessage *request,
                          uint32_t timeout_ms)
{
    size_t path_length = strlen(service) + strlen(method) + 2;
    size_t payload_length = protobuf_c_message_get_packed_size(request);
    size_t length = bytes_size(path_length) + bytes_size(payload_length) + encode_number_size(timeout_ms);
    nng_msg *msg;
    if (nng_msg_alloc(&msg, length) != 0) {
        return NULL;
    }
    uint8_t *at = nng_msg_body(msg);
    at = put_head(at, REQUEST_METHOD, path_length);
    *at++ = '/';
    at = put_raw(at, service, strlen(service));
    *at++ = '/';
    at = put_raw(at, method, strlen(method));
    at = put_head(at, REQUEST_PAYLOAD, payload_length);
    at += protobuf_c_message_pack(request, at);
    at = encode_number(at, REQUEST_TIMEOUT_MS, timeout_ms);
    assert(at == (uint8_t *)nng_msg_body(msg) + length);
    return msg;
}

bool envelope_take_headers(const Rpc__V1__Request *request, struct rpc_call *call)
{
    struct rpc_header *headers = arena_alloc(&call->arena, request->n_headers * sizeof(*headers));
    if (headers == NULL) {
        return false;
    }
    for (size_t i = 0; i < request->n_headers; i++) {
        headers[i] = (struct rpc_header){request->headers[i]->name, request->headers[i]->value};
    }
    call->headers = headers;
    call->n_headers = request->n_headers;
    return true;
}

nng_msg *envelope_response(const struct rpc_call *call, const struct rpc_response *response)
{
    size_t payload_length = response != NULL ? response->size : 0;
    size_t length = encode_number_size((uint32_t)call->status) + bytes_size(strlen(call->message)) +
                    bytes_size(payload_length);
    for (size_t i = 0; i < call->n_trailers; i++) {
        size_t size = header_size(&call->trailers[i]);
        length += encode_head_size(size) + size;
    }
    nng_msg *msg;
    if (nng_msg_alloc(&msg, length) != 0) {
        return NULL;
    }
    uint8_t *at = nng_msg_body(msg);
    at = encode_number(at, RESPONSE_CODE, (uint32_t)call->status);
    at = put_text(at, RESPONSE_MESSAGE, call->message);
    at = put_head(at, RESPONSE_PAYLOAD, payload_length);
    if (payload_length > 0) {
        rpc_response_pack(response, at);
        at += payload_length;
    }
    for (size_t i = 0; i < call->n_trailers; i++) {
        at = encode_head(at, RESPONSE_TRAILERS, header_size(&call->trailers[i]));
        at = put_text(at, HEADER_NAME, call->trailers[i].name);
        at = put_text(at, HEADER_VALUE, call->trailers[i].value);
    }
    assert(at == (uint8_t *)nng_msg_body(msg) + length);
    return msg;
}

#include "rpc/call.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "rpc/alloc.h"
#include "rpc/router.h"
#include "base/utf8.h"

#define MESSAGE_MAX 512

const char *rpc_call_header(const struct rpc_call *call, const char *name)
{
    for (size_t i = 0; i < call->n_headers; i++) {
        if (strcmp(call->headers[i].name, name) == 0) {
            return call->headers[i].value;
        }
    }
    return NULL;
}

void rpc_call_add_trailer(struct rpc_call *call, const char *name, const char *value)
{
    if (call->n_trailers < RPC_TRAILERS_MAX) {
        call->trailers[call->n_trailers++] = (struct rpc_header){.name = name, .value = value};
    }
}

unsigned rpc_calls_under_way(const struct rpc_call *call)
{
    return call->transport->under_way != NULL ? call->transport->under_way(call) : 0;
}

void rpc_call_add_left_out(struct rpc_call *call, const char *text)
{
    assert(call->n_left_out < RPC_LEFT_OUT_MAX);
    call->left_out[call->n_left_out++] = text;
}

bool rpc_call_expired(const struct rpc_call *call)
{
    return call->deadline_us != 0 && monotonic_us() >= call->deadline_us;
}

static void finish(struct rpc_call *call, enum status status, const char *message,
                   const struct rpc_response *response)
{
    call->status = status;
    call->message = message;
    if (call->method != NULL) {
        counter_add(&call->method->finished[status], 1);
        int64_t took_us = monotonic_us() - call->start_us;
        histogram_record(&call->method->latency_us, took_us > 0 ? (uint64_t)took_us : 0);
    }
    call->transport->finish(call, response);
}

static void reply(struct rpc_call *call, const struct rpc_response *response)
{
    if (response->size > RPC_RESPONSE_MAX) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED,
                      "the answer is %zu bytes long and at most %d are sent; ask for less at once",
                      response->size, RPC_RESPONSE_MAX);
        return;
    }
    finish(call, STATUS_OK, "", response);
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *response)
{
    assert(call->method == NULL || response->descriptor == call->method->descriptor->output);
    reply(call,
          &(struct rpc_response){.message = response, .size = protobuf_c_message_get_packed_size(response)});
}

void rpc_call_reply_packed(struct rpc_call *call, const uint8_t *packed, size_t size)
{
    reply(call, &(struct rpc_response){.packed = packed, .size = size});
}

void rpc_response_pack(const struct rpc_response *response, uint8_t *at)
{
    if (response->packed != NULL) {
        memcpy(at, response->packed, response->size);
    } else {
        protobuf_c_message_pack(response->message, at);
    }
}

const ProtobufCMessage *rpc_response_message(const struct rpc_response *response, struct rpc_call *call)
{
    if (response->message != NULL) {
        return response->message;
    }
    ProtobufCAllocator allocator = rpc_arena_allocator(&call->arena);
    return protobuf_c_message_unpack(call->method->descriptor->output, &allocator, response->size,
                                     response->packed);
}

/* The text goes out as a protobuf string, and may quote what came in or have been cut inside a character. */
static void make_utf8(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = utf8_sequence(text, left);
        if (length == 0) {
            *text = '?';
            length = 1;
        }
        text += length;
        left -= length;
    }
}

void rpc_call_fail(struct rpc_call *call, enum status status, const char *format, ...)
{
    assert(status > STATUS_OK && (int)status < STATUS_COUNT);
    char text[MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    make_utf8(text);
    const char *message = arena_copy(&call->arena, text, strlen(text));
    finish(call, status, message != NULL ? message : "", NULL);
}

#include "support/local_call.h"

#include "harness/test.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATIENCE_S 30

struct local_call {
    /* First, so that the transport finds the rest. */
    struct rpc_call call;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under `lock`. */
    unsigned answers;
    bool stalled;
    bool left;
    /* Set before `answers` is. */
    enum status status;
    char *message;
    ProtobufCMessage *response;
    char *trailers[2 * RPC_TRAILERS_MAX];
};

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    assert(copy != NULL);
    return copy;
}

/* What the handler has given lives in the arena: all of it is copied before that goes. */
static ProtobufCMessage *copy_response(const struct rpc_call *call, const struct rpc_response *response)
{
    uint8_t *packed = malloc(response->size + 1);
    assert(packed != NULL);
    rpc_response_pack(response, packed);
    ProtobufCMessage *copy =
        protobuf_c_message_unpack(call->method->descriptor->output, NULL, response->size, packed);
    free(packed);
    assert(copy != NULL);
    return copy;
}

static void finish(struct rpc_call *rpc_call, const struct rpc_response *response)
{
    struct local_call *call = (struct local_call *)rpc_call;
    pthread_mutex_lock(&call->lock);
    assert(call->answers == 0);
    call->status = rpc_call->status;
    call->message = copy_text(rpc_call->message);
    call->response = response != NULL ? copy_response(rpc_call, response) : NULL;
    for (size_t i = 0; i < rpc_call->n_trailers; i++) {
        call->trailers[2 * i] = copy_text(rpc_call->trailers[i].name);
        call->trailers[2 * i + 1] = copy_text(rpc_call->trailers[i].value);
    }
    arena_reset(&rpc_call->arena);
    call->answers++;
    pthread_cond_broadcast(&call->changed);
    while (call->stalled) {
        pthread_cond_wait(&call->changed, &call->lock);
    }
    call->left = true;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

struct local_call *local_call_start_raw(const struct rpc_router *router, const char *tenant, const char *path,
                                        const uint8_t *payload, size_t length, size_t arena_max,
                                        int64_t deadline_us)
{
    static const struct rpc_transport transport = {.finish = finish};
    struct rpc_method *method = rpc_router_find(router, path, strlen(path));
    struct local_call *call = calloc(1, sizeof(*call));
    assert(method != NULL && call != NULL);
    pthread_mutex_init(&call->lock, NULL);
    pthread_cond_init(&call->changed, NULL);
    call->call = (struct rpc_call){
        .transport = &transport, .identity = {.tenant = tenant}, .start_us = 1, .deadline_us = deadline_us};
    arena_init(&call->call.arena, NULL, 0, arena_max);
    rpc_router_dispatch(method, &call->call, payload, length);
    return call;
}

struct local_call *local_call_start(const struct rpc_router *router, const char *tenant, const char *path,
                                    const ProtobufCMessage *request)
{
    size_t size = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = malloc(size + 1);
    assert(packed != NULL);
    protobuf_c_message_pack(request, packed);
    struct local_call *call = local_call_start_raw(router, tenant, path, packed, size, RPC_ARENA_MAX, 0);
    free(packed);
    return call;
}

static void set_stalled(struct local_call *call, bool stalled)
{
    pthread_mutex_lock(&call->lock);
    call->stalled = stalled;
    pthread_cond_broadcast(&call->changed);
    pthread_mutex_unlock(&call->lock);
}

void local_call_stall(struct local_call *call)
{
    set_stalled(call, true);
}

void local_call_let_go(struct local_call *call)
{
    set_stalled(call, false);
}

bool local_call_is_answered(struct local_call *call)
{
    pthread_mutex_lock(&call->lock);
    bool answered = call->answers > 0;
    pthread_mutex_unlock(&call->lock);
    return answered;
}

bool local_call_await(struct local_call *call, enum status *ret_status)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    int waited = 0;
    pthread_mutex_lock(&call->lock);
    while (call->answers == 0 && waited == 0) {
        waited = pthread_cond_timedwait(&call->changed, &call->lock, &end);
    }
    bool answered = call->answers > 0;
    pthread_mutex_unlock(&call->lock);
    if (answered) {
        *ret_status = call->status;
    }
    return answered;
}

enum status local_call_wait(struct local_call *call)
{
    enum status status = STATUS_UNKNOWN;
    assert_true(local_call_await(call, &status));
    return status;
}

const ProtobufCMessage *local_call_response(const struct local_call *call)
{
    return call->response;
}

const char *local_call_message(const struct local_call *call)
{
    return call->message;
}

const char *local_call_trailer(const struct local_call *call, const char *name)
{
    for (size_t i = 0; i < RPC_TRAILERS_MAX && call->trailers[2 * i] != NULL; i++) {
        if (strcmp(call->trailers[2 * i], name) == 0) {
            return call->trailers[2 * i + 1];
        }
    }
    return NULL;
}

void local_call_free(struct local_call *call)
{
    pthread_mutex_lock(&call->lock);
    assert(call->answers == 1);
    while (!call->left) {
        pthread_cond_wait(&call->changed, &call->lock);
    }
    pthread_mutex_unlock(&call->lock);
    if (call->response != NULL) {
        protobuf_c_message_free_unpacked(call->response, NULL);
    }
    free(call->message);
    for (size_t i = 0; i < 2 * RPC_TRAILERS_MAX; i++) {
        free(call->trailers[i]);
    }
    pthread_cond_destroy(&call->changed);
    pthread_mutex_destroy(&call->lock);
    free(call);
}

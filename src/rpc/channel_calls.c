/*
 * Three kinds of callers wait for an answer: rpc_done, a stub's closure, and a thread in
 * rpc_channel_call_wait. Each is a struct completion, whose function takes over the answer as it came: the
 * first two read it at once, with an arena on the stack; the third leaves that to the waiting thread, which
 * has an arena of its caller's to put it in.
 *
 * The answer is scanned like a request. A server is trusted more than a stranger, so the limits are wider,
 * but not to the point of letting it overrun the stack or eat all memory.
 */
#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>

#include "base/clock.h"
#include "rpc/alloc.h"
#include "rpc/channel_private.h"
#include "rpc/v1/rpc.pb-c.h"

#define BACKOFF_MIN_US (20 * US_PER_MS)
#define BACKOFF_MAX_US US_PER_S
/* Memory for one answer, unpacked. */
#define ANSWER_ARENA_MAX (64 * 1024 * 1024)
#define FIRST_BLOCK 4096

static const struct scan_limits answer_limits = {.depth_max = 32, .elements_max = 1000000};

struct stub_service {
    ProtobufCService base;
    struct rpc_channel *channel;
    int64_t timeout_us;
    struct stub_service *next;
};

static _Thread_local const struct rpc_result *last_error;

static const ProtobufCMethodDescriptor *find_method(const ProtobufCServiceDescriptor *service,
                                                    const char *name)
{
    const ProtobufCMethodDescriptor *method = protobuf_c_service_descriptor_get_method_by_name(service, name);
    assert(method != NULL);
    return method;
}

/* Rounded up: 0 is no limit. */
static uint32_t whole_ms(int64_t timeout_us)
{
    int64_t ms = (timeout_us + US_PER_MS - 1) / US_PER_MS;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static struct rpc_outgoing outgoing_of(const ProtobufCServiceDescriptor *service,
                                       const ProtobufCMethodDescriptor *method,
                                       const ProtobufCMessage *request, int64_t timeout_us)
{
    return (struct rpc_outgoing){.service = service,
                                 .method = method,
                                 .request = request,
                                 .timeout_us = timeout_us,
                                 .told_ms = whole_ms(timeout_us)};
}

static void take_trailers(const Rpc__V1__Response *envelope, struct rpc_result *result)
{
    for (size_t i = 0; i < envelope->n_trailers && i < RPC_TRAILERS_MAX; i++) {
        const Rpc__V1__Header *trailer = envelope->trailers[i];
        result->trailers[result->n_trailers++] = (struct rpc_header){trailer->name, trailer->value};
    }
}

/*
 * Reads an outcome to the end. The envelope goes into `scratch`, the response into `arena`; result->message
 * is in the outcome, in `scratch` or static.
 */
static struct rpc_result read_outcome(struct outcome *outcome, const ProtobufCMessageDescriptor *output,
                                      struct arena *scratch, struct arena *arena)
{
    if (outcome->status != STATUS_OK) {
        return (struct rpc_result){.status = outcome->status, .message = outcome->text};
    }
    struct diag diag;
    const ProtobufCMessage *message = NULL;
    enum status status =
        rpc_unpack(&rpc__v1__response__descriptor, nng_msg_body(outcome->msg), nng_msg_len(outcome->msg),
                   &answer_limits, scratch, &message, NULL, &diag);
    nng_msg_free(outcome->msg);
    outcome->msg = NULL;
    const Rpc__V1__Response *envelope = (const Rpc__V1__Response *)message;
    struct rpc_result result = {.message = "", .is_answer = true};
    if (status == STATUS_OK) {
        take_trailers(envelope, &result);
    }
    if (status == STATUS_OK && envelope->code != 0) {
        result.status = status_from_code(envelope->code);
        result.message = envelope->message;
        return result;
    }
    if (status == STATUS_OK) {
        status = rpc_unpack(output, envelope->payload.data, envelope->payload.len, &answer_limits, arena,
                            &message, NULL, &diag);
    }
    if (status != STATUS_OK) {
        snprintf(outcome->text, sizeof(outcome->text), "the server's answer cannot be read: %.180s",
                 diag.text);
        return (struct rpc_result){.status = STATUS_INTERNAL, .message = outcome->text};
    }
    result.response = message;
    return result;
}

/* Behind rpc_done and closures, on a thread of nng's. */
static void deliver(const struct completion *completion, struct outcome *outcome)
{
    alignas(max_align_t) char first[FIRST_BLOCK];
    struct arena arena;
    arena_init(&arena, first, sizeof(first), ANSWER_ARENA_MAX);
    struct rpc_result result = read_outcome(outcome, completion->output, &arena, &arena);
    if (completion->done != NULL) {
        completion->done(completion->arg, &result);
    } else {
        const struct rpc_result *outer = last_error;
        last_error = &result;
        completion->closure(result.response, completion->arg);
        last_error = outer;
    }
    arena_reset(&arena);
}

enum status rpc_channel_send(struct rpc_channel *channel, const struct rpc_outgoing *outgoing, rpc_done *done,
                             void *arg)
{
    struct completion completion = {
        .complete = deliver, .output = outgoing->method->output, .done = done, .arg = arg};
    return channel_start(channel, outgoing, &completion);
}

enum status rpc_channel_call(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                             const char *method, const ProtobufCMessage *request, int64_t timeout_us,
                             rpc_done *done, void *arg)
{
    struct rpc_outgoing outgoing = outgoing_of(service, find_method(service, method), request, timeout_us);
    return rpc_channel_send(channel, &outgoing, done, arg);
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    bool over;
    struct outcome outcome;
};

static void wake(const struct completion *completion, struct outcome *outcome)
{
    struct waiter *waiter = completion->arg;
    pthread_mutex_lock(&waiter->mutex);
    waiter->outcome = *outcome;
    waiter->over = true;
    pthread_cond_signal(&waiter->arrived);
    pthread_mutex_unlock(&waiter->mutex);
}

/* One attempt. STATUS_OK: the outcome is there; else the call was never sent. */
static enum status attempt(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                           const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request,
                           int64_t timeout_us, struct outcome *ret_outcome)
{
    struct waiter waiter = {.mutex = PTHREAD_MUTEX_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER};
    struct completion completion = {.complete = wake, .output = method->output, .arg = &waiter};
    struct rpc_outgoing outgoing = outgoing_of(service, method, request, timeout_us);
    enum status status = channel_start(channel, &outgoing, &completion);
    if (status != STATUS_OK) {
        return status;
    }
    pthread_mutex_lock(&waiter.mutex);
    while (!waiter.over) {
        pthread_cond_wait(&waiter.arrived, &waiter.mutex);
    }
    pthread_mutex_unlock(&waiter.mutex);
    pthread_cond_destroy(&waiter.arrived);
    pthread_mutex_destroy(&waiter.mutex);
    *ret_outcome = waiter.outcome;
    return STATUS_OK;
}

/*
 * Waits before attempt `n` (from 1): a random time up to a bound that doubles ("full jitter", M. Brooker,
 * Exponential Backoff and Jitter, 2015). False when the time is over or the channel closes.
 */
static bool back_off(struct rpc_channel *channel, unsigned n, int64_t deadline_us)
{
    int64_t bound_us = n < 6 ? BACKOFF_MIN_US << n : BACKOFF_MAX_US;
    int64_t until_us = monotonic_us() + 1 + (int64_t)arc4random_uniform((uint32_t)bound_us);
    if (until_us >= deadline_us) {
        return false;
    }
    struct timespec until = {.tv_sec = until_us / US_PER_S, .tv_nsec = until_us % US_PER_S * 1000};
    pthread_mutex_lock(&channel->mutex);
    int error = 0;
    while (!channel->closing && error == 0) {
        error = pthread_cond_clockwait(&channel->changed, &channel->mutex, CLOCK_MONOTONIC, &until);
    }
    bool closing = channel->closing;
    pthread_mutex_unlock(&channel->mutex);
    return !closing;
}

static const char *why_not_sent(enum status status)
{
    switch (status) {
    case STATUS_CANCELLED:
        return "the channel was closed";
    case STATUS_INVALID_ARGUMENT:
        return "the request is longer than a server takes";
    default:
        return "all calls are in use";
    }
}

static bool is_retryable(enum status status)
{
    return status == STATUS_UNAVAILABLE || status == STATUS_RESOURCE_EXHAUSTED;
}

static enum status call_until(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                              const ProtobufCMethodDescriptor *method, const ProtobufCMessage *request,
                              int64_t deadline_us, bool idempotent, struct arena *arena,
                              const ProtobufCMessage **ret_response, struct diag *diag)
{
    for (unsigned n = 1;; n++) {
        int64_t left_us = deadline_us - monotonic_us();
        struct outcome outcome;
        enum status status = attempt(channel, service, method, request, left_us > 0 ? left_us : 1, &outcome);
        /* What was never sent may be sent again, whatever it is. */
        bool repeatable = idempotent || status != STATUS_OK;
        if (status == STATUS_OK) {
            alignas(max_align_t) char first[FIRST_BLOCK];
            struct arena scratch;
            arena_init(&scratch, first, sizeof(first), ANSWER_ARENA_MAX);
            struct rpc_result result = read_outcome(&outcome, method->output, &scratch, arena);
            status = diag_fail(diag, result.status, "%s", result.message);
            arena_reset(&scratch);
            if (status == STATUS_OK) {
                *ret_response = result.response;
                return STATUS_OK;
            }
        } else {
            (void)diag_fail(diag, status, "%.180s: %s", channel->endpoint.url, why_not_sent(status));
        }
        if (!repeatable || !is_retryable(status) || !back_off(channel, n, deadline_us)) {
            return status;
        }
    }
}

enum status rpc_channel_call_wait(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                                  const char *method, const ProtobufCMessage *request, int64_t timeout_us,
                                  bool idempotent, struct arena *arena, const ProtobufCMessage **ret_response,
                                  struct diag *diag)
{
    pthread_mutex_lock(&channel->mutex);
    channel->waiters++;
    pthread_mutex_unlock(&channel->mutex);
    enum status status = call_until(channel, service, find_method(service, method), request,
                                    monotonic_us() + timeout_us, idempotent, arena, ret_response, diag);
    pthread_mutex_lock(&channel->mutex);
    channel->waiters--;
    pthread_cond_broadcast(&channel->changed);
    pthread_mutex_unlock(&channel->mutex);
    return status;
}

static void invoke_stub(ProtobufCService *service, unsigned method_index, const ProtobufCMessage *request,
                        ProtobufCClosure closure, void *closure_data)
{
    const struct stub_service *stub = (const struct stub_service *)service;
    const ProtobufCMethodDescriptor *method = &service->descriptor->methods[method_index];
    struct completion completion = {
        .complete = deliver, .output = method->output, .closure = closure, .arg = closure_data};
    struct rpc_outgoing outgoing = outgoing_of(service->descriptor, method, request, stub->timeout_us);
    enum status status = channel_start(stub->channel, &outgoing, &completion);
    if (status != STATUS_OK) {
        struct outcome outcome = {.status = status};
        snprintf(outcome.text, sizeof(outcome.text), "%s", why_not_sent(status));
        deliver(&completion, &outcome);
    }
}

/* The channel owns it. */
static void destroy_stub(ProtobufCService *service)
{
    (void)service;
}

ProtobufCService *rpc_channel_service(struct rpc_channel *channel,
                                      const ProtobufCServiceDescriptor *descriptor, int64_t timeout_us)
{
    struct stub_service *stub = calloc(1, sizeof(*stub));
    if (stub == NULL) {
        return NULL;
    }
    stub->base = (ProtobufCService){.descriptor = descriptor, .invoke = invoke_stub, .destroy = destroy_stub};
    stub->channel = channel;
    stub->timeout_us = timeout_us;
    pthread_mutex_lock(&channel->mutex);
    stub->next = channel->services;
    channel->services = stub;
    pthread_mutex_unlock(&channel->mutex);
    return &stub->base;
}

const struct rpc_result *rpc_channel_last_error(void)
{
    return last_error;
}

void channel_free_services(struct stub_service *services)
{
    while (services != NULL) {
        struct stub_service *stub = services;
        services = stub->next;
        free(stub);
    }
}

/*
 * A call is one attempt. When the connection is lost before the answer, nobody here knows whether the server
 * has done it; the caller is told UNAVAILABLE and repeats, under the same id or Idempotency-Key, which is
 * what those are for. An automatic repeat would only hide the question from the one who can answer it.
 *
 * Without a connection a call waits a moment, so that a restart of the server is not felt, and is then
 * refused unsent. While there is one, calls wait their turn on it: overload of the server is passed on as
 * back-pressure, not as refusals. A server that is silent altogether is given up after PATIENCE_US. A write
 * is waited for so long also when its caller's time is over, since it is carried out all the same.
 *
 * A call that waits for events cannot be called back from the other side when this one stops, so it is let
 * wait for a moment only: then its caller, told that nothing came, makes the next.
 *
 * What was left out of a request on this side, because it is over the limits of what is read, the server
 * never sees. So it is this side that refuses a strict request for it, and that adds the warnings to the
 * answer.
 *
 * Calls live in the shim's exchanges and answers in the channel's contexts; nothing is allocated here but
 * where a call's headers outgrow its arena. There is one context for each call, and one for the health check,
 * so that the channel cannot be out of them.
 */
#include "shim/upstream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "health/v1/health.pb-c.h"
#include "json/descriptor_table.h"
#include "panic/content.h"
#include "panic/v1/dispatch_service.pb-c.h"
#include "panic/v1/panic_service.pb-c.h"
#include "rpc/channel.h"
#include "rpc/endpoint.h"

#define PATIENCE_US (30 * US_PER_S)
#define CONNECT_US US_PER_S
#define EVENTS_WAIT_MS 1000
#define CHECK_TIMEOUT_US US_PER_S
#define METHODS_MAX 64

static const ProtobufCServiceDescriptor *const services[] = {&panic__v1__panic_service__descriptor,
                                                             &panic__v1__dispatch_service__descriptor,
                                                             &health__v1__health_service__descriptor};
#define N_SERVICES (sizeof(services) / sizeof(services[0]))

struct upstream {
    struct rpc_channel *channel;
    struct rpc_router *router;
    /* `serving` is written by nng's threads, at the end of a check, and by upstream_close(). */
    struct rpc_health health;
    atomic_bool closing;
    /* From the beginning of a check to its end. */
    atomic_bool is_checking;
    /* Of the thread that ends checks: one at a time. */
    bool was_asked;
};

/* ---- headers ---- */

/* What belongs to this connection, or to the body as it came, and means nothing behind it. */
static bool is_of_this_hop(const char *name)
{
    static const char *const names[] = {
        "accept",         "accept-encoding",     "connection",       "content-encoding",
        "content-length", "content-type",        "expect",           "host",
        "keep-alive",     "proxy-authorization", "proxy-connection", "te",
        "trailer",        "transfer-encoding",   "upgrade"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Protobuf strings are UTF-8: with any other in it the server would refuse the whole call. */
static bool goes_on(const struct rpc_header *header)
{
    return !is_of_this_hop(header->name) && utf8_is_text(header->value, strlen(header->value));
}

static bool take_headers(struct rpc_call *call, struct rpc_outgoing *outgoing)
{
    struct rpc_header *headers = arena_alloc(&call->arena, call->n_headers * sizeof(*headers));
    if (headers == NULL) {
        return false;
    }
    for (size_t i = 0; i < call->n_headers; i++) {
        if (goes_on(&call->headers[i])) {
            headers[outgoing->n_headers++] = call->headers[i];
        }
    }
    outgoing->headers = headers;
    return true;
}

/* ---- calls ---- */

static void take_trailers(struct rpc_call *call, const struct rpc_result *result)
{
    for (size_t i = 0; i < result->n_trailers; i++) {
        const struct rpc_header *trailer = &result->trailers[i];
        const char *name = arena_copy(&call->arena, trailer->name, strlen(trailer->name));
        const char *value = arena_copy(&call->arena, trailer->value, strlen(trailer->value));
        if (name != NULL && value != NULL) {
            rpc_call_add_trailer(call, name, value);
        }
    }
}

/* Is it waited for until its deadline, and not as long as for calls that have none? */
static bool has_own_time(const struct rpc_call *call)
{
    return call->method->read_only && call->deadline_us != 0 &&
           call->deadline_us - call->start_us < PATIENCE_US;
}

/* No answer. What the caller should know is less than what the log says: no addresses. */
static void fail_unanswered(struct rpc_call *call, const struct rpc_result *result)
{
    log_debug("call not answered", log_str("method", call->method->path), log_str("why", result->message));
    if (result->status == STATUS_INTERNAL) {
        rpc_call_fail(call, STATUS_INTERNAL, "the answer of the panic service cannot be read");
    } else if (result->status == STATUS_DEADLINE_EXCEEDED && has_own_time(call)) {
        rpc_call_fail(call, STATUS_DEADLINE_EXCEEDED, "no answer before the deadline");
    } else {
        rpc_call_fail(
            call, STATUS_UNAVAILABLE, "%s",
            call->method->read_only
                ? "the panic service does not answer; send the request again"
                : "the panic service does not answer, and whether this was done is not known; send it "
                  "again with the same id or Idempotency-Key");
    }
}

/* The answer with a warning for all that was left out here. Where there is no memory for that the caller is
 * still told what was done. */
static void reply_with_warnings(struct rpc_call *call, const ProtobufCMessage *response)
{
    assert(response->descriptor == &panic__v1__create_panic_response__descriptor);
    Panic__V1__CreatePanicResponse whole = *(const Panic__V1__CreatePanicResponse *)response;
    char **warnings = arena_alloc(&call->arena, (call->n_left_out + whole.n_warnings) * sizeof(*warnings));
    bool has_all = warnings != NULL;
    for (size_t i = 0; has_all && i < call->n_left_out; i++) {
        warnings[i] = content_warning(&call->arena, call->left_out[i]);
        has_all = warnings[i] != NULL;
    }
    if (has_all) {
        for (size_t i = 0; i < whole.n_warnings; i++) {
            warnings[call->n_left_out + i] = whole.warnings[i];
        }
        whole.warnings = warnings;
        whole.n_warnings += call->n_left_out;
    }
    rpc_call_reply(call, &whole.base);
}

static void answered(void *arg, const struct rpc_result *result)
{
    struct rpc_call *call = arg;
    take_trailers(call, result);
    if (!result->is_answer) {
        fail_unanswered(call, result);
    } else if (result->status != STATUS_OK) {
        rpc_call_fail(call, result->status, "%s", result->message);
    } else if (call->n_left_out > 0) {
        reply_with_warnings(call, result->response);
    } else {
        rpc_call_reply(call, result->response);
    }
}

static void set_times(const struct rpc_call *call, struct rpc_outgoing *outgoing)
{
    outgoing->timeout_us = PATIENCE_US;
    outgoing->connect_us = CONNECT_US;
    if (call->deadline_us == 0) {
        return;
    }
    int64_t left_us = call->deadline_us - monotonic_us();
    left_us = left_us > 0 ? left_us : 1;
    if (has_own_time(call)) {
        outgoing->timeout_us = left_us;
    }
    int64_t left_ms = (left_us + US_PER_MS - 1) / US_PER_MS;
    outgoing->told_ms = left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
}

static void send_request(const struct upstream *upstream, struct rpc_call *call,
                         const ProtobufCMessage *request)
{
    struct rpc_outgoing outgoing = {
        .service = call->method->service, .method = call->method->descriptor, .request = request};
    set_times(call, &outgoing);
    if (!take_headers(call, &outgoing)) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED, "headers: need more memory than a call may use");
        return;
    }
    enum status status = rpc_channel_send(upstream->channel, &outgoing, answered, call);
    if (status == STATUS_INVALID_ARGUMENT) {
        rpc_call_fail(call, status, "the request and its headers are longer than the panic service takes");
    } else if (status != STATUS_OK) {
        rpc_call_fail(call, STATUS_UNAVAILABLE, "the request could not be sent on; send it again");
    }
}

/* The handler of every method but two. */
static void send_on(void *ctx, struct rpc_call *call)
{
    send_request(ctx, call, call->request);
}

static void create_panic(void *ctx, struct rpc_call *call)
{
    const Panic__V1__CreatePanicRequest *request = (const Panic__V1__CreatePanicRequest *)call->request;
    if (request->strict && call->n_left_out > 0) {
        rpc_call_fail(call, STATUS_INVALID_ARGUMENT, "%s", call->left_out[0]);
        return;
    }
    send_request(ctx, call, call->request);
}

static void list_events(void *ctx, struct rpc_call *call)
{
    Panic__V1__ListEventsRequest request = *(const Panic__V1__ListEventsRequest *)call->request;
    request.wait_ms = request.wait_ms < EVENTS_WAIT_MS ? request.wait_ms : EVENTS_WAIT_MS;
    send_request(ctx, call, &request.base);
}

/* ---- health ---- */

static void checked(void *arg, const struct rpc_result *result)
{
    struct upstream *upstream = arg;
    const Health__V1__CheckResponse *response = (const Health__V1__CheckResponse *)result->response;
    bool serves = response != NULL &&
                  response->status == HEALTH__V1__CHECK_RESPONSE__SERVING_STATUS__SERVING_STATUS_SERVING;
    bool served = atomic_exchange(&upstream->health.serving, serves);
    if (atomic_load(&upstream->closing)) {
        atomic_store(&upstream->health.serving, false);
    } else if (serves && !served) {
        log_info("upstream serves");
    } else if (!serves && (served || !upstream->was_asked)) {
        log_warn("upstream does not serve",
                 log_str("why", response != NULL ? "it says so itself" : result->message));
    }
    upstream->was_asked = true;
    atomic_store(&upstream->is_checking, false);
}

void upstream_check(struct upstream *upstream)
{
    if (atomic_load(&upstream->closing) || atomic_exchange(&upstream->is_checking, true)) {
        return;
    }
    Health__V1__CheckRequest request = HEALTH__V1__CHECK_REQUEST__INIT;
    const struct rpc_outgoing outgoing = {.service = &health__v1__health_service__descriptor,
                                          .method = &health__v1__health_service__descriptor.methods[0],
                                          .request = &request.base,
                                          .timeout_us = CHECK_TIMEOUT_US,
                                          .told_ms = CHECK_TIMEOUT_US / US_PER_MS};
    if (rpc_channel_send(upstream->channel, &outgoing, checked, upstream) != STATUS_OK) {
        atomic_store(&upstream->is_checking, false);
    }
}

/* ---- life ---- */

static enum status check_url(const struct upstream_config *config, struct diag *diag)
{
    struct endpoint endpoint;
    enum status status = endpoint_parse(config->url, &endpoint, diag);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_tcp = endpoint.kind == ENDPOINT_TCP || endpoint.kind == ENDPOINT_TLS;
    if (endpoint.kind == ENDPOINT_INPROC) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: nobody else is within this process; use ipc://",
                         config->url);
    }
    if (is_tcp && (endpoint.host[0] == 0 || endpoint.port == 0)) {
        return diag_fail(diag, STATUS_INVALID_ARGUMENT, "%s: must name the host and the port of a server",
                         config->url);
    }
    if (!endpoint_is_private(&endpoint) && !config->allow_plain) {
        return diag_fail(
            diag, STATUS_INVALID_ARGUMENT,
            "%s: would send panics over the network without encryption; use tls+tcp://, or allow "
            "plain connections",
            config->url);
    }
    return STATUS_OK;
}

static struct rpc_binding bind_method(const ProtobufCServiceDescriptor *service,
                                      const ProtobufCMethodDescriptor *method)
{
    struct rpc_binding binding = {.method = method->name,
                                  .handler = send_on,
                                  .read_only = descriptor_table_idempotency(service->name, method->name) ==
                                               DESCRIPTOR_NO_SIDE_EFFECTS};
    if (method->input == &panic__v1__list_events_request__descriptor) {
        binding.handler = list_events;
    } else if (method->input == &panic__v1__create_panic_request__descriptor) {
        binding.handler = create_panic;
        binding.optional = content_optional;
    }
    return binding;
}

static enum status make_router(struct upstream *upstream)
{
    struct rpc_binding bindings[METHODS_MAX];
    struct rpc_service remote[N_SERVICES];
    size_t n = 0;
    for (size_t i = 0; i < N_SERVICES; i++) {
        remote[i] =
            (struct rpc_service){.descriptor = services[i], .bindings = &bindings[n], .ctx = upstream};
        for (unsigned m = 0; m < services[i]->n_methods; m++) {
            assert(n < METHODS_MAX);
            bindings[n++] = bind_method(services[i], &services[i]->methods[m]);
            remote[i].n_bindings++;
        }
    }
    return rpc_router_new(remote, N_SERVICES, &upstream->router);
}

enum status upstream_open(const struct upstream_config *config, struct upstream **ret_upstream,
                          struct diag *diag)
{
    enum status status = check_url(config, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct upstream *upstream = calloc(1, sizeof(*upstream));
    if (upstream == NULL || make_router(upstream) != STATUS_OK) {
        upstream_free(upstream);
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for the upstream");
    }
    const struct rpc_channel_config channel = {.url = config->url,
                                               .contexts = UPSTREAM_CALLS_MAX + UPSTREAM_STREAMS_MAX + 1,
                                               .tls_ca_file = config->tls_ca_file};
    status = rpc_channel_open(&channel, &upstream->channel, diag);
    if (status != STATUS_OK) {
        upstream_free(upstream);
        return status;
    }
    *ret_upstream = upstream;
    return STATUS_OK;
}

const struct rpc_router *upstream_router(const struct upstream *upstream)
{
    return upstream->router;
}

const struct rpc_health *upstream_health(const struct upstream *upstream)
{
    return &upstream->health;
}

void upstream_close(struct upstream *upstream)
{
    atomic_store(&upstream->closing, true);
    atomic_store(&upstream->health.serving, false);
}

void upstream_free(struct upstream *upstream)
{
    if (upstream != NULL) {
        rpc_channel_close(upstream->channel);
        rpc_router_free(upstream->router);
        free(upstream);
    }
}

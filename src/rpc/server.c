/*
 * One REP socket, and for each call that may be under way a context with an aio and a preallocated rpc_call.
 * A context goes
 *
 *     RECEIVING → (handler, which may hand the call to other threads) → SENDING → RECEIVING → …
 *
 * and belongs, in this order, to nng, to the handler, and again to nng; nothing here touches it while another
 * owns it. The next operation on the aio may be started while its callback still runs, as the callback's last
 * act on the context.
 *
 * A peer that does not read its answers would keep contexts in SENDING until all are gone. An answer that
 * does not leave within send_timeout_ms costs the peer its connection, and sooner when many wait
 * (rpc/peers.h).
 *
 * Drain: a context first enters `in_flight`, then looks at `draining`; close sets `draining`, then stop waits
 * for `in_flight` to be 0 (all sequentially consistent). So either the context sees `draining` and refuses,
 * or stop sees the context. Refused calls leave `in_flight` at once, so that peers which go on sending cannot
 * hold up a stop. Leaving is the last thing that a call does with its server, and under the mutex: as soon as
 * stop has seen the 0, the server may be gone. New connections are turned away as pipes: closing an nng
 * listener would cut those with answers still to come. Listeners and connections go with the socket, when
 * nothing is in flight.
 */
#include "rpc/server.h"

#include <assert.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "rpc/alloc.h"
#include "rpc/envelope.h"
#include "rpc/listener.h"
#include "rpc/nng_compat.h"
#include "rpc/peers.h"

#define FIRST_BLOCK 8192
#define DEFAULT_SEND_TIMEOUT_MS 2000
/* nng hands an answer to its transport and calls that sent; this is for the transport to get it out before
 * the end. */
#define LINGER_MS 50

enum server_call_state { RECEIVING, SENDING };

struct server_call {
    /* First, so that a call's address is its server_call's. */
    struct rpc_call call;
    struct rpc_server *server;
    nng_ctx ctx;
    nng_aio *aio;
    /* Where the request came from. */
    nng_pipe pipe;
    enum server_call_state state;
    struct answer answer;
    /* Counted in server->in_flight. */
    bool in_flight;
    alignas(max_align_t) char first[FIRST_BLOCK];
};

struct rpc_server {
    const struct rpc_router *router;
    const char *tenant;
    nng_duration send_timeout;
    nng_socket socket;
    bool socket_open;
    nng_tls_config *tls;
    struct listener *listeners;
    size_t n_listeners;
    struct nng_watchdog *watchdog;
    struct peers *peers;
    struct server_call *calls;
    unsigned n_calls;

    struct counter requests;
    struct counter refused;
    struct nng_events events;
    atomic_uint in_flight;
    atomic_bool draining;
    bool stopped;
    /* nng may still call back: what it knows must not be freed. */
    bool abandoned;
    /* in_flight is decreased under `mutex`, and `idle` signalled when it becomes 0 while draining. */
    pthread_mutex_t mutex;
    pthread_cond_t idle;
};

static void finish(struct rpc_call *call, const struct rpc_response *response);

static unsigned under_way(const struct rpc_call *call)
{
    const struct server_call *c = (const struct server_call *)call;
    return atomic_load_explicit(&c->server->in_flight, memory_order_relaxed);
}

static const struct rpc_transport transport = {.finish = finish, .under_way = under_way};

static void receive(struct server_call *c)
{
    c->state = RECEIVING;
    nng_aio_set_timeout(c->aio, NNG_DURATION_INFINITE);
    nng_ctx_recv(c->ctx, c->aio);
}

static void leave_flight(struct rpc_server *server)
{
    pthread_mutex_lock(&server->mutex);
    if (atomic_fetch_sub(&server->in_flight, 1) == 1 && atomic_load(&server->draining)) {
        pthread_cond_broadcast(&server->idle);
    }
    pthread_mutex_unlock(&server->mutex);
}

/* The end of a call, on any thread. The context goes back first: after leave_flight it may be freed. */
static void end_call(struct server_call *c)
{
    struct rpc_server *server = c->server;
    bool in_flight = c->in_flight;
    c->in_flight = false;
    receive(c);
    if (in_flight) {
        leave_flight(server);
    }
}

static void dispatch(struct server_call *c, const Rpc__V1__Request *envelope)
{
    struct rpc_call *call = &c->call;
    struct rpc_method *method =
        rpc_router_find(c->server->router, envelope->method, strlen(envelope->method));
    if (method == NULL) {
        rpc_call_fail(call, STATUS_UNIMPLEMENTED, "method: %s does not exist here", envelope->method);
        return;
    }
    if (envelope->timeout_ms > 0) {
        call->deadline_us = call->start_us + (int64_t)envelope->timeout_ms * US_PER_MS;
    }
    if (!envelope_take_headers(envelope, call)) {
        rpc_call_fail(call, STATUS_RESOURCE_EXHAUSTED, "headers: need more memory than a call may use");
        return;
    }
    rpc_router_dispatch(method, call, envelope->payload.data, envelope->payload.len);
}

static void begin(struct server_call *c)
{
    struct rpc_server *server = c->server;
    struct rpc_call *call = &c->call;
    call->method = NULL;
    call->request = NULL;
    call->n_headers = 0;
    call->n_trailers = 0;
    call->start_us = monotonic_us();
    call->deadline_us = 0;
    call->identity.tenant = server->tenant;
    counter_add(&server->requests, 1);
    atomic_fetch_add(&server->in_flight, 1);
    c->in_flight = true;
}

static void received(struct server_call *c)
{
    nng_msg *msg = nng_aio_get_msg(c->aio);
    nng_aio_set_msg(c->aio, NULL);
    c->pipe = nng_msg_get_pipe(msg);
    begin(c);
    if (atomic_load(&c->server->draining)) {
        nng_msg_free(msg);
        c->in_flight = false;
        leave_flight(c->server);
        rpc_call_fail(&c->call, STATUS_UNAVAILABLE, "the server is shutting down; send the request again");
        return;
    }
    const ProtobufCMessage *envelope;
    struct diag diag = {.text = "is too long"};
    enum status status = STATUS_INVALID_ARGUMENT;
    /* Transports within the process know no limit of their own. */
    if (nng_msg_len(msg) <= RPC_MESSAGE_MAX) {
        status = rpc_unpack(&rpc__v1__request__descriptor, nng_msg_body(msg), nng_msg_len(msg), NULL,
                            &c->call.arena, &envelope, NULL, &diag);
    }
    nng_msg_free(msg);
    if (status != STATUS_OK) {
        rpc_call_fail(&c->call, status, "request envelope: %s", diag.text);
        return;
    }
    dispatch(c, (const Rpc__V1__Request *)envelope);
}

static void send_answer(struct server_call *c, nng_msg *msg)
{
    if (!peers_answer_begins(c->server->peers, c->pipe, &c->answer)) {
        nng_msg_free(msg);
        end_call(c);
        return;
    }
    c->state = SENDING;
    nng_aio_set_timeout(c->aio, c->server->send_timeout);
    nng_aio_set_msg(c->aio, msg);
    nng_ctx_send(c->ctx, c->aio);
}

static void finish(struct rpc_call *call, const struct rpc_response *response)
{
    struct server_call *c = (struct server_call *)call;
    if (call->request == NULL) {
        counter_add(&c->server->refused, 1);
        log_debug("request refused", log_str("status", status_name(call->status)),
                  log_str("reason", call->message));
    }
    nng_msg *msg = envelope_response(call, response);
    arena_reset(&call->arena);
    if (msg != NULL) {
        send_answer(c, msg);
        return;
    }
    /* With no memory for an answer, a lost connection is what tells the caller at once. */
    log_error("no memory for an answer");
    nng_drop_pipe(c->pipe);
    end_call(c);
}

static void sent(struct server_call *c, int error)
{
    peers_answer_ends(c->server->peers, &c->answer);
    if (error != 0) {
        nng_msg_free(nng_aio_get_msg(c->aio));
        nng_aio_set_msg(c->aio, NULL);
        peers_give_up(c->server->peers, c->pipe);
    }
    end_call(c);
}

static void advance(void *arg)
{
    struct server_call *c = arg;
    int error = nng_aio_result(c->aio);
    if (c->state == SENDING) {
        sent(c, error);
    } else if (error == 0) {
        received(c);
    } else if (error != NNG_ECLOSED && error != NNG_ECANCELED) {
        receive(c);
    }
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_server *server = arg;
    if (event == NNG_PIPE_EV_REM_POST) {
        peers_remove(server->peers, pipe);
        counter_add(&server->events.pipes_freed, 1);
        return;
    }
    counter_add(&server->events.pipes_added, 1);
    nng_sockaddr remote = {.s_family = NNG_AF_UNSPEC};
    (void)nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &remote);
    if (atomic_load(&server->draining) || !peers_add(server->peers, pipe, peers_host(&remote))) {
        nng_pipe_close(pipe);
    }
}

static enum status open_socket(struct rpc_server *server, struct diag *diag)
{
    int error = nng_rep0_open(&server->socket);
    if (error != 0) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "cannot open a socket: %s", nng_strerror(error));
    }
    server->socket_open = true;
    error = nng_socket_set_size(server->socket, NNG_OPT_RECVMAXSZ, RPC_MESSAGE_MAX);
    if (error == 0) {
        error = nng_pipe_notify(server->socket, NNG_PIPE_EV_ADD_PRE, on_pipe, server);
    }
    if (error == 0) {
        error = nng_pipe_notify(server->socket, NNG_PIPE_EV_REM_POST, on_pipe, server);
    }
    if (error != 0) {
        return diag_fail(diag, STATUS_INTERNAL, "cannot set up the socket: %s", nng_strerror(error));
    }
    return STATUS_OK;
}

static enum status open_peers(struct rpc_server *server, const struct rpc_server_config *config,
                              struct diag *diag)
{
    unsigned max = config->connections_max > 0 ? config->connections_max : peers_default_max();
    const struct peers_limits limits = {
        .connections_max = max,
        .host_max = max > 1 ? max / 2 : 1,
        .overdue_max = config->contexts / 2,
    };
    return peers_new(&limits, &server->peers, diag);
}

static enum status open_calls(struct rpc_server *server, unsigned n, struct diag *diag)
{
    server->calls = calloc(n, sizeof(*server->calls));
    for (unsigned i = 0; server->calls != NULL && i < n; i++) {
        struct server_call *c = &server->calls[i];
        c->server = server;
        c->call.transport = &transport;
        arena_init(&c->call.arena, c->first, sizeof(c->first), RPC_ARENA_MAX);
        /* The context is closed with the socket. */
        if (nng_ctx_open(&c->ctx, server->socket) != 0 || nng_aio_alloc(&c->aio, advance, c) != 0) {
            break;
        }
        c->answer.aio = c->aio;
        server->n_calls++;
    }
    return server->n_calls == n
               ? STATUS_OK
               : diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for %u calls at once", n);
}

static enum status check_endpoint(const struct rpc_server_config *config, const struct endpoint *endpoint,
                                  struct diag *diag)
{
    if (endpoint_is_private(endpoint) || config->allow_plain) {
        return STATUS_OK;
    }
    return diag_fail(
        diag, STATUS_INVALID_ARGUMENT,
        "%s: would serve others without encryption; use tls+tcp://, a loopback address, or allow plain "
        "listeners",
        endpoint->url);
}

/* Every URL is checked before the first is bound. */
static enum status open_listeners(struct rpc_server *server, const struct rpc_server_config *config,
                                  struct diag *diag)
{
    server->listeners = calloc(config->n_urls > 0 ? config->n_urls : 1, sizeof(*server->listeners));
    if (server->listeners == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for listeners");
    }
    for (size_t i = 0; i < config->n_urls; i++) {
        struct listener *listener = &server->listeners[i];
        enum status status = endpoint_parse(config->urls[i], &listener->endpoint, diag);
        if (status == STATUS_OK) {
            status = check_endpoint(config, &listener->endpoint, diag);
        }
        if (status == STATUS_OK && listener->endpoint.kind == ENDPOINT_TLS && server->tls == NULL) {
            status = endpoint_server_tls(config->tls_cert_file, config->tls_key_file, &server->tls, diag);
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (; server->n_listeners < config->n_urls; server->n_listeners++) {
        struct listener *listener = &server->listeners[server->n_listeners];
        listener->socket = server->socket;
        listener->tls = server->tls;
        enum status status = listener_open(listener, diag);
        if (status != STATUS_OK) {
            return status;
        }
    }
    return STATUS_OK;
}

enum status rpc_server_start(const struct rpc_server_config *config, struct rpc_server **ret_server,
                             struct diag *diag)
{
    assert(config->contexts > 0);
    struct rpc_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for a server");
    }
    server->router = config->router;
    server->tenant = config->tenant;
    server->send_timeout =
        (nng_duration)(config->send_timeout_ms > 0 ? config->send_timeout_ms : DEFAULT_SEND_TIMEOUT_MS);
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->idle, NULL);
    enum status status = open_peers(server, config, diag);
    if (status == STATUS_OK) {
        status = open_socket(server, diag);
    }
    if (status == STATUS_OK) {
        status = open_calls(server, config->contexts, diag);
    }
    if (status == STATUS_OK) {
        status = open_listeners(server, config, diag);
    }
    if (status == STATUS_OK) {
        status = nng_watchdog_start(server->listeners, server->n_listeners, &server->events,
                                    &server->watchdog, diag);
    }
    if (status != STATUS_OK) {
        rpc_server_free(server);
        return status;
    }
    for (unsigned i = 0; i < server->n_calls; i++) {
        receive(&server->calls[i]);
    }
    *ret_server = server;
    return STATUS_OK;
}

const char *rpc_server_url(const struct rpc_server *server, size_t index)
{
    assert(index < server->n_listeners);
    return server->listeners[index].endpoint.url;
}

void rpc_server_close(struct rpc_server *server)
{
    if (!atomic_exchange(&server->draining, true)) {
        nng_watchdog_stop(server->watchdog);
        server->watchdog = NULL;
    }
}

void rpc_server_stop(struct rpc_server *server)
{
    assert(atomic_load(&server->draining));
    if (server->stopped) {
        return;
    }
    server->stopped = true;
    pthread_mutex_lock(&server->mutex);
    while (atomic_load(&server->in_flight) > 0) {
        pthread_cond_wait(&server->idle, &server->mutex);
    }
    pthread_mutex_unlock(&server->mutex);
    if (counter_read(&server->requests) > 0) {
        nng_msleep(LINGER_MS);
    }
    for (size_t i = 0; i < server->n_listeners; i++) {
        nng_end_connections(&server->listeners[i]);
    }
    server->abandoned = server->socket_open && !nng_close_in_time(server->socket);
}

void rpc_server_free(struct rpc_server *server)
{
    if (server == NULL) {
        return;
    }
    rpc_server_close(server);
    rpc_server_stop(server);
    /* A stopped aio runs no callback, so from here on nothing but this function knows the contexts. */
    for (unsigned i = 0; i < server->n_calls; i++) {
        nng_aio_stop(server->calls[i].aio);
    }
    if (server->abandoned) {
        return;
    }
    for (unsigned i = 0; i < server->n_calls; i++) {
        /* A refusal that was on its way out. */
        nng_msg *msg = nng_aio_get_msg(server->calls[i].aio);
        if (msg != NULL) {
            nng_msg_free(msg);
        }
        nng_aio_free(server->calls[i].aio);
        arena_reset(&server->calls[i].call.arena);
    }
    if (server->tls != NULL) {
        nng_tls_config_free(server->tls);
    }
    peers_free(server->peers);
    pthread_cond_destroy(&server->idle);
    pthread_mutex_destroy(&server->mutex);
    free(server->calls);
    free(server->listeners);
    free(server);
}

struct rpc_server_stats rpc_server_stats(const struct rpc_server *server)
{
    int64_t freed = (int64_t)counter_read(&server->events.pipes_freed);
    struct peers_stats peers = peers_stats(server->peers);
    int64_t connections = (int64_t)counter_read(&server->events.pipes_added) - freed;
    return (struct rpc_server_stats){
        .requests = counter_read(&server->requests),
        .refused = counter_read(&server->refused),
        .listeners_revived = counter_read(&server->events.listeners_revived),
        .peers_dropped = peers.dropped,
        .connections_refused = peers.refused,
        .connections = connections > 0 ? (unsigned)connections : 0,
        .reaper_hangs = atomic_load(&server->events.reaper_hangs),
        .in_flight = atomic_load_explicit(&server->in_flight, memory_order_relaxed),
    };
}

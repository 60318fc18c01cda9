/*
 * Each connection is a peer, which goes
 *
 *     NEW → HEAD → BODY → BUSY → SENDING → RESTING → HEAD → …      and from most of them → REFUSED
 *                             BUSY → STREAMING → ENDING → REFUSED
 *
 * gate_input.c has what arrives, gate_stream.c answers without end, peer.c refusals. Connections are never
 * freed from within a callback of their buffers: what needs it is done by `attend`, an event that runs before
 * the loop polls again.
 *
 * While a request is with its handler (BUSY) evhttp does not read, so nothing ends the connection; its
 * request stays valid until it is answered.
 */
#include "shim/gate.h"

#include <assert.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "shim/peer.h"

#define TICK_MS 100

static const struct refusal too_slow = {408, STATUS_DEADLINE_EXCEEDED, "the request did not arrive in time"};
static const struct refusal too_many = {503, STATUS_UNAVAILABLE, "too many connections; try again later"};

static void forget(struct peer *peer)
{
    struct gate *gate = peer->gate;
    peer_set_phase(peer, REFUSED, 0);
    peer_charge(peer, 0);
    evbuffer_remove_cb(bufferevent_get_input(peer->bufferevent), peer_on_input, peer);
    evbuffer_remove_cb(bufferevent_get_output(peer->bufferevent), peer_on_output, peer);
    if (peer->is_waiting) {
        TAILQ_REMOVE(&gate->waiting, peer, in_waiting);
    }
    TAILQ_REMOVE(&gate->peers, peer, in_peers);
    if (peer->fd >= 0 && gate->by_fd[peer->fd] == peer) {
        gate->by_fd[peer->fd] = NULL;
    }
    if (peer->is_counted) {
        addresses_leave(gate->shared->addresses, &peer->address);
        atomic_fetch_sub(&gate->shared->connections, 1);
    }
    if (peer->held != NULL) {
        evbuffer_free(peer->held);
    }
    bufferevent_decref(peer->bufferevent);
    free(peer);
}

static void on_close(struct evhttp_connection *connection, void *arg)
{
    struct peer *peer = arg;
    (void)connection;
    if (peer->owner != NULL) {
        peer->owner_gone(peer->owner);
    }
    forget(peer);
}

/* ---- connections ---- */

static bool enter_by_fd(struct gate *gate, struct peer *peer)
{
    size_t fd = (size_t)peer->fd;
    if (fd >= gate->by_fd_size) {
        size_t size = 2 * fd + 64;
        struct peer **bigger = realloc(gate->by_fd, size * sizeof(struct peer *));
        if (bigger == NULL) {
            return false;
        }
        memset(bigger + gate->by_fd_size, 0, (size - gate->by_fd_size) * sizeof(struct peer *));
        gate->by_fd = bigger;
        gate->by_fd_size = size;
    }
    gate->by_fd[fd] = peer;
    return true;
}

/* The callbacks' argument is evhttp's connection; there is no other way to it before the first request. */
static struct evhttp_connection *connection_of(struct bufferevent *bufferevent)
{
    void *arg = NULL;
    bufferevent_getcb(bufferevent, NULL, NULL, NULL, &arg);
    return bufferevent_getfd(bufferevent) >= 0 ? arg : NULL;
}

static bool enter_caps(struct peer *peer)
{
    struct gate_shared *shared = peer->gate->shared;
    const struct shim_limits *limits = &shared->limits;
    counter_add(&shared->connections_total, 1);
    peer->address = address_key_of(evhttp_connection_get_addr(peer->connection));
    if (atomic_fetch_add(&shared->connections, 1) < limits->connections_max) {
        if (addresses_enter(shared->addresses, &peer->address, limits->connections_per_address_max)) {
            peer->is_counted = true;
            return true;
        }
    }
    atomic_fetch_sub(&shared->connections, 1);
    return false;
}

/* One packet, if it can be had at once; whoever is too many gets no more of our memory and time. */
static void turn_away(struct peer *peer)
{
    struct gate_shared *shared = peer->gate->shared;
    counter_add(&shared->connections_refused, 1);
    if (shared->tls == NULL) {
        char text[PEER_REFUSAL_SIZE];
        size_t length = peer_refusal_text(&too_many, text);
        (void)send(peer->fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    evhttp_connection_free(peer->connection);
}

/* False when the peer is gone. */
static bool admit(struct peer *peer)
{
    peer->connection = connection_of(peer->bufferevent);
    if (peer->connection == NULL) {
        forget(peer);
        return false;
    }
    peer->fd = bufferevent_getfd(peer->bufferevent);
    evhttp_connection_set_closecb(peer->connection, on_close, peer);
    if (!enter_by_fd(peer->gate, peer) || !enter_caps(peer)) {
        turn_away(peer);
        return false;
    }
    return true;
}

struct bufferevent *gate_new_connection(struct event_base *base, void *arg)
{
    struct gate *gate = arg;
    const struct shim_limits *limits = &gate->shared->limits;
    struct peer *peer = calloc(1, sizeof(*peer));
    SSL *ssl = gate->shared->tls != NULL ? SSL_new(gate->shared->tls) : NULL;
    struct bufferevent *bufferevent =
        ssl != NULL
            ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
            : bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (peer == NULL || bufferevent == NULL || (gate->shared->tls != NULL && ssl == NULL)) {
        /* evhttp makes do without the gate; gate_begin_request() does not know that connection. */
        free(peer);
        return bufferevent;
    }
    bufferevent_incref(bufferevent);
    bufferevent_setwatermark(bufferevent, EV_READ, 0, limits->head_max + limits->body_max);
    *peer = (struct peer){.gate = gate, .bufferevent = bufferevent, .fd = -1};
    peer_set_phase(peer, NEW, peer_deadline(limits->head_ms));
    evbuffer_add_cb(bufferevent_get_input(bufferevent), peer_on_input, peer);
    evbuffer_add_cb(bufferevent_get_output(bufferevent), peer_on_output, peer);
    TAILQ_INSERT_TAIL(&gate->peers, peer, in_peers);
    peer_attend_soon(peer);
    return bufferevent;
}

/* ---- requests ---- */

static void answer_is_out(struct evhttp_request *request, void *arg)
{
    struct peer *peer = arg;
    struct evbuffer *input = bufferevent_get_input(peer->bufferevent);
    (void)request;
    peer_set_phase(peer, RESTING, peer_deadline(peer->gate->shared->limits.idle_ms));
    peer_charge(peer, evbuffer_get_length(input));
    if (evbuffer_get_length(input) > 0) {
        peer_hold(peer, input);
        peer_attend_soon(peer);
    }
}

struct peer *gate_begin_request(struct gate *gate, struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
    struct peer *peer = fd >= 0 && (size_t)fd < gate->by_fd_size ? gate->by_fd[fd] : NULL;
    if (peer == NULL || peer->connection != connection || peer->phase != BODY) {
        return NULL;
    }
    peer_set_phase(peer, BUSY, 0);
    return peer;
}

void gate_begin_answer(struct peer *peer, struct evhttp_request *request)
{
    peer->owner = NULL;
    peer_charge(peer, peer->charged + evbuffer_get_length(evhttp_request_get_output_buffer(request)));
    peer_set_phase(peer, SENDING, peer_deadline(peer->gate->shared->limits.send_ms));
    evhttp_request_set_on_complete_cb(request, answer_is_out, peer);
}

bool gate_has_room(const struct peer *peer, size_t answer_length)
{
    struct budget *budget = &peer->gate->shared->budget;
    bool has_room = budget_has_room(budget, 0, answer_length);
    counter_add(&budget->refused, has_room ? 0 : 1);
    return has_room;
}

void gate_set_owner(struct peer *peer, void *owner, void (*gone)(void *owner))
{
    peer->owner = owner;
    peer->owner_gone = gone;
}

/* ---- the loop ---- */

static void attend_one(struct peer *peer)
{
    if (peer->connection == NULL && !admit(peer)) {
        return;
    }
    if (peer->why != NULL) {
        peer_refuse(peer, peer->why);
        return;
    }
    if (peer->phase == RESTING && peer->held != NULL && evbuffer_get_length(peer->held) > 0) {
        evbuffer_prepend_buffer(bufferevent_get_input(peer->bufferevent), peer->held);
        if (peer->phase == BODY) {
            bufferevent_trigger(peer->bufferevent, EV_READ, 0);
        }
    }
}

static void attend(evutil_socket_t fd, short what, void *arg)
{
    struct gate *gate = arg;
    (void)fd;
    (void)what;
    struct peer *peer;
    while ((peer = TAILQ_FIRST(&gate->waiting)) != NULL) {
        TAILQ_REMOVE(&gate->waiting, peer, in_waiting);
        peer->is_waiting = false;
        attend_one(peer);
    }
}

static void expire(struct peer *peer)
{
    if (peer->phase == HEAD || peer->phase == BODY) {
        peer_refuse(peer, &too_slow);
    } else if (peer->connection != NULL) {
        evhttp_connection_free(peer->connection);
    }
}

static void tick(evutil_socket_t fd, short what, void *arg)
{
    struct gate *gate = arg;
    (void)fd;
    (void)what;
    int64_t now_us = monotonic_us();
    struct peer *peer = TAILQ_FIRST(&gate->peers);
    while (peer != NULL) {
        struct peer *next = TAILQ_NEXT(peer, in_peers);
        if (peer->deadline_us != 0 && now_us >= peer->deadline_us) {
            expire(peer);
        }
        peer = next;
    }
}

void gate_close_resting(struct gate *gate)
{
    struct peer *peer = TAILQ_FIRST(&gate->peers);
    while (peer != NULL) {
        struct peer *next = TAILQ_NEXT(peer, in_peers);
        bool rests = peer->phase == RESTING || peer->phase == NEW;
        if (rests && peer->connection != NULL && !peer->is_waiting) {
            evhttp_connection_free(peer->connection);
        }
        peer = next;
    }
}

enum status gate_init(struct gate *gate, struct event_base *base, struct gate_shared *shared)
{
    const struct timeval interval = {.tv_usec = TICK_MS * US_PER_MS};
    *gate = (struct gate){.shared = shared};
    TAILQ_INIT(&gate->peers);
    TAILQ_INIT(&gate->waiting);
    gate->attend = event_new(base, -1, 0, attend, gate);
    gate->tick = event_new(base, -1, EV_PERSIST, tick, gate);
    if (gate->attend == NULL || gate->tick == NULL || event_add(gate->tick, &interval) != 0) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    return STATUS_OK;
}

void gate_release(struct gate *gate)
{
    struct peer *peer = TAILQ_FIRST(&gate->peers);
    while (peer != NULL) {
        struct peer *next = TAILQ_NEXT(peer, in_peers);
        forget(peer);
        peer = next;
    }
    if (gate->attend != NULL) {
        event_free(gate->attend);
    }
    if (gate->tick != NULL) {
        event_free(gate->tick);
    }
    free(gate->by_fd);
}

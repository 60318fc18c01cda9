/*
 * Refusing: the gate takes the bufferevent's callbacks away from evhttp, writes the answer itself, sends FIN,
 * and goes on reading for a moment, since a close with bytes unread would destroy the answer on its way (RFC
 * 9112, section 9.6).
 */
#include "shim/peer.h"

#include <assert.h>
#include <event2/buffer.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "shim/http_status.h"

static bool is_busy_phase(enum phase phase)
{
    return phase == BUSY || phase == SENDING || phase == ENDING;
}

int64_t peer_deadline(unsigned ms)
{
    return monotonic_us() + (int64_t)ms * US_PER_MS;
}

void peer_set_phase(struct peer *peer, enum phase phase, int64_t deadline_us)
{
    bool was_busy = is_busy_phase(peer->phase);
    bool is_busy = is_busy_phase(phase);
    peer->gate->n_busy += is_busy ? 1 : 0;
    peer->gate->n_busy -= was_busy ? 1 : 0;
    peer->phase = phase;
    peer->deadline_us = deadline_us;
}

void peer_charge(struct peer *peer, size_t bytes)
{
    struct budget *budget = &peer->gate->shared->budget;
    if (bytes > peer->charged) {
        budget_add(budget, bytes - peer->charged);
    } else {
        budget_remove(budget, peer->charged - bytes);
    }
    peer->charged = bytes;
}

size_t peer_refusal_text(const struct refusal *why, char text[PEER_REFUSAL_SIZE])
{
    char body[PEER_REFUSAL_SIZE / 2];
    /* Which protocol is spoken is not known here: `message` is what clients of Connect look for. */
    int body_length = snprintf(body, sizeof(body), "{\"error\":\"%s\",\"code\":\"%s\",\"message\":\"%s\"}",
                               why->text, connect_code_of(why->status), why->text);
    assert(body_length > 0 && body_length < (int)sizeof(body));
    int length = snprintf(text, PEER_REFUSAL_SIZE,
                          "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
                          "%sConnection: close\r\n\r\n%s",
                          why->http_status, http_phrase(why->http_status), body_length,
                          why->http_status == 503 ? "Retry-After: 1\r\n" : "", body);
    assert(length > 0 && length < PEER_REFUSAL_SIZE);
    return (size_t)length;
}

void peer_attend_soon(struct peer *peer)
{
    if (!peer->is_waiting) {
        peer->is_waiting = true;
        TAILQ_INSERT_TAIL(&peer->gate->waiting, peer, in_waiting);
        event_active(peer->gate->attend, 0, 0);
    }
}

void peer_refuse_soon(struct peer *peer, const struct refusal *why)
{
    peer_set_phase(peer, REFUSED, monotonic_us() + PEER_LINGER_US);
    peer->why = why;
    peer_attend_soon(peer);
}

static void refusal_written(struct bufferevent *bufferevent, void *arg)
{
    struct peer *peer = arg;
    if (evbuffer_get_length(bufferevent_get_output(bufferevent)) == 0) {
        shutdown(peer->fd, SHUT_WR);
        peer_set_phase(peer, REFUSED, peer->deadline_us);
    }
}

static void refusal_ended(struct bufferevent *bufferevent, short what, void *arg)
{
    const struct peer *peer = arg;
    (void)bufferevent;
    (void)what;
    evhttp_connection_free(peer->connection);
}

void peer_refuse(struct peer *peer, const struct refusal *why)
{
    struct bufferevent *bufferevent = peer->bufferevent;
    struct evbuffer *output = bufferevent_get_output(bufferevent);
    counter_add(&peer->gate->shared->guarded[http_status_index(why->http_status)], 1);
    log_debug("request guarded", log_int("status", why->http_status), log_str("reason", why->text));
    peer_set_phase(peer, REFUSED, monotonic_us() + PEER_LINGER_US);
    peer->why = NULL;
    bufferevent_setcb(bufferevent, NULL, refusal_written, refusal_ended, peer);
    evbuffer_unfreeze(output, 1);
    evbuffer_drain(output, evbuffer_get_length(output));
    evbuffer_freeze(output, 1);
    evbuffer_drain(bufferevent_get_input(bufferevent), SIZE_MAX);
    peer_charge(peer, 0);
    char text[PEER_REFUSAL_SIZE];
    evbuffer_add(output, text, peer_refusal_text(why, text));
    bufferevent_enable(bufferevent, EV_READ | EV_WRITE);
}

void peer_end(struct peer *peer)
{
    peer_set_phase(peer, ENDING, monotonic_us() + PEER_LINGER_US);
    bufferevent_setcb(peer->bufferevent, NULL, refusal_written, refusal_ended, peer);
    /* What is out already calls nobody. */
    refusal_written(peer->bufferevent, peer);
}

/*
 * Answers without end. A stream's answer has no end to be waited for, so its deadline is one of progress: it
 * begins anew with every byte that the client takes, and there is none while nothing waits to be taken.
 * evhttp has no part in it: it cannot read while it answers, and so would not see the client go.
 *
 * What a stream has to say is counted in the budget while its client has not taken it, and never refused: who
 * writes it writes no more before that is out.
 */
#include <event2/buffer.h>

#include "base/clock.h"
#include "shim/peer.h"

static void drop_input(struct bufferevent *bufferevent, void *arg)
{
    struct evbuffer *input = bufferevent_get_input(bufferevent);
    (void)arg;
    evbuffer_drain(input, evbuffer_get_length(input));
}

static void stream_written(struct bufferevent *bufferevent, void *arg)
{
    struct peer *peer = arg;
    if (evbuffer_get_length(bufferevent_get_output(bufferevent)) == 0) {
        peer->drained(peer->owner);
    }
}

static void stream_ended(struct bufferevent *bufferevent, short what, void *arg)
{
    const struct peer *peer = arg;
    (void)bufferevent;
    (void)what;
    evhttp_connection_free(peer->connection);
}

void peer_note_progress(struct peer *peer, struct evbuffer *output, const struct evbuffer_cb_info *info)
{
    peer_charge(peer, peer->stream_base + evbuffer_get_length(output));
    if (evbuffer_get_length(output) == 0) {
        peer->deadline_us = 0;
    } else if (info->n_deleted > 0 || peer->deadline_us == 0) {
        peer->deadline_us = monotonic_us() + (int64_t)peer->gate->shared->limits.send_ms * US_PER_MS;
    }
}

void gate_begin_stream(struct peer *peer, void (*drained)(void *owner))
{
    peer->stream_base = peer->charged;
    peer->drained = drained;
    peer_set_phase(peer, STREAMING, 0);
    bufferevent_set_timeouts(peer->bufferevent, NULL, NULL);
    bufferevent_setcb(peer->bufferevent, drop_input, stream_written, stream_ended, peer);
    bufferevent_enable(peer->bufferevent, EV_READ | EV_WRITE);
}

struct evbuffer *gate_stream_output(struct peer *peer)
{
    return bufferevent_get_output(peer->bufferevent);
}

void gate_end_stream(struct peer *peer)
{
    gate_set_owner(peer, NULL, NULL);
    peer_end(peer);
}

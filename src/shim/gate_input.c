/*
 * What arrives. evhttp has no hook before it parses, so the gate looks at bytes from a callback on the
 * bufferevent's input buffer, which runs before evhttp's: while a head is incomplete its bytes are moved
 * aside (`held`), so that evhttp finds nothing; when it is complete and passes, all of it is there for evhttp
 * to read. Bytes sent behind a request, before its answer, stay in the buffer, which has a high-water mark;
 * they are put aside when the answer is out, and then take the same way as bytes just come.
 *
 * A body in chunks is checked as it comes. What comes of it after the head is held, too, as a copy without
 * gaps, until all is there: evhttp would take each chunk over in the piece of memory that it was read into,
 * a KiB for a byte.
 *
 * When evhttp refuses something by itself, with a page in HTML, the page is caught in the output buffer and
 * replaced.
 *
 * Bytes are counted in the budget of all connections from where they are seen first: a request's as they
 * arrive, an answer's when evhttp gets it; both until the answer is out. A request that finds no room is
 * refused, whatever part of it is there. Bytes behind a request that is not answered yet cannot be refused;
 * without room for them nothing more is read.
 */
#include <event2/buffer.h>
#include <string.h>

#include "shim/peer.h"

static const struct refusal head_too_long = {431, STATUS_RESOURCE_EXHAUSTED,
                                             "the head of the request is longer than this server takes"};
static const struct refusal not_http = {400, STATUS_INVALID_ARGUMENT, "not a valid HTTP request"};
static const struct refusal no_memory = {503, STATUS_UNAVAILABLE, "the server is short of memory"};
static const struct refusal no_room = {503, STATUS_UNAVAILABLE,
                                       "the server holds as much as it may; send the request again"};

/* What the peer's request takes becomes `bytes`, if there is room; refuses it otherwise. */
static void charge_request(struct peer *peer, size_t bytes)
{
    struct budget *budget = &peer->gate->shared->budget;
    if (bytes > peer->charged && !budget_has_room(budget, peer->charged, bytes - peer->charged)) {
        counter_add(&budget->refused, 1);
        peer_refuse_soon(peer, &no_room);
        return;
    }
    peer_charge(peer, bytes);
}

/* Behind a request that has no answer yet. */
static void charge_behind(struct peer *peer, size_t more)
{
    if (!budget_has_room(&peer->gate->shared->budget, peer->charged, more)) {
        /* evhttp reads on by itself when the answer is out. */
        bufferevent_disable(peer->bufferevent, EV_READ);
    }
    peer_charge(peer, peer->charged + more);
}

static bool need_held(struct peer *peer)
{
    if (peer->held == NULL) {
        peer->held = evbuffer_new();
    }
    return peer->held != NULL;
}

void peer_hold(struct peer *peer, struct evbuffer *input)
{
    if (!need_held(peer) || evbuffer_add_buffer(peer->held, input) != 0) {
        peer_refuse_soon(peer, &no_memory);
    }
}

static bool holds(const struct peer *peer)
{
    return peer->held != NULL && evbuffer_get_length(peer->held) > 0;
}

/* ---- heads ---- */

/* The head ends at `end`, and has passed. */
static void begin_body(struct peer *peer, struct evbuffer *input, size_t end, bool is_chunked)
{
    size_t length = evbuffer_get_length(input);
    peer->scanned = 0;
    peer->is_chunked = is_chunked;
    peer->chunked = (struct chunked){0};
    peer_set_phase(peer, BODY, peer_deadline(peer->gate->shared->limits.body_ms));
    if (!is_chunked) {
        return;
    }
    const char *data = (const char *)evbuffer_pullup(input, -1);
    const struct refusal *why = data == NULL ? &no_memory
                                             : chunked_take(&peer->chunked, data + end, length - end,
                                                            peer->gate->shared->limits.body_max);
    if (why != NULL) {
        peer_refuse_soon(peer, why);
    }
}

/* The input begins with a head, or with a part of one. */
static void look_at_head(struct peer *peer, struct evbuffer *input)
{
    const struct shim_limits *limits = &peer->gate->shared->limits;
    if (peer->phase == RESTING) {
        peer_set_phase(peer, HEAD, peer_deadline(limits->head_ms));
    } else {
        peer_set_phase(peer, HEAD, peer->deadline_us);
    }
    size_t length = evbuffer_get_length(input);
    charge_request(peer, length);
    if (peer->phase == REFUSED) {
        return;
    }
    length = length < limits->head_max ? length : limits->head_max;
    const char *data = (const char *)evbuffer_pullup(input, (ev_ssize_t)length);
    if (data == NULL) {
        peer_refuse_soon(peer, &no_memory);
        return;
    }
    size_t end = head_length(data, length, &peer->scanned);
    if (end == 0 && length == limits->head_max) {
        peer_refuse_soon(peer, &head_too_long);
        return;
    }
    if (end == 0) {
        peer_hold(peer, input);
        return;
    }
    struct head head;
    const struct refusal *why = head_check(data, end, limits->body_max, &head);
    if (why != NULL) {
        peer_refuse_soon(peer, why);
        return;
    }
    begin_body(peer, input, end, head.is_chunked);
}

static void take_head(struct peer *peer, struct evbuffer *input)
{
    if (holds(peer)) {
        /* Which calls this again. */
        evbuffer_prepend_buffer(input, peer->held);
    } else {
        look_at_head(peer, input);
    }
}

/* ---- bodies ---- */

static void put_back(struct peer *peer, struct evbuffer *input)
{
    peer->is_putting_back = true;
    if (evbuffer_prepend_buffer(input, peer->held) != 0) {
        peer_refuse_soon(peer, &no_memory);
    }
    peer->is_putting_back = false;
}

/* Of what the input holds, the last `n_new` bytes are new; before them may be what evhttp has left, which
 * then is the first that is held. */
static void take_chunks(struct peer *peer, struct evbuffer *input, size_t n_new)
{
    size_t length = evbuffer_get_length(input);
    const char *data = (const char *)evbuffer_pullup(input, -1);
    const struct refusal *why = data == NULL ? &no_memory
                                             : chunked_take(&peer->chunked, data + length - n_new, n_new,
                                                            peer->gate->shared->limits.body_max);
    if (why != NULL) {
        peer_refuse_soon(peer, why);
    } else if (chunked_is_whole(&peer->chunked)) {
        if (holds(peer)) {
            put_back(peer, input);
        }
    } else if (need_held(peer) && evbuffer_add(peer->held, data, length) == 0) {
        evbuffer_drain(input, length);
    } else {
        peer_refuse_soon(peer, &no_memory);
    }
}

static void take_body(struct peer *peer, struct evbuffer *input, size_t n_new)
{
    if (peer->is_putting_back) {
        return;
    }
    charge_request(peer, peer->charged + n_new);
    if (peer->phase == BODY && peer->is_chunked && !chunked_is_whole(&peer->chunked)) {
        take_chunks(peer, input, n_new);
    }
}

/* ---- the buffers ---- */

void peer_on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct peer *peer = arg;
    if (info->n_added == 0) {
        return;
    }
    if (peer->phase <= HEAD || peer->phase == RESTING) {
        take_head(peer, input);
    } else if (peer->phase == BODY) {
        take_body(peer, input, info->n_added);
    } else if (peer->phase == BUSY || peer->phase == SENDING) {
        charge_behind(peer, info->n_added);
    }
    if (peer->phase == REFUSED) {
        evbuffer_drain(input, evbuffer_get_length(input));
    }
}

/* evhttp writes while no request is with us: "100 Continue", or it refuses the request. */
void peer_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *arg)
{
    static const char go_on[] = "HTTP/1.1 100 ";
    struct peer *peer = arg;
    if (peer->phase == STREAMING) {
        peer_note_progress(peer, output, info);
        return;
    }
    if (info->n_added == 0 || peer->phase != BODY) {
        return;
    }
    struct evbuffer_iovec piece;
    if (evbuffer_peek(output, -1, NULL, &piece, 1) >= 1 && piece.iov_len >= sizeof(go_on) - 1 &&
        memcmp(piece.iov_base, go_on, sizeof(go_on) - 1) == 0) {
        return;
    }
    peer_refuse_soon(peer, &not_http);
}

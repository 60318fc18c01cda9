/* Within gate: one connection, and how it is refused. */
#ifndef SHIM_PEER_H
#define SHIM_PEER_H

#include <event2/buffer.h>

#include "shim/chunked.h"
#include "shim/gate.h"
#include "shim/head.h"

/* How long after a refusal the client may go on sending. */
#define PEER_LINGER_US (2 * US_PER_S)
#define PEER_REFUSAL_SIZE 512

enum phase { NEW, HEAD, BODY, BUSY, SENDING, RESTING, STREAMING, ENDING, REFUSED };

struct peer {
    struct gate *gate;
    TAILQ_ENTRY(peer) in_peers;
    TAILQ_ENTRY(peer) in_waiting;
    bool is_waiting;
    struct bufferevent *bufferevent;
    /* NULL until evhttp has made it. */
    struct evhttp_connection *connection;
    int fd;
    enum phase phase;
    /* Monotonic; 0 = none. */
    int64_t deadline_us;
    /* Bytes that evhttp is not to see yet. */
    struct evbuffer *held;
    size_t scanned;
    bool is_chunked;
    struct chunked chunked;
    /* What was held is being put back, and is not new. */
    bool is_putting_back;
    /* Bytes that stand in the budget for this peer; of these, those of a stream's request. */
    size_t charged;
    size_t stream_base;
    /* A refusal that has not been written yet. */
    const struct refusal *why;
    bool is_counted;
    struct address_key address;
    void *owner;
    void (*owner_gone)(void *owner);
    /* Of a stream. */
    void (*drained)(void *owner);
};

/* So far from now. */
int64_t peer_deadline(unsigned ms);

/* A deadline of 0 is none. */
void peer_set_phase(struct peer *peer, enum phase phase, int64_t deadline_us);

/* From now on the peer holds so many bytes. */
void peer_charge(struct peer *peer, size_t bytes);

/* Of a stream: something was put into the output, or taken from it. */
void peer_note_progress(struct peer *peer, struct evbuffer *output, const struct evbuffer_cb_info *info);

/* For the bufferevent's buffers, with the peer as argument. */
void peer_on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *peer);
void peer_on_output(struct evbuffer *output, const struct evbuffer_cb_info *info, void *peer);

/* Puts what the input holds aside, so that evhttp does not see it. */
void peer_hold(struct peer *peer, struct evbuffer *input);

/* As soon as evhttp has returned to the loop, which can be done within its callbacks: looks after the peer;
 * refuses it. */
void peer_attend_soon(struct peer *peer);
void peer_refuse_soon(struct peer *peer, const struct refusal *why);

/* Not from within a callback of its buffers. */
void peer_refuse(struct peer *peer, const struct refusal *why);

/* Lets the output go out, and ends the connection. */
void peer_end(struct peer *peer);

/* The whole answer. Returns its length. */
size_t peer_refusal_text(const struct refusal *why, char text[PEER_REFUSAL_SIZE]);

#endif

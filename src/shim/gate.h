/*
 * The gate of one loop: what stands between the sockets and evhttp. It knows every connection from its first
 * moment; looks at each head before evhttp does (head.h); keeps the deadlines, which are absolute, where
 * evhttp only knows inactivity; and holds the caps. Everything here is called on the loop's thread, except
 * that gate_shared is used by all loops.
 */
#ifndef SHIM_GATE_H
#define SHIM_GATE_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/metrics.h"
#include "shim/addresses.h"
#include "shim/budget.h"
#include "shim/http_status.h"
#include "shim/shim.h"

/* Of all loops. */
struct gate_shared {
    struct shim_limits limits;
    SSL_CTX *tls;
    struct addresses *addresses;
    struct budget budget;
    atomic_uint connections;
    struct counter connections_total;
    struct counter connections_refused;
    /* By http_status_index(). */
    struct counter guarded[HTTP_STATUSES + 1];
};

struct peer;
TAILQ_HEAD(peer_list, peer);

struct gate {
    struct gate_shared *shared;
    struct event *attend;
    struct event *tick;
    struct peer_list peers;
    /* Peers to be looked after as soon as evhttp has returned to the loop. */
    struct peer_list waiting;
    /* By file descriptor. */
    struct peer **by_fd;
    size_t by_fd_size;
    /* Connections with a request or an answer under way. */
    unsigned n_busy;
};

MUST_USE enum status gate_init(struct gate *gate, struct event_base *base, struct gate_shared *shared);
/* After evhttp_free(), which ends the connections. */
void gate_release(struct gate *gate);

/* For evhttp_set_bevcb(), with the gate as argument. */
struct bufferevent *gate_new_connection(struct event_base *base, void *gate);

/* evhttp has read a request: whose it is. NULL for a connection that the gate does not know, which is to be
 * closed. */
struct peer *gate_begin_request(struct gate *gate, struct evhttp_request *request);

/* May an answer of this length wait to be taken? One that has to be told is sent all the same. */
bool gate_has_room(const struct peer *peer, size_t answer_length);

/* The answer is about to be given to evhttp. */
void gate_begin_answer(struct peer *peer, struct evhttp_request *request);

/* Whose the request under way is: told by `gone` that its connection has ended before the answer. NULL =
 * nobody's. */
void gate_set_owner(struct peer *peer, void *owner, void (*gone)(void *owner));

/*
 * The owner answers without end: takes the connection from evhttp for good. What is put into the output goes
 * out as it stands, head and all; `drained` is called with the owner whenever all of it is out. A client that
 * takes nothing of it for the time that an answer may take is cut off. What it sends is dropped; its end is
 * told by `gone`.
 */
void gate_begin_stream(struct peer *peer, void (*drained)(void *owner));
struct evbuffer *gate_stream_output(struct peer *peer);
/* The output is complete. The owner is not called any more, and must not touch the peer. */
void gate_end_stream(struct peer *peer);

/* Closes connections that wait for a request. */
void gate_close_resting(struct gate *gate);

#endif

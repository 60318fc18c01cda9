/*
 * The connections of a server: how many there may be, and which of them do not take their answers. Any
 * thread.
 */
#ifndef RPC_PEERS_H
#define RPC_PEERS_H

#include <nng/nng.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/status.h"

struct peer;
struct peers;

struct peers_limits {
    /* In all, and from one host other than this (an IPv4 address, or a /64 of IPv6). At least 1 each. */
    unsigned connections_max;
    unsigned host_max;
    /* When peers that are slow to take their answers have more than so many to come, those with the most lose
     * their connections. */
    unsigned overdue_max;
};

/* An answer on its way. The caller's storage: `aio`, which sends it, is set; the rest belongs to peers. */
struct answer {
    nng_aio *aio;
    struct peer *peer;
    int64_t since_us;
    TAILQ_ENTRY(answer) next;
};

struct peers_stats {
    uint64_t refused;
    uint64_t dropped;
};

/* As many connections as the process's limit of descriptors allows, with some left for other files. */
unsigned peers_default_max(void);

/* The caller owns *ret_peers. */
MUST_USE enum status peers_new(const struct peers_limits *limits, struct peers **ret_peers,
                               struct diag *diag);
/* NULL is fine. Nobody may use `peers` any more, and no answer may be on its way. */
void peers_free(struct peers *peers);

/* What peers_add takes for the peer's host: 0 for one that is not limited by itself (loopback, ipc, inproc).
 */
uint64_t peers_host(const nng_sockaddr *address);

/* A new connection. False when it is one too many: then it must be closed. */
MUST_USE bool peers_add(struct peers *peers, nng_pipe pipe, uint64_t host);
/* A connection that is gone. One that was not added is fine. */
void peers_remove(struct peers *peers, nng_pipe pipe);

/*
 * To be called before an answer is sent and, if it is sent, when that has ended: answer_ends before the aio
 * is used again, since an overdue answer's aio is cancelled. False when the peer was given up: then the
 * answer must not be sent.
 */
MUST_USE bool peers_answer_begins(struct peers *peers, nng_pipe pipe, struct answer *answer);
void peers_answer_ends(struct peers *peers, struct answer *answer);

/* Ends the connection, the first time that it is called for it. */
void peers_give_up(struct peers *peers, nng_pipe pipe);

struct peers_stats peers_stats(const struct peers *peers);

#endif

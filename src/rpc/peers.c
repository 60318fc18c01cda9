/*
 * An answer that nng cannot hand to the transport keeps its context, and a peer that asks much and reads
 * nothing would have all contexts in no time. How many answers wait says nothing against a peer: a good
 * client with a thousand calls under way has hundreds of them queued for some milliseconds. So what counts is
 * how long its oldest answer has waited: a peer is slow when that is more than OVERDUE_MS. When the slow ones
 * together hold more than overdue_max answers, each that holds more than an equal part of overdue_max is
 * given up. There always is such a one, so the rest of the contexts stays free for others, whoever and
 * however many the slow ones are; and a slow peer that nobody suffers from is left alone.
 *
 * Giving up cancels the peer's answers at once, and no later answer is sent to it. So its contexts are free
 * even where its connection cannot be ended. An aio is only cancelled while its answer is listed, under the
 * mutex, and its owner uses it again only after taking the answer off the list: it is never another operation
 * of the same aio that is cancelled.
 *
 * The timer runs only while so many answers are on their way that somebody may have to go. nng calls nothing
 * of ours from within its locks, so its functions may be called under the mutex.
 */
#include "rpc/peers.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "rpc/nng_compat.h"

#define BUCKETS 1024
#define OVERDUE_MS 250
#define TICK_MS 50
/* Ending a connection takes a millisecond or so where there are thousands. */
#define VICTIMS_MAX 64
#define DESCRIPTORS_LEFT 64
#define CONNECTIONS_CAP (1U << 20)
#define LOG_PERIOD_US (60 * US_PER_S)

struct host {
    uint64_t key;
    unsigned n_peers;
    LIST_ENTRY(host) next;
};

LIST_HEAD(host_list, host);

struct peer {
    nng_pipe pipe;
    /* NULL when its host is not limited. */
    struct host *host;
    /* Oldest first. */
    TAILQ_HEAD(answer_list, answer) answers;
    unsigned n_answers;
    bool given_up;
    LIST_ENTRY(peer) next;
    /* In peers->waiting while it has answers and is not given up. */
    TAILQ_ENTRY(peer) next_waiting;
};

LIST_HEAD(peer_list, peer);

struct peers {
    struct peers_limits limits;
    nng_aio *timer;
    struct counter refused;
    struct counter dropped;

    pthread_mutex_t mutex;
    /* All below under mutex. */
    struct peer_list by_pipe[BUCKETS];
    struct host_list hosts[BUCKETS];
    TAILQ_HEAD(waiting_list, peer) waiting;
    unsigned n_peers;
    unsigned n_answers;
    /* The timer runs, or is about to. */
    bool watching;
    int64_t refused_logged_us;
    int64_t dropped_logged_us;
};

static void sweep(void *arg);

unsigned peers_default_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > CONNECTIONS_CAP) {
        return CONNECTIONS_CAP;
    }
    unsigned descriptors = (unsigned)limit.rlim_cur;
    return descriptors > DESCRIPTORS_LEFT ? descriptors - DESCRIPTORS_LEFT : 1;
}

enum status peers_new(const struct peers_limits *limits, struct peers **ret_peers, struct diag *diag)
{
    struct peers *peers = calloc(1, sizeof(*peers));
    if (peers == NULL || nng_aio_alloc(&peers->timer, sweep, peers) != 0) {
        free(peers);
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for a list of connections");
    }
    peers->limits = *limits;
    TAILQ_INIT(&peers->waiting);
    pthread_mutex_init(&peers->mutex, NULL);
    *ret_peers = peers;
    return STATUS_OK;
}

static struct peer *find(struct peers *peers, nng_pipe pipe)
{
    struct peer *peer;
    LIST_FOREACH(peer, &peers->by_pipe[pipe.id % BUCKETS], next)
    {
        if (peer->pipe.id == pipe.id) {
            return peer;
        }
    }
    return NULL;
}

uint64_t peers_host(const nng_sockaddr *address)
{
    const uint64_t v4 = UINT64_C(1) << 32;
    const uint8_t *v6 = (const uint8_t *)address->s_in6.sa_addr;
    uint32_t low;
    uint64_t prefix;
    switch (address->s_family) {
    case NNG_AF_INET:
        return (address->s_in.sa_addr & htonl(0xFF000000)) == htonl(0x7F000000) ? 0
                                                                                : v4 | address->s_in.sa_addr;
    case NNG_AF_INET6:
        if (memcmp(v6, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16) == 0) {
            return 0;
        }
        if (memcmp(v6, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12) == 0) {
            memcpy(&low, v6 + 12, sizeof(low));
            return v6[12] == 127 ? 0 : v4 | low;
        }
        memcpy(&prefix, v6, sizeof(prefix));
        return prefix;
    default:
        return 0;
    }
}

static struct host_list *host_bucket(struct peers *peers, uint64_t key)
{
    /* Fibonacci hashing (Knuth, TAOCP volume 3, section 6.4). */
    return &peers->hosts[(key * UINT64_C(0x9E3779B97F4A7C15)) >> 32 & (BUCKETS - 1)];
}

/* The host with one connection more; NULL when that is one too many, or for want of memory. */
static struct host *enter_host(struct peers *peers, uint64_t key)
{
    struct host_list *bucket = host_bucket(peers, key);
    struct host *host;
    LIST_FOREACH(host, bucket, next)
    {
        if (host->key == key) {
            if (host->n_peers >= peers->limits.host_max) {
                return NULL;
            }
            host->n_peers++;
            return host;
        }
    }
    host = calloc(1, sizeof(*host));
    if (host != NULL) {
        host->key = key;
        host->n_peers = 1;
        LIST_INSERT_HEAD(bucket, host, next);
    }
    return host;
}

static void leave_host(struct host *host)
{
    if (host != NULL && --host->n_peers == 0) {
        LIST_REMOVE(host, next);
        free(host);
    }
}

static bool admit(struct peers *peers, nng_pipe pipe, uint64_t key)
{
    if (peers->n_peers >= peers->limits.connections_max) {
        return false;
    }
    struct peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return false;
    }
    if (key != 0) {
        peer->host = enter_host(peers, key);
        if (peer->host == NULL) {
            free(peer);
            return false;
        }
    }
    peer->pipe = pipe;
    TAILQ_INIT(&peer->answers);
    LIST_INSERT_HEAD(&peers->by_pipe[pipe.id % BUCKETS], peer, next);
    peers->n_peers++;
    return true;
}

/* Whether it is time for another line. */
static bool may_log(int64_t *logged_us)
{
    int64_t now_us = monotonic_us();
    if (*logged_us != 0 && now_us - *logged_us < LOG_PERIOD_US) {
        return false;
    }
    *logged_us = now_us;
    return true;
}

bool peers_add(struct peers *peers, nng_pipe pipe, uint64_t host)
{
    pthread_mutex_lock(&peers->mutex);
    bool admitted = admit(peers, pipe, host);
    unsigned n = peers->n_peers;
    bool say = !admitted && may_log(&peers->refused_logged_us);
    pthread_mutex_unlock(&peers->mutex);
    if (admitted) {
        return true;
    }
    counter_add(&peers->refused, 1);
    if (say) {
        log_warn("too many connections; new ones are refused", log_int("open", n),
                 log_int("max", peers->limits.connections_max),
                 log_int("max_of_a_host", peers->limits.host_max),
                 log_int("refused", (int64_t)counter_read(&peers->refused)));
    }
    return false;
}

static void unlist(struct peers *peers, struct peer *peer, struct answer *answer)
{
    TAILQ_REMOVE(&peer->answers, answer, next);
    answer->peer = NULL;
    peer->n_answers--;
    peers->n_answers--;
    if (peer->n_answers == 0 && !peer->given_up) {
        TAILQ_REMOVE(&peers->waiting, peer, next_waiting);
    }
}

static void forget(struct peers *peers, struct peer *peer)
{
    struct answer *answer;
    while ((answer = TAILQ_FIRST(&peer->answers)) != NULL) {
        unlist(peers, peer, answer);
    }
    leave_host(peer->host);
    LIST_REMOVE(peer, next);
    free(peer);
    peers->n_peers--;
}

void peers_remove(struct peers *peers, nng_pipe pipe)
{
    pthread_mutex_lock(&peers->mutex);
    struct peer *peer = find(peers, pipe);
    if (peer != NULL) {
        forget(peers, peer);
    }
    pthread_mutex_unlock(&peers->mutex);
}

bool peers_answer_begins(struct peers *peers, nng_pipe pipe, struct answer *answer)
{
    bool watch = false;
    pthread_mutex_lock(&peers->mutex);
    struct peer *peer = find(peers, pipe);
    bool given_up = peer != NULL && peer->given_up;
    answer->peer = NULL;
    if (peer != NULL && !given_up) {
        answer->peer = peer;
        answer->since_us = monotonic_us();
        TAILQ_INSERT_TAIL(&peer->answers, answer, next);
        if (peer->n_answers++ == 0) {
            TAILQ_INSERT_TAIL(&peers->waiting, peer, next_waiting);
        }
        watch = ++peers->n_answers > peers->limits.overdue_max && !peers->watching;
        peers->watching = peers->watching || watch;
    }
    pthread_mutex_unlock(&peers->mutex);
    if (watch) {
        nng_sleep_aio(TICK_MS, peers->timer);
    }
    return !given_up;
}

void peers_answer_ends(struct peers *peers, struct answer *answer)
{
    pthread_mutex_lock(&peers->mutex);
    if (answer->peer != NULL) {
        unlist(peers, answer->peer, answer);
    }
    pthread_mutex_unlock(&peers->mutex);
}

/* The connection itself is the caller's to end, without the mutex. */
static void give_up(struct peers *peers, struct peer *peer)
{
    if (peer->n_answers > 0) {
        TAILQ_REMOVE(&peers->waiting, peer, next_waiting);
    }
    peer->given_up = true;
    struct answer *answer;
    TAILQ_FOREACH(answer, &peer->answers, next)
    {
        nng_aio_cancel(answer->aio);
    }
}

static void end_connections(struct peers *peers, const nng_pipe *pipes, unsigned n)
{
    if (n == 0) {
        return;
    }
    counter_add(&peers->dropped, n);
    pthread_mutex_lock(&peers->mutex);
    bool say = may_log(&peers->dropped_logged_us);
    pthread_mutex_unlock(&peers->mutex);
    if (say) {
        log_warn("peers that do not take their answers lose their connections",
                 log_int("dropped", (int64_t)counter_read(&peers->dropped)));
    }
    for (unsigned i = 0; i < n; i++) {
        nng_drop_pipe(pipes[i]);
    }
}

void peers_give_up(struct peers *peers, nng_pipe pipe)
{
    pthread_mutex_lock(&peers->mutex);
    struct peer *peer = find(peers, pipe);
    bool first = peer != NULL && !peer->given_up;
    if (first) {
        give_up(peers, peer);
    }
    pthread_mutex_unlock(&peers->mutex);
    end_connections(peers, &pipe, first ? 1 : 0);
}

static bool is_slow(const struct peer *peer, int64_t now_us)
{
    return now_us - TAILQ_FIRST(&peer->answers)->since_us > OVERDUE_MS * US_PER_MS;
}

/* Gives up those who must go; how many. */
static unsigned give_up_slow(struct peers *peers, nng_pipe victims[VICTIMS_MAX])
{
    int64_t now_us = monotonic_us();
    unsigned slow = 0;
    unsigned overdue = 0;
    struct peer *peer;
    TAILQ_FOREACH(peer, &peers->waiting, next_waiting)
    {
        if (is_slow(peer, now_us)) {
            slow++;
            overdue += peer->n_answers;
        }
    }
    if (overdue <= peers->limits.overdue_max) {
        return 0;
    }
    unsigned share = peers->limits.overdue_max / slow;
    unsigned n = 0;
    struct peer *following;
    for (peer = TAILQ_FIRST(&peers->waiting); peer != NULL && n < VICTIMS_MAX; peer = following) {
        following = TAILQ_NEXT(peer, next_waiting);
        if (peer->n_answers > share && is_slow(peer, now_us)) {
            victims[n++] = peer->pipe;
            give_up(peers, peer);
        }
    }
    return n;
}

static void sweep(void *arg)
{
    struct peers *peers = arg;
    if (nng_aio_result(peers->timer) != 0) {
        return;
    }
    nng_pipe victims[VICTIMS_MAX];
    pthread_mutex_lock(&peers->mutex);
    unsigned n = give_up_slow(peers, victims);
    bool go_on = peers->n_answers > peers->limits.overdue_max;
    peers->watching = go_on;
    pthread_mutex_unlock(&peers->mutex);
    end_connections(peers, victims, n);
    if (go_on) {
        nng_sleep_aio(TICK_MS, peers->timer);
    }
}

struct peers_stats peers_stats(const struct peers *peers)
{
    return (struct peers_stats){.refused = counter_read(&peers->refused),
                                .dropped = counter_read(&peers->dropped)};
}

void peers_free(struct peers *peers)
{
    if (peers == NULL) {
        return;
    }
    nng_aio_stop(peers->timer);
    nng_aio_free(peers->timer);
    for (size_t i = 0; i < BUCKETS; i++) {
        struct peer *following;
        for (struct peer *peer = LIST_FIRST(&peers->by_pipe[i]); peer != NULL; peer = following) {
            following = LIST_NEXT(peer, next);
            forget(peers, peer);
        }
    }
    pthread_mutex_destroy(&peers->mutex);
    free(peers);
}

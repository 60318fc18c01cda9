/*
 * nng below 1.6 has two faults by which an anonymous peer can stop a server for good. Both were found by
 * attack, and neither is reported by nng when it happens.
 *
 * A listener ends. Sending our greeting to a peer that has reset its connection fails with EPIPE; nng makes
 * NNG_ECLOSED of that, which the accept loop takes for its own end. Old connections live on, no new one is
 * accepted.
 *
 * The reaper hangs. Closing a pipe marks its aios as stopped. A transfer that was complete by then, but whose
 * callback had yet to run and start the next part (a frame is read in two), finds its aio stopped, and in
 * these versions an operation begun on a stopped aio ends without a word. The one thread that frees pipes
 * then waits for it for ever, and from there on every connection that ends keeps its descriptor. So a pipe
 * must only be closed from within its own receive path.
 *
 * What this file does about it:
 *
 * 1. sendmsg() and epoll_wait() are defined here for the whole process. The linker exports them from the
 * executable, because libnng.so needs them, and the dynamic linker prefers the executable's. The real ones
 * are found with RTLD_NEXT, so that a sanitizer's interceptors stay in the chain. When a connection is lost,
 * sendmsg() answers ECONNRESET for a greeting or a TLS handshake, which the accept loop takes for what it is;
 * anything later it pretends to have sent, so that not the sender but the receiver finds the end and closes.
 * epoll_wait() reports an error as "readable and writable", for the same reason. For others in the process
 * neither is a lie: TCP's "sent" never meant "arrived", and libevent treats EPOLLERR and EPOLLHUP in just
 * this way.
 * 2. Where we want a connection gone, its descriptor is shut down, and the receive path does the rest.
 * 3. A watchdog dials every listener once a second and waits for the greeting. One that fails twice in a row
 * is closed and opened at the same address. That ends its connections, but their calls fail at once and can
 * be repeated, whereas a dead listener fails nobody visibly. A failure of our own to dial (no descriptors, no
 * memory) is not held against it. It also sees whether the connections that it makes and ends are ever freed;
 * when not, only a restart helps.
 *
 * What remains: an error of the receiver that meets the callback of a send which got out only in part.
 */
#include "rpc/nng_compat.h"

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <nng/supplemental/util/platform.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/log.h"

#define PERIOD_S 1
#define PROBE_TIMEOUT_MS 2000
#define FAILURES_MAX 2
/* Connections that the watchdog has ended while none at all was freed: then the reaper hangs. */
#define UNFREED_MAX 10
/* For receive paths to notice that their connections were shut down. */
#define SETTLE_MS 50
#define CLOSE_MAX_S 2

typedef ssize_t sendmsg_fn(int fd, const struct msghdr *message, int flags);
typedef int epoll_wait_fn(int epoll_fd, struct epoll_event *events, int n, int timeout_ms);

/* Written once before main. */
static sendmsg_fn *real_sendmsg;
static epoll_wait_fn *real_epoll_wait;

__attribute__((constructor)) static void find_real_functions(void)
{
    /* POSIX's way to take a function out of a void pointer. */
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
    *(void **)&real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
}

/* An SP greeting, or a TLS record of any type but application data (RFC 5246, section 6.2.1). */
static bool is_handshake(const struct msghdr *message, size_t length)
{
    const uint8_t *data = message->msg_iovlen > 0 ? message->msg_iov[0].iov_base : NULL;
    size_t n = message->msg_iovlen > 0 ? message->msg_iov[0].iov_len : 0;
    return (length == 8 && n == 8 && memcmp(data, "\0SP", 4) == 0) ||
           (n >= 3 && data[0] >= 0x14 && data[0] <= 0x16 && data[1] == 3);
}

static bool connection_is_lost(int error)
{
    return error == EPIPE || error == ECONNRESET || error == ETIMEDOUT || error == EHOSTUNREACH ||
           error == ENETUNREACH || error == ENOTCONN;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (real_sendmsg == NULL) {
        find_real_functions();
    }
    ssize_t sent = real_sendmsg(fd, message, flags);
    if (sent >= 0 || !connection_is_lost(errno)) {
        return sent;
    }
    size_t length = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++) {
        length += message->msg_iov[i].iov_len;
    }
    if (is_handshake(message, length)) {
        errno = ECONNRESET;
        return -1;
    }
    return (ssize_t)length;
}

int epoll_wait(int epoll_fd, struct epoll_event *events, int n, int timeout_ms)
{
    if (real_epoll_wait == NULL) {
        find_real_functions();
    }
    int ready = real_epoll_wait(epoll_fd, events, n, timeout_ms);
    for (int i = 0; i < ready; i++) {
        if ((events[i].events & (EPOLLERR | EPOLLHUP)) != 0) {
            events[i].events &= ~(uint32_t)(EPOLLERR | EPOLLHUP);
            events[i].events |= EPOLLIN | EPOLLOUT;
        }
    }
    return ready;
}

union address {
    struct sockaddr_storage any;
    struct sockaddr_un path;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* One connected socket of this process. */
struct connection {
    int fd;
    union address local;
    union address peer;
};

typedef bool connection_test(const struct connection *connection, const void *arg);

/* Shuts down every connection that passes the test. nng does not give its descriptors away: all of the
 * process are looked at. */
static void shut_down(connection_test *test, const void *arg)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        struct connection connection = {.fd = (int)strtol(entry->d_name, NULL, 10)};
        socklen_t local_size = sizeof(connection.local);
        socklen_t peer_size = sizeof(connection.peer);
        if (getsockname(connection.fd, (struct sockaddr *)&connection.local, &local_size) == 0 &&
            getpeername(connection.fd, (struct sockaddr *)&connection.peer, &peer_size) == 0 &&
            test(&connection, arg)) {
            shutdown(connection.fd, SHUT_RDWR);
        }
    }
    closedir(folder);
}

struct pipe_identity {
    nng_sockaddr remote;
    /* Of the process at the other end, for ipc, where connections have no addresses of their own. */
    uint64_t pid;
};

static bool belongs_to_pipe(const struct connection *connection, const void *arg)
{
    const struct pipe_identity *pipe = arg;
    const union address *peer = &connection->peer;
    struct ucred owner;
    socklen_t size = sizeof(owner);
    switch (pipe->remote.s_family) {
    case NNG_AF_INET:
        return peer->any.ss_family == AF_INET && peer->v4.sin_port == pipe->remote.s_in.sa_port &&
               peer->v4.sin_addr.s_addr == pipe->remote.s_in.sa_addr;
    case NNG_AF_INET6:
        return peer->any.ss_family == AF_INET6 && peer->v6.sin6_port == pipe->remote.s_in6.sa_port &&
               memcmp(&peer->v6.sin6_addr, pipe->remote.s_in6.sa_addr, sizeof(peer->v6.sin6_addr)) == 0;
    case NNG_AF_IPC:
        /* Only the server's end has a path. */
        return connection->local.any.ss_family == AF_UNIX && connection->local.path.sun_path[0] != 0 &&
               getsockopt(connection->fd, SOL_SOCKET, SO_PEERCRED, &owner, &size) == 0 &&
               (uint64_t)owner.pid == pipe->pid;
    default:
        return false;
    }
}

void nng_drop_pipe(nng_pipe pipe)
{
    struct pipe_identity identity = {.pid = 0};
    if (nng_pipe_get_addr(pipe, NNG_OPT_REMADDR, &identity.remote) != 0) {
        return;
    }
    if (identity.remote.s_family == NNG_AF_IPC) {
        (void)nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_PID, &identity.pid);
        /* Processes of other pid namespaces all have 0, and those who behave must not suffer. */
        if (identity.pid == 0) {
            return;
        }
    }
    shut_down(belongs_to_pipe, &identity);
}

static bool came_in_by(const struct connection *connection, const void *arg)
{
    const struct endpoint *endpoint = arg;
    const union address *local = &connection->local;
    switch (endpoint->kind) {
    case ENDPOINT_TCP:
    case ENDPOINT_TLS:
        return (local->any.ss_family == AF_INET && ntohs(local->v4.sin_port) == endpoint->port) ||
               (local->any.ss_family == AF_INET6 && ntohs(local->v6.sin6_port) == endpoint->port);
    case ENDPOINT_IPC:
        return local->any.ss_family == AF_UNIX && strcmp(local->path.sun_path, endpoint_path(endpoint)) == 0;
    default:
        return false;
    }
}

void nng_end_connections(const struct listener *listener)
{
    shut_down(came_in_by, &listener->endpoint);
    nng_msleep(SETTLE_MS);
}

static void *close_socket(void *arg)
{
    nng_socket socket = {.id = (uint32_t)(uintptr_t)arg};
    nng_close(socket);
    return NULL;
}

bool nng_close_in_time(nng_socket socket)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, close_socket, (void *)(uintptr_t)socket.id) != 0) {
        return false;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLOSE_MAX_S;
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
        pthread_detach(thread);
        log_warn("nng does not end; its sockets stay open until the process ends");
        return false;
    }
    return true;
}

struct watched {
    struct listener *listener;
    nng_stream_dialer *dialer;
    unsigned failures;
};

struct nng_watchdog {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping; /* under mutex */
    nng_aio *aio;
    nng_tls_config *tls;
    struct nng_events *events;
    uint64_t freed_before;
    unsigned unfreed;
    size_t n;
    struct watched watched[];
};

/* A TCP listener on every interface is dialled through the loopback one. */
static int new_dialer(struct watched *watched, nng_tls_config *tls)
{
    struct endpoint endpoint = watched->listener->endpoint;
    if ((endpoint.kind == ENDPOINT_TCP || endpoint.kind == ENDPOINT_TLS) && endpoint.host[0] == 0) {
        snprintf(endpoint.url, sizeof(endpoint.url), "%s://127.0.0.1:%u",
                 endpoint.kind == ENDPOINT_TLS ? "tls+tcp" : "tcp", endpoint.port);
    }
    int error = nng_stream_dialer_alloc(&watched->dialer, endpoint.url);
    if (error == 0 && endpoint.kind == ENDPOINT_TLS) {
        error = nng_stream_dialer_set_ptr(watched->dialer, NNG_OPT_TLS_CONFIG, tls);
    }
    return error;
}

static int transfer(nng_stream *stream, nng_aio *aio, void (*operation)(nng_stream *, nng_aio *),
                    uint8_t *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        nng_iov iov = {.iov_buf = data + done, .iov_len = length - done};
        int error = nng_aio_set_iov(aio, 1, &iov);
        if (error != 0) {
            return error;
        }
        operation(stream, aio);
        nng_aio_wait(aio);
        error = nng_aio_result(aio);
        if (error != 0) {
            return error;
        }
        done += nng_aio_count(aio);
    }
    return 0;
}

/* Connects as a REQ peer and waits for the greeting of a REP one. */
static int probe(struct nng_watchdog *watchdog, const struct watched *watched)
{
    static const uint8_t rep[8] = {0, 'S', 'P', 0, 0, 0x31, 0, 0};
    uint8_t greeting[8] = {0, 'S', 'P', 0, 0, 0x30, 0, 0};
    nng_stream_dialer_dial(watched->dialer, watchdog->aio);
    nng_aio_wait(watchdog->aio);
    int error = nng_aio_result(watchdog->aio);
    if (error != 0) {
        return error;
    }
    nng_stream *stream = nng_aio_get_output(watchdog->aio, 0);
    error = transfer(stream, watchdog->aio, nng_stream_send, greeting, sizeof(greeting));
    if (error == 0) {
        error = transfer(stream, watchdog->aio, nng_stream_recv, greeting, sizeof(greeting));
    }
    if (error == 0 && memcmp(greeting, rep, sizeof(rep)) != 0) {
        error = NNG_EPROTO;
    }
    nng_stream_free(stream);
    return error;
}

static void revive(struct nng_watchdog *watchdog, struct watched *watched)
{
    const char *url = watched->listener->endpoint.url;
    struct diag diag;
    nng_end_connections(watched->listener);
    listener_close(watched->listener);
    if (listener_open(watched->listener, &diag) != STATUS_OK) {
        log_error("listener stopped answering and cannot be opened again", log_str("url", url),
                  log_str("reason", diag.text));
        return;
    }
    watched->failures = 0;
    counter_add(&watchdog->events->listeners_revived, 1);
    log_warn("listener stopped answering and was opened again", log_str("url", url));
}

/* Called after each probe that got through, whose connection is to be freed by the next or so. */
static void check_reaper(struct nng_watchdog *watchdog)
{
    uint64_t freed = counter_read(&watchdog->events->pipes_freed);
    watchdog->unfreed = freed == watchdog->freed_before ? watchdog->unfreed + 1 : 0;
    watchdog->freed_before = freed;
    if (watchdog->unfreed == UNFREED_MAX) {
        atomic_store(&watchdog->events->reaper_hangs, true);
        log_error("nng no longer frees connections; restart this process before its descriptors run out");
    }
}

static void check(struct nng_watchdog *watchdog, struct watched *watched)
{
    int error = watched->listener->bound ? probe(watchdog, watched) : NNG_ECLOSED;
    switch (error) {
    case 0:
        watched->failures = 0;
        check_reaper(watchdog);
        return;
    case NNG_ENOFILES:
    case NNG_ENOMEM:
    case NNG_ECANCELED:
        return;
    default:
        watched->failures++;
    }
    if (watched->failures >= FAILURES_MAX) {
        revive(watchdog, watched);
    }
}

/* Sleeps for a period; false when it is time to stop. */
static bool rest(struct nng_watchdog *watchdog)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PERIOD_S;
    pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->stopping &&
           pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until) != ETIMEDOUT) {
    }
    bool stopping = watchdog->stopping;
    pthread_mutex_unlock(&watchdog->mutex);
    return !stopping;
}

static void *run(void *arg)
{
    struct nng_watchdog *watchdog = arg;
    while (rest(watchdog)) {
        for (size_t i = 0; i < watchdog->n; i++) {
            check(watchdog, &watchdog->watched[i]);
        }
    }
    return NULL;
}

static void release(struct nng_watchdog *watchdog)
{
    for (size_t i = 0; i < watchdog->n; i++) {
        nng_stream_dialer_free(watchdog->watched[i].dialer);
    }
    if (watchdog->tls != NULL) {
        nng_tls_config_free(watchdog->tls);
    }
    nng_aio_free(watchdog->aio);
    pthread_cond_destroy(&watchdog->wake);
    pthread_mutex_destroy(&watchdog->mutex);
    free(watchdog);
}

/* Whether it answers is the question, not who it is: its certificate is not checked. */
static int set_up(struct nng_watchdog *watchdog, struct listener *listeners, size_t n)
{
    int error = nng_aio_alloc(&watchdog->aio, NULL, NULL);
    if (error != 0) {
        return error;
    }
    nng_aio_set_timeout(watchdog->aio, PROBE_TIMEOUT_MS);
    for (size_t i = 0; i < n && error == 0; i++) {
        if (listeners[i].endpoint.kind == ENDPOINT_INPROC) {
            continue;
        }
        if (listeners[i].endpoint.kind == ENDPOINT_TLS && watchdog->tls == NULL) {
            error = nng_tls_config_alloc(&watchdog->tls, NNG_TLS_MODE_CLIENT);
            error = error == 0 ? nng_tls_config_auth_mode(watchdog->tls, NNG_TLS_AUTH_MODE_NONE) : error;
        }
        if (error == 0) {
            struct watched *watched = &watchdog->watched[watchdog->n];
            watched->listener = &listeners[i];
            error = new_dialer(watched, watchdog->tls);
            watchdog->n += watched->dialer != NULL ? 1 : 0;
        }
    }
    return error;
}

enum status nng_watchdog_start(struct listener *listeners, size_t n, struct nng_events *events,
                               struct nng_watchdog **ret_watchdog, struct diag *diag)
{
    struct nng_watchdog *watchdog = calloc(1, sizeof(*watchdog) + n * sizeof(watchdog->watched[0]));
    if (watchdog == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for the listeners' watchdog");
    }
    watchdog->events = events;
    pthread_mutex_init(&watchdog->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&watchdog->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int error = set_up(watchdog, listeners, n);
    if (error != 0 || pthread_create(&watchdog->thread, NULL, run, watchdog) != 0) {
        release(watchdog);
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "cannot start the listeners' watchdog");
    }
    *ret_watchdog = watchdog;
    return STATUS_OK;
}

void nng_watchdog_stop(struct nng_watchdog *watchdog)
{
    if (watchdog == NULL) {
        return;
    }
    pthread_mutex_lock(&watchdog->mutex);
    watchdog->stopping = true;
    pthread_cond_signal(&watchdog->wake);
    pthread_mutex_unlock(&watchdog->mutex);
    /* Ends a probe under way; no later one can begin. */
    nng_aio_stop(watchdog->aio);
    pthread_join(watchdog->thread, NULL);
    release(watchdog);
}

#endif

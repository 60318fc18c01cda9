/*
 * In nng below 1.6 a peer that connects, closes and resets at once can stop a listener for good: sending it
 * our greeting fails with EPIPE, nng makes NNG_ECLOSED of that, and the accept loop takes NNG_ECLOSED for its
 * own end (fixed in nng 1.6.0). Nothing is reported, and old connections live on, but no new one is ever
 * accepted. Two lines of defence:
 *
 * 1. This file defines sendmsg() for the whole process. It calls the real one and turns EPIPE into
 * ECONNRESET, which the accept loop takes for what it is. The linker exports the symbol from the executable,
 * because libnng.so needs it, and the dynamic linker prefers the executable's. The real one is found with
 * RTLD_NEXT, so that a sanitizer's interceptor stays in the chain. Nobody else in this process tells EPIPE
 * and ECONNRESET of sendmsg() apart.
 *
 * 2. A watchdog dials every listener once a second and waits for the greeting. One that fails twice in a row
 * is closed and opened at the same address. That ends its connections, but their calls fail at once and can
 * be repeated, whereas a dead listener fails nobody visibly. A failure of our own to dial (no descriptors, no
 * memory) is not held against it.
 */
#include "rpc/nng_compat.h"

#if NNG_MAJOR_VERSION > 1 || NNG_MINOR_VERSION >= 6

enum status nng_watchdog_start(struct listener *listeners, size_t n, struct counter *revived,
                               struct nng_watchdog **ret_watchdog, struct diag *diag)
{
    (void)listeners;
    (void)n;
    (void)revived;
    (void)diag;
    *ret_watchdog = NULL;
    return STATUS_OK;
}

void nng_watchdog_stop(struct nng_watchdog *watchdog)
{
    (void)watchdog;
}

#else

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"

#define PERIOD_S 1
#define PROBE_TIMEOUT_MS 2000
#define FAILURES_MAX 2

typedef ssize_t sendmsg_fn(int fd, const struct msghdr *message, int flags);

static sendmsg_fn *real_sendmsg; /* written once before main */

__attribute__((constructor)) static void find_real_sendmsg(void)
{
    /* POSIX's way to take a function out of a void pointer. */
    *(void **)&real_sendmsg = dlsym(RTLD_NEXT, "sendmsg");
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (real_sendmsg == NULL) {
        find_real_sendmsg();
    }
    ssize_t sent = real_sendmsg(fd, message, flags);
    if (sent < 0 && errno == EPIPE) {
        errno = ECONNRESET;
    }
    return sent;
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
    struct counter *revived;
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
    listener_close(watched->listener);
    if (listener_open(watched->listener, &diag) != STATUS_OK) {
        log_error("listener stopped answering and cannot be opened again", log_str("url", url),
                  log_str("reason", diag.text));
        return;
    }
    watched->failures = 0;
    counter_add(watchdog->revived, 1);
    log_warn("listener stopped answering and was opened again", log_str("url", url));
}

static void check(struct nng_watchdog *watchdog, struct watched *watched)
{
    int error = watched->listener->bound ? probe(watchdog, watched) : NNG_ECLOSED;
    switch (error) {
    case 0:
        watched->failures = 0;
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

enum status nng_watchdog_start(struct listener *listeners, size_t n, struct counter *revived,
                               struct nng_watchdog **ret_watchdog, struct diag *diag)
{
    struct nng_watchdog *watchdog = calloc(1, sizeof(*watchdog) + n * sizeof(watchdog->watched[0]));
    if (watchdog == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for the listeners' watchdog");
    }
    watchdog->revived = revived;
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

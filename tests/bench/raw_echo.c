/*
 * The baseline: what nng itself does. An echo on REP contexts, and a closed loop of REQ contexts that drives
 * it, with nothing in between: no protobuf, no queue, no store.
 *
 *     bench_raw_echo serve URL                                      until its standard input ends
 *     bench_raw_echo load URL REQUESTS IN_FLIGHT CONNECTIONS BYTES  prints one line of JSON
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>

#include "base/clock.h"
#include "base/metrics.h"

#define SERVER_CONTEXTS 1280
#define CONNECTIONS_MAX 64

static void check(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "bench_raw_echo: %s: %s\n", what, nng_strerror(error));
        exit(1);
    }
}

/* ---- server ---- */

struct echo {
    nng_ctx ctx;
    nng_aio *aio;
    bool sending;
};

static void on_echo(void *arg)
{
    struct echo *echo = arg;
    int error = nng_aio_result(echo->aio);
    if (error == NNG_ECLOSED) {
        return;
    }
    if (error != 0 || echo->sending) {
        echo->sending = false;
        nng_ctx_recv(echo->ctx, echo->aio);
        return;
    }
    echo->sending = true;
    nng_ctx_send(echo->ctx, echo->aio);
}

static int serve(const char *url)
{
    static struct echo echoes[SERVER_CONTEXTS];
    nng_socket socket;
    check(nng_rep0_open(&socket), "open");
    for (size_t i = 0; i < SERVER_CONTEXTS; i++) {
        check(nng_ctx_open(&echoes[i].ctx, socket), "context");
        check(nng_aio_alloc(&echoes[i].aio, on_echo, &echoes[i]), "aio");
    }
    check(nng_listen(socket, url, NULL, 0), url);
    for (size_t i = 0; i < SERVER_CONTEXTS; i++) {
        nng_ctx_recv(echoes[i].ctx, echoes[i].aio);
    }
    printf("ready\n");
    fflush(stdout);
    char end;
    while (read(STDIN_FILENO, &end, 1) > 0) {
    }
    return 0;
}

/* ---- client ---- */

struct load {
    uint64_t requests;
    size_t bytes;
    _Atomic uint64_t started;
    struct histogram latency_us;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running;
};

struct slot {
    struct load *load;
    nng_ctx ctx;
    nng_aio *aio;
    bool sending;
    int64_t start_us;
};

static void end_slot(struct load *load)
{
    pthread_mutex_lock(&load->lock);
    load->running--;
    pthread_cond_signal(&load->changed);
    pthread_mutex_unlock(&load->lock);
}

static void start_request(struct slot *slot)
{
    struct load *load = slot->load;
    if (atomic_fetch_add(&load->started, 1) >= load->requests) {
        end_slot(load);
        return;
    }
    nng_msg *message;
    check(nng_msg_alloc(&message, load->bytes), "message");
    memset(nng_msg_body(message), 'x', load->bytes);
    nng_aio_set_msg(slot->aio, message);
    slot->start_us = monotonic_us();
    slot->sending = true;
    nng_ctx_send(slot->ctx, slot->aio);
}

static void on_load(void *arg)
{
    struct slot *slot = arg;
    check(nng_aio_result(slot->aio), "request");
    if (slot->sending) {
        slot->sending = false;
        nng_ctx_recv(slot->ctx, slot->aio);
        return;
    }
    nng_msg_free(nng_aio_get_msg(slot->aio));
    histogram_record(&slot->load->latency_us, (uint64_t)(monotonic_us() - slot->start_us));
    start_request(slot);
}

static void run_load(struct load *load, const char *url, unsigned in_flight, unsigned connections)
{
    nng_socket sockets[CONNECTIONS_MAX];
    struct slot *slots = calloc(in_flight, sizeof(*slots));
    for (unsigned i = 0; i < connections; i++) {
        check(nng_req0_open(&sockets[i]), "open");
        check(nng_socket_set_ms(sockets[i], NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), "resend time");
        check(nng_dial(sockets[i], url, NULL, 0), url);
    }
    for (unsigned i = 0; i < in_flight; i++) {
        slots[i].load = load;
        check(nng_ctx_open(&slots[i].ctx, sockets[i % connections]), "context");
        check(nng_aio_alloc(&slots[i].aio, on_load, &slots[i]), "aio");
    }
    load->running = in_flight;
    int64_t begin_us = monotonic_us();
    for (unsigned i = 0; i < in_flight; i++) {
        start_request(&slots[i]);
    }
    pthread_mutex_lock(&load->lock);
    while (load->running > 0) {
        pthread_cond_wait(&load->changed, &load->lock);
    }
    pthread_mutex_unlock(&load->lock);
    double seconds = (double)(monotonic_us() - begin_us) / (double)US_PER_S;
    printf("{\"method\":\"raw echo\",\"in_flight\":%u,\"connections\":%u,\"per_second\":%.0f,\"p50_us\":%llu,"
           "\"p99_us\":%llu,\"p999_us\":%llu}\n",
           in_flight, connections, (double)load->requests / seconds,
           (unsigned long long)histogram_quantile(&load->latency_us, 0.5),
           (unsigned long long)histogram_quantile(&load->latency_us, 0.99),
           (unsigned long long)histogram_quantile(&load->latency_us, 0.999));
    /* The process ends here: closing would only be timed by nobody. */
    fflush(stdout);
    _exit(0);
}

static unsigned long number(const char *text, unsigned long max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != 0 || value == 0 || value > max) {
        fprintf(stderr, "bench_raw_echo: \"%s\" is not a number between 1 and %lu\n", text, max);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0) {
        return serve(argv[2]);
    }
    if (argc != 7 || strcmp(argv[1], "load") != 0) {
        fprintf(stderr, "Usage: bench_raw_echo serve URL\n"
                        "       bench_raw_echo load URL REQUESTS IN_FLIGHT CONNECTIONS BYTES\n");
        return 64;
    }
    static struct load load;
    load.requests = number(argv[3], 1000000000);
    load.bytes = number(argv[6], 65536);
    pthread_mutex_init(&load.lock, NULL);
    pthread_cond_init(&load.changed, NULL);
    run_load(&load, argv[2], (unsigned)number(argv[4], 4096), (unsigned)number(argv[5], CONNECTIONS_MAX));
}

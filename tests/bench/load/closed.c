/*
 * Each slot is one context and one call at a time: send, and when that is done receive (nng 1.5 crashes when
 * both are under way in a context). Its callback, on one of nng's threads, takes the latency and starts the
 * next call. The main thread keeps the time of the window.
 *
 * Nothing is closed at the end: the process ends.
 */
#include <assert.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/ids.h"
#include "bench/load/load.h"

#define LAST_ANSWERS_S 30

struct load;

struct slot {
    struct load *load;
    nng_ctx ctx;
    nng_aio *aio;
    bool sending;
    /* Of the call under way. */
    int64_t start_ns;
    char id[BENCH_ID_LENGTH];
};

struct load {
    const struct load_config *config;
    struct load_result *result;
    struct slot *slots;
    struct load_ids ids;
    int64_t begin_ns;
    int64_t end_ns;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    unsigned running;
};

static void check(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "bench_load: %s: %s\n", what, nng_strerror(error));
        exit(EXIT_FAILURE);
    }
}

static void start_call(struct slot *slot, int64_t start_ns)
{
    struct load *load = slot->load;
    slot->start_ns = start_ns;
    load_ids_take(&load->ids, start_ns, slot->id);
    nng_msg *request;
    check(nng_msg_alloc(&request, load->config->frame.length), "request");
    frame_write(&load->config->frame, slot->id, nng_msg_body(request));
    nng_aio_set_msg(slot->aio, request);
    slot->sending = true;
    nng_ctx_send(slot->ctx, slot->aio);
}

static void note_failure(struct load *load, enum status status)
{
    pthread_mutex_lock(&load->lock);
    if (load->result->failed++ == 0) {
        load->result->first_failure = status;
    }
    pthread_mutex_unlock(&load->lock);
}

static void leave(struct load *load)
{
    pthread_mutex_lock(&load->lock);
    load->running--;
    pthread_cond_signal(&load->changed);
    pthread_mutex_unlock(&load->lock);
}

static void on_answer(struct slot *slot, nng_msg *answer)
{
    struct load *load = slot->load;
    size_t length = nng_msg_len(answer);
    enum status status = frame_check(&load->config->frame, nng_msg_body(answer), length, slot->id);
    nng_msg_free(answer);
    atomic_store_explicit(&load->result->answer_length, length, memory_order_relaxed);
    int64_t now_ns = load_now_ns(CLOCK_MONOTONIC);
    if (status != STATUS_OK) {
        note_failure(load, status);
    } else if (now_ns >= load->begin_ns && now_ns < load->end_ns) {
        samples_add(&load->result->latency, now_ns - slot->start_ns);
    }
    if (now_ns < load->end_ns) {
        start_call(slot, now_ns);
    } else {
        leave(load);
    }
}

static void on_event(void *arg)
{
    struct slot *slot = arg;
    check(nng_aio_result(slot->aio), "call");
    if (slot->sending) {
        slot->sending = false;
        nng_ctx_recv(slot->ctx, slot->aio);
    } else {
        on_answer(slot, nng_aio_get_msg(slot->aio));
    }
}

static void wait_until(int64_t ns)
{
    const struct timespec until = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
    }
}

static void wait_for_last_answers(struct load *load)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += LAST_ANSWERS_S;
    int error = 0;
    pthread_mutex_lock(&load->lock);
    while (load->running > 0 && error == 0) {
        error = pthread_cond_timedwait(&load->changed, &load->lock, &end);
    }
    pthread_mutex_unlock(&load->lock);
    check(error == 0 ? 0 : NNG_ETIMEDOUT, "last answers");
}

static void connect_slots(struct load *load)
{
    const struct load_config *config = load->config;
    nng_socket sockets[LOAD_CONNECTIONS_MAX];
    assert(config->connections > 0 && config->connections <= LOAD_CONNECTIONS_MAX);
    for (unsigned i = 0; i < config->connections; i++) {
        check(nng_req0_open(&sockets[i]), "open");
        check(nng_socket_set_ms(sockets[i], NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE), "resend time");
        check(nng_dial(sockets[i], config->url, NULL, 0), config->url);
    }
    load->slots = calloc(config->in_flight, sizeof(*load->slots));
    check(load->slots == NULL ? NNG_ENOMEM : 0, "slots");
    for (unsigned i = 0; i < config->in_flight; i++) {
        struct slot *slot = &load->slots[i];
        slot->load = load;
        check(nng_ctx_open(&slot->ctx, sockets[i % config->connections]), "context");
        check(nng_aio_alloc(&slot->aio, on_event, slot), "aio");
    }
}

void load_run_closed(const struct load_config *config, struct load_result *ret_result)
{
    /* What callbacks use is there until the process ends. */
    static struct load load;
    load.config = config;
    load.result = ret_result;
    load.running = config->in_flight;
    pthread_mutex_init(&load.lock, NULL);
    pthread_cond_init(&load.changed, NULL);
    load_ids_init(&load.ids, config);
    connect_slots(&load);
    load.begin_ns = load_now_ns(CLOCK_MONOTONIC) + (int64_t)(config->warm_up_s * (double)NS_PER_S);
    load.end_ns = load.begin_ns + (int64_t)(config->seconds * (double)NS_PER_S);
    for (unsigned i = 0; i < config->in_flight; i++) {
        start_call(&load.slots[i], load_now_ns(CLOCK_MONOTONIC));
    }
    wait_until(load.begin_ns);
    struct load_cpu before = load_cpu_read(config);
    wait_until(load.end_ns);
    load_cpu_take(config, &before, ret_result);
    wait_for_last_answers(&load);
    ret_result->window_s = config->seconds;
    ret_result->started = atomic_load(&load.ids.next);
}

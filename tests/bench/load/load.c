/*
 * Each slot is one context and one call at a time: send, and when that is done receive (nng 1.5 crashes when
 * both are under way in a context). Its callback, on one of nng's threads, takes the latency and in the
 * closed loop starts the next call. The main thread keeps the time of the window, and in the open loop starts
 * the calls.
 *
 * Nothing is closed at the end: the process ends.
 */
#include "bench/load/load.h"

#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench/load/ids.h"

#define NS_PER_S 1000000000LL
/* Prime, so that multiples of it modulo a span go through all of the span, in an order without neighbours. */
#define STRIDE 1000003
#define LAST_ANSWERS_S 30

struct load;

struct slot {
    struct load *load;
    struct slot *next_free;
    nng_ctx ctx;
    nng_aio *aio;
    bool sending;
    /* Of the call under way: when it started, or should have; and whether it is counted (open loop). */
    int64_t start_ns;
    bool counted;
    char id[BENCH_ID_LENGTH];
};

struct load {
    const struct load_config *config;
    struct load_result *result;
    struct slot *slots;
    /* Tells the ids of this run from those of others. */
    uint32_t run;
    int64_t wall_offset_ns;
    int64_t begin_ns;
    int64_t end_ns;
    _Atomic uint64_t started;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    struct slot *free_slots;
    unsigned running;
};

static void check(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "bench_load: %s: %s\n", what, nng_strerror(error));
        exit(EXIT_FAILURE);
    }
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void wait_until(int64_t ns)
{
    const struct timespec until = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0) {
    }
}

/* ---- one call ---- */

static void choose_id(struct load *load, struct slot *slot, int64_t at_ns)
{
    const struct load_config *config = load->config;
    uint64_t number = atomic_fetch_add_explicit(&load->started, 1, memory_order_relaxed);
    if (config->frame.kind == FRAME_GET) {
        bench_id_stored(config->first + number * STRIDE % config->span, slot->id);
    } else {
        bench_id_new(at_ns + load->wall_offset_ns, load->run, (uint32_t)number, slot->id);
    }
}

static void start_call(struct slot *slot, int64_t start_ns)
{
    struct load *load = slot->load;
    slot->start_ns = start_ns;
    choose_id(load, slot, start_ns);
    nng_msg *request = frame_request(&load->config->frame, slot->id);
    check(request == NULL ? NNG_ENOMEM : 0, "request");
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

static void leave(struct slot *slot)
{
    struct load *load = slot->load;
    pthread_mutex_lock(&load->lock);
    slot->next_free = load->free_slots;
    load->free_slots = slot;
    load->running--;
    pthread_cond_signal(&load->changed);
    pthread_mutex_unlock(&load->lock);
}

static void on_answer(struct slot *slot, nng_msg *answer)
{
    struct load *load = slot->load;
    bool open_loop = load->config->rate > 0;
    enum status status = frame_check(&load->config->frame, answer, slot->id);
    atomic_store_explicit(&load->result->answer_length, nng_msg_len(answer), memory_order_relaxed);
    nng_msg_free(answer);
    int64_t now = now_ns(CLOCK_MONOTONIC);
    bool counted = open_loop ? slot->counted : now >= load->begin_ns && now < load->end_ns;
    if (status != STATUS_OK) {
        note_failure(load, status);
    } else if (counted) {
        samples_add(&load->result->latency, now - slot->start_ns);
    }
    if (!open_loop && now < load->end_ns) {
        start_call(slot, now);
    } else {
        leave(slot);
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

/* ---- CPU time ---- */

struct cpu {
    int64_t client_ns;
    int64_t server_ns;
};

static struct cpu read_cpu(const struct load *load)
{
    struct cpu cpu = {.client_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID)};
    clockid_t clock;
    if (load->config->server != 0) {
        check(clock_getcpuclockid(load->config->server, &clock) == 0 ? 0 : NNG_ENOENT, "server's CPU time");
        cpu.server_ns = now_ns(clock);
    }
    return cpu;
}

static void take_cpu(struct load *load, const struct cpu *before)
{
    struct cpu after = read_cpu(load);
    load->result->client_cpu_us = (double)(after.client_ns - before->client_ns) / 1000;
    load->result->server_cpu_us = (double)(after.server_ns - before->server_ns) / 1000;
}

/* ---- loops ---- */

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

static void run_closed(struct load *load)
{
    load->running = load->config->in_flight;
    for (unsigned i = 0; i < load->config->in_flight; i++) {
        start_call(&load->slots[i], now_ns(CLOCK_MONOTONIC));
    }
    wait_until(load->begin_ns);
    struct cpu before = read_cpu(load);
    wait_until(load->end_ns);
    take_cpu(load, &before);
    wait_for_last_answers(load);
}

static struct slot *wait_for_slot(struct load *load)
{
    pthread_mutex_lock(&load->lock);
    while (load->free_slots == NULL) {
        pthread_cond_wait(&load->changed, &load->lock);
    }
    struct slot *slot = load->free_slots;
    load->free_slots = slot->next_free;
    load->running++;
    pthread_mutex_unlock(&load->lock);
    return slot;
}

static void run_open(struct load *load)
{
    for (unsigned i = 0; i < load->config->in_flight; i++) {
        load->slots[i].next_free = load->free_slots;
        load->free_slots = &load->slots[i];
    }
    /* The kernel would otherwise gather wake-ups of 50 µs. */
    prctl(PR_SET_TIMERSLACK, 1000UL);
    int64_t origin_ns = now_ns(CLOCK_MONOTONIC);
    struct cpu before = {0};
    bool counted = false;
    for (uint64_t i = 0;; i++) {
        int64_t start_ns = origin_ns + (int64_t)((double)i / load->config->rate * (double)NS_PER_S);
        if (start_ns >= load->end_ns) {
            break;
        }
        if (start_ns > now_ns(CLOCK_MONOTONIC)) {
            wait_until(start_ns);
        }
        if (!counted && start_ns >= load->begin_ns) {
            counted = true;
            before = read_cpu(load);
        }
        struct slot *slot = wait_for_slot(load);
        slot->counted = counted;
        start_call(slot, start_ns);
    }
    take_cpu(load, &before);
    wait_for_last_answers(load);
}

/* ---- setting up ---- */

static void connect_slots(struct load *load)
{
    const struct load_config *config = load->config;
    nng_socket sockets[LOAD_CONNECTIONS_MAX];
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

void load_run(const struct load_config *config, struct load_result *ret_result)
{
    static struct load load;
    load = (struct load){.config = config, .result = ret_result, .run = arc4random()};
    pthread_mutex_init(&load.lock, NULL);
    pthread_cond_init(&load.changed, NULL);
    connect_slots(&load);
    int64_t origin_ns = now_ns(CLOCK_MONOTONIC);
    load.wall_offset_ns = now_ns(CLOCK_REALTIME) - origin_ns;
    load.begin_ns = origin_ns + (int64_t)(config->warm_up_s * (double)NS_PER_S);
    load.end_ns = load.begin_ns + (int64_t)(config->seconds * (double)NS_PER_S);
    if (config->rate > 0) {
        run_open(&load);
    } else {
        run_closed(&load);
    }
    ret_result->window_s = config->seconds;
    ret_result->started = atomic_load(&load.started);
    samples_sort(&ret_result->latency);
}

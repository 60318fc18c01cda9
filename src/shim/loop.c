/*
 * Only the loop's thread touches its event base, its evhttp and its connections; that is why libevent needs
 * no locks here. A call may be finished by any thread: the answer is made there, into the exchange's own
 * memory, and the exchange goes through a lock-free queue back to the loop, which is woken by an eventfd,
 * once for however many there are. The waker clears `woken` before it looks into the queue, and who pushes
 * looks at it after: so either sees the other (all sequentially consistent). Who pushes touches the loop once
 * more when the exchange may be gone already, and so is counted in `handing_back`, for which a stop waits.
 *
 * A request whose connection ended keeps its exchange until the call is finished; then nothing is sent.
 *
 * With every exchange in use, requests that change something wait in their connections, which are not read
 * meanwhile, in the order in which they came: a create is never refused for want of room, and overload is
 * felt in TCP. How many can wait is bounded by the connections, one each. Reads are told to come again, and
 * those of events, which may wait for one as long as they like, as soon as they have a quarter of the
 * exchanges: creates and other reads find the rest.
 */
#include "shim/loop.h"

#include <assert.h>
#include <event2/buffer.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/ring.h"
#include "shim/coding.h"
#include "shim/exchange.h"
#include "shim/reply.h"
#include "shim/streams.h"
#include "shim/waiting.h"

/* Threads that may finish calls, at most: what the queue has room for beside the exchanges. */
#define FINISHERS_MAX 128
/* What part of the exchanges ListEvents may have. */
#define FEED_PART 4
#define SCRATCH_MAX ((size_t)512 * 1024)
/* How long a stop waits for clients to take their last answer, and how often it looks. */
#define LINGER_US (2 * US_PER_S)
#define END_CHECK_US (5 * US_PER_MS)
/* Every method, those that evhttp does not know too: what is allowed is for the routes to say. */
#define ALL_METHODS 0xFFFF

struct loop {
    struct loop_config config;
    struct event_base *base;
    struct evhttp *http;
    struct evhttp_bound_socket *bound;
    struct gate gate;
    struct exchange *exchanges;
    struct exchange *free;
    size_t n_in_flight;
    /* Of these, ListEvents. */
    size_t n_feed;
    struct streams *streams;
    struct waiting_list waiting;
    struct arena scratch;
    struct trace_ids ids;
    struct event *end_check;
    int64_t end_by_us;

    struct ring *finished;
    /* Threads within exchange_done(). */
    atomic_uint handing_back;
    int wake_fd;
    struct event *wake;
    atomic_bool woken;
    atomic_bool closing;
    atomic_bool stopping;
    pthread_t thread;
    bool is_running;
};

static _Thread_local const struct loop *this_loop;

static void wake_up(void *arg)
{
    struct loop *loop = arg;
    if (!atomic_exchange(&loop->woken, true)) {
        const uint64_t one = 1;
        ssize_t written = write(loop->wake_fd, &one, sizeof(one));
        /* It fails only when the count would overflow, and then the loop is awake. */
        (void)written;
    }
}

/* ---- answers ---- */

static void send_answer(struct loop *loop, const struct request *request, struct answer *answer,
                        const char *traceparent)
{
    if (!answer->must_go && !gate_has_room(request->peer, answer->length)) {
        answer_no_room(answer);
    }
    answer->close = answer->close || atomic_load(&loop->closing);
    counter_add(&loop->config.counters->answers[http_status_index(answer->http_status)], 1);
    reply_send(loop->config.edge, request, answer, traceparent);
}

/* An answer without a call. */
static void answer_at_once(struct loop *loop, const struct request *request, struct answer *answer)
{
    char traceparent[TRACEPARENT_SIZE];
    trace_continue(&loop->ids, request_header(request, "traceparent"), traceparent);
    coding_pack_answer(answer, coding_wish_of_request(request), &loop->scratch);
    send_answer(loop, request, answer, traceparent);
}

static void refuse(struct loop *loop, const struct request *request, const char *text)
{
    struct answer answer = {0};
    answer_error(&answer, answer_plain_style(request_header(request, "Accept")), 0, STATUS_UNAVAILABLE, text,
                 &loop->scratch);
    answer_at_once(loop, request, &answer);
}

/* ---- exchanges ---- */

static bool is_feed(const struct loop *loop, const struct rpc_method *method)
{
    return method == loop->config.edge->list_events;
}

static void release(struct loop *loop, struct exchange *exchange)
{
    exchange_reset(exchange);
    loop->n_feed -= is_feed(loop, exchange->call.method) ? 1 : 0;
    exchange->next_free = loop->free;
    loop->free = exchange;
    loop->n_in_flight--;
    atomic_fetch_sub_explicit(&loop->config.counters->in_flight, 1, memory_order_relaxed);
}

static void send_exchange(struct loop *loop, struct exchange *exchange)
{
    struct request request;
    if (exchange->evhttp != NULL && request_init(&request, exchange->evhttp, exchange->peer)) {
        exchange->answer.must_go = !exchange->call.method->read_only;
        send_answer(loop, &request, &exchange->answer, exchange->traceparent);
    }
    release(loop, exchange);
}

static void exchange_done(struct exchange *exchange)
{
    struct loop *loop = exchange->loop;
    if (this_loop == loop) {
        send_exchange(loop, exchange);
        return;
    }
    atomic_fetch_add(&loop->handing_back, 1);
    bool pushed = ring_push(loop->finished, exchange);
    /* There is room for all exchanges and all who may be pushing. */
    assert(pushed);
    wake_up(loop);
    atomic_fetch_sub(&loop->handing_back, 1);
}

/* The connection ended before the answer. */
static void exchange_gone(void *owner)
{
    struct exchange *exchange = owner;
    request_drop(exchange->evhttp);
    exchange->evhttp = NULL;
    exchange->peer = NULL;
}

static void begin_exchange(struct loop *loop, const struct request *request, const struct plan *plan)
{
    struct exchange *exchange = loop->free;
    loop->free = exchange->next_free;
    loop->n_in_flight++;
    loop->n_feed += is_feed(loop, plan->method) ? 1 : 0;
    atomic_fetch_add_explicit(&loop->config.counters->in_flight, 1, memory_order_relaxed);
    gate_set_owner(request->peer, exchange, exchange_gone);
    exchange_begin(exchange, plan->kind, plan->method, request, loop->config.edge->tenant, &loop->ids);
}

/* ---- requests ---- */

static void wait_for_turn(struct loop *loop, const struct request *request)
{
    if (!waiting_push(&loop->waiting, request)) {
        refuse(loop, request, "the server is short of memory; send the request again");
        return;
    }
    counter_add(&loop->config.counters->waited, 1);
}

static void begin_stream(struct loop *loop, const struct request *request, const struct plan *plan)
{
    char traceparent[TRACEPARENT_SIZE];
    trace_continue(&loop->ids, request_header(request, "traceparent"), traceparent);
    if (!streams_begin(loop->streams, request, plan, traceparent)) {
        counter_add(&loop->config.counters->shed, 1);
        refuse(loop, request, "too many streams of events are open; try again later");
    }
}

static bool has_room(const struct loop *loop, const struct plan *plan)
{
    bool feed_has_its_part = loop->n_feed * FEED_PART >= loop->config.calls_max;
    return loop->free != NULL && !(feed_has_its_part && is_feed(loop, plan->method));
}

/* `may_wait`: false for one that has waited and whose turn it is. */
static void serve(struct loop *loop, const struct request *request, bool may_wait)
{
    struct plan plan;
    routes_plan(loop->config.edge, request, &loop->scratch, &plan);
    bool is_full = !has_room(loop, &plan) || (may_wait && !TAILQ_EMPTY(&loop->waiting));
    if (plan.is_stream) {
        begin_stream(loop, request, &plan);
    } else if (plan.kind == NULL) {
        answer_at_once(loop, request, &plan.answer);
    } else if (!is_full) {
        begin_exchange(loop, request, &plan);
    } else if (plan.is_read) {
        counter_add(&loop->config.counters->shed, 1);
        refuse(loop, request, "too many requests are under way; send the request again");
    } else {
        wait_for_turn(loop, request);
    }
    arena_reset(&loop->scratch);
}

static void on_request(struct evhttp_request *evhttp, void *arg)
{
    struct loop *loop = arg;
    struct peer *peer = gate_begin_request(&loop->gate, evhttp);
    struct request request;
    if (peer == NULL || !request_init(&request, evhttp, peer)) {
        evhttp_connection_free(evhttp_request_get_connection(evhttp));
        return;
    }
    counter_add(&loop->config.counters->requests, 1);
    if (atomic_load(&loop->closing)) {
        refuse(loop, &request, "the server is shutting down; send the request again");
        arena_reset(&loop->scratch);
        return;
    }
    serve(loop, &request, true);
}

static void serve_waiting(struct loop *loop)
{
    struct peer *peer;
    struct evhttp_request *evhttp;
    while (loop->free != NULL && waiting_pop(&loop->waiting, &peer, &evhttp)) {
        struct request request;
        if (request_init(&request, evhttp, peer)) {
            serve(loop, &request, false);
        }
    }
}

/* ---- the thread ---- */

static void check_end(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    (void)fd;
    (void)what;
    bool is_done = loop->n_in_flight == 0 && atomic_load(&loop->handing_back) == 0 &&
                   TAILQ_EMPTY(&loop->waiting) && streams_count(loop->streams) == 0;
    if (loop->end_by_us == 0 && is_done) {
        loop->end_by_us = monotonic_us() + LINGER_US;
    }
    if (is_done && (loop->gate.n_busy == 0 || monotonic_us() >= loop->end_by_us)) {
        event_base_loopbreak(loop->base);
    }
}

static void begin_close(struct loop *loop)
{
    if (loop->bound != NULL) {
        evhttp_del_accept_socket(loop->http, loop->bound);
        loop->bound = NULL;
        gate_close_resting(&loop->gate);
        streams_close(loop->streams);
    }
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    struct loop *loop = arg;
    uint64_t count;
    (void)what;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got;
    atomic_store(&loop->woken, false);
    void *exchange;
    while (ring_pop(loop->finished, &exchange)) {
        send_exchange(loop, exchange);
    }
    streams_deliver(loop->streams);
    serve_waiting(loop);
    if (atomic_load(&loop->closing)) {
        begin_close(loop);
    }
    if (atomic_load(&loop->stopping) && !event_pending(loop->end_check, EV_TIMEOUT, NULL)) {
        const struct timeval interval = {.tv_usec = END_CHECK_US};
        event_add(loop->end_check, &interval);
        check_end(-1, 0, loop);
    }
}

static void *run(void *arg)
{
    struct loop *loop = arg;
    char name[16];
    snprintf(name, sizeof(name), "http-%u", loop->config.index);
    pthread_setname_np(pthread_self(), name);
    this_loop = loop;
    event_base_dispatch(loop->base);
    return NULL;
}

/* ---- life ---- */

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (config == NULL) {
        return NULL;
    }
    /*
     * Not the change list of epoll: it would tell the kernel of a closed descriptor later, when another loop
     * may have the number.
     */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

static enum status open_http(struct loop *loop)
{
    const struct shim_limits *limits = &loop->config.shared->limits;
    loop->http = evhttp_new(loop->base);
    if (loop->http == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    evhttp_set_allowed_methods(loop->http, ALL_METHODS);
    evhttp_set_max_headers_size(loop->http, (ev_ssize_t)limits->head_max);
    /* The length of a body is the gate's to judge: evhttp's own limit says nothing of which rule was broken.
     */
    evhttp_set_default_content_type(loop->http, NULL);
    evhttp_set_bevcb(loop->http, gate_new_connection, &loop->gate);
    evhttp_set_gencb(loop->http, on_request, loop);
    return gate_init(&loop->gate, loop->base, loop->config.shared);
}

static enum status open_exchanges(struct loop *loop)
{
    size_t n = loop->config.calls_max;
    size_t capacity = RING_CAPACITY_MIN;
    while (capacity < 2 * n + FINISHERS_MAX) {
        capacity *= 2;
    }
    loop->exchanges = calloc(n, sizeof(*loop->exchanges));
    if (loop->exchanges == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    for (size_t i = 0; i < n; i++) {
        exchange_init(&loop->exchanges[i], loop, exchange_done);
        loop->exchanges[i].next_free = loop->free;
        loop->free = &loop->exchanges[i];
    }
    return ring_new(capacity, &loop->finished);
}

static enum status open_streams(struct loop *loop)
{
    const struct shim_limits *limits = &loop->config.shared->limits;
    const struct streams_config config = {.edge = loop->config.edge,
                                          .base = loop->base,
                                          .answers = loop->config.counters->answers,
                                          .open = &loop->config.counters->streams,
                                          .streams_max = limits->streams_max,
                                          .wake = wake_up,
                                          .loop = loop};
    return streams_new(&config, &loop->streams);
}

static enum status open_events(struct loop *loop)
{
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_wake, loop);
    loop->end_check = event_new(loop->base, -1, EV_PERSIST, check_end, loop);
    bool is_ready = loop->wake != NULL && loop->end_check != NULL && event_add(loop->wake, NULL) == 0;
    return is_ready ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

enum status loop_new(const struct loop_config *config, struct loop **ret_loop)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        return STATUS_RESOURCE_EXHAUSTED;
    }
    loop->config = *config;
    loop->wake_fd = -1;
    TAILQ_INIT(&loop->waiting);
    arena_init(&loop->scratch, NULL, 0, SCRATCH_MAX);
    trace_ids_init(&loop->ids);
    loop->base = new_base();
    enum status status = loop->base != NULL ? open_http(loop) : STATUS_RESOURCE_EXHAUSTED;
    if (status == STATUS_OK) {
        status = open_exchanges(loop);
    }
    if (status == STATUS_OK) {
        status = open_streams(loop);
    }
    if (status == STATUS_OK) {
        status = open_events(loop);
    }
    if (status != STATUS_OK) {
        loop_free(loop);
        return status;
    }
    *ret_loop = loop;
    return STATUS_OK;
}

enum status loop_run(struct loop *loop, int listening_socket)
{
    loop->bound = evhttp_accept_socket_with_handle(loop->http, listening_socket);
    if (loop->bound == NULL) {
        close(listening_socket);
        return STATUS_RESOURCE_EXHAUSTED;
    }
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    loop->is_running = pthread_create(&loop->thread, NULL, run, loop) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return loop->is_running ? STATUS_OK : STATUS_RESOURCE_EXHAUSTED;
}

void loop_close(struct loop *loop)
{
    atomic_store(&loop->closing, true);
    wake_up(loop);
}

void loop_stop(struct loop *loop)
{
    if (loop->is_running) {
        atomic_store(&loop->stopping, true);
        wake_up(loop);
        pthread_join(loop->thread, NULL);
        loop->is_running = false;
    }
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    assert(!loop->is_running);
    if (loop->http != NULL) {
        evhttp_free(loop->http);
        gate_release(&loop->gate);
    }
    if (loop->wake != NULL) {
        event_free(loop->wake);
    }
    if (loop->end_check != NULL) {
        event_free(loop->end_check);
    }
    if (loop->base != NULL) {
        /* Bufferevents are freed by the loop itself. */
        event_base_loop(loop->base, EVLOOP_NONBLOCK);
        event_base_free(loop->base);
    }
    streams_free(loop->streams);
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
    }
    for (size_t i = 0; loop->exchanges != NULL && i < loop->config.calls_max; i++) {
        exchange_reset(&loop->exchanges[i]);
    }
    arena_reset(&loop->scratch);
    ring_free(loop->finished);
    free(loop->exchanges);
    free(loop);
}

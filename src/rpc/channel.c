/*
 * One REQ socket with a pool of contexts. A call takes a context, sends, and only when that is done receives
 * (nng 1.5 crashes when both are under way in a context), each with what is left of the call's time. nng's
 * own resending is off: a lost connection fails the calls on it at once, and what to do then is decided here,
 * above the transport.
 *
 * A context goes back to the pool before the caller hears of the end, so that the callback may begin the next
 * call: the answer has its own message and an arena on the callback's stack. The context's next operation may
 * well begin while the callback of the last one still runs; nng allows that, and after give_back() the
 * callback does not touch the context.
 *
 * A call that is not to wait for a connection wakes up from its send after connect_us: with a connection that
 * is only busy it goes on waiting for its turn, without one it fails.
 *
 * Closing cancels what is under way until nothing is. A cancellation finds nothing to cancel between a call's
 * send and its receive, hence "until". Only idle aios are stopped: what happens to an operation begun on a
 * stopped one differs between versions of nng.
 */
#include "rpc/channel.h"

#include <assert.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "rpc/channel_private.h"
#include "rpc/envelope.h"
#include "rpc/envelope_headers.h"
#include "rpc/nng_compat.h"
#include "rpc/server.h"

#define CONTEXTS_MAX 1024
#define RECONNECT_MIN_MS 10
#define RECONNECT_MAX_MS 1000
/* While closing: how often what has slipped past a cancellation is cancelled again. */
#define CANCEL_PERIOD_MS 10

enum channel_call_state { SENDING, RECEIVING };

struct channel_call {
    struct rpc_channel *channel;
    struct channel_call *next_free;
    nng_ctx ctx;
    nng_aio *aio;
    enum channel_call_state state;
    int64_t timeout_us;
    int64_t connect_us;
    int64_t deadline_us;
    struct completion completion;
};

static bool is_closing(struct rpc_channel *channel)
{
    pthread_mutex_lock(&channel->mutex);
    bool closing = channel->closing;
    pthread_mutex_unlock(&channel->mutex);
    return closing;
}

static enum status take_call(struct rpc_channel *channel, struct channel_call **ret_call)
{
    enum status status = STATUS_RESOURCE_EXHAUSTED;
    pthread_mutex_lock(&channel->mutex);
    if (channel->closing) {
        status = STATUS_CANCELLED;
    } else if (channel->free_calls != NULL) {
        *ret_call = channel->free_calls;
        channel->free_calls = (*ret_call)->next_free;
        channel->under_way++;
        status = STATUS_OK;
    }
    pthread_mutex_unlock(&channel->mutex);
    return status;
}

static void give_back(struct channel_call *c)
{
    struct rpc_channel *channel = c->channel;
    pthread_mutex_lock(&channel->mutex);
    c->next_free = channel->free_calls;
    channel->free_calls = c;
    channel->under_way--;
    if (channel->closing) {
        pthread_cond_broadcast(&channel->changed);
    }
    pthread_mutex_unlock(&channel->mutex);
}

static uint64_t counter_of(nng_stat *stat, const char *name)
{
    nng_stat *counter = nng_stat_find(stat, name);
    return counter != NULL ? nng_stat_value(counter) : 0;
}

/*
 * A dialer that goes on trying tells nobody why it fails; its counters do. They do not say what failed last,
 * so they are asked only of a dialer that never had a connection; nor do they tell a certificate that is not
 * trusted from bytes that are not TLS. nng_stat_find_dialer() would find the first dialer of the process,
 * whichever it is.
 */
static bool tls_has_always_failed(const struct rpc_channel *channel)
{
    nng_stat *stats;
    if (channel->tls == NULL || nng_stats_get(&stats) != 0) {
        return false;
    }
    bool failed = false;
    for (nng_stat *stat = nng_stat_child(stats); stat != NULL; stat = nng_stat_next(stat)) {
        if (strcmp(nng_stat_name(stat), "dialer") == 0 &&
            counter_of(stat, "id") == (uint64_t)nng_dialer_id(channel->dialer)) {
            failed = counter_of(stat, "connect") == 0 && counter_of(stat, "auth") > 0;
        }
    }
    nng_stats_free(stats);
    return failed;
}

/* Cut to fit. */
static void PRINTF_LIKE(2, 3) append(struct outcome *outcome, const char *format, ...)
{
    size_t length = strlen(outcome->text);
    va_list args;
    va_start(args, format);
    vsnprintf(outcome->text + length, sizeof(outcome->text) - length, format, args);
    va_end(args);
}

static void explain(const struct channel_call *c, int error, struct outcome *outcome)
{
    const char *url = c->channel->endpoint.url;
    const char *what = nng_strerror(error);
    outcome->status = STATUS_UNAVAILABLE;
    if (is_closing(c->channel)) {
        outcome->status = STATUS_CANCELLED;
        what = "the channel was closed";
    } else if (error == NNG_ETIMEDOUT && c->state == SENDING && c->connect_us > 0) {
        what = "no connection";
    } else if (error == NNG_ETIMEDOUT) {
        outcome->status = STATUS_DEADLINE_EXCEEDED;
        what = c->state == SENDING ? "no connection" : "no answer";
    } else if (error == NNG_ECONNRESET || error == NNG_ECLOSED || error == NNG_ECONNSHUT) {
        what = "the connection was lost before the answer came";
    }
    append(outcome, "%.180s: %s", url, what);
    if (outcome->status == STATUS_DEADLINE_EXCEEDED) {
        append(outcome, " within %lld ms", (long long)(c->timeout_us / US_PER_MS));
    }
    if (error == NNG_ETIMEDOUT && c->state == SENDING && outcome->status != STATUS_CANCELLED &&
        tls_has_always_failed(c->channel)) {
        append(outcome,
               ": the server does not speak TLS, or its certificate is not trusted or does not name %s as a "
               "DNS name",
               c->channel->endpoint.host);
    }
}

static void end_call(struct channel_call *c, int error, nng_msg *msg)
{
    struct outcome outcome = {.msg = msg};
    if (error != 0) {
        explain(c, error, &outcome);
    }
    struct completion completion = c->completion;
    give_back(c);
    completion.complete(&completion, &outcome);
}

/* Rounded up: nng takes 0 for "do not wait". */
static nng_duration time_left_ms(const struct channel_call *c)
{
    int64_t left_us = c->deadline_us - monotonic_us();
    if (c->state == SENDING && c->connect_us > 0 && c->connect_us < left_us) {
        left_us = c->connect_us;
    }
    int64_t left_ms = left_us > 0 ? (left_us + US_PER_MS - 1) / US_PER_MS : 1;
    return left_ms < INT32_MAX ? (nng_duration)left_ms : INT32_MAX;
}

static void send(struct channel_call *c, nng_msg *msg)
{
    c->state = SENDING;
    nng_aio_set_timeout(c->aio, time_left_ms(c));
    nng_aio_set_msg(c->aio, msg);
    nng_ctx_send(c->ctx, c->aio);
}

static bool may_send_on(const struct channel_call *c)
{
    return c->connect_us > 0 && atomic_load(&c->channel->connections) > 0 && monotonic_us() < c->deadline_us;
}

static void advance(void *arg)
{
    struct channel_call *c = arg;
    int error = nng_aio_result(c->aio);
    nng_msg *msg = nng_aio_get_msg(c->aio);
    nng_aio_set_msg(c->aio, NULL);
    if (c->state == SENDING && error == 0) {
        c->state = RECEIVING;
        nng_aio_set_timeout(c->aio, time_left_ms(c));
        nng_ctx_recv(c->ctx, c->aio);
        return;
    }
    if (c->state == SENDING && error == NNG_ETIMEDOUT && msg != NULL && may_send_on(c)) {
        send(c, msg);
        return;
    }
    if (error != 0 && msg != NULL) {
        nng_msg_free(msg);
        msg = NULL;
    }
    end_call(c, error, msg);
}

static enum status make_request(const struct rpc_outgoing *outgoing, nng_msg **ret_msg)
{
    nng_msg *msg = envelope_request(outgoing->service->name, outgoing->method->name, outgoing->request,
                                    outgoing->told_ms);
    enum status status = STATUS_RESOURCE_EXHAUSTED;
    if (msg != NULL) {
        status = envelope_add_headers(msg, outgoing->headers, outgoing->n_headers);
    }
    if (status == STATUS_OK && nng_msg_len(msg) > RPC_MESSAGE_MAX) {
        status = STATUS_INVALID_ARGUMENT;
    }
    if (status != STATUS_OK && msg != NULL) {
        nng_msg_free(msg);
    }
    if (status == STATUS_OK) {
        *ret_msg = msg;
    }
    return status;
}

enum status channel_start(struct rpc_channel *channel, const struct rpc_outgoing *outgoing,
                          const struct completion *completion)
{
    assert(outgoing->timeout_us > 0 && outgoing->request->descriptor == outgoing->method->input);
    struct channel_call *c;
    enum status status = take_call(channel, &c);
    if (status != STATUS_OK) {
        return status;
    }
    nng_msg *msg = NULL;
    status = make_request(outgoing, &msg);
    if (status != STATUS_OK) {
        give_back(c);
        return status;
    }
    c->completion = *completion;
    c->timeout_us = outgoing->timeout_us;
    c->connect_us = outgoing->connect_us;
    c->deadline_us = monotonic_us() + outgoing->timeout_us;
    send(c, msg);
    return STATUS_OK;
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
    struct rpc_channel *channel = arg;
    (void)pipe;
    if (event == NNG_PIPE_EV_ADD_POST) {
        atomic_fetch_add(&channel->connections, 1);
    } else {
        atomic_fetch_sub(&channel->connections, 1);
    }
}

static int open_dialer(struct rpc_channel *channel)
{
    int error = nng_dialer_create(&channel->dialer, channel->socket, channel->endpoint.url);
    if (error == 0 && channel->tls != NULL) {
        error = nng_dialer_set_ptr(channel->dialer, NNG_OPT_TLS_CONFIG, channel->tls);
    }
    return error == 0 ? nng_dialer_start(channel->dialer, NNG_FLAG_NONBLOCK) : error;
}

static int open_socket(struct rpc_channel *channel)
{
    int error = nng_req0_open(&channel->socket);
    if (error != 0) {
        return error;
    }
    channel->socket_open = true;
    error = nng_socket_set_ms(channel->socket, NNG_OPT_REQ_RESENDTIME, NNG_DURATION_INFINITE);
    if (error == 0) {
        error = nng_socket_set_size(channel->socket, NNG_OPT_RECVMAXSZ, RPC_ANSWER_MAX);
    }
    if (error == 0) {
        error = nng_socket_set_ms(channel->socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
    }
    if (error == 0) {
        error = nng_socket_set_ms(channel->socket, NNG_OPT_RECONNMAXT, RECONNECT_MAX_MS);
    }
    if (error == 0) {
        error = nng_pipe_notify(channel->socket, NNG_PIPE_EV_ADD_POST, on_pipe, channel);
    }
    if (error == 0) {
        error = nng_pipe_notify(channel->socket, NNG_PIPE_EV_REM_POST, on_pipe, channel);
    }
    return error;
}

static int open_calls(struct rpc_channel *channel, unsigned n)
{
    channel->calls = calloc(n, sizeof(*channel->calls));
    if (channel->calls == NULL) {
        return NNG_ENOMEM;
    }
    for (unsigned i = 0; i < n; i++) {
        struct channel_call *c = &channel->calls[i];
        c->channel = channel;
        int error = nng_ctx_open(&c->ctx, channel->socket);
        error = error == 0 ? nng_aio_alloc(&c->aio, advance, c) : error;
        if (error != 0) {
            return error;
        }
        c->next_free = channel->free_calls;
        channel->free_calls = c;
        channel->n_calls++;
    }
    return 0;
}

static void release(struct rpc_channel *channel)
{
    /* Contexts are closed with their socket. */
    if (channel->socket_open && !nng_close_in_time(channel->socket)) {
        return;
    }
    for (unsigned i = 0; i < channel->n_calls; i++) {
        nng_aio_free(channel->calls[i].aio);
    }
    if (channel->tls != NULL) {
        nng_tls_config_free(channel->tls);
    }
    channel_free_services(channel->services);
    pthread_cond_destroy(&channel->changed);
    pthread_mutex_destroy(&channel->mutex);
    free(channel->calls);
    free(channel);
}

enum status rpc_channel_open(const struct rpc_channel_config *config, struct rpc_channel **ret_channel,
                             struct diag *diag)
{
    assert(config->contexts >= 1 && config->contexts <= CONTEXTS_MAX);
    struct rpc_channel *channel = calloc(1, sizeof(*channel));
    if (channel == NULL) {
        return diag_fail(diag, STATUS_RESOURCE_EXHAUSTED, "no memory for a channel");
    }
    pthread_mutex_init(&channel->mutex, NULL);
    pthread_cond_init(&channel->changed, NULL);
    enum status status = endpoint_parse(config->url, &channel->endpoint, diag);
    if (status == STATUS_OK && channel->endpoint.kind == ENDPOINT_TLS) {
        status = endpoint_client_tls(config->tls_ca_file, channel->endpoint.host, &channel->tls, diag);
    }
    if (status == STATUS_OK) {
        int error = open_socket(channel);
        error = error == 0 ? open_calls(channel, config->contexts) : error;
        error = error == 0 ? open_dialer(channel) : error;
        if (error != 0) {
            status =
                diag_fail(diag, error == NNG_ENOMEM ? STATUS_RESOURCE_EXHAUSTED : STATUS_INVALID_ARGUMENT,
                          "%s: %s", config->url, nng_strerror(error));
        }
    }
    if (status != STATUS_OK) {
        release(channel);
        return status;
    }
    *ret_channel = channel;
    return STATUS_OK;
}

/* Waits up to CANCEL_PERIOD_MS for calls to end. Called, and returns, with the mutex held. */
static void wait_for_calls(struct rpc_channel *channel)
{
    int64_t until_us = monotonic_us() + CANCEL_PERIOD_MS * US_PER_MS;
    struct timespec until = {.tv_sec = until_us / US_PER_S, .tv_nsec = until_us % US_PER_S * 1000};
    while (channel->under_way > 0 &&
           pthread_cond_clockwait(&channel->changed, &channel->mutex, CLOCK_MONOTONIC, &until) == 0) {
    }
}

void rpc_channel_close(struct rpc_channel *channel)
{
    if (channel == NULL) {
        return;
    }
    pthread_mutex_lock(&channel->mutex);
    channel->closing = true;
    pthread_cond_broadcast(&channel->changed);
    while (channel->under_way > 0) {
        pthread_mutex_unlock(&channel->mutex);
        for (unsigned i = 0; i < channel->n_calls; i++) {
            nng_aio_cancel(channel->calls[i].aio);
        }
        pthread_mutex_lock(&channel->mutex);
        wait_for_calls(channel);
    }
    while (channel->waiters > 0) {
        pthread_cond_wait(&channel->changed, &channel->mutex);
    }
    pthread_mutex_unlock(&channel->mutex);
    /* Callbacks that have given their context back may still be running. */
    for (unsigned i = 0; i < channel->n_calls; i++) {
        nng_aio_stop(channel->calls[i].aio);
    }
    release(channel);
}

/*
 * The calling thread issues the calls and is held back by a count of those under way; answers come on nng's
 * threads, where a test must not fail. So what went wrong is noted there, and told on the calling thread at
 * the end.
 */
#include "harness/burst.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "harness/panicd.h"
#include "harness/test.h"
#include "panic/v1/dispatch_service.pb-c.h"

struct running {
    const struct burst *burst;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    /* Under lock. */
    unsigned under_way;
    size_t failed;
    struct diag why;
};

struct one {
    struct running *running;
    size_t i;
};

static void note_end(struct running *running, const struct rpc_result *result)
{
    pthread_mutex_lock(&running->lock);
    if (running->burst->done == NULL && result->status != STATUS_OK && running->failed++ == 0) {
        (void)diag_fail(&running->why, result->status, "%s: %s", status_name(result->status),
                        result->message);
    }
    running->under_way--;
    pthread_cond_signal(&running->answered);
    pthread_mutex_unlock(&running->lock);
}

static void on_answer(void *arg, const struct rpc_result *result)
{
    struct one *one = arg;
    struct running *running = one->running;
    if (running->burst->done != NULL) {
        running->burst->done(running->burst->ctx, one->i, result);
    }
    note_end(running, result);
}

static void wait_until_at_most(struct running *running, unsigned under_way)
{
    pthread_mutex_lock(&running->lock);
    while (running->under_way > under_way) {
        pthread_cond_wait(&running->answered, &running->lock);
    }
    pthread_mutex_unlock(&running->lock);
}

static void issue(struct running *running, struct rpc_channel *channel, struct one *one)
{
    const struct burst *burst = running->burst;
    wait_until_at_most(running, burst->at_once - 1);
    pthread_mutex_lock(&running->lock);
    running->under_way++;
    pthread_mutex_unlock(&running->lock);
    enum status status =
        rpc_channel_call(channel, burst->service, burst->method, burst->make(burst->ctx, one->i),
                         HARNESS_PATIENCE_US, on_answer, one);
    if (status != STATUS_OK) {
        const struct rpc_result result = {.status = status, .message = "not sent"};
        on_answer(one, &result);
    }
}

double burst_run(const struct burst *burst)
{
    const struct rpc_channel_config config = {.url = burst->url, .contexts = burst->at_once};
    struct rpc_channel *channel = NULL;
    struct diag diag = {0};
    if (rpc_channel_open(&config, &channel, &diag) != STATUS_OK) {
        fail_msg("%s: %s", burst->url, diag.text);
    }
    struct running running = {
        .burst = burst, .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER};
    struct one *ones = calloc(burst->n, sizeof(*ones));
    assert_non_null(ones);
    int64_t begin_us = monotonic_us();
    for (size_t i = 0; i < burst->n; i++) {
        ones[i] = (struct one){.running = &running, .i = i};
        issue(&running, channel, &ones[i]);
    }
    wait_until_at_most(&running, 0);
    double seconds = (double)(monotonic_us() - begin_us) / (double)US_PER_S;
    rpc_channel_close(channel);
    free(ones);
    if (running.failed > 0) {
        fail_msg("%s: %zu of %zu calls failed, the first with %s", burst->method, running.failed, burst->n,
                 running.why.text);
    }
    return seconds;
}

struct put {
    size_t from;
    char id[32];
    Panic__V1__PutResponderRequest request;
    Panic__V1__Responder responder;
    Panic__V1__Location location;
};

static const ProtobufCMessage *make_put(void *ctx, size_t i)
{
    struct put *put = ctx;
    panic__v1__put_responder_request__init(&put->request);
    panic__v1__responder__init(&put->responder);
    panic__v1__location__init(&put->location);
    snprintf(put->id, sizeof(put->id), "unit-%zu", put->from + i);
    put->responder.id = put->id;
    put->location.lat = -33.9 + (double)(i % 100) * 0.001;
    put->location.lng = 18.4 + (double)(i / 100 % 100) * 0.001;
    put->responder.location = &put->location;
    put->request.responder = &put->responder;
    return &put->request.base;
}

double burst_put_responders(const char *url, size_t from, size_t n)
{
    struct put put = {.from = from};
    const struct burst burst = {.url = url,
                                .service = &panic__v1__dispatch_service__descriptor,
                                .method = "PutResponder",
                                .n = n,
                                .at_once = 128,
                                .make = make_put,
                                .ctx = &put};
    return burst_run(&burst);
}

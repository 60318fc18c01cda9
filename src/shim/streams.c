/*
 * A stream has at most one call under way, and makes the next one when its client has taken everything that
 * was written: so what a slow client can hold is one page of events, and the gate cuts the connection of one
 * that takes nothing. Where a stream stands is a number, the last_sequence of its last answer; the client is
 * told every number that it has passed, and comes back with the last.
 *
 * The first call does not wait: what it ends with decides between an ordinary answer and a stream. Who comes
 * back to a panic that is closed, and has seen all of it, gets 204: browsers come back to whatever ends, once
 * a second for as long as their page is open, until they are told this.
 *
 * A call for which there is no room, at first too, since browsers give up for good a stream that is refused,
 * or a later one that finds the service away, is made again after RETRY_US, first without waiting; other
 * failures end the stream, and the client hears of them when it comes back.
 *
 * A call may be finished by any thread: the text is made there, into the stream's own memory, and the stream
 * goes through a lock-free queue back to the loop. Who ends while its call is under way is freed when that is
 * back.
 */
#include "shim/streams.h"

#include <assert.h>
#include <event2/buffer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/ring.h"
#include "json/json.h"
#include "panic/v1/panic_service.pb-c.h"
#include "shim/http_status.h"
#include "shim/reply.h"

#define PAGE_MAX 100
#define RETRY_US US_PER_S
#define HEARTBEAT_US (15 * US_PER_S)
#define WAIT_MS (HEARTBEAT_US / US_PER_MS)
/* Such a call comes back a little early or late. */
#define HEARTBEAT_SLACK_US (US_PER_S / 2)
#define TEXT_ARENA_MAX ((size_t)1024 * 1024)
/* Threads that may finish calls, at most: what the queue has room for beside the streams. */
#define FINISHERS_MAX 128
#define PREAMBLE "retry: 1000\n\n"
#define HEARTBEAT ":\n\n"

struct text {
    const char *data;
    size_t length;
};

struct stream {
    /* First, so that a call's address is its stream's. */
    struct rpc_call call;
    struct streams *streams;
    TAILQ_ENTRY(stream) link;
    /* NULL when the connection has ended. */
    struct peer *peer;
    /* Until the head is written. */
    struct evhttp_request *evhttp;
    struct event *retry;
    struct rpc_method *method;
    Panic__V1__ListEventsRequest request;
    char panic_id[ID_TEXT_SIZE];
    char traceparent[TRACEPARENT_SIZE];
    bool is_calling;
    bool is_open;
    bool is_chunked;
    int64_t written_us;

    /* What a call ended with. */
    enum status status;
    bool is_at_end;
    struct text text;
    struct answer answer;
    struct arena arena;
};

struct streams {
    struct streams_config config;
    TAILQ_HEAD(stream_list, stream) all;
    size_t n;
    bool is_closed;
    struct ring *finished;
    /* Threads that are handing a stream back: they touch this and the loop after the stream may be gone. */
    atomic_uint handing_back;
};

/* ---- calls ---- */

static bool put_event(struct evbuffer *text, const Panic__V1__PanicEvent *event, struct arena *arena)
{
    struct json_text data;
    return json_print(&event->base, NULL, arena, &data) == STATUS_OK &&
           evbuffer_add_printf(text, "id: %" PRId64 "\nevent: %s\ndata: ", event->sequence, event->type) >
               0 &&
           evbuffer_add(text, data.data, data.length) == 0 && evbuffer_add(text, "\n\n", 2) == 0;
}

/* An id without data moves the client's place and is no event. */
static bool put_events(struct stream *stream, struct evbuffer *text,
                       const Panic__V1__ListEventsResponse *page)
{
    bool put = true;
    for (size_t i = 0; i < page->n_events && put; i++) {
        put = put_event(text, page->events[i], &stream->arena);
    }
    if (page->n_events == 0 && page->last_sequence != stream->request.after_sequence) {
        put = evbuffer_add_printf(text, "id: %" PRId64 "\n\n", page->last_sequence) > 0;
    }
    return put;
}

static enum status render(struct stream *stream, const Panic__V1__ListEventsResponse *page)
{
    struct evbuffer *text = evbuffer_new();
    enum status status = STATUS_RESOURCE_EXHAUSTED;
    if (text != NULL && put_events(stream, text, page)) {
        size_t length = evbuffer_get_length(text);
        char *copy = arena_alloc(&stream->arena, length);
        if (copy != NULL) {
            evbuffer_copyout(text, copy, length);
            stream->text = (struct text){copy, length};
            stream->request.after_sequence = page->last_sequence;
            stream->is_at_end = page->closed;
            status = STATUS_OK;
        }
    }
    if (text != NULL) {
        evbuffer_free(text);
    }
    return status;
}

/* Any thread. */
static void finish(struct rpc_call *call, const struct rpc_response *response)
{
    struct stream *stream = (struct stream *)call;
    struct streams *streams = stream->streams;
    stream->status = call->status;
    if (response != NULL) {
        const ProtobufCMessage *page = rpc_response_message(response, call);
        stream->status = page != NULL ? render(stream, (const Panic__V1__ListEventsResponse *)page)
                                      : STATUS_RESOURCE_EXHAUSTED;
    }
    if (stream->status != STATUS_OK && !stream->is_open) {
        answer_error(&stream->answer, ERROR_PLAIN, 0, stream->status,
                     response == NULL ? call->message : "the events need more memory than a call may use",
                     &stream->arena);
    }
    atomic_fetch_add(&streams->handing_back, 1);
    bool pushed = ring_push(streams->finished, stream);
    /* There is room for all streams and all who may be pushing. */
    assert(pushed);
    streams->config.wake(streams->config.loop);
    atomic_fetch_sub(&streams->handing_back, 1);
}

static const struct rpc_transport transport = {.finish = finish};

static void next_call(struct stream *stream, int32_t wait_ms)
{
    struct rpc_call *call = &stream->call;
    arena_reset(&call->arena);
    arena_reset(&stream->arena);
    stream->text = (struct text){NULL, 0};
    stream->answer = (struct answer){0};
    stream->is_calling = true;
    stream->request.wait_ms = wait_ms;
    call->n_trailers = 0;
    call->n_left_out = 0;
    call->request = NULL;
    call->method = stream->method;
    call->start_us = monotonic_us();
    rpc_router_invoke(stream->method, call, &stream->request.base);
}

/* ---- ends ---- */

static void release(struct stream *stream)
{
    struct streams *streams = stream->streams;
    assert(!stream->is_calling);
    TAILQ_REMOVE(&streams->all, stream, link);
    streams->n--;
    atomic_fetch_sub(streams->config.open, 1);
    if (stream->retry != NULL) {
        event_free(stream->retry);
    }
    arena_reset(&stream->call.arena);
    arena_reset(&stream->arena);
    free(stream);
}

static void write_text(struct stream *stream, const char *data, size_t length)
{
    struct evbuffer *output = gate_stream_output(stream->peer);
    if (length == 0) {
        return;
    }
    stream->written_us = monotonic_us();
    if (stream->is_chunked) {
        evbuffer_add_printf(output, "%zx\r\n", length);
    }
    evbuffer_add(output, data, length);
    if (stream->is_chunked) {
        evbuffer_add(output, "\r\n", 2);
    }
}

/* Ends the answer; the stream itself goes when its call is back. */
static void end(struct stream *stream)
{
    if (stream->peer != NULL && stream->is_open) {
        if (stream->is_chunked) {
            evbuffer_add(gate_stream_output(stream->peer), "0\r\n\r\n", 5);
        }
        gate_end_stream(stream->peer);
        stream->peer = NULL;
    }
    if (!stream->is_calling) {
        release(stream);
    }
}

/* The connection ended. */
static void gone(void *owner)
{
    struct stream *stream = owner;
    if (stream->evhttp != NULL) {
        request_drop(stream->evhttp);
    }
    stream->peer = NULL;
    stream->evhttp = NULL;
    if (!stream->is_calling) {
        release(stream);
    }
}

/* ---- the way of a stream ---- */

/* The client has taken everything. */
static void drained(void *owner)
{
    struct stream *stream = owner;
    bool is_waiting = event_pending(stream->retry, EV_TIMEOUT, NULL);
    if (!stream->is_calling && !is_waiting) {
        next_call(stream, WAIT_MS);
    }
}

static void try_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    next_call(arg, 0);
}

static void call_later(struct stream *stream)
{
    const struct timeval later = {.tv_sec = RETRY_US / US_PER_S};
    event_add(stream->retry, &later);
}

static bool may_pass(enum status status)
{
    return status == STATUS_RESOURCE_EXHAUSTED || status == STATUS_UNAVAILABLE ||
           status == STATUS_DEADLINE_EXCEEDED || status == STATUS_CANCELLED;
}

static void open_stream(struct stream *stream)
{
    struct request request;
    if (!request_init(&request, stream->evhttp, stream->peer)) {
        stream->answer.close = true;
        return;
    }
    stream->is_open = true;
    stream->evhttp = NULL;
    counter_add(&stream->streams->config.answers[http_status_index(200)], 1);
    gate_begin_stream(stream->peer, drained);
    stream->is_chunked = reply_begin_stream(stream->streams->config.edge, &request, stream->traceparent,
                                            gate_stream_output(stream->peer));
    write_text(stream, PREAMBLE, strlen(PREAMBLE));
}

static void answer_ordinarily(struct stream *stream)
{
    struct request request;
    struct peer *peer = stream->peer;
    gate_set_owner(peer, NULL, NULL);
    if (request_init(&request, stream->evhttp, peer)) {
        counter_add(&stream->streams->config.answers[http_status_index(stream->answer.http_status)], 1);
        stream->answer.close = stream->answer.close || stream->streams->is_closed;
        reply_send(stream->streams->config.edge, &request, &stream->answer, stream->traceparent);
    }
    release(stream);
}

static void go_on(struct stream *stream)
{
    bool heartbeat_is_due = monotonic_us() - stream->written_us >= HEARTBEAT_US - HEARTBEAT_SLACK_US;
    if (stream->status == STATUS_OK) {
        write_text(stream, stream->text.data, stream->text.length);
    }
    if (stream->text.length == 0 && heartbeat_is_due) {
        write_text(stream, HEARTBEAT, strlen(HEARTBEAT));
    }
    /* The output has a copy, which is all that a slow client is to hold. */
    arena_reset(&stream->call.arena);
    arena_reset(&stream->arena);
    bool fails = stream->status != STATUS_OK;
    if (stream->streams->is_closed || (fails ? !may_pass(stream->status) : stream->is_at_end)) {
        end(stream);
    } else if (fails) {
        call_later(stream);
    } else if (evbuffer_get_length(gate_stream_output(stream->peer)) == 0) {
        next_call(stream, WAIT_MS);
    }
}

/* What the first call has found is that there will never be anything to tell. */
static bool has_seen_all(const struct stream *stream)
{
    return stream->status == STATUS_OK && stream->is_at_end && stream->text.length == 0;
}

static void deliver(struct stream *stream)
{
    stream->is_calling = false;
    if (stream->peer == NULL) {
        release(stream);
        return;
    }
    if (!stream->is_open && has_seen_all(stream)) {
        stream->answer.http_status = 204;
    } else if (!stream->is_open && stream->status == STATUS_OK) {
        open_stream(stream);
    }
    if (stream->is_open) {
        go_on(stream);
    } else if (stream->status == STATUS_RESOURCE_EXHAUSTED && !stream->streams->is_closed) {
        call_later(stream);
    } else {
        answer_ordinarily(stream);
    }
}

void streams_deliver(struct streams *streams)
{
    void *stream;
    while (ring_pop(streams->finished, &stream)) {
        deliver(stream);
    }
}

static bool enter(struct streams *streams)
{
    if (atomic_fetch_add(streams->config.open, 1) < streams->config.streams_max) {
        return true;
    }
    atomic_fetch_sub(streams->config.open, 1);
    return false;
}

bool streams_begin(struct streams *streams, const struct request *request, const struct plan *plan,
                   const char *traceparent)
{
    if (!enter(streams)) {
        return false;
    }
    struct stream *stream = calloc(1, sizeof(*stream));
    struct event *retry = stream != NULL ? event_new(streams->config.base, -1, 0, try_again, stream) : NULL;
    if (retry == NULL) {
        free(stream);
        atomic_fetch_sub(streams->config.open, 1);
        return false;
    }
    stream->streams = streams;
    stream->retry = retry;
    stream->peer = request->peer;
    stream->evhttp = request->evhttp;
    stream->method = plan->method;
    stream->call.transport = &transport;
    stream->call.identity.tenant = streams->config.edge->tenant;
    arena_init(&stream->call.arena, NULL, 0, RPC_ARENA_MAX);
    arena_init(&stream->arena, NULL, 0, TEXT_ARENA_MAX);
    memcpy(stream->panic_id, plan->events.panic_id, sizeof(stream->panic_id));
    snprintf(stream->traceparent, sizeof(stream->traceparent), "%s", traceparent);
    panic__v1__list_events_request__init(&stream->request);
    stream->request.panic_id = stream->panic_id;
    stream->request.after_sequence = plan->events.after;
    stream->request.page_size = PAGE_MAX;
    TAILQ_INSERT_TAIL(&streams->all, stream, link);
    streams->n++;
    gate_set_owner(request->peer, stream, gone);
    next_call(stream, 0);
    return true;
}

/* ---- life ---- */

enum status streams_new(const struct streams_config *config, struct streams **ret_streams)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    size_t capacity = RING_CAPACITY_MIN;
    while (capacity < 2 * (size_t)config->streams_max + FINISHERS_MAX) {
        capacity *= 2;
    }
    if (streams == NULL || ring_new(capacity, &streams->finished) != STATUS_OK) {
        free(streams);
        return STATUS_RESOURCE_EXHAUSTED;
    }
    streams->config = *config;
    TAILQ_INIT(&streams->all);
    *ret_streams = streams;
    return STATUS_OK;
}

void streams_close(struct streams *streams)
{
    streams->is_closed = true;
    struct stream *stream = TAILQ_FIRST(&streams->all);
    while (stream != NULL) {
        struct stream *next = TAILQ_NEXT(stream, link);
        if (stream->is_open) {
            event_del(stream->retry);
            end(stream);
        } else if (!stream->is_calling) {
            event_del(stream->retry);
            answer_ordinarily(stream);
        }
        stream = next;
    }
}

size_t streams_count(const struct streams *streams)
{
    return streams->n + atomic_load(&streams->handing_back);
}

void streams_free(struct streams *streams)
{
    if (streams != NULL) {
        assert(streams->n == 0);
        ring_free(streams->finished);
        free(streams);
    }
}

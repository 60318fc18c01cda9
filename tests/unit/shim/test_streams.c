/*
 * Streams of events over a feed that the test plays itself: what a client gets that reads nothing, leaves,
 * comes back, or is one too many, and what becomes of a stream whose call fails or whose server stops.
 */
#include "unit/shim/rig.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHORT_MS 300
#define PAGE 100
#define ID "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41"
/* Without chunks. */
#define GET(target) "GET " target " HTTP/1.0\r\nHost: test\r\n\r\n"

enum feed {
    /* A full page for whoever asks, again and again. */
    FEED_ENDLESS,
    /* Nothing yet: who waits is held. */
    FEED_STILL,
    /* A panic with one change, which is closed. */
    FEED_CLOSED,
    /* The first call that waits is told that the service is away, those behind get one change and no more. */
    FEED_AWAY_ONCE,
};

struct fixture {
    struct shim_rig rig;
    enum feed feed;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under lock. */
    int64_t told;
    struct rpc_call *held;
    bool was_away;
};

/* ---- the feed ---- */

static void tell(struct rpc_call *call, int64_t after, size_t n, bool closed)
{
    Panic__V1__PanicEvent events[PAGE];
    Panic__V1__PanicEvent *pointers[PAGE];
    Panic__V1__ListEventsResponse response = PANIC__V1__LIST_EVENTS_RESPONSE__INIT;
    for (size_t i = 0; i < n; i++) {
        panic__v1__panic_event__init(&events[i]);
        events[i].sequence = after + 1 + (int64_t)i;
        events[i].type = (char *)"created";
        pointers[i] = &events[i];
    }
    response.events = pointers;
    response.n_events = n;
    response.last_sequence = after + (int64_t)n;
    response.closed = closed;
    rpc_call_reply(call, &response.base);
}

static void hold(struct fixture *f, struct rpc_call *call)
{
    pthread_mutex_lock(&f->lock);
    assert_null(f->held);
    f->held = call;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

/* Waits until a call is held, and takes it. */
static struct rpc_call *take_held(struct fixture *f)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_US / US_PER_S;
    pthread_mutex_lock(&f->lock);
    int waited = 0;
    while (f->held == NULL && waited == 0) {
        waited = pthread_cond_timedwait(&f->changed, &f->lock, &until);
    }
    struct rpc_call *call = f->held;
    f->held = NULL;
    pthread_mutex_unlock(&f->lock);
    assert_non_null(call);
    return call;
}

static void tell_page(struct fixture *f, struct rpc_call *call, int64_t after)
{
    pthread_mutex_lock(&f->lock);
    f->told = after + PAGE;
    pthread_mutex_unlock(&f->lock);
    tell(call, after, PAGE, false);
}

/* The highest sequence so far. */
static int64_t told(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    int64_t sequence = f->told;
    pthread_mutex_unlock(&f->lock);
    return sequence;
}

static void be_away_once(struct fixture *f, struct rpc_call *call,
                         const Panic__V1__ListEventsRequest *request)
{
    if (request->wait_ms > 0 && !f->was_away) {
        f->was_away = true;
        rpc_call_fail(call, STATUS_UNAVAILABLE, "away");
    } else if (!f->was_away) {
        tell(call, request->after_sequence, 0, false);
    } else if (request->after_sequence == 7) {
        tell(call, request->after_sequence, 1, false);
    } else {
        hold(f, call);
    }
}

static void list_events(void *ctx, struct rpc_call *call)
{
    struct fixture *f = ctx;
    const Panic__V1__ListEventsRequest *request = (const Panic__V1__ListEventsRequest *)call->request;
    switch (f->feed) {
    case FEED_ENDLESS:
        assert_int_equal(request->page_size, PAGE);
        tell_page(f, call, request->after_sequence);
        break;
    case FEED_STILL:
        if (request->wait_ms > 0) {
            hold(f, call);
        } else {
            tell(call, request->after_sequence, 0, false);
        }
        break;
    case FEED_CLOSED:
        tell(call, request->after_sequence, request->after_sequence < 1 ? 1 : 0, true);
        break;
    case FEED_AWAY_ONCE:
        be_away_once(f, call, request);
        break;
    }
}

/* ---- fixture ---- */

static void start(struct fixture *f, enum feed feed, const struct shim_limits *limits)
{
    static const struct rpc_binding bindings[] = {
        {.method = "ListEvents", .handler = list_events, .read_only = true}};
    *f = (struct fixture){.feed = feed};
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    shim_rig_start(&f->rig, bindings, 1, f, &(struct shim_config){.limits = *limits});
}

static void end(struct fixture *f)
{
    shim_rig_end(&f->rig);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
}

static int ask(const struct fixture *f, const char *request)
{
    int fd = http_connect(f->rig.url, NULL);
    http_send(fd, request);
    return fd;
}

/* The text that comes, until `word` is in it (NULL = to the end); the caller owns it. */
static char *read_text(int fd, const char *word)
{
    size_t size = 1 << 16;
    size_t length = 0;
    char *text = calloc(1, size);
    ssize_t n = 1;
    while (n > 0 && (word == NULL || strstr(text, word) == NULL)) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, (int)(PATIENCE_US / US_PER_MS)), 1);
        n = recv(fd, text + length, size - 1 - length, 0);
        length += n > 0 ? (size_t)n : 0;
        text[length] = 0;
        if (length == size - 1) {
            size *= 2;
            text = realloc(text, size);
            assert_non_null(text);
        }
    }
    if (word != NULL && strstr(text, word) == NULL) {
        fail_msg("no \"%s\" in: %s", word, text);
    }
    return text;
}

/* The id of the last event that is there whole; each must be one more than the one before. Line by line: the
 * sanitizers' strstr() measures all of the text each time. */
static int64_t last_whole(const char *text, int64_t before)
{
    static const char name[] = "id: ";
    const char *end = text + strlen(text);
    const char *line = text;
    const char *line_end;
    int64_t id = 0;
    while ((line_end = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            id = strtoll(line + strlen(name), NULL, 10);
        } else if (line_end == line && id != 0) {
            assert_int_equal(id, before + 1);
            before = id;
            id = 0;
        }
        line = line_end + 1;
    }
    return before;
}

/* ---- tests ---- */

static void test_a_reader_that_stalls_is_cut_and_goes_on_without_loss(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_ENDLESS, &(struct shim_limits){.send_ms = SHORT_MS});
    int fd = ask(&f, GET("/events?after=0"));
    WAIT_UNTIL(told(&f) > 0 && shim_stats(f.rig.shim).streams == 0);
    assert_int_equal(shim_stats(f.rig.shim).connections, 0);
    char *text = read_text(fd, NULL);
    int64_t last = last_whole(text, 0);
    assert_true(last > 0);
    /* Beyond what the kernel has taken there was never more than a page. */
    assert_in_range(told(&f) - last, 1, PAGE);
    free(text);
    close(fd);

    char request[128];
    snprintf(request, sizeof(request),
             "GET /events HTTP/1.0\r\nHost: test\r\nLast-Event-ID: %" PRId64 "\r\n\r\n", last);
    fd = ask(&f, request);
    text = read_text(fd, "\ndata: ");
    char expected[64];
    snprintf(expected, sizeof(expected), "\n\nid: %" PRId64 "\nevent: created\n", last + 1);
    const char *first = strstr(text, "\n\nid: ");
    assert_non_null(first);
    assert_memory_equal(first, expected, strlen(expected));
    free(text);
    close(fd);
    end(&f);
}

static void test_one_stream_too_many_is_told_to_come_again(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_ENDLESS, &(struct shim_limits){.streams_max = 1});
    int first = ask(&f, GET("/events?after=0"));
    free(read_text(first, "\ndata: "));
    struct http_answer answer;
    http_call(f.rig.url, "GET", "/events", "", NULL, &answer);
    assert_non_null(http_header(&answer, "Retry-After"));
    http_expect(&answer, 503, "error", "too many streams");
    close(first);
    WAIT_UNTIL(shim_stats(f.rig.shim).streams == 0);
    int second = ask(&f, GET("/events?after=0"));
    free(read_text(second, "\ndata: "));
    close(second);
    end(&f);
}

static void test_who_has_seen_all_of_a_closed_panic_is_told_to_stay_away(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_CLOSED, &(struct shim_limits){0});
    int fd = ask(&f, GET("/panic/" ID "/events"));
    char *text = read_text(fd, NULL);
    assert_non_null(strstr(text, "\nid: 1\nevent: created\n"));
    free(text);
    close(fd);
    struct http_answer answer;
    http_call(f.rig.url, "GET", "/panic/" ID "/events", "Last-Event-ID: 1\r\n", NULL, &answer);
    assert_int_equal(answer.status, 204);
    assert_int_equal(answer.length, 0);
    http_answer_free(&answer);
    WAIT_UNTIL(shim_stats(f.rig.shim).streams == 0);
    end(&f);
}

static void test_an_answer_without_events_leaves_the_connection_open(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_CLOSED, &(struct shim_limits){0});
    int fd = http_connect(f.rig.url, NULL);
    for (int i = 0; i < 2; i++) {
        struct http_answer answer;
        http_send(fd, "GET /panic/" ID "/events?after=1 HTTP/1.1\r\nHost: test\r\n\r\n");
        http_receive(fd, &answer);
        assert_int_equal(answer.status, 204);
        http_answer_free(&answer);
    }
    close(fd);
    end(&f);
}

static void test_a_stream_whose_reader_left_goes_when_its_call_is_back(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_STILL, &(struct shim_limits){0});
    int fd = ask(&f, GET("/events?after=7"));
    struct rpc_call *call = take_held(&f);
    close(fd);
    WAIT_UNTIL(shim_stats(f.rig.shim).connections == 0);
    assert_int_equal(shim_stats(f.rig.shim).streams, 1);
    tell(call, 7, 1, false);
    WAIT_UNTIL(shim_stats(f.rig.shim).streams == 0);
    end(&f);
}

static void test_a_stream_outlives_a_service_that_is_away(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_AWAY_ONCE, &(struct shim_limits){0});
    int fd = ask(&f, GET("/events?after=7"));
    free(read_text(fd, "\nid: 8\nevent: created\n"));
    struct rpc_call *call = take_held(&f);
    assert_int_equal(((const Panic__V1__ListEventsRequest *)call->request)->after_sequence, 8);
    tell(call, 8, 0, true);
    free(read_text(fd, NULL));
    close(fd);
    end(&f);
}

static void test_a_stop_ends_a_stream_before_its_call_is_back(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, FEED_STILL, &(struct shim_limits){0});
    int fd = ask(&f, GET("/events?after=7"));
    struct rpc_call *call = take_held(&f);
    shim_close(f.rig.shim);
    free(read_text(fd, NULL));
    close(fd);
    tell(call, 7, 1, false);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reader_that_stalls_is_cut_and_goes_on_without_loss),
        cmocka_unit_test(test_one_stream_too_many_is_told_to_come_again),
        cmocka_unit_test(test_who_has_seen_all_of_a_closed_panic_is_told_to_stay_away),
        cmocka_unit_test(test_an_answer_without_events_leaves_the_connection_open),
        cmocka_unit_test(test_a_stream_whose_reader_left_goes_when_its_call_is_back),
        cmocka_unit_test(test_a_stream_outlives_a_service_that_is_away),
        cmocka_unit_test(test_a_stop_ends_a_stream_before_its_call_is_back),
    };
    return cmocka_run_group_tests_name("shim: streams", tests, NULL, NULL);
}

/*
 * The feed as server-sent events of a real panicd, and panicctl watch: order, resumption in the middle and
 * over a kill, many streams at once, and what ends a stream.
 */
#include "harness/test.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/fixture.h"
#include "harness/http_client.h"
#include "harness/scrape.h"

#define ID "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2d41"
#define TEXT_MAX 65536
#define STREAMS 400
#define CREATES 40
/* Of src/shim/streams.c: whoever waits is not told of the stop sooner. */
#define HEARTBEAT_US (15 * US_PER_S)

static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&f);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_release(&f);
    return 0;
}

/* ---- streams ---- */

/* Mostly of HTTP/1.0, which comes without chunks: the text as it is. */
struct stream {
    int fd;
    size_t length;
    bool has_ended;
    char text[TEXT_MAX];
};

static struct stream *open_stream_at(const char *url, const char *target, const char *version,
                                     const char *headers)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    assert_non_null(stream);
    char request[512];
    snprintf(request, sizeof(request), "GET %s %s\r\nHost: localhost\r\n%s\r\n", target, version, headers);
    stream->fd = http_connect(url, NULL);
    http_send(stream->fd, request);
    return stream;
}

static struct stream *open_stream_with(const char *target, const char *headers)
{
    return open_stream_at(panicd_http(f.panicd), target, "HTTP/1.0", headers);
}

static struct stream *open_stream(const char *target)
{
    return open_stream_with(target, "");
}

static void close_stream(struct stream *stream)
{
    close(stream->fd);
    free(stream);
}

/* Reads what comes next; an end is noted. */
static void read_some(struct stream *stream)
{
    struct pollfd ready = {.fd = stream->fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, (int)(HARNESS_PATIENCE_US / 1000)), 1);
    assert_true(stream->length < TEXT_MAX - 1);
    ssize_t n = read(stream->fd, stream->text + stream->length, TEXT_MAX - 1 - stream->length);
    stream->has_ended = n <= 0;
    stream->length += n > 0 ? (size_t)n : 0;
    stream->text[stream->length] = 0;
}

static size_t count_of(const struct stream *stream, const char *word)
{
    size_t n = 0;
    for (const char *at = stream->text; (at = strstr(at, word)) != NULL; at += strlen(word)) {
        n++;
    }
    return n;
}

/* Until the word has come so often, or the stream has ended. */
static void read_until(struct stream *stream, const char *word, size_t n)
{
    while (count_of(stream, word) < n && !stream->has_ended) {
        read_some(stream);
    }
    if (count_of(stream, word) < n) {
        fail_msg("no \"%s\" %zu times in: %s", word, n, stream->text);
    }
}

static void read_to_end(struct stream *stream)
{
    while (!stream->has_ended) {
        read_some(stream);
    }
}

/* The ids of the events, which must rise; ids without event do not count. */
static size_t ids_of(const struct stream *stream, int64_t *ids, size_t max)
{
    size_t n = 0;
    int64_t id;
    char type[32];
    for (const char *at = stream->text; (at = strstr(at, "\nid: ")) != NULL; at++) {
        if (sscanf(at, "\nid: %" SCNd64 "\nevent: %31s\ndata: {", &id, type) == 2) {
            assert_true(n < max);
            assert_true(n == 0 || id > ids[n - 1]);
            ids[n++] = id;
        }
    }
    return n;
}

static void live_through_a_panic(void)
{
    calls_put_responder(f.client, "unit-1", -33.9, 18.4);
    calls_create(f.client, &f.arena, ID);
    calls_wait_active(f.client, &f.arena, ID);
    calls_resolve(f.client, &f.arena, ID, "");
}

static void test_a_panics_stream_tells_its_life_in_order_and_ends(void **state)
{
    (void)state;
    calls_put_responder(f.client, "unit-1", -33.9, 18.4);
    calls_create(f.client, &f.arena, ID);
    struct stream *stream = open_stream("/panic/" ID "/events");
    read_until(stream, "event: assigned\n", 1);
    assert_false(stream->has_ended);
    calls_resolve(f.client, &f.arena, ID, "");
    read_to_end(stream);
    assert_non_null(strstr(stream->text, "Content-Type: text/event-stream\r\n"));
    assert_non_null(strstr(stream->text, "\nretry: "));
    int64_t ids[4];
    assert_int_equal(ids_of(stream, ids, 4), 3);
    const char *created = strstr(stream->text, "event: created\ndata: {\"sequence\":\"");
    const char *assigned = strstr(stream->text, "event: assigned\n");
    const char *resolved = strstr(stream->text, "event: resolved\n");
    assert_true(created != NULL && assigned > created && resolved > assigned);
    assert_non_null(strstr(created, "\"panicId\":\"" ID "\""));
    close_stream(stream);
}

static void test_a_stream_goes_on_behind_the_last_event_seen(void **state)
{
    (void)state;
    live_through_a_panic();
    struct stream *whole = open_stream("/panic/" ID "/events");
    read_to_end(whole);
    int64_t ids[4];
    assert_int_equal(ids_of(whole, ids, 4), 3);
    char header[64];
    char target[96];
    for (size_t seen = 1; seen <= 3; seen++) {
        snprintf(header, sizeof(header), "Last-Event-ID: %" PRId64 "\r\n", ids[seen - 1]);
        snprintf(target, sizeof(target), "/panic/" ID "/events?after=%" PRId64, ids[seen - 1]);
        struct stream *rests[] = {open_stream_with("/panic/" ID "/events", header), open_stream(target)};
        for (size_t i = 0; i < 2; i++) {
            int64_t got[4];
            read_to_end(rests[i]);
            assert_int_equal(ids_of(rests[i], got, 4), 3 - seen);
            assert_memory_equal(got, ids + seen, (3 - seen) * sizeof(ids[0]));
            close_stream(rests[i]);
        }
    }
    close_stream(whole);
}

static void test_the_feed_of_all_begins_now_unless_told_otherwise(void **state)
{
    (void)state;
    calls_create(f.client, &f.arena, NULL);
    struct stream *from_now = open_stream("/events");
    struct stream *from_start = open_stream("/events?after=0");
    read_until(from_now, "\nid: ", 1);
    read_until(from_start, "event: created\n", 1);
    assert_int_equal(count_of(from_now, "event: "), 0);
    calls_create(f.client, &f.arena, NULL);
    read_until(from_now, "event: created\n", 1);
    read_until(from_start, "event: created\n", 2);
    close_stream(from_now);
    close_stream(from_start);
}

/* The place of a client that has seen this much. */
static int64_t last_id_of(const struct stream *stream)
{
    int64_t last = 0;
    for (const char *at = stream->text; (at = strstr(at, "\nid: ")) != NULL; at++) {
        (void)sscanf(at, "\nid: %" SCNd64, &last);
    }
    return last;
}

static void test_after_a_kill_each_event_comes_exactly_once(void **state)
{
    (void)state;
    struct stream *first = open_stream("/events?after=0");
    for (size_t i = 0; i < 20; i++) {
        calls_create(f.client, &f.arena, NULL);
    }
    read_until(first, "event: created\n", 7);
    panicd_kill(f.panicd);
    read_to_end(first);
    panicd_restart(f.panicd);
    for (size_t i = 0; i < 5; i++) {
        calls_create(f.client, &f.arena, NULL);
    }
    int64_t ids[80];
    size_t n = ids_of(first, ids, 80);
    char header[64];
    snprintf(header, sizeof(header), "Last-Event-ID: %" PRId64 "\r\n", last_id_of(first));
    struct stream *second = open_stream_with("/events", header);
    read_until(second, "event: created\n", 25 - count_of(first, "event: created\n"));
    size_t total = n + ids_of(second, ids + n, 80 - n);
    assert_true(n == 0 || ids[n] > ids[n - 1]);
    assert_int_equal(count_of(first, "event: created\n") + count_of(second, "event: created\n"), 25);

    struct stream *whole = open_stream("/events?after=0");
    read_until(whole, "event: created\n", 25);
    int64_t all[80];
    assert_true(ids_of(whole, all, 80) >= total);
    assert_memory_equal(all, ids, total * sizeof(ids[0]));
    close_stream(first);
    close_stream(second);
    close_stream(whole);
}

static void test_four_hundred_streams_see_every_creation(void **state)
{
    (void)state;
    static struct stream *streams[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
        streams[i] = open_stream("/events?after=0");
    }
    for (size_t i = 0; i < CREATES; i++) {
        calls_create(f.client, &f.arena, NULL);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        int64_t ids[3 * CREATES];
        read_until(streams[i], "event: created\n", CREATES);
        ids_of(streams[i], ids, 3 * CREATES);
        assert_int_equal(count_of(streams[i], "event: created\n"), CREATES);
        close_stream(streams[i]);
    }
}

static void test_what_cannot_be_streamed_is_an_ordinary_answer(void **state)
{
    (void)state;
    struct http_answer answer;
    http_call(panicd_http(f.panicd), "GET", "/panic/" ID "/events", "", NULL, &answer);
    http_expect(&answer, 404, "code", "not_found");
    http_call(panicd_http(f.panicd), "GET", "/panic/17/events", "", NULL, &answer);
    http_expect(&answer, 404, "code", "not_found");
    http_call(panicd_http(f.panicd), "GET", "/events", "Last-Event-ID: -1\r\n", NULL, &answer);
    http_expect(&answer, 400, "error", "Last-Event-ID");
    http_call(panicd_http(f.panicd), "GET", "/events?after=now", "", NULL, &answer);
    http_expect(&answer, 400, "error", "after");
    http_call(panicd_http(f.panicd), "GET", "/events", "Last-Event-ID: 1000\r\n", NULL, &answer);
    http_expect(&answer, 400, "code", "out_of_range");
    http_call(panicd_http(f.panicd), "POST", "/events", "", "", &answer);
    http_expect(&answer, 405, "code", "unimplemented");
    int fd = http_connect(panicd_http(f.panicd), NULL);
    http_send(fd, "HEAD /events HTTP/1.1\r\nHost: test\r\n\r\n");
    http_receive_head(fd, &answer);
    assert_int_equal(answer.status, 405);
    close(fd);
    http_call(panicd_http(f.panicd), "GET", "/events", "Origin: https://evil.example\r\n", NULL, &answer);
    http_expect(&answer, 403, "code", "permission_denied");
}

static void test_a_quiet_stream_shows_that_it_lives(void **state)
{
    (void)state;
    struct stream *stream = open_stream("/events");
    read_until(stream, "\nid: ", 1);
    read_until(stream, "\n:\n\n", 1);
    assert_int_equal(count_of(stream, "event: "), 0);
    close_stream(stream);
}

static void test_chunks_end_with_the_stream(void **state)
{
    (void)state;
    live_through_a_panic();
    struct stream *stream = open_stream_at(panicd_http(f.panicd), "/panic/" ID "/events", "HTTP/1.1", "");
    read_to_end(stream);
    assert_non_null(strstr(stream->text, "Transfer-Encoding: chunked\r\n"));
    assert_non_null(strstr(stream->text, "event: resolved\n"));
    assert_string_equal(stream->text + stream->length - 7, "\r\n0\r\n\r\n");
    close_stream(stream);
}

static void test_a_stop_ends_streams_at_once(void **state)
{
    (void)state;
    struct stream *stream = open_stream("/events");
    read_until(stream, "\nid: ", 1);
    int64_t start_us = monotonic_us();
    panicd_signal(f.panicd, SIGTERM);
    read_to_end(stream);
    assert_int_equal(panicd_wait(f.panicd), 0);
    assert_true(monotonic_us() - start_us < HEARTBEAT_US);
    close_stream(stream);
    panicd_restart(f.panicd);
}

static void test_the_shim_in_front_of_a_channel_streams_too(void **state)
{
    (void)state;
    live_through_a_panic();
    struct panicd *shim = panicd_start_shim(
        (const char *const[]){"--upstream", panicd_ipc(f.panicd), "--http", "127.0.0.1:0", NULL});
    struct stream *life = open_stream_at(panicd_http(shim), "/panic/" ID "/events", "HTTP/1.0", "");
    read_to_end(life);
    int64_t ids[4];
    assert_int_equal(ids_of(life, ids, 4), 3);
    close_stream(life);
    struct stream *feed = open_stream_at(panicd_http(shim), "/events", "HTTP/1.0", "");
    read_until(feed, "\nid: ", 1);
    calls_create(f.client, &f.arena, NULL);
    read_until(feed, "event: created\n", 1);
    panicd_end(shim);
    close_stream(feed);
}

/* ---- panicctl watch ---- */

struct watch {
    pthread_t thread;
    char output[8192];
    int exit_status;
};

static void *run_watch(void *arg)
{
    struct watch *watch = arg;
    const char *const argv[] = {
        harness_panicctl_path, "--server", panicd_ipc(f.panicd), "--json", "watch", ID, NULL};
    watch->exit_status = harness_run(argv, watch->output, sizeof(watch->output));
    return NULL;
}

/* Until a call waits for the next change: whoever sent it has seen those before. */
static void await_parked(void)
{
    int64_t give_up_us = monotonic_us() + HARNESS_PATIENCE_US;
    while (scrape_now(panicd_http(f.panicd), "panicd_events_parked") < 1) {
        assert_true(monotonic_us() < give_up_us);
    }
}

static void test_panicctl_watch_goes_on_over_a_restart_until_the_panic_is_closed(void **state)
{
    (void)state;
    calls_create(f.client, &f.arena, ID);
    struct watch watch = {.exit_status = -1};
    assert_int_equal(pthread_create(&watch.thread, NULL, run_watch, &watch), 0);
    await_parked();
    panicd_kill(f.panicd);
    panicd_restart(f.panicd);
    calls_resolve(f.client, &f.arena, ID, "");
    pthread_join(watch.thread, NULL);
    if (watch.exit_status != 0) {
        fail_msg("%s", watch.output);
    }
    const char *created = strstr(watch.output, "\"type\":\"created\"");
    const char *resolved = strstr(watch.output, "\"type\":\"resolved\"");
    assert_true(created != NULL && resolved > created);
    assert_null(strstr(created + 1, "\"type\":\"created\""));
}

/* A panicctl that goes on until it is stopped. */
struct process {
    pid_t pid;
    struct stream output;
};

static void start_watch_of_all(struct process *process)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    process->pid = fork();
    assert_true(process->pid >= 0);
    if (process->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        execl(harness_panicctl_path, harness_panicctl_path, "--server", panicd_ipc(f.panicd), "--json",
              "watch", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    process->output = (struct stream){.fd = ends[0]};
}

static void end_watch(struct process *process)
{
    kill(process->pid, SIGTERM);
    assert_int_equal(waitpid(process->pid, NULL, 0), process->pid);
    close(process->output.fd);
}

/* It was told nothing when the server went, so only its own memory of where it began can bridge the gap. */
static void test_panicctl_watch_of_all_misses_nothing_while_the_server_is_away(void **state)
{
    (void)state;
    static struct process watch;
    start_watch_of_all(&watch);
    await_parked();
    kill(watch.pid, SIGSTOP);
    panicd_kill(f.panicd);
    panicd_restart(f.panicd);
    calls_create(f.client, &f.arena, ID);
    kill(watch.pid, SIGCONT);
    await_parked();
    calls_create(f.client, &f.arena, NULL);
    read_until(&watch.output, "\"type\":\"created\"", 2);
    assert_non_null(strstr(watch.output.text, "\"panicId\":\"" ID "\""));
    end_watch(&watch);
}

static void test_panicctl_watch_tells_an_unknown_panic(void **state)
{
    (void)state;
    char output[512];
    const char *const argv[] = {harness_panicctl_path, "--server", panicd_ipc(f.panicd), "watch", ID, NULL};
    assert_int_equal(harness_run(argv, output, sizeof(output)), 1);
    assert_non_null(strstr(output, "NOT_FOUND"));
}

#define EVENTS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVENTS(test_a_panics_stream_tells_its_life_in_order_and_ends),
        EVENTS(test_a_stream_goes_on_behind_the_last_event_seen),
        EVENTS(test_the_feed_of_all_begins_now_unless_told_otherwise),
        EVENTS(test_after_a_kill_each_event_comes_exactly_once),
        EVENTS(test_four_hundred_streams_see_every_creation),
        EVENTS(test_what_cannot_be_streamed_is_an_ordinary_answer),
        EVENTS(test_a_quiet_stream_shows_that_it_lives),
        EVENTS(test_chunks_end_with_the_stream),
        EVENTS(test_a_stop_ends_streams_at_once),
        EVENTS(test_the_shim_in_front_of_a_channel_streams_too),
        EVENTS(test_panicctl_watch_goes_on_over_a_restart_until_the_panic_is_closed),
        EVENTS(test_panicctl_watch_of_all_misses_nothing_while_the_server_is_away),
        EVENTS(test_panicctl_watch_tells_an_unknown_panic),
    };
    return cmocka_run_group_tests_name("integration: events", tests, NULL, NULL);
}

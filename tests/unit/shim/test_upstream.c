/* The shim over an nng channel to a server whose handlers tell what they were given. */
#include "unit/rpc/rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/http_client.h"
#include "shim/shim.h"
#include "shim/upstream.h"

/* Far below the 30 s after which a call to a silent server is given up. */
#define NO_HANG_US (15 * US_PER_S)

struct fixture {
    struct upstream *upstream;
    struct shim *shim;
    const char *url;
};

static void start(struct fixture *f, const char *server)
{
    struct diag diag;
    const struct upstream_config upstream = {.url = server};
    assert_ok(upstream_open(&upstream, &f->upstream, &diag));
    const struct shim_config config = {.address = "127.0.0.1:0",
                                       .router = upstream_router(f->upstream),
                                       .health = upstream_health(f->upstream),
                                       .tenant = "test",
                                       .loops = 1,
                                       .calls_max = UPSTREAM_CALLS_MAX};
    assert_ok(shim_start(&config, &f->shim, &diag));
    f->url = shim_address(f->shim);
}

static void end(struct fixture *f)
{
    upstream_close(f->upstream);
    shim_free(f->shim);
    upstream_free(f->upstream);
}

static void get(struct fixture *f, const char *id, const char *headers, struct http_answer *answer)
{
    char body[64];
    snprintf(body, sizeof(body), "{\"id\":\"%s\"}", id);
    http_call(f->url, "POST", RIG_GET, headers, body, answer);
}

/* What the handler put into the id. */
static void take_id(struct http_answer *answer, char ret_id[256])
{
    if (answer->status != 200) {
        fail_msg("expected 200, got %s%s", answer->head, answer->body);
    }
    json_t *json = http_json(answer);
    const char *id = json_string_value(json_object_get(json_object_get(json, "panic"), "id"));
    snprintf(ret_id, 256, "%s", id);
    json_decref(json);
    http_answer_free(answer);
}

static void test_headers_come_to_the_handler(void **state)
{
    struct rig *rig = *state;
    struct fixture f;
    struct http_answer answer;
    char id[256];
    rig_start(rig, rig_ipc(rig, "s"), 4);
    start(&f, rig_url(rig));
    get(&f, "header", HTTP_JSON_TYPE "X-Test: as it was\r\n", &answer);
    take_id(&answer, id);
    assert_string_equal(id, "as it was");
    end(&f);
}

static void test_trailers_come_back(void **state)
{
    struct rig *rig = *state;
    struct fixture f;
    struct http_answer answer;
    rig_start(rig, rig_ipc(rig, "s"), 4);
    start(&f, rig_url(rig));
    get(&f, "missing", HTTP_JSON_TYPE, &answer);
    assert_string_equal(http_header(&answer, "Trailer-Retry-After"), "3");
    assert_string_equal(http_header(&answer, "Retry-After"), "3");
    http_expect(&answer, 404, "message", "there is no panic missing");
    end(&f);
}

static void test_server_is_told_the_deadline_or_none(void **state)
{
    struct rig *rig = *state;
    struct fixture f;
    struct http_answer answer;
    char id[256];
    rig_start(rig, rig_ipc(rig, "s"), 4);
    start(&f, rig_url(rig));
    get(&f, "deadline", HTTP_JSON_TYPE "Connect-Timeout-Ms: 600000\r\n", &answer);
    take_id(&answer, id);
    assert_in_range(strtol(id, NULL, 10), (600 - RIG_PATIENCE_S) * US_PER_S, 600 * US_PER_S);
    get(&f, "deadline", HTTP_JSON_TYPE, &answer);
    take_id(&answer, id);
    assert_true(strtol(id, NULL, 10) <= 0);
    end(&f);
}

/* As long as it may be: some of these fill the sockets on their way. */
static int send_long_create(const struct fixture *f)
{
    enum { LENGTH = 60000 };
    static char body[LENGTH + 1];
    char head[96];
    memset(body, 'x', LENGTH);
    memcpy(body, "{\"subjectId\":\"", 14);
    memcpy(body + LENGTH - 2, "\"}", 2);
    snprintf(head, sizeof(head), "POST /panic HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n", LENGTH);
    int fd = http_connect(f->url, NULL);
    http_send(fd, head);
    http_send(fd, body);
    return fd;
}

static void expect_created(int fd)
{
    struct http_answer answer;
    http_receive(fd, &answer);
    assert_int_equal(answer.status, 202);
    http_answer_free(&answer);
    close(fd);
}

/* With one context the server takes one create and leaves the others unread, which is not to be gone. */
static void test_server_that_is_busy_is_waited_for(void **state)
{
    enum { N = 24 };
    struct rig *rig = *state;
    struct fixture f;
    int fds[N];
    rig_start(rig, rig_ipc(rig, "s"), 1);
    start(&f, rig_url(rig));
    for (int i = 0; i < N; i++) {
        fds[i] = send_long_create(&f);
    }
    rig_wait_held(1);
    /* Longer than a call waits for a connection. */
    assert_int_equal(poll(&(struct pollfd){.fd = fds[N - 1], .events = POLLIN}, 1, 1500), 0);
    for (int i = 0; i < N; i++) {
        rig_wait_held(1);
        rig_release_held();
    }
    for (int i = 0; i < N; i++) {
        expect_created(fds[i]);
    }
    end(&f);
}

static void test_server_that_never_was_there_is_unavailable_within_seconds(void **state)
{
    struct rig *rig = *state;
    struct fixture f;
    struct http_answer answer;
    start(&f, rig_ipc(rig, "nobody"));
    int64_t begin_us = monotonic_us();
    get(&f, "x", HTTP_JSON_TYPE, &answer);
    assert_true(monotonic_us() - begin_us < NO_HANG_US);
    assert_null(strstr(answer.body, "ipc:"));
    http_expect(&answer, 503, "code", "unavailable");
    end(&f);
}

static void wait_serving(struct fixture *f, bool expected)
{
    int64_t give_up_us = monotonic_us() + RIG_PATIENCE_S * US_PER_S;
    while (atomic_load(&upstream_health(f->upstream)->serving) != expected) {
        assert_true(monotonic_us() < give_up_us);
        upstream_check(f->upstream);
        poll(NULL, 0, 2);
    }
}

static void test_health_follows_the_server(void **state)
{
    struct rig *rig = *state;
    struct fixture f;
    atomic_store(&rig->health.serving, true);
    rig_start(rig, rig_ipc(rig, "s"), 4);
    start(&f, rig_url(rig));
    assert_false(atomic_load(&upstream_health(f.upstream)->serving));
    wait_serving(&f, true);
    atomic_store(&rig->health.serving, false);
    wait_serving(&f, false);
    atomic_store(&rig->health.serving, true);
    wait_serving(&f, true);
    upstream_close(f.upstream);
    upstream_check(f.upstream);
    assert_false(atomic_load(&upstream_health(f.upstream)->serving));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_headers_come_to_the_handler),
        TEST(test_trailers_come_back),
        TEST(test_server_is_told_the_deadline_or_none),
        TEST(test_server_that_is_busy_is_waited_for),
        TEST(test_server_that_never_was_there_is_unavailable_within_seconds),
        TEST(test_health_follows_the_server),
    };
    return cmocka_run_group_tests_name("upstream", tests, NULL, NULL);
}
